"""A story in words: a few lines in a list, or all that is known of it; and the same for programs. Pure."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.explain import source
from monitor.headline import headline
from monitor.model import Alert, AlertKind, Delivery, DeliveryState, Ruling, Story, Telling, Timeline

#: Of a terminal.
COLUMNS = 100
_UNKNOWN = "of unknown kind"


@dataclass(frozen=True, slots=True)
class Openness:
    """Which stories still take items: measured, as grouping does, from the newest item that was seen."""

    newest: datetime
    #: the configuration's window
    window: timedelta
    #: those of topics that have their own
    windows: Mapping[str, timedelta]

    def window_of(self, timeline: Timeline) -> timedelta:
        return max((self.windows[topic] for topic in timeline.topics if topic in self.windows), default=self.window)

    def is_open(self, timeline: Timeline) -> bool:
        return self.newest - timeline.story.latest <= self.window_of(timeline)


def best_headline(timeline: Timeline) -> str:
    return headline((telling.item, telling.placement.relation) for telling in timeline.tellings)


def kinds(story: Story) -> dict[str, int]:
    """How many independent sources there are of each kind, most first."""
    return dict(Counter(voice.kind or _UNKNOWN for voice in story.independent).most_common())


# -- a list ---------------------------------------------------------------------------------------


def listed(timeline: Timeline, openness: Openness) -> str:
    """A story in three lines of at most `COLUMNS`: its id, time and size, its headline, who tells it and who took it."""
    story = timeline.story
    marks = [_state(timeline, openness), *(["by hand"] if _by_hand(timeline) else [])]
    size = f"{_items(story.items)}, {_sources(story)}"
    first = [story.id, f"{_time(story.opened)}–{_time(story.latest)}", size, *marks]
    about = [", ".join(names) for names in (timeline.topics, story.languages, kinds(story), story.countries)]
    lines = [" · ".join(first), f"  {best_headline(timeline)}", f"  {' · '.join(filter(None, about))}"]
    return "\n".join(_fit(line) for line in lines)


def listed_data(timeline: Timeline, openness: Openness) -> dict[str, object]:
    """The same for programs."""
    story = timeline.story
    return {
        "id": story.id,
        "headline": best_headline(timeline),
        "title": story.title,
        "opened": story.opened.isoformat(),
        "latest": story.latest.isoformat(),
        "open": openness.is_open(timeline),
        "by_hand": _by_hand(timeline),
        "items": story.items,
        "independent": len(story.independent),
        "kinds": kinds(story),
        "countries": list(story.countries),
        "languages": list(story.languages),
        "topics": list(timeline.topics),
    }


# -- one story ------------------------------------------------------------------------------------


def shown(timeline: Timeline, openness: Openness, deliveries: Sequence[Delivery], rulings: Sequence[Ruling]) -> str:
    """All that is known of a story, a paragraph a question."""
    story = timeline.story
    window = openness.window_of(timeline) / timedelta(hours=1)
    copiers = [voice.source for voice in story.voices if not voice.own]
    paragraphs = [
        [
            f"Story     {story.id}",
            f"          {best_headline(timeline)}",
            f"          {_time(story.opened)} to {_time(story.latest)} UTC, {_items(story.items)}"
            + (f", in {', '.join(story.languages)}" if story.languages else ""),
            f"          {_state(timeline, openness)}: it takes items within {window:g} h of its latest",
        ],
        _labelled("By hand", [_ruled(ruling) for ruling in rulings]),
        _labelled("Sources", [f"{len(story.independent)}: {_list(kinds(story))}", *_voices(story)])
        + ([f"          only copied: {', '.join(copiers)}"] if copiers else []),
        _labelled("Topics", [", ".join(timeline.topics) or "none took it"]),
        _labelled("Told", [_told(one) for one in deliveries] or ["nobody"]),
        ["Items", *(line for telling in timeline.tellings for line in _telling(telling))],
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs if lines)


def shown_data(
    timeline: Timeline, openness: Openness, deliveries: Sequence[Delivery], rulings: Sequence[Ruling]
) -> dict[str, object]:
    """The same for programs."""
    return listed_data(timeline, openness) | {
        "sources": [
            {
                "source": voice.source,
                "kind": voice.kind,
                "country": voice.country,
                "first": voice.first.isoformat(),
                "independent": voice.own,
            }
            for voice in timeline.story.voices
        ],
        "told": [
            {
                "id": one.alert.id,
                "kind": one.alert.kind.value,
                "channel": one.alert.channel,
                "state": one.state.value,
                "receipt": one.receipt,
                "item": one.alert.item.id if isinstance(one.alert, Alert) else "",
                "created": one.alert.created.isoformat(),
            }
            for one in deliveries
        ],
        "rulings": [
            {
                "kind": ruling.kind.value,
                "at": ruling.at and ruling.at.isoformat(),
                "author": ruling.author,
                "story": ruling.story,
                "stories": list(ruling.stories),
                "items": list(ruling.items),
            }
            for ruling in rulings
        ],
        "timeline": [_telling_data(telling) for telling in timeline.tellings],
    }


def _telling_data(telling: Telling) -> dict[str, object]:
    item, placement = telling.item, telling.placement
    return {
        "item": item.id,
        "at": item.at.isoformat(),
        "relation": placement.relation.value,
        "parent": placement.parent,
        "because": placement.because,
        "by_hand": telling.by_hand,
        "source": item.source,
        "title": item.title,
        "language": item.language,
        "link": item.link,
        "verdict": telling.verdict.value,
        "topics": list(telling.topics),
    }


def _by_hand(timeline: Timeline) -> bool:
    return any(telling.by_hand for telling in timeline.tellings)


def _state(timeline: Timeline, openness: Openness) -> str:
    return "open" if openness.is_open(timeline) else "closed"


def _items(count: int) -> str:
    return f"{count} item{'s' * (count != 1)}"


def _sources(story: Story) -> str:
    """Independent ones; the word is a kind of source as well, and would confuse."""
    count = len(story.independent)
    return f"{count} source{'s' * (count != 1)}"


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _labelled(label: str, lines: Sequence[str]) -> list[str]:
    return [f"{'' if n else label:<10}{line}" for n, line in enumerate(lines)]


def _voices(story: Story) -> list[str]:
    about = [(voice, ", ".join(filter(None, (voice.kind, voice.country)))) for voice in story.independent]
    return [f"{_time(voice.first)}  {voice.source}" + (f" ({known})" if known else "") for voice, known in about]


def _ruled(ruling: Ruling) -> str:
    others = [story for story in ruling.stories if story != ruling.story]
    what = f"{ruling.kind} by {ruling.author}: {_items(len(ruling.items))}"
    return f"{_time(ruling.at)}  {what} of {', '.join(others)} to {ruling.story}"


def _told(delivery: Delivery) -> str:
    alert = delivery.alert
    title = f": {alert.item.title}" if isinstance(alert, Alert) else ""
    trouble = f" ({delivery.error})" if delivery.error else ""
    if delivery.state is DeliveryState.HELD:
        trouble = f" for {delivery.reason}"
    where = "in" if alert.kind is AlertKind.REPLY else "to"
    return f"{_time(alert.created)}  {alert.kind} {where} {alert.channel}, {delivery.state}{trouble}{title}"


def _telling(telling: Telling) -> list[str]:
    item, placement = telling.item, telling.placement
    marks = ["by hand"] if telling.by_hand else []
    language = [item.language] if item.language else []
    heading = ", ".join([placement.relation, *marks, source(item.feed), *language])
    return [
        f"{_time(item.at)}  {item.id}  {heading}",
        f"                  {item.title}",
        f"                  {placement.because}",
    ]


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time else "never"


def _fit(line: str) -> str:
    """Cut a line to the terminal's columns, of which wide characters take two."""
    room = COLUMNS
    for n, character in enumerate(line):
        columns = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        # the last column is for the sign that there was more
        if columns > room - (n < len(line) - 1):
            return line[:n].rstrip(" ,·") + "…"
        room -= columns
    return line
