"""Render an alert as the message an analyst reads: Block Kit, its plain-text fallback, and lines for a terminal.

Pure. Decides nothing about whom to tell and knows no channel; it trusts no string that comes from a feed: whatever a
publisher writes, a message pings nobody, fakes no link and moves no cursor.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias
from urllib.parse import quote, urlsplit

from monitor.model import Alert, AlertKind, Escalation, Item, Match, MatchOutcome, Message, Notice, Severity, Voice

Block: TypeAlias = dict[str, object]

#: Slack refuses a section over 3,000 characters, counted after escaping; the rest is our margin.
SECTION_LIMIT = 2_500
#: Longer links are told, not linked: with a headline of `TITLE_LIMIT` ampersands the section must still fit.
LINK_LIMIT = 1_200
#: Small blocks; all of a message stays under 10,000 (`msg_blocks_too_long` comes at about 13,200, bolt-js #2509).
CONTEXT_LIMIT = 1_500

TITLE_LIMIT = 240
EXCERPT_LIMIT = 240
OPINION_LIMIT = 220
QUOTE_LIMIT = 90
NAME_LIMIT = 80
#: A line to ops may hold two commands with a feed's address in each. So many share a block, and so many blocks are enough
#: for all that `health.notice` says at once.
NOTICE_LIMIT, NOTICE_LINES, NOTICE_BLOCKS = 500, 4, 6
#: What is told so long after it was published is marked late, so that nobody takes it for this hour's news.
LATE = timedelta(hours=3)
TERM_LIMIT = 40
SHOWN_TOPICS = 3
SHOWN_TERMS = 4
SHOWN_SOURCES = 4
#: One message of several replies: so many are told, a section each, while all of them stay under so many characters.
SHOWN_REPLIES, REPLIES_LIMIT = 7, 7_500
#: Longer links are told by the terminal only: they are what makes a line too long for seven to fit.
REPLY_LINK_LIMIT = 600

#: Nobody counted a larger background than this, so a longer tail is no knowledge.
RAREST_DECADE = 5.0

TERMINAL_COLUMNS = 100

#: Control, format (bidi overrides, zero-width, tags) and surrogate characters.
UNSEEN = frozenset({"Cc", "Cf", "Cs"})
#: mrkdwn has no escape for its own marks, and a zero-width space between them is itself something to strip.
MARKUP = str.maketrans({"*": "∗", "_": "ˍ", "~": "∼", "`": "'"})
ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})

SIGNS = {Severity.INFO: "⚪", Severity.NOTICE: "🟡", Severity.HIGH: "🟠", Severity.CRITICAL: "🔴"}

#: Not `strftime("%b")`: that follows the machine's locale.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

#: ISO 639-1 to English, for the languages of feeds that we have met; others are told by their code.
LANGUAGES = {
    "ar": "Arabic",
    "be": "Belarusian",
    "bg": "Bulgarian",
    "cs": "Czech",
    "de": "German",
    "el": "Greek",
    "es": "Spanish",
    "et": "Estonian",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "hy": "Armenian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ka": "Georgian",
    "kk": "Kazakh",
    "ko": "Korean",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sr": "Serbian",
    "sv": "Swedish",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}


def render(alert: Alert, batch: Sequence[Alert] = ()) -> Message:
    """Say all of a root, and of a reply only what its thread does not show yet.

    batch: other replies of the same thread, to be told in one message with it, a line each, the latest first.
    At most 10 blocks, each at most 2,500 characters and all at most 10,000 after escaping; the text at most 3,000.
    """
    if batch:
        replies = sorted((alert, *batch), key=_told_at, reverse=True)
        return Message(text=_batch_text(replies), blocks=_batch_blocks(replies), terminal=_batch_terminal(replies))
    if alert.kind is AlertKind.REPLY:
        return Message(text=_reply_text(alert), blocks=_reply_blocks(alert), terminal=_reply_terminal(alert))
    return Message(text=_root_text(alert), blocks=_root_blocks(alert), terminal=_root_terminal(alert))


def render_notice(notice: Notice) -> Message:
    """Say to ops what is wrong with the monitor's feeds or network, one finding a line."""
    lines = [_clip(line, NOTICE_LIMIT) for line in map(_line, notice.text.splitlines()) if line]
    shown = [f"• {line}" for line in lines]
    terminal = "\n".join(["⚙ the monitor itself", *(row for line in shown for row in _wrap(line, "  ", "    "))])
    parts = [shown[n : n + NOTICE_LINES] for n in range(0, len(shown), NOTICE_LINES)]
    blocks = (_section("⚙ The monitor itself"), *(_context(*part) for part in parts[:NOTICE_BLOCKS]))
    text = _escape(f"The monitor itself: {'; '.join(lines)}").translate(MARKUP)
    return Message(text=text, blocks=blocks, terminal=terminal)


