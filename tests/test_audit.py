"""Channels read back, over real HTTP and with real SQLite: a database from a backup tells nothing again, what stands twice is
deleted once, and what people say is taken in."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import make
import pytest
from slack_server import FakeSlack
from world import GAZETTE, SHIPS, TROOPS, TROOPS_AGAIN, TROOPS_RETOLD, WEATHER, WIRE, World, at_once

from monitor.audit import Auditor, Swept, look, sweep
from monitor.config import Feedback
from monitor.database import FILE
from monitor.digest import Period
from monitor.model import DeliveryState, DigestKind, Feed, FeedbackKind, Hold, HoldReason
from monitor.pipeline import tell_digest
from monitor.send import SlackSink
from monitor.store import Store
from monitor.sweep import FindingKind

C = make.CHANNEL


class Town(World):
    """A world whose store is a file that can be put back, and whose channel is Slack's."""

    def __init__(self, slack: FakeSlack, folder: Path) -> None:
        super().__init__(settle=timedelta(0))
        self.slack = slack
        self.folder = folder
        self.feeds: dict[str, bytes] = {}
        slack.clock = lambda: self.now.timestamp()
        self.sink = SlackSink(slack.token, slack.url, 5.0)  # type: ignore[assignment]  # as good as the fake one
        self.store = Store.open(folder)
        for feed in (WIRE, GAZETTE):
            self.store.add_feed(feed, self.now)

    @property
    def auditor(self) -> Auditor:
        sink: SlackSink = self.sink  # type: ignore[assignment]  # as above
        return Auditor(sink, self.store, at_once, at_once, self.clock, Feedback().words, pause=self.pause)

    async def pause(self, seconds: float) -> None:
        self.wait(seconds=seconds)

    async def sweep(self, *, first: bool = False) -> Swept:
        return await sweep(C, self.auditor, first=first)

    async def look(self) -> dict[FindingKind, list[str]]:
        since = self.now - timedelta(hours=48)
        swept = await look(C, self.auditor, since=since, recent=since, mend=False)
        assert not swept.problem
        return {kind: [f.delivery for f in swept.compared.findings if f.kind is kind] for kind in FindingKind}

    async def tell(self, feed: Feed, *articles: tuple[str, str]) -> None:
        """Publish, poll and deliver; and remember what the feed has."""
        await self.publish(feed, *articles)
        await self.deliver()

    def keep(self) -> Path:
        """Copy the state while nobody works on it."""
        self.store.close()
        copy = self.folder.with_name("copy")
        shutil.copytree(self.folder, copy)
        self.store = Store.open(self.folder)
        return copy

    def put_back(self, copy: Path) -> None:
        """Start again with an older state, as a new process does."""
        self.store.close()
        shutil.rmtree(self.folder)
        shutil.copytree(copy, self.folder)
        assert (self.folder / FILE).exists()
        self.store = Store.open(self.folder)
        self.restart()

    def lose_everything(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)
        self.store = Store.open(self.folder)
        for feed in (WIRE, GAZETTE):
            self.store.add_feed(feed, self.now)
        self.restart()

    def posted(self) -> list[str]:
        """Every message that was ever posted; one that was edited may be another row's by now."""
        return [message["ts"] for message in self.slack.messages]

    def receipts(self) -> set[str]:
        return {delivery.receipt for delivery in self.store.deliveries(DeliveryState.SENT) if delivery.receipt}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with FakeSlack() as slack:
        town = Town(slack, tmp_path / "state")
        asyncio.run(town.know())
        yield town
        town.store.close()


# -- a backup is put back --------------------------------------------------------------------------

#: What each feed has in the end. All of it was told before the backup is put back.
NEWS = [(WIRE, TROOPS), (GAZETTE, TROOPS_RETOLD), (WIRE, SHIPS), (GAZETTE, TROOPS_AGAIN)]


@pytest.mark.parametrize("kept_after", range(len(NEWS) + 1))
@pytest.mark.parametrize("order", [(WIRE, GAZETTE), (GAZETTE, WIRE)], ids=["in order", "the other way round"])
def test_nothing_is_told_again_when_a_backup_is_put_back(town: Town, kept_after: int, order: tuple[Feed, Feed]) -> None:
    """Polled in the other order an update opens the story: other stories, other ids, and still nothing is new."""

    async def run() -> None:
        for feed, article in NEWS[:kept_after]:
            await town.tell(feed, article)
        copy = town.keep()
        for feed, article in NEWS[kept_after:]:
            await town.tell(feed, article)
        before = town.posted()
        assert len(before) == len(NEWS)

        town.put_back(copy)
        await town.sweep(first=True)
        for feed in order:
            await town.tell(feed, WEATHER, *(article for told, article in NEWS if told == feed))

        assert town.posted() == before
        assert town.receipts() == {message["ts"] for message in town.slack.messages}

    asyncio.run(run())


