"""Say the parts of an alert as plain text in which only visible characters are left: what every kind of message is made of.

Pure. Trusts no string that comes from a feed, but escapes for no reader: that is for who writes for Slack or a terminal.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import groupby, islice
from urllib.parse import quote, urlsplit

from monitor.model import Alert, Escalation, Growth, Item, Match, MatchOutcome, Voice
from monitor.text import sentences

TITLE_LIMIT = 240
EXCERPT_LIMIT = 240
OPINION_LIMIT = 220
QUOTE_LIMIT = 90
NAME_LIMIT = 80
TERM_LIMIT = 40
SHOWN_TOPICS = 3
SHOWN_TERMS = 3
SHOWN_SOURCES = 4
#: `explain` knows an item by six characters of its id or more.
SHOWN_ID = 8

#: What is told so long after it was published is marked late, so that nobody takes it for this hour's news.
LATE = timedelta(hours=3)
#: Nobody counted a larger background than this, so a longer tail is no knowledge.
RAREST_DECADE = 5.0

#: Control, format (bidi overrides, zero-width, tags) and surrogate characters.
UNSEEN = frozenset({"Cc", "Cf", "Cs"})
#: Fillers, which are letters or signs and show nothing.
BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
#: Combining marks. No script puts more than four on a letter.
MARKS, HEAP_LIMIT = frozenset({"Mn", "Me"}), 4

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


def why(match: Match) -> str:
    """Tell in plain words why a topic took an item; for matches that were taken only."""
    rarity = _rarity(match.score) if match.outcome is not MatchOutcome.MATCHED_TERM else ""
    reasons = (_resembles(match), _mentions(match), rarity, brief(match.opinion, OPINION_LIMIT))
    return "; ".join(filter(None, reasons)) or str(match.outcome)


def _resembles(match: Match) -> str:
    if match.outcome is MatchOutcome.MATCHED_TERM or not match.nearest:
        return ""
    said = f"its part “{brief(match.unit, QUOTE_LIMIT)}” " if match.unit else ""
    return f"{said}resembles “{brief(match.nearest, QUOTE_LIMIT)}”"


def _mentions(match: Match) -> str:
    """Quote the words that count, each once: several terms may be found as one."""
    words = [brief(re.sub(r"[*]+$", "…", word), TERM_LIMIT) for word in match.words or match.terms]
    quoted = [f"“{word}”" for word in {word.casefold(): word for word in words if word}.values()]
    return f"mentions {', '.join(quoted[:SHOWN_TERMS])}{_more(quoted, SHOWN_TERMS)}" if quoted else ""


def title(item: Item) -> str:
    return brief(item.title, TITLE_LIMIT) or "(no title)"


def formerly(alert: Alert) -> str:
    """Tell what an edit changed: the title, or else what stands under it."""
    if line(alert.formerly) == line(alert.item.title):
        return "Its text was edited by its publisher"
    return f"Edited by its publisher; it read “{brief(alert.formerly, QUOTE_LIMIT)}”"


def was(alert: Alert) -> str:
    """The same, among other replies."""
    if line(alert.formerly) == line(alert.item.title):
        return "its text was edited"
    return f"was “{brief(alert.formerly, QUOTE_LIMIT)}”"


def about(alert: Alert, *, dated: bool) -> str:
    """Source and time of one of several replies."""
    return f"{name(alert.item.source) or 'unknown source'}, {clock(told_at(alert), alert.created, dated=dated)}"


def told_at(alert: Alert) -> datetime:
    """When a reply's event was: of an edit, when we saw it, since nobody says when it was made."""
    return alert.created if alert.formerly else alert.item.at


def jump(jump: Escalation) -> str:
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


def mark(alert: Alert) -> str:
    """Say that a root goes out without the sources that it waited for; empty if it has them, or waited for none."""
    needed = alert.corroboration
    if needed is None or _is_corroborated(alert):
        return ""
    count = len(alert.independent)
    if count < 2:
        return "single source"
    return f"{count} sources, not yet {needed.sources or f'of {needed.kinds} kinds'}"