def why(match: Match) -> str:
    """Tell in plain words why a topic took an item; for matches that were taken only."""
    reasons = []
    by_score = match.outcome is not MatchOutcome.MATCHED_TERM
    if by_score and match.nearest:
        said = f"its part “{_clip(_line(match.unit), QUOTE_LIMIT)}” " if match.unit else ""
        reasons.append(f"{said}resembles “{_clip(_line(match.nearest), QUOTE_LIMIT)}”")
    if match.terms:
        reasons.append(f"mentions {_terms(match.words or match.terms)}")
    if by_score:
        reasons.append(_rarity(match.score))
    if match.opinion:
        reasons.append(_clip(_line(match.opinion), OPINION_LIMIT))
    return "; ".join(reason for reason in reasons if reason) or str(match.outcome)


# -- Block Kit: https://docs.slack.dev/reference/block-kit/ ----------------------------------------


def _root_blocks(alert: Alert) -> tuple[Block, ...]:
    excerpt = _excerpt(alert.item)
    sources, marked = _sources_told(alert), _mark(alert)
    return (
        _headline(alert.item),
        _context(
            " · ".join(filter(None, (f"{SIGNS[alert.severity]} {alert.severity.upper()}", _topics(alert), marked)))
        ),
        *([_section(excerpt)] if excerpt else []),
        _context(f"{_source(alert.item)} · {_when(alert, dated=False)}"),
        _context("Why: " + "\n".join(_reasons(alert))),
        *([_context(sources)] if sources else []),
    )


def _reply_blocks(alert: Alert) -> tuple[Block, ...]:
    return (
        *([_section(_jump(alert.escalation))] if alert.escalation else []),
        _headline(alert.item),
        *([_context(_formerly(alert))] if alert.formerly else []),
        _context(f"{_source(alert.item)} · {_when(alert, dated=False)}", _topics(alert)),
    )


def _batch_blocks(replies: Sequence[Alert]) -> tuple[Block, ...]:
    """The last block says how many are left out: the oldest, since what is new counts more."""
    jumps = [reply.escalation for reply in replies if reply.escalation]
    lines: list[str] = []
    for reply in replies[:SHOWN_REPLIES]:
        line = _reply_line(reply)
        if sum(map(len, lines)) + len(line) > REPLIES_LIMIT:
            break
        lines.append(line)
    left = len(replies) - len(lines)
    last = [f"and {left} more"] if left else []
    return (
        *([_section(_jump(jumps[0]))] if jumps else []),
        *map(_markdown, lines),
        _context(*last, _all_topics(replies)),
    )


def _reply_line(alert: Alert) -> str:
    """A reply in one line of mrkdwn."""
    title = _link_to(alert.item, _clip(_title(alert.item), QUOTE_LIMIT * 2), REPLY_LINK_LIMIT)
    about = f" — {_about(alert, dated=False)}" + (f" ({_was(alert)})" if alert.formerly else "")
    return f"• {title}{_escape(about).translate(MARKUP)}"


def _root_text(alert: Alert) -> str:
    marked = _mark(alert)
    return _escape(
        f"{alert.severity.upper()} · {_topics(alert)}: {_title(alert.item)} ({_name(alert.item.source)}"
        + (f"; {marked})" if marked else ")")
    ).translate(MARKUP)


def _reply_text(alert: Alert) -> str:
    word = "Edited" if alert.formerly else "Update"
    said = f"{_jump(alert.escalation)}: " if alert.escalation else f"{word}: "
    return _escape(f"{said}{_title(alert.item)} ({_name(alert.item.source)})").translate(MARKUP)


def _batch_text(replies: Sequence[Alert]) -> str:
    jumps = [reply.escalation for reply in replies if reply.escalation]
    said = _jump(jumps[0]) if jumps else f"{len(replies)} updates"
    return _escape(f"{said}: {_title(replies[0].item)} ({_name(replies[0].item.source)})").translate(MARKUP)