def test_nothing_is_told_again_when_all_is_lost(town: Town) -> None:
    async def run() -> None:
        for feed, article in NEWS:
            await town.tell(feed, article)
        before = town.posted()

        town.lose_everything()
        # tell also what stood in the feeds before we knew them
        town.policy = town.judge.policy = replace(town.policy, backfill=timedelta(days=2))
        await town.sweep(first=True)
        for feed in (GAZETTE, WIRE):
            await town.tell(feed, *(article for told, article in NEWS if told == feed))

        assert town.posted() == before

    asyncio.run(run())


@pytest.mark.parametrize("turned", [False, True])
def test_what_comes_after_a_backup_goes_to_the_thread_that_stands(town: Town, turned: bool) -> None:
    async def run() -> None:
        copy = town.keep()
        await town.tell(WIRE, TROOPS)
        await town.tell(GAZETTE, TROOPS_RETOLD)
        [root] = [m["ts"] for m in town.slack.messages if not m.get("thread_ts")]

        town.put_back(copy)
        await town.sweep(first=True)
        told = [(WIRE, TROOPS), (GAZETTE, TROOPS_RETOLD)]
        for feed, article in told[::-1] if turned else told:
            await town.tell(feed, WEATHER, article)
        await town.tell(WIRE, WEATHER, TROOPS, TROOPS_AGAIN)

        [new] = town.slack.messages[2:]
        assert new.get("thread_ts") == root

    asyncio.run(run())


def test_alerts_that_wait_in_the_backup_are_not_sent_again(town: Town) -> None:
    """The backup was made between the decision and the post."""

    async def run() -> None:
        await town.publish(WIRE, TROOPS)
        copy = town.keep()
        await town.deliver()

        town.put_back(copy)
        await town.sweep(first=True)
        await town.deliver()

        assert len(town.slack.messages) == 1
        assert [d.receipt for d in town.store.deliveries()] == [town.slack.messages[0]["ts"]]

    asyncio.run(run())


def test_copy_that_is_polled_first_is_not_told_beside_what_stands(town: Town) -> None:
    """The same text, from the source that had come second: its headline stands in the channel."""

    async def run() -> None:
        copy = town.keep()
        await town.tell(WIRE, TROOPS)
        await town.tell(GAZETTE, TROOPS)
        assert len(town.slack.messages) == 1

        town.put_back(copy)
        await town.sweep(first=True)
        for feed in (GAZETTE, WIRE):
            await town.publish(feed, WEATHER, TROOPS, age=timedelta(hours=1))
            await town.deliver()

        assert len(town.slack.messages) == 1

    asyncio.run(run())


def test_same_headline_on_another_day_is_news(town: Town) -> None:
    """What was told under it is older than the item."""

    async def run() -> None:
        copy = town.keep()
        await town.tell(WIRE, TROOPS)

        town.put_back(copy)
        await town.sweep(first=True)
        town.wait(days=5)
        await town.tell(GAZETTE, TROOPS)

        assert len(town.slack.messages) == 2

    asyncio.run(run())


def test_edit_that_comes_after_the_backup_is_news(town: Town) -> None:
    edited = ("North Korean troops seen near Kursk: 11,000", TROOPS[1])

    async def run() -> None:
        copy = town.keep()
        await town.tell(WIRE, TROOPS)

        town.put_back(copy)
        await town.sweep(first=True)
        await town.tell(WIRE, WEATHER, TROOPS)
        await publish_anew(town, WIRE, TROOPS, edited)
        await town.deliver()

        assert [m.get("thread_ts") for m in town.slack.messages] == [None, town.slack.messages[0]["ts"]]

    asyncio.run(run())


async def publish_anew(town: Town, feed: Feed, before: tuple[str, str], after: tuple[str, str]) -> None:
    """Let a publisher change an article in place."""
    town.wait(minutes=10)
    document = make.rss(WEATHER, before, published=town.now - timedelta(minutes=15))
    town.fetch.script(feed.url, document.replace(f"<title>{before[0]}".encode(), f"<title>{after[0]}".encode()))
    await town.poll(feed)


