"""docs/authoring.md: every command of the page, in its order, in an empty folder."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import FakeEmbedder, background, ordinary

from monitor import hindsight, learning
from monitor.cli import main
from monitor.rules import load_rules

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "authoring.md").read_text(encoding="utf-8")


def blocks() -> list[list[list[str]]]:
    """The page's blocks of shell: of each its commands, as lists of words."""
    found = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [[shlex.split(line) for line in block.replace("\\\n", " ").splitlines()] for block in found]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name in ("MONITOR_CONFIG", "STATE_DIRECTORY", "SLACK_BOT_TOKEN", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "docs").symlink_to(DOCS)
    return tmp_path


def follow(folder: Path, see: Callable[[list[str], Result], None]) -> None:
    for command in [command for block in blocks() for command in block]:
        program, *words = command
        if program == "mkdir":
            (folder / words[0]).mkdir()
            continue
        assert program == "monitor"
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, (command, result.output, result.exception)
        see(words, result)


def test_tested_topic_takes_fewer_than_five_commands() -> None:
    steps = [command for block in blocks()[:4] for command in block]
    assert [words[:3] for words in steps] == [
        ["mkdir", "rules"], ["monitor", "rules", "new"], ["monitor", "rules", "try"], ["monitor", "rules", "test"],
    ]  # fmt: skip


def test_every_command_of_the_page_ends_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(*_: Any, **__: Any) -> learning.Learning:
        return learning.Learning(FakeEmbedder(), ordinary, background())  # type: ignore[arg-type]  # as good as a real one

    monkeypatch.setattr(learning, "open_learning", fake)
    monkeypatch.setattr(hindsight, "open_learning", fake)
    follow(folder, lambda *_: None)
    [topic] = load_rules(folder / "rules")
    assert (topic.id, topic.owner, len(topic.examples)) == ("sea-cables", "@infrastructure-desk", 4)


@pytest.mark.model
def test_topic_of_the_page_finds_what_it_is_about_in_other_languages(folder: Path) -> None:
    told: dict[str, str] = {}
    follow(folder, lambda words, result: told.update({" ".join(words[:2]): result.stdout}))
    taken, _, silent = told["rules try"].partition("Nearest of those that stay silent")
    for title in (
        "Two telecom cables in the Baltic Sea",
        "马祖海底电缆再次中断",
        "повреждён подводный кабель",
        "Cable television firm",
    ):
        assert title in taken, "the page says so"
    assert "Åklagare utreder sabotage" in silent, "the page says so"
    assert re.search(r"^[4-9] passed, 0 failed$", told["rules test"], re.MULTILINE)
    assert "1 topic would take it" in told["explain --text"]
    assert f"{folder / 'rules' / 'sea-cables.toml'}:1" in told["explain --text"]
    rows = [json.loads(line) for line in told["replay docs/authoring.jsonl"].splitlines()]
    assert sum(bool(row["alerts"]) for row in rows) >= 5
