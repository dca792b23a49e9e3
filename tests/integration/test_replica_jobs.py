"""Jobs: a task once for each instance, after any failure."""

from __future__ import annotations

import pytest
from django.test import override_settings
from django_tasks_db.models import DBTaskResult

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.pull import consumers
from pubsubpull.replica import jobs
from pubsubpull.replica.models import PullJob, PullKey
from pubsubpull.replica.sizes import Sizes
from tests.replicas import handled
from tests.shop import models as there

pytestmark = pytest.mark.django_db(transaction=True)
WELCOME, STEP = "tests.replicas.handled.welcome", "pubsubpull.replica.jobs.step"


@pytest.fixture(autouse=True)
def shop(live_server):
    token = consumers.add("billing", ["*"])[1]
    service = {"url": f"{live_server.url}/pubsubpull/", "token": token}
    with override_settings(PUBSUBPULL={"SERVICE_NAME": "shop", "SERVICES": {"shop": service}}):
        yield


def make(*names):
    for name in names:
        there.Customer.objects.create(name=name)


def called():
    found = DBTaskResult.objects.filter(task_path=WELCOME).order_by("enqueued_at")
    return [task.args_kwargs["kwargs"]["instance"]["data"]["name"] for task in found]


def test_pull_down_calls_for_all_that_are_there_newest_first_and_ends():
    make(*"abcde")
    name = jobs.pull_down("shop.customer", handled.welcome, service="shop", pull_priority=7, job_priority=-3)
    assert called() == [], "the job's own task does it"
    assert jobs.run(name, sizes=Sizes(rows=2)) == 5
    assert called() == list("edcba")
    assert set(DBTaskResult.objects.values_list("task_path", "priority")) == {(STEP, 7), (WELCOME, -3)}
    make("f")
    assert jobs.run(name) == 0
    assert called() == list("edcba")


def test_pull_up_calls_for_those_that_come_from_now_on_and_goes_on():
    make("a")
    name = jobs.pull_up("shop.customer", handled.welcome, service="shop")
    make("b", "c")
    there.Customer.objects.update(email="no new instance")
    jobs.step.call(name=name)
    assert called() == ["b", "c"]
    make("d")
    jobs.step.call(name=name)
    assert called() == ["b", "c", "d"]
    assert DBTaskResult.objects.filter(task_path=STEP).count() == 3, "it looks again after a while"
    jobs.stop(name)
    make("e")
    jobs.step.call(name=name)
    assert called() == ["b", "c", "d"]


def test_pull_calls_once_for_those_that_come_while_it_is_on_its_way_down():
    """A row that comes below the page it is at is seen twice, and called for once."""
    for key in (10, 20, 30, 40):
        there.Customer.objects.create(pk=key, name=str(key))
    name = jobs.pull("shop.customer", handled.welcome, service="shop")
    with jobs.services.get("shop").client() as client:
        jobs._step(name, client, Sizes(rows=2), "default")
    assert called() == ["40", "30"]
    for key in (5, 15, 50):
        there.Customer.objects.create(pk=key, name=str(key))
    jobs.run(name, sizes=Sizes(rows=2))
    assert sorted(called()) == sorted(["40", "30", "20", "10", "5", "15", "50"])
    assert not PullKey.objects.exists()
    make("later")
    jobs.run(name)
    assert called()[-1] == "later"


def test_rows_that_come_while_capture_is_off_are_called_for_with_all_others():
    make("a")
    name = jobs.pull_up("shop.customer", handled.welcome, service="shop")
    make("b")
    jobs.run(name)
    with pubsubpull.uncaptured(there.Customer, reason="load"):
        make("unseen")
    make("c")
    jobs.run(name, sizes=Sizes(rows=2))
    assert called() == ["b", "c", "unseen", "b", "a"]
    assert not PullKey.objects.exists()
    jobs.run(name)
    make("d")
    jobs.run(name)
    assert called()[5:] == ["d"]


