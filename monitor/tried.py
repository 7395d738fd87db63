"""What topics would have done (`hindsight`), for a terminal, a program, a browser, a review. Pure.

Decides nothing; titles are strangers' words, and leave here clipped, and escaped where they could be read as markup.
"""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from monitor.explain import judgement, one_in
from monitor.hindsight import Change, Changed, Judged, Sent, Tried
from monitor.model import MatchOutcome, Verdict
from monitor.phrases import why
from monitor.terminal import columns
from monitor.text import clip

#: Decades in one row of the histogram; its last row has all that is rarer.
STEP, RAREST = 0.25, 5.0
#: Characters of a title, and of a reason, in a line.
TITLE, REASON = 96, 240
#: Width of a bar in the terminal.
WIDTH = 40
_BLOCKS = " ▏▎▍▌▋▊▉"
#: Names listed of sources, languages.
FEW = 8


@dataclass(frozen=True, slots=True)
class Bin:
    """Items that score from one rarity, in decades, up to another."""

    low: float
    high: float
    items: int
    #: of them, those that the topic takes
    taken: int


def histogram(tried: Tried) -> tuple[Bin, ...]:
    """Scores from the rarity on from which all items are known."""
    taken = {one.item.id for one in tried.sent}
    low = min([2.0, tried.bar - 0.5])
    steps = range(math.ceil((RAREST - low) / STEP) + 1)
    counts, hits = Counter[int](), Counter[int]()
    for item, score in tried.scores.items():
        place = min(math.floor((score - low) / STEP + 1e-6), steps[-1])
        if place >= 0:
            counts[place] += 1
            hits[place] += item in taken
    last = max(counts, default=0)
    return tuple(Bin(low + n * STEP, low + (n + 1) * STEP, counts[n], hits[n]) for n in steps if n <= max(last, 5))


# -- the terminal ---------------------------------------------------------------------------------


def tried_text(tried: Tried, limit: int, *, colour: bool = False, room: int = 0) -> str:
    """All of it, a paragraph a question; at most `limit` lines of each list.

    room: how wide a line may be, so that each stays one; 0: as wide as it is.
    """
    parts = [[f"{tried.topic.id} · {tried.topic.title}", *_facts(tried)], ["Scores", *_bars(tried, colour)]]
    parts.append([f"Would have been taken: {len(tried.sent)}", *_days(tried, limit)])
    parts.append(["Nearest of those that stay silent", *_silent(_each_once(tried.silent)[:limit])])
    lines = (line for part in parts for line in (*part, ""))
    return "\n".join(_cut(line, room) for line in lines).rstrip("\n")


def _each_once(silent: Sequence[Judged]) -> list[Judged]:
    """Each title once, the nearest: what five outlets print would fill the list."""
    return list({one.item.title: one for one in reversed(silent)}.values())[::-1]


def _cut(line: str, room: int) -> str:
    """The beginning of a line that has room; a line in colour is a bar, and is short."""
    if not room or "\x1b" in line or columns(line) <= room:
        return line
    while columns(line) >= room:
        line = line[:-1]
    return f"{line}…"


def _facts(tried: Tried) -> list[str]:
    return [f"  {name:<10}{said}" for name, said in facts(tried).items()]


def facts(tried: Tried) -> dict[str, str]:
    """What it comes to, in words, by what it is about."""
    told = tried.told
    alerts = [one for one in told if one.verdict in (Verdict.ALERT, Verdict.WAITING)]
    span = f"{_day(tried.span[0])} to {_day(tried.span[1])}" if tried.span else "none"
    held = Counter(one.verdict for one in tried.sent if one.at is None)
    others = "".join(f", {_HELD.get(verdict, verdict.value)}: {n}" for verdict, n in held.items())
    sources = Counter(one.item.source for one in tried.sent)
    languages = Counter(one.item.language or "?" for one in tried.sent)
    channels = Counter(channel for one in told for channel in one.channels)
    said = {
        "archive": f"{tried.items:,} items, {span}",
        "alerts": f"{len(alerts)}{_pace(len(alerts), tried.days)}, replies: {len(told) - len(alerts)}{others}",
        "stories": str(len({one.story for one in tried.sent})),
        "sources": _counted(sources),
        "languages": _counted(languages),
        "channels": _counted(channels),
        "judged": _read(tried),
    }
    if named := sum(one.match.outcome is MatchOutcome.MATCHED_TERM for one in tried.sent):
        said["by terms"] = f"{named}, whatever they score"
    if tried.unread:
        said["left out"] = f"{tried.unread:,} items of which the model in use has given no vector"
    return said