def all_topics(replies: Sequence[Alert]) -> str:
    names, more = named_topics(replies)
    return " · ".join(names) + more


def named_topics(alerts: Sequence[Alert]) -> tuple[dict[str, str], str]:
    """The names of the topics to be shown, each with its id, and how many more there are."""
    names: dict[str, str] = {}
    for alert in alerts:
        for match in alert.matches:
            names.setdefault(_topic(alert, match), match.topic)
    return dict(islice(names.items(), SHOWN_TOPICS)), _more(list(names), SHOWN_TOPICS)


def topics(alert: Alert) -> str:
    names = [_topic(alert, match) for match in alert.matches]
    return " · ".join(names[:SHOWN_TOPICS]) + _more(names, SHOWN_TOPICS)


def _topic(alert: Alert, match: Match) -> str:
    return name(alert.titles.get(match.topic, "")) or name(match.topic)


def sentence(alert: Alert) -> str:
    """Give the sentence for which the first topic took the item, in the original; where its title or lead did, its lead."""
    # what waits in the outbox of an old release may name no match
    unit = brief(alert.matches[0].unit, EXCERPT_LIMIT) if alert.matches else ""
    return f"Further down: “{unit}”" if unit else excerpt(alert.item)


def reasons(alert: Alert) -> list[str]:
    """Say why its first topic took the item, whose sentence is quoted already, and in short why others did."""
    if not alert.matches:
        return []
    first, *others = alert.matches[:SHOWN_TOPICS]
    said = why(replace(first, unit=""))
    if not others:
        return [said]
    return [
        f"{_topic(alert, first)} — {said}",
        *(f"{_topic(alert, match)} — {_resembles(match) or _mentions(match) or match.outcome}" for match in others),
    ]


def explain(item: Item) -> str:
    """Give the command that tells the rest."""
    return f"monitor explain {line(item.id)[:SHOWN_ID]}"


def source(item: Item) -> str:
    kind = ", ".join(name(part) for part in (item.feed.kind, item.feed.country) if part)
    parts = (name(item.source) or "unknown source", kind, _language(item.language))
    return " · ".join(part for part in parts if part)


def _language(code: str) -> str:
    primary = name(code).lower().partition("-")[0]
    return "" if primary in ("", "en") else f"in {LANGUAGES.get(primary, primary)}"


def story(alert: Alert, grown: Growth | None) -> str:
    """Tell who tells the story: all of them counted, once it has grown. Empty where there is but one."""
    return growth(grown, alert.created) if grown else _sources(alert)


def _sources(alert: Alert) -> str:
    """Name the story's sources, with kind and country those that a root waited for."""
    if _is_corroborated(alert):
        names, said = [_voice(voice) for voice in alert.independent], "independent sources"
    else:
        names, said = [name(source) for source in alert.sources], "sources so far"
    if len(names) < 2:
        return ""
    return f"{len(names)} {said}: {', '.join(names[:SHOWN_SOURCES])}{_more(names, SHOWN_SOURCES)}"


def growth(grown: Growth, today: datetime) -> str:
    """Tell how far a story has come, and whether more of it will be told."""
    counts = [_count(grown.sources, "independent source")]
    counts += [_count(grown.languages, "language")] if grown.languages > 1 else []
    counts += [_count(grown.items, "item"), f"last {clock(grown.latest, today)}"]
    kinds = [name(kind) for kind in grown.kinds]
    return " · ".join(
        filter(
            None,
            (
                ", ".join(counts),
                f"{', '.join(kinds[:-1])} and {kinds[-1]}" if len(kinds) > 1 else "",
                "story closed" if grown.closed else "",
                _silenced(grown, today),
            ),
        )
    )


