"""The store against real SQLite: what is written, what comes back, and what a half-done or foreign database leads to."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import make
import numpy as np
import pytest
from fakes import FakeSink
from sqlite_utils import Database
from world import World, at_once

from monitor.database import APPLICATION_ID, FILE, LOCK, Lock
from monitor.errors import BusyError, StateError
from monitor.model import (
    Ailment,
    Alert,
    AlertKind,
    Condition,
    Corroboration,
    Decision,
    Delivery,
    DeliveryState,
    Document,
    Escalation,
    Feed,
    FeedState,
    Hints,
    Item,
    Match,
    MatchOutcome,
    Notice,
    Placement,
    PollOutcome,
    Record,
    Relation,
    Rhythm,
    Root,
    Severity,
    Subscription,
    Validators,
    Verdict,
)
from monitor.outbox import match_row
from monitor.parse import parse
from monitor.pipeline import Courier, deliver
from monitor.schema import migrations
from monitor.store import Store
from monitor.text import gist, text_hash

NOW = make.NOW
FEED = make.feed()
OTHER = make.feed(
    url="https://gazette.example/rss", title="Gazette", kind="independent", country="Poland", language="pl"
)
VALIDATORS = Validators(etag='"1"', last_modified="Tue, 29 Oct 2024 14:00:00 GMT", body_hash="ab")
MODEL = "bag@1"


def minutes(n: float) -> timedelta:
    return timedelta(minutes=n)


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty store that knows two feeds."""
    store = Store.in_memory()
    store.add_feed(FEED, NOW - minutes(60))
    store.add_feed(OTHER, NOW - minutes(59))
    yield store
    store.close()


def commit(store: Store, *records: Record, now: datetime = NOW, validators: Validators = VALIDATORS) -> None:
    store.commit_poll(make.polled(feed=FEED, at=now, validators=validators), records, MODEL)


def named(title: str, **fields: object) -> Item:
    return make.item(title=title, link=f"https://harbourwire.example/{title.replace(' ', '-')}", **fields)


def root(title: str = "Troops", *, channel: str = make.CHANNEL, created: datetime = NOW) -> Alert:
    item = named(title)
    return make.alert(item=item, story=item.id, story_title=title, channel=channel, created=created)


def reply(to: Alert, title: str = "More troops", *, created: datetime = NOW) -> Alert:
    return make.alert(
        kind=AlertKind.REPLY, item=named(title), story=to.story, story_title=to.story_title, channel=to.channel,
        parent=to.id, created=created,
    )  # fmt: skip


def keep(store: Store, *alerts: Alert) -> None:
    """Commit alerts, each with its item, in this order."""
    for alert in alerts:
        placement = Placement(alert.story, Relation.ROOT if alert.kind is AlertKind.ROOT else Relation.UPDATE)
        decision = Decision(Verdict.ALERT, "news to its channel", (alert,))
        commit(store, make.record(item=alert.item, placement=placement, decision=decision))


def send(store: Store, alert: Alert, receipt: str = "ts1", now: datetime = NOW) -> None:
    assert store.claim(alert.id, make.message(), now)
    store.settle(alert.id, DeliveryState.SENT, now, receipt=receipt)


def only(store: Store) -> Delivery:
    [delivery] = store.deliveries()
    return delivery


def following(store: Store, now: datetime = NOW) -> str | None:
    """The headline of the next delivery."""
    delivery = store.next_queued(now)
    return delivery.alert.item.title if delivery else None


# -- feeds ----------------------------------------------------------------------------------------


def test_feeds_come_back_as_added_in_that_order(store: Store) -> None:
    assert [state.feed for state in store.feeds()] == [FEED, OTHER]


def test_adding_a_new_feed_says_so() -> None:
    assert Store.in_memory().add_feed(FEED, NOW) is True


def test_adding_a_known_feed_corrects_it(store: Store) -> None:
    assert store.add_feed(replace(FEED, title="Harbour Newswire"), NOW) is False
    assert store.feeds()[0].feed.title == "Harbour Newswire"


def test_removed_feed_is_off_the_list(store: Store) -> None:
    assert store.remove_feed(FEED.url) is True
    assert [state.feed for state in store.feeds()] == [OTHER]


@pytest.mark.parametrize("url", [FEED.url, "https://nobody.example/rss"])
def test_removing_what_is_not_on_the_list_says_so(store: Store, url: str) -> None:
    store.remove_feed(FEED.url)
    assert store.remove_feed(url) is False


def test_removed_feed_is_not_polled(store: Store) -> None:
    store.remove_feed(FEED.url)
    assert [state.feed for state in store.due_feeds(NOW)] == [OTHER]


def test_removed_feed_s_items_stay(store: Store) -> None:
    commit(store, make.record())
    store.remove_feed(FEED.url)
    assert store.totals()["items"] == 1


def test_feed_added_again_is_as_if_it_had_never_gone(store: Store) -> None:
    commit(store, make.record())
    store.remove_feed(FEED.url)
    assert store.add_feed(FEED, NOW) is True
    back = next(state for state in store.feeds() if state.feed == FEED)
    assert (back.validators, back.items, back.first_success) == (VALIDATORS, 1, NOW)


def test_new_feed_is_due_at_once(store: Store) -> None:
    assert [state.next_poll for state in store.due_feeds(NOW)] == [None, None]


def test_polled_feed_is_due_when_its_time_has_come(store: Store) -> None:
    store.remove_feed(OTHER.url)
    commit(store)
    assert store.due_feeds(NOW + minutes(9.9)) == []
    assert [state.feed for state in store.due_feeds(NOW + minutes(10))] == [FEED]


def test_longest_overdue_feed_comes_first(store: Store) -> None:
    store.commit_failed_poll(FEED, "timeout", 1.0, NOW + minutes(5), NOW)
    store.commit_failed_poll(OTHER, "timeout", 1.0, NOW + minutes(3), NOW)
    assert [state.feed for state in store.due_feeds(NOW + minutes(10))] == [OTHER, FEED]


def test_failures_add_up_and_the_last_cause_is_kept(store: Store) -> None:
    store.commit_failed_poll(FEED, "timeout", 0.5, NOW, NOW)
    store.commit_failed_poll(FEED, "http 503", 1.0, NOW, NOW)
    state = store.feeds()[0]
    assert (state.failures, state.last_error, state.last_success) == (1.5, "http 503", None)


def test_success_forgets_failures(store: Store) -> None:
    store.commit_failed_poll(FEED, "timeout", 1.0, NOW, NOW)
    commit(store)
    state = store.feeds()[0]
    assert (state.failures, state.last_error) == (0.0, "")


def test_first_success_stays_the_first(store: Store) -> None:
    commit(store)
    commit(store, now=NOW + minutes(10))
    state = store.feeds()[0]
    assert (state.first_success, state.last_success) == (NOW, NOW + minutes(10))


def test_failure_keeps_the_validators(store: Store) -> None:
    commit(store)
    store.commit_failed_poll(FEED, "timeout", 1.0, NOW, NOW)
    assert store.feeds()[0].validators == VALIDATORS


def test_overdue_feeds_are_named_longest_overdue_first(store: Store) -> None:
    store.commit_failed_poll(FEED, "timeout", 1.0, NOW + minutes(5), NOW)
    store.commit_failed_poll(OTHER, "timeout", 1.0, NOW + minutes(3), NOW)
    assert store.overdue(NOW + minutes(4)) == [OTHER.url]
    assert store.overdue(NOW + minutes(5)) == [OTHER.url, FEED.url]


def test_feed_that_was_put_off_is_due_then(store: Store) -> None:
    store.put_off({FEED.url: NOW + minutes(1), OTHER.url: NOW})
    assert [state.feed for state in store.due_feeds(NOW)] == [OTHER]
    assert [state.feed for state in store.due_feeds(NOW + minutes(1))] == [OTHER, FEED]


#: All but the last are of one server.
SERVERS = [
    "https://many.example/1", "https://many.example/2?a=//b", "https://many.example/3#c", "https://many.example",
    "https://many.example:8443/1", "http://many.example/1", "https://one.example/rss",
]  # fmt: skip


def test_a_server_with_many_due_feeds_leaves_the_others_in_sight() -> None:
    store = Store.in_memory()
    for url in SERVERS:
        store.add_feed(make.feed(url=url), NOW)
    assert [state.feed.url for state in store.due_feeds(NOW, each=2)] == [
        "https://many.example/1", "https://many.example/2?a=//b", "https://many.example:8443/1", "http://many.example/1",
        "https://one.example/rss",
    ]  # fmt: skip
    assert [state.feed.url for state in store.due_feeds(NOW, 2, each=1)] == [SERVERS[0], SERVERS[4]]


