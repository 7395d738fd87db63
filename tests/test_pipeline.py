"""Happenings on feeds and channels, and the alerts that come of them: real steps and real SQLite, only the edges are fake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import make
import pytest
from fakes import FakeEmbedder, FakeSink, Landed
from world import (
    GAZETTE,
    NOTHING,
    SHIPS,
    SHIPS_TOPIC,
    TOPICS,
    TROOPS,
    TROOPS_AGAIN,
    TROOPS_RETOLD,
    TROOPS_TOPIC,
    WEATHER,
    WIRE,
    Article,
    World,
)

from monitor.errors import FetchError, MaybeAccepted, Misconfigured, NotAccepted, StateError, Unacceptable
from monitor.model import (
    Corroboration,
    DeliveryState,
    Feed,
    Followups,
    Notify,
    PollOutcome,
    StoryPolicy,
    Terms,
    Topic,
    Validators,
    Vector,
    Verdict,
)
from monitor.pipeline import collect_all, deliver
from monitor.store import Store
from monitor.text import gist, text_hash, units

SETTLE = timedelta(seconds=60)
RETRY = "the channel takes no message for now"


@pytest.fixture
async def world() -> World:
    world = World()
    await world.know()
    return world


ROOT_TROOPS = f"root: {TROOPS[0]}"
REPLY_RETOLD = f"reply: {TROOPS_RETOLD[0]}"
ROOT_SHIPS = f"root: {SHIPS[0]}"

SLOW_TOPIC = replace(TROOPS_TOPIC, story=StoryPolicy(corroboration=Corroboration(sources=2)))
#: The same event; the topic's term is not in it.
TROOPS_UNNAMED = (
    "Pyongyang's troops seen near Kursk",
    "Seoul's spy agency told lawmakers that soldiers were moved west.",
)

# -- what feeds publish, and what is told ---------------------------------------------------------


@dataclass(frozen=True)
class Case:
    #: who publishes what, in order; each is polled and delivered
    happenings: tuple[tuple[Feed, tuple[Article, ...]], ...]
    told: list[str] = field(default_factory=list)
    topics: tuple[Topic, ...] = TOPICS


CASES = {
    "nothing that a topic takes": Case(((WIRE, (NOTHING,)),)),
    "a new item": Case(((WIRE, (TROOPS,)),), [ROOT_TROOPS]),
    "the same item in the feed again": Case(((WIRE, (TROOPS,)), (WIRE, (TROOPS, NOTHING))), [ROOT_TROOPS]),
    "two events in one document": Case(((WIRE, (TROOPS, SHIPS)),), [ROOT_TROOPS, ROOT_SHIPS]),
    "one event twice in one document": Case(((WIRE, (TROOPS, TROOPS_RETOLD)),), [ROOT_TROOPS, REPLY_RETOLD]),
    "a second outlet tells it in other words": Case(
        ((WIRE, (TROOPS,)), (GAZETTE, (TROOPS_RETOLD,))), [ROOT_TROOPS, REPLY_RETOLD]
    ),
    "a second outlet tells it word for word": Case(((WIRE, (TROOPS,)), (GAZETTE, (TROOPS,))), [ROOT_TROOPS]),
    "a second outlet tells something else": Case(((WIRE, (TROOPS,)), (GAZETTE, (SHIPS,))), [ROOT_TROOPS, ROOT_SHIPS]),
    "a third telling joins the same thread": Case(
        ((WIRE, (TROOPS,)), (GAZETTE, (TROOPS_RETOLD,)), (WIRE, (TROOPS_AGAIN,))),
        [ROOT_TROOPS, REPLY_RETOLD, f"reply: {TROOPS_AGAIN[0]}"],
    ),
    "a second channel's topic takes the later telling only": Case(
        ((WIRE, (TROOPS,)), (GAZETTE, (TROOPS_RETOLD,))),
        [ROOT_TROOPS, f"root: {TROOPS_RETOLD[0]}", REPLY_RETOLD],
        (
            replace(TROOPS_TOPIC, id="other", notify=Notify(channel="C0OTHER"), terms=Terms(always=("train",))),
            TROOPS_TOPIC,
        ),
    ),
    "a story that waits for a second source": Case(((WIRE, (TROOPS,)),), topics=(SLOW_TOPIC,)),
    "the same source again": Case(((WIRE, (TROOPS, TROOPS_RETOLD)), (WIRE, (TROOPS_AGAIN,))), topics=(SLOW_TOPIC,)),
    "a second source that only copies": Case(((WIRE, (TROOPS,)), (GAZETTE, (TROOPS,))), topics=(SLOW_TOPIC,)),
    "a second source": Case(((WIRE, (TROOPS,)), (GAZETTE, (TROOPS_RETOLD,))), [ROOT_TROOPS], (SLOW_TOPIC,)),
    "a second source, by an item that no topic takes": Case(
        ((WIRE, (TROOPS,)), (GAZETTE, (TROOPS_UNNAMED,))), [ROOT_TROOPS], (SLOW_TOPIC,)
    ),
    "a second source, and then a third telling": Case(
        ((WIRE, (TROOPS,)), (GAZETTE, (TROOPS_RETOLD,)), (WIRE, (TROOPS_AGAIN,))),
        [ROOT_TROOPS, f"reply: {TROOPS_AGAIN[0]}"],
        (SLOW_TOPIC,),
    ),
    "one channel waits, the other does not": Case(
        ((WIRE, (TROOPS,)),),
        [ROOT_TROOPS],
        (SLOW_TOPIC, replace(TROOPS_TOPIC, id="o", notify=Notify(channel="C0OTHER"))),
    ),
    "there is no topic": Case(((WIRE, (TROOPS,)),), topics=()),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_happening_is_told(case: Case) -> None:
    world = World(case.topics)
    await world.know()
    for feed, articles in case.happenings:
        await world.publish(feed, *articles)
        await world.deliver()
    assert world.told() == case.told


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_happening_is_told_alike_with_a_restart_after_each_step(case: Case) -> None:
    world = World(case.topics)
    await world.know()
    for feed, articles in case.happenings:
        world.restart()
        await world.publish(feed, *articles)
        world.restart()
        await world.deliver()
    assert world.told() == case.told


async def test_new_feed_s_first_poll_tells_nothing() -> None:
    world = World()
    await world.publish(WIRE, TROOPS, SHIPS)
    await world.deliver()
    assert world.told() == []
    assert world.verdicts() == {TROOPS[0]: "first poll", SHIPS[0]: "first poll"}


async def test_new_feed_s_second_poll_tells_what_is_new() -> None:
    world = World()
    await world.publish(WIRE, TROOPS)
    await world.publish(WIRE, TROOPS, SHIPS)
    await world.deliver()
    assert world.told() == [ROOT_SHIPS]


async def test_first_poll_that_failed_does_not_count_as_one() -> None:
    world = World()
    world.fetch.script(WIRE.url, FetchError("timeout"))
    await world.poll(WIRE)
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    assert world.told() == []


async def test_backfill_tells_what_stood_in_a_new_feed() -> None:
    world = World()
    world.judge.policy = replace(world.policy, backfill=timedelta(hours=1))
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    assert world.told() == [ROOT_TROOPS]


async def test_update_of_what_stood_in_a_new_feed_is_news_to_the_channel(world: World) -> None:
    new = make.feed(url="https://new.example/rss", title="New")
    world.store.add_feed(new, world.now)
    await world.publish(new, TROOPS)
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    assert world.told() == [f"root: {TROOPS_RETOLD[0]}"]


async def test_item_published_long_ago_is_not_told(world: World) -> None:
    await world.publish(WIRE, TROOPS, age=timedelta(days=4))
    assert world.verdicts() == {TROOPS[0]: "too old"}


async def test_document_s_events_are_told_in_their_own_order(world: World) -> None:
    late, early = (
        make.rss(TROOPS_RETOLD, published=world.now),
        make.rss(TROOPS, published=world.now - timedelta(hours=1)),
    )
    cut = b"</channel></rss>"
    both = late.replace(cut, b"") + early[early.index(b"<item>") :]
    world.wait(minutes=1)
    world.fetch.script(WIRE.url, both)
    await world.poll(WIRE)
    await world.deliver()
    assert world.told() == [ROOT_TROOPS, REPLY_RETOLD]


async def test_copy_held_back_is_counted_as_a_source(world: World) -> None:
    await world.publish(WIRE, TROOPS)
    await world.publish(GAZETTE, TROOPS)
    assert world.verdicts() == {TROOPS[0]: "copy"}
    assert [d.alert.sources for d in world.store.deliveries()] == [("Wire",)]
    known = world.store.with_verdict(Verdict.COPY)[0]
    assert known.story.sources == ("Wire", "Gazette")


async def test_reply_goes_into_the_thread_of_its_root(world: World) -> None:
    await world.publish(WIRE, TROOPS)
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    assert [(m.thread, m.alert.parent) for m in world.sink.messages] == [
        ("", ""),
        ("ts1", world.sink.messages[0].alert.id),
    ]


async def test_near_miss_is_kept_and_ordinary_news_is_not(world: World) -> None:
    await world.publish(WIRE, TROOPS, NOTHING)
    kept = {
        k.item.title: [m.topic for m in k.matches if m.matched] for v in Verdict for k in world.store.with_verdict(v)
    }
    assert kept[TROOPS[0]] == ["troops"]
    assert kept[NOTHING[0]] == []


# -- polls that bring nothing, or fail ------------------------------------------------------------

ANSWERS = {
    "304": (PollOutcome.NOT_MODIFIED, PollOutcome.NOT_MODIFIED),
    "the body again": (PollOutcome.SAME_BODY, PollOutcome.SAME_BODY),
    "known items": (make.rss(WEATHER, published=make.NOW), PollOutcome.NOTHING_NEW),
    "a new item": (make.rss(TROOPS, published=make.NOW), PollOutcome.NEW),
    "a page for people": (b"<!doctype html><html><body>We have moved</body></html>", PollOutcome.FAILED),
    "no body": (b"", PollOutcome.FAILED),
    "a time-out": (FetchError("timeout"), PollOutcome.FAILED),
}


@pytest.mark.parametrize(("answer", "outcome"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_poll_comes_to(world: World, answer: bytes | PollOutcome | Exception, outcome: PollOutcome) -> None:
    world.fetch.script(WIRE.url, answer)
    assert await world.poll(WIRE) == [outcome]


@pytest.mark.parametrize("answer", [PollOutcome.NOT_MODIFIED, PollOutcome.SAME_BODY])
async def test_feed_without_news_is_polled_again_after_an_interval(world: World, answer: PollOutcome) -> None:
    world.fetch.script(WIRE.url, answer)
    await world.poll(WIRE)
    assert world.store.feeds()[0].next_poll == world.now + timedelta(minutes=10)


async def test_server_is_asked_with_what_it_gave(world: World) -> None:
    await world.poll(WIRE)
    await world.poll(WIRE)
    assert world.fetch.requests[-1] == (WIRE.url, world.store.feeds()[0].validators)
    assert world.fetch.requests[-1][1].etag != ""


async def test_feed_that_is_down_is_counted(world: World) -> None:
    world.fetch.script(WIRE.url, FetchError("http 503"))
    await world.poll(WIRE)
    await world.poll(WIRE)
    state = world.store.feeds()[0]
    assert (state.failures, state.last_error) == (2.0, "http 503")


async def test_page_for_people_counts_as_a_failure(world: World) -> None:
    world.fetch.script(WIRE.url, b"<!doctype html><html><body>We have moved</body></html>")
    await world.poll(WIRE)
    assert world.store.feeds()[0].last_error == "html"


async def test_feed_that_is_down_is_left_alone_for_longer_each_time(world: World) -> None:
    world.fetch.script(WIRE.url, FetchError("timeout"))
    pauses = []
    for _ in range(3):
        await world.poll(WIRE)
        pauses.append(world.store.feeds()[0].next_poll - world.now)  # type: ignore[operator]  # it was just polled
    assert pauses == [timedelta(minutes=20), timedelta(minutes=30), timedelta(minutes=40)]


async def test_retry_after_is_kept(world: World) -> None:
    world.fetch.script(WIRE.url, FetchError("http 429", retry_after=7200))
    await world.poll(WIRE)
    assert world.store.feeds()[0].next_poll == world.now + timedelta(seconds=7560)


async def test_other_feeds_go_on_while_one_is_down(world: World) -> None:
    world.wait(hours=1)
    world.fetch.script(WIRE.url, FetchError("timeout"))
    world.fetch.script(GAZETTE.url, make.rss(TROOPS, published=world.now))
    assert await world.poll_due() == [PollOutcome.FAILED, PollOutcome.NEW]
    await world.deliver()
    assert world.told() == [ROOT_TROOPS]


async def test_feed_that_comes_back_is_told_of_again(world: World) -> None:
    world.fetch.script(WIRE.url, FetchError("timeout"), make.rss(TROOPS, published=world.now))
    await world.poll(WIRE)
    world.wait(minutes=30)
    await world.poll_due()
    await world.deliver()
    assert world.told() == [ROOT_TROOPS]


async def test_feed_that_is_not_due_is_not_asked(world: World) -> None:
    world.wait(minutes=11)
    await world.poll_due()
    asked = len(world.fetch.requests)
    await world.poll_due()
    assert len(world.fetch.requests) == asked


async def test_bug_met_at_one_feed_touches_no_other(world: World) -> None:
    world.fetch.script(WIRE.url, ZeroDivisionError("a bug"))
    world.fetch.script(GAZETTE.url, make.rss(TROOPS, published=world.now))
    assert await world.poll(WIRE, GAZETTE) == [PollOutcome.FAILED, PollOutcome.NEW]


async def test_feed_at_which_a_bug_is_met_is_left_alone_for_a_while(world: World) -> None:
    world.fetch.script(WIRE.url, ZeroDivisionError("a bug"))
    await world.poll(WIRE)
    state = world.store.feeds()[0]
    assert (state.last_error, state.next_poll) == ("our fault", world.now + timedelta(minutes=20))


# -- embedding ------------------------------------------------------------------------------------


async def test_text_is_embedded_once_however_many_outlets_have_it(world: World) -> None:
    await world.publish(WIRE, TROOPS)
    await world.publish(GAZETTE, TROOPS)
    assert world.embedder.texts.count(gist(*TROOPS)) == 1


PIECE = 8


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.pipeline.EMBEDDED_AT_ONCE", PIECE)
    monkeypatch.setattr("monitor.pipeline.JUDGED_AT_ONCE", PIECE)


@pytest.mark.usefixtures("small_pieces")
async def test_engines_are_given_a_large_feed_in_pieces(world: World) -> None:
    asked: list[int] = []
    embed = world.embedder.embed

    def counted(texts: Sequence[str]) -> Vector:
        asked.append(len(texts))
        return embed(texts)

    world.embedder.embed = counted  # type: ignore[method-assign]  # it does the same
    await world.publish(WIRE, *((f"Report {n}", f"Of {n} things.") for n in range(2 * PIECE)))
    assert set(asked[1:-1]) == {PIECE}
    assert len(world.verdicts()) == 2 * PIECE


async def test_known_item_is_not_embedded_again(world: World) -> None:
    await world.publish(WIRE, TROOPS)
    world.embedder.texts.clear()
    await world.publish(WIRE, TROOPS, NOTHING)
    assert world.embedder.texts == units(*NOTHING)


async def test_item_is_matched_by_what_its_text_comes_to_in_the_end(world: World) -> None:
    """The gist of a digest says nothing of its last report; the store keeps the vector of the gist alone."""
    long = ("Press review", "The papers open with the weather. " * 12 + "Rowers won a cup in the far north last night.")
    await world.publish(WIRE, long)
    assert [text for text in units(*long) if text not in world.embedder.texts] == []
    assert "Rowers won a cup" in world.embedder.texts[-1]
    kept = world.store.vectors([text_hash(text) for text in units(*long)], world.embedder.id)
    assert set(kept) == {text_hash(gist(*long))}


async def test_engine_that_fails_leaves_the_items_for_the_next_poll(world: World) -> None:
    broken = BrokenEmbedder()
    working, world.embedder = world.embedder, broken
    assert await world.publish(WIRE, TROOPS) == [PollOutcome.FAILED]
    world.embedder = working
    await world.publish(WIRE, TROOPS)
    assert world.verdicts() == {TROOPS[0]: "alert"}


class BrokenEmbedder(FakeEmbedder):
    def embed(self, texts: object) -> Vector:  # noqa: ARG002 - the shape of an embedder
        raise MemoryError


# -- a commit that fails --------------------------------------------------------------------------


class FailingStore(Store):
    """Fails so many commits, at their very end."""

    failures = 0

    def commit_poll(self, *args: object) -> None:
        if self.failures:
            self.failures -= 1
            raise StateError("the database cannot be written: disk full")
        super().commit_poll(*args)  # type: ignore[arg-type]  # handed through


@pytest.fixture
async def failing() -> World:
    """The wire brought troops, and the commit failed."""
    world = World()
    world.store = FailingStore.in_memory()
    for feed in (WIRE, GAZETTE):
        world.store.add_feed(feed, world.now)
    await world.know()
    world.store.failures = 1
    with pytest.raises(StateError):
        await world.publish(WIRE, TROOPS)
    return world


async def test_commit_that_failed_left_nothing(failing: World) -> None:
    assert failing.verdicts() == {}


async def test_commit_that_failed_takes_its_stories_back(failing: World) -> None:
    assert len(failing.judge.stories) == 2  # the weather, twice


async def test_items_of_a_failed_commit_are_told_at_the_next_poll(failing: World) -> None:
    await failing.poll(WIRE)
    await failing.deliver()
    assert failing.told() == [ROOT_TROOPS]


async def test_items_of_a_failed_commit_are_nobody_s_originals(failing: World) -> None:
    await failing.publish(GAZETTE, TROOPS)
    await failing.deliver()
    assert failing.told() == [ROOT_TROOPS]


async def test_poll_that_cannot_be_written_has_the_others_given_up(failing: World) -> None:
    """Each of them would wait for half a minute to learn that the database is locked."""
    assert isinstance(failing.store, FailingStore)
    failing.store.failures = 1
    failing.fetch.script(GAZETTE.url, make.rss(SHIPS, published=failing.now))
    failing.fetch.delays[GAZETTE.url] = 0.01
    with pytest.raises(StateError):
        await failing.poll(WIRE, GAZETTE)
    assert failing.verdicts() == {}
    await failing.poll(WIRE, GAZETTE)
    assert failing.verdicts() == {TROOPS[0]: "alert", SHIPS[0]: "alert"}


async def test_every_feed_of_polls_that_were_given_up_has_left_its_place(failing: World) -> None:
    assert isinstance(failing.store, FailingStore)
    failing.store.failures = 1
    states, left = failing.store.feeds(), list[str]()
    with pytest.raises(StateError):
        # the second has not begun when the first fails
        await collect_all(states, failing.judge, failing.collector, 1, lambda feed: left.append(feed.url))
    assert sorted(left) == sorted(state.feed.url for state in states)


@pytest.mark.usefixtures("small_pieces")
async def test_large_feed_that_fails_at_its_last_piece_is_told_once_all_the_same(failing: World) -> None:
    assert isinstance(failing.store, FailingStore)
    failing.store.failures = 1
    told = [(f"Warships off port {n}", f"Of {make.content(str(n), 'a')}.") for n in range(3)]
    large = [
        *told[:1],
        *((f"Report {n}", f"Of {n} things.") for n in range(2 * PIECE)),
        *told[1:],
    ]  # of which some join their stories
    with pytest.raises(StateError):
        await failing.publish(WIRE, *large)
    assert 0 < len(failing.verdicts()) < len(large)
    await failing.poll(WIRE)
    await failing.deliver()
    assert failing.store.totals()["items"] == len(large) + 2  # the weather, twice
    assert sum(title in {title for title, _ in told} for title in failing.verdicts()) == len(told)
    said = [line.partition(": ")[2] for line in failing.told()]
    assert {title for title, _ in told} <= set(said)
    assert len(said) == len(set(said))


async def test_validators_of_a_failed_commit_are_not_sent(failing: World) -> None:
    before = failing.store.feeds()[0].validators
    await failing.poll(WIRE)
    assert failing.fetch.requests[-1] == (WIRE.url, before)
    assert before != Validators()


# -- deliveries -----------------------------------------------------------------------------------


async def with_news(*script: Exception | Landed | None, settle: timedelta = SETTLE) -> World:
    """A world with one alert in the outbox, and a sink that is scripted."""
    world = World(settle=settle, sink=FakeSink(*script))  # type: ignore[arg-type]  # errors of sending, all of them
    await world.know()
    await world.publish(WIRE, TROOPS)
    return world


def states(world: World) -> list[str]:
    return [delivery.state.value for delivery in world.store.deliveries()]


LOST = MaybeAccepted("slack: no usable answer (timed out)")
#: whole, one section, plain text, title and link
RUNGS = 4

#: how the only try ends -> state, messages in the channel
ENDS = {
    "accepted": (None, "sent", 1),
    "refused for now": (NotAccepted(RETRY), "queued", 0),
    "refused until a person acts": (Misconfigured("not_in_channel"), "blocked", 0),
    "refused as it was": (Unacceptable("invalid_blocks"), "sent", 1),
    "answer lost, not accepted": (LOST, "unknown", 0),
    "answer lost, accepted": (Landed(LOST), "unknown", 1),
}


@pytest.mark.parametrize(("outcome", "state", "messages"), ENDS.values(), ids=ENDS.keys())
async def test_try_ends(outcome: Exception | Landed | None, state: str, messages: int) -> None:
    world = await with_news(outcome)
    await world.deliver()
    assert (states(world), len(world.sink.messages)) == ([state], messages)


async def test_delivery_counts_what_was_accepted() -> None:
    world = await with_news()
    await world.publish(WIRE, SHIPS)
    assert [await world.deliver(), await world.deliver()] == [2, 0]


async def test_delivery_that_is_stopped_claims_no_other_message() -> None:
    world = await with_news()
    await world.publish(WIRE, SHIPS)
    await deliver(world.courier, lambda: not world.sink.tries)
    assert states(world) == ["sent", "queued"]


async def test_sink_gets_the_message_as_it_was_first_rendered() -> None:
    world = await with_news(NotAccepted(RETRY))
    await world.deliver()
    world.wait(minutes=10)
    await world.deliver()
    first, second = world.sink.tries
    assert first.message is not None
    assert first.message == second.message


async def test_sink_is_told_which_try_it_is() -> None:
    world = await with_news(NotAccepted(RETRY), NotAccepted(RETRY))
    for _ in range(3):
        await world.deliver()
        world.wait(minutes=10)
    assert [(t.attempt, t.state) for t in world.sink.tries] == [(n, DeliveryState.SENDING) for n in (1, 2, 3)]


async def test_waits_between_tries_double_to_five_minutes() -> None:
    world = await with_news(*[NotAccepted(RETRY)] * 11)
    waits = []
    for _ in range(11):
        await world.deliver()
        [delivery] = world.store.deliveries()
        assert delivery.not_before
        waits.append((delivery.not_before - world.now).total_seconds())
        world.now = delivery.not_before
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


async def test_retry_after_of_the_channel_is_kept() -> None:
    world = await with_news(NotAccepted("429", retry_after=30))
    await world.deliver()
    world.wait(seconds=29)
    assert await world.deliver() == 0
    world.wait(seconds=1)
    assert await world.deliver() == 1


async def test_channel_told_to_wait_waits_and_the_other_goes_on() -> None:
    elsewhere = replace(SHIPS_TOPIC, notify=Notify(channel="C0OTHER"))
    world = World((TROOPS_TOPIC, elsewhere), sink=FakeSink(NotAccepted("429", retry_after=30)))
    await world.know()
    await world.publish(WIRE, TROOPS)
    await world.publish(WIRE, SHIPS)
    await world.deliver()
    assert world.told() == [ROOT_SHIPS]


async def test_reply_waits_for_a_root_that_waits() -> None:
    world = await with_news(NotAccepted("429", retry_after=30))
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    assert world.told() == []
    world.wait(seconds=30)
    await world.deliver()
    assert world.told() == [ROOT_TROOPS, REPLY_RETOLD]


async def test_blocked_alert_is_not_tried_again_until_it_is_time_to_probe() -> None:
    world = await with_news(*[Misconfigured("not_in_channel")] * 9)
    tries = []
    for _ in range(4):
        await world.deliver()
        tries.append(len(world.sink.tries))
        world.wait(minutes=7.5)
    assert (tries, states(world)) == ([1, 1, 2, 2], ["blocked"])


async def test_blocked_alert_is_sent_after_a_restart() -> None:
    world = await with_news(Misconfigured("not_in_channel"))
    await world.deliver()
    world.restart()
    await world.deliver()
    assert world.told() == [ROOT_TROOPS]


async def test_dead_alert_stays_visible_with_its_reason() -> None:
    world = await with_news(*[Unacceptable("invalid_blocks: no text")] * RUNGS)
    await world.deliver()
    world.wait(days=1)
    world.restart()
    await world.deliver()
    [delivery] = world.store.deliveries(DeliveryState.DEAD)
    assert (delivery.error, len(world.sink.tries)) == ("invalid_blocks: no text", RUNGS)


async def test_dead_alert_holds_up_no_other() -> None:
    world = await with_news(*[Unacceptable("invalid_blocks")] * RUNGS)
    await world.publish(WIRE, SHIPS)
    await world.deliver()
    assert world.told() == [ROOT_SHIPS]


# -- doubts: sent once, not never and not twice ---------------------------------------------------


async def settle(world: World) -> None:
    """Let a doubt settle: three rounds of delivery, far enough apart."""
    for _ in range(3):
        world.wait(seconds=60)
        await world.deliver()


async def test_lost_answer_of_an_accepted_message_is_found() -> None:
    world = await with_news(Landed(LOST))
    await world.deliver()
    await settle(world)
    assert (states(world), len(world.sink.tries)) == (["sent"], 1)


async def test_message_found_keeps_its_receipt_for_replies() -> None:
    world = await with_news(Landed(LOST))
    await world.deliver()
    await settle(world)
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    assert [m.thread for m in world.sink.messages] == ["", "ts1"]


async def test_lost_answer_of_a_message_not_accepted_is_sent_again() -> None:
    world = await with_news(LOST)
    await world.deliver()
    await settle(world)
    assert (world.told(), states(world)) == ([ROOT_TROOPS], ["sent"])


async def test_doubt_is_not_looked_at_before_it_settles() -> None:
    world = await with_news(LOST)
    await world.deliver()
    world.wait(seconds=59)
    await world.deliver()
    assert world.sink.looks == []


async def test_channel_is_read_twice_before_a_message_counts_as_not_sent() -> None:
    world = await with_news(LOST)
    await world.deliver()
    #: seconds later -> looks and tries in all
    seen = []
    for seconds in (60, 9, 1):
        world.wait(seconds=seconds)
        await world.deliver()
        seen.append((len(world.sink.looks), len(world.sink.tries)))
    assert seen == [(1, 1), (1, 1), (2, 2)]


async def test_message_that_shows_late_is_found_at_the_second_look() -> None:
    world = await with_news(LOST)
    await world.deliver()
    world.wait(seconds=60)
    await world.deliver()
    world.sink.messages.append(world.sink.tries[0])
    world.wait(seconds=10)
    await world.deliver()
    assert (states(world), len(world.sink.messages)) == (["sent"], 1)


async def test_sink_whose_word_is_final_is_read_once() -> None:
    world = await with_news(LOST, settle=timedelta(0))
    await world.deliver()
    await world.deliver()
    assert (len(world.sink.looks), world.told()) == (1, [ROOT_TROOPS])


async def test_channel_that_cannot_be_read_is_sent_nothing_twice() -> None:
    world = await with_news(Landed(LOST))
    world.sink.unreadable = MaybeAccepted("slack: HTTP 503")
    await world.deliver()
    await settle(world)
    assert (states(world), len(world.sink.tries)) == (["unknown"], 1)


async def test_doubt_is_settled_when_the_channel_can_be_read_again() -> None:
    world = await with_news(Landed(LOST))
    world.sink.unreadable = MaybeAccepted("slack: HTTP 503")
    await world.deliver()
    await settle(world)
    world.sink.unreadable = None
    await settle(world)
    assert (states(world), len(world.sink.messages)) == (["sent"], 1)


async def test_look_that_failed_between_two_does_not_count_as_one() -> None:
    world = await with_news(LOST)
    await world.deliver()
    for unreadable in (None, MaybeAccepted("slack: HTTP 503"), None):
        world.wait(seconds=60)
        world.sink.unreadable = unreadable
        await world.deliver()
    assert (len(world.sink.looks), len(world.sink.tries)) == (3, 1)


async def test_channel_s_retry_after_holds_for_looking_too() -> None:
    world = await with_news(Landed(LOST))
    world.sink.unreadable = MaybeAccepted("slack: 429", retry_after=600)
    await world.deliver()
    world.wait(seconds=60)
    await world.deliver()
    world.sink.unreadable = None
    world.wait(seconds=599)
    await world.deliver()
    assert len(world.sink.looks) == 1


async def test_reply_waits_while_its_root_is_in_doubt() -> None:
    world = await with_news(Landed(LOST))
    await world.deliver()
    await world.publish(GAZETTE, TROOPS_RETOLD)
    world.sink.unreadable = MaybeAccepted("slack: HTTP 503")
    await world.deliver()
    assert world.told() == [ROOT_TROOPS]


async def test_doubt_holds_up_no_other_alert() -> None:
    world = await with_news(LOST)
    await world.publish(WIRE, SHIPS)
    await world.deliver()
    assert world.told() == [ROOT_SHIPS]


# -- crashes --------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here."""


