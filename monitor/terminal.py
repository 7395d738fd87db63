"""Write an alert as lines for a terminal: at most 100 columns, wide characters counted as two.

Pure. What it writes moves no cursor, whatever a publisher wrote.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from monitor import phrases
from monitor.model import Alert, Growth

COLUMNS = 100


def root(alert: Alert, growth: Growth | None = None) -> str:
    marked = "" if growth else phrases.mark(alert)
    link = phrases.link(alert.item.link)
    return "\n".join(
        [
            *_wrap(
                " · ".join(filter(None, (f"● {alert.severity.upper()}  {phrases.topics(alert)}", marked))), "", "  "
            ),
            *_wrap(phrases.title(alert.item), indent="  "),
            *_labelled("from", [phrases.source(alert.item)]),
            *_labelled("when", [phrases.when(alert, dated=True)]),
            *_labelled("text", [phrases.sentence(alert)]),
            *_labelled("why", phrases.reasons(alert)),
            *_labelled("also", [phrases.story(alert, growth)]),
            *([f"  link {link}"] if link else []),  # whole however long: a broken link cannot be opened
            *_labelled("more", [phrases.explain(alert.item)]),
        ]
    )


def reply(alert: Alert) -> str:
    link = phrases.link(alert.item.link)
    return "\n".join(
        [
            *_wrap(
                f"↳ in the thread of “{phrases.brief(alert.story_title, phrases.QUOTE_LIMIT)}”",
                indent="  ",
                hanging="    ",
            ),
            *(_wrap(phrases.jump(alert.escalation), indent="    ") if alert.escalation else []),
            *_wrap(phrases.title(alert.item), indent="    "),
            *(_wrap(phrases.formerly(alert), indent="    ") if alert.formerly else []),
            *_wrap(f"{phrases.source(alert.item)} · {phrases.when(alert, dated=True)}", indent="    "),
            *_wrap(phrases.topics(alert), indent="    "),
            *([f"    {link}"] if link else []),
        ]
    )


def batch(replies: Sequence[Alert]) -> str:
    """All of them: a terminal has room."""
    jumps = [reply.escalation for reply in replies if reply.escalation]
    title = phrases.brief(replies[0].story_title, phrases.QUOTE_LIMIT)
    lines = _wrap(f"↳ {len(replies)} in the thread of “{title}”", indent="  ", hanging="    ")
    lines += _wrap(phrases.jump(jumps[0]), indent="    ") if jumps else []
    for reply in replies:
        link = phrases.link(reply.item.link)
        was = f" ({phrases.was(reply)})" if reply.formerly else ""
        lines += _wrap(
            f"• {phrases.title(reply.item)} — {phrases.about(reply, dated=True)}{was}", indent="    ", hanging="      "
        )
        lines += [f"      {link}"] if link else []
    return "\n".join([*lines, *_wrap(phrases.all_topics(replies), indent="    ")])


def notice(lines: Sequence[str]) -> str:
    return "\n".join(["⚙ the monitor itself", *(row for line in lines for row in _wrap(f"• {line}", "  ", "    "))])


def listing(heading: str, sections: Mapping[str, Sequence[tuple[str, str]]], notes: Sequence[str]) -> str:
    """A heading, sections of lines each with a link (empty: none) under it, and notes at the end."""
    lines = _wrap(heading, "", "  ")
    for title, entries in sections.items():
        lines += _wrap(title, "  ")
        for text, link in entries:
            lines += [*_wrap(f"• {text}", "    ", "      "), *([f"      {link}"] if link else [])]
    return "\n".join([*lines, *(row for note in notes for row in _wrap(note, "  ", "    "))])


def _labelled(label: str, texts: Iterable[str]) -> list[str]:
    lines = [line for text in texts for line in _wrap(text, indent=" " * 7)]
    return [f"  {label:<4} {line[7:]}" if number == 0 else line for number, line in enumerate(lines)]


def _wrap(text: str, indent: str, hanging: str | None = None) -> list[str]:
    """Break a line at spaces, or beside a wide character, into lines of at most `COLUMNS`."""
    hanging = indent if hanging is None else hanging
    lines = []
    line, taken = indent, len(indent)
    for word in _breakable(text, COLUMNS - max(len(indent), len(hanging))):
        if taken + columns(word.rstrip()) > COLUMNS:
            lines.append(line.rstrip())
            line, taken = hanging, len(hanging)
        line += word
        taken += columns(word)
    return [*lines, line.rstrip()] if line.strip() else lines


def _breakable(text: str, room: int) -> list[str]:
    """Split into the shortest pieces a line may end after, none wider than `room`; joined, they are the text."""
    pieces, taken, before = [""], 0, 0
    for character in text:
        columns = _width(character)
        wide = 2 in (columns, before) and character != " "
        if wide or pieces[-1].endswith(" ") or taken + columns > room:
            pieces.append(character)
            taken = columns
        else:
            pieces[-1] += character
            taken += columns
        before = columns
    return pieces


def columns(text: str) -> int:
    """Count the columns that a terminal gives a text."""
    return sum(map(_width, text))


@lru_cache(4096)
def _width(character: str) -> int:
    """Two for a wide character, none for a combining one."""
    return 2 if unicodedata.east_asian_width(character) in "WF" else 0 if unicodedata.combining(character) else 1
