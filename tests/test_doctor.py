"""`doctor`: each thing that can be wrong is named, with a remedy, and the most urgent stands first; and who looks finds it."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import make
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_cli import Run, home, monitor

from monitor import consult, doctor
from monitor.app import CLOCK
from monitor.backup import back_up
from monitor.database import FILE
from monitor.doctor import Finding, Seen, Urgency, as_data, examine, told, worst
from monitor.errors import EngineError, Level, Problem
from monitor.model import Blockage, DeliveryState, FeedState, Numbers
from monitor.skew import HOSTS, LEAST, Skew, answered_at
from monitor.store import Store

__all__ = ["home", "monitor"]

NOW = make.NOW
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def feed(**fields: object) -> FeedState:
    known = FeedState(make.feed(), first_success=NOW - DAY, last_poll=NOW, last_success=NOW, next_poll=NOW + HOUR)
    return replace(known, **fields)  # type: ignore[arg-type]  # any field


NUMBERS = Numbers(
    feeds=[feed()], stories=5, verdicts={"alert": 2}, outbox={"sent": 2}, held={}, blockages=[], outage=False,
    canary=None, link=None, at=NOW,
)  # fmt: skip
WELL = Seen(
    NOW, topics=22, numbers=NUMBERS, size=50_000_000, backup=NOW - HOUR, room=50_000_000_000, synchronised=True, model="",
    slack=(),
)  # fmt: skip
BLOCKED = Blockage("C0NEWS", "not_in_channel: type /invite @monitor", NOW - HOUR, NOW, 3)
REFUSED = Problem("rules/a.toml", 3, "examples: missing")


def numbers(**fields: object) -> Numbers:
    return replace(NUMBERS, **fields)  # type: ignore[arg-type]  # any field


#: what is seen -> its check, how urgent that is, and a word of what is said
WRONG: dict[str, tuple[Seen, str, Urgency, str]] = {
    "a broken configuration": (Seen(NOW, configuration=[REFUSED]), "configuration", Urgency.CRITICAL, "rules/a.toml:3"),
    "a damaged database": (replace(WELL, database="damaged"), "database", Urgency.CRITICAL, "damaged"),
    "a database that cannot be written": (replace(WELL, trouble="since 10:00"), "database", Urgency.CRITICAL, "10:00"),
    "free pages that stay": (
        replace(WELL, size=10**9, free=9 * 10**8, shrinks=False), "database", Urgency.WARNING, "900 MB of its 1.0 GB"),
    "no room": (replace(WELL, room=10**8), "disk", Urgency.CRITICAL, "100 MB"),
    "room for no backup": (replace(WELL, size=6 * 10**10), "disk", Urgency.WARNING, "50.0 GB"),
    "a clock that is off": (replace(WELL, ahead=timedelta(seconds=40)), "clock", Urgency.WARNING, "40 s ahead"),
    "a clock that is wrong": (replace(WELL, ahead=-3 * HOUR), "clock", Urgency.CRITICAL, "10800 s behind"),
    "a clock that nobody knows": (replace(WELL, synchronised=None), "clock", Urgency.UNKNOWN, "nothing says"),
    "other weights": (replace(WELL, model="sha256"), "model", Urgency.CRITICAL, "sha256"),
    "no topic": (replace(WELL, topics=0), "rules", Urgency.CRITICAL, "no topic"),
    "a broken topic": (replace(WELL, rules=[REFUSED]), "rules", Urgency.WARNING, "rules/a.toml:3"),
    "an outage": (replace(WELL, numbers=numbers(outage=True)), "network", Urgency.CRITICAL, "cannot be reached"),
    "an alert that waits": (replace(WELL, waiting_since=NOW - HOUR), "delivery", Urgency.CRITICAL, "60 min"),
    "a dead token": (
        replace(WELL, numbers=numbers(blockages=[replace(BLOCKED, channel="")])), "slack", Urgency.CRITICAL, "every channel"),
    "a scope that is missing": (replace(WELL, slack=["lacks the scope"]), "slack", Urgency.CRITICAL, "lacks the scope"),
    "no token": (replace(WELL, slack=None), "slack", Urgency.UNKNOWN, "no token"),
    "a blocked channel": (replace(WELL, numbers=numbers(blockages=[BLOCKED])), "outbox", Urgency.CRITICAL, "/invite"),
    "a dead alert": (replace(WELL, numbers=numbers(outbox={"dead": 2})), "outbox", Urgency.WARNING, "2 refused for good"),
    "a doubt": (replace(WELL, numbers=numbers(outbox={"unknown": 1})), "outbox", Urgency.WARNING, "1 in doubt"),
    "no feed": (replace(WELL, numbers=numbers(feeds=[])), "feeds", Urgency.CRITICAL, "there are none"),
    "no poll": (replace(WELL, polled=False), "feeds", Urgency.CRITICAL, "none was polled since 2024-10-29 14:30"),
    "most feeds overdue": (
        replace(WELL, numbers=numbers(feeds=[feed(next_poll=NOW - HOUR)])), "feeds", Urgency.CRITICAL, "1 of 1 are overdue"),
    "a feed that fails": (
        replace(WELL, numbers=numbers(feeds=[*[feed()] * 9, feed(failing_since=NOW - 3 * DAY, last_error="http 500")])),
        "feeds", Urgency.WARNING, "1 failing: Harbour Wire"),
    "no backup": (replace(WELL, backup=None), "backup", Urgency.WARNING, "never"),
    "an old backup": (replace(WELL, backup=NOW - 9 * DAY), "backup", Urgency.WARNING, "9 days"),
    "nothing yet": (replace(WELL, numbers=None), "database", Urgency.UNKNOWN, "none yet"),
}  # fmt: skip


def test_well_is_well() -> None:
    findings = examine(WELL)
    assert worst(findings) is Urgency.WELL
    assert told(findings) == (
        "well      database, disk, clock, model, rules, network, delivery, slack, feeds, outbox, backup"
    )


@pytest.mark.parametrize(("seen", "check", "urgency", "says"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_named_with_a_remedy(seen: Seen, check: str, urgency: Urgency, says: str) -> None:
    found = [one for one in examine(seen) if one.urgency is not Urgency.WELL]
    [one] = [one for one in found if one.check == check]
    assert one.urgency is urgency
    assert says in one.says
    assert one.do or urgency is Urgency.UNKNOWN


def test_warning_in_a_topic_file_is_no_finding() -> None:
    seen = replace(WELL, rules=[replace(REFUSED, level=Level.WARNING)])
    assert worst(examine(seen)) is Urgency.WELL


SEEN = [seen for seen, *_ in WRONG.values() if not seen.configuration]


@given(st.sets(st.sampled_from(range(len(SEEN))), max_size=5))
def test_most_urgent_stands_first(which: set[int]) -> None:
    """Whatever is wrong at once."""
    fields = list(WELL.__dataclass_fields__)
    together = WELL
    for n in which:
        changed = {name: getattr(SEEN[n], name) for name in fields if getattr(SEEN[n], name) != getattr(WELL, name)}
        together = replace(together, **changed)
    order = list(Urgency)
    found = examine(together)
    assert all(order.index(one.urgency) <= order.index(later.urgency) for one, later in pairwise(found))
    assert as_data(found)["worst"] == worst(found) == found[0].urgency


def test_words_for_people() -> None:
    findings = [Finding("disk", Urgency.CRITICAL, "full", "make room"), Finding("clock", Urgency.WELL, "")]
    assert told(findings) == "critical  disk: full\n          → make room\nwell      clock"


# -- the clock ------------------------------------------------------------------------------------


def test_one_wrong_publisher_is_not_believed() -> None:
    skew = Skew()
    for n in range(LEAST - 1):
        skew.note(f"{n}.example", NOW - timedelta(seconds=2), NOW)
        assert skew.ahead is None
    skew.note("wrong.example", NOW - DAY, NOW)
    assert skew.ahead == timedelta(seconds=2)
    skew.note("silent.example", None, NOW)
    for n in range(HOSTS):
        skew.note(f"later {n}", NOW + HOUR, NOW)
    assert skew.ahead == -HOUR


@pytest.mark.parametrize(
    ("headers", "at"),
    [
        ({"date": "Tue, 29 Oct 2024 14:30:00 GMT"}, NOW),
        ({"date": "Tue, 29 Oct 2024 14:29:00 GMT", "age": "60"}, NOW),
        ({"date": "Tue, 29 Oct 2024 14:30:00 GMT", "age": "old"}, None),
        ({"date": "today"}, None),
        ({}, None),
    ],
)
def test_time_of_an_answer(headers: dict[str, str], at: object) -> None:
    assert answered_at(headers) == at


# -- who looks ------------------------------------------------------------------------------------


@pytest.fixture
def _models_are_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consult, "look", lambda *_: None)
    monkeypatch.setattr(consult, "SYNCHRONISED", Path("/nowhere"))


@pytest.mark.usefixtures("_models_are_well")
def test_doctor_of_a_new_house(monitor: Run) -> None:
    done = monitor("doctor")
    assert done.exit_code == 0
    assert "unknown   database: there is none yet" in done.stdout
    assert "rules" in done.stdout.splitlines()[-1]


@pytest.mark.usefixtures("_models_are_well")
def test_doctor_looks_at_the_database(monitor: Run, home: Path) -> None:
    with closing(Store.open(home / "state")) as store:
        store.add_feed(make.feed(), NOW)
        store.remember(CLOCK, json.dumps({"at": consult_now().isoformat(), "ahead": 3600.0}))
    (home / "copies").mkdir()
    back_up(home / "state", home / "copies", 7, NOW)
    done = monitor("doctor", "--json")
    told = {one["check"]: one for one in json.loads(done.stdout)["findings"]}
    assert done.exit_code == 3
    assert told["clock"]["says"] == "it is 3600 s ahead of the publishers'"
    assert told["feeds"]["says"] == "none was ever polled"
    assert "days old" in told["backup"]["says"]
    assert told["database"]["urgency"] == "well"


def consult_now():  # type: ignore[no-untyped-def]  # the command's own clock
    from monitor.command import utc_now

    return utc_now()


@pytest.mark.usefixtures("_models_are_well")
def test_doctor_finds_damage_that_a_start_does_not(monitor: Run, home: Path) -> None:
    with closing(Store.open(home / "state")) as store:
        store.add_feed(make.feed(), NOW)
        records = (make.record(item=make.item(title=f"{n} {'x' * 900}")) for n in range(200))
        store.commit_poll(make.polled(), list(records), "model")
    content = (home / "state" / FILE).read_bytes()
    whole = len(content) * 3 // 4
    (home / "state" / FILE).write_bytes(content[:whole] + b"\xff" * (len(content) - whole))
    done = monitor("doctor")
    assert done.exit_code == 3
    assert done.stdout.startswith("critical  database: ")
    assert "damaged" in done.stdout


@pytest.mark.usefixtures("_models_are_well")
def test_doctor_of_a_broken_configuration(monitor: Run, home: Path) -> None:
    (home / "monitor.toml").write_text('colour = "red"\n', encoding="utf-8")
    done = monitor("doctor")
    assert done.exit_code == 3
    assert 'critical  configuration: monitor.toml:1:1: unknown key "colour"' in done.stdout


def test_doctor_names_weights_that_are_not_there(monitor: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise EngineError("engine minilm: not what its package came with")

    monkeypatch.setattr(consult, "look", refuse)
    done = monitor("doctor")
    assert done.exit_code == 3
    assert "critical  model: engine minilm" in done.stdout


def test_every_state_of_the_outbox_that_is_told_is_one() -> None:
    assert {state for state, *_ in doctor._STATES} <= set(DeliveryState)  # noqa: SLF001 - a table