async def test_crash_between_commit_and_send_sends_once_after_the_restart() -> None:
    world = await with_news()
    world.restart()
    await world.deliver()
    await settle(world)
    assert (world.told(), len(world.sink.tries)) == ([ROOT_TROOPS], 1)


class CrashingSink(FakeSink):
    """Ends the process at the first message, before or after the channel has it."""

    def __init__(self, *, after: bool) -> None:
        super().__init__()
        self.after: bool | None = after

    def send(self, delivery: object) -> str:
        after, self.after = self.after, None
        if after is False:
            raise Crash
        receipt = super().send(delivery)  # type: ignore[arg-type]  # handed through
        if after:
            raise Crash
        return receipt


#: the message stood in the channel when the process ended -> looks that it takes
CRASHES = [(False, 2), (True, 1)]


@pytest.mark.parametrize(("after", "looks"), CRASHES)
async def test_crash_while_sending_leaves_one_message(*, after: bool, looks: int) -> None:
    world = World(settle=SETTLE, sink=CrashingSink(after=after))
    await world.know()
    await world.publish(WIRE, TROOPS)
    with pytest.raises(Crash):
        await world.deliver()
    world.restart()
    await settle(world)
    assert (world.told(), states(world), len(world.sink.looks)) == ([ROOT_TROOPS], ["sent"], looks)


