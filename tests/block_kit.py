"""What Slack refuses of a message, and what a message does to its readers: whom it pings, which links it shows.

After https://docs.slack.dev/reference/block-kit and what others measured. Blocks and elements that no table here has
are refused: add what we begin to send.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

BLOCKS = 50
#: chat.postMessage cuts the rest off and says so in a warning only; here it refuses, so that no test misses it.
TEXT = 40_000
#: chat.update does refuse.
UPDATED_TEXT = 4_000
METADATA = 8_000
#: `msg_blocks_too_long`: so much text in one block, and less by `CONTAINER` for each block more (bolt-js #2509, #2867).
ALL_TEXT, CONTAINER = 13_297, 125

#: A value and its JSON pointer to what is wrong with it, in Slack's words.
Rule: TypeAlias = Callable[[Any, str], Iterator[str]]
#: Name of a field to its rule; `!` ends the name of one that must be there.
Fields: TypeAlias = Mapping[str, Rule]


class Refusal(NamedTuple):
    code: str
    #: response_metadata.messages, without their "[ERROR] "
    messages: tuple[str, ...] = ()


def refusal(message: Mapping[str, Any], *, update: bool = False) -> Refusal | None:
    """Say why Slack refuses what chat.postMessage (or chat.update) was given, or None if it takes it."""
    text, blocks = message.get("text"), message.get("blocks")
    if not text and not blocks:
        return Refusal("no_text")
    if len(text or "") > (UPDATED_TEXT if update else TEXT):
        return Refusal("msg_too_long")
    if blocks is not None and not (isinstance(blocks, list) and all(isinstance(block, dict) for block in blocks)):
        return Refusal("invalid_blocks_format")
    problems = tuple(_block_problems(blocks or []))
    if problems:
        return Refusal("invalid_blocks", problems)
    if sum(map(len, _all_text(blocks or []))) + CONTAINER * (len(blocks or []) - 1) > ALL_TEXT:
        return Refusal("msg_blocks_too_long")
    return _metadata_refusal(message.get("metadata"))


def pings(message: Mapping[str, Any]) -> list[str]:
    """Return each mention in a message that is live, as it is written."""
    return [ping for text, bare in _markup(message) for ping in (LIVE_OR_BARE_PING if bare else PING).findall(text)]


def links(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return each link that a message shows, with the words that it shows it with."""
    shown = [link for text, bare in _markup(message) for link in _links(text, bare)]
    buttons = [part for part in _parts(message.get("blocks") or []) if part.get("type") == "button" and "url" in part]
    return shown + [(button["url"], button.get("text", {}).get("text", "")) for button in buttons]


# -- rules ------------------------------------------------------------------------------------------


def _said(words: str, pointer: str) -> str:
    return f"{words} [json-pointer:{pointer}]"


def string(most: int) -> Rule:
    def problems(value: Any, pointer: str) -> Iterator[str]:
        if not isinstance(value, str):
            yield _said("must provide a string", pointer)
        elif not value.strip():
            yield _said("must be more than 0 characters", pointer)
        elif len(value) > most:
            yield _said(f"must be less than {most + 1} characters", pointer)

    return problems


def url(value: Any, pointer: str) -> Iterator[str]:
    yield from string(3_000)(value, pointer)
    if not re.fullmatch(r"https?://\S+", str(value)):
        yield _said("must be a valid URL", pointer)


def boolean(value: Any, pointer: str) -> Iterator[str]:
    if not isinstance(value, bool):
        yield _said("must provide a boolean", pointer)


def one_of(*allowed: str) -> Rule:
    def problems(value: Any, pointer: str) -> Iterator[str]:
        if value not in allowed:
            yield _said("must be a valid enum value", pointer)

    return problems