def _headline(item: Item) -> Block:
    return _markdown(f"*{_link_to(item, _title(item), LINK_LIMIT)}*")


def _link_to(item: Item, title: str, limit: int) -> str:
    """A title as mrkdwn, linked unless the link is too long."""
    title = _escape(title).translate(MARKUP)
    link = _link(item.link).translate(ENTITIES)
    return f"<{link}|{title}>" if link and len(link) <= limit else title


def _markdown(text: str) -> Block:
    # verbatim: else Slack makes links and mentions of bare "example.com", "#general" and "@channel" in a title
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "plain_text", "text": _escape(text, CONTEXT_LIMIT)}}


def _context(*lines: str) -> Block:
    text = _escape("\n".join(lines), CONTEXT_LIMIT)
    return {"type": "context", "elements": [{"type": "plain_text", "text": text}]}


def _escape(text: str, limit: int = SECTION_LIMIT) -> str:
    """Escape for Slack and clip the result, never inside an entity."""
    escaped = text.translate(ENTITIES)
    if len(escaped) <= limit:
        return escaped
    cut = escaped[: limit - 1]
    before, ampersand, entity = cut.rpartition("&")
    return (before if ampersand and ";" not in entity else cut) + "…"


# -- terminal --------------------------------------------------------------------------------------


def _root_terminal(alert: Alert) -> str:
    sources, marked = _sources(alert), _mark(alert)
    link = _link(alert.item.link)
    return "\n".join(
        [
            *_wrap(f"● {alert.severity.upper()}  {_topics(alert)}" + (f" · {marked}" if marked else ""), "", "  "),
            *_wrap(_title(alert.item), indent="  "),
            *_labelled("text", [_excerpt(alert.item)]),
            *_labelled("why", _reasons(alert)),
            *_labelled("from", [_source(alert.item) + (f" · {sources}" if sources else "")]),
            *(_labelled("also", [_sources_told(alert)]) if _is_corroborated(alert) else []),
            *_labelled("when", [_when(alert, dated=True)]),
            *([f"  link {link}"] if link else []),  # whole however long: a broken link cannot be opened
        ]
    )


def _reply_terminal(alert: Alert) -> str:
    link = _link(alert.item.link)
    return "\n".join(
        [
            *_wrap(f"↳ in the thread of “{_clip(_line(alert.story_title), QUOTE_LIMIT)}”", indent="  ", hanging="    "),
            *(_wrap(_jump(alert.escalation), indent="    ") if alert.escalation else []),
            *_wrap(_title(alert.item), indent="    "),
            *(_wrap(_formerly(alert), indent="    ") if alert.formerly else []),
            *_wrap(f"{_source(alert.item)} · {_when(alert, dated=True)}", indent="    "),
            *_wrap(_topics(alert), indent="    "),
            *([f"    {link}"] if link else []),
        ]
    )


def _batch_terminal(replies: Sequence[Alert]) -> str:
    """All of them: a terminal has room."""
    jumps = [reply.escalation for reply in replies if reply.escalation]
    title = _clip(_line(replies[0].story_title), QUOTE_LIMIT)
    lines = _wrap(f"↳ {len(replies)} in the thread of “{title}”", indent="  ", hanging="    ")
    lines += _wrap(_jump(jumps[0]), indent="    ") if jumps else []
    for reply in replies:
        link = _link(reply.item.link)
        was = f" ({_was(reply)})" if reply.formerly else ""
        lines += _wrap(f"• {_title(reply.item)} — {_about(reply, dated=True)}{was}", indent="    ", hanging="      ")
        lines += [f"      {link}"] if link else []
    return "\n".join([*lines, *_wrap(_all_topics(replies), indent="    ")])


def _labelled(label: str, texts: Iterable[str]) -> list[str]:
    lines = [line for text in texts for line in _wrap(text, indent=" " * 7)]
    return [f"  {label:<4} {line[7:]}" if number == 0 else line for number, line in enumerate(lines)]


def _wrap(text: str, indent: str, hanging: str | None = None) -> list[str]:
    """Break a line at spaces, or beside a wide character, into lines of at most `TERMINAL_COLUMNS`."""
    hanging = indent if hanging is None else hanging
    lines = []
    line = indent
    for word in _breakable(text, TERMINAL_COLUMNS - max(len(indent), len(hanging))):
        if _columns(line + word.rstrip()) > TERMINAL_COLUMNS:
            lines.append(line.rstrip())
            line = hanging
        line += word
    return [*lines, line.rstrip()] if line.strip() else lines