def test_rows_that_come_while_capture_is_off_above_the_page_are_called_for_too():
    for key in (10, 20, 30, 40):
        there.Customer.objects.create(pk=key, name=str(key))
    name = jobs.pull("shop.customer", handled.welcome, service="shop")
    with jobs.services.get("shop").client() as client:
        jobs._step(name, client, Sizes(rows=2), "default")
    with pubsubpull.uncaptured(there.Customer, reason="load"):
        there.Customer.objects.create(pk=50, name="50")
    jobs.run(name, sizes=Sizes(rows=2))
    assert called() == ["40", "30", "50", "40", "30", "20", "10"]


def test_jobs_for_other_changes_do_not_go_down():
    make("a")
    name = jobs.pull_up("shop.customer", handled.welcome, service="shop", ops=["update"])
    with pubsubpull.uncaptured(there.Customer, reason="load"):
        make("unseen")
    assert jobs.run(name) == 0


def test_a_step_that_fails_leaves_nothing_behind_and_is_taken_again():
    make(*"ab")
    name = jobs.pull("shop.customer", handled.welcome, service="shop")
    PullJob.objects.filter(name=name).update(callback="tests.replicas.handled.nothing")
    with pytest.raises(ImportError):
        jobs.run(name)
    PullJob.objects.filter(name=name).update(callback=WELCOME)
    assert jobs.run(name) == 2
    assert called() == ["b", "a"]


def test_to_start_a_job_again_only_wakes_it():
    make("a")
    first = jobs.pull("shop.customer", handled.welcome, service="shop")
    jobs.run(first)
    assert jobs.pull("shop.Customer", handled.welcome, service="shop") == first
    jobs.run(first)
    assert called() == ["a"]
    assert jobs.pull("shop.customer", handled.welcome, service="shop", name="other") == "other"
    assert jobs.run("other") == 1


def test_a_callback_that_is_no_task_is_refused():
    with pytest.raises(exceptions.ReplicaError, match="@task"):
        jobs.pull("shop.customer", print, service="shop")


def test_the_callback_gets_the_jobs_arguments():
    make("a")
    name = jobs.pull("shop.customer", handled.welcome, service="shop", callback_kwargs={"greeting": "Hello"})
    jobs.run(name)
    make("b")
    jobs.run(name)
    given = [task.args_kwargs["kwargs"] for task in DBTaskResult.objects.filter(task_path=WELCOME)]
    assert [one["greeting"] for one in given] == ["Hello", "Hello"]


def test_a_job_calls_for_the_changes_that_it_wants():
    make("a")
    ops = ["insert", "update", "delete"]
    name = jobs.pull("shop.customer", handled.welcome, service="shop", ops=ops)
    later = jobs.pull_up("shop.customer", handled.welcome, service="shop", ops=["delete"], name="deletes")
    jobs.run(name)
    make("b")
    there.Customer.objects.filter(name="b").update(name="c")
    there.Customer.objects.filter(name="c").delete()
    jobs.run(name)
    found = DBTaskResult.objects.filter(task_path=WELCOME).order_by("enqueued_at")
    given = [task.args_kwargs["kwargs"]["instance"] for task in found]
    assert [(one["op"], one["data"]["name"]) for one in given] == [
        ("snapshot", "a"),
        ("insert", "b"),
        ("update", "c"),
        ("delete", "c"),
    ]
    assert jobs.run(later) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"callback_kwargs": {"instance": 1}}, "callback_kwargs: instance is passed"),
        ({"callback_kwargs": {"when": object()}}, "callback_kwargs must be a dict that JSON can hold"),
        ({"callback_kwargs": ["no", "dict"]}, "callback_kwargs must be a dict that JSON can hold"),
        ({"ops": ["truncate"]}, "ops: one or more of insert, update, delete, not 'truncate'"),
        ({"ops": []}, "ops: one or more of insert, update, delete, not none"),
        ({"job_priority": 1000}, "job_priority: "),
        ({"pull_priority": 1000}, "pull_priority: "),
    ],
)
def test_a_job_that_cannot_be_as_asked_is_refused_and_not_made(options, said):
    with pytest.raises(exceptions.ReplicaError, match=said):
        jobs.pull("shop.customer", handled.welcome, service="shop", **options)
    assert not PullJob.objects.exists()
