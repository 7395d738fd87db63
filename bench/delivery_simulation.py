"""How many alerts are lost and how many sent twice, where processes crash and a channel answers badly: by us, and by the naive.

    python bench/delivery_simulation.py [--alerts 40000] [--seed 1]

Alerts, roots and replies in threads, are queued in virtual time and go through the real outbox (SQLite in memory) and the real
`deliver` to a channel that is made up: it refuses some messages, loses some answers, takes some messages late and shows all of
them late. By chance the process ends after a step: a commit, a request out, an answer in, a
look. The naive ways meet the same chances:

record first: an alert counts as sent before it is posted.
post first: it is posted until that is answered, and then recorded.
client that tries again: our outbox, and a client that posts once more when an answer is lost, as slack_sdk's does.
no settling: our outbox, and what the channel does not show at once counts as not sent.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar

import numpy as np
import structlog

from monitor.errors import MaybeAccepted, NotAccepted
from monitor.model import (
    Alert,
    AlertKind,
    Decision,
    Delivery,
    EmbeddedItem,
    Feed,
    Item,
    Match,
    MatchOutcome,
    Placement,
    Polled,
    Record,
    Relation,
    Rhythm,
    Severity,
    Validators,
    Verdict,
)
from monitor.pipeline import Courier, deliver
from monitor.store import Store

P = ParamSpec("P")
T = TypeVar("T")

START = datetime(2026, 1, 1, tzinfo=UTC)
FEED = Feed("https://wire.example/rss", "Wire")
MATCHES = (Match("troops", 4.0, 3.0, MatchOutcome.MATCHED),)
CHANNELS, REPLIES = 20, 0.35
#: So many are queued at once, and the next so much later.
BATCH, BETWEEN = 20, 60.0
TICK, RESTART = 5.0, 5.0

CRASH = 0.02
REFUSED, AMBIGUOUS = 0.08, 0.09
LATEST, LAG = 20.0, 5.0
ROUND_TRIP, TIMEOUT = 0.3, 10.0
SETTLE = timedelta(seconds=60)


class Crash(BaseException):
    """The process has ended."""


@dataclass
class Luck:
    """Chance, and the time, which passes only here."""

    random: random.Random
    now: datetime = START
    crashes: int = 0

    def clock(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def step(self) -> None:
        """End the process, now and then."""
        if self.random.random() < CRASH:
            self.crashes += 1
            self.wait(RESTART)
            raise Crash


@dataclass
class Channel:
    """All channels, made up."""

    luck: Luck
    #: how often a lost answer makes the client post once more
    retries: int = 0
    name: str = "made up"
    #: by alert, of each message: when it came to stand there, and from when on it is shown
    messages: dict[str, list[tuple[datetime, datetime]]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)

    def send(self, delivery: Delivery) -> str:
        return self.post(delivery.alert.id)

    def edit(self, _: Delivery) -> None:
        self.luck.step()

    def post(self, alert: str) -> str:
        self.luck.step()
        for _ in range(self.retries):
            with contextlib.suppress(MaybeAccepted):
                return self._request(alert)
        return self._request(alert)

    def _request(self, alert: str) -> str:
        chance = self.luck.random.random()
        self.luck.wait(ROUND_TRIP)
        if chance < REFUSED:
            self.outcomes["refused"] += 1
            raise NotAccepted("ratelimited", retry_after=self.luck.random.choice([None, 1.0, 5.0]))
        if chance < REFUSED + AMBIGUOUS:
            how = self.luck.random.choice(["taken", "taken late", "not taken"])
            self.outcomes[f"answer lost, {how}"] += 1
            if how != "not taken":
                self._take(alert, late=self.luck.random.uniform(0, LATEST) if how == "taken late" else 0.0)
            self.luck.wait(self.luck.random.choice([0.0, TIMEOUT]))
            raise MaybeAccepted("the answer was lost")
        self.outcomes["taken"] += 1
        self._take(alert)
        self.luck.step()
        return alert

    def _take(self, alert: str, late: float = 0.0) -> None:
        at = self.luck.now + timedelta(seconds=late)
        shown = at + timedelta(seconds=self.luck.random.uniform(0, LAG))
        self.messages.setdefault(alert, []).append((at, shown))

    def find(self, delivery: Delivery) -> str | None:
        self.luck.wait(ROUND_TRIP)
        self.luck.step()
        self.outcomes["looked for"] += 1
        stands = any(shown <= self.luck.now for _, shown in self.messages.get(delivery.alert.id, []))
        return delivery.alert.id if stands else None


class MortalStore(Store):
    """A store whose process may end after each commit."""

    luck: Luck | None = None

    @contextlib.contextmanager
    def _writing(self, *, durably: bool = True) -> Iterator[None]:
        with super()._writing(durably=durably):
            yield
        if self.luck:
            self.luck.step()


@dataclass(frozen=True)
class Result:
    alerts: int
    lost: int
    doubled: int
    #: replies that stand before their roots
    early: int
    crashes: int
    outcomes: Counter[str]

    def line(self, name: str) -> str:
        each = 10_000 / self.alerts
        return (
            f"{name:28} {self.alerts:6} alerts: {self.lost:5} lost, {self.doubled:5} doubled, {self.early:5} replies before "
            f"their root; in 10,000: {self.lost * each:6.1f} and {self.doubled * each:6.1f}; {self.crashes} crashes"
        )


def result(alerts: Sequence[Alert], channel: Channel) -> Result:
    stand = channel.messages
    return Result(
        alerts=len(alerts),
        lost=sum(alert.id not in stand for alert in alerts),
        doubled=sum(len(stand.get(alert.id, [])) > 1 for alert in alerts),
        early=sum(
            stand[alert.id][0] < stand[alert.parent][0]
            for alert in alerts
            if alert.parent and alert.id in stand and alert.parent in stand
        ),
        crashes=channel.luck.crashes,
        outcomes=channel.outcomes,
    )


def some_alerts(count: int, seed: int) -> list[Alert]:
    """Alerts in the order of their time: a reply is of one of the last stories of its channel."""
    chance = random.Random(seed)
    made: list[Alert] = []
    roots: dict[str, list[Alert]] = {f"C{number:02}": [] for number in range(CHANNELS)}
    for number in range(count):
        at = START + timedelta(seconds=BETWEEN * (number // BATCH))
        channel = chance.choice(list(roots))
        root = chance.choice(roots[channel][-5:]) if roots[channel] and chance.random() < REPLIES else None
        title = f"Report {number} of what happened"
        item = Item(
            id=f"{number:016x}", feed=FEED, title=title, text="", link=f"https://wire.example/{number}",
            canonical_link=f"https://wire.example/{number}", language="en", published=at, first_seen=at,
        )  # fmt: skip
        made.append(
            Alert(
                id=f"alert-{number}",
                kind=AlertKind.REPLY if root else AlertKind.ROOT,
                channel=channel,
                story=root.story if root else item.id,
                story_title=root.item.title if root else title,
                item=item,
                matches=MATCHES,
                titles={},
                severity=Severity.HIGH,
                created=at,
                sources=("Wire",),
                parent=root.id if root else "",
            )
        )
        if not root:
            roots[channel].append(made[-1])
    return made


def queue(store: Store, alerts: Sequence[Alert], now: datetime) -> None:
    """Write alerts down as a poll does."""
    records = [
        Record(
            EmbeddedItem(alert.item, np.zeros(2, dtype=np.float32)),
            alert.item.id,
            (),
            Placement(alert.story, Relation.UPDATE if alert.parent else Relation.ROOT, alert.parent and alert.story),
            Decision(Verdict.REPLY if alert.parent else Verdict.ALERT, "", (alert,)),
        )
        for alert in alerts
    ]
    again = now + timedelta(minutes=1)
    store.commit_poll(Polled(FEED, now, again, again - now, Validators(), "", False, Rhythm()), records, "none")


async def ours(
    alerts: Sequence[Alert], luck: Luck, channel: Channel, settle: timedelta = SETTLE, patience: float = 7200.0
) -> Result:
    """Send all of them; what is not sent so many seconds after the last was queued is lost."""

    async def here(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    store = MortalStore.in_memory()
    store.add_feed(FEED, luck.now)
    waiting = list(reversed(alerts))
    end = alerts[-1].created + timedelta(seconds=patience)
    courier = Courier(channel, store, here, here, luck.clock, settle)
    starts = False
    while luck.now < end:
        due = []
        while waiting and waiting[-1].created <= luck.now:
            due.append(waiting.pop())
        store.luck = None  # what ends within a poll is polled again, and that is another proof
        if due:
            queue(store, due, luck.now)
        if not waiting and set(store.outbox_counts()) == {"sent"}:
            break
        store.luck = luck
        try:
            if starts:
                store.doubt_all_sending(luck.clock(), settle)
                store.unblock_all(luck.clock())
                starts = False
            await deliver(courier)
        except Crash:
            starts = True
        luck.wait(TICK)
    store.close()
    return result(alerts, channel)


def record_first(alerts: Sequence[Alert], luck: Luck, channel: Channel) -> Result:
    for alert in alerts:
        with contextlib.suppress(Crash, MaybeAccepted):
            luck.step()  # it is recorded
            until_answered(channel, alert)
    return result(alerts, channel)


def post_first(alerts: Sequence[Alert], luck: Luck, channel: Channel) -> Result:
    for alert in alerts:
        recorded = False
        while not recorded:
            with contextlib.suppress(Crash, MaybeAccepted):
                until_answered(channel, alert)
                recorded = True
                luck.step()
    return result(alerts, channel)


def until_answered(channel: Channel, alert: Alert) -> None:
    while True:
        with contextlib.suppress(NotAccepted):
            channel.post(alert.id)
            return


def compare(count: int, seed: int) -> dict[str, Result]:
    """Our way, and beside it the others, each with chances of its own from one seed."""
    alerts = some_alerts(count, seed)
    few = alerts[: max(count // 4, 1)]

    def chance() -> Luck:
        return Luck(random.Random(seed))

    found: dict[str, Result] = {}
    luck = chance()
    found["ours"] = asyncio.run(ours(alerts, luck, Channel(luck)))
    for name, naive in (("record first", record_first), ("post first", post_first)):
        luck = chance()
        found[name] = naive(alerts, luck, Channel(luck))
    luck = chance()
    found["client that tries again"] = asyncio.run(ours(few, luck, Channel(luck, retries=1)))
    luck = chance()
    found["no settling"] = asyncio.run(ours(few, luck, Channel(luck), settle=timedelta(0)))
    return found


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--alerts", type=int, default=40_000)
    ask.add_argument("--seed", type=int, default=1)
    asked = ask.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for name, found in compare(asked.alerts, asked.seed).items():
        print(found.line(name))
        print(" " * 28, ", ".join(f"{how}: {count}" for how, count in sorted(found.outcomes.items())))


if __name__ == "__main__":
    main()
