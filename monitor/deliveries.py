"""A row of the outbox in words: a line in a list, or all that is known of it; and the same for programs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from monitor.model import Alert, Blockage, Delivery, Digest, Event, Notice

#: Of the message's rungs, in words; the first is the message as it was made.
RUNGS = ("whole", "one section", "plain text", "title and link")

HEADERS = ("id", "state", "kind", "channel", "since", "tries", "what", "trouble")


def listed(delivery: Delivery) -> tuple[str, ...]:
    """A row under `HEADERS`."""
    alert = delivery.alert
    return (
        alert.id[:8],
        delivery.state,
        alert.kind,
        alert.channel,
        _time(alert.created),
        str(delivery.attempt),
        _fit(_what(delivery), 48),
        _fit(_trouble(delivery), 60),
    )


def listed_data(delivery: Delivery) -> dict[str, object]:
    """The same for programs, and whole."""
    alert = delivery.alert
    return {
        "id": alert.id,
        "state": delivery.state.value,
        "kind": alert.kind.value,
        "channel": alert.channel,
        "created": alert.created.isoformat(),
        "attempts": delivery.attempt,
        "sending_at": _iso(delivery.sending_at),
        "not_before": _iso(delivery.not_before),
        "receipt": delivery.receipt,
        "error": delivery.error,
        "reason": delivery.reason,
        "story": alert.story if isinstance(alert, Alert) else "",
        "title": _what(delivery),
    }


def shown(delivery: Delivery, events: Sequence[Event]) -> str:
    """All of it, a line or a paragraph a question."""
    alert = delivery.alert
    lines = [
        ("Delivery", alert.id),
        ("Is", f"{delivery.state}: {alert.kind} to {alert.channel}, tried {_times(delivery.attempt)}"),
        ("Trouble", _trouble(delivery)),
        ("Waits", f"until {_time(delivery.not_before)}" if delivery.not_before else ""),
        ("Receipt", delivery.receipt),
        *_belongs(delivery),
        *(("Tells" if not n else "", told) for n, told in enumerate(_told(delivery))),
        ("Told by", delivery.carrier if delivery.carrier != alert.id else ""),
        ("Form", RUNGS[delivery.rung] if 0 < delivery.rung < len(RUNGS) else ""),
        ("Repeats", f"sent again {_times(delivery.repeats)} unread" if delivery.repeats else ""),
    ]
    paragraphs = ["\n".join(f"{label:<10}{text}" for label, text in lines if text)]
    if delivery.message:
        paragraphs.append(delivery.message.terminal)
    if events:
        paragraphs.append("\n".join(map(_event, events)))
    return "\n\n".join(paragraphs)


def shown_data(delivery: Delivery, events: Sequence[Event]) -> dict[str, object]:
    """The same for programs."""
    message = delivery.message
    told = [alert for alert in (delivery.alert, *delivery.batch) if isinstance(alert, Alert)]
    return {
        **listed_data(delivery),
        "thread": delivery.thread,
        "parent": delivery.alert.parent if isinstance(delivery.alert, Alert) else "",
        "carrier": delivery.carrier,
        "rung": delivery.rung,
        "repeats": delivery.repeats,
        "tells": [{"alert": one.id, "item": one.item.id, "title": one.item.title} for one in told],
        "message": {"text": message.text, "blocks": list(message.blocks)} if message else None,
        "events": [
            {"at": e.at.isoformat(), "from": e.before, "to": e.after, "detail": e.detail} for e in events
        ],
    }  # fmt: skip


def blocked(blockage: Blockage) -> str:
    """A blockage in a line: what, since when, why and what to do, what waits behind it."""
    what = blockage.channel or "every channel"
    waiting = f"{blockage.waiting} wait{'s' * (blockage.waiting == 1)}"
    return f"{what} since {_time(blockage.since)}: {blockage.because} ({waiting}, tried again {_time(blockage.next_probe)})"


def blocked_data(blockage: Blockage) -> dict[str, object]:
    """The same for programs."""
    return {
        "channel": blockage.channel,
        "because": blockage.because,
        "since": blockage.since.isoformat(),
        "next_probe": blockage.next_probe.isoformat(),
        "waiting": blockage.waiting,
    }


def _what(delivery: Delivery) -> str:
    alert = delivery.alert
    if isinstance(alert, Digest):
        return f"{alert.occasion} digest"
    return alert.item.title if isinstance(alert, Alert) else alert.text.partition("\n")[0]


def _trouble(delivery: Delivery) -> str:
    return " · ".join(filter(None, (delivery.error, delivery.reason)))


def _belongs(delivery: Delivery) -> list[tuple[str, str]]:
    alert = delivery.alert
    if not isinstance(alert, Alert):
        return []
    thread = f"of {alert.parent}" + (f", receipt {delivery.thread}" if delivery.thread else ", which is not there")
    return [("Story", f"{alert.story} “{alert.story_title}”"), ("Thread", thread if alert.parent else "")]


def _told(delivery: Delivery) -> list[str]:
    if isinstance(delivery.alert, Notice):
        return delivery.alert.text.splitlines()
    told = delivery.batch if isinstance(delivery.alert, Digest) else (delivery.alert, *delivery.batch)
    return [f"“{alert.item.title}” ({alert.item.source}, {alert.item.id})" for alert in told]


def _event(event: Event) -> str:
    step = " → ".join(filter(None, (event.before, event.after or "withdrawn")))
    return f"{event.at:%Y-%m-%d %H:%M:%S}  {step}" + (f": {event.detail}" if event.detail else "")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _fit(text: str, columns: int) -> str:
    return text if len(text) <= columns else f"{text[: columns - 1]}…"


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time else "never"


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