def _breakable(text: str, room: int) -> list[str]:
    """Split into the shortest pieces a line may end after, none wider than `room`; joined, they are the text."""
    pieces = [""]
    for character in text:
        previous = pieces[-1]
        wide = _columns(character) == 2 or _columns(previous[-1:]) == 2
        if previous.endswith(" ") or (wide and character != " ") or _columns(previous + character) > room:
            pieces.append(character)
        else:
            pieces[-1] += character
    return pieces


def _columns(text: str) -> int:
    """Count the columns that a terminal gives a text: two for a wide character, none for a combining one."""
    return sum(
        2 if unicodedata.east_asian_width(character) in "WF" else 0 if unicodedata.combining(character) else 1
        for character in text
    )


# -- the parts, as plain text in which only visible characters are left -----------------------------


def _title(item: Item) -> str:
    return _clip(_line(item.title), TITLE_LIMIT) or "(no title)"


def _formerly(alert: Alert) -> str:
    """Tell what an edit changed: the title, or else what stands under it."""
    if _line(alert.formerly) == _line(alert.item.title):
        return "its text was edited by its publisher"
    return f"edited by its publisher; it read “{_clip(_line(alert.formerly), QUOTE_LIMIT)}”"


def _was(alert: Alert) -> str:
    """The same, among other replies."""
    if _line(alert.formerly) == _line(alert.item.title):
        return "its text was edited"
    return f"was “{_clip(_line(alert.formerly), QUOTE_LIMIT)}”"


def _about(alert: Alert, *, dated: bool) -> str:
    """Source and time of one of several replies."""
    return f"{_name(alert.item.source) or 'unknown source'}, {_clock(_told_at(alert), alert.created, dated=dated)}"


def _told_at(alert: Alert) -> datetime:
    """When a reply's event was: of an edit, when we saw it, since nobody says when it was made."""
    return alert.created if alert.formerly else alert.item.at


def _jump(jump: Escalation) -> str:
    every = "all" if jump.recent == jump.sources else str(jump.recent)
    return f"Now told by {jump.sources} independent sources, {every} of them in the last {_span(jump.within)}"


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    hours = minutes // 60
    if minutes % 60:
        return f"{minutes} minutes"
    return "hour" if hours == 1 else f"{hours} hours"


def _is_corroborated(alert: Alert) -> bool:
    return alert.corroboration is not None and alert.corroboration.met_by(alert.independent)


def _mark(alert: Alert) -> str:
    """Say that a root goes out without the sources that it waited for; empty if it has them, or waited for none."""
    needed = alert.corroboration
    if needed is None or _is_corroborated(alert):
        return ""
    count = len(alert.independent)
    if count < 2:
        return "single source"
    return f"{count} sources, not yet {needed.sources or f'of {needed.kinds} kinds'}"


def _all_topics(replies: Sequence[Alert]) -> str:
    names = list(dict.fromkeys(_topic(reply, match) for reply in replies for match in reply.matches))
    return " · ".join(names[:SHOWN_TOPICS]) + _more(names, SHOWN_TOPICS)


def _topics(alert: Alert) -> str:
    names = [_topic(alert, match) for match in alert.matches]
    return " · ".join(names[:SHOWN_TOPICS]) + _more(names, SHOWN_TOPICS)


def _topic(alert: Alert, match: Match) -> str:
    return _name(alert.titles.get(match.topic, "")) or _name(match.topic)


def _reasons(alert: Alert) -> list[str]:
    if len(alert.matches) == 1:
        return [why(alert.matches[0])]
    return [f"{_topic(alert, match)}: {why(match)}" for match in alert.matches[:SHOWN_TOPICS]]


def _source(item: Item) -> str:
    kind = ", ".join(_name(part) for part in (item.feed.kind, item.feed.country) if part)
    parts = (_name(item.source) or "unknown source", kind, _language(item.language))
    return " · ".join(part for part in parts if part)


def _language(code: str) -> str:
    primary = _line(code).lower().partition("-")[0]
    return "" if primary in ("", "en") else f"in {LANGUAGES.get(primary, primary)}"


def _sources(alert: Alert) -> str:
    """Count the story's sources; empty where there is but one."""
    return f"{len(alert.sources)} sources" if len(alert.sources) > 1 else ""


