"""What people decide about stories: what moves, what is told where from then on, and what the daemon makes of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import make
import pytest
from fakes import FakeSink
from world import (
    GAZETTE,
    NEVER_BY_SCORE,
    SHIPS,
    TROOPS,
    TROOPS_AGAIN,
    TROOPS_RETOLD,
    TROOPS_TOPIC,
    WIRE,
    World,
)

from monitor.database import FILE
from monitor.errors import NotAccepted, OvertakenError, RulingError, Unacceptable
from monitor.model import (
    Alert,
    AlertKind,
    Corroboration,
    Decision,
    Delivery,
    DeliveryState,
    Escalation,
    Placement,
    Relation,
    Ruling,
    RulingKind,
    StoryPolicy,
    Terms,
    Timeline,
    Verdict,
)
from monitor.pipeline import backfill
from monitor.rulings import merge, split
from monitor.store import Store

NOW, MODEL = make.NOW, "bag@1"
ROOT, COPY, UPDATE = Relation.ROOT, Relation.COPY, Relation.UPDATE
WAITS = DeliveryState.QUEUED
SENT = DeliveryState.SENT

# -- stories of items named by a letter, joined by the item before the arrow -----------------------


def item_id(name: str) -> str:
    """A letter as an id."""
    return name * 16


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store.in_memory()
    store.add_feed(make.feed(), NOW)
    yield store
    store.close()


def put(store: Store, name: str, relation: Relation = ROOT, by: str = "", story: str = "", told: str = "") -> None:
    """Commit an item, an hour later in the alphabet than the one before; told: queued for this channel."""
    at = NOW + timedelta(hours=ord(name) - ord("a"))
    item = make.item(id=item_id(name), title=f"Title {name}", link="", published=at, first_seen=at)
    placement = Placement(item_id(story or by or name), relation, by and item_id(by), because=f"why {name}")
    alerts: tuple[Alert, ...] = ()
    if told:
        roots = store.roots(placement.story)
        kind = AlertKind.REPLY if told in roots else AlertKind.ROOT
        alerts = (
            make.alert(
                id=f"to {told} of {name}", kind=kind, channel=told, item=item, story=placement.story, created=at,
                parent=roots[told].alert.id if told in roots else "",
            ),
        )  # fmt: skip
    decision = Decision(Verdict.ALERT if told else Verdict.NO_MATCH, "", alerts)
    store.commit_poll(make.polled(), [make.record(item=item, placement=placement, decision=decision)], MODEL)


def roots(store: Store, story: str) -> dict[str, str]:
    """channel -> root alert"""
    return {channel: root.alert.id for channel, root in store.roots(story).items()}


def send(store: Store, *names: str) -> None:
    for name in names:
        store.settle(name, SENT, NOW, receipt=f"ts {name}")


def merged(store: Store, *names: str) -> Ruling:
    return store.rule([item_id(name) for name in names], lambda t, d: merge(t, d, "ann"), NOW)


def parted(store: Store, story: str, *names: str, alone: bool = False) -> Ruling:
    items = [item_id(name) for name in names]
    return store.rule([story], lambda t, d: split(t[0], items, d, "ann", NOW, alone=alone), NOW)


def stands(store: Store) -> dict[str, tuple[str, ...]]:
    """For each story, by its root's letter: "b+a" is b, an update by a; "c=a" its copy; an exclamation mark: by hand."""
    found = {}
    for timeline in store.timelines(every=True):
        told = []
        for telling in timeline.tellings:
            place = telling.placement
            joined = {ROOT: "", COPY: "=", UPDATE: "+"}[place.relation] + place.parent[:1]
            told.append(telling.item.id[0] + joined + "!" * telling.by_hand)
        [root] = [t for t in timeline.tellings if t.placement.relation is ROOT]
        found[root.item.id[0]] = tuple(told)
    return found


def outbox(store: Store) -> dict[str, tuple[str, str]]:
    """alert -> the letter of its story's root, kind and root alert"""
    roots = {
        t.story.id: next(x.item.id[0] for x in t.tellings if x.placement.relation is ROOT)
        for t in store.timelines(every=True)
    }
    return {
        d.alert.id: (roots[d.alert.story], f"{d.alert.kind} {d.alert.parent}".strip())
        for d in store.deliveries()
        if isinstance(d.alert, Alert)
    }


def two_stories(store: Store) -> None:
    """a, told by a, b and a copy c; and d, told by d, its copy e and f."""
    put(store, "a")
    put(store, "b", UPDATE, "a")
    put(store, "c", COPY, "a")
    put(store, "d")
    put(store, "e", COPY, "d")
    put(store, "f", UPDATE, "d")


# -- merge ----------------------------------------------------------------------------------------


def test_merged_stories_are_the_first_one_named(store: Store) -> None:
    two_stories(store)
    merged(store, "d", "a")
    assert stands(store) == {"d": ("a+d!", "b+a!", "c=a!", "d", "e=d", "f+d")}
    assert store.story(item_id("a")) is None


def test_merged_story_is_as_long_as_its_items(store: Store) -> None:
    two_stories(store)
    merged(store, "d", "a")
    story = store.story(item_id("d"))
    assert story
    assert (story.title, story.opened, story.latest) == ("Title d", NOW, NOW + timedelta(hours=5))


def test_root_that_becomes_an_update_says_who_said_so(store: Store) -> None:
    two_stories(store)
    merged(store, "a", "d")
    known = store.explain(item_id("d"))
    assert known
    assert (known.by_hand, known.placement.because) == (True, "merged by hand (ann) with “Title a”")


def test_ruling_is_remembered(store: Store) -> None:
    two_stories(store)
    assert store.latest_ruling() == 0
    merged(store, "d", "a")
    assert store.latest_ruling() == 1
    stories, items = (item_id("d"), item_id("a")), tuple(map(item_id, "abc"))
    assert store.rulings_on(item_id("a")) == [Ruling(RulingKind.MERGE, "ann", item_id("d"), stories, items, NOW)]
    assert store.rulings_on(item_id("b")) == []


