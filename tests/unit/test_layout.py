"""The package's shape: its public names, its imports and its files."""

from __future__ import annotations

import ast
import dataclasses
import pathlib
import re

import pytest

import pubsubpull
from pubsubpull.delivery.lease import Checkpoint, Terms
from pubsubpull.models import Subscription
from pubsubpull.subscriptions import spec

ROOT = pathlib.Path(__file__).resolve().parents[2]
ORDER = (
    ("base", "exceptions"),
    ("conf",),
    ("wire",),
    ("capture",),
    ("log",),
    ("audit", "events", "transports"),
    ("pull",),
    ("subscriptions",),
    ("delivery", "replica"),
    ("projections", "sagas"),
    ("operate",),
    ("pages", "management"),
)
"""The parts of the package, from the ground up: each imports from its own folder and from the rows above its own."""


def test_these_names_are_public_and_each_is_there():
    assert pubsubpull.__all__ == [
        "VERSION",
        "Client",
        "Event",
        "Refused",
        "RetryAfter",
        "__version__",
        "annotate",
        "as_of",
        "constant",
        "context",
        "emit",
        "emit_many",
        "event",
        "history",
        "on_change",
        "on_event",
        "publish",
        "replicates",
        "resend",
        "restore",
        "uncaptured",
        "unpublish",
    ]
    for name in pubsubpull.__all__:
        assert getattr(pubsubpull, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pubsubpull.nothing


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_run_one_way():
    """Those for types included."""
    rank = {name: place for place, names in enumerate(ORDER) for name in names}
    for path in (ROOT / "pubsubpull").rglob("*.py"):
        own = path.relative_to(ROOT / "pubsubpull").with_suffix("").parts[0]
        if own not in rank:
            continue
        for name in imports(path):
            other = name.split(".")[1] if name.startswith("pubsubpull.") else own
            if other == own or other not in rank:
                continue
            assert rank[other] < rank[own], f"{path} imports {name}"


def modules():
    """Return the package's modules by name, with the modules of the package that each imports."""
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / "pubsubpull").rglob("*.py")
        if "migrations" not in path.parts
    }
    # What a module takes from the package's front door comes from the module behind it.
    return {
        name: {other for other in imports(path) if other in paths} - {name, "pubsubpull"}
        for name, path in paths.items()
    }


def test_no_files_import_each_other_in_a_circle():
    """Imports for types included: such a circle is one module that was cut in pieces."""
    graph = modules()
    while leaves := [name for name, others in graph.items() if not others & graph.keys()]:
        for name in leaves:
            del graph[name]
    # Drop also the remaining modules that are only above a circle.
    while tops := [name for name in graph if not any(name in others for others in graph.values())]:
        for name in tops:
            del graph[name]
    assert not graph


@pytest.mark.parametrize("name", ["max_rate", "concurrency", "allowed_rate", "free_at"])
def test_few_files_name_an_option_of_a_subscription(name):
    """The spec, the model, its migration, and its use: with the documentation, one more option touches five files."""
    word = re.compile(rf"\b{name}\b")
    folders = ("pubsubpull", "sql")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".sql"}]
    named = {path.relative_to(ROOT).as_posix() for path in files if word.search(path.read_text())}
    assert len(named) <= (4 if name in spec.SubscriptionSpec.model_fields else 5), sorted(named)


def test_only_a_lease_changes_a_lease():
    """But for its tasks, which those change that start them."""
    for path in (ROOT / "pubsubpull" / "delivery").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                    assert target.value.id != "lease" or target.attr in {"task", "before"}, f"{path}:{node.lineno}"


def test_a_lease_and_its_checkpoint_are_of_the_subscriptions_columns():
    columns = {field.attname for field in Subscription._meta.concrete_fields}
    assert {field.name for field in dataclasses.fields(Checkpoint)} <= columns
    assert {field.name for field in dataclasses.fields(spec.Options)} <= columns
    beside = {"consumer", "granted", "keys"}
    assert {field.name for field in dataclasses.fields(Terms)} - columns == beside
    assert {spec.API_NAMES.get(name, name) for name in spec.Options.__dataclass_fields__} == {
        *spec.DescribedOptions.model_fields
    }


def test_the_package_never_imports_its_two_outer_folders():
    for path in (ROOT / "pubsubpull").rglob("*.py"):
        assert not any(n.startswith(("pubsubpull.sql", "pubsubpull.middleware")) for n in imports(path)), path


def test_every_request_to_a_given_address_uses_the_guarded_transport():
    """The client asks services that the settings name; nothing else of the package sends requests by other means."""
    senders = {
        path.relative_to(ROOT / "pubsubpull").as_posix()
        for path in (ROOT / "pubsubpull").rglob("*.py")
        for name in imports(path)
        if name.split(".")[0] in {"aiohttp", "requests", "urllib3", "httpx", "socketserver", "ftplib", "smtplib"}
        or name in {"urllib.request", "http.client"}
    }
    assert senders == {
        "transports/http/client.py",
        "transports/http/connections.py",
        "pull/client.py",
        "pull/client_calls.py",
    }


HTTP = re.compile(r"aiohttp|requests|pubsubpull\.transports\.http\b.*|(.+\.)?(uri_template|consent|signing|vault)")


def test_the_engine_knows_no_word_of_http():
    """A message goes in, an outcome comes out: all else is a transport's."""
    for path in (ROOT / "pubsubpull" / "delivery").rglob("*.py"):
        assert not [name for name in imports(path) if HTTP.fullmatch(name)], path


WIRE_SQL = {
    "parts/item.sql",
    "queries/audit/erase/aside.sql",
    "schema/instances.1.sql",
}
"""The SQL that writes or takes apart what `wire/` reads."""
WIRE_TEXT = re.compile(r'"\w+":(?! )|":"')
"""A name and a colon of JSON as the wire has it, without the space that a message for people has."""


def constants(path):
    """Return a module's texts and bytes, but for docstrings, as texts with their line."""
    tree = ast.parse(path.read_text())
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node not in docstrings:
            text = node.value.decode() if isinstance(node.value, bytes) else node.value
            if isinstance(text, str):
                yield node.lineno, text


def test_only_the_wire_knows_how_its_texts_look():
    """No other module glues or looks for the text of JSON: it calls the functions that write and read it."""
    for path in (ROOT / "pubsubpull").rglob("*.py"):
        if path.relative_to(ROOT / "pubsubpull").parts[0] == "wire":
            continue
        for number, text in constants(path):
            assert not WIRE_TEXT.search(text), f"{path}:{number} {text!r}"


def test_only_these_sql_files_write_the_wire_by_hand():
    written = {
        path.relative_to(ROOT / "sql").as_posix()
        for path in (ROOT / "sql").rglob("*.sql")
        if re.search(r'[{,]"\w+":(?! )', path.read_text())
    }
    assert written == WIRE_SQL