async def test_crash_between_two_looks_leaves_one_message() -> None:
    world = await with_news(LOST)
    await world.deliver()
    world.wait(seconds=60)
    await world.deliver()
    world.restart()
    await settle(world)
    assert (world.told(), len(world.sink.messages)) == ([ROOT_TROOPS], 1)


async def test_crash_before_the_commit_reads_the_feed_again() -> None:
    world = World()
    world.store = CrashingStore.in_memory()
    for feed in (WIRE, GAZETTE):
        world.store.add_feed(feed, world.now)
    await world.know()
    world.store.crash = True
    with pytest.raises(Crash):
        await world.publish(WIRE, TROOPS)
    world.restart()
    await world.poll(WIRE)
    await world.deliver()
    assert world.told() == [ROOT_TROOPS]


class CrashingStore(Store):
    """Ends the process at a poll's commit, when asked to."""

    crash = False

    def commit_poll(self, *args: object) -> None:
        if self.crash:
            self.crash = False
            raise Crash
        super().commit_poll(*args)  # type: ignore[arg-type]  # handed through


# -- stories that wait ----------------------------------------------------------------------------


async def with_wait(*script: Exception | None) -> World:
    """A world in which the wire told of troops, and the channel waits for a second source."""
    world = World((SLOW_TOPIC,), sink=FakeSink(*script))  # type: ignore[arg-type]  # errors of sending, all of them
    await world.know()
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    return world