@pytest.mark.parametrize("names", ["a", "aa", "ada"])
def test_story_cannot_be_merged_with_itself(store: Store, names: str) -> None:
    two_stories(store)
    before = stands(store)
    with pytest.raises(RulingError, match="merged with itself"):
        merged(store, *names)
    assert (stands(store), store.latest_ruling()) == (before, 0)


def test_story_that_is_gone_cannot_be_merged(store: Store) -> None:
    two_stories(store)
    merged(store, "d", "a")
    with pytest.raises(RulingError, match=f"no story {item_id('a')}"):
        merged(store, "d", "a")


def test_thread_of_merged_stories_is_the_oldest_root_that_was_sent(store: Store) -> None:
    for name in "abc":
        put(store, name, told="C0")
    send(store, "to C0 of b", "to C0 of c")
    merged(store, "c", "a", "b")
    assert roots(store, item_id("c")) == {"C0": "to C0 of b"}


def test_what_waits_after_a_merge_is_told_in_the_thread(store: Store) -> None:
    put(store, "a", told="C0")
    put(store, "b", told="C0")
    put(store, "c", UPDATE, "b", told="C0")
    put(store, "d", told="C0OTHER")
    send(store, "to C0 of a")
    merged(store, "a", "b", "d")
    assert outbox(store) == {
        "to C0 of a": ("a", "root"),
        "to C0 of b": ("a", "reply to C0 of a"),
        "to C0 of c": ("a", "reply to C0 of a"),
        "to C0OTHER of d": ("a", "root"),
    }


def test_what_was_sent_before_a_merge_stays_where_it_stands(store: Store) -> None:
    put(store, "a", told="C0")
    put(store, "b", told="C0")
    put(store, "c", UPDATE, "b", told="C0")
    send(store, "to C0 of a", "to C0 of b", "to C0 of c")
    merged(store, "a", "b")
    assert outbox(store)["to C0 of b"] == ("a", "root")
    assert outbox(store)["to C0 of c"] == ("a", "reply to C0 of b")


# -- split ----------------------------------------------------------------------------------------


def test_split_item_is_the_root_of_a_story_of_its_own(store: Store) -> None:
    two_stories(store)
    ruling = parted(store, item_id("a"), "b")
    assert stands(store) == {"a": ("a", "c=a"), "b": ("b!",), "d": ("d", "e=d", "f+d")}
    story = store.story(ruling.story)
    assert story
    assert (story.title, story.opened) == ("Title b", NOW + timedelta(hours=1))


def test_copies_go_with_what_they_copy(store: Store) -> None:
    two_stories(store)
    put(store, "g", COPY, "e", story="d")
    parted(store, item_id("d"), "d")
    assert stands(store)["d"] == ("d!", "e=d!", "g=e!")
    assert stands(store)["f"] == ("f",)


def test_of_copies_left_alone_the_first_tells_the_story(store: Store) -> None:
    put(store, "a")
    for name in "bc":
        put(store, name, COPY, "a")
    put(store, "d", UPDATE, "b", story="a")
    parted(store, item_id("a"), "a", alone=True)
    assert stands(store) == {"a": ("a!",), "b": ("b", "c=b", "d+b")}


def test_story_whose_root_left_is_named_after_the_next(store: Store) -> None:
    two_stories(store)
    ruling = parted(store, item_id("a"), "a")
    assert stands(store) == {"a": ("a!", "c=a!"), "b": ("b",), "d": ("d", "e=d", "f+d")}
    left = store.story(item_id("a"))
    assert left
    assert (left.title, left.opened) == ("Title b", NOW + timedelta(hours=1))
    known = store.explain(item_id("b"))
    assert known
    assert known.placement.because == "left there when “Title a” was taken out by hand (ann)"
    assert ruling.story not in map(item_id, "abcdef")


def test_several_split_items_are_one_story_of_which_the_earliest_is_the_root(store: Store) -> None:
    put(store, "a")
    for name in "bcd":
        put(store, name, UPDATE, "a")
    parted(store, item_id("a"), "d", "c")
    assert stands(store) == {"a": ("a", "b+a"), "c": ("c!", "d+c!")}


def test_update_of_what_was_split_stays(store: Store) -> None:
    put(store, "a")
    put(store, "b", UPDATE, "a")
    put(store, "c", UPDATE, "b", story="a")
    parted(store, item_id("a"), "b")
    assert stands(store) == {"a": ("a", "c+a"), "b": ("b!",)}


def test_what_was_split_can_be_merged_back_and_split_again(store: Store) -> None:
    two_stories(store)
    ruling = parted(store, item_id("a"), "b")
    store.rule([item_id("a"), ruling.story], lambda t, d: merge(t, d, "ann"), NOW)
    assert stands(store)["a"] == ("a", "b+a!", "c=a")
    parted(store, item_id("a"), "b")
    assert stands(store)["b"] == ("b!",)


@pytest.mark.parametrize(("names", "hint"), [("abc", ""), ("ab", "--alone")])
def test_nothing_is_split_where_nothing_would_be_left(store: Store, names: str, hint: str) -> None:
    two_stories(store)
    before = stands(store)
    with pytest.raises(RulingError, match=f"nothing would be left of story {item_id('a')}.*{hint}"):
        parted(store, item_id("a"), *names)
    assert (stands(store), store.latest_ruling()) == (before, 0)


def hold(store: Store) -> None:
    item = make.item(id=item_id("h"), title="Old", link="")
    record = make.record(item=item, decision=Decision(Verdict.HELD, "9 of 9 are new"))
    store.commit_poll(make.polled(), [record], MODEL)


def test_held_item_stands_in_no_story(store: Store) -> None:
    two_stories(store)
    hold(store)
    for rule in (lambda: parted(store, item_id("h"), "h"), lambda: merged(store, "a", "h")):
        with pytest.raises(RulingError, match=r"is held.*monitor feeds release https://harbourwire"):
            rule()


