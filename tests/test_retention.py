"""What is let go and what never is; two hundred days of it; and that nothing is told twice because it was let go."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import make
import pytest
from click.testing import CliRunner
from fakes import FakeEmbedder, FakeFetch, background, ordinary
from home import Clock, Home, open_home
from hypothesis import given
from hypothesis import strategies as st

from monitor import app, retention
from monitor.app import STEP, as_many
from monitor.cli import main
from monitor.database import FILE
from monitor.learning import Learning
from monitor.model import (
    Decision,
    FeedbackKind,
    MatchOutcome,
    Opinion,
    Placement,
    Record,
    Relation,
    Rhythm,
    Silence,
    Verdict,
)
from monitor.retention import START, Mark
from monitor.store import Store
from monitor.text import item_id

FEED = make.feed()
MODEL = FakeEmbedder().id
NOW = make.NOW
DAY = timedelta(days=1)
#: what is older may go
BEFORE = NOW - 90 * DAY
OLD, YOUNG = BEFORE - DAY, NOW - DAY

SHIPS = """
title = "Ships"
description = "Warships, as the wires tell of them."
examples = ["Warships sail for drills", "A warship is seen off the coast", "Warships leave harbour"]
"""


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store.in_memory()
    store.add_feed(FEED, OLD)
    yield store
    store.close()


def record(title: str, seen: datetime = OLD, story: str = "", **fields: object) -> Record:
    item = make.item(title=title, link=f"https://wire.example/{title}", first_seen=seen, published=seen)
    return make.record(item=item, placement=Placement(story or item.id, Relation.ROOT), **fields)


def told(title: str, seen: datetime = OLD, story: str = "") -> Record:
    one = record(title, seen, story)
    alert = make.alert(item=one.embedded.item, story=one.placement.story, created=seen)
    return replace(one, decision=Decision(Verdict.ALERT, "news", (alert,)))


def commit(store: Store, *records: Record, aliases: dict[str, str] | None = None) -> None:
    at = max(one.embedded.item.first_seen for one in records)
    store.commit_poll(make.polled(feed=FEED, at=at, aliases=aliases or {}), records, MODEL)


def all_of(step: retention.Step, before: datetime = BEFORE, count: int = 2) -> None:
    """Take a step again and again, until there is no more."""
    mark: Mark | None = START
    while mark is not None:
        mark = step(before, mark, count)


def titles(store: Store) -> set[str]:
    return {known.item.title for verdict in Verdict for known in store.with_verdict(verdict)}


def rows(store: Store, table: str) -> int:
    [(n,)] = store._connection.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: SLF001, S608 - nobody else counts
    return int(n)


# -- what goes ------------------------------------------------------------------------------------


def test_old_item_goes_with_all_that_hangs_on_it(store: Store) -> None:
    one = record("old", matches=(make.match(outcome=MatchOutcome.BELOW_BAR),))
    commit(store, one, record("young", YOUNG))
    item = one.embedded.item
    edit = replace(one.embedded, item=replace(item, title="edited", revision=1))
    known = store.versions([item.id])[item.id]
    commit(store, replace(one, embedded=edit, before=known), aliases={"another name": item.id})

    all_of(store.let_go_items)

    assert titles(store) == {"young"}
    assert store.story(item.id) is None
    assert [rows(store, table) for table in ("revisions", "matches", "identities")] == [0, 0, 0]
    assert store.are_let_go([item.id, "another name", "no name"]) == {item.id, "another name"}


def test_story_is_kept_as_a_whole_while_it_has_a_young_item(store: Store) -> None:
    commit(store, record("first", story="s"), record("last", YOUNG, story="s"))
    all_of(store.let_go_items)
    assert titles(store) == {"first", "last"}


def test_what_anybody_was_told_of_is_kept_with_its_story(store: Store) -> None:
    commit(store, told("told", story="s"), record("a copy of it", story="s"))
    all_of(store.let_go_items)
    assert titles(store) == {"told", "a copy of it"}


def test_what_waits_to_be_told_is_kept(store: Store) -> None:
    one = told("held for sources", story="s")
    commit(store, replace(one, decision=Decision(Verdict.WAITING, "", held=one.decision.alerts)))
    all_of(store.let_go_items)
    assert titles(store) == {"held for sources"}


def test_what_the_storm_breaker_holds_waits_for_a_person(store: Store) -> None:
    commit(store, record("held", decision=Decision(Verdict.HELD, "a storm")))
    all_of(store.let_go_items)
    assert titles(store) == {"held"}
    store.drop(FEED.url)
    all_of(store.let_go_items)
    assert titles(store) == set()


def test_silenced_story_is_kept_while_it_is(store: Store) -> None:
    commit(store, record("silenced", story="s"))
    store.add_silence(Silence(NOW, "anna", "", OLD, story="s"))
    all_of(store.let_go_items)
    assert titles(store) == {"silenced"}
    all_of(store.let_go_items, NOW)
    assert titles(store) == set()


def test_feedback_keeps_what_it_is_about(store: Store) -> None:
    commit(store, one := told("told"))
    [alert] = one.decision.alerts
    store.keep_feedback({alert.id: [(FeedbackKind.WRONG, "U0ANNA")]}, OLD)
    all_of(store.let_go_items)
    assert [alert.item.title for alert, _ in store.feedback_on_alerts(OLD - DAY)] == ["told"]


def test_a_step_that_may_look_at_many_deletes_a_few(store: Store) -> None:
    commit(store, *(record(f"item {n}") for n in range(2 * retention.AT_ONCE)), record("young", YOUNG))
    mark = store.let_go_items(BEFORE, START, 1_000)
    assert mark is not None
    assert len(titles(store)) == retention.AT_ONCE + 1
    store.let_go_items(BEFORE, mark, 1_000)
    assert titles(store) == {"young"}


def test_after_a_step_the_log_is_emptied_as_before(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path)) as store:
        pages = store._rows("PRAGMA wal_autocheckpoint")  # noqa: SLF001 - nobody else asks
        store.add_feed(FEED, OLD)
        commit(store, record("old"))
        all_of(store.let_go_items)
        assert store._rows("PRAGMA wal_autocheckpoint") == pages  # noqa: SLF001 - as above


def test_monitor_once_lets_go_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "open_learning", lambda _: Learning(FakeEmbedder(), ordinary, background()))
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "ships.toml").write_text(SHIPS, encoding="utf-8")
    (tmp_path / "monitor.toml").write_text('state = "state"\n', encoding="utf-8")
    with closing(Store.open(tmp_path / "state")) as store:
        store.add_feed(FEED, OLD)
        commit(store, record("old", OLD - DAY), record("young", YOUNG))
        store.let_go_vectors(NOW + DAY, START, 10)  # of another model than the one at work
        store.remove_feed(FEED.url)
    result = CliRunner().invoke(main, ["--config", str(tmp_path / "monitor.toml"), "once"])
    assert result.exit_code == 0, result.output
    with closing(Store.open(tmp_path / "state")) as store:
        assert titles(store) == {"young"}


def test_what_is_gone_still_counts_as_seen(store: Store) -> None:
    commit(store, record("a"), record("b", decision=Decision(Verdict.COPY, "")), record("c", YOUNG))
    before = store.verdict_counts()
    all_of(store.let_go_items)
    assert store.verdict_counts() == before == {"no match": 2, "copy": 1}
    assert store.verdict_counts(YOUNG) == {"no match": 1}
    totals = store.totals()
    assert (totals["items"], totals["items let go"], totals["stories"], totals["stories let go"]) == (1, 2, 1, 2)


def test_misses_go_before_the_items_do(store: Store) -> None:
    matches = tuple(make.match(topic=str(outcome), outcome=outcome) for outcome in MatchOutcome)
    for n in range(5):
        commit(store, record(f"old {n}", OLD + n * timedelta(minutes=1), matches=matches))
    commit(store, record("young", YOUNG, matches=matches))
    taken = {outcome for outcome in MatchOutcome if outcome.taken}

    for _ in range(2):
        all_of(store.let_go_misses)
        kept = {known.item.title: {m.outcome for m in known.matches} for known in store.with_verdict(Verdict.NO_MATCH)}
        assert kept == {f"old {n}": taken for n in range(5)} | {"young": set(MatchOutcome)}


def test_vectors_go_that_were_not_used_for_long(store: Store) -> None:
    vector = make.record().embedded.vector
    store.keep_vectors(dict.fromkeys(["old", "a topic's", "older", "oldest"], vector), MODEL, OLD)
    store.keep_vectors({"young": vector}, MODEL, YOUNG)
    store.use_vectors(["a topic's"], MODEL, YOUNG)
    all_of(store.let_go_vectors)
    assert set(store.vectors(["old", "older", "oldest", "a topic's", "young"], MODEL)) == {"a topic's", "young"}


def test_opinions_go_as_items_do(store: Store) -> None:
    opinion = Opinion(True, 0.9, "it is", "judge")
    store.keep_opinions(dict.fromkeys(["a", "b", "c"], opinion), OLD)
    store.keep_opinions({"d": opinion}, YOUNG)
    all_of(store.let_go_opinions)
    assert set(store.opinions(["a", "b", "c", "d"])) == {"d"}


def test_names_are_kept_until_the_feed_has_brought_something_and_they_were_not_there(store: Store) -> None:
    # it is let go while the newest item is of yesterday
    commit(store, record("old"), record("young", YOUNG))
    all_of(store.let_go_items)
    name = record("old").embedded.item.id

    all_of(store.forget_names, NOW)
    assert store.are_let_go([name])

    def poll(at: datetime, *offered_again: str) -> None:
        rhythm = Rhythm(last_new=at)
        store.commit_poll(make.polled(feed=FEED, at=at, rhythm=rhythm, offered_again=offered_again), [], MODEL)
        all_of(store.forget_names, at)

    poll(NOW + DAY, name)
    assert store.are_let_go([name])
    poll(NOW + 2 * DAY)
    assert store.are_let_go([name])
    poll(NOW + 3 * DAY)
    assert not store.are_let_go([name])


@given(st.data())
def test_of_any_stories_those_go_in_which_nothing_is_needed(data: st.DataObject) -> None:
    """Whatever the size of a step, and whatever came before it."""
    kinds = ("plain", "young", "told", "held", "by hand")
    drawn = data.draw(st.lists(st.lists(st.sampled_from(kinds), min_size=1, max_size=3), max_size=6))
    with closing(Store.in_memory()) as store:
        store.add_feed(FEED, OLD)
        for n, story in enumerate(drawn):
            for m, kind in enumerate(story):
                seen = YOUNG if kind == "young" else OLD + timedelta(minutes=data.draw(st.integers(0, 3)))
                one = (told if kind == "told" else record)(f"{n}.{m} {kind}", seen, f"story {n}")
                if kind == "held":
                    one = replace(one, decision=Decision(Verdict.HELD, ""))
                commit(store, one)
                if kind == "by hand":
                    store._connection.execute("UPDATE items SET by_hand = 1 WHERE id = ?", (one.embedded.item.id,))  # noqa: SLF001
        all_of(store.let_go_items, count=data.draw(st.integers(1, 5)))

        stay = {n for n, story in enumerate(drawn) if set(story) != {"plain"}}
        expected = {f"{n}.{m} {kind}" for n in stay for m, kind in enumerate(drawn[n])}
        assert titles(store) == expected
        assert rows(store, "stories") == len(stay)
        assert store._connection.execute("PRAGMA foreign_key_check").fetchall() == []  # noqa: SLF001


@given(st.integers(1, 5_000), st.floats(0, 10, allow_nan=False))
def test_step_that_took_long_is_followed_by_a_smaller_one(count: int, took: float) -> None:
    following = as_many(count, took)
    assert following == 5 or following <= 2 * count
    assert following == 5 or following * took <= count * STEP + 1e-6


# -- room on the disk -----------------------------------------------------------------------------


def filled(folder: Path) -> Store:
    store = Store.open(folder)
    store.add_feed(FEED, OLD)
    for n in range(300):
        commit(store, record(f"{n} {'x' * 4_000}"))
    return store


def test_room_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "FREE_PAGES", 10)
    with closing(filled(tmp_path)) as store:
        store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # noqa: SLF001
        before = (tmp_path / FILE).stat().st_size
        all_of(store.let_go_items, count=50)
        all_of(store.shrink, count=16)
        store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # noqa: SLF001
        assert store.shrinks()
        assert (tmp_path / FILE).stat().st_size < before / 2
        assert store._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]  # noqa: SLF001


def test_old_database_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "FREE_PAGES", 10)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as early:
        early.execute("PRAGMA auto_vacuum = NONE")
        early.execute("CREATE TABLE t (a)")
        early.execute("DROP TABLE t")
        early.execute("PRAGMA application_id = 0x6E6D6F6E")
    with closing(filled(tmp_path)) as store:
        all_of(store.let_go_items, count=50)
        all_of(store.shrink, count=16)
        assert not store.shrinks()


# -- two hundred days -----------------------------------------------------------------------------

WIRE = make.feed(url="https://wire.example/rss", title="Wire")
#: nothing ever leaves its document, and it dates nothing
SHELF = make.feed(url="https://shelf.example/rss", title="Shelf")
ON_THE_SHELF = [(f"North Korean paper {n}", f"It is number {n} of the series.") for n in range(5)]
DAYS = 200
#: every fourth day of the wire's has one that a topic takes
TOLD_EVERY = 4


def words(day: int, n: int) -> str:
    drawn = random.Random(day * 100 + n)  # noqa: S311 - the same news each time
    return " ".join("".join(drawn.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(8))


def on_the_wire(day: int) -> list[tuple[str, str]]:
    plain = [(words(day, n), words(day, n + 10)) for n in range(4)]
    taken = [(f"North Korean {words(day, 6)}", words(day, 16))] if day % TOLD_EVERY == 0 else []
    return plain + taken


def undated(document: bytes) -> bytes:
    return b"".join(part.partition(b"</pubDate>")[2] or part for part in document.split(b"<pubDate>"))


class Quick(Store):
    """Waits for no disk: no power is cut here."""

    @contextlib.contextmanager
    def _writing(self, *, durably: bool = True) -> Iterator[None]:  # noqa: ARG002 - that is the point
        with super()._writing(durably=False):
            yield


async def live(home: Home, fetch: FakeFetch, day: int, *, again: int | None = None) -> None:
    home.clock.now = make.NOW + day * DAY
    shelf = [*ON_THE_SHELF, *((words(n, 30), words(n, 31)) for n in range(60, day, 60))]
    fetch.script(WIRE.url, make.rss(*on_the_wire(day), published=home.clock()))
    if again is not None:
        fetch.script(WIRE.url, undated(make.rss(*on_the_wire(again)[:3], *on_the_wire(day), published=home.clock())))
    fetch.script(SHELF.url, undated(make.rss(*shelf)))
    await home.monitor.poll_due()
    await home.monitor.deliver()
    await home.monitor.tidy()


def measured(folder: Path) -> dict[str, int]:
    with closing(sqlite3.connect(folder / FILE)) as connection:
        tables = ("items", "stories", "matches", "vectors", "identities", "let_go")
        counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}  # noqa: S608
        [(pages,)] = connection.execute("PRAGMA page_count")
        return counts | {"pages": pages}


@pytest.mark.slow
def test_two_hundred_days(tmp_path: Path) -> None:
    """Sizes level off, nothing is told twice, and what is gone is known to be gone."""
    fetch, sizes = FakeFetch(), {}

    async def run() -> list[str]:
        async with open_home(tmp_path, WIRE, SHELF, fetch=fetch, clock=Clock(), kind=Quick) as home:
            for day in range(DAYS):
                # of what left its document long ago some comes back, without a date, for one poll
                await live(home, fetch, day, again=day - 95 if day in (130, 131) else None)
                sizes[day] = await asyncio.to_thread(measured, tmp_path)
            return [m.alert.item.title for m in home.sink.messages if hasattr(m.alert, "item")]

    messages = asyncio.run(run())

    assert len(messages) == len(set(messages))
    assert {on_the_wire(day)[-1][0] for day in range(TOLD_EVERY, DAYS, TOLD_EVERY)} <= set(messages)
    assert not {title for title, _ in ON_THE_SHELF} & set(messages)
    # what was told stays
    kept = len(messages)
    for table, n in sizes[DAYS - 1].items():
        assert n <= 1.15 * sizes[110][table] + 2 * kept or table == "let_go", table
    # names go another 90 days later
    assert sizes[DAYS - 1]["let_go"] <= 1.15 * sizes[185]["let_go"]

    ask = CliRunner()
    (tmp_path / "monitor.toml").write_text(f'state = "{tmp_path}"\n', encoding="utf-8")
    at = ["--config", str(tmp_path / "monitor.toml")]
    # an item of 110 days ago: by its id, the beginning of it, and its link
    title = on_the_wire(DAYS - 110)[0][0]
    name = item_id(WIRE.url, title)
    link = make._link(title)  # noqa: SLF001
    for asked in (name, name[:8], link):
        done = ask.invoke(main, [*at, "explain", asked])
        assert (done.exit_code, "let go: nobody was told of it in 90d" in done.stderr) == (1, True), asked
    told_first = messages[0]
    assert ask.invoke(main, [*at, "explain", item_id(WIRE.url, told_first)]).exit_code == 0
    status = ask.invoke(main, [*at, "status"])
    assert "items let go" in status.stdout
