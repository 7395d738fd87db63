"""Buttons under an alert: what they are, what one that was pressed says, and what whoever pressed it is answered. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from monitor import phrases
from monitor.model import Alert, FeedbackKind, Message, Press
from monitor.render import MARKUP, Block, escape, section

LABELS = {
    FeedbackKind.USEFUL: "👍 Useful",
    FeedbackKind.WRONG: "👎 Wrong",
    FeedbackKind.MUTE: "🔇 Mute story",
    FeedbackKind.MORE: "👀 More of it",
}
#: what follows of each, for the one who pressed it
NOTED = {
    FeedbackKind.USEFUL: "Noted as useful",
    FeedbackKind.WRONG: "Noted as wrong; whoever keeps its topics will see it",
    FeedbackKind.MUTE: "Muted: nothing more of this story comes to this channel for 30 days",
    FeedbackKind.MORE: "Follow-ups of this story are shown in the channel too",
}
#: what is said of one alert, and not of the story that all alerts of a thread belong to
OF_ONE = frozenset({FeedbackKind.USEFUL, FeedbackKind.WRONG})
#: so many alerts of one message can be chosen from; nobody scrolls through more in an answer
CHOICES = 10

#: after the kind in a button's name: it means the very alert that it names; it takes back what was said
_THIS, _BACK = "this", "back"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a press says."""

    #: the id of the delivery whose message it is about
    delivery: str
    kind: FeedbackKind
    #: of the alert of that id alone, whatever else its message tells
    this: bool = False
    take_back: bool = False


def with_buttons(message: Message, delivery_id: str) -> Message:
    """Put the buttons under a message; without blocks it has no place for them."""
    if not message.blocks:
        return message
    buttons = [_button(kind, label, delivery_id) for kind, label in LABELS.items()]
    return replace(message, blocks=(*message.blocks, {"type": "actions", "elements": buttons}))


def read(press: Press) -> Wish | None:
    """Say what a press means; None if the button is none of ours."""
    kind, _, mark = press.action.partition(" ")
    if kind not in set(FeedbackKind) or mark not in ("", _THIS, _BACK) or not press.value:
        return None
    return Wish(press.value, FeedbackKind(kind), this=bool(mark), take_back=mark == _BACK)


def noted(kind: FeedbackKind, alert: Alert) -> Message:
    """Say what was taken down, with a button that takes it back."""
    words = f"{NOTED[kind]}: “{_title(alert)}”"
    return _answer(words, {"type": "actions", "elements": [_button(f"{kind} {_BACK}", "Take back", alert.id)]})


def taken_back(kind: FeedbackKind, alert: Alert) -> Message:
    return _answer(f"Taken back: {kind}, of “{_title(alert)}”")


def which(kind: FeedbackKind, alerts: Sequence[Alert]) -> Message:
    """Ask which of the alerts that one message tells is meant."""
    words = f"This message tells {len(alerts)} alerts. Which one is {kind}?"
    return _answer(words, *(_choice(kind, alert) for alert in alerts[:CHOICES]))


def unknown() -> Message:
    return _answer("The monitor does not remember this alert: nothing was noted.")


def failed() -> Message:
    return _answer("It could not be written down: press again in a while.")


def _choice(kind: FeedbackKind, alert: Alert) -> Block:
    return section(_title(alert)) | {"accessory": _button(f"{kind} {_THIS}", "This one", alert.id)}


def _answer(words: str, *blocks: Block) -> Message:
    return Message(text=escape(words).translate(MARKUP), blocks=(section(words), *blocks), terminal=words)


def _button(action: str, label: str, value: str) -> Block:
    return {
        "type": "button", "action_id": action, "value": value, "text": {"type": "plain_text", "text": label, "emoji": True},
    }  # fmt: skip


def _title(alert: Alert) -> str:
    return phrases.clip(phrases.title(alert.item), phrases.QUOTE_LIMIT)