def test_root_alert_goes_with_its_item_and_what_was_replied_is_history(store: Store) -> None:
    put(store, "a", told="C0")
    put(store, "b", UPDATE, "a", told="C0")
    send(store, "to C0 of a", "to C0 of b")
    ruling = parted(store, item_id("a"), "a")
    assert outbox(store) == {"to C0 of a": ("a", "root"), "to C0 of b": ("b", "reply to C0 of a")}
    # the channel knows the story that went, and is to be told of the one that stayed
    assert (roots(store, ruling.story), roots(store, item_id("a"))) == ({"C0": "to C0 of a"}, {})


def test_channel_that_saw_a_reply_only_does_not_know_the_new_story(store: Store) -> None:
    put(store, "a", told="C0")
    put(store, "b", UPDATE, "a", told="C0")
    send(store, "to C0 of a", "to C0 of b")
    ruling = parted(store, item_id("a"), "b")
    assert outbox(store)["to C0 of b"] == ("b", "reply to C0 of a")
    assert (roots(store, ruling.story), roots(store, item_id("a"))) == ({}, {"C0": "to C0 of a"})


def test_reply_that_waits_tells_the_new_story(store: Store) -> None:
    put(store, "a", told="C0")
    for name in "bcd":
        put(store, name, UPDATE, "a", told="C0")
    send(store, "to C0 of a")
    store.claim("to C0 of b", make.message(), NOW)
    store.settle("to C0 of b", WAITS, NOW, error="429")
    parted(store, item_id("a"), "b", "c")
    assert outbox(store) == {
        "to C0 of a": ("a", "root"),
        "to C0 of b": ("b", "root"),
        "to C0 of c": ("b", "reply to C0 of b"),
        "to C0 of d": ("a", "reply to C0 of a"),
    }
    # it was rendered as a reply, and is rendered anew
    assert {d.message for d in store.deliveries(WAITS)} == {None}


# -- what waits for corroboration -----------------------------------------------------------------


def wait(store: Store, name: str, relation: Relation = ROOT, by: str = "", hours: int = 6, sources: int = 2) -> None:
    """Commit an item whose root alert, in C0, is held for so many sources, for so many hours from now on."""
    item = make.item(id=item_id(name), title=f"Title {name}", link="")
    placement = Placement(item_id(by or name), relation, by and item_id(by), because=f"why {name}")
    needed = Corroboration(sources=sources, within=timedelta(hours=hours))
    alert = make.alert(
        id=f"to C0 of {name}", channel="C0", item=item, story=placement.story, created=NOW, corroboration=needed
    )
    decision = Decision(Verdict.WAITING, "", held=(alert,))
    store.commit_poll(make.polled(), [make.record(item=item, placement=placement, decision=decision)], MODEL)


def states(store: Store) -> dict[str, str]:
    """alert -> state"""
    return {d.alert.id: d.state.value for d in store.deliveries()}


def following(store: Store, hours: int = 0, gap: timedelta = timedelta(0)) -> str:
    """The alert that goes out next, so many hours from now; edits are none."""
    delivery = store.next_queued(NOW + timedelta(hours=hours), gap)
    return delivery.alert.id if delivery and delivery.growth is None else ""


@pytest.mark.parametrize("sent", [True, False])
def test_root_that_waits_is_a_reply_where_the_channel_knows_the_story(store: Store, sent: bool) -> None:
    put(store, "a", told="C0")
    wait(store, "b")
    send(store, *(["to C0 of a"] if sent else []))
    merged(store, "a", "b")
    assert outbox(store) == {"to C0 of a": ("a", "root"), "to C0 of b": ("a", "reply to C0 of a")}
    assert states(store)["to C0 of b"] == "queued"
    assert following(store) == ("to C0 of b" if sent else "to C0 of a")
    assert roots(store, item_id("a")) == {"C0": "to C0 of a"}


def test_root_that_waits_is_a_reply_also_where_it_gives_the_story_its_name(store: Store) -> None:
    put(store, "a", told="C0")
    send(store, "to C0 of a")
    wait(store, "b")
    merged(store, "b", "a")
    assert outbox(store)["to C0 of b"] == ("b", "reply to C0 of a")


def test_root_that_waits_goes_on_waiting_where_only_another_channel_knows_the_story(store: Store) -> None:
    put(store, "a", told="C0OTHER")
    wait(store, "b")
    send(store, "to C0OTHER of a")
    merged(store, "a", "b")
    assert states(store)["to C0 of b"] == "held"
    assert {channel: root.held for channel, root in store.roots(item_id("a")).items()} == {"C0OTHER": False, "C0": True}


def test_of_two_roots_that_wait_the_one_whose_time_comes_first_is_the_root(store: Store) -> None:
    wait(store, "a", hours=6)
    wait(store, "b", hours=1)
    merged(store, "a", "b")
    assert outbox(store) == {"to C0 of a": ("a", "reply to C0 of b"), "to C0 of b": ("a", "root")}
    assert states(store) == {"to C0 of a": "queued", "to C0 of b": "held"}
    assert [following(store), following(store, hours=1)] == ["", "to C0 of b"]
    assert store.claim("to C0 of b", make.message(), NOW + timedelta(hours=1), before=DeliveryState.HELD)
    send(store, "to C0 of b")
    assert following(store, hours=1) == "to C0 of a"


def test_root_that_waits_waits_on_in_the_story_that_it_was_split_into(store: Store) -> None:
    put(store, "a")
    wait(store, "b", UPDATE, "a")
    ruling = parted(store, item_id("a"), "b")
    assert states(store) == {"to C0 of b": "held"}
    assert (roots(store, ruling.story), roots(store, item_id("a"))) == ({"C0": "to C0 of b"}, {})
    assert [following(store, hours=5), following(store, hours=6)] == ["", "to C0 of b"]


