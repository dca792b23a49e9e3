"""The documents match the code."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import pathlib
import re
import textwrap

import pytest

from benchmarks import __main__ as benchmarks
from pubsubpull import conf
from pubsubpull.pull import problems
from pubsubpull.wire import signing

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *PAGES]


def settings_page():
    """Return docs/settings.md as the settings have it."""
    source = ast.parse(textwrap.dedent(inspect.getsource(conf.Settings))).body[0].body
    words = {
        field.target.id: text.value.value
        for field, text in itertools.pairwise(source)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }
    rows = [f"| `{f.name}` | `{f.default!r}` | {words[f.name]} |" for f in dataclasses.fields(conf.Settings)]
    head = [
        "# Settings",
        "",
        "All in one dict, `PUBSUBPULL`; each has a default, and a wrong one is a system check's error.",
        "",
        "| name | default | meaning |",
        "| --- | --- | --- |",
    ]
    return "\n".join([*head, *rows, ""])


def test_every_setting_is_documented():
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_python_examples_compile(path):
    for block in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL):
        compile(block, str(path), "exec")


def test_every_problem_type_is_in_the_wire_format():
    text = (ROOT / "docs" / "wire-format.md").read_text()
    used = set()
    for path in (ROOT / "pubsubpull").rglob("*.py"):
        used |= set(re.findall(r'type="([a-z-]+)"', path.read_text()))
    assert used
    assert used == set(re.findall(rf"`{problems.TYPE_PREFIX}([a-z-]+)`", text))


def test_every_system_check_is_documented_once():
    ids = {
        one
        for path in (ROOT / "pubsubpull").rglob("*.py")
        for one in re.findall(r'"(pubsubpull\.[EW]\d+)"', path.read_text())
    }
    rows = re.findall(r"^\| `(pubsubpull\.[EW]\d+)` \|", (ROOT / "docs" / "checks.md").read_text(), re.MULTILINE)
    assert rows == sorted(ids)


def test_every_command_is_documented():
    text = "".join(path.read_text() for path in PAGES)
    for path in (ROOT / "pubsubpull" / "management" / "commands").glob("pubsubpull_*.py"):
        assert re.search(rf"manage\.py {path.stem}\b|`{path.stem}\b", text), path.stem


def test_the_signature_of_the_wire_format_is_right():
    text = (ROOT / "docs" / "wire-format.md").read_text()
    secret, *rest = re.search(
        r"`(whsec_\S+)`, the id `(\S+)`, the timestamp `(\d+)` and the body\n`(.+?)`, the signature is `(\S+)`", text
    ).groups()
    notification, timestamp, body, signature = rest
    assert signing.sign([secret], notification=notification, timestamp=int(timestamp), body=body.encode()) == signature


def test_the_changelog_is_grouped_and_says_nothing_twice():
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    groups = [line.removeprefix("### ") for line in lines if line.startswith("### ")]
    assert set(groups) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    entries = [line for line in lines if line.startswith("- ")]
    assert len(entries) == len(set(entries))
    assert all(line.endswith(".") for line in entries)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_commands_of_the_readme_come_first():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert [line.split("#")[0].strip() for line in lines[4:6]] == ["make demo", "make test"]


def test_every_benchmark_has_its_place_in_the_document():
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    for name in benchmarks.NAMES:
        assert f"<!-- {name} -->" in text, name
        assert f"<!-- end of {name} -->" in text, name


@pytest.mark.parametrize("name", ["architecture.md", "glossary.md"])
def test_every_module_that_the_map_names_exists(name):
    named = set(re.findall(r"`((?:\w+/)+[\w.]+\.(?:py|sql))`", (ROOT / "docs" / name).read_text()))
    assert len(named) > 40
    missing = [path for path in named if not (ROOT / "pubsubpull" / path).exists() and not (ROOT / path).exists()]
    assert missing == []


def test_every_function_of_the_architecture_exists():
    text = (ROOT / "docs" / "architecture.md").read_text()
    for path, name in re.findall(r"`((?:\w+/)+\w+\.py)`, `(?:\w+\.)?(\w+)`", text):
        assert re.search(rf"def {name}\(", (ROOT / "pubsubpull" / path).read_text()), f"{path} {name}"
