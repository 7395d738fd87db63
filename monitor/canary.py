"""The daily canary: a made-up item that goes the whole way, from the models to its channel, and is read back there.

It meets a topic and stories of its own, so that no analyst ever sees a trace of it: only its row in the outbox is real, and is
taken away when it has arrived.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta, tzinfo
from typing import Protocol

import structlog

from monitor.background import Background
from monitor.decide import Policy
from monitor.errors import SendError
from monitor.language import identified
from monitor.match import Matcher
from monitor.model import (
    Alert,
    AlertKind,
    Delivery,
    DeliveryState,
    EmbeddedItem,
    Feed,
    Flight,
    Item,
    Message,
    Notice,
    Terms,
    Topic,
)
from monitor.pipeline import Clock, InThread, Judge, Sink
from monitor.render import render
from monitor.text import text_hash

log = structlog.get_logger()

#: It has arrived by then, or it has failed.
PATIENCE = timedelta(minutes=10)

TOPIC = Topic(
    id="canary",
    title="Canary",
    description="A canary sings in the monitor once a day, to show that an alert still finds its way to its channel.",
    # the term alone decides: the way is tested here, not the models' taste
    terms=Terms(always=("monitor's canary",)),
    noise=1e-9,
)

_NAMESPACE = uuid.UUID("0a1c3a52-51d8-5f0e-8f8e-6d1f3b0f8d77")


class Memory(Protocol):
    """What a canary asks of the store."""

    def flight(self) -> Flight | None: ...
    def keep_flight(self, flight: Flight) -> None: ...
    def queue(self, notice: Notice, now: datetime, message: Message | None = None) -> None: ...
    def delivery(self, delivery_id: str) -> Delivery | None: ...
    def withdraw(self, delivery_id: str, now: datetime) -> None: ...


class Learn(Protocol):
    """What a canary asks of the engines."""

    @property
    def background(self) -> Background: ...
    def matcher(self, topics: Sequence[Topic]) -> Matcher: ...
    def embed(self, items: Sequence[Item]) -> list[EmbeddedItem]: ...


@dataclass(frozen=True, slots=True)
class Aviary:
    """What canaries need of the world."""

    channel: str
    #: time of day, and on whose clock
    at: time
    zone: tzinfo
    #: who is told of one that failed; empty: the log alone
    ops: str
    learning: Callable[[], Learn]
    memory: Memory
    sink: Sink
    in_store: InThread
    in_engine: InThread
    in_sender: InThread
    clock: Clock


def is_due(at: time, zone: tzinfo, last: Flight | None, now: datetime) -> bool:
    """Whether today's has not begun, though its time has come; the very first begins at once."""
    today = datetime.combine(now.astimezone(zone).date(), at, zone)
    return last is None or (last.is_over and last.began < today <= now)


async def tend(edges: Aviary) -> Flight | None:
    """Let a canary go when its time has come, and look whether the one under way has arrived."""
    last = await edges.in_store(edges.memory.flight)
    if last is not None and not last.is_over:
        flight = await _look(last, edges)
    elif is_due(edges.at, edges.zone, last, edges.clock()):
        flight = await _let_go(edges)
    else:
        return last
    if flight != last:
        await edges.in_store(edges.memory.keep_flight, flight)
    if flight.is_over:
        await _end(flight, edges)
    return flight


async def _let_go(edges: Aviary) -> Flight:
    """Embed, match, group, decide, and put what comes of it in the outbox."""
    now, learning = edges.clock(), edges.learning()
    began = Flight(str(uuid.uuid5(_NAMESPACE, f"{edges.channel}|{now.isoformat()}")), now)
    alert = await edges.in_engine(_alert, learning, edges.channel, now)
    if alert is None:
        return replace(began, failed="its topic does not take it: the models, or the steps after them, are not well")
    notice = Notice(began.id, edges.channel, alert.item.title, now, AlertKind.CANARY)
    await edges.in_store(edges.memory.queue, notice, now, render(alert))
    return began


def _alert(learning: Learn, channel: str, now: datetime) -> Alert | None:
    policy = Policy(channel, max_age=timedelta(days=1), backfill=timedelta(0))
    judge = Judge(learning.matcher([TOPIC]), learning.background, timedelta(hours=1), policy)
    [embedded] = learning.embed([_item(now)])
    matches = judge.matcher.judge(embedded)
    decision = judge.judge(embedded, matches, first_poll=False, told=lambda _: {}, now=now).decision
    return next(iter(decision.alerts), None)


def _item(now: datetime) -> Item:
    title = f"The monitor's canary of {now:%Y-%m-%d} sings"
    text = "A test that the monitor makes of itself once a day. Alerts reach this channel; there is nothing to do."
    feed = Feed("canary:", "the monitor itself")
    return identified(Item(text_hash(f"{title} {now.isoformat()}")[:16], feed, title, text, "", "", "en", now, now))


async def _look(flight: Flight, edges: Aviary) -> Flight:
    now = edges.clock()
    delivery = await edges.in_store(edges.memory.delivery, flight.id)
    if delivery is None:
        return replace(flight, failed="its row in the outbox is gone")
    why = f"{delivery.state}{f', {delivery.error}' if delivery.error else ''}"
    if delivery.state is DeliveryState.SENT:
        try:
            receipt = await edges.in_sender(edges.sink.find, delivery)
        except SendError as error:
            receipt, why = None, f"sent, and cannot be read back: {error}"
        else:
            why = "sent, and not found in its channel"
        if receipt is not None:
            return replace(flight, arrived=now)
    return (
        replace(flight, failed=f"{why}, {PATIENCE.seconds // 60} minutes later")
        if now - flight.began > PATIENCE
        else flight
    )


async def _end(flight: Flight, edges: Aviary) -> None:
    now = edges.clock()
    await edges.in_store(edges.memory.withdraw, flight.id, now)
    say = log.warning if flight.failed else log.info
    say("canary", channel=edges.channel, flight=str(flight))
    if flight.failed and edges.ops:
        notice = Notice(
            str(uuid.uuid5(_NAMESPACE, f"{flight.id} failed")),
            edges.ops,
            f"the canary to {edges.channel} {flight}",
            now,
        )
        await edges.in_store(edges.memory.queue, notice, now)