def test_root_that_waited_waits_again_when_a_merge_is_undone(store: Store) -> None:
    put(store, "a", told="C0")
    send(store, "to C0 of a")
    wait(store, "b")
    merged(store, "a", "b")
    ruling = parted(store, item_id("a"), "b")
    assert (outbox(store)["to C0 of b"], states(store)["to C0 of b"]) == (("b", "root"), "held")
    assert store.roots(ruling.story)["C0"].held
    assert [following(store, hours=5), following(store, hours=6)] == ["", "to C0 of b"]


def test_root_that_waited_goes_at_once_where_its_own_story_has_the_sources(store: Store) -> None:
    gazette = make.feed(url="https://gazette.example/rss", title="Gazette")
    store.add_feed(gazette, NOW)
    put(store, "a", told="C0")
    send(store, "to C0 of a")
    wait(store, "b")
    merged(store, "a", "b")
    item = make.item(id=item_id("c"), link="", feed=gazette)
    placement = Placement(item_id("a"), UPDATE, item_id("b"))
    store.commit_poll(make.polled(feed=gazette), [make.record(item=item, placement=placement)], MODEL)
    parted(store, item_id("a"), "b", "c")
    assert states(store)["to C0 of b"] == "queued"


def test_what_needs_no_corroboration_goes_before_what_does(store: Store) -> None:
    put(store, "a", told="C0")
    send(store, "to C0 of a")
    wait(store, "b")
    merged(store, "a", "b")
    put(store, "c", UPDATE, "b", story="a", told="C0")
    parted(store, item_id("a"), "b", "c")
    assert outbox(store)["to C0 of c"] == ("b", "root")
    assert outbox(store)["to C0 of b"] == ("b", "reply to C0 of c")


def test_alerts_of_a_ruling_say_in_the_log_why_they_wait_no_more(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path)) as store:
        store.add_feed(make.feed(), NOW)
        put(store, "a", told="C0")
        wait(store, "b")
        merged(store, "a", "b")
        parted(store, item_id("a"), "b")
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        told = other.execute(
            "SELECT from_state, to_state, detail FROM events WHERE alert_id = 'to C0 of b' ORDER BY id"
        ).fetchall()
    assert told == [
        ("", "held", "corroboration"),
        ("held", "queued", "told in the thread of to C0 of a"),
        ("queued", "held", "corroboration"),
    ]


def test_edit_of_what_became_a_reply_is_told_in_the_same_thread(store: Store) -> None:
    put(store, "a", told="C0")
    put(store, "b", told="C0")
    edited = make.item(id=item_id("b"), title="Title b, edited", link="", revision=1)
    edit = make.alert(
        id="edit of b", kind=AlertKind.REPLY, channel="C0", item=edited, story=item_id("b"), parent="to C0 of b",
        formerly="Title b",
    )  # fmt: skip
    record = make.record(
        item=edited, before=make.version(item_id=edited.id), decision=Decision(Verdict.REPLY, "", (edit,)),
        placement=Placement(item_id("b"), ROOT),
    )  # fmt: skip
    store.commit_poll(make.polled(), [record], MODEL)
    merged(store, "a", "b")
    assert outbox(store)["edit of b"] == ("a", "reply to C0 of a")


# -- replies that are told together ---------------------------------------------------------------

GAP = timedelta(minutes=10)


def fold(store: Store, state: DeliveryState) -> None:
    """Three replies to a, told by one message that comes to this."""
    put(store, "a", told="C0")
    send(store, "to C0 of a")
    for name in "bcd":
        put(store, name, UPDATE, "a", told="C0")
    assert store.claim("to C0 of b", make.message(), NOW, batch=["to C0 of c", "to C0 of d"])
    if state is not DeliveryState.SENDING:
        store.settle("to C0 of b", state, NOW)


@pytest.mark.parametrize("state", [DeliveryState.SENDING, DeliveryState.UNKNOWN, SENT])
@pytest.mark.parametrize("gone", ["b", "c", "cd"])
def test_replies_stay_with_a_message_that_may_be_out(store: Store, state: DeliveryState, gone: str) -> None:
    fold(store, state)
    before = states(store)
    ruling = parted(store, item_id("a"), *gone)
    assert states(store) == before
    assert {told for _, told in outbox(store).values()} == {"root", "reply to C0 of a"}
    assert roots(store, ruling.story) == {}
    assert following(store, gap=GAP) == ""


@pytest.mark.parametrize("state", [WAITS, DeliveryState.BLOCKED])
def test_message_that_was_refused_is_told_anew_when_one_of_its_replies_goes(store: Store, state: DeliveryState) -> None:
    fold(store, state)
    ruling = parted(store, item_id("a"), "c")
    assert states(store) == {
        "to C0 of a": "sent", "to C0 of b": state.value, "to C0 of c": "queued", "to C0 of d": "queued",
    }  # fmt: skip
    assert {d.message for d in store.deliveries()} == {None}
    assert {d.carrier for d in store.deliveries()} == {""}
    assert outbox(store)["to C0 of c"] == ("c", "root")
    assert roots(store, ruling.story) == {"C0": "to C0 of c"}


def test_message_that_was_refused_loses_nothing_when_its_own_reply_goes(store: Store) -> None:
    fold(store, WAITS)
    parted(store, item_id("a"), "b")
    assert set(states(store).values()) == {"sent", "queued"}
    assert outbox(store) == {
        "to C0 of a": ("a", "root"),
        "to C0 of b": ("b", "root"),
        "to C0 of c": ("a", "reply to C0 of a"),
        "to C0 of d": ("a", "reply to C0 of a"),
    }


def test_message_that_was_refused_keeps_its_bytes_where_a_ruling_moves_none_of_its_replies(store: Store) -> None:
    fold(store, WAITS)
    put(store, "e")
    merged(store, "a", "e")
    assert states(store)["to C0 of c"] == "batched"
    assert [d.alert.id for d in store.deliveries() if d.message] == ["to C0 of b"]


# -- jumps in sources -----------------------------------------------------------------------------

JUMP = Escalation(5, 5, timedelta(hours=1))


