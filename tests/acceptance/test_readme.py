"""The README's first subscription and its replica, done as it says."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

from example import local_postgres
from pubsubpull.pull import consumers
from tests import processes
from tests.shop import models as shop

README = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text()

pytestmark = pytest.mark.acceptance

FIELDS = """:
    reference = models.TextField()
    internal_note = models.TextField(default="")
"""
DATABASE = """
import dj_database_url
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
ALLOWED_HOSTS = ["127.0.0.1"]
"""
VIEWS = """
import json, pathlib, time
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt
from pubsubpull.wire import signing
secret = pathlib.Path("secret").read_text() if pathlib.Path("secret").exists() else ""
def print(*words): pathlib.Path("received").open("a").write(" ".join(map(str, words)) + "\\n")
"""


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def parts():
    """Return the first example's text by the file that it belongs to."""
    found = re.split(r"^# (\w+\.py)$", blocks("python")[0], flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def site(folder):
    """Make a new project and put the README's lines where they say."""
    subprocess.run([sys.executable, "-m", "django", "startproject", "site1", str(folder)], check=True, cwd=folder)
    (folder / "shop" / "migrations").mkdir(parents=True)
    for path in ("shop", "shop/migrations"):
        (folder / path / "__init__.py").touch()
    given = parts()
    assert set(given) == {"settings.py", "models.py", "urls.py"}
    with (folder / "site1/settings.py").open("a") as settings:
        settings.write("import os\n" + DATABASE + given["settings.py"] + "\nINSTALLED_APPS += ['shop']\n")
    models = given["models.py"].replace(": ...", FIELDS)
    (folder / "shop/models.py").write_text("from django.db import models\n" + models)
    view = re.search(r"^@csrf_exempt.*", blocks("python")[1], re.MULTILINE | re.DOTALL)[0]
    (folder / "shop/views.py").write_text(VIEWS + view)
    with (folder / "site1/urls.py").open("a") as urls:
        urls.write("\nfrom django.urls import include\nfrom shop import views\n" + given["urls.py"])
        urls.write("\nurlpatterns += [path('changes/', views.changes)]\n")


def test_the_first_subscription_works_as_the_readme_has_it(tmp_path):
    site(tmp_path)
    migrate, consumer, deliver = (
        line.split("#")[0].split()[1:] for line in blocks("sh")[0].splitlines() if line.strip()
    )
    with local_postgres.own_server("readme") as server:
        env = {"DATABASE_URL": server.url(), "DJANGO_SETTINGS_MODULE": "site1.settings", "PYTHONPATH": str(tmp_path)}

        def manage(*args):
            done = subprocess.run(
                [sys.executable, *args], cwd=tmp_path, env=os.environ | env, capture_output=True, text=True, timeout=180
            )
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        manage("manage.py", "makemigrations", "shop")
        manage(*migrate)
        token = manage(*consumer)
        port = processes.free_port()
        url, log = f"http://127.0.0.1:{port}", tmp_path / "log"
        client = blocks("python")[1].split("\n# its view")[0]
        client = client.replace("https://shop.example", url).replace("https://billing.example", url)
        client = f'token = "{token}"\n{client}\nopen("secret", "w").write(made["secret"])\n'
        serve = [sys.executable, "-m", "gunicorn", "site1.wsgi", "-b", f"127.0.0.1:{port}", "--threads", "4"]
        work = [sys.executable, str(tmp_path / deliver[0]), *deliver[1:]]
        with processes.running(*serve, log=log, cwd=tmp_path, **env):
            processes.until(lambda: processes.answers(url), log=log)
            manage("-c", client)
        write = "import django; django.setup(); from shop.models import Order; Order.objects.create(reference='R-1')"
        received = tmp_path / "received"
        with (
            processes.running(*serve, log=log, cwd=tmp_path, **env),
            processes.running(*work, log=log, cwd=tmp_path, **env),
        ):
            processes.until(lambda: processes.answers(url), log=log)
            manage("-c", write)
            processes.until(lambda: received.exists() and "R-1" in received.read_text(), log=log)
            pull = blocks("python")[2].replace("...", "print(order.data)").split("for page")[0]
            assert "R-1" in manage("-c", client.split("made =")[0] + pull)
    assert received.read_text().startswith("insert shop.order 1 {")
    assert "internal_note" not in received.read_text()


def replica_site(folder, url, token):
    """Make a new project with the README's replica of the shop at `url`."""
    subprocess.run([sys.executable, "-m", "django", "startproject", "site2", str(folder)], check=True, cwd=folder)
    (folder / "billing" / "migrations").mkdir(parents=True)
    for path in ("billing", "billing/migrations"):
        (folder / path / "__init__.py").touch()
    _, _, settings, _, models = re.split(r"^# (\w+\.py)$", blocks("python")[3], flags=re.MULTILINE)
    with (folder / "site2/settings.py").open("a") as file:
        file.write(f"import os\n{DATABASE}token = {token!r}\n" + settings.replace("https://shop.example", url))
        file.write("INSTALLED_APPS += ['ninja', 'pubsubpull', 'billing']\n")
    written = "    open('invoices', 'a').write(change['new']['reference'] + ' ')\n"
    models = models.replace("def invoice(change): ...", f"def invoice(change):\n{written}")
    (folder / "billing/models.py").write_text("import pubsubpull\nfrom django.db import models\n" + models)


@pytest.mark.django_db(transaction=True)
def test_the_replica_works_as_the_readme_has_it(tmp_path):
    shop.Order.objects.create(reference="before", status="paid", total=5)
    token = consumers.add("billing", ["shop.order"])[1]
    with local_postgres.own_server("readme") as server, processes.gunicorn(tmp_path) as url:
        replica_site(tmp_path, url, token)
        env = {"DATABASE_URL": server.url(), "DJANGO_SETTINGS_MODULE": "site2.settings", "PYTHONPATH": str(tmp_path)}

        def manage(*args):
            command = [sys.executable, "manage.py", *args]
            done = subprocess.run(
                command, cwd=tmp_path, env=os.environ | env, capture_output=True, text=True, timeout=180
            )
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        manage("makemigrations", "billing")
        manage("migrate")
        manage("pubsubpull_follow", "--once")
        shop.Order.objects.create(reference="after", status="sent", total=7.5)
        shop.Order.objects.create(reference="not paid", status="new")
        shop.Order.objects.filter(reference="before").update(total=6)
        manage("pubsubpull_follow", "--once")
        rows = (
            "from billing.models import Order; print(*(f'{o.number} {o.total}' for o in Order.objects.order_by('id')))"
        )
        assert manage("shell", "--no-imports", "-c", rows) == "before 6.00 after 7.50"
        assert (tmp_path / "invoices").read_text() == "after not paid "