def _pace(alerts: int, days: float) -> str:
    if not alerts:
        return ""
    return f" ({alerts / days:.1f} a day)" if alerts >= days else f" (one in {days / alerts:.1f} days)"


_HELD = {
    Verdict.COPY: "copies held back",
    Verdict.COUNTED: "only counted",
    Verdict.WAITING: "waiting for more sources",
}


def _read(tried: Tried) -> str:
    rest = tried.items - tried.whole
    if not rest:
        return "every item whole, as live"
    return f"{tried.whole:,} items whole, as live; the other {rest:,} by their title and lead alone, and by terms"


def _counted(counts: Counter[str]) -> str:
    named = ", ".join(f"{name} {n}" for name, n in counts.most_common(FEW))
    return f"{len(counts)}: {named}" + (" …" if len(counts) > FEW else "") if counts else "none"


def _bars(tried: Tried, colour: bool) -> Iterator[str]:
    bins = histogram(tried)
    most = max((one.items for one in bins), default=0)
    unseen = tried.items - sum(one.items for one in bins)
    yield f"  {'more common':>14}  {unseen:,}, not drawn"
    drawn = False
    for one in bins:
        if not drawn and tried.bar < one.high - 1e-6:
            drawn = True
            if tried.bar <= one.low + 1e-6:
                yield _line(tried)
                yield _bar_row(one, most, colour)
            else:
                yield _bar_row(one, most, colour)
                yield _line(tried)
            continue
        yield _bar_row(one, most, colour)
    if not drawn:
        yield _line(tried)


def _line(tried: Tried) -> str:
    return f"  {'bar':>14} ┄{'┄' * WIDTH} 1 in {one_in(tried.bar)}"


def _bar_row(one: Bin, most: int, colour: bool) -> str:
    # counts fall tenfold with each decade: a bar as long as the count would leave what matters out of sight
    length = 8 * WIDTH * math.log1p(one.items) / math.log1p(most) if most else 0.0
    full, part = divmod(round(length), 8)
    bar = "█" * full + (_BLOCKS[part] if part else "")
    if colour and one.taken:
        bar = f"\x1b[32m{bar}\x1b[0m"
    said = f" {one.items:,}" + (f", {one.taken:,} taken" if one.taken else "") if one.items else ""
    return f"  {f'1 in {one_in(one.low)}':>14}  {bar}{said}"


_SIGNS = {Verdict.ALERT: "●", Verdict.WAITING: "●", Verdict.REPLY: "↳"}


def _days(tried: Tried, limit: int) -> Iterator[str]:
    shown = sorted(tried.sent, key=_when, reverse=True)[:limit]
    of_day: dict[str, list[Sent]] = {}
    for one in sorted(tried.sent, key=_when):
        of_day.setdefault(_when(one)[:10], []).append(one)
    day = ""
    for one in shown:
        if _when(one)[:10] != day:
            day = _when(one)[:10]
            yield f"  {day}  {_tally(of_day[day])}"
        yield f"    {_when(one)[11:16]} {_sign(one)} {_verdict(one):<8} {rarity(one.match.score):>12}  {_title(one.item.title)}"
        yield f"          {one.item.source}{', ' + one.item.language if one.item.language else ''}: {_reason(one)}"
    if len(tried.sent) > limit:
        yield f"  … and {len(tried.sent) - limit} earlier (--limit)"


def _when(one: Sent) -> str:
    return f"{one.at or one.item.at:%Y-%m-%d %H:%M}"


def _sign(one: Sent) -> str:
    return _SIGNS.get(one.verdict, "·") if one.at else "·"


def _verdict(one: Sent) -> str:
    return "alert" if one.verdict is Verdict.WAITING and one.at else one.verdict.value


def _tally(sent: Iterable[Sent]) -> str:
    counts = Counter(_verdict(one) for one in sent)
    return ", ".join(f"{n} {_plural(name, n)}" for name, n in counts.items())


def _plural(name: str, n: int) -> str:
    many = {"reply": "replies", "copy": "copies", "alert": "alerts"}
    return name if n == 1 else many.get(name, name)