def shown(world: World) -> list[str]:
    """The first line of each message."""
    return [m.message.terminal.split("\n")[0] for m in world.sink.messages if m.message]


async def test_story_that_waits_is_told_at_its_deadline_and_marked() -> None:
    world = await with_wait()
    world.wait(hours=5, minutes=59)
    await world.deliver()
    assert (world.told(), states(world), world.verdicts()) == ([], ["held"], {TROOPS[0]: "waiting"})
    world.wait(minutes=1)
    await world.deliver()
    assert (shown(world), states(world)) == (["● HIGH  Troops · single source"], ["sent"])


async def test_deadline_is_kept_over_a_restart() -> None:
    world = await with_wait()
    world.restart()
    world.wait(hours=6)
    await world.deliver()
    assert world.told() == [ROOT_TROOPS]


async def test_story_that_waited_names_its_sources() -> None:
    world = await with_wait()
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    [message] = world.sink.messages
    assert message.message
    said = "2 independent sources: Wire (wire, United Kingdom), Gazette (wire, United Kingdom)"
    assert said in " ".join(message.message.terminal.split())
    assert world.verdicts() == {TROOPS[0]: "waiting", TROOPS_RETOLD[0]: "waiting"}


async def test_what_comes_after_the_deadline_is_a_reply() -> None:
    world = await with_wait()
    world.wait(hours=6)
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    assert world.told() == [ROOT_TROOPS, REPLY_RETOLD]


