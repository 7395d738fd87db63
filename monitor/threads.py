"""In which thread what was not sent yet is told, now that a person has moved its items. Pure.

What was sent, or may be on the wire, is history: it stays where it stands, with all that its message tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from monitor.model import ENDED, Alert, AlertKind, Delivery, DeliveryState, HoldReason, Telling, Thread, Voice, voices

#: Not on the wire, and refused if it ever was: these may still be told elsewhere.
_WAITING = (DeliveryState.HELD, DeliveryState.QUEUED, DeliveryState.BLOCKED)


@dataclass(frozen=True, slots=True)
class _Place:
    """An alert that lives, and where it stands now."""

    alert: Alert
    state: DeliveryState
    #: that of its item
    story: str
    #: it may still be told elsewhere
    waits: bool
    #: it is held for corroboration
    waits_for_sources: bool
    #: one of its topics took its item; else it was made for a jump in sources alone, under the root's topics
    is_asked_for: bool
    #: if it is told as a root, it waits for corroboration until then; None: it need not
    until: datetime | None

    @property
    def thread(self) -> Thread:
        """As it is written down."""
        until = self.alert.deadline if self.waits_for_sources else None
        return Thread(self.alert.id, self.alert.kind, self.alert.parent, until, self.alert.escalation is not None)


def rethread(deliveries: Sequence[Delivery], tellings: Sequence[Telling]) -> dict[str, Thread | None]:
    """Tell, by alert, in which threads those are to be told anew that have to be; None: it has nothing to tell any more.

    deliveries: the outbox of the stories that a ruling touches, oldest first. tellings: their items, as they stand now.
    """
    places = {place.alert.id: place for place in _places(deliveries, tellings)}
    channels: dict[tuple[str, str], list[_Place]] = {}
    for place in places.values():
        channels.setdefault((place.story, place.alert.channel), []).append(place)
    threads: dict[str, Thread | None] = {id_: place.thread for id_, place in places.items()}
    for told in channels.values():
        threads.update(_threads(told, {id_: place.story for id_, place in places.items()}))
    for place in places.values():
        root = threads.get(place.alert.parent)
        # an edit stays in the thread of what it edits, also where that has become a reply
        if place.waits and place.alert.formerly and root and root.kind is AlertKind.REPLY:
            threads[place.alert.id] = replace(place.thread, parent=root.parent)
    changed = {id_ for id_, place in places.items() if threads[id_] != place.thread}
    # of a message that was refused, and tells several, the frozen bytes name what goes: it is rendered anew, and they too
    changed |= {d.carrier for d in deliveries if d.state is DeliveryState.BATCHED and d.alert.id in changed}
    return {id_: thread for id_, thread in threads.items() if id_ in changed}


def _places(deliveries: Sequence[Delivery], tellings: Sequence[Telling]) -> Iterator[_Place]:
    stand = {telling.item.id: telling for telling in tellings}
    heard = _heard(tellings)
    waiting = {delivery.alert.id for delivery in deliveries if delivery.state in _WAITING}
    for delivery in deliveries:
        alert = delivery.alert
        if not isinstance(alert, Alert) or delivery.state in ENDED:
            continue
        telling = stand[alert.item.id]
        needed, story = alert.corroboration, telling.placement.story
        # a root that was let out is not held again; what became a reply in a merge is, when a split undoes that
        is_out = alert.kind is AlertKind.ROOT and not _waits_for_sources(delivery)
        is_enough = needed is None or (alert.kind is AlertKind.REPLY and needed.met_by(heard[story]))
        yield _Place(
            alert,
            delivery.state,
            story,
            # a reply that is told in another's message shares that one's lot
            waits=delivery.state in _WAITING
            or (delivery.state is DeliveryState.BATCHED and delivery.carrier in waiting),
            waits_for_sources=_waits_for_sources(delivery),
            is_asked_for=alert.escalation is None or any(match.topic in telling.topics for match in alert.matches),
            until=None if is_out or is_enough else alert.deadline,
        )


def _waits_for_sources(delivery: Delivery) -> bool:
    return delivery.state is DeliveryState.HELD and delivery.reason == HoldReason.CORROBORATION


def _heard(tellings: Iterable[Telling]) -> dict[str, list[Voice]]:
    """The independent sources of each story."""
    stories: dict[str, list[Telling]] = {}
    for telling in tellings:
        stories.setdefault(telling.placement.story, []).append(telling)
    return {
        story: [voice for voice in voices((t.item.feed, t.item.at, t.placement.relation) for t in told) if voice.own]
        for story, told in stories.items()
    }


def _threads(told: Sequence[_Place], stories: Mapping[str, str]) -> Iterator[tuple[str, Thread | None]]:
    """Give what waits, in one channel and of one story, the thread of that story.

    A root that waits for corroboration becomes a reply where the channel knows the story, or will, and goes out. *Rejected:*
    counting it, or waiting on. *Because:* it waited lest the channel be told of what one source alone has; that it was told
    is past, and a person said that this is part of it. Had grouping seen so, the item had been a reply when it came. And of
    two that wait, the later one's headline is not lost: it follows the root when that goes out.

    stories: of each alert, where its item stands now.
    """
    root = _root(told)
    # a jump belongs to the story in whose thread it is told
    jumps = {p.alert.id for p in told if p.alert.escalation and stories.get(p.alert.parent, p.story) == p.story}
    has_jumped = any(p.alert.id in jumps and not p.waits for p in told)
    for place in told:
        alert = place.alert
        if not place.waits or alert.formerly:
            continue
        escalates = alert.id in jumps and not has_jumped
        has_jumped = has_jumped or escalates
        if not (place.is_asked_for or escalates):
            # its topics want nothing of it: without the jump there is no alert, and it must not open a thread
            yield alert.id, None
        elif root is None:
            continue
        elif place is root:
            yield alert.id, Thread(alert.id, AlertKind.ROOT, until=place.until)
        else:
            yield alert.id, Thread(alert.id, AlertKind.REPLY, root.alert.id, escalates=escalates)


def _root(told: Sequence[_Place]) -> _Place | None:
    """The oldest root that the channel knows; else the oldest that may be on its way; else what may go first.

    None: nothing here may be one.
    """
    roots = [place for place in told if place.alert.kind is AlertKind.ROOT]
    may_be = roots or [p for p in told if p.waits and p.is_asked_for and not p.alert.formerly]
    # of several that wait for corroboration the one whose time comes first: nothing is told later than it would have been
    return min(may_be, key=_rank, default=None)


def _rank(place: _Place) -> tuple[int, float]:
    state = 0 if place.state is DeliveryState.SENT else 2 if place.waits else 1
    return (3, place.until.timestamp()) if place.until else (state, 0.0)
