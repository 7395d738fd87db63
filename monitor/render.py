"""Render an alert as the message an analyst reads: Block Kit, its plain-text fallback, and lines for a terminal.

Pure. Decides nothing about whom to tell and knows no channel; it trusts no string that comes from a feed: whatever a
publisher writes, a message pings nobody, fakes no link and moves no cursor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeAlias

from monitor import phrases, terminal
from monitor.model import Alert, AlertKind, Growth, Item, Message, Notice, Severity

Block: TypeAlias = dict[str, object]

#: Slack refuses a section over 3,000 characters, counted after escaping; the rest is our margin.
SECTION_LIMIT = 2_500
#: Slack's own advice is 4,000, and it cuts at 40,000.
TEXT_LIMIT = 3_500
#: Longer links are told, not linked: with a headline of `TITLE_LIMIT` ampersands the section must still fit.
LINK_LIMIT = 1_200
#: Small blocks; all of a message stays under 10,000 (`msg_blocks_too_long` comes at about 13,200, bolt-js #2509).
CONTEXT_LIMIT = 1_500

#: A line to ops may hold two commands with a feed's address in each. So many share a block, and so many blocks are enough
#: for all that `health.notice` says at once.
NOTICE_LIMIT, NOTICE_LINES, NOTICE_BLOCKS = 500, 4, 6
#: One message of several replies: so many are told, a section each, while all of them stay under so many characters.
SHOWN_REPLIES, REPLIES_LIMIT = 7, 7_500
#: Longer links are told by the terminal only: they are what makes a line too long for seven to fit.
REPLY_LINK_LIMIT = 600
#: Of such to topic files a context has three, beside three names.
TOPIC_LINK_LIMIT = 400

#: mrkdwn has no escape for its own marks, and a zero-width space between them is itself something to strip.
MARKUP = str.maketrans({"*": "∗", "_": "ˍ", "~": "∼", "`": "'", "|": "│"})
ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})

SIGNS = {Severity.INFO: "⚪", Severity.NOTICE: "🟡", Severity.HIGH: "🟠", Severity.CRITICAL: "🔴"}


def render(
    alert: Alert,
    batch: Sequence[Alert] = (),
    growth: Growth | None = None,
    links: Mapping[str, str] = MappingProxyType({}),
) -> Message:
    """Say all of a root, and of a reply only what its thread does not show yet.

    batch: other replies of the same thread, to be told in one message with it, a line each, the latest first.
    growth: of a root that is rendered anew, how far its story has come since. links: where topics are shown, by id.
    At most 10 blocks, each at most 2,500 characters and all at most 10,000 after escaping; the text at most 3,500.
    """
    if batch:
        replies = sorted((alert, *batch), key=phrases.told_at, reverse=True)
        return Message(
            text=_batch_text(replies), blocks=_batch_blocks(replies, links), terminal=terminal.batch(replies)
        )
    if alert.kind is AlertKind.REPLY:
        return Message(text=_reply_text(alert), blocks=_reply_blocks(alert, links), terminal=terminal.reply(alert))
    return Message(
        text=_root_text(alert, growth), blocks=_root_blocks(alert, growth, links), terminal=terminal.root(alert, growth)
    )


def render_notice(notice: Notice) -> Message:
    """Say to ops what is wrong with the monitor's feeds or network, one finding a line."""
    lines = [phrases.clip(line, NOTICE_LIMIT) for line in map(phrases.line, notice.text.splitlines()) if line]
    shown = [f"• {line}" for line in lines]
    parts = [shown[n : n + NOTICE_LINES] for n in range(0, len(shown), NOTICE_LINES)]
    blocks = (section("⚙ The monitor itself"), *(context(*part) for part in parts[:NOTICE_BLOCKS]))
    text = _plain(f"The monitor itself: {'; '.join(lines)}")
    return Message(text=text, blocks=blocks, terminal=terminal.notice(lines))