async def test_story_goes_on_waiting_for_what_it_was_held_for_when_the_rules_change() -> None:
    world = await with_wait()
    world.topics = (replace(SLOW_TOPIC, story=StoryPolicy(corroboration=Corroboration(sources=9))),)
    world.restart()
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    assert world.told() == [ROOT_TROOPS]


async def test_topic_that_asks_for_nothing_lets_a_story_out_and_its_item_follows() -> None:
    world = await with_wait()
    world.topics = (SLOW_TOPIC, replace(TROOPS_TOPIC, id="eager"))
    world.restart()
    await world.publish(WIRE, TROOPS_RETOLD)
    await world.deliver()
    assert (world.told(), shown(world)[0]) == ([ROOT_TROOPS, REPLY_RETOLD], "● HIGH  Troops · single source")


async def test_edit_of_an_item_that_waits_is_what_is_told() -> None:
    world = await with_wait()
    edited = make.rss(TROOPS, published=world.now - timedelta(minutes=5)).replace(
        b"<title>North Korean troops seen", b"<title>North Korean troops and tanks seen"
    )
    world.wait(minutes=10)
    world.fetch.script(WIRE.url, edited)
    await world.poll(WIRE)
    world.wait(hours=6)
    await world.deliver()
    assert world.told() == ["root: North Korean troops and tanks seen near Kursk"]