def test_backup_from_before_a_thread_that_is_older_than_two_days(town: Town) -> None:
    """The root is out of the usual span, its story still goes on, and what was replied is still found."""

    async def run() -> None:
        await town.tell(WIRE, TROOPS)
        town.wait(hours=47)
        await town.tell(GAZETTE, TROOPS_RETOLD)
        copy = town.keep()
        town.wait(hours=3)
        await town.tell(WIRE, TROOPS_AGAIN)
        before = town.posted()
        assert len(before) == 3

        town.put_back(copy)
        await town.sweep(first=True)
        await town.tell(WIRE, TROOPS_AGAIN)

        assert town.posted() == before

    asyncio.run(run())


def test_digest_of_very_many_tells_them_once_though_a_backup_is_put_back(town: Town) -> None:
    records = [
        make.alert_record(item=make.item(link=f"https://outlet.example/{n}"), story=f"s{n}", created=town.now)
        for n in range(300)
    ]
    alerts = [record.decision.alerts[0] for record in records]
    town.store.add_feed(make.feed(), town.now)
    town.store.commit_poll(make.polled(at=town.now), records, "m")
    town.store.hold({alert.id: Hold(HoldReason.DIGEST) for alert in alerts}, town.now)
    copy = town.keep()

    async def run() -> None:
        tell_digest(town.store, {}, C, Period(DigestKind.DAILY, town.now - timedelta(days=1), town.now), {}, town.now)  # type: ignore[arg-type]
        await town.deliver()
        assert len(town.slack.messages) == 1
        town.put_back(copy)
        await town.sweep(first=True)

    asyncio.run(run())
    assert {town.store.delivery(alert.id).state for alert in alerts} == {DeliveryState.BATCHED}  # type: ignore[union-attr]


def test_second_sweep_finds_nothing_to_adopt(town: Town) -> None:
    async def run() -> None:
        copy = town.keep()
        await town.tell(WIRE, TROOPS)
        await town.tell(GAZETTE, TROOPS_RETOLD)
        town.put_back(copy)

        assert len((await town.sweep(first=True)).mended) == 2
        town.wait(minutes=30)
        assert (await town.sweep()).compared.findings == ()
        await town.tell(GAZETTE, WEATHER, TROOPS_RETOLD)
        await town.tell(WIRE, WEATHER, TROOPS)
        town.wait(minutes=30)
        assert (await town.sweep()).compared.findings == ()

    asyncio.run(run())


# -- doubled, lost, unreadable ---------------------------------------------------------------------


def test_message_that_stands_twice_is_deleted_once(town: Town) -> None:
    async def run() -> None:
        await town.tell(WIRE, TROOPS)
        [first] = town.slack.messages
        town.wait(minutes=1)
        town.slack.post(**{key: first[key] for key in ("channel", "text", "blocks", "metadata")})
        town.wait(minutes=5)

        assert (await town.look())[FindingKind.DOUBLED] == [town.slack.delivery_ids()[0]]
        await town.sweep()

        assert town.slack.messages == [first]

    asyncio.run(run())


def test_message_that_a_person_deleted_is_reported_and_not_told_again(town: Town) -> None:
    async def run() -> None:
        await town.tell(WIRE, TROOPS)
        [gone] = town.slack.delivery_ids()
        town.slack.remove(town.slack.messages[0]["ts"])
        town.wait(minutes=5)

        assert (await town.look())[FindingKind.LOST] == [gone]
        await town.sweep()
        await town.deliver()

        assert town.slack.messages == []

    asyncio.run(run())


def test_reply_that_a_person_deleted_is_reported_while_its_thread_is_read(town: Town) -> None:
    async def run() -> None:
        await town.tell(WIRE, TROOPS)
        await town.tell(GAZETTE, TROOPS_RETOLD)
        town.slack.remove(town.slack.messages[1]["ts"])
        town.wait(minutes=5)

        assert len((await town.look())[FindingKind.LOST]) == 1

    asyncio.run(run())


def test_looking_changes_nothing(town: Town) -> None:
    async def run() -> None:
        copy = town.keep()
        await town.tell(WIRE, TROOPS)
        town.slack.react(town.slack.messages[0]["ts"], "x")
        town.put_back(copy)

        assert len((await town.look())[FindingKind.UNKNOWN]) == 1
        assert len((await town.look())[FindingKind.UNKNOWN]) == 1
        assert town.store.feedback(make.NOW) == []

    asyncio.run(run())


def test_channel_that_cannot_be_read_is_said_so(town: Town) -> None:
    town.slack.scopes.discard("channels:history")

    swept = asyncio.run(town.sweep())

    assert swept.problem.startswith("cannot be read: slack: missing_scope")


