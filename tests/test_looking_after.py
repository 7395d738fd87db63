"""What operators ask of a monitor, with Slack at the other end: audit, test-alert, and that a start reads back first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import make
import pytest
from click.testing import Result
from fakes import FakeEmbedder, background, ordinary
from slack_server import FakeSlack
from test_audit import Town
from test_cli import Run, home, monitor
from world import GAZETTE, TROOPS, TROOPS_RETOLD, WEATHER, WIRE, at_once

from monitor.app import Monitor
from monitor.beside import try_channel
from monitor.config import Alerts, Config, load
from monitor.database import Lock
from monitor.learning import Learning
from monitor.model import DeliveryState
from monitor.pipeline import Courier, deliver
from monitor.send import SlackSink
from monitor.store import Store

__all__ = ["home", "monitor"]

C = "C0NEWS"


@pytest.fixture
def slack(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    """A Slack, which the configuration names."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FakeSlack() as slack:
        monkeypatch.setenv("SLACK_BOT_TOKEN", slack.token)
        (home / "monitor.toml").write_text(
            f'state = "state"\nrules = "rules"\n[alerts]\nchannel = "{C}"\n[slack]\nbase_url = "{slack.url}"\n',
            encoding="utf-8",
        )
        yield slack


def told(slack: FakeSlack, folder: Path, *titles: str) -> None:
    """Have a monitor tell something now."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    slack.clock = now.timestamp
    store = Store.open(folder)
    store.add_feed(make.feed(), now)
    for title in titles:
        record = make.alert_record(item=make.item(title=title), story=title, created=now)
        store.commit_poll(make.polled(at=now), [record], "bag@1")
    courier = Courier(SlackSink(slack.token, slack.url), store, at_once, at_once, lambda: now, timedelta(0))
    asyncio.run(deliver(courier))
    store.close()
    slack.clock = lambda: datetime.now(UTC).timestamp()


# -- audit -----------------------------------------------------------------------------------------


def kinds(result: Result) -> list[tuple[str, bool]]:
    return [(f["kind"], f["mended"]) for one in json.loads(result.stdout) for f in one["findings"]]


def test_audit_of_what_agrees_is_well(monitor: Run, home: Path, slack: FakeSlack) -> None:
    told(slack, home / "state", "Troops")

    done = monitor("audit")

    assert done.exit_code == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["channel", "due", "sent", "lost", "doubled", "unknown", "to", "us", "late"],
        [*done.stdout.splitlines()[1].split()],
        [C, "0", "1", "0", "0", "0", "0"],
    ]


def test_audit_names_what_is_lost_and_ends_with_1(monitor: Run, home: Path, slack: FakeSlack) -> None:
    told(slack, home / "state", "Troops", "Ships")
    slack.remove(slack.messages[0]["ts"])

    done = monitor("audit", "--json")

    assert done.exit_code == 1
    assert kinds(done) == [("lost", False)]


def test_audit_repairs_when_told(monitor: Run, home: Path, slack: FakeSlack) -> None:
    told(slack, home / "other", "Troops")
    told(slack, home / "state")
    [first] = slack.messages
    slack.post(**{key: first[key] for key in ("channel", "text", "blocks", "metadata")})

    assert monitor("audit", "--channel", C).exit_code == 1
    assert len(slack.messages) == 2
    mended = monitor("audit", "--channel", C, "--repair", "--json")

    assert (mended.exit_code, kinds(mended)) == (0, [("doubled", True), ("unknown to us", True)])
    assert slack.messages == [first]
    assert monitor("audit", "--channel", C).exit_code == 0


def test_audit_says_what_it_cannot_read(monitor: Run, home: Path, slack: FakeSlack) -> None:
    told(slack, home / "state", "Troops")
    slack.scopes.discard("channels:history")

    done = monitor("audit")

    assert done.exit_code == 1
    assert "missing_scope" in done.stdout


def test_audit_without_slack_says_where_to_look(monitor: Run, home: Path) -> None:
    Store.open(home / "state").close()

    done = monitor("audit")

    assert done.exit_code == 1
    assert "transcript.jsonl" in done.stderr


# -- test-alert ------------------------------------------------------------------------------------


def test_test_alert_is_posted_and_read_back(monitor: Run, slack: FakeSlack) -> None:
    done = monitor("test-alert", C)

    assert (done.exit_code, done.stdout) == (0, f"{C}: posted, and read back\n")
    [message] = slack.messages
    assert "a test: whoever reads this gets alerts here" in message["text"]


def test_test_alert_sends_nothing_else(monitor: Run, home: Path, slack: FakeSlack) -> None:
    store = Store.open(home / "state")
    store.add_feed(make.feed(), make.NOW)
    store.commit_poll(make.polled(), [make.alert_record()], "bag@1")
    store.close()

    monitor("test-alert", C)

    assert len(slack.messages) == 1


def test_test_alert_that_is_refused_says_the_fix_and_leaves_nothing(monitor: Run, home: Path, slack: FakeSlack) -> None:
    slack.outside.add(C)

    done = monitor("test-alert", C)

    assert done.exit_code == 1
    assert "not posted (blocked): slack: not_in_channel" in done.stdout
    assert "/invite" in done.stdout
    store = Store.open(home / "state")
    assert store.deliveries() == []
    store.close()


def test_test_alert_that_cannot_be_read_back_says_what_that_costs(monitor: Run, slack: FakeSlack) -> None:
    slack.scopes.discard("channels:history")

    done = monitor("test-alert", C)

    assert done.exit_code == 1
    assert "posted, but cannot be read back" in done.stdout


def test_test_alert_is_sent_by_a_monitor_that_is_at_work(home: Path, slack: FakeSlack) -> None:
    config = load(home / "monitor.toml", {})
    store = Store.open(config.state)
    sink = SlackSink(slack.token, slack.url)

    async def work() -> None:
        """What the monitor does meanwhile."""
        await deliver(Courier(sink, store, at_once, at_once, lambda: datetime.now(UTC), timedelta(0)))

    with Lock(config.state):
        problems = asyncio.run(try_channel(config, {"SLACK_BOT_TOKEN": slack.token}, C, open_nothing(), work))
    store.close()

    assert problems == []
    assert len(slack.messages) == 1


def open_nothing():  # type: ignore[no-untyped-def]  # a stream that nobody reads
    import io

    return io.StringIO()


# -- a start reads back first ----------------------------------------------------------------------


def started(town: Town) -> Monitor:
    learning = Learning(FakeEmbedder(), ordinary, background())  # type: ignore[arg-type]  # as good as the real one
    config = Config(state=town.folder, alerts=Alerts(channel=C))
    return Monitor(config, town.store, learning, town.judge, town.collector, town.courier, auditor=town.auditor)


@pytest.fixture
def town(tmp_path: Path, slack: FakeSlack) -> Iterator[Town]:
    town = Town(slack, tmp_path / "town")
    asyncio.run(town.know())
    yield town
    town.store.close()


def test_first_delivery_after_a_start_reads_back_before_it_sends(town: Town) -> None:
    """Feeds may have been polled by then: what waits is told already."""

    async def run() -> None:
        copy = town.keep()
        await town.tell(WIRE, TROOPS)
        await town.tell(GAZETTE, TROOPS_RETOLD)
        before = town.posted()

        town.put_back(copy)
        await town.publish(GAZETTE, WEATHER, TROOPS_RETOLD)
        await town.publish(WIRE, WEATHER, TROOPS)
        await started(town).deliver()

        assert town.posted() == before
        assert town.store.deliveries(DeliveryState.QUEUED) == []

    asyncio.run(run())


def test_slack_that_cannot_be_read_holds_up_no_alert(town: Town) -> None:
    town.slack.scopes.discard("channels:history")

    async def run() -> None:
        await town.publish(WIRE, TROOPS)
        assert await started(town).deliver() == 1

    asyncio.run(run())


def test_channels_are_read_once_at_a_start(town: Town) -> None:
    async def run() -> None:
        monitor = started(town)
        await monitor.deliver()
        await monitor.deliver()

        assert [method for method, _ in town.slack.requests].count("conversations.history") == 1

    asyncio.run(run())
