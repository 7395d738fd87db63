"""`monitor run` is killed again and again, at random, while feeds bring news and Slack answers badly."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import make
import pytest
import restless
from fakes import Answer, FeedServer
from slack_server import FakeSlack
from world import SHIPS, TROOPS, TROOPS_AGAIN, TROOPS_RETOLD

from monitor.store import Store

KILLS = 36
SETTINGS = """\
state = "state"
rules = "rules"
[polling]
allow_private = ["127.0.0.1"]
interval = "2m"
floor = "2m"
host_gap = "0s"
[alerts]
channel = "C0NEWS"
max_age = "3650d"
backfill = "3650d"
[slack]
base_url = "{url}"
"""
RULE = """\
title = "{title}"
description = "{title}, as the wires tell it."
examples = ["{title} in the news"]
noise = 1e-9
[terms]
always = ["{term}"]
"""
FAULTS = "ok ok ok accept_then_close accept_late accept_then_reset drop http500 ratelimited html200".split()


def news(number: int) -> tuple[str, str]:
    """Something else each time, and now and then more on what was told."""
    told = [TROOPS, TROOPS_RETOLD, SHIPS, TROOPS_AGAIN]
    if number % 3 == 0 and number // 3 < len(told):
        return told[number // 3]
    words = " ".join(f"{make.content(str(number), str(n))[:7]}" for n in range(6))
    return f"Warships: {words}", f"It was said of {words}."


class Restless:
    """The program that starts monitors."""

    def __init__(self, folder: Path, began: float) -> None:
        environment = os.environ | {"SLACK_BOT_TOKEN": FakeSlack.token, "NO_PROXY": "*", "OMP_NUM_THREADS": "1"}
        self._processes: list[int] = []
        self._log = (folder / "log").open("w")
        self._program = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, restless.__file__, folder / "monitor.toml", str(began)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, cwd=folder, env=environment,
        )  # fmt: skip

    def start(self) -> int:
        assert self._program.stdin
        assert self._program.stdout
        self._program.stdin.write("\n")
        self._program.stdin.flush()
        self._processes.append(int(self._program.stdout.readline()))
        return self._processes[-1]

    def wait_until_open(self, count: int) -> None:
        """Wait until so many monitors in all have begun to work."""
        for _ in range(3_000):
            if self._said().count('"event": "open"') == count:
                return
            time.sleep(0.01)
        raise TimeoutError(self._said()[-2_000:])

    def kill(self, process: int) -> None:
        """Kill a monitor, and wait until the system has let go of all that it had."""
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
            for _ in range(3_000):
                os.kill(process, 0)
                time.sleep(0.01)
            raise TimeoutError(process)

    def _said(self) -> str:
        return Path(self._log.name).read_text(encoding="utf-8")

    def close(self) -> None:
        for process in self._processes:
            self.kill(process)
        self._program.communicate()
        self._log.close()


def wait_until_told(state: Path, count: int) -> None:
    """Wait until so many items were judged, and nothing waits in the outbox."""
    with closing(Store.open(state)) as store:
        for _ in range(600):
            if store.totals()["items"] == count and set(store.outbox_counts()) <= {"sent", "batched"}:
                return
            time.sleep(0.1)
        raise TimeoutError(f"{store.totals()}, {store.outbox_counts()}, of {count} items")


@pytest.mark.slow
def test_killed_three_dozen_times_it_tells_everything_once(tmp_path: Path) -> None:
    chance, began = random.Random(1), time.time()  # noqa: S311 - when to kill
    (tmp_path / "rules").mkdir()
    for title, term in (("Troops", "north korean"), ("Ships", "warship*")):
        (tmp_path / "rules" / f"{title.lower()}.toml").write_text(RULE.format(title=title, term=term), encoding="utf-8")
    clock = restless.fast_clock(began)
    with FeedServer() as feeds, FakeSlack(clock=clock) as slack:
        (tmp_path / "monitor.toml").write_text(SETTINGS.format(url=slack.url), encoding="utf-8")
        with closing(Store.open(tmp_path / "state")) as store:
            for path in ("/wire", "/gazette"):
                store.add_feed(make.feed(url=feeds.url(path), title=path[1:].title()), make.NOW)
        published: dict[str, list[tuple[str, str]]] = {"/wire": [], "/gazette": []}
        with closing(Restless(tmp_path, began)) as monitors:
            for kill in range(KILLS):
                path = chance.choice(list(published))
                published[path] += [news(kill)]
                now = datetime.fromtimestamp(clock(), UTC)
                feeds.serve(path, Answer(make.rss(*published[path][-20:], published=now)))
                slack.fault(chance.choice(FAULTS))
                process = monitors.start()
                monitors.wait_until_open(kill + 1)
                time.sleep(chance.uniform(0, 0.6))
                monitors.kill(process)
            last = monitors.start()
            wait_until_told(tmp_path / "state", KILLS)
            os.kill(last, signal.SIGTERM)
        with closing(Store.open(tmp_path / "state")) as store:
            rows = store.deliveries()
    assert sorted(slack.delivery_ids()) == sorted(row.alert.id for row in rows if not row.carrier)
    assert sorted(row.alert.item.title for row in rows) == sorted(
        title for one in published.values() for title, _ in one
    )
