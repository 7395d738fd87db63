"""What people say of alerts, at work: reactions that a sweep read back, and buttons that Slack told of.

Both are kept alike, and mute a story or show more of it alike; a press is answered to the one who pressed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from monitor import buttons
from monitor.errors import SendError, StateError
from monitor.model import Alert, Delivery, Feedback, FeedbackKind, Link, Message, Press, Silence
from monitor.pipeline import Clock, InThread

log = structlog.get_logger()

#: A silence needs an end; a story that is told for so long can be silenced again.
MUTED = timedelta(days=30)


class Ledger(Protocol):
    """What is asked of the store."""

    def keep_feedback(
        self, said: Mapping[str, Collection[tuple[FeedbackKind, str]]], now: datetime
    ) -> tuple[list[Feedback], list[Feedback]]: ...
    def keep_press(self, one: Feedback, *, take_back: bool) -> bool: ...
    def row_of(self, delivery: str) -> str: ...
    def delivery(self, delivery_id: str) -> Delivery | None: ...
    def silences(self, now: datetime) -> list[Silence]: ...
    def add_silence(self, silence: Silence) -> int: ...
    def remove_silence(self, number: int, now: datetime) -> bool: ...
    def keep_link(self, link: Link | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Hearing:
    """What hearing a press needs of the world."""

    ledger: Ledger
    in_store: InThread
    #: shows a message to the one who pressed, and to nobody else
    answer: Callable[[Press, Message], Awaitable[None]]
    clock: Clock


async def hear(press: Press, edges: Hearing) -> None:
    """Take a press down and answer it. Nothing that goes wrong here may harm anything else: it is said, and that is all."""
    wish = buttons.read(press)
    if wish is None:
        return
    try:
        answer = await edges.in_store(_press, wish, press, edges.ledger, edges.clock())
    except StateError as error:
        log.error("press", user=press.user, problem=str(error))
        answer = buttons.failed()
    except Exception:
        log.exception("press", user=press.user, problem="our fault")
        answer = buttons.failed()
    try:
        await edges.answer(press, answer)
    except SendError as error:  # it counts all the same
        log.warning("press", user=press.user, problem=f"cannot be answered: {error}")


async def note_link(problem: str, edges: Hearing) -> None:
    """Write down that the connection for presses stands, or why it does not, where `status` finds it."""
    (log.warning if problem else log.info)("buttons", **({"problem": problem} if problem else {"connected": True}))
    try:
        await edges.in_store(edges.ledger.keep_link, Link(edges.clock(), problem))
    except Exception:  # a full disk, or a fault of ours
        log.exception("buttons", problem="how the connection stands cannot be written down")


def heed(said: Mapping[str, Collection[tuple[FeedbackKind, str]]], ledger: Ledger, now: datetime) -> None:
    """Keep what reactions say, and silence the stories that people want no more of."""
    _follow(*ledger.keep_feedback(said, now), ledger, now)


def _press(wish: buttons.Wish, press: Press, ledger: Ledger, now: datetime) -> Message:
    """Keep what a press says; the answer to it."""
    delivery = ledger.delivery(ledger.row_of(wish.delivery))
    if delivery is None or not isinstance(alert := delivery.alert, Alert) or alert.channel != press.channel:
        return buttons.unknown()
    if delivery.batch and wish.kind in buttons.OF_ONE and not wish.this:
        return buttons.which(wish.kind, (alert, *delivery.batch))
    one = Feedback(alert.id, wish.kind, press.user, now)
    if ledger.keep_press(one, take_back=wish.take_back):
        _follow([] if wish.take_back else [one], [one] if wish.take_back else [], ledger, now)
    return buttons.taken_back(wish.kind, alert) if wish.take_back else buttons.noted(wish.kind, alert)


def _follow(begun: Iterable[Feedback], over: Iterable[Feedback], ledger: Ledger, now: datetime) -> None:
    """Do what follows on what people began to say, or say no more."""
    for one in begun:
        log.info("feedback", id=one.alert, kind=one.kind.value, user=one.user, is_over=False)
        delivery = ledger.delivery(one.alert) if one.kind is FeedbackKind.MUTE else None
        if delivery and isinstance(alert := delivery.alert, Alert):
            ledger.add_silence(Silence(now + MUTED, one.user, _MUTED_BY, now, story=alert.story, channel=alert.channel))
    for one in over:
        log.info("feedback", id=one.alert, kind=one.kind.value, user=one.user, is_over=True)
        delivery = ledger.delivery(one.alert) if one.kind is FeedbackKind.MUTE else None
        for silence in ledger.silences(now) if delivery else ():
            is_ours = silence.author == one.user and silence.comment == _MUTED_BY
            if is_ours and delivery and isinstance(alert := delivery.alert, Alert) and silence.story == alert.story:
                ledger.remove_silence(silence.id, now)


_MUTED_BY = "by feedback"
