"""A delivery → the JSON document that a webhook is sent, as docs/sinks.md describes it.

Pure. Texts and links are what publishers wrote: a receiver must not trust them, and the document says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from monitor.model import Alert, Delivery
from monitor.phrases import why
from monitor.text import is_web

#: Grows when a field changes its meaning or goes; new fields may come at any time.
VERSION = 1


def payload(delivery: Delivery) -> bytes:
    """Say all of a delivery in JSON, the same bytes at each try.

    Raises: ValueError if it was never rendered.
    """
    if delivery.message is None:
        raise ValueError("a delivery is rendered when it is claimed, and sent only after that")
    alert = delivery.alert
    data = {
        "id": alert.id,
        "kind": alert.kind,
        "channel": alert.channel,
        "text": delivery.message.terminal,
        **(_alert(alert, delivery.batch) if isinstance(alert, Alert) else {}),
    }
    document = {
        "type": f"news_monitor.{alert.kind}",
        "version": VERSION,
        "timestamp": _time(alert.created),
        "data": data,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _alert(alert: Alert, batch: Sequence[Alert]) -> dict[str, object]:
    told = (alert, *batch)
    return {
        "severity": alert.severity,
        "topics": [{"id": topic, "title": title} for topic, title in _topics(told).items()],
        "story": {"id": alert.story, "title": alert.story_title},
        "thread": alert.parent or alert.id,
        "sources": alert.sources,
        "items": [_item(each) for each in told],
    }


def _topics(told: Sequence[Alert]) -> dict[str, str]:
    return {match.topic: alert.titles.get(match.topic, match.topic) for alert in told for match in alert.matches}


def _item(alert: Alert) -> dict[str, object]:
    item = alert.item
    return {
        "id": item.id,
        "title": item.title,
        "formerly": alert.formerly,
        # who makes a link of it must not be given a script
        "link": item.link if is_web(item.link) else "",
        "source": item.source,
        "kind": item.feed.kind,
        "country": item.feed.country,
        "language": item.language,
        "published": _time(item.published) if item.published else None,
        "seen": _time(item.first_seen),
        "why": {match.topic: why(match) for match in alert.matches},
    }


def _time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