def test_first_of_many_failures_is_remembered(store: Store) -> None:
    for n in range(3):
        store.commit_failed_poll(FEED, "timeout", 0.5, NOW + minutes(60), NOW + minutes(n))
    state = store.feeds()[0]
    assert (state.failing_since, state.pause) == (NOW, minutes(58))


def test_forgiven_failures_are_taken_back_and_no_more(store: Store) -> None:
    store.commit_failed_poll(FEED, "timeout", 1.5, NOW, NOW)
    store.commit_failed_poll(OTHER, "timeout", 0.25, NOW, NOW)
    store.forgive({FEED.url: 1.0, OTHER.url: 1.0})
    assert [state.failures for state in store.feeds()] == [0.5, 0.0]


RHYTHM = Rhythm(minutes(20), minutes(90), NOW, NOW - minutes(1), Severity.HIGH, NOW - minutes(2))
HINTS = Hints(
    minutes(60), frozenset({0, 1, 23}), frozenset({5, 6}), "https://hub.example/", "https://wire.example/self"
)


def test_what_a_poll_taught_comes_back(store: Store) -> None:
    moved = "https://new.example/rss"
    store.commit_poll(
        make.polled(feed=FEED, moved_to=moved, full=True, rhythm=RHYTHM, hints=HINTS, gap=True), [], MODEL
    )
    state = store.feeds()[0]
    assert (state.rhythm, state.hints, state.moved_to) == (RHYTHM, HINTS, moved)
    assert (state.full_fetch, state.last_gap, state.pause) == (NOW, NOW, minutes(10))


def test_poll_that_brought_no_document_leaves_what_the_last_one_said(store: Store) -> None:
    store.commit_poll(make.polled(feed=FEED, full=True, hints=HINTS, gap=True), [], MODEL)
    store.commit_poll(make.polled(feed=FEED, at=NOW + minutes(10)), [], MODEL)
    state = store.feeds()[0]
    assert (state.hints, state.full_fetch, state.last_gap) == (HINTS, NOW, NOW)


def test_failure_forgets_where_a_redirect_led(store: Store) -> None:
    store.commit_poll(make.polled(feed=FEED, moved_to="https://new.example/rss"), [], MODEL)
    store.commit_failed_poll(FEED, "http 404", 0.5, NOW, NOW)
    assert store.feeds()[0].moved_to == ""


# -- a poll's commit ------------------------------------------------------------------------------


def test_commit_writes_item_match_story_and_alert(store: Store) -> None:
    commit(store, make.alert_record())
    assert store.totals() == {"feeds": 2, "items": 1, "stories": 1, "told": 1, "alerts": 1, "matched": 1}


def broken_record() -> Record:
    """An item of a feed that the database does not know: a foreign key refuses it."""
    return make.record(item=make.item(feed=make.feed(url="https://nobody.example/rss")))


@pytest.mark.parametrize("position", [0, 1, 2])
def test_commit_that_fails_in_the_middle_writes_nothing(store: Store, position: int) -> None:
    records = [make.alert_record(), make.record(item=named("Second"))]
    records.insert(position, broken_record())
    with pytest.raises(sqlite3.IntegrityError):
        commit(store, *records)
    assert store.totals() == {"feeds": 2, "items": 0, "stories": 0, "told": 0, "alerts": 0, "matched": 0}


def test_commit_that_fails_keeps_the_old_validators(store: Store) -> None:
    commit(store)
    with pytest.raises(sqlite3.IntegrityError):
        commit(store, broken_record(), validators=Validators(etag='"2"'))
    assert store.feeds()[0].validators == VALIDATORS


