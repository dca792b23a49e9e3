"""The package's shape: what is public, what imports what, what is in the files."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

import pubsubpull
from pubsubpull.capture import sql
from pubsubpull.migrations import __path__ as migrations

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYERS = ["capture", "audit", "pull", "subscribe", "replica"]


def test_these_names_are_public_and_each_is_there():
    assert pubsubpull.__all__ == [
        "VERSION",
        "Client",
        "__version__",
        "annotate",
        "as_of",
        "constant",
        "context",
        "history",
        "on_change",
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


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_run_one_way(layer):
    above = tuple(f"pubsubpull.{name}" for name in LAYERS[LAYERS.index(layer) + 1 :])
    for path in (ROOT / "pubsubpull" / layer).rglob("*.py"):
        for name in imports(path):
            assert not name.startswith((*above, "pubsubpull.sql", "pubsubpull.middleware")), f"{path} imports {name}"


def test_the_package_never_imports_its_two_outer_folders():
    for path in (ROOT / "pubsubpull").rglob("*.py"):
        assert not any(n.startswith(("pubsubpull.sql", "pubsubpull.middleware")) for n in imports(path)), path


def test_whatever_is_sent_on_somebodys_word_goes_through_the_guarded_transport():
    """The client asks services that the settings name; nothing else of the package sends requests by other means."""
    senders = {
        path.relative_to(ROOT / "pubsubpull").as_posix()
        for path in (ROOT / "pubsubpull").rglob("*.py")
        for name in imports(path)
        if name.split(".")[0] in {"aiohttp", "requests", "urllib3", "httpx", "socketserver", "ftplib", "smtplib"}
        or name in {"urllib.request", "http.client"}
    }
    assert senders == {"subscribe/transport.py", "subscribe/connections.py", "pull/client.py", "pull/calling.py"}


def sql_files():
    return sorted(path.relative_to(ROOT / "sql").with_suffix("").as_posix() for path in (ROOT / "sql").rglob("*.sql"))


@pytest.mark.parametrize("name", sql_files())
def test_each_sql_file_begins_with_what_it_is_for(name):
    assert sql.read(name).startswith("-- ")


@pytest.mark.parametrize("name", sql_files())
def test_each_sql_file_is_used(name):
    """A schema file by a migration, a trigger by its kind, and a query by its name in the code."""
    short = name.split("/", 1)[1] if "subscribe/" not in name else name.rsplit("/", 1)[1]
    text = "".join(
        p.read_text() for folder in [ROOT / "pubsubpull", *map(pathlib.Path, migrations)] for p in folder.rglob("*.py")
    )
    assert f'"{name}"' in text or f'"{short}"' in text or f'f"{name.split("/")[0]}/{{kind}}"' in text


def test_no_python_file_holds_sql_beyond_the_orm():
    pattern = re.compile(r"[\"']\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|WITH) ", re.IGNORECASE)
    for path in (ROOT / "pubsubpull").rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = pattern.search(line)
            assert not (found and found[1].isupper()), f"{path}:{number}"


def test_functions_with_their_owners_rights_pin_what_they_search():
    for path in (ROOT / "sql" / "schema").glob("*.sql"):
        text = path.read_text()
        if "SECURITY DEFINER" in text:
            assert "SET search_path = pg_catalog, pg_temp" in text, path