def _reason(one: Sent) -> str:
    because = why(one.match)
    held = "" if one.verdict is Verdict.ALERT else f"; {one.because}"
    return clip(because, REASON) + clip(held, TITLE)


def _silent(silent: Sequence[Judged]) -> Iterator[str]:
    if not silent:
        yield "  none"
    for one in silent:
        yield f"  {rarity(one.match.score):>12}  {_title(one.item.title)}"
        yield f"                {one.item.source}: {kept_silent(one)}"


def kept_silent(one: Judged) -> str:
    """What kept an item silent, in brief; `explain` says it in full."""
    match = one.match
    gate = f"has none of the required {clip(match.gate, 48)}" if match.gate else ""
    nearer = f"nearer to the negative “{clip(match.negative, 72)}”" if match.negative else ""
    said = {
        MatchOutcome.NO_REQUIRED_TERM: gate,
        MatchOutcome.NEARER_NEGATIVE: nearer,
        MatchOutcome.EXCLUDED_TERM: f"shut out by the term “{match.gate}”",
        MatchOutcome.OUT_OF_SCOPE: f"out of scope: {match.gate}",
    }.get(match.outcome) or "; ".join(filter(None, (match.outcome.value, gate, nearer)))
    unit = f"; its part “{clip(match.unit, 72)}”" if match.unit else ""
    return f"{said}{unit}; most like “{clip(match.nearest, 72)}”{'' if one.whole else _ALONE}"


_ALONE = "; judged by title and lead alone"


def _title(title: str) -> str:
    return clip(title, TITLE)


def rarity(score: float | None) -> str:
    return f"1 in {one_in(score)}" if score is not None else "common"


def _day(time: object) -> str:
    return f"{time:%Y-%m-%d}"


# -- programs -------------------------------------------------------------------------------------


def tried_data(tried: Tried, limit: int | None = None) -> dict[str, object]:
    """The same for programs; lists are whole unless limited."""
    return {
        "topic": tried.topic.id,
        "noise": tried.topic.noise,
        "bar": round(tried.bar, 4),
        "items": tried.items,
        "judged_whole": tried.whole,
        "left_out": tried.unread,
        "first": tried.span[0].isoformat() if tried.span else None,
        "last": tried.span[1].isoformat() if tried.span else None,
        "alerts_a_day": round(sum(_verdict(one) == "alert" for one in tried.told) / tried.days, 4),
        "stories": len({one.story for one in tried.sent}),
        "sources": dict(Counter(one.item.source for one in tried.sent).most_common()),
        "languages": dict(Counter(one.item.language for one in tried.sent).most_common()),
        "histogram": [
            {"from": round(one.low, 4), "to": round(one.high, 4), "items": one.items, "taken": one.taken}
            for one in histogram(tried)
        ],
        "taken": [_sent_data(one) for one in tried.sent[:limit]],
        "silent": [
            {**_item_data(one), "outcome": one.match.outcome.value, "because": judgement(one.match), "whole": one.whole}
            for one in tried.silent[:limit]
        ],
    }


def _item_data(one: Sent | Judged) -> dict[str, object]:
    item = one.item
    return {
        "id": item.id, "title": item.title, "source": item.source, "language": item.language, "link": item.link,
        "at": item.at.isoformat(), "score": round(one.match.score, 4),
    }  # fmt: skip


def _sent_data(one: Sent) -> dict[str, object]:
    return {
        **_item_data(one),
        "verdict": _verdict(one),
        "told": one.at.isoformat() if one.at else None,
        "channels": list(one.channels),
        "story": one.story,
        "because": why(one.match),
    }


def changes_data(changes: Sequence[Change]) -> list[dict[str, object]]:
    """What a change of the files does, for programs."""
    return [
        {
            "topic": one.topic,
            "change": one.kind,
            "keys": list(one.keys),
            "taken_before": len(one.before.sent) if one.before else None,
            "taken_after": len(one.after.sent) if one.after else None,
            "items": [
                {
                    **_sent_data(each.sent),
                    "change": each.sign,
                    "was": _verdict(each.was) if each.was else None,
                    "now": _verdict(each.now) if each.now else None,
                    "score_before": _round(each.before),
                    "score_after": _round(each.after),
                }
                for each in one.items
            ],
        }
        for one in changes
    ]