def test_thread_that_cannot_be_read_is_read_the_next_time(town: Town) -> None:
    async def run() -> None:
        copy = town.keep()
        await town.tell(WIRE, TROOPS)
        await town.tell(GAZETTE, TROOPS_RETOLD)
        town.put_back(copy)
        town.slack.fault("http500", method="conversations.replies")

        assert "1 threads cannot be read" in (await town.sweep(first=True)).problem
        town.wait(hours=1)
        assert [f.kind for f in (await town.sweep()).mended] == [FindingKind.UNKNOWN]

    asyncio.run(run())


def test_slack_that_asks_to_wait_is_waited_for(town: Town) -> None:
    async def run() -> None:
        copy = town.keep()
        await town.tell(WIRE, TROOPS)
        await town.tell(GAZETTE, TROOPS_RETOLD)
        town.put_back(copy)
        town.slack.fault("ratelimited", method="conversations.history")
        town.slack.fault("ratelimited", "ratelimited", method="conversations.replies")
        before = town.now

        assert len((await town.sweep(first=True)).mended) == 2
        assert town.now - before == timedelta(seconds=3 * town.slack.retry_after)

    asyncio.run(run())


def test_sweep_of_a_quiet_channel_is_one_call(town: Town) -> None:
    async def run() -> None:
        await town.tell(WIRE, TROOPS)
        await town.tell(GAZETTE, TROOPS_RETOLD)
        town.wait(hours=1)
        await town.sweep()
        before = len(town.slack.requests)
        town.wait(hours=1)

        await town.sweep()

        assert [method for method, _ in town.slack.requests[before:]] == ["conversations.history"]

    asyncio.run(run())


# -- what people say -------------------------------------------------------------------------------


def said(town: Town) -> list[tuple[str, FeedbackKind]]:
    return [(one.user, one.kind) for one in town.store.feedback(datetime.min.replace(tzinfo=make.NOW.tzinfo))]


def test_reactions_are_kept_and_go_when_they_are_taken_back(town: Town) -> None:
    async def run() -> None:
        await town.tell(WIRE, TROOPS)
        [root] = town.slack.messages
        town.slack.react(root["ts"], "+1::skin-tone-3", "U0ANNA")
        town.slack.react(root["ts"], "x", "U0BORIS")
        await town.sweep()
        assert said(town) == [("U0ANNA", FeedbackKind.USEFUL), ("U0BORIS", FeedbackKind.WRONG)]

        root["reactions"].pop()
        await town.sweep()
        assert said(town) == [("U0ANNA", FeedbackKind.USEFUL)]

    asyncio.run(run())


def test_mute_silences_the_story_in_the_channel_until_it_is_taken_back(town: Town) -> None:
    async def run() -> None:
        await town.tell(WIRE, TROOPS)
        [root] = town.slack.messages
        town.slack.react(root["ts"], "mute", "U0ANNA")
        await town.sweep()
        [silence] = town.store.silences(town.now)
        assert (silence.author, silence.channel) == ("U0ANNA", C)
        await town.tell(GAZETTE, TROOPS_RETOLD)
        assert len(town.slack.messages) == 1

        root["reactions"].pop()
        await town.sweep()
        assert town.store.silences(town.now) == []
        await town.tell(WIRE, TROOPS, TROOPS_AGAIN)
        assert len(town.slack.messages) == 2

    asyncio.run(run())


def test_more_shows_the_storys_follow_ups_in_the_channel_too(town: Town) -> None:
    async def run() -> None:
        await town.tell(WIRE, TROOPS)
        town.slack.react(town.slack.messages[0]["ts"], "eyes")
        await town.sweep()
        await town.tell(GAZETTE, TROOPS_RETOLD)

        assert town.slack.messages[1]["reply_broadcast"]

    asyncio.run(run())


def test_feedback_on_an_adopted_message_is_of_the_alert_that_took_its_place(town: Town) -> None:
    async def run() -> None:
        copy = town.keep()
        await town.tell(WIRE, TROOPS)
        await town.tell(GAZETTE, TROOPS_RETOLD)
        town.put_back(copy)
        await town.sweep(first=True)
        for feed, article in ((GAZETTE, TROOPS_RETOLD), (WIRE, TROOPS)):
            await town.tell(feed, WEATHER, article)
        town.slack.react(town.slack.messages[0]["ts"], "x", "U0ANNA")
        await town.sweep()

        [(alert, [one])] = town.store.feedback_on_alerts(make.NOW)
        assert (alert.item.title, one.kind) == (TROOPS[0], FeedbackKind.WRONG)

    asyncio.run(run())