def jump(store: Store, name: str, to: str, *, is_taken: bool = True) -> None:
    """Commit an update of a story whose reply tells a jump; not taken: no topic took the item."""
    at = NOW + timedelta(hours=ord(name) - ord("a"))
    item = make.item(id=item_id(name), title=f"Title {name}", link="", published=at, first_seen=at)
    alert = make.alert(
        id=f"to C0 of {name}", kind=AlertKind.REPLY, channel="C0", item=item, story=item_id(to), created=at,
        parent=f"to C0 of {to}", broadcast=True, escalation=JUMP,
    )  # fmt: skip
    record = make.record(
        item=item, matches=(make.match(),) if is_taken else (), decision=Decision(Verdict.REPLY, "", (alert,)),
        placement=Placement(item_id(to), UPDATE, item_id(to)),
    )  # fmt: skip
    store.commit_poll(make.polled(), [record], MODEL)


def jumps(store: Store) -> list[str]:
    return [d.alert.id for d in store.deliveries() if isinstance(d.alert, Alert) and d.alert.escalation]


def test_merged_story_has_escalated_if_one_of_them_had(store: Store) -> None:
    for name in "ab":
        put(store, name, told="C0")
        send(store, f"to C0 of {name}")
    jump(store, "c", to="b")
    send(store, "to C0 of c")
    merged(store, "a", "b")
    root = store.roots(item_id("a"))["C0"]
    assert (root.alert.id, root.escalated) == ("to C0 of a", True)


def test_story_that_escalated_has_so_without_the_item_that_told_it(store: Store) -> None:
    put(store, "a", told="C0")
    jump(store, "b", to="a")
    send(store, "to C0 of a", "to C0 of b")
    ruling = parted(store, item_id("a"), "b")
    put(store, "c", UPDATE, "b", story="b")
    assert store.roots(item_id("a"))["C0"].escalated
    assert store.roots(ruling.story) == {}


def test_thread_that_goes_with_its_root_has_escalated_there(store: Store) -> None:
    put(store, "a", told="C0")
    jump(store, "b", to="a")
    send(store, "to C0 of a", "to C0 of b")
    ruling = parted(store, item_id("a"), "a")
    assert store.roots(ruling.story)["C0"].escalated


def test_jump_that_was_not_told_yet_is_none_of_the_new_story(store: Store) -> None:
    put(store, "a", told="C0")
    send(store, "to C0 of a")
    jump(store, "b", to="a")
    ruling = parted(store, item_id("a"), "b")
    assert jumps(store) == []
    assert outbox(store)["to C0 of b"] == ("b", "root")
    assert not store.roots(ruling.story)["C0"].escalated
    # the old story has not told it, and may
    assert not store.roots(item_id("a"))["C0"].escalated


def test_reply_that_only_tells_a_jump_is_withdrawn_when_its_item_is_taken_out(store: Store) -> None:
    put(store, "a", told="C0")
    send(store, "to C0 of a")
    jump(store, "b", to="a", is_taken=False)
    ruling = parted(store, item_id("a"), "b")
    assert outbox(store) == {"to C0 of a": ("a", "root")}
    assert store.roots(ruling.story) == {}


def test_jump_of_a_merged_story_is_told_in_its_thread(store: Store) -> None:
    for name in "ab":
        put(store, name, told="C0")
    send(store, "to C0 of a")
    jump(store, "c", to="b", is_taken=False)
    merged(store, "a", "b")
    assert outbox(store)["to C0 of c"] == ("a", "reply to C0 of a")
    assert jumps(store) == ["to C0 of c"]


@pytest.mark.parametrize("sent", [True, False])
def test_merged_story_tells_one_jump(store: Store, sent: bool) -> None:
    for name in "ab":
        put(store, name, told="C0")
        send(store, f"to C0 of {name}")
    jump(store, "c", to="a")
    jump(store, "d", to="b")
    send(store, *(["to C0 of d"] if sent else []))
    merged(store, "a", "b")
    assert jumps(store) == ["to C0 of d" if sent else "to C0 of c"]


# -- names ----------------------------------------------------------------------------------------


def test_names_are_ids_beginnings_and_links(store: Store) -> None:
    two_stories(store)
    linked = make.item(id="0123456789abcdef", link="https://wire.example/1")
    store.commit_poll(make.polled(), [make.record(item=linked)], MODEL)
    assert store.stories_named(item_id("a")) == [item_id("a")]
    assert store.stories_named("b" * 6) == [item_id("a")]
    assert store.stories_named("b" * 5) == []
    assert store.stories_named("https://wire.example/1") == ["0123456789abcdef"]
    assert store.items_named("b" * 16) == {item_id("b"): item_id("a")}
    assert store.items_named("012345") == {"0123456789abcdef": "0123456789abcdef"}
    assert store.items_named("%") == {}


def test_beginning_of_two_ids_names_both(store: Store) -> None:
    for end in "12":
        item = make.item(id="abcdef000000000" + end, link=f"https://wire.example/{end}")
        store.commit_poll(make.polled(), [make.record(item=item)], MODEL)
    assert store.stories_named("abcdef0") == ["abcdef0000000001", "abcdef0000000002"]


def test_story_whose_root_left_is_still_known_by_its_own_name(store: Store) -> None:
    two_stories(store)
    ruling = parted(store, item_id("a"), "a")
    assert store.stories_named(item_id("a")) == [item_id("a")]
    assert store.stories_named("a" * 8) == sorted([item_id("a"), ruling.story])


# -- lists ----------------------------------------------------------------------------------------


def listed(store: Store, **wanted: object) -> list[str]:
    return [t.story.id[0] for t in store.timelines(**wanted)]  # type: ignore[arg-type]  # by the caller's word