def _round(score: float | None) -> float | None:
    return None if score is None else round(score, 4)


# -- changes --------------------------------------------------------------------------------------


def changes_text(changes: Sequence[Change], limit: int) -> str:
    """What a change does, story by story, for a terminal."""
    if not changes:
        return "no topic differs"
    return "\n\n".join("\n".join([_heading(one), *_lines(one, limit)]) for one in changes)


def _lines(one: Change, limit: int) -> Iterator[str]:
    shown = 0
    for story in _stories(one.items):
        if shown >= limit:
            break
        if len(story) > 1:
            yield f"  story of {len(story)} items"
        for each in story:
            yield f"  {each.sign} {_outcomes(each):<14} {_scores(each):<26} {_title(each.sent.item.title)}"
            yield f"      {_day(each.sent.item.at)} {each.sent.item.source}: {_reason(each.sent)}"
        shown += len(story)
    if shown < len(one.items):
        yield f"  … and {len(one.items) - shown} more (--limit)"


def changes_markdown(changes: Sequence[Change], limit: int) -> str:
    """What a change does, to be pasted into a review."""
    if not changes:
        return "No topic differs."
    parts = [f"### What {len(changes)} changed topic{'s' * (len(changes) != 1)} would have done"]
    parts += [_archive(changes), "\n".join(_summary(changes))]
    for one in changes:
        rows = list(_markdown_rows(one, limit))
        if rows:
            parts.append(
                "\n".join(
                    [
                        f"<details{' open' if len(changes) <= 3 else ''}><summary>{_md(_heading(one))}</summary>",
                        "",
                        "| | would be | rarity before | after | item | source |",
                        "|---|---|---|---|---|---|",
                        *rows,
                        "",
                        "</details>",
                    ]
                )
            )
    return "\n\n".join(parts)


def _archive(changes: Sequence[Change]) -> str:
    tried = next((one for change in changes for one in (change.after, change.before) if one), None)
    if tried is None:
        return "Nothing that bears on what is sent has changed."
    span = f", {_day(tried.span[0])} to {_day(tried.span[1])}" if tried.span else ""
    return f"Over {tried.items:,} items of the past{span}; {_read(tried)}."


def _summary(changes: Sequence[Change]) -> Iterator[str]:
    yield "| topic | change | taken before | after | + | − | ± |"
    yield "|---|---|---|---|---|---|---|"
    for one in changes:
        before, after = (str(len(each.sent)) if each else "" for each in (one.before, one.after))
        signs = Counter(each.sign for each in one.items)
        counts = " | ".join(str(signs[sign] or "") for sign in "+-±")
        yield f"| {_md(one.topic)} | {', '.join(one.keys) or one.kind} | {before} | {after} | {counts} |"


def _markdown_rows(one: Change, limit: int) -> Iterator[str]:
    shown = 0
    for story in _stories(one.items):
        if shown >= limit:
            yield f"| | | | | … and {len(one.items) - shown} more | |"
            return
        for place, each in enumerate(story):
            item = each.sent.item
            told = f"{'↳ ' * (place > 0)}{_md(_title(item.title))}"
            yield (
                f"| {each.sign.replace('-', '−')} | {_outcomes(each)} | {rarity(each.before)} | {rarity(each.after)} "
                f"| {told} | {_md(item.source)}, {_day(item.at)} |"
            )
        shown += len(story)


def _heading(one: Change) -> str:
    signs = Counter(each.sign for each in one.items)
    said = ", ".join(f"{signs[sign]} {word}" for sign, word in _SAID.items() if signs[sign]) or "sends the same"
    keys = f" ({', '.join(one.keys)})" if one.keys else ""
    return f"{one.topic}: {one.kind}{keys}; {said}"


_SAID = {"+": "more taken", "-": "not taken any more", "±": "told otherwise"}


def _outcomes(one: Changed) -> str:
    if one.was and one.now:
        was, now = _verdict(one.was), _verdict(one.now)
        return f"{was} → {now}" if was != now else f"{now}, elsewhere"
    return _verdict(one.sent)


def _stories(items: Sequence[Changed]) -> list[list[Changed]]:
    stories: dict[str, list[Changed]] = {}
    for one in items:
        stories.setdefault(one.sent.story, []).append(one)
    return list(stories.values())