def array(rule: Rule, most: int) -> Rule:
    def problems(value: Any, pointer: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield _said("must provide an array", pointer)
        elif not value:
            yield _said("no fewer than 1 items allowed", pointer)
        elif len(value) > most:
            yield _said(f"no more than {most} items allowed", pointer)
        else:
            for number, item in enumerate(value):
                yield from rule(item, f"{pointer}/{number}")

    return problems


def fields(rules: Fields) -> Rule:
    named = {name.rstrip("!"): rule for name, rule in rules.items()}
    required = [name.rstrip("!") for name in rules if name.endswith("!")]

    def problems(value: Any, pointer: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield _said("must provide an object", pointer)
            return
        for name in required:
            if name not in value:
                yield _said(f"missing required field: {name}", pointer)
        for name, part in value.items():
            if name in named:
                yield from named[name](part, f"{pointer}/{name}")
            elif name != "type":
                yield _said(f"invalid additional property: {name}", pointer)

    return problems


def typed(rules: Mapping[str, Rule]) -> Rule:
    def problems(value: Any, pointer: str) -> Iterator[str]:
        kind = value.get("type") if isinstance(value, dict) else None
        if kind in rules:
            yield from rules[kind](value, pointer)
        else:
            yield _said(f"unsupported type: {kind}", f"{pointer}/type")

    return problems


def plain(most: int) -> Rule:
    return typed({"plain_text": fields({"text!": string(most), "emoji": boolean})})


def text(most: int) -> Rule:
    mrkdwn = fields({"text!": string(most), "verbatim": boolean})
    return typed({"mrkdwn": mrkdwn, "plain_text": plain(most)})


# -- tables: https://docs.slack.dev/reference/block-kit ---------------------------------------------

ID = string(255)
STYLE = one_of("primary", "danger")
CONFIRM = fields({"title!": plain(100), "text!": text(300), "confirm!": plain(30), "deny!": plain(30), "style": STYLE})
OPTION = fields({"text!": text(75), "value!": string(150), "description": plain(75), "url": url})
IMAGE = {"image_url!": url, "alt_text!": string(2_000)}
VOTE = fields({"text!": plain(75), "value!": string(2_000), "accessibility_label": string(75)})

BUTTON = fields(
    {
        "text!": plain(75),
        "action_id": ID,
        "url": url,
        "value": string(2_000),
        "style": STYLE,
        "confirm": CONFIRM,
        "accessibility_label": string(75),
    }
)
OVERFLOW = fields({"options!": array(OPTION, 5), "action_id": ID, "confirm": CONFIRM})
SELECT = fields(
    {
        "options!": array(OPTION, 100),
        "placeholder": plain(150),
        "initial_option": OPTION,
        "action_id": ID,
        "confirm": CONFIRM,
    }
)
CONTROLS = {"button": BUTTON, "overflow": OVERFLOW, "static_select": SELECT}
FEEDBACK = fields({"positive_button!": VOTE, "negative_button!": VOTE, "action_id": ID})

BLOCK = typed(
    {
        "section": fields(
            {
                "text": text(3_000),
                "fields": array(text(2_000), 10),
                "accessory": typed(CONTROLS | {"image": fields(IMAGE)}),
                "expand": boolean,
                "block_id": ID,
            }
        ),
        "header": fields({"text!": plain(150), "block_id": ID}),
        "context": fields(
            {
                "elements!": array(
                    typed({"image": fields(IMAGE), "mrkdwn": text(3_000), "plain_text": text(3_000)}), 10
                ),
                "block_id": ID,
            }
        ),
        "actions": fields({"elements!": array(typed(CONTROLS), 25), "block_id": ID}),
        "context_actions": fields({"elements!": array(typed({"feedback_buttons": FEEDBACK}), 5), "block_id": ID}),
        "image": fields(IMAGE | {"title": plain(2_000), "block_id": ID}),
        "divider": fields({"block_id": ID}),
    }
)


def _block_problems(blocks: list[dict[str, Any]]) -> Iterator[str]:
    if len(blocks) > BLOCKS:
        yield _said(f"no more than {BLOCKS} items allowed", "/blocks")
    used: set[str] = set()
    for number, block in enumerate(blocks):
        pointer = f"/blocks/{number}"
        yield from BLOCK(block, pointer)
        if block.get("type") == "section" and not {"text", "fields"} & block.keys():
            yield _said("must define either `text` or `fields`", pointer)
        name = block.get("block_id", f" {number}")
        if name in used:
            yield _said(f"`block_id` {name} already exists", f"{pointer}/block_id")
        used.add(name)
        actions = [part["action_id"] for part in _parts([block]) if "action_id" in part]
        for action in {action for action in actions if actions.count(action) > 1}:
            yield _said(f"`action_id` {action} already exists", pointer)


def _metadata_refusal(metadata: Any) -> Refusal | None:
    """Slack names the codes and not the limit; ours is the one that its clients are told to keep to."""
    if metadata is None or metadata == {}:
        return None
    if not isinstance(metadata, dict) or metadata.keys() - {"event_type", "event_payload", "entities"}:
        return Refusal("invalid_metadata_format")
    kind, payload = metadata.get("event_type"), metadata.get("event_payload")
    if not isinstance(kind, str) or not kind or not isinstance(payload, dict):
        return Refusal("invalid_metadata_format")
    if not all(map(_is_metadata_value, payload.values())):
        return Refusal("invalid_metadata_schema")
    return Refusal("metadata_too_large") if len(json.dumps(payload, ensure_ascii=False)) > METADATA else None


def _is_metadata_value(value: Any) -> bool:
    """A scalar, a flat object, or a list of these: what the type of the payload in Slack's own clients allows."""
    flat = list(value) if isinstance(value, list) else [value]
    inner = [part for item in flat for part in (item.values() if isinstance(item, dict) else [item])]
    return all(isinstance(part, str | int | float | bool) for part in inner)


# -- what is in it ----------------------------------------------------------------------------------

PING = re.compile(r"<(?:!(?:channel|here|everyone)|!subteam\^|@[UW]|#[CG])[^<>]*>")
LIVE_OR_BARE_PING = re.compile(PING.pattern + r"|(?<![\w/])@(?:channel|here|everyone)\b|(?<![\w/&])#[a-z][\w-]*")
LINK = re.compile(r"<((?:https?|mailto|tel|slack):[^<>|]*)(?:\|([^<>]*))?>")
BARE_LINK = re.compile(r"(?<![<|])\bhttps?://[^\s<>|]+")


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in it, outermost first."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts(part)


def _all_text(blocks: list[dict[str, Any]]) -> Iterator[str]:
    for part in _parts(blocks):
        if isinstance(part.get("text"), str):
            yield part["text"]


def _markup(message: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Each text in which `<…>` is live, and whether bare @channel, #name and links are too."""
    bare = message.get("parse", "none") != "none" or bool(message.get("link_names"))
    yield message.get("text") or "", bare
    for part in _parts(message.get("blocks") or []):
        if part.get("type") == "mrkdwn":
            yield part.get("text", ""), not part.get("verbatim")


def _links(text: str, bare: bool) -> Iterator[tuple[str, str]]:
    for address, words in LINK.findall(text):
        yield html.unescape(address), html.unescape(words or address)
    for address in BARE_LINK.findall(LINK.sub(" ", text)) if bare else ():
        yield html.unescape(address), html.unescape(address)
