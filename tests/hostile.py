"""Titles that try what can be tried, all kinds of messages that tell them, and what would be wrong with such a message.

Shared by test_render (some hundred titles) and bench/hostile_titles.py (a hundred thousand).
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

import block_kit
import make

from monitor.model import Alert, AlertKind, Corroboration, Escalation, Growth, Message, Notice
from monitor.render import degraded, render, render_notice

#: No title may end this link, add to it, or make another.
LINK = "https://harbourwire.example/2024/10/29/troops?a=1&b=2"
OWN_LINK = re.compile(r"<([^<>|\s]+)(?:\|([^<>|]*))?>")

WORDS = (
    "Troops seen near Kursk, Seoul says · В Сеуле сообщили о войсках · 韩国称朝鲜军人已抵达 · قوات كورية · "
    "חיילים צפון · AT&T O'Neil"
).split()
#: What Slack, a terminal or a reader might take for something else than text.
TRICKS = [
    "<!channel>", "<!here|here>", "<!everyone>", "<@U0BOSS>", "<#C0NEWS|general>", "<!subteam^S012|@desk>", "@channel", "@here",
    "<!date^1392734382^{date}|now>", "<https://evil.example|Reuters>", "<mailto:a@evil.example|Seoul>", "https://evil.example",
    "[Reuters](https://evil.example)", "|", ">", "<", ">>> ", "*bold*", "_it_", "~gone~", "`code`", "```", ":rotating_light:",
    "&lt;!channel&gt;", "&amp;lt;!here&amp;gt;", "&#60;!here&#62;", "&", "&amp", "&nbsp;", "*|*", "_*~`",
    "\u202egnp.exe\u202c", "\u2066\u2067\u2069", "\u200e\u200f\u061c", "\u200b", "\u200d", "\u00ad", "\ufeff", "\u2060",
    "\U000e0041", "\x00", "\x1b[2J\x1b[31m", "\x9b31m", "\x07", "\x08\x08\x08", "\x7f", "\x85", "\r\n", "\n\n", "\t",
    "\u2028", "\u2029", "\ud800", "👨\u200d👩\u200d👧\u200d👦", "🏴\U000e0067\U000e007f", "🇺🇦", "🔴 CRITICAL", "1\ufe0f\u20e3",
    "\U0001f468\U0001f3fd", "\u3164", "\u2800", "\u115f", "\uffa0", "\u034f", "ﷺ", "\uffff", "\ue000", "＜！channel＞", "ⓐ",
]  # fmt: skip


def title(draw: random.Random) -> str:
    """Words with tricks between and inside them; one in fifty is of 10,000 characters."""
    pieces = []
    for _ in range(draw.randint(1, 14)):
        piece = draw.choice(draw.choice((WORDS, TRICKS)))
        if draw.random() < 0.1:
            piece = _zalgo(draw, piece)
        if draw.random() < 0.1:
            cut = draw.randint(0, len(piece))
            piece = piece[:cut] + draw.choice(TRICKS) + piece[cut:]
        pieces.append(piece * (draw.randint(2, 200) if draw.random() < 0.01 else 1))
    text = draw.choice(("", " ", " ", " ")).join(pieces)
    return (text * (10_000 // len(text) + 1))[:10_000] if draw.random() < 0.02 else text


def _zalgo(draw: random.Random, text: str) -> str:
    return "".join(c + "".join(chr(draw.randrange(0x300, 0x370)) for _ in range(draw.randint(1, 30))) for c in text)


def messages(said: str, draw: random.Random) -> Iterator[tuple[str, Message]]:
    """Every kind of message, with this in every place to which a feed's words, or an author's, come."""
    other = title(draw)
    item = make.item(
        id="0123456789abcdef",
        title=said,
        text=draw.choice((other, said + other, "")),
        link=LINK,
        feed=make.feed(title=other, kind=other, country=said, language=draw.choice(("en", "ru", other))),
        language="ru",
    )
    match = make.match(
        nearest=other,
        terms=(said, other),
        words=draw.choice(((), (other, said))),
        unit=draw.choice(("", other)),
        opinion=other,
    )
    voices = tuple(make.voice(f"{n} {other}", kind=f"{n} {said}", country=other) for n in range(5))
    root = make.alert(
        item=item,
        matches=(match, replace(match, topic="b"), replace(match, topic="c"), replace(match, topic="d"))[
            : draw.randint(1, 4)
        ],
        titles={"dprk-troops": said, "b": other, "c": "", "d": said},
        sources=tuple(voice.source for voice in voices),
        independent=voices[: draw.randint(0, 5)],
        corroboration=draw.choice((None, Corroboration(2), Corroboration(9))),
        story_title=other,
    )
    growth = Growth(7, tuple(voice.kind for voice in voices), 3, 12, make.NOW, True, other, make.NOW)
    reply = replace(root, kind=AlertKind.REPLY, parent="root")
    edit = replace(reply, formerly=other)
    escalation = replace(reply, escalation=Escalation(6, 4, timedelta(hours=1)))
    yield "root", render(root)
    yield "grown", render(root, growth=growth)
    yield "reply", render(reply)
    yield "edit", render(edit)
    yield "escalation", render(escalation)
    yield (
        "batch",
        render(
            reply,
            [
                edit,
                escalation,
                *[_told_later(reply, n) for n in range(12 if draw.random() < 0.05 else draw.randint(0, 1))],
            ],
        ),
    )
    yield "notice", render_notice(Notice("n", "C0OPS", "\n".join([said, other]), make.NOW))


def _told_later(reply: Alert, minutes: int) -> Alert:
    return replace(reply, item=replace(reply.item, published=make.NOW + timedelta(minutes=minutes)))


def rungs(whole: Message) -> Iterator[Message]:
    rung = 0
    while message := degraded(whole, rung):
        yield message
        rung += 1


def flaws(message: Message, links: Iterable[str] = (LINK,)) -> list[str]:
    """Tell what Slack would refuse of a message, or do instead of showing it; what a terminal would. Empty: nothing."""
    texts = [
        (part["type"], part["text"]) for block in message.blocks for part in block.get("elements", [block.get("text")])
    ]
    told = [text for _, text in texts]
    all_told = [message.text, *told]
    written = [OWN_LINK.sub(lambda link: link[2] or "", text) for text in all_told]
    marked = [message.text, *(text for kind, text in texts if kind == "mrkdwn")]
    # the headline is bold, and nothing else is
    mrkdwn = [re.sub(r"(?m)^\*(.*)\*$", r"\1", OWN_LINK.sub(lambda link: link[2] or "", text)) for text in marked]
    payload = {"text": message.text, "blocks": list(message.blocks)}
    return [
        flaw
        for flaw, found in {
            "blocks": len(message.blocks) > 10,
            "section": not all(1 <= len(text) <= 2_500 for text in told),
            "section in UTF-16": any(len(text.encode("utf-16-le", "replace")) > 2 * 3_000 for text in told),
            "total": sum(map(len, told)) > 10_000,
            "text": not 1 <= len(message.text) <= 3_500,
            "angle bracket": any(character in text for text in written for character in "<>"),
            "entity": any(re.search(r"&(?!(amp|lt|gt);)", text) for text in all_told),
            "refused": block_kit.refusal(payload, update=True) is not None,
            "ping": bool(block_kit.pings(payload)),
            "link": not {address for address, _ in block_kit.links(payload)} <= set(links),
            "markup": any(re.search(r"[*_~`]", text) for text in mrkdwn),
            "not verbatim": any(
                block["type"] == "section" and block["text"]["type"] == "mrkdwn" and not block["text"].get("verbatim")
                for block in message.blocks
            ),
            "unseen": not _unseen(written).isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"}),
            "unseen in a terminal": not _unseen([message.terminal]).isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"}),
            "columns": max(map(columns, message.terminal.split("\n"))) > 100,
        }.items()
        if found
    ]


def _unseen(texts: list[str]) -> set[str]:
    return {unicodedata.category(character) for character in set("".join(texts)) - {"\n"}}


def columns(line: str) -> int:
    if line.lstrip().startswith(("link http", "http")):
        return 0  # whole however long
    if line.isascii():
        return len(line)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line if not unicodedata.combining(c))


def headline(message: Message) -> str:
    """What a reader sees of the title."""
    label = re.search(
        r"<[^|>]+\|([^>]*)>", "\n".join(str(block["text"]["text"]) for block in message.blocks if "text" in block)
    )
    return label[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") if label else ""


def letters(text: str) -> str:
    """Letters and digits, in any script."""
    return "".join(
        c
        for c in text
        if unicodedata.category(c) in ("Lu", "Ll", "Lt", "Lo", "Nd") and c not in "\u3164\u115f\u1160\uffa0"
    )


def is_readable(kind: str, message: Message, said: str) -> bool:
    """Tell whether the title's letters are there in order: all of them, or as many as a headline holds."""
    if kind == "notice":
        return True
    shown, meant = letters(headline(message)), letters(said)
    if not meant:
        return True
    return meant.startswith(shown) and (shown == meant or headline(message).endswith("…"))
