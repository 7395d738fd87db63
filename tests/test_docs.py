"""What is written must be true: every command, verdict, file and dependency is documented, and the examples run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from monitor.cli import main
from monitor.command import EXIT_CODES
from monitor.metrics import METRICS
from monitor.model import Condition, Corroboration, DeliveryState, Verdict
from monitor.rules import check_topics

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEPLOY = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
DESIGN = (ROOT / "DESIGN.md").read_text(encoding="utf-8")


def commands(group: click.Group, prefix: str = "") -> list[str]:
    names = []
    for name, command in group.commands.items():
        names += commands(command, f"{name} ") if isinstance(command, click.Group) else [prefix + name]
    return names


@pytest.mark.parametrize("command", commands(main))
def test_command_is_in_the_readme(command: str) -> None:
    group, _, name = command.rpartition(" ")
    rows = [line for line in README.splitlines() if line.startswith(f"| `monitor {group or name}")]

    assert any(f"`{name}`" in row or f" {name}" in row for row in rows)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_verdict_is_in_the_readme(verdict: Verdict) -> None:
    assert f"| `{verdict}` |" in README


@pytest.mark.parametrize("state", list(DeliveryState))
def test_delivery_state_is_in_the_readme(state: DeliveryState) -> None:
    assert f"| `{state}` |" in README


@pytest.mark.parametrize("key", Corroboration.__dataclass_fields__)
def test_key_of_corroboration_is_in_the_readme(key: str) -> None:
    assert re.search(rf"^{key} += ", README.partition("[story.corroboration]")[2].partition("```")[0], re.MULTILINE)


@pytest.mark.parametrize("metric", METRICS)
def test_metric_is_in_the_handbook(metric: str) -> None:
    assert f"| `{metric}` | {METRICS[metric]} |" in DEPLOY


@pytest.mark.parametrize("condition", list(Condition))
def test_condition_is_in_the_readme(condition: Condition) -> None:
    assert f"| `{condition}` |" in README


@pytest.mark.parametrize("path", sorted((ROOT / "monitor").glob("*.py")), ids=lambda path: path.name)
def test_file_is_on_the_map(path: Path) -> None:
    assert path.name.startswith("__") or f"`{path.name}`" in README


@pytest.mark.parametrize("code", [0, 1, 2, *EXIT_CODES.values()])
def test_exit_code_is_in_the_readme(code: int) -> None:
    assert re.search(rf"\b{code}\b", README.partition("Exit codes:")[2].partition("\n\n")[0])


def test_every_dependency_has_its_reason_in_the_design() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[=<>~! \[]", need)[0] for need in project["dependencies"]]

    assert [name for name in names if f"| {name} |" not in DESIGN] == []


def test_every_command_of_run_sh_that_the_documents_name_is_one() -> None:
    script = (ROOT / "run.sh").read_text(encoding="utf-8")
    named = {
        name for page in ROOT.glob("*.md") for name in re.findall(r"\./run\.sh (\w+)", page.read_text(encoding="utf-8"))
    }

    assert sorted(name for name in named if f"./run.sh {name} " not in script) == []


def test_every_monitor_command_that_the_documents_name_is_one() -> None:
    known = {command.split()[0] for command in commands(main)}
    pages = [*ROOT.glob("*.md"), *(ROOT / "deploy").glob("*.md")]
    named = {
        name for page in pages for name in re.findall(r"`monitor (?!--)([a-z]+)", page.read_text(encoding="utf-8"))
    }

    assert sorted(named - known) == []


def test_topic_in_the_readme_loads(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert example
    (tmp_path / "brics-clear.toml").write_text(example[1], encoding="utf-8")

    topics, problems = check_topics(tmp_path)

    assert [topic.id for topic in topics] == ["brics-clear"]
    assert not [problem for problem in problems if not problem.warning]


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "deploy").glob("*.md")]
    broken = [
        (page.name, target)
        for page in pages
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]

    assert broken == []