def _sources_told(alert: Alert) -> str:
    """Name the story's sources; with kind and country those that a root waited for. Empty where there is but one."""
    if _is_corroborated(alert):
        names = [_voice(voice) for voice in alert.independent]
        return f"{len(names)} independent sources: {', '.join(names[:SHOWN_SOURCES])}{_more(names, SHOWN_SOURCES)}"
    names = [_name(source) for source in alert.sources]
    said = _sources(alert)
    return f"{said} so far: {', '.join(names[:SHOWN_SOURCES])}{_more(names, SHOWN_SOURCES)}" if said else ""


def _voice(voice: Voice) -> str:
    about = ", ".join(_name(part) for part in (voice.kind, voice.country) if part)
    return (_name(voice.source) or "unknown source") + (f" ({about})" if about else "")


def _when(alert: Alert, *, dated: bool) -> str:
    """Tell when the item was published and how late we saw it; `dated` adds the date even if it is the alert's."""
    seen = alert.item.first_seen
    published = alert.item.published
    if published is None or published > seen:
        return f"seen {_clock(seen, alert.created, dated=dated)}"
    late = "late: " if seen - published >= LATE else ""
    return f"{late}published {_clock(published, alert.created, dated=dated)}, seen {_lateness(seen - published)}"


def _clock(time: datetime, today: datetime, *, dated: bool) -> str:
    clock = f"{time:%H:%M} UTC"
    if time.date() == today.date() and not dated:
        return clock
    date = f"{time.day} {MONTHS[time.month - 1]}"
    return f"{clock} {date}" if time.year == today.year else f"{clock} {date} {time.year}"


def _lateness(late: timedelta) -> str:
    minutes = int(late.total_seconds() // 60)
    if minutes < 1:
        return "within a minute"
    if minutes < 60:
        return f"{minutes} min later"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min later"
    return f"{minutes // (24 * 60)} days later"


def _excerpt(item: Item) -> str:
    """Give the text's beginning, without the headline that many feeds repeat there."""
    # The raw text may be a whole article; eight times leaves room for what cleaning takes away.
    text = _line(item.text[: len(item.title) + 8 * EXCERPT_LIMIT])
    rest = text.removeprefix(_line(item.title))
    news = text if rest[:1].isalnum() else rest  # "Kim" is no beginning of "Kimchi"
    return _clip(news.lstrip(" .:-–—"), EXCERPT_LIMIT)


def _terms(terms: tuple[str, ...]) -> str:
    names = [f"“{_clip(_line(re.sub(r'[*]+$', '…', term)), TERM_LIMIT)}”" for term in terms]
    return ", ".join(names[:SHOWN_TERMS]) + _more(names, SHOWN_TERMS)


def _rarity(score: float) -> str:
    """Put decades into words, rounded down to two digits; empty where it is not rare enough to be a reason."""
    if not score >= 1.0:  # so written, a NaN tells nothing
        return ""
    one_in = int(10 ** min(score, RAREST_DECADE) + 1e-6)
    unit = 10 ** (len(str(one_in)) - 2)
    return f"rarer than 1 in {one_in // unit * unit:,} ordinary items"


def _more(names: list[str], shown: int) -> str:
    return f" and {len(names) - shown} more" if len(names) > shown else ""


def _name(text: str) -> str:
    return _clip(_line(text), NAME_LIMIT)


def _line(text: str) -> str:
    """Keep what can be seen, on one line."""
    return " ".join("".join(filter(_seen, text)).split())


def _seen(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) not in UNSEEN


def _clip(text: str, limit: int) -> str:
    """Cut at a space if one is near, and say so with an ellipsis."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    words = cut.rpartition(" ")[0]
    # Chinese and Japanese have no spaces to cut at
    return (words if len(words) > limit * 2 // 3 else cut).rstrip(" ,;:.-–—") + "…"


def _link(link: str) -> str:
    """Give the link with what could end it, or hide in it, percent-encoded; empty unless it is http or https."""
    link = link.strip()
    try:
        host = urlsplit(link).hostname
    except ValueError:  # urlsplit's word for a bracket without an address
        return ""
    # Not `.scheme`: urlsplit first takes out newlines and tabs, and reads "ht\ntp:" as http.
    if not host or not link.lower().startswith(("http://", "https://")):
        return ""
    return "".join(map(_link_character, link))


def _link_character(character: str) -> str:
    if character in '<>|"`\\^{}' or character.isspace() or not _seen(character):
        return quote(character, errors="replace")
    return character