async def test_root_that_waited_and_is_refused_holds_nothing_back() -> None:
    world = await with_wait(*[Unacceptable("invalid_blocks")] * RUNGS)
    world.wait(hours=6)
    await world.deliver()
    assert states(world) == ["dead"]
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    assert world.told() == [f"root: {TROOPS_RETOLD[0]}"]


async def test_commit_that_fails_lets_nothing_out() -> None:
    world = World((SLOW_TOPIC,))
    world.store = FailingStore.in_memory()
    for feed in (WIRE, GAZETTE):
        world.store.add_feed(feed, world.now)
    await world.know()
    await world.publish(WIRE, TROOPS)
    world.store.failures = 1
    with pytest.raises(StateError):
        await world.publish(GAZETTE, TROOPS_RETOLD)
    assert states(world) == ["held"]
    await world.poll(GAZETTE)
    await world.deliver()
    assert world.told() == [ROOT_TROOPS]


# -- replies that come together -------------------------------------------------------------------


async def with_replies(*script: Exception | Landed | None) -> World:
    """A world in which the channel was told of troops, and of one reply; two more wait for ten minutes to pass."""
    world = World(sink=FakeSink(None, None, *script), settle=timedelta(0))  # type: ignore[arg-type]  # as above
    world.reply_gap = timedelta(minutes=30)
    await world.know()
    for feed, article in (
        (WIRE, TROOPS),
        (GAZETTE, TROOPS_RETOLD),
        (WIRE, TROOPS_AGAIN),
        (GAZETTE, TROOPS_UNNAMED_TOLD),
    ):
        await world.publish(feed, article)
        await world.deliver()
    return world


