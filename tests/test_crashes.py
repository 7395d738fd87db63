"""The process dies, at every moment, whatever Slack does meanwhile: no alert is lost, none is sent twice.

The processes that die are mortal.py's; what stands in a real FakeSlack after them is looked at here. A few of its faults in
the fast suite, all of them marked `slow`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mortal
import pytest
from slack_server import AFTER_ACCEPTING, BEFORE_ACCEPTING, FakeSlack
from slack_workspace import SCOPES
from world import SHIPS, TROOPS, TROOPS_RETOLD

TELLS = sorted(title for title, _ in (TROOPS, SHIPS, TROOPS_RETOLD))
PROGRAM = Path(mortal.__file__)

#: error codes, one or two of each class
CODES = "internal_error an_unheard_of_error not_in_channel token_revoked rate_limited invalid_blocks".split()
#: in parts that take about as long
MATRIX = {
    "taken": [*AFTER_ACCEPTING][:7],
    "taken, and more": [*[*AFTER_ACCEPTING][7:], mortal.UNREADABLE],
    "not taken": [*BEFORE_ACCEPTING][:7],
    "not taken, and more": [*[*BEFORE_ACCEPTING][7:], mortal.REFUSED, *CODES],
    "while it polls": [mortal.POLLING],
}


@dataclass
class Lives:
    """What came of all the lives, and what stands in Slack after them."""

    slack: FakeSlack
    lived: list[dict[str, Any]] = field(default_factory=list)
    now: float = 0.0

    def messages(self, channel: str) -> list[dict[str, Any]]:
        return [message for message in self.slack.messages if message["channel"] == channel]


def live_through(faults: list[str], folder: Path) -> Lives:
    lives = Lives(FakeSlack(clock=lambda: lives.now))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NO_PROXY": "*"}
    with (
        lives.slack as slack,
        subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, PROGRAM, folder, slack.url, *faults],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        ) as program,
    ):  # fmt: skip
        assert program.stdin
        assert program.stdout
        for line in program.stdout:
            said = json.loads(line)
            if "now" not in said:
                lives.lived.append(said)
                continue
            lives.now = said["now"]
            if "fault" in said:
                begin(slack, said["fault"])
            program.stdin.write(".")
            program.stdin.flush()
    assert program.returncode == 0
    return lives


def begin(slack: FakeSlack, fault: str) -> None:
    """Let the next message meet a fault, and the next but one; none, in a life that is to go well."""
    slack.scopes = set(SCOPES)
    slack.forgive()
    if fault == mortal.UNREADABLE:
        slack.scopes.discard("channels:history")
        slack.fault("accept_then_close", "ok", "accept_then_close")
    elif fault and fault not in (mortal.TERMINAL, mortal.POLLING, mortal.REFUSED):
        slack.fault(fault, "ok", fault)


def check(lives: Lives) -> None:
    """Every alert is told once, each reply in its root's thread and after it, however the process died."""
    for life in lives.lived:
        where, rows = f"{life['fault']}, died at moment {life['moment']}", life["outbox"]
        alerts = [row for row in rows if row["kind"] in ("root", "reply")]
        posts = [row for row in rows if row["state"] == "sent" and row["kind"] != "edit"]
        edits = [row for row in rows if row["kind"] == "edit"]
        assert sorted(row["title"] for row in alerts) == TELLS, where
        assert [row["state"] for row in rows].count("sent") == len(posts) + len(edits) == 4, where
        if life["fault"] == mortal.TERMINAL:
            assert sorted(life["transcript"]) == sorted(row["id"] for row in posts), where
            continue
        stand = {
            message["metadata"]["event_payload"]["delivery_id"]: message for message in lives.messages(life["channel"])
        }
        assert len(lives.messages(life["channel"])) == len(stand) == len(posts), where
        told = [alert for message in stand.values() for alert in message["metadata"]["event_payload"]["tells"]]
        assert {alert: told.count(alert) for alert in told} == {row["id"]: 1 for row in rows if row not in edits}, where
        for row in posts:
            root = stand.get(row["parent"], {"ts": ""})
            assert stand[row["id"]].get("thread_ts", "") == root["ts"] < stand[row["id"]]["ts"], where
        assert all("edited" in stand[row["parent"]] for row in edits), where


@pytest.mark.slow
@pytest.mark.parametrize("faults", [[mortal.TERMINAL], ["ok", "accept_then_close"]], ids=["terminal", "slack"])
def test_whenever_it_dies_every_alert_stands_once(faults: list[str], tmp_path: Path) -> None:
    lives = live_through(faults, tmp_path)
    check(lives)
    assert min(Counter(life["fault"] for life in lives.lived).values()) > 20


@pytest.mark.slow
@pytest.mark.parametrize("faults", MATRIX.values(), ids=MATRIX.keys())
def test_whenever_it_dies_and_whatever_slack_does_every_alert_stands_once(faults: list[str], tmp_path: Path) -> None:
    lives = live_through(faults, tmp_path)
    check(lives)
    assert {life["fault"] for life in lives.lived} == set(faults)