def test_stories_are_listed_latest_first_and_only_what_a_topic_took(store: Store) -> None:
    for name, topic in (("a", "troops"), ("b", ""), ("c", "ships")):
        at = NOW + timedelta(hours=ord(name))
        item = make.item(id=item_id(name), link="", published=at, first_seen=at)
        matches = (make.match(topic=topic),) if topic else ()
        store.commit_poll(make.polled(), [make.record(item=item, matches=matches)], MODEL)
    assert listed(store) == ["c", "a"]
    assert listed(store, every=True) == ["c", "b", "a"]
    assert listed(store, topic="troops") == ["a"]
    assert listed(store, topic="troops", every=True) == ["a"]
    assert listed(store, since=NOW + timedelta(hours=ord("b")), every=True) == ["c", "b"]


def test_timeline_says_which_topics_took_each_item(store: Store) -> None:
    item = make.item()
    matches = (make.match(topic="ships", score=3.5), make.match(topic="troops", score=4.0))
    store.commit_poll(make.polled(), [make.record(item=item, matches=matches)], MODEL)
    [timeline] = store.timelines()
    assert (timeline.tellings[0].item, timeline.topics) == (item, ("troops", "ships"))


# -- while the daemon runs ------------------------------------------------------------------------

TRAIN = ("North Korean troops by train: soldiers moved west", "The spy agency told lawmakers of a train.")


@pytest.fixture
async def world(tmp_path: Path) -> World:
    """The wire and the gazette told of troops, and both stand in the channel."""
    world = World()
    world.store.close()
    world.store = Store.open(tmp_path)
    for feed in (WIRE, GAZETTE):
        world.store.add_feed(feed, world.now)
    await world.know()
    await world.publish(WIRE, TROOPS)
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    assert world.told() == [f"root: {TROOPS[0]}", f"reply: {TROOPS_RETOLD[0]}"]
    return world


def beside(world: World, folder: Path, rule: Callable[[Store], object]) -> None:
    """As a command does: another connection."""
    with closing(Store.open(folder)) as store:
        rule(store)
    assert world.store.latest_ruling() > 0


def story_of(store: Store, title: str) -> Timeline:
    [found] = [t for t in store.timelines() if title in [telling.item.title for telling in t.tellings]]
    return found


def take_out(title: str) -> Callable[[Store], object]:
    def rule(store: Store) -> object:
        timeline = story_of(store, title)
        items = [t.item.id for t in timeline.tellings if t.item.title == title]
        return store.rule([timeline.story.id], lambda t, d: split(t[0], items, d, "ann", NOW), NOW)

    return rule


def join(one: str, other: str) -> Callable[[Store], object]:
    def rule(store: Store) -> object:
        stories = [story_of(store, title).story.id for title in (one, other)]
        return store.rule(stories, lambda t, d: merge(t, d, "ann"), NOW)

    return rule


async def test_next_item_joins_the_story_that_was_split_and_is_told_as_its_root(world: World, tmp_path: Path) -> None:
    beside(world, tmp_path, take_out(TROOPS_RETOLD[0]))
    await world.publish(WIRE, TROOPS, (TROOPS_RETOLD[0] + ", lawmakers told", TROOPS_RETOLD[1]))
    await world.deliver()
    told = story_of(world.store, TROOPS_RETOLD[0])
    assert [telling.item.source for telling in told.tellings] == ["Gazette", "Wire"]
    assert world.told()[2:] == [f"root: {TROOPS_RETOLD[0]}, lawmakers told"]


async def test_next_item_of_the_story_that_stayed_stays_in_its_thread(world: World, tmp_path: Path) -> None:
    beside(world, tmp_path, take_out(TROOPS_RETOLD[0]))
    await world.publish(GAZETTE, TROOPS_RETOLD, (TROOPS[0] + " at 5 places", TROOPS[1]))
    await world.deliver()
    assert len(story_of(world.store, TROOPS[0]).tellings) == 2
    assert world.told()[2:] == [f"reply: {TROOPS[0]} at 5 places"]


async def test_next_item_of_merged_stories_is_told_in_the_oldest_thread(world: World, tmp_path: Path) -> None:
    await world.publish(WIRE, TROOPS, SHIPS)
    await world.deliver()
    beside(world, tmp_path, join(SHIPS[0], TROOPS[0]))
    await world.publish(GAZETTE, TROOPS_RETOLD, ("Warships sail for Baltic drills", SHIPS[1]))
    await world.deliver()
    last = world.sink.messages[-1]
    assert isinstance(last.alert, Alert)
    assert (last.alert.kind, last.alert.item.title) == (AlertKind.REPLY, "Warships sail for Baltic drills")
    assert last.thread == "ts1"  # of the troops
    assert len(story_of(world.store, SHIPS[0]).tellings) == 4


async def test_rulings_are_heeded_once(world: World, tmp_path: Path) -> None:
    beside(world, tmp_path, take_out(TROOPS_RETOLD[0]))
    await world.publish(WIRE, TROOPS, SHIPS)
    stories = world.judge.stories
    await world.publish(WIRE, TROOPS, SHIPS, TROOPS_AGAIN)
    assert world.judge.stories is stories


class Hasty(Store):
    """A person rules just before a commit."""

    rule_now: Callable[[], object] | None = None

    def commit_poll(self, *args: object) -> None:
        self._interrupt()
        super().commit_poll(*args)  # type: ignore[arg-type]  # handed through

    def commit_again(self, *args: object) -> None:
        self._interrupt()
        super().commit_again(*args)  # type: ignore[arg-type]  # handed through

    def _interrupt(self) -> None:
        rule, self.rule_now = self.rule_now, None
        if rule:
            rule()


async def test_ruling_between_judging_and_commit_is_heeded_too(world: World, tmp_path: Path) -> None:
    world.store.close()
    store = world.store = Hasty.open(tmp_path)
    store.rule_now = lambda: beside(world, tmp_path, take_out(TROOPS_RETOLD[0]))
    await world.publish(WIRE, TROOPS, (TROOPS_RETOLD[0] + ", lawmakers told", TROOPS_RETOLD[1]))
    await world.deliver()
    assert len(story_of(world.store, TROOPS_RETOLD[0]).tellings) == 2
    assert world.told()[2:] == [f"root: {TROOPS_RETOLD[0]}, lawmakers told"]


