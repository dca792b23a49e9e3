"""The parts of a context that need no database."""

from __future__ import annotations

import contextvars
import io
from types import SimpleNamespace

import pytest
from django.http import FileResponse, HttpResponse, StreamingHttpResponse

import pubsubpull
from pubsubpull.audit.context import actors, contexts, json_data, statements, tasks
from pubsubpull.middleware import streams


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (("manage.py", "import_orders", "x.csv"), "import_orders"),
        (("/srv/app/manage.py", "migrate"), "migrate"),
        (("/usr/bin/django-admin", "shell"), "shell"),
        (("C:/venv/django-admin.exe", "shell"), "shell"),
        (("/lib/django/__main__.py", "shell"), "shell"),
        (("manage.py", "runserver"), None),
        (("manage.py", "test"), None),
        (("manage.py", "pubsubpull_deliver"), None),
        (("manage.py", "--help"), None),
        (("manage.py",), None),
        (("gunicorn", "shop.wsgi"), None),
        (("/lib/other/__main__.py", "shell"), None),
        ((), None),
    ],
)
def test_a_management_command_is_recognised_by_its_program(argv, command):
    made = contexts._command_context(argv)
    assert (made and made.metadata["command"]) == command
    assert made is None or (made.source, made.actor()) == ("command", None)


def test_one_process_is_one_command():
    argv = ("manage.py", "import_orders")
    assert contexts._command(argv) is contexts._command(argv) is not None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a\0b", "a\ufffdb"),
        ("\ud800", "?"),
        ("x" * 3000, "x" * 2000),
        ({"k\0": ["\0", {"x": "\udfff"}]}, {"k\ufffd": ["\ufffd", {"x": "?"}]}),
        (7, 7),
        (None, None),
    ],
)
def test_text_is_made_fit_for_postgresql(given, expected):
    assert json_data.clean(given) == expected


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (None, None),
        ("", None),
        ("ann", ("ann", "ann")),
        (7, ("7", "7")),
        (SimpleNamespace(is_authenticated=False), None),
        (SimpleNamespace(pk=3, get_username=lambda: "bob"), ("3", "bob")),
    ],
)
def test_a_user_is_its_key_and_its_name(user, expected):
    found = actors.of(user)
    assert (found and (found.id, found.name)) == expected


NOTHING, READS, MAY_WRITE, WRITES = statements.Effect


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("insert into x", WRITES),
        ("  ((SELECT 1))", READS),
        ("/* a */ /* b\n */UPDATE x", WRITES),
        ("-- a\n-- b\nDELETE", WRITES),
        ("/* never closed INSERT", NOTHING),
        ("", NOTHING),
        (";", NOTHING),
        ("SET TRANSACTION READ ONLY", NOTHING),
        ("SELECT * FROM t FOR UPDATE", READS),
        ("SELECT 1; DELETE FROM t", WRITES),
        ("WITH a AS (SELECT 1) SELECT * FROM a", READS),
        ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", WRITES),
        ("EXPLAIN SELECT 1", READS),
        ("explain (analyze) insert into t values (1)", WRITES),
        ("COPY t FROM STDIN", WRITES),
        ("COPY t TO STDOUT", READS),
        ("COPY (SELECT * FROM t) TO STDOUT", READS),
        ("COPY (DELETE FROM t RETURNING *) TO STDOUT", WRITES),
        ("COPY t FROM '/tmp/x'", WRITES),
        ("CALL f()", MAY_WRITE),
        ("VACUUM", MAY_WRITE),
        ("/**/" * 5000 + "1", NOTHING),
    ],
)
def test_the_effects_of_a_statement_are_told_by_its_text(text, effect):
    assert statements.effect(text) is effect


def result(number):
    return SimpleNamespace(id=number, task=SimpleNamespace(module_path="shop.tasks.bill"))


def test_a_task_is_a_context_from_its_start_to_its_end():
    with pubsubpull.context(user="ann") as outer:
        tasks.started(task_result=result("1"))
        assert (contexts.current().source, contexts.current().metadata) == (
            "task",
            {"task": "shop.tasks.bill", "task_id": "1"},
        )
        tasks.started(task_result=result("2"))
        assert contexts.current().metadata["task_id"] == "2"
        tasks.finished(task_result=result("2"))
        assert contexts.current().metadata["task_id"] == "1"
        tasks.finished(task_result=result("1"))
        assert contexts.current() is outer


def test_the_end_of_a_task_that_did_not_begin_here_ends_nothing():
    with pubsubpull.context() as outer:
        contextvars.copy_context().run(tasks.started, task_result=result("3"))
        tasks.finished(task_result=result("3"))
        tasks.finished(task_result=result("4"))
        assert contexts.current() is outer


def test_a_task_of_djangos_runs_in_its_context(settings):
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    django_tasks = pytest.importorskip("django.tasks", reason="Django has tasks from version 6 on")
    assert sees.__name__ == "sees"
    answer = django_tasks.task(sees).enqueue()
    assert answer.return_value == ["task", "tests.unit.test_context_parts.sees"]
    assert contexts.current() is None


def sees():
    made = contexts.current()
    return [made.source, made.metadata["task"]]


def test_a_file_response_keeps_the_servers_sendfile():
    file = io.BytesIO(b"x")
    answer = FileResponse(file)
    streams.keep(answer, None)
    assert answer.file_to_stream is file
    answer.close()


def test_an_answer_of_one_piece_is_left_alone():
    answer = HttpResponse("x")
    streams.keep(answer, None)
    assert answer.content == b"x"


def test_each_chunk_of_a_stream_is_made_within_the_context_and_sent_outside_of_it():
    seen = []

    def chunks():
        for number in range(2):
            seen.append(contexts.current())
            yield str(number)

    with pubsubpull.context() as made:
        pass
    answer = StreamingHttpResponse(chunks())
    streams.keep(answer, made)
    for _ in answer:
        assert contexts.current() is None
    assert seen == [made, made]