def _scores(one: Changed) -> str:
    return f"{rarity(one.before)} → {rarity(one.after)}"


def _md(text: str) -> str:
    """Text that stays text in Markdown, in a cell of a table, and on GitHub tells nobody (@name)."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~-])", r"\\\1", html.escape(text, quote=False)).replace("@", "@\u200b")


_LEGEND = "How rare items are among ordinary news, in the topic's sense. Bars are logarithmic; green is taken."


# -- a page ---------------------------------------------------------------------------------------


def tried_html(tried: Tried, changes: Change | None = None) -> str:
    """One page that needs nothing from elsewhere; its lists sort by a click on their heads."""
    title = html.escape(f"{tried.topic.id} · {tried.topic.title}")
    told = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(said)}</dd>" for name, said in facts(tried).items())
    sections = [
        f"<h1>{title}</h1><dl>{told}</dl>",
        f"<h2>Scores</h2><p class=note>{_LEGEND}</p>{_svg(tried)}",
    ]
    if changes is not None:
        rows = [_changed_row(one) for one in changes.items]
        sections.append(
            f"<h2>Against the file</h2><p class=note>{html.escape(_heading(changes))}</p>"
            + _table(["", "time", "rarity in the file", "rarity here", "item", "source", "why"], rows)
        )
    sections.append(
        f"<h2>Would have been taken <span class=note>{len(tried.sent)}</span></h2>"
        + _table(["time", "would be", "rarity", "item", "source", "language", "why"], map(_sent_row, tried.sent))
    )
    sections.append(
        "<h2>Nearest of those that stay silent</h2>"
        + _table(
            ["time", "kept silent by", "rarity", "item", "source", "language", "why"], map(_silent_row, tried.silent)
        )
    )
    head, _, rest = _PAGE.partition("{title}")
    style, _, script = rest.partition("{body}")
    return "".join([head, title, style, "\n".join(sections), script])


#: a cell: what it says, as HTML, and what it sorts by
_Cell = tuple[str, str]


def _sent_row(one: Sent) -> list[_Cell]:
    verdict = f"<span class='tag {'told' if one.at else ''}'>{_verdict(one)}</span>"
    return [_time_cell(_when(one)), (verdict, _verdict(one)), *_item_cells(one), _text_cell(_reason(one))]


def _silent_row(one: Judged) -> list[_Cell]:
    return [
        _time_cell(f"{one.item.at:%Y-%m-%d %H:%M}"), _text_cell(one.match.outcome.value), *_item_cells(one),
        _text_cell(kept_silent(one)),
    ]  # fmt: skip


def _changed_row(one: Changed) -> list[_Cell]:
    rarities = [_rarity_cell(score) for score in (one.before, one.after)]
    _, title, source, _ = _item_cells(one.sent)
    sign = f"{one.sign.replace('-', '−')} {_outcomes(one)}"
    return [_text_cell(sign), _time_cell(_when(one.sent)), *rarities, title, source, _text_cell(_reason(one.sent))]


def _item_cells(one: Sent | Judged) -> list[_Cell]:
    item = one.item
    title = html.escape(item.title)
    if item.link.lower().startswith(("http://", "https://")):
        title = f'<a href="{html.escape(item.link)}" rel="noopener noreferrer">{title}</a>'
    return [
        _rarity_cell(one.match.score), (title, html.escape(item.title)), _text_cell(item.source),
        _text_cell(item.language),
    ]  # fmt: skip


def _rarity_cell(score: float | None) -> _Cell:
    return f"<span class=whole>{rarity(score)}</span>", f"{score or 0:.4f}"


def _time_cell(time: str) -> _Cell:
    return f"<time>{time}</time>", time


def _text_cell(text: str) -> _Cell:
    return html.escape(text), html.escape(text)


def _table(heads: Sequence[str], rows: Iterable[Sequence[_Cell]]) -> str:
    head = "".join(f"<th><button type=button>{html.escape(name) or '±'}</button></th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f'<td data-by="{by}">{said}</td>' for said, by in row) + "</tr>" for row in rows
    ) or f"<tr><td colspan={len(heads)}>none</td></tr>"  # fmt: skip
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


#: of the drawing: one column, its highest bar, and the room beneath for words
_COLUMN, _HIGH, _FOOT = 54, 180, 46


def _svg(tried: Tried) -> str:
    bins = histogram(tried)
    most = math.log1p(max((one.items for one in bins), default=0)) or 1.0
    width, height = _COLUMN * len(bins) + 20, _HIGH + _FOOT + 24
    drawn = []
    for n, one in enumerate(bins):
        left = 10 + n * _COLUMN
        for count, kind in ((one.items, "rest"), (one.taken, "taken")):
            tall = _HIGH * math.log1p(count) / most
            if count:
                top = 24 + _HIGH - tall
                drawn.append(f'<rect class={kind} x={left + 3} y="{top:.1f}" width={_COLUMN - 6} height="{tall:.1f}"/>')
        if one.items:
            top = 18 + _HIGH - _HIGH * math.log1p(one.items) / most
            drawn.append(f'<text x={left + _COLUMN / 2} y="{top:.1f}" text-anchor=middle>{one.items:,}</text>')
        drawn.append(f"<text x={left} y={24 + _HIGH + 16} class=foot>{one_in(one.low)}</text>")
    at = min(max(10 + (tried.bar - bins[0].low) / STEP * _COLUMN, 10), width - 10) if bins else 10
    side, anchor = (6, "start") if at < width / 2 else (-6, "end")
    drawn.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1=6 y2={24 + _HIGH} class=bar />')
    said = f"bar: 1 in {one_in(tried.bar)}"
    drawn.append(f'<text x="{at + side:.1f}" y=14 text-anchor={anchor} class=bartext>{said}</text>')
    drawn.append(f"<text x=10 y={24 + _HIGH + 36} class=foot>one in so many ordinary items scores as high</text>")
    label = (
        f"Histogram of scores from 1 in {one_in(bins[0].low)} on; the bar is 1 in {one_in(tried.bar)}" if bins else ""
    )
    return f'<svg viewBox="0 0 {width} {height}" width={width} role=img aria-label="{label}">{"".join(drawn)}</svg>'


_PAGE = """<!doctype html>
<html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name=referrer content=no-referrer>
<title>{title}</title>
<style>
:root { color-scheme: light dark; --ink: #1d2329; --dim: #667079; --line: #d9dee3; --paper: #fff; --taken: #2f8f5b;
  --rest: #aab4bd; --bar: #c2410c; --tint: #f4f6f8 }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7eb; --dim: #98a3ad; --line: #36404a; --paper: #161b20;
  --taken: #4cb57c; --rest: #55616c; --bar: #fb8b4b; --tint: #1e252c } }
body { margin: 2rem auto; max-width: 78rem; padding: 0 1.25rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 1rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.25rem; margin: 0 }
dt, .note, .foot { color: var(--dim) } dd { margin: 0 } .note { font-weight: normal; margin: 0 0 .5rem }
svg { max-width: 100%; height: auto } svg text { font: 11px system-ui, sans-serif; fill: var(--ink) }
svg text.foot { fill: var(--dim) } .rest { fill: var(--rest) } .taken { fill: var(--taken) }
.bar { stroke: var(--bar); stroke-width: 2; stroke-dasharray: 4 3 } svg text.bartext { fill: var(--bar); font-weight: 600 }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line) }
td { overflow-wrap: anywhere } td:has(time, .tag, .whole) { white-space: nowrap; overflow-wrap: normal }
th button { all: unset; cursor: pointer; font-weight: 600; white-space: nowrap } th button:focus-visible { outline: 2px solid }
th[aria-sort=ascending] button::after { content: " ↑" } th[aria-sort=descending] button::after { content: " ↓" }
tbody tr:nth-child(even) { background: var(--tint) } a { color: inherit } time { font-variant-numeric: tabular-nums }
.tag { padding: 0 .4rem; border-radius: .6rem; border: 1px solid var(--line); color: var(--dim) }
.told { border-color: var(--taken); color: var(--taken) }
</style></head><body>
{body}
<script>
for (const table of document.querySelectorAll("table"))
  table.querySelectorAll("th").forEach((head, place) => head.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending", body = table.tBodies[0]
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort")
    head.setAttribute("aria-sort", up ? "ascending" : "descending")
    const by = row => row.cells[place]?.dataset.by ?? ""
    const compare = (a, b) => by(a).localeCompare(by(b), undefined, {numeric: true}) * (up ? 1 : -1)
    body.append(...[...body.rows].sort(compare))
  }))
</script></body></html>
"""