def test_commit_that_fails_leaves_no_vector(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        commit(store, make.record(text_hash="aa"), broken_record())
    assert store.vectors(["aa"], MODEL) == {}


def test_store_works_on_after_a_commit_that_failed(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        commit(store, broken_record())
    commit(store, make.record())
    assert store.totals()["items"] == 1


def test_same_alert_committed_with_another_item_is_one_row(store: Store) -> None:
    alert = root()
    commit(store, make.record(item=alert.item, decision=Decision(Verdict.ALERT, "", (alert,))))
    commit(store, make.record(item=named("Other"), decision=Decision(Verdict.ALERT, "", (alert,))))
    assert store.outbox_counts() == {"queued": 1}


def test_known_by_id_and_by_another_key(store: Store) -> None:
    known = make.item()
    store.commit_poll(make.polled(aliases={"a1": known.id}), [make.record(item=known)], MODEL)
    same = (known.id, known.content)
    assert store.known([known.id, "a1", "f00"]) == {known.id: same, "a1": same}


def test_key_stays_with_the_item_that_bore_it_first(store: Store) -> None:
    first, second = named("First"), named("Second")
    store.commit_poll(make.polled(aliases={"a1": first.id}), [make.record(item=first)], MODEL)
    store.commit_poll(make.polled(aliases={"a1": second.id}), [make.record(item=second)], MODEL)
    assert store.known(["a1"])["a1"][0] == first.id


def test_known_takes_more_keys_than_a_statement_does(store: Store) -> None:
    assert store.known([f"{n:04}" for n in range(1_201)]) == {}


def test_time_comes_back_in_utc_to_the_millisecond(store: Store) -> None:
    there = datetime.fromisoformat("2024-10-29T16:20:00.123456+02:00")
    commit(store, make.record(item=make.item(published=there)))
    [(item, *_)] = store.recent_items(minutes(1))
    assert str(item.published) == "2024-10-29 14:20:00.123000+00:00"


def test_edit_keeps_what_the_item_said_before(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.add_feed(FEED, NOW)
    first = make.item(id="a", title="3 killed", text="So says the mayor.")
    placement = Placement("story-1", Relation.UPDATE, "b", 0.6, "the same event as “Strike” (Gazette)")
    commit(store, make.record(item=first, matches=(make.match(),), placement=placement))
    before = store.versions(["a"])["a"]
    edited = replace(first, title="7 killed", revision=1)
    stays = Placement("story-1", Relation.UPDATE, because="it stands there since it was first seen")
    commit(store, make.record(item=edited, before=before, placement=stays), now=NOW + minutes(10))
    after = store.versions(["a", "nobody"])
    assert after == {"a": replace(before, title="7 killed", revision=1)}
    known = store.explain("a")
    assert known
    assert (known.item, known.matches, known.placement) == (edited, (), placement)
    store.close()
    until = (NOW + minutes(10)).isoformat(timespec="milliseconds")
    assert rows(tmp_path / FILE, "SELECT * FROM revisions") == [("a", 0, until, "3 killed", "So says the mayor.")]


def test_effective_times_of_a_feed_come_latest_first(store: Store) -> None:
    commit(store, seen("a", 9), seen("b", 0), seen("c", 5))
    assert store.item_times(FEED.url, 2) == [NOW - minutes(30), NOW - minutes(35)]
    assert store.item_times(OTHER.url, 2) == []


def test_alerts_of_an_item_are_those_that_told_it_or_will(store: Store) -> None:
    item = named("Troops")
    alerts = [
        make.alert(item=item, story=item.id, story_title="Troops", channel=channel) for channel in ("C1", "C2", "C3")
    ]
    commit(store, make.record(item=item, decision=Decision(Verdict.ALERT, "", tuple(alerts))))
    send(store, alerts[0])
    store.settle(alerts[1].id, DeliveryState.DEAD, NOW)
    assert store.alerts_of(item.id) == [alerts[0], alerts[2]]


# -- the storm breaker ----------------------------------------------------------------------------

LATER = NOW + minutes(10)


def hold(store: Store, *titles: str) -> None:
    """Have a poll hold these items back."""
    empty = np.zeros(0, dtype=np.float32)
    decision = Decision(Verdict.HELD, "9 of 9 items are new to us")
    commit(store, *(make.record(item=named(title), vector=empty, decision=decision) for title in titles))


def state_of_feed(store: Store) -> FeedState:
    return next(state for state in store.feeds() if state.feed == FEED)


def judged(store: Store) -> list[Record]:
    """What a poll makes of the held items that a person released."""
    versions = store.versions([item.id for item in store.held_items(FEED.url)])
    return [make.record(item=item, before=versions[item.id]) for item in store.held_items(FEED.url)]


def test_held_items_come_back_whole_in_the_order_seen(store: Store) -> None:
    hold(store, "b", "a")
    assert store.held_items(FEED.url) == [named("b"), named("a")]
    assert (state_of_feed(store).held, state_of_feed(store).released) == (2, False)
    assert store.held_items(OTHER.url) == []


def test_held_items_are_in_no_open_story(store: Store) -> None:
    hold(store, "a")
    assert list(store.members(timedelta(days=9), MODEL)) == []
    assert store.recent_items(timedelta(days=9)) == []


def test_released_feed_is_due_at_once(store: Store) -> None:
    hold(store, "a", "b")
    assert store.release(FEED.url, NOW + minutes(1)) == 2
    assert state_of_feed(store).released is True
    assert FEED in [state.feed for state in store.due_feeds(NOW + minutes(1))]


@pytest.mark.parametrize("url", [FEED.url, "https://nobody.example/rss"])
def test_releasing_nothing_does_nothing(store: Store, url: str) -> None:
    commit(store, make.record())
    assert store.release(url, NOW) == 0
    assert (state_of_feed(store).released, state_of_feed(store).next_poll) == (False, LATER)


def test_released_items_are_judged_once(store: Store) -> None:
    hold(store, "a", "b")
    store.release(FEED.url, NOW)
    commit(store, *judged(store), now=LATER)
    state = state_of_feed(store)
    assert (state.held, state.released, state.items) == (0, False, 2)
    assert store.verdict_counts() == {"no match": 2}
    assert store.release(FEED.url, LATER) == 0


def test_released_item_leaves_the_story_that_it_had_alone(store: Store) -> None:
    open_item = named("open")
    commit(store, make.record(item=open_item))
    hold(store, "held")
    [record] = judged(store)
    commit(store, replace(record, placement=Placement(open_item.id, Relation.UPDATE, open_item.id)))
    assert store.story(named("held").id) is None
    assert store.totals()["stories"] == 1


def test_release_while_the_feed_is_polled_holds_for_the_next_poll(store: Store) -> None:
    hold(store, "a")
    store.release(FEED.url, LATER)
    commit(store, now=LATER)  # it began before, and knew of nothing
    state = state_of_feed(store)
    assert (state.held, state.released, state.next_poll) == (1, True, LATER)


def test_release_outlasts_polls_that_fail(store: Store) -> None:
    hold(store, "a")
    store.release(FEED.url, NOW)
    store.commit_failed_poll(FEED, "timeout", 1.0, LATER, NOW)
    assert state_of_feed(store).released is True


def test_dropped_items_are_forgotten(store: Store) -> None:
    hold(store, "a", "b")
    assert [store.drop(FEED.url), store.drop(FEED.url)] == [2, 0]
    assert store.verdict_counts() == {"dropped": 2}
    assert (state_of_feed(store).held, store.release(FEED.url, NOW)) == (0, 0)


def test_dropped_items_are_still_known(store: Store) -> None:
    hold(store, "a")
    store.drop(FEED.url)
    assert store.known([named("a").id]) != {}


# -- health ---------------------------------------------------------------------------------------

STALE = Ailment(FEED.url, Condition.STALE, "answers, but …", NOW - minutes(40), told=NOW, absent_since=LATER)
OUTAGE = Ailment("", Condition.OUTAGE, "most hosts …", NOW - minutes(50))
NOTICE = Notice("n1", "C0OPS", "Harbour Wire: stale — answers, but …\nour own network: outage", NOW)


def test_ailments_come_back_oldest_first(store: Store) -> None:
    store.commit_review([STALE, OUTAGE], None, NOW)
    assert store.ailments() == [OUTAGE, STALE]


def test_review_replaces_what_ailed_before(store: Store) -> None:
    store.commit_review([STALE, OUTAGE], None, NOW)
    store.commit_review([OUTAGE], None, NOW)
    assert store.ailments() == [OUTAGE]


def test_review_that_cannot_be_written_leaves_the_one_before(store: Store) -> None:
    store.commit_review([STALE], None, NOW)
    with pytest.raises(sqlite3.IntegrityError):
        store.commit_review([OUTAGE, OUTAGE], NOTICE, NOW)
    assert (store.ailments(), store.outbox_counts()) == ([STALE], {})


def test_notice_waits_in_the_outbox_like_any_alert(store: Store) -> None:
    store.commit_review([STALE], NOTICE, NOW)
    assert store.next_queued(NOW) == Delivery(NOTICE, DeliveryState.QUEUED, 0)
    store.claim(NOTICE.id, make.message(), NOW)
    assert store.doubt_all_sending(NOW) == 1
    [doubt] = store.doubtful(NOW, minutes(0))
    assert (doubt.alert, doubt.message, doubt.thread) == (NOTICE, make.message(), "")


def test_same_notice_twice_is_one_row(store: Store) -> None:
    store.commit_review([STALE], NOTICE, NOW)
    store.commit_review([STALE], NOTICE, NOW + minutes(1))
    assert store.outbox_counts() == {"queued": 1}


def test_notice_tells_no_story_and_no_topic(store: Store) -> None:
    store.commit_review([STALE], NOTICE, NOW)
    assert (store.totals()["told"], store.alerted_topics()) == (0, [])


# -- subscriptions --------------------------------------------------------------------------------

ASKED = Subscription(FEED.url, "https://hub.example/", "https://harbourwire.example/self", "asked", NOW, tries=2)
ACTIVE = replace(ASKED, state="active", tries=0, expires=NOW + timedelta(days=5), reason="so it is")


def due_at(store: Store, feed: Feed = FEED) -> datetime | None:
    return next(state.next_poll for state in store.feeds() if state.feed == feed)


def test_feeds_on_the_list_that_name_a_hub_are_offers(store: Store) -> None:
    store.commit_poll(make.polled(feed=FEED, hints=Hints(hub="https://hub.example/")), [], MODEL)
    store.commit_poll(make.polled(feed=OTHER, hints=HINTS), [], MODEL)
    assert store.offers() == [
        (FEED.url, "https://hub.example/", FEED.url), (OTHER.url, HINTS.hub, HINTS.topic)
    ]  # fmt: skip
    store.remove_feed(FEED.url)
    store.commit_poll(make.polled(feed=OTHER, hints=Hints()), [], MODEL)
    assert store.offers() == []


def test_subscription_comes_back_as_it_is_now(store: Store) -> None:
    for state in (ASKED, ACTIVE):
        store.keep_subscription(state)
        assert store.subscriptions() == [state]


def test_subscription_of_a_removed_feed_is_not_given(store: Store) -> None:
    store.keep_subscription(ACTIVE)
    store.remove_feed(FEED.url)
    assert store.subscriptions() == []


def test_what_pushes_announced_is_kept_with_the_subscription(store: Store) -> None:
    store.keep_subscription(ASKED)
    store.keep_push_counts(FEED.url, 5, 1)
    store.pushed(FEED.url, NOW)
    store.keep_subscription(ACTIVE)
    assert store.push_counts() == {FEED.url: (5, 1, NOW)}


@pytest.mark.parametrize(("at", "due"), [(0, 0), (9, 9), (11, 10)])
def test_push_makes_a_feed_due_earlier_and_never_later(store: Store, at: float, due: float) -> None:
    commit(store)
    store.pushed(FEED.url, NOW + minutes(at))
    assert due_at(store) == NOW + minutes(due)


def test_push_for_a_feed_that_is_due_at_once_changes_nothing(store: Store) -> None:
    store.pushed(FEED.url, NOW)
    assert (due_at(store), len(store.due_feeds(NOW))) == (None, 2)


@pytest.mark.parametrize(("cause", "waits"), [("http 429", True), ("http 503", True), ("timeout", False)])
def test_server_that_asked_us_to_wait_is_not_asked_because_of_a_push(store: Store, cause: str, *, waits: bool) -> None:
    store.commit_failed_poll(FEED, cause, 0.5, LATER, NOW)
    store.pushed(FEED.url, NOW)
    assert due_at(store) == (LATER if waits else NOW)


def test_push_for_an_unknown_or_removed_feed_does_nothing(store: Store) -> None:
    commit(store)
    store.keep_subscription(ACTIVE)
    store.remove_feed(FEED.url)
    store.pushed(FEED.url, NOW)
    store.pushed("https://nobody.example/rss", NOW)
    assert [state.feed for state in store.due_feeds(NOW)] == [OTHER]


# -- vectors --------------------------------------------------------------------------------------


def test_vector_comes_back_at_half_precision(store: Store) -> None:
    vector = np.array([0.1, -0.25, 1 / 3], dtype=np.float32)
    store.keep_vectors({"aa": vector}, MODEL, NOW)
    assert store.vectors(["aa"], MODEL)["aa"].tolist() == [0.0999755859375, -0.25, 0.333251953125]


def test_vector_comes_back_as_float32(store: Store) -> None:
    store.keep_vectors({"aa": np.ones(2, dtype=np.float32)}, MODEL, NOW)
    assert store.vectors(["aa"], MODEL)["aa"].dtype == np.float32


def test_vector_of_another_model_is_not_given(store: Store) -> None:
    store.keep_vectors({"aa": np.ones(2, dtype=np.float32)}, MODEL, NOW)
    assert store.vectors(["aa"], "other@1") == {}


def test_vectors_take_more_hashes_than_a_statement_does(store: Store) -> None:
    kept = {f"{n:04}": np.ones(2, dtype=np.float32) for n in range(1_201)}
    store.keep_vectors(kept, MODEL, NOW)
    assert store.vectors(kept, MODEL).keys() == kept.keys()


def test_vector_that_is_known_is_kept_as_it_was(store: Store) -> None:
    store.keep_vectors({"aa": np.ones(1, dtype=np.float32)}, MODEL, NOW)
    store.keep_vectors({"aa": np.zeros(1, dtype=np.float32)}, MODEL, NOW)
    assert store.vectors(["aa"], MODEL)["aa"].tolist() == [1.0]


# -- stories --------------------------------------------------------------------------------------


def seen(title: str, ago: float, **fields: object) -> Record:
    item = named(title, first_seen=NOW - minutes(ago), published=NOW - minutes(ago + 30))
    return make.record(item=item, **fields)


def titles(store: Store, span: float) -> list[str]:
    return [item.title for item, *_ in store.recent_items(minutes(span))]


def test_recent_items_come_in_the_order_seen(store: Store) -> None:
    commit(store, seen("b", 0), seen("a", 5), seen("c", 2))
    assert titles(store, 60) == ["b", "a", "c"]


def test_recent_items_are_measured_from_the_newest_item(store: Store) -> None:
    commit(store, seen("a", 1000), seen("b", 961), seen("c", 960), seen("d", 900))
    assert titles(store, 60) == ["c", "d"]


def test_recent_items_of_an_empty_store_are_none(store: Store) -> None:
    assert store.recent_items(minutes(60)) == []


def test_recent_item_comes_back_whole(store: Store) -> None:
    item = make.item()
    commit(store, make.record(item=item, text_hash="aa"))
    assert store.recent_items(minutes(60)) == [(item, "aa", item.id, Relation.ROOT)]


def test_members_come_with_vector_story_and_relation(store: Store) -> None:
    first, second = named("a"), named("b")
    update = make.record(item=second, placement=Placement(first.id, Relation.UPDATE, first.id))
    commit(store, make.record(item=first), update)
    members = list(store.members(minutes(60), MODEL))
    assert [(m.embedded.item, m.story, m.relation) for m in members] == [
        (first, first.id, Relation.ROOT), (second, first.id, Relation.UPDATE),
    ]  # fmt: skip
    assert members[0].embedded.vector == pytest.approx([0.6, 0.8], abs=0.001)


def test_item_without_this_model_s_vector_is_no_member(store: Store) -> None:
    commit(store, make.record())
    assert list(store.members(minutes(60), "other@1")) == []


def ordinary(store: Store, count: int = 100, *, ago: float = 600, model: str = MODEL) -> list[str]:
    return [item.title for item, _ in store.ordinary_items(NOW - minutes(ago), count, model)]


def test_ordinary_items_are_those_seen_since_with_their_vectors(store: Store) -> None:
    vectors = {f"{n}": np.array([n, n / 2], dtype=np.float32) for n in range(4)}
    records = [seen(title, 100 * int(title), vector=vector, text_hash=title) for title, vector in vectors.items()]
    commit(store, *records)
    found = {item.title: vector.tolist() for item, vector in store.ordinary_items(NOW - minutes(200), 100, MODEL)}
    assert found == {"0": [0, 0], "1": [1, 0.5], "2": [2, 1]}
    assert ordinary(store, model="other@1") == []


def test_copies_and_what_was_held_or_dropped_are_not_ordinary(store: Store) -> None:
    first = named("first")
    update, copy = (Placement(first.id, relation, first.id) for relation in (Relation.UPDATE, Relation.COPY))
    commit(
        store, make.record(item=first), make.record(item=named("update"), placement=update),
        make.record(item=named("copy"), placement=copy),
        *(make.record(item=named(f"item: {verdict}"), decision=Decision(verdict, "")) for verdict in Verdict),
    )  # fmt: skip
    verdicts = set(Verdict) - {Verdict.HELD, Verdict.DROPPED}
    assert set(ordinary(store)) == {"first", "update", *(f"item: {verdict}" for verdict in verdicts)}


def test_a_draw_of_ordinary_items_is_limited_and_stable(store: Store) -> None:
    commit(store, *(seen(f"item {n}", n) for n in range(60)))
    every, some = ordinary(store), ordinary(store, 20)
    assert len(every) == 60
    assert some == every[:20] == ordinary(store, 20)
    # of all times, not the latest: and what comes later moves few of them
    assert len([title for title in some if int(title.removeprefix("item ")) >= 30]) in range(4, 17)
    commit(store, *(seen(f"later {n}", 0) for n in range(6)))
    assert len(set(ordinary(store, 20)) & set(some)) >= 14


def test_story_sums_up_its_items(store: Store) -> None:
    first = named("Troops", published=NOW - minutes(20))
    later = named("More", feed=OTHER, published=NOW - minutes(6))
    commit(store, make.record(item=first))
    commit(store, make.record(item=later, placement=Placement(first.id, Relation.UPDATE, first.id)))
    story = store.story(first.id)
    assert story
    assert (story.title, story.items) == ("Troops", 2)
    assert (story.sources, story.languages) == (("Harbour Wire", "Gazette"), ("en", "pl"))
    assert (story.opened, story.latest) == (NOW - minutes(20), NOW - minutes(6))


def test_unknown_story_is_none(store: Store) -> None:
    assert store.story("nothing") is None


def test_roots_are_the_channels_told_with_their_root_alert(store: Store) -> None:
    here = root()
    there = replace(here, id="other", channel="C0OTHER")
    commit(store, make.record(item=here.item, decision=Decision(Verdict.ALERT, "", (here, there))))
    keep(store, reply(here))
    assert store.roots(here.story) == {make.CHANNEL: Root(here), "C0OTHER": Root(there)}


# -- the outbox: what comes next ------------------------------------------------------------------


def test_oldest_alert_comes_first(store: Store) -> None:
    keep(store, root("later", created=NOW), root("earlier", created=NOW - minutes(1)))
    assert following(store) == "earlier"


def test_alerts_of_one_moment_come_in_the_order_written(store: Store) -> None:
    keep(store, root("b"), root("a"))
    assert following(store) == "b"


def test_delivery_comes_back_whole(store: Store) -> None:
    alert = make.alert(item=named("Troops"), story_title="Troops", broadcast=True, sources=("Harbour Wire", "Gazette"))
    keep(store, alert)
    assert store.next_queued(NOW) == Delivery(alert, DeliveryState.QUEUED, 0)


def test_dead_root_leaves_its_channel_to_be_told_anew(store: Store) -> None:
    first = root("root")
    keep(store, first)
    store.settle(first.id, DeliveryState.DEAD, NOW)
    assert store.roots(first.story) == {}


#: a root's state -> whether its reply may go
REPLIES = [
    (DeliveryState.QUEUED, False), (DeliveryState.SENDING, False), (DeliveryState.UNKNOWN, False),
    (DeliveryState.BLOCKED, False), (DeliveryState.DEAD, True), (DeliveryState.SENT, True),
]  # fmt: skip


@pytest.mark.parametrize(("state", "goes"), REPLIES)
def test_reply_goes_only_when_its_root_stands_or_never_will(store: Store, state: DeliveryState, *, goes: bool) -> None:
    first = root("root")
    keep(store, first, reply(first, "reply"))
    store.settle(first.id, state, NOW, receipt="ts1" if state is DeliveryState.SENT else "")
    found = [d.alert.item.title for d in store.deliveries() if store.next_queued(NOW) == d]
    assert ("reply" in found) is goes


def test_reply_knows_the_receipt_of_its_root(store: Store) -> None:
    first = root()
    keep(store, first, reply(first))
    send(store, first, "1730212200.000100")
    delivery = store.next_queued(NOW)
    assert delivery
    assert delivery.thread == "1730212200.000100"


def told_to_wait(store: Store, alert: Alert, until: datetime) -> None:
    store.claim(alert.id, make.message(), NOW)
    store.settle(alert.id, DeliveryState.QUEUED, NOW, error="429", not_before=until)


def test_channel_told_to_wait_waits_whole(store: Store) -> None:
    first, second = root("first"), root("second")
    keep(store, first, second)
    told_to_wait(store, first, NOW + minutes(1))
    assert following(store) is None


def test_other_channels_go_on_while_one_waits(store: Store) -> None:
    first = root("first")
    keep(store, first, root("elsewhere", channel="C0OTHER"))
    told_to_wait(store, first, NOW + minutes(1))
    assert following(store) == "elsewhere"


def test_channel_goes_on_when_its_wait_is_over(store: Store) -> None:
    first = root("first")
    keep(store, first, root("second"))
    told_to_wait(store, first, NOW + minutes(1))
    assert following(store, NOW + minutes(1)) == "first"


def test_doubtful_alert_holds_up_no_other(store: Store) -> None:
    first = root("first")
    keep(store, first, root("second"))
    store.settle(first.id, DeliveryState.UNKNOWN, NOW, not_before=NOW + minutes(1))
    assert following(store) == "second"


# -- the outbox: claim and settle -----------------------------------------------------------------


def test_claim_is_written_down(store: Store) -> None:
    alert = root()
    keep(store, alert)
    assert store.claim(alert.id, make.message(), NOW + minutes(1)) is True
    delivery = only(store)
    assert (delivery.state, delivery.attempt, delivery.sending_at) == (DeliveryState.SENDING, 1, NOW + minutes(1))


def test_only_the_first_claim_wins(store: Store) -> None:
    alert = root()
    keep(store, alert)
    assert [store.claim(alert.id, make.message(), NOW) for _ in range(3)] == [True, False, False]


def test_message_is_frozen_at_the_first_claim(store: Store) -> None:
    alert = root()
    keep(store, alert)
    store.claim(alert.id, make.message(text="first"), NOW)
    store.settle(alert.id, DeliveryState.QUEUED, NOW)
    store.claim(alert.id, make.message(text="second"), NOW)
    assert only(store).message == make.message(text="first")


def test_claim_forgets_the_last_error(store: Store) -> None:
    alert = root()
    keep(store, alert)
    store.settle(alert.id, DeliveryState.QUEUED, NOW, error="429")
    store.claim(alert.id, make.message(), NOW)
    assert only(store).error == ""


def test_two_connections_cannot_claim_one_alert(tmp_path: Path) -> None:
    one, other = Store.open(tmp_path), Store.open(tmp_path)
    one.add_feed(FEED, NOW)
    alert = root()
    keep(one, alert)
    assert [store.claim(alert.id, make.message(), NOW) for store in (other, one)] == [True, False]
    one.close()
    other.close()


def test_settled_alert_has_state_receipt_and_error(store: Store) -> None:
    alert = root()
    keep(store, alert)
    store.settle(alert.id, DeliveryState.DEAD, NOW, receipt="ts1", error="invalid_blocks", not_before=NOW)
    delivery = only(store)
    assert (delivery.state, delivery.receipt, delivery.error) == (DeliveryState.DEAD, "ts1", "invalid_blocks")
    assert delivery.not_before == NOW


def test_receipt_once_known_stays(store: Store) -> None:
    alert = root()
    keep(store, alert)
    store.settle(alert.id, DeliveryState.SENT, NOW, receipt="ts1")
    store.settle(alert.id, DeliveryState.SENT, NOW)
    assert only(store).receipt == "ts1"


def test_sent_alert_is_never_queued_again(store: Store) -> None:
    alert = root()
    keep(store, alert)
    send(store, alert)
    store.doubt_all_sending(NOW)
    store.unblock_all(NOW)
    assert store.next_queued(NOW + timedelta(days=9)) is None


def test_outbox_can_be_asked_by_state(store: Store) -> None:
    first, second = root("first"), root("second")
    keep(store, first, second)
    send(store, first)
    queued, both = store.deliveries(DeliveryState.QUEUED), store.deliveries(DeliveryState.SENT, DeliveryState.QUEUED)
    assert [d.alert.id for d in queued] == [second.id]
    assert [d.alert.id for d in both] == [first.id, second.id]


def test_outbox_is_counted_by_state(store: Store) -> None:
    first = root("first")
    keep(store, first, root("second"), root("third"))
    send(store, first)
    assert store.outbox_counts() == {"queued": 2, "sent": 1}


# -- the outbox: roots that wait ------------------------------------------------------------------

NEEDED = Corroboration(sources=2, within=minutes(60))


def wait(store: Store, title: str = "Troops") -> Alert:
    """Commit an item whose root waits, since now."""
    item = named(title)
    alert = make.alert(item=item, story=item.id, story_title=title, corroboration=NEEDED)
    decision = Decision(Verdict.WAITING, "waits", held=(alert,))
    commit(store, make.record(item=item, placement=Placement(item.id, Relation.ROOT), decision=decision))
    return alert


def join(store: Store, story: str, *released: str) -> None:
    """Have another outlet tell the story, by an item that no topic takes."""
    item = named("Troops retold", feed=OTHER)
    decision = Decision(Verdict.NO_MATCH, "", released=released)
    commit(store, make.record(item=item, placement=Placement(story, Relation.UPDATE), decision=decision))


def test_root_that_waits_comes_back_whole_after_a_restart(tmp_path: Path) -> None:
    first = Store.open(tmp_path)
    first.add_feed(FEED, NOW)
    alert = wait(first)
    first.close()
    store = Store.open(tmp_path)
    assert store.deliveries() == [
        Delivery(alert, DeliveryState.HELD, 0, not_before=NOW + minutes(60), reason="corroboration")
    ]
    assert store.roots(alert.story) == {make.CHANNEL: Root(alert, held=True)}
    store.close()


def test_root_that_waits_goes_out_when_its_time_has_come(store: Store) -> None:
    wait(store)
    assert [following(store, NOW + minutes(n)) for n in (0, 59, 60)] == [None, None, "Troops"]


def test_root_whose_time_has_come_names_the_sources_of_then(store: Store) -> None:
    alert = wait(store)
    join(store, alert.story)
    delivery = store.next_queued(NOW + minutes(60))
    assert delivery
    assert isinstance(delivery.alert, Alert)
    assert delivery.alert.sources == ("Harbour Wire", "Gazette")
    assert [voice.kind for voice in delivery.alert.independent] == ["wire", "independent"]
    assert store.claim(alert.id, make.message(), NOW + minutes(60), before=DeliveryState.HELD)
    assert only(store).alert == delivery.alert


def test_root_that_is_let_out_goes_at_once_with_the_sources_of_then(store: Store) -> None:
    alert = wait(store)
    join(store, alert.story, alert.id)
    delivery = only(store)
    assert (delivery.state, delivery.not_before) == (DeliveryState.QUEUED, None)
    assert isinstance(delivery.alert, Alert)
    assert delivery.alert.sources == ("Harbour Wire", "Gazette")
    assert [voice.source for voice in delivery.alert.independent] == ["Harbour Wire", "Gazette"]
    assert following(store) == "Troops"
    assert store.roots(alert.story)[make.CHANNEL].held is False


def test_root_that_went_out_is_not_let_out_again(store: Store) -> None:
    alert = wait(store)
    store.claim(alert.id, make.message(), NOW + minutes(60), before=DeliveryState.HELD)
    join(store, alert.story, alert.id)
    assert only(store).state is DeliveryState.SENDING


def test_root_that_was_let_out_meanwhile_is_not_claimed_as_it_was(store: Store) -> None:
    alert = wait(store)
    join(store, alert.story, alert.id)
    assert not store.claim(alert.id, make.message(), NOW, before=DeliveryState.HELD)
    assert only(store).message is None


def test_root_that_waits_holds_up_no_other_alert(store: Store) -> None:
    wait(store)
    keep(store, root("other"))
    assert following(store) == "other"


def test_reply_waits_for_a_root_that_waits(store: Store) -> None:
    alert = wait(store)
    keep(store, reply(alert))
    assert following(store) is None


def test_story_that_waits_is_none_that_was_told(store: Store) -> None:
    wait(store)
    assert store.totals()["told"] == 0


# -- the outbox: replies that come together -------------------------------------------------------

GAP = minutes(10)


@pytest.fixture
def thread(store: Store) -> Alert:
    """A root that stands in its channel."""
    alert = root("root")
    keep(store, alert)
    send(store, alert, now=NOW - minutes(60))
    return alert


def waiting(store: Store, now: datetime = NOW) -> list[str]:
    """The headlines that the next message tells."""
    delivery = store.next_queued(now, GAP)
    alerts = (delivery.alert, *delivery.batch) if delivery and delivery.growth is None else ()
    return [alert.item.title for alert in alerts if isinstance(alert, Alert)]


def tell(store: Store, now: datetime = NOW, state: DeliveryState = DeliveryState.SENT) -> str:
    """Claim what may go now, and settle it; its id."""
    delivery = store.next_queued(now, GAP)
    assert delivery
    batch = [alert.id for alert in delivery.batch]
    assert store.claim(delivery.alert.id, make.message(), now, batch=batch)
    store.settle(delivery.alert.id, state, now, receipt="ts9" if state is DeliveryState.SENT else "")
    return delivery.alert.id


def standing(store: Store, *states: DeliveryState) -> list[str]:
    return [d.alert.item.title for d in store.deliveries(*states) if isinstance(d.alert, Alert)]


def test_first_reply_goes_at_once(store: Store, thread: Alert) -> None:
    keep(store, reply(thread, "one"))
    assert waiting(store) == ["one"]


def test_reply_waits_until_the_gap_is_over_and_takes_the_others_along(store: Store, thread: Alert) -> None:
    keep(store, reply(thread, "one"))
    tell(store)
    keep(store, reply(thread, "two"), reply(thread, "three"))
    assert [waiting(store, NOW + minutes(n)) for n in (0, 9.9, 10)] == [[], [], ["two", "three"]]


def test_replies_that_are_folded_are_told_by_one_message(store: Store, thread: Alert) -> None:
    keep(store, reply(thread, "one"), reply(thread, "two"), reply(thread, "three"))
    carrier = tell(store)
    assert standing(store, DeliveryState.BATCHED) == ["two", "three"]
    assert {d.carrier for d in store.deliveries(DeliveryState.BATCHED)} == {carrier}
    assert waiting(store, NOW + timedelta(days=1)) == []
    assert store.undelivered() == {}


def test_without_a_gap_each_reply_goes_by_itself(store: Store, thread: Alert) -> None:
    keep(store, reply(thread, "one"), reply(thread, "two"))
    for title in ("one", "two"):
        delivery = store.next_queued(NOW)
        assert delivery
        assert isinstance(delivery.alert, Alert)
        assert (delivery.alert.item.title, delivery.batch) == (title, ())
        send(store, delivery.alert)


def test_each_thread_has_its_own_gap(store: Store, thread: Alert) -> None:
    other = root("other")
    keep(store, other, reply(thread, "one"), reply(other, "elsewhere"))
    send(store, other)
    tell(store)
    assert waiting(store) == ["elsewhere"]


def test_gap_outlasts_a_restart(tmp_path: Path) -> None:
    first = Store.open(tmp_path)
    first.add_feed(FEED, NOW)
    alert = root("root")
    keep(first, alert)
    send(first, alert)
    keep(first, reply(alert, "one"))
    tell(first)
    keep(first, reply(alert, "two"))
    first.close()
    store = Store.open(tmp_path)
    assert [waiting(store, NOW + minutes(n)) for n in (9, 10)] == [[], ["two"]]
    store.close()


def test_message_is_shown_in_the_channel_if_one_of_its_replies_is_to_be(store: Store, thread: Alert) -> None:
    keep(store, reply(thread, "one"), replace(reply(thread, "two"), broadcast=True))
    delivery = store.next_queued(NOW, GAP)
    assert delivery
    assert isinstance(delivery.alert, Alert)
    assert delivery.alert.broadcast
    carrier = tell(store, state=DeliveryState.QUEUED)
    [again] = [d for d in store.deliveries() if d.alert.id == carrier]
    assert isinstance(again.alert, Alert)
    assert again.alert.broadcast


def test_frozen_message_takes_no_other_reply_along(store: Store, thread: Alert) -> None:
    keep(store, reply(thread, "one"))
    tell(store, state=DeliveryState.QUEUED)
    keep(store, reply(thread, "two"))
    assert waiting(store, NOW + minutes(1)) == ["one"]


#: how the message ends that tells three replies -> what is queued again
@pytest.mark.parametrize(
    ("state", "queued"),
    [
        (DeliveryState.SENT, []),
        (DeliveryState.UNKNOWN, []),
        (DeliveryState.BLOCKED, []),
        (DeliveryState.QUEUED, ["one"]),
        (DeliveryState.DEAD, ["two", "three"]),
    ],
)
def test_replies_share_the_end_of_their_message_unless_it_is_refused(
    store: Store, thread: Alert, state: DeliveryState, queued: list[str]
) -> None:
    keep(store, reply(thread, "one"), reply(thread, "two"), reply(thread, "three"))
    tell(store, state=state)
    assert standing(store, DeliveryState.QUEUED) == queued


def test_replies_of_a_refused_message_go_one_by_one(store: Store, thread: Alert) -> None:
    """One of them may be why it was refused: it must not take the others with it."""
    keep(store, reply(thread, "one"), reply(thread, "two"), reply(thread, "three"))
    tell(store, state=DeliveryState.DEAD)
    keep(store, reply(thread, "four"))
    told = []
    for n in range(3):
        told.append(waiting(store, NOW + n * GAP))
        tell(store, NOW + n * GAP)
    assert told == [["two"], ["three"], ["four"]]
    assert standing(store, DeliveryState.DEAD) == ["one"]


def test_reply_found_in_the_channel_has_told_its_batch(store: Store, thread: Alert) -> None:
    keep(store, reply(thread, "one"), reply(thread, "two"))
    carrier = tell(store, state=DeliveryState.UNKNOWN)
    store.settle(carrier, DeliveryState.SENT, NOW, receipt="ts2")
    assert store.outbox_counts() == {"sent": 2, "batched": 1}


def escalating(to: Alert, title: str) -> Alert:
    return replace(reply(to, title), escalation=Escalation(5, 5, minutes(60)), broadcast=True)


def test_escalation_waits_for_no_gap_and_takes_what_waits_along(store: Store, thread: Alert) -> None:
    keep(store, reply(thread, "one"))
    tell(store)
    keep(store, reply(thread, "two"), escalating(thread, "jump"))
    assert waiting(store) == ["jump", "two"]


def test_channel_that_was_told_of_a_jump_is_known(store: Store, thread: Alert) -> None:
    jump = escalating(thread, "jump")
    keep(store, reply(thread, "one"), jump)
    assert store.roots(thread.story)[make.CHANNEL].escalated
    tell(store)
    assert standing(store, DeliveryState.BATCHED) == ["jump"]
    assert store.roots(thread.story)[make.CHANNEL].escalated
    [kept] = [d.alert for d in store.deliveries(DeliveryState.BATCHED)]
    assert kept == jump
    store.settle(jump.id, DeliveryState.DEAD, NOW)
    assert not store.roots(thread.story)[make.CHANNEL].escalated


def test_what_was_tried_in_vain_is_undelivered_and_what_waits_is_not(store: Store, thread: Alert) -> None:
    wait(store)
    keep(store, reply(thread, "one"), root("refused"))
    tell(store, state=DeliveryState.BLOCKED)
    assert store.undelivered() == {"blocked": 1}


def test_events_tell_of_waiting_and_of_folding(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.add_feed(FEED, NOW)
    store.add_feed(OTHER, NOW)
    first = wait(store)
    join(store, first.story, first.id)
    send(store, first, now=NOW - minutes(60))
    one, two = reply(first, "one"), reply(first, "two")
    keep(store, one, two)
    tell(store, state=DeliveryState.DEAD)
    store.close()
    asked = "SELECT from_state, to_state, detail FROM events WHERE alert_id = '{}' ORDER BY id"
    assert rows(tmp_path / FILE, asked.format(first.id))[:2] == [
        ("", "held", "corroboration"),
        ("held", "queued", f"because of {named('Troops retold', feed=OTHER).id}"),
    ]
    assert rows(tmp_path / FILE, asked.format(two.id)) == [
        ("", "queued", ""),
        ("queued", "batched", f"told by {one.id}"),
        ("batched", "queued", f"{one.id} is dead"),
    ]


# -- the outbox: doubts ---------------------------------------------------------------------------


def test_what_was_on_the_wire_is_in_doubt_after_a_start(store: Store) -> None:
    first, second = root("first"), root("second")
    keep(store, first, second)
    store.claim(first.id, make.message(), NOW)
    assert store.doubt_all_sending(NOW + minutes(1)) == 1
    assert store.outbox_counts() == {"unknown": 1, "queued": 1}


def doubt(store: Store, not_before: datetime | None = None) -> None:
    alert = root()
    keep(store, alert)
    store.claim(alert.id, make.message(), NOW)
    store.settle(alert.id, DeliveryState.UNKNOWN, NOW, not_before=not_before)


#: minutes after the try, settle time, not before -> is it looked at?
LOOKS = [
    (0.0, 0.0, None, True),
    (0.9, 1.0, None, False),
    (1.0, 1.0, None, True),
    (1.0, 1.0, 2.0, False),
    (2.0, 1.0, 2.0, True),
    (-9.0, 0.0, None, False),  # the clock went back: later is safe
]


@pytest.mark.parametrize(("after", "settle", "not_before", "looked"), LOOKS)
def test_doubt_is_looked_at_when_it_had_time_to_settle(
    store: Store, after: float, settle: float, not_before: float | None, *, looked: bool
) -> None:
    doubt(store, None if not_before is None else NOW + minutes(not_before))
    assert bool(store.doubtful(NOW + minutes(after), minutes(settle))) is looked


def test_doubt_is_never_sent_unasked(store: Store) -> None:
    doubt(store)
    assert store.next_queued(NOW + timedelta(days=9)) is None


def test_blocked_alerts_are_queued_again_once_a_person_may_have_acted(store: Store) -> None:
    first, second = root("first"), root("second")
    keep(store, first, second)
    store.settle(first.id, DeliveryState.BLOCKED, NOW, error="not_in_channel")
    store.settle(second.id, DeliveryState.DEAD, NOW, error="invalid_blocks")
    assert store.unblock_all(NOW) == 1
    assert store.outbox_counts() == {"queued": 1, "dead": 1}


def test_events_tell_all_that_became_of_an_alert(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.add_feed(FEED, NOW)
    alert = root()
    keep(store, alert)
    store.claim(alert.id, make.message(), NOW)
    store.doubt_all_sending(NOW)
    store.settle(alert.id, DeliveryState.BLOCKED, NOW, error="not_in_channel")
    store.unblock_all(NOW)
    store.claim(alert.id, make.message(), NOW)
    store.settle(alert.id, DeliveryState.SENT, NOW, receipt="ts1")
    store.close()
    assert rows(tmp_path / FILE, "SELECT from_state, to_state, detail FROM events ORDER BY id") == [
        ("", "queued", ""),
        ("queued", "sending", ""),
        ("sending", "unknown", "what came of it was not written down"),
        ("unknown", "blocked", "not_in_channel"),
        ("blocked", "queued", "a person may have acted"),
        ("queued", "sending", ""),
        ("sending", "sent", ""),
    ]


def rows(file: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(file)
    found = connection.execute(sql).fetchall()
    connection.close()
    return found


# -- looking back ---------------------------------------------------------------------------------


TAGGED = "https://harbourwire.example/a?utm_source=rss"


@pytest.mark.parametrize("wanted", ["abcdef0123456789", "abcdef", TAGGED, "https://harbourwire.example/a"])
def test_item_is_found_by(store: Store, wanted: str) -> None:
    item = make.item(id="abcdef0123456789", link=TAGGED, canonical_link="https://harbourwire.example/a")
    commit(store, make.record(item=item))
    known = store.explain(wanted)
    assert known
    assert known.item == item


@pytest.mark.parametrize(
    "wanted", ["", "abcde", "*", "??????", "[a-f]*******", "https://harbourwire.example/", "f00f00"]
)
def test_item_is_not_found_by(store: Store, wanted: str) -> None:
    commit(store, make.record(item=make.item(id="abcdef0123456789")))
    assert store.explain(wanted) is None


def test_newest_of_two_items_at_one_link_is_explained(store: Store) -> None:
    link = "https://harbourwire.example/a"
    commit(store, make.record(item=make.item(title="old", link=link, first_seen=NOW - minutes(9))))
    commit(store, make.record(item=make.item(title="new", link=link, first_seen=NOW)))
    known = store.explain(link)
    assert known
    assert known.item.title == "new"


def test_explained_item_comes_with_all_that_is_remembered(store: Store) -> None:
    alert = root()
    miss = Match("grain", 2.5, 3.3, MatchOutcome.NEARER_NEGATIVE, "Grain ship sails", "Rice is dear", ("grain",), "g")
    placement = Placement(alert.story, Relation.ROOT, "", 0.31, "nothing open is like it")
    decision = Decision(Verdict.ALERT, "news to its channel: dprk-troops", (alert,))
    commit(store, make.record(item=alert.item, matches=(miss, *alert.matches), placement=placement, decision=decision))
    known = store.explain(alert.item.id)
    assert known
    assert known.matches == (*alert.matches, miss)
    assert known.placement == placement
    assert (known.verdict, known.because) == (Verdict.ALERT, "news to its channel: dprk-troops")
    assert known.story.title == "Troops"
    assert [delivery.alert for delivery in known.deliveries] == [alert]


def test_judgement_comes_back_whole(store: Store) -> None:
    match = make.match(
        negative="Rice is dear", terms=("санкция", "oil"), gate="grain | rice", words=("Санкциями", "oil"),
        unit="Press review. Ships full of grain lie off Odesa.", opinion="judge-1 is for it, 80 % sure",
    )  # fmt: skip
    commit(store, make.alert_record(matches=(match,)))
    known = store.explain(make.item().id)
    assert known
    assert known.matches == (match,)
    assert only(store).alert.matches == (match,)


@pytest.mark.parametrize("outcome", MatchOutcome)
def test_each_outcome_comes_back(store: Store, outcome: MatchOutcome) -> None:
    match = make.match(outcome=outcome)
    commit(store, make.record(matches=(match,)))
    known = store.explain(make.item().id)
    assert known
    assert known.matches == (match,)


def test_items_are_found_by_verdict(store: Store) -> None:
    commit(store, make.record(item=named("a")), make.alert_record(), make.record(item=named("b")))
    assert [known.item.title for known in store.with_verdict(Verdict.NO_MATCH)] == ["a", "b"]


def test_verdicts_are_counted(store: Store) -> None:
    commit(store, make.record(item=named("a")), make.alert_record(), make.record(item=named("b")))
    assert store.verdict_counts() == {"no match": 2, "alert": 1}


def test_verdicts_are_counted_since(store: Store) -> None:
    commit(store, seen("a", 10), seen("b", 5), seen("c", 0))
    assert store.verdict_counts(NOW - minutes(5)) == {"no match": 2}


def test_topics_that_alerted_are_listed_once(store: Store) -> None:
    one = replace(root("one"), matches=(make.match(topic="b"), make.match(topic="a")))
    two = replace(root("two"), matches=(make.match(topic="b"),))
    keep(store, one, two)
    assert store.alerted_topics() == ["a", "b"]


def test_fact_is_remembered_and_replaced(store: Store) -> None:
    store.remember("model", "a")
    store.remember("model", "b")
    assert (store.fact("model"), store.fact("other")) == ("b", "")


# -- the file -------------------------------------------------------------------------------------


def test_store_comes_back_after_a_restart(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.add_feed(FEED, NOW)
    alert = root()
    keep(store, alert)
    store.close()
    store = Store.open(tmp_path)
    assert only(store) == Delivery(alert, DeliveryState.QUEUED, 0)
    store.close()


def test_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    Store.open(tmp_path / "var" / "state").close()
    assert (tmp_path / "var" / "state" / FILE).is_file()


def test_migrations_are_applied_once(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.add_feed(FEED, NOW)
    store.close()
    asked = ("SELECT * FROM sqlite_master", "SELECT * FROM _sqlite_migrations")
    before = [rows(tmp_path / FILE, sql) for sql in asked]
    store = Store.open(tmp_path)
    assert len(store.feeds()) == 1
    store.close()
    assert [rows(tmp_path / FILE, sql) for sql in asked] == before


# -- migrations -----------------------------------------------------------------------------------

SPINE_RSS = make.rss(("Troops seen near Kursk", "Seoul told lawmakers."), ("Weather", "Rain."), published=NOW)
#: as the first release had them
_LATER_STATES = (DeliveryState.HELD, DeliveryState.BATCHED, DeliveryState.DROPPED)
SPINE_MATCHES = json.dumps([match_row(make.match(topic="t"))])
SPINE_STATES = [state for state in DeliveryState if state not in _LATER_STATES]
SPINE_TABLES = ("feeds", "stories", "items", "vectors", "matches", "outbox", "events", "facts")


def spine(folder: Path) -> Path:
    """A folder of state as the first release left it: rows in all tables, an alert in every state."""
    with contextlib.closing(sqlite3.connect(folder / FILE, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrations.apply(Database(connection), stop_before="m002_feeds_as_they_are")
        then = (NOW - minutes(10)).isoformat(timespec="milliseconds")
        connection.executemany(
            "INSERT INTO feeds VALUES (?, 'Wire', 'wire', '', 'en', '', ?, ?, '\"1\"', '', 'ab', ?, ?, ?, ?, 0.5, 'timeout')",
            [(FEED.url, 1, then, then, then, then, then), (OTHER.url, 0, then, None, None, None, None)],
        )
        document = Document(FEED, FEED.url, {}, SPINE_RSS)
        for item in parse(document, NOW - minutes(10)).items:
            connection.execute("INSERT INTO stories VALUES (?, ?, ?, ?)", (item.id, item.title, then, then))
            connection.execute(
                "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, 'en', ?, ?, ?, ?, ?, 'root', '', 0.25, 'b', 'alert', 'vb')",
                (
                    item.id, FEED.url, item.title, item.text, item.link, item.canonical_link, then, then, then,
                    text_hash(gist(item.title, item.text)), item.id,
                ),
            )  # fmt: skip
            connection.execute(
                "INSERT INTO matches VALUES (?, 't', 4.5, 3.5, 'matched', 'n', '', '[\"a\"]', '')", (item.id,)
            )
        story = item.id
        for n, state in enumerate(SPINE_STATES):
            message = None if state is DeliveryState.QUEUED else '{"text": "t", "blocks": [], "terminal": "t"}'
            connection.execute(
                """INSERT INTO outbox
                   VALUES (?, 'root', ?, ?, ?, '', ?, '{"t": "T"}', 'high', 0, '["Wire"]', ?, ?, ?, NULL, ?, ?, ?, ?, ?)""",
                (
                    f"alert-{state}",
                    f"C{n}",
                    story,
                    story,
                    SPINE_MATCHES,
                    then,
                    state,
                    n,
                    then,
                    message,
                    f"ts{n}",
                    f"error {n}",
                    then,
                ),
            )
        connection.execute("INSERT INTO vectors VALUES ('aa', 'bag@1', x'003c', ?)", (then,))
        connection.execute("INSERT INTO events VALUES (7, ?, 'alert-sent', '', 'queued', '')", (then,))
        connection.execute("INSERT INTO facts VALUES ('model', 'bag@1')")
    return folder


def dump(folder: Path) -> dict[str, list[dict[str, object]]]:
    """All rows of the first release's tables, in their order."""
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            table: [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]  # noqa: S608 - ours
            for table in SPINE_TABLES
        }


def test_migration_keeps_every_row_as_it_was(tmp_path: Path) -> None:
    before = dump(spine(tmp_path))
    Store.open(tmp_path).close()
    after = dump(tmp_path)
    assert min(map(len, before.values())) > 0
    for table, kept in before.items():
        assert [{name: now[name] for name in then} for now, then in zip(after[table], kept, strict=True)] == kept
    assert rows(tmp_path / FILE, "PRAGMA foreign_key_check") == []
    assert rows(tmp_path / FILE, "PRAGMA integrity_check") == [("ok",)]


def test_migrated_database_has_the_same_schema_as_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for folder in (spine(tmp_path / "old"), tmp_path / "new"):
        Store.open(folder).close()
    asked = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY 1, 2"
    assert rows(tmp_path / "old" / FILE, asked) == rows(tmp_path / "new" / FILE, asked)
    columns = "SELECT m.name, c.* FROM sqlite_master m, pragma_table_info(m.name) c ORDER BY m.name, c.cid"
    assert rows(tmp_path / "old" / FILE, columns) == rows(tmp_path / "new" / FILE, columns)


async def test_delivery_that_waited_is_delivered_after_the_migration(tmp_path: Path) -> None:
    store, sink = Store.open(spine(tmp_path)), FakeSink()
    assert store.doubt_all_sending(NOW) == 1
    courier = Courier(sink, store, at_once, at_once, lambda: NOW, timedelta(0))
    # what was queued, or blocked, and the two of which nobody knew; neither what was sent nor what a person must look at
    await deliver(courier)
    sent = ["alert-blocked", "alert-queued", "alert-sending", "alert-unknown"]
    assert sorted(told.alert.id for told in sink.messages) == sent
    assert store.outbox_counts() == {"sent": 5, "dead": 1}
    store.close()


async def test_what_the_first_release_stored_is_neither_new_nor_edited(tmp_path: Path) -> None:
    spine(tmp_path)
    world = World()
    world.store.close()
    world.store = Store.open(tmp_path)
    world.fetch.script(FEED.url, SPINE_RSS.replace(b"lawmakers", b"everybody who would listen to it at last"))
    [state] = world.store.feeds()
    before = world.store.totals()
    assert await world.poll(state.feed) == [PollOutcome.NOTHING_NEW]
    assert world.store.totals() == before
    world.store.close()


def test_migration_that_fails_in_the_middle_leaves_the_old_database(tmp_path: Path) -> None:
    before = dump(spine(tmp_path))
    with contextlib.closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as connection:
        # the last thing but one that it does
        connection.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ALTER_TABLE else sqlite3.SQLITE_OK
        )
        with pytest.raises(sqlite3.DatabaseError):
            migrations.apply(Database(connection))
    assert dump(tmp_path) == before
    Store.open(tmp_path).close()
    assert len(dump(tmp_path)["outbox"]) == len(SPINE_STATES)


#: what stands where the database should be
FOREIGN = {"text": b"# Notes\n\nnot a database, but somebody's\n" * 40, "cut": b"SQLite format 3\0" + b"\1" * 500}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_file_that_is_no_database_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(StateError, match=str(tmp_path / FILE)):
        Store.open(tmp_path)


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_file_that_is_no_database_is_left_as_it_was(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(StateError):
        Store.open(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE]


def test_folder_in_place_of_the_database_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(StateError, match=str(tmp_path / FILE)):
        Store.open(tmp_path)


def test_file_in_place_of_the_folder_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("mine", encoding="utf-8")
    with pytest.raises(StateError, match=str(tmp_path / "state")):
        Store.open(tmp_path / "state")


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Store]:
    """A store that waits for a locked database no longer than a moment."""
    Store.open(tmp_path).close()
    store = Store(sqlite3.connect(tmp_path / FILE, timeout=0.05, isolation_level=None))
    yield store
    store.close()


@pytest.fixture
def writer(tmp_path: Path, impatient: Store) -> Iterator[sqlite3.Connection]:  # noqa: ARG001 - it makes the file
    """Somebody who is in the middle of writing."""
    connection = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


@pytest.mark.usefixtures("writer")
def test_locked_database_is_an_error_of_ours(impatient: Store) -> None:
    with pytest.raises(StateError, match="locked"):
        impatient.add_feed(FEED, NOW)


@pytest.mark.usefixtures("writer")
def test_locked_database_can_be_read(impatient: Store) -> None:
    assert impatient.feeds() == []


def test_store_works_on_when_the_lock_is_gone(impatient: Store, writer: sqlite3.Connection) -> None:
    with pytest.raises(StateError):
        impatient.add_feed(FEED, NOW)
    writer.execute("ROLLBACK")
    assert impatient.add_feed(FEED, NOW) is True


def test_full_disk_is_an_error_of_ours_and_writes_nothing(tmp_path: Path) -> None:
    store, small = full_disk(tmp_path)
    with pytest.raises(StateError, match="full"):
        commit(store, *(make.record(item=named(f"item {n}", text="long " * 500)) for n in range(50)))
    assert store.totals()["items"] == 0
    small.close()


def test_store_works_on_when_the_disk_has_room_again(tmp_path: Path) -> None:
    store, small = full_disk(tmp_path)
    records = [make.record(item=named(f"item {n}", text="long " * 500)) for n in range(50)]
    with pytest.raises(StateError):
        commit(store, *records)
    small.execute("PRAGMA max_page_count = 10000")
    commit(store, *records)
    assert store.totals()["items"] == 50
    small.close()


def full_disk(folder: Path) -> tuple[Store, sqlite3.Connection]:
    """A store whose database may grow by a few pages only, and its connection."""
    Store.open(folder).close()
    connection = sqlite3.connect(folder / FILE, isolation_level=None)
    store = Store(connection)
    store.add_feed(FEED, NOW)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    return store, connection


def test_damaged_database_is_an_error_of_ours(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.add_feed(FEED, NOW)
    commit(store, *(make.record(item=named(f"item {n}")) for n in range(200)))
    store.close()
    content = (tmp_path / FILE).read_bytes()
    whole = len(content) * 3 // 4
    (tmp_path / FILE).write_bytes(content[:whole] + b"\xff" * (len(content) - whole))
    store = Store.open(tmp_path)
    with pytest.raises(StateError, match="cannot be read") as told:
        store.recent_items(minutes(60))
    store.close()
    assert told.value.permanent


# -- the lock -------------------------------------------------------------------------------------


def test_second_lock_names_the_process_that_has_the_first(tmp_path: Path) -> None:
    with Lock(tmp_path), pytest.raises(BusyError, match=rf"process {os.getpid()}\b.*{tmp_path}"):
        Lock(tmp_path)


def test_lock_is_free_when_let_go(tmp_path: Path) -> None:
    with Lock(tmp_path):
        pass
    with Lock(tmp_path):
        assert (tmp_path / LOCK).read_text() == str(os.getpid())


def test_lock_dies_with_its_process(tmp_path: Path) -> None:
    hold = "import os, sys, pathlib; from monitor.database import Lock; lock = Lock(pathlib.Path(sys.argv[1])); os._exit(9)"
    done = subprocess.run([sys.executable, "-c", hold, tmp_path], check=False)  # noqa: S603 - our own interpreter
    assert done.returncode == 9
    with Lock(tmp_path):
        assert (tmp_path / LOCK).read_text() == str(os.getpid())


def test_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("mine", encoding="utf-8")
    with pytest.raises(StateError, match=str(tmp_path / "state")):
        Lock(tmp_path / "state")


def test_another_programs_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as theirs:
        theirs.execute("CREATE TABLE recipes (name TEXT)")
        theirs.commit()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(StateError, match="another program's database"):
        Store.open(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