def _silenced(grown: Growth, today: datetime) -> str:
    if not grown.silenced_by:
        return ""
    until = f" until {clock(grown.silenced_until, today)}" if grown.silenced_until else ""
    return f"silenced by {name(grown.silenced_by) or 'somebody'}{until}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _voice(voice: Voice) -> str:
    about = ", ".join(name(part) for part in (voice.kind, voice.country) if part)
    return (name(voice.source) or "unknown source") + (f" ({about})" if about else "")


def when(alert: Alert, *, dated: bool) -> str:
    """Tell when the item was published and how late we saw it; `dated` adds the date even if it is the alert's."""
    seen = alert.item.first_seen
    published = alert.item.published
    if published is None or published > seen:
        return f"seen {clock(seen, alert.created, dated=dated)}"
    late = "late: " if seen - published >= LATE else ""
    return f"{late}published {clock(published, alert.created, dated=dated)}, seen {_lateness(seen - published)}"


def clock(time: datetime, today: datetime, *, dated: bool = False) -> str:
    """Tell a time; its date only if it is another day's than `today`, or `dated`."""
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
    if minutes < 3 * 60:
        return f"{minutes // 60} h {minutes % 60} min later"
    if minutes < 48 * 60:
        return f"{minutes // 60} h later"
    return f"{minutes // (24 * 60)} days later"


def excerpt(item: Item) -> str:
    """Give the text's first sentences, without the headline that many feeds repeat there."""
    # The raw text may be a whole article; eight times leaves room for what cleaning takes away.
    text = line(item.text[: len(item.title) + 8 * EXCERPT_LIMIT])
    rest = text.removeprefix(line(item.title))
    news = text if rest[:1].isalnum() else rest  # "Kim" is no beginning of "Kimchi"
    return _whole_sentences(news.lstrip(" .:-–—"), EXCERPT_LIMIT)


def _whole_sentences(text: str, limit: int) -> str:
    """Cut after a sentence, unless most of what there is room for would be lost."""
    if len(text) <= limit:
        return text
    end = 0
    for part in sentences(text):
        after = text.index(part, end) + len(part)
        if after > limit - 2:
            break
        end = after
    return f"{text[:end]} …" if end > limit // 2 else clip(text, limit)


def _rarity(score: float) -> str:
    """Put decades into words, rounded down to two digits; empty where it is not rare enough to be a reason."""
    if not score >= 1.0:  # so written, a NaN tells nothing
        return ""
    one_in = int(10 ** min(score, RAREST_DECADE) + 1e-6)
    unit = 10 ** (len(str(one_in)) - 2)
    return f"rarer than 1 in {one_in // unit * unit:,} ordinary items"


def _more(names: list[str], shown: int) -> str:
    return f" and {len(names) - shown} more" if len(names) > shown else ""


def name(text: str) -> str:
    return brief(text, NAME_LIMIT)


def brief(text: str, limit: int) -> str:
    """Give a text's first line of so many characters."""
    # cleaned as far as is needed: it may be a whole article, and eight times leaves room for what cleaning takes away
    reach = 8 * limit
    return clip(line(text[:reach]) + "…" * (len(text) > reach), limit)


def line(text: str) -> str:
    """Keep what can be seen, on one line; of marks heaped on one letter, which hide the lines above and below, the first."""
    runs = groupby(filter(_is_seen, text), _is_mark)
    return " ".join("".join("".join(islice(run, HEAP_LIMIT) if marks else run) for marks, run in runs).split())


@lru_cache(4096)
def _is_seen(character: str) -> bool:
    return character.isspace() or (unicodedata.category(character) not in UNSEEN and character not in BLANK)


@lru_cache(4096)
def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in MARKS


def clip(text: str, limit: int) -> str:
    """Cut at a space if one is near, and say so with an ellipsis."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    words = cut.rpartition(" ")[0]
    # Chinese and Japanese have no spaces to cut at
    return (words if len(words) > limit * 2 // 3 else cut).rstrip(" ,;:.-–—") + "…"


def link(link: str) -> str:
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
    if character in '<>|"`\\^{}' or character.isspace() or unicodedata.category(character) in UNSEEN:
        return quote(character, errors="replace")
    return character