#: Taken by the topic, in other words.
TROOPS_UNNAMED_TOLD = (
    "Troops near Kursk are North Korean",
    "Soldiers were moved west, Seoul's spy agency told lawmakers.",
)


async def test_replies_within_the_gap_come_in_one_message() -> None:
    world = await with_replies()
    assert world.told() == [ROOT_TROOPS, REPLY_RETOLD]
    world.wait(minutes=10)
    await world.deliver()
    assert states(world) == ["sent", "sent", "sent", "batched"]
    [*_, last] = world.sink.messages
    assert last.message
    assert [title in last.message.text for title in (TROOPS_AGAIN[0], TROOPS_UNNAMED_TOLD[0])] == [False, True]
    assert all(title in last.message.terminal for title in (TROOPS_AGAIN[0], TROOPS_UNNAMED_TOLD[0]))


async def test_replies_within_the_gap_come_in_one_message_after_a_restart() -> None:
    world = await with_replies()
    world.restart()
    world.wait(minutes=10)
    await world.deliver()
    assert states(world) == ["sent", "sent", "sent", "batched"]


async def test_message_of_several_replies_whose_answer_was_lost_is_found() -> None:
    world = await with_replies(Landed(LOST))
    world.wait(minutes=10)
    await world.deliver()
    world.restart()
    await world.deliver()
    assert states(world) == ["sent", "sent", "sent", "batched"]
    assert len(world.sink.messages) == 3