class Meddled(Store):
    """A person rules just before a claim."""

    rule_now: Callable[[], object] | None = None

    def claim(self, *args: object, **wanted: object) -> bool:
        rule, self.rule_now = self.rule_now, None
        if rule:
            rule()
        return super().claim(*args, **wanted)  # type: ignore[arg-type]  # handed through


async def meddled(world: World, folder: Path, title: str) -> None:
    """Have a person take an item out when its alert is about to be claimed."""
    world.store.close()
    store = world.store = Meddled.open(folder)
    store.rule_now = lambda: beside(world, folder, take_out(title))
    await world.deliver()
    assert store.rule_now is None


async def test_reply_that_is_split_off_just_before_its_claim_opens_its_own_thread(world: World, tmp_path: Path) -> None:
    await world.publish(WIRE, TROOPS, TROOPS_AGAIN)
    await meddled(world, tmp_path, TROOPS_AGAIN[0])
    assert world.told()[2:] == [f"root: {TROOPS_AGAIN[0]}"]
    assert world.sink.messages[-1].thread == ""


async def test_reply_of_a_batch_that_is_split_off_just_before_its_claim_is_told_by_itself(
    world: World, tmp_path: Path
) -> None:
    world.reply_gap = timedelta(minutes=10)
    await world.publish(WIRE, TROOPS, TROOPS_AGAIN)
    await world.publish(GAZETTE, TROOPS_RETOLD, (TROOPS[0] + " at 5 places", TROOPS[1]))
    world.wait(minutes=10)
    await meddled(world, tmp_path, TROOPS[0] + " at 5 places")
    assert world.told()[2:] == [f"reply: {TROOPS_AGAIN[0]}", f"root: {TROOPS[0]} at 5 places"]
    assert world.store.outbox_counts() == {"sent": 4}


async def test_refused_message_whose_reply_is_split_off_just_before_its_claim_is_told_anew(
    world: World, tmp_path: Path
) -> None:
    world.reply_gap = timedelta(minutes=10)
    await world.publish(WIRE, TROOPS, TROOPS_AGAIN)
    await world.publish(GAZETTE, TROOPS_RETOLD, (TROOPS[0] + " at 5 places", TROOPS[1]))
    world.wait(minutes=10)
    world.sink.outcomes.append(NotAccepted("429"))
    await world.deliver()
    assert world.store.outbox_counts() == {"sent": 2, "queued": 1, "batched": 1}
    world.wait(hours=1)
    await meddled(world, tmp_path, TROOPS[0] + " at 5 places")
    assert world.told()[2:] == [f"reply: {TROOPS_AGAIN[0]}", f"root: {TROOPS[0]} at 5 places"]
    assert "2 updates" not in world.sink.messages[2].message.text


class MeddledSink(FakeSink):
    """A person rules while a post is under way."""

    rule_now: Callable[[], object] | None = None

    def send(self, delivery: Delivery) -> str:
        rule, self.rule_now = self.rule_now, None
        if rule:
            rule()
        return super().send(delivery)


async def test_reply_that_was_split_off_while_it_was_refused_opens_its_own_thread() -> None:
    sink = MeddledSink()
    world = World(sink=sink)
    await world.know()
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    await world.publish(GAZETTE, TROOPS_RETOLD)
    sink.outcomes.append(NotAccepted("429"))
    sink.rule_now = lambda: take_out(TROOPS_RETOLD[0])(world.store)
    await world.deliver()
    world.wait(hours=1)
    await world.deliver()
    assert world.told() == [f"root: {TROOPS[0]}", f"root: {TROOPS_RETOLD[0]}"]


async def test_root_whose_story_was_merged_while_it_was_refused_is_a_reply() -> None:
    sink = MeddledSink()
    world = World(sink=sink)
    await world.know()
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    await world.publish(GAZETTE, SHIPS)
    sink.outcomes.append(NotAccepted("429"))
    sink.rule_now = lambda: join(TROOPS[0], SHIPS[0])(world.store)
    await world.deliver()
    world.wait(hours=1)
    await world.deliver()
    assert world.told() == [f"root: {TROOPS[0]}", f"reply: {SHIPS[0]}"]


async def test_reply_of_a_batch_that_was_split_off_while_it_was_refused_for_good_opens_its_own_thread() -> None:
    sink = MeddledSink()
    world = World(sink=sink)
    world.reply_gap = timedelta(minutes=10)
    await world.know()
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    await world.publish(WIRE, TROOPS, TROOPS_AGAIN)
    await world.publish(GAZETTE, TROOPS_RETOLD)
    sink.outcomes.append(Unacceptable("invalid_blocks"))
    sink.rule_now = lambda: take_out(TROOPS_RETOLD[0])(world.store)
    await world.deliver()
    assert world.told() == [f"root: {TROOPS[0]}", f"reply: {TROOPS_AGAIN[0]}", f"root: {TROOPS_RETOLD[0]}"]


async def test_backfill_heeds_a_ruling_before_and_meanwhile(world: World, tmp_path: Path) -> None:
    world.store.close()
    store = world.store = Hasty.open(tmp_path)
    store.rule_now = lambda: beside(world, tmp_path, take_out(TROOPS_RETOLD[0]))
    await backfill(timedelta(days=2), world.judge, world.collector)
    retold = story_of(world.store, TROOPS_RETOLD[0])
    [telling] = retold.tellings
    assert world.judge.stories.placement_of(telling.item.id).story == retold.story.id


def test_commit_that_a_ruling_overtook_writes_nothing(store: Store) -> None:
    two_stories(store)
    merged(store, "a", "d")
    with pytest.raises(OvertakenError):
        store.commit_poll(make.polled(), [make.record()], MODEL, 0)
    assert store.explain(make.item().id) is None


async def test_poll_that_brings_nothing_does_not_look_for_rulings(world: World, tmp_path: Path) -> None:
    beside(world, tmp_path, take_out(TROOPS_RETOLD[0]))
    await world.publish(GAZETTE, TROOPS_RETOLD)
    assert world.judge.ruling == 0