def degraded(message: Message, rung: int) -> Message | None:
    """Say the same in less, for a channel that refused it; None below the last rung.

    rung: 0 all of it; 1 one section with as many of its lines as fit; 2 the same without blocks, at most 3,500
        characters; 3 the title and the first link.
    """
    lines = [line for block in message.blocks for line in _lines(block)] or [message.text]
    match rung:
        case 0:
            return message
        case 1:
            section = markdown(_fitting(lines, SECTION_LIMIT) or _cut(message.text, SECTION_LIMIT))
            return replace(message, blocks=(section,))
        case 2:
            return replace(message, text=_fitting(lines, TEXT_LIMIT) or _cut(message.text, TEXT_LIMIT), blocks=())
        case 3:
            links = [f"<{link}>" for line in lines for link in re.findall(r"<([^|>]+)\|", line)]
            return replace(message, text="\n".join([_cut(message.text, CONTEXT_LIMIT), *links[:1]]), blocks=())
    return None


def doubted(message: Message) -> Message:
    """Say that this may stand in the channel already, because nobody could look."""
    blocks = (*message.blocks, context(_MAY_REPEAT)) if message.blocks else ()
    return replace(message, text=f"{message.text} {_MAY_REPEAT}", blocks=blocks)


_MAY_REPEAT = "(may repeat an alert)"


def by_itself(message: Message, alert: Alert) -> Message:
    """Name the story of a reply whose thread is not there; a terminal's reply names it always."""
    story = phrases.clip(phrases.line(alert.story_title), phrases.TITLE_LIMIT)
    text = f"{message.text} · {_plain(f'more on “{story}”')}"
    return replace(message, text=text, blocks=(context(f"More on “{story}”"), *message.blocks))


def _lines(block: Mapping[str, Any]) -> list[str]:
    """All that a block says, as mrkdwn; buttons say nothing."""
    texts = block.get("elements") or [block.get("text")]
    return [
        text["text"] if text["type"] == "mrkdwn" else text["text"].translate(MARKUP)
        for text in texts
        if text and text["type"] in ("mrkdwn", "plain_text")
    ]


def _fitting(lines: Sequence[str], limit: int) -> str:
    """Join the first lines, as many as fit however Slack counts an emoji: a line that is cut may be half a link."""
    text = "\n".join(lines)
    while lines and len(text.encode("utf-16-le")) // 2 > limit:
        lines = lines[:-1]
        text = "\n".join([*lines, "…"])
    return text if lines else ""


# -- Block Kit: https://docs.slack.dev/reference/block-kit/ ----------------------------------------


def _root_blocks(alert: Alert, growth: Growth | None, links: Mapping[str, str]) -> tuple[Block, ...]:
    """In the order in which it is read: what, of which topic, by whom and when, its words, why, and who else tells it."""
    urgency = f"{SIGNS[alert.severity]} {alert.severity.upper()}"
    words = phrases.sentence(alert)
    return (
        _headline(alert.item),
        _of_topics(f"{urgency} · ", [alert], links, "" if growth else phrases.mark(alert)),
        context(_joined(phrases.source(alert.item), phrases.when(alert, dated=False))),
        *([section(words)] if words else []),
        context("Why: " + "\n".join(phrases.reasons(alert))),
        context(_joined(phrases.story(alert, growth), phrases.explain(alert.item))),
    )


def _of_topics(before: str, alerts: Sequence[Alert], links: Mapping[str, str], mark: str = "") -> Block:
    """Name the topics, each linked to its file if somebody said where that is."""
    names, more = phrases.named_topics(alerts)
    after = f"{more} · {mark}" if mark else more
    linked = [_linked(_plain(name), links.get(topic, ""), TOPIC_LINK_LIMIT) for name, topic in names.items()]
    text = f"{_plain(before)}{' · '.join(linked)}{_plain(after)}"
    if not any(links.get(topic) for topic in names.values()) or len(text) > CONTEXT_LIMIT:
        return context(f"{before}{' · '.join(names)}{after}")
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}


def _joined(*parts: str) -> str:
    return " · ".join(filter(None, parts))


