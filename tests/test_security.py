"""What docs/security.md promises that no other test holds; and that what it names is there."""

from __future__ import annotations

import ast
import re
import stat
from pathlib import Path

import click
import pytest

from monitor.cli import main
from monitor.store import Store

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
FILES = sorted((ROOT / "monitor").glob("*.py"))

#: Modules whose reading of data may run code; `multiprocessing.connection` is the parser's, between two processes of ours.
RUNS_CODE = {"pickle", "shelve", "marshal", "dill", "joblib", "code", "codeop", "yaml", "jinja2"}
CALLS = {"eval", "exec", "compile", "__import__"}


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(test_\w+::\w+)`", PAGE))))
def test_test_that_the_page_names_exists(named: str) -> None:
    file, _, name = named.partition("::")
    text = (ROOT / "tests" / f"{file}.py").read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_is_evaluated(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & RUNS_CODE
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in RUNS_CODE
        elif isinstance(node, ast.Call):
            assert not (isinstance(node.func, ast.Name) and node.func.id in CALLS)
            assert not (isinstance(node.func, ast.Attribute) and node.func.attr in ("system", "popen"))
            assert not any(word.arg in ("shell", "allow_pickle", "trust_remote_code") for word in node.keywords)


def options(command: click.Command) -> list[str]:
    found = [option for one in command.params if isinstance(one, click.Option) for option in one.opts]
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            found += options(inner)
    return found


def test_no_secret_is_an_argument() -> None:
    """Every user of a machine sees the arguments of every process."""
    assert [option for option in options(main) if re.search("token|secret|password|key", option)] == []


def test_state_is_its_owner_s_alone(tmp_path: Path) -> None:
    Store.open(tmp_path / "state").close()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