async def test_members_say_who_was_put_by_hand(world: World, tmp_path: Path) -> None:
    beside(world, tmp_path, take_out(TROOPS_RETOLD[0]))
    members = world.store.members(timedelta(days=3), world.embedder.id)
    assert [m.embedded.item.title for m in members if m.by_hand] == [TROOPS_RETOLD[0]]


def test_ruling_is_one_transaction(tmp_path: Path) -> None:
    """What fails at its last step has done nothing."""
    with closing(Store.open(tmp_path)) as store:
        store.add_feed(make.feed(), NOW)
        two_stories(store)
        before = stands(store)
        with closing(sqlite3.connect(tmp_path / FILE)) as other:
            other.execute("CREATE TRIGGER no BEFORE DELETE ON stories BEGIN SELECT RAISE(ABORT, 'no'); END")
            other.commit()
        with pytest.raises(sqlite3.IntegrityError):
            merged(store, "a", "d")
        assert (stands(store), store.latest_ruling()) == (before, 0)


# -- corroboration, while the daemon runs ---------------------------------------------------------

#: troops and ships alike, once two sources have them
SLOW = make.topic(
    id="slow",
    terms=Terms(always=("north korean", "warship*")),
    noise=NEVER_BY_SCORE,
    story=StoryPolicy(corroboration=Corroboration(sources=2)),
)


async def two_that_wait() -> World:
    """The wire told of troops and the gazette of ships, and neither was told to anybody; then a person makes them one."""
    world = World((SLOW,))
    await world.know()
    await world.publish(WIRE, TROOPS)
    await world.publish(GAZETTE, SHIPS)
    await world.deliver()
    assert world.told() == []
    join(TROOPS[0], SHIPS[0])(world.store)
    await world.deliver()
    # it has its two sources, but nobody was told so yet
    assert world.told() == []
    return world


async def test_merge_that_completes_the_sources_lets_the_story_out_with_its_next_item() -> None:
    world = await two_that_wait()
    await world.publish(WIRE, TROOPS, TROOPS_AGAIN)
    await world.deliver()
    # the next item is one that completes nothing: as ever, it is counted
    assert world.told() == [f"root: {TROOPS[0]}", f"reply: {SHIPS[0]}"]
    assert world.verdicts()[TROOPS_AGAIN[0]] == "waiting"
    root = world.sink.messages[0]
    assert isinstance(root.alert, Alert)
    assert root.alert.sources == ("Wire", "Gazette")
    assert world.sink.messages[1].thread == "ts1"


async def test_merge_that_completes_the_sources_lets_the_story_out_with_an_item_that_no_topic_takes() -> None:
    world = await two_that_wait()
    await world.publish(WIRE, TROOPS, ("Frigates sail for drills in the Baltic", SHIPS[1]))
    assert len(story_of(world.store, TROOPS[0]).tellings) == 3
    await world.deliver()
    assert world.told() == [f"root: {TROOPS[0]}", f"reply: {SHIPS[0]}"]


async def test_story_that_a_merge_completed_goes_out_at_its_time_as_corroborated() -> None:
    world = await two_that_wait()
    world.wait(hours=6)
    await world.deliver()
    assert world.told() == [f"root: {TROOPS[0]}", f"reply: {SHIPS[0]}"]
    message = world.sink.messages[0].message
    assert message
    assert "single source" not in message.terminal
    assert "2 independent sources: Wire (wire, United Kingdom), Gazette" in message.terminal


async def test_split_of_what_waits_in_one_story_takes_the_sources_away() -> None:
    world = await two_that_wait()
    take_out(SHIPS[0])(world.store)
    await world.publish(WIRE, TROOPS, TROOPS_AGAIN)
    await world.deliver()
    assert world.told() == []
    world.wait(hours=6)
    await world.deliver()
    assert world.told() == [f"root: {TROOPS[0]}", f"root: {SHIPS[0]}"]


async def test_story_that_waits_and_is_merged_with_one_that_was_told_follows_in_its_thread() -> None:
    world = World((TROOPS_TOPIC, replace(SLOW, id="slow ships", terms=Terms(always=("warship*",)))))
    await world.know()
    await world.publish(WIRE, TROOPS)
    await world.publish(GAZETTE, SHIPS)
    await world.deliver()
    join(TROOPS[0], SHIPS[0])(world.store)
    await world.deliver()
    assert world.told() == [f"root: {TROOPS[0]}", f"reply: {SHIPS[0]}"]
    assert world.sink.messages[1].thread == "ts1"
    # and what comes next waits for nothing
    await world.publish(WIRE, TROOPS, ("Warships sail for Baltic drills", SHIPS[1] + " They are in port."))
    await world.deliver()
    assert world.told()[2:] == ["reply: Warships sail for Baltic drills"]


# -- comparing ------------------------------------------------------------------------------------


async def test_two_items_are_compared_as_if_nothing_else_were_open(world: World) -> None:
    await world.publish(WIRE, TROOPS, SHIPS)
    troops, retold, ships = (
        world.store.embedded(known.item.id, world.embedder.id)
        for title in (TROOPS[0], TROOPS_RETOLD[0], SHIPS[0])
        for timeline in world.store.timelines()
        for known in timeline.tellings
        if known.item.title == title
    )
    assert troops
    assert retold
    assert ships
    said = world.judge.compare(retold, troops)
    assert said.startswith("One story: one is an update of the other. Copy: ")
    assert world.judge.compare(troops, retold) == said
    assert world.judge.compare(ships, troops).startswith("Two stories")


def test_item_without_this_model_s_vector_is_not_embedded(store: Store) -> None:
    two_stories(store)
    known = store.embedded(item_id("b"), MODEL)
    assert known
    assert known.item.title == "Title b"
    assert (store.embedded(item_id("b"), "other@1"), store.embedded("nothing", MODEL)) == (None, None)