def _reply_blocks(alert: Alert, links: Mapping[str, str]) -> tuple[Block, ...]:
    return (
        *([section(phrases.jump(alert.escalation))] if alert.escalation else []),
        _headline(alert.item),
        *([context(phrases.formerly(alert))] if alert.formerly else []),
        _of_topics(f"{_joined(phrases.source(alert.item), phrases.when(alert, dated=False))}\n", [alert], links),
    )


def _batch_blocks(replies: Sequence[Alert], links: Mapping[str, str]) -> tuple[Block, ...]:
    """The last block says how many are left out: the oldest, since what is new counts more."""
    jumps = [reply.escalation for reply in replies if reply.escalation]
    lines: list[str] = []
    for reply in replies[:SHOWN_REPLIES]:
        line = _reply_line(reply)
        if sum(map(len, lines)) + len(line) > REPLIES_LIMIT:
            break
        lines.append(line)
    left = len(replies) - len(lines)
    last = f"and {left} more\n" if left else ""
    return (
        *([section(phrases.jump(jumps[0]))] if jumps else []),
        *map(markdown, lines),
        _of_topics(last, replies, links),
    )


def _reply_line(alert: Alert) -> str:
    """Write a reply in one line of mrkdwn."""
    title = link_to(alert.item, phrases.clip(phrases.title(alert.item), phrases.QUOTE_LIMIT * 2), REPLY_LINK_LIMIT)
    about = f" — {phrases.about(alert, dated=False)}" + (f" ({phrases.was(alert)})" if alert.formerly else "")
    return f"• {title}{_plain(about)}"


def _root_text(alert: Alert, growth: Growth | None) -> str:
    so_far = phrases.growth(growth, alert.created) if growth else phrases.mark(alert)
    about = "; ".join(filter(None, (phrases.name(alert.item.source), so_far)))
    return _plain(f"{alert.severity.upper()} · {phrases.topics(alert)}: {phrases.title(alert.item)} ({about})")


def _reply_text(alert: Alert) -> str:
    said = phrases.jump(alert.escalation) if alert.escalation else "Edited" if alert.formerly else "Update"
    return _plain(f"{said}: {phrases.title(alert.item)} ({phrases.name(alert.item.source)})")


def _batch_text(replies: Sequence[Alert]) -> str:
    jumps = [reply.escalation for reply in replies if reply.escalation]
    said = phrases.jump(jumps[0]) if jumps else f"{len(replies)} updates"
    return _plain(f"{said}: {phrases.title(replies[0].item)} ({phrases.name(replies[0].item.source)})")


def _plain(text: str) -> str:
    """Write words where Slack reads mrkdwn."""
    return escape(text).translate(MARKUP)


def _headline(item: Item) -> Block:
    return markdown(f"*{link_to(item, phrases.title(item), LINK_LIMIT)}*")


def link_to(item: Item, title: str, limit: int) -> str:
    """Write a title as mrkdwn, linked unless the link is too long."""
    return _linked(_plain(title), item.link, limit)


def _linked(shown: str, link: str, limit: int) -> str:
    link = phrases.link(link).translate(ENTITIES)
    return f"<{link}|{shown}>" if link and len(link) <= limit else shown


def markdown(text: str) -> Block:
    # verbatim: else Slack makes links and mentions of bare "example.com", "#general" and "@channel" in a title
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def section(text: str) -> Block:
    return {"type": "section", "text": {"type": "plain_text", "text": escape(text, CONTEXT_LIMIT)}}


def context(*lines: str) -> Block:
    text = escape("\n".join(lines), CONTEXT_LIMIT)
    return {"type": "context", "elements": [{"type": "plain_text", "text": text}]}


def escape(text: str, limit: int = SECTION_LIMIT) -> str:
    """Escape for Slack and clip the result, never inside an entity."""
    return _cut(text.translate(ENTITIES), limit)


def _cut(escaped: str, limit: int) -> str:
    if len(escaped) <= limit:
        return escaped
    cut = escaped[: limit - 1]
    before, ampersand, entity = cut.rpartition("&")
    return (before if ampersand and ";" not in entity else cut) + "…"