async def test_replies_of_a_refused_message_are_told_by_themselves() -> None:
    world = await with_replies(Unacceptable("invalid_blocks"))
    world.wait(minutes=10)
    await world.deliver()
    assert states(world) == ["sent", "sent", "sent", "queued"]
    world.wait(minutes=30)
    await world.deliver()
    assert world.told()[2:] == [f"reply: {title}" for title, _ in (TROOPS_AGAIN, TROOPS_UNNAMED_TOLD)]


# -- stories that escalate ------------------------------------------------------------------------


async def with_escalation(*topics: Topic) -> World:
    world = World(topics or TOPICS)
    world.policy = replace(world.policy, escalate_sources=2)
    world.judge.policy = world.policy
    world.reply_gap = timedelta(hours=1)
    await world.know()
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    return world


JUMP = "    Now told by 2 independent sources, all of them in the last hour"


async def test_jump_in_sources_is_told_by_an_item_that_no_topic_takes() -> None:
    world = await with_escalation()
    await world.publish(GAZETTE, TROOPS_UNNAMED)
    await world.deliver()
    [_, last] = world.sink.messages
    assert last.message
    assert JUMP in last.message.terminal.split("\n")
    assert (world.told()[-1], world.verdicts()[TROOPS_UNNAMED[0]]) == (f"reply: {TROOPS_UNNAMED[0]}", "reply")


async def test_jump_in_sources_is_told_though_follow_ups_are_only_counted() -> None:
    world = await with_escalation(replace(TROOPS_TOPIC, notify=Notify(followups=Followups.COUNT_ONLY)))
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    assert world.told() == [ROOT_TROOPS, REPLY_RETOLD]


async def test_jump_in_sources_is_told_once() -> None:
    world = await with_escalation()
    world.reply_gap = timedelta(0)
    for article in (TROOPS_RETOLD, TROOPS_UNNAMED, TROOPS_AGAIN):
        world.restart()
        await world.publish(GAZETTE, article)
        await world.deliver()
    jumps = [bool(m.message and JUMP in m.message.terminal) for m in world.sink.messages]
    assert jumps == [False, True, False]


async def test_jump_in_sources_waits_for_no_gap_and_takes_along_what_does() -> None:
    world = await with_escalation()
    world.judge.policy = replace(world.policy, escalate_sources=0)
    for article in (TROOPS_RETOLD, TROOPS_AGAIN):
        await world.publish(WIRE, article)
        await world.deliver()
    world.judge.policy = world.policy
    await world.publish(GAZETTE, TROOPS_UNNAMED)
    await world.deliver()
    assert states(world) == ["sent", "sent", "batched", "sent"]


async def test_root_that_waited_and_names_as_many_sources_is_no_jump() -> None:
    world = await with_escalation(SLOW_TOPIC)
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    await world.publish(GAZETTE, TROOPS_AGAIN)
    await world.deliver()
    assert [bool(m.message and JUMP in m.message.terminal) for m in world.sink.messages] == [False, False]
