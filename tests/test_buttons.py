"""Buttons under alerts: a press through Socket Mode, over a real WebSocket on loopback, says what a reaction says; and whatever
becomes of the connection, alerts go out."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import block_kit
import make
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import GOLDEN
from slack_server import FakeSlack
from world import GAZETTE, TROOPS, TROOPS_AGAIN, TROOPS_RETOLD, WIRE, World, at_once

from monitor.buttons import LABELS, NOTED, read, which, with_buttons
from monitor.errors import StateError
from monitor.hearing import Hearing, hear, note_link
from monitor.model import DeliveryState, Feedback, FeedbackKind, Message, Press
from monitor.pipeline import Courier
from monitor.render import doubted
from monitor.send import SlackSink
from monitor.socket_mode import SocketMode, _presses

USEFUL, WRONG, MUTE, MORE = FeedbackKind.USEFUL, FeedbackKind.WRONG, FeedbackKind.MUTE, FeedbackKind.MORE


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FakeSlack() as slack:
        yield slack


class Desk(World):
    """A world that tells Slack, with buttons."""

    def __init__(self, slack: FakeSlack) -> None:
        super().__init__(settle=timedelta(seconds=60))
        self.slack = slack
        self.sink = SlackSink(slack.token, slack.url)  # type: ignore[assignment]  # in place of the fake
        slack.clock = lambda: self.now.timestamp()
        #: what was noted of the connection
        self.noted: list[str] = []
        #: seconds that were waited for between two tries
        self.paused: list[float] = []
        self.tries: asyncio.Queue[None] = asyncio.Queue()

    @property
    def courier(self) -> Courier:
        return replace(super().courier, buttons=True)

    async def tell(self, feed: Any = WIRE, *articles: tuple[str, str]) -> dict[str, Any]:
        """Publish and deliver; what stands in the channel last."""
        await self.publish(feed, *(articles or (TROOPS,)))
        await self.deliver()
        return self.slack.messages[-1]

    async def until(self, condition: Callable[[], object]) -> None:
        await asyncio.to_thread(self.slack.until, condition)

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.tries.put_nowait(None)
        await asyncio.sleep(0)

    async def answers(self, count: int = 1) -> list[str]:
        await self.until(lambda: len(self.slack.ephemerals) >= count)
        return [shown["text"] for shown in self.slack.ephemerals]

    def said(self) -> list[tuple[str, FeedbackKind]]:
        return [(one.user, one.kind) for one in self.store.feedback(make.NOW - timedelta(days=1))]


@pytest.fixture
async def desk(slack: FakeSlack) -> Desk:
    desk = Desk(slack)
    await desk.know()
    return desk


@asynccontextmanager
async def listening(
    desk: Desk, *, quiet: float = 30.0, fresh: float = 3_600.0, token: str = "", url: str = ""
) -> AsyncIterator[SocketMode]:
    """Listen, and where nothing else is expected wait for the connection."""
    slack = desk.slack

    async def note(problem: str) -> None:
        desk.noted.append(problem)
        await note_link(problem, edges)

    app_token = token or slack.app_token
    async with SocketMode(
        app_token, slack.token, url or slack.url, quiet=quiet, fresh=fresh, pause=desk.pause
    ) as socket:
        edges = Hearing(desk.store, at_once, socket.answer, desk.clock)
        listen = asyncio.create_task(socket.listen(functools.partial(hear, edges=edges), note))
        try:
            if not (token or url):
                await desk.until(lambda: slack.socket.connections)
            yield socket
        finally:
            listen.cancel()
            await asyncio.gather(listen, return_exceptions=True)


# -- what a press says -----------------------------------------------------------------------------


async def test_press_is_acknowledged_and_says_what_a_reaction_says(desk: Desk) -> None:
    root = await desk.tell()
    async with listening(desk):
        envelope = desk.slack.press(root["ts"], "wrong", "U0ANNA")
        [answer] = await desk.answers()

    assert desk.slack.socket.acknowledged == {envelope: {}}
    [sent] = desk.store.deliveries(DeliveryState.SENT)
    assert desk.store.feedback(make.NOW) == [Feedback(sent.alert.id, WRONG, "U0ANNA", desk.now)]
    assert answer == f"{NOTED[WRONG]}: “{TROOPS[0]}”"
    [shown] = desk.slack.ephemerals
    assert (shown["channel"], shown["user"], shown["pings"]) == (root["channel"], "U0ANNA", [])
    assert len(desk.slack.messages) == 1


@pytest.mark.parametrize("kind", FeedbackKind)
async def test_each_kind_has_its_button(desk: Desk, kind: FeedbackKind) -> None:
    root = await desk.tell()
    async with listening(desk):
        desk.slack.press(root["ts"], kind.value)
        await desk.answers()

    assert desk.said() == [("U0ANALYST", kind)]


async def test_press_that_slack_tells_again_counts_once(desk: Desk) -> None:
    root = await desk.tell()
    async with listening(desk):
        desk.slack.press(root["ts"], "useful", "U0ANNA")
        again = desk.slack.socket.push(*desk.slack.socket.pushed[-1])
        desk.slack.press(root["ts"], "more", "U0BORIS")
        answers = await desk.answers(2)

    assert again in desk.slack.socket.acknowledged
    assert [answer.partition(":")[0] for answer in answers] == [NOTED[USEFUL], NOTED[MORE]]
    assert sorted(desk.said()) == [("U0ANNA", USEFUL), ("U0BORIS", MORE)]


async def test_what_was_pressed_can_be_taken_back(desk: Desk) -> None:
    root = await desk.tell()
    async with listening(desk):
        desk.slack.press(root["ts"], "mute", "U0ANNA")
        await desk.answers()
        [silence] = desk.store.silences(desk.now)
        desk.slack.press(desk.slack.ephemerals[0]["ts"], "mute back", "U0ANNA")
        answers = await desk.answers(2)

    assert (silence.author, silence.channel) == ("U0ANNA", root["channel"])
    assert (answers[1], desk.said(), desk.store.silences(desk.now)) == (f"Taken back: mute, of “{TROOPS[0]}”", [], [])


async def test_muted_story_is_silent_and_one_that_interests_is_shown_in_the_channel(desk: Desk) -> None:
    root = await desk.tell()
    async with listening(desk):
        desk.slack.press(root["ts"], "more")
        await desk.answers()
        reply = await desk.tell(GAZETTE, TROOPS_RETOLD)
        assert reply["reply_broadcast"]
        desk.slack.press(reply["ts"], "mute")
        await desk.answers(2)
        await desk.tell(WIRE, TROOPS, TROOPS_AGAIN)

    assert len(desk.slack.messages) == 2


async def test_sweep_takes_back_what_no_reaction_says_any_more_and_nothing_that_was_pressed(desk: Desk) -> None:
    root = await desk.tell()
    [sent] = desk.store.deliveries(DeliveryState.SENT)
    desk.store.keep_feedback({sent.alert.id: [(USEFUL, "U0ANNA"), (MORE, "U0ANNA")]}, desk.now)
    async with listening(desk):
        desk.slack.press(root["ts"], "useful", "U0ANNA")
        desk.slack.press(root["ts"], "wrong", "U0BORIS")
        await desk.answers(2)
    _, over = desk.store.keep_feedback({sent.alert.id: []}, desk.now)

    assert [one.kind for one in over] == [MORE]
    assert sorted(desk.said()) == [("U0ANNA", USEFUL), ("U0BORIS", WRONG)]


async def test_of_a_message_that_tells_several_the_one_that_is_meant_is_asked_for(desk: Desk) -> None:
    await desk.tell()
    desk.reply_gap = timedelta(minutes=10)
    await desk.publish(GAZETTE, TROOPS_RETOLD)
    await desk.publish(WIRE, TROOPS, TROOPS_AGAIN)
    await desk.deliver()
    reply = desk.slack.messages[-1]
    [carrier] = [one for one in desk.store.deliveries(DeliveryState.SENT) if one.receipt == reply["ts"]]
    [other] = desk.store.deliveries(DeliveryState.BATCHED)
    async with listening(desk):
        desk.slack.press(reply["ts"], "wrong", "U0ANNA")
        [asked] = await desk.answers()
        assert (asked, desk.said()) == ("This message tells 2 alerts. Which one is wrong?", [])
        desk.slack.press(desk.slack.ephemerals[0]["ts"], "wrong this", "U0ANNA", other.alert.id)
        desk.slack.press(desk.slack.ephemerals[0]["ts"], "wrong this", "U0BORIS", carrier.alert.id)
        await desk.answers(3)

    said = {one.user: one.alert for one in desk.store.feedback(make.NOW)}
    assert said == {"U0ANNA": other.alert.id, "U0BORIS": carrier.alert.id}
    assert [one.among for _, said_of in desk.store.feedback_on_alerts(make.NOW) for one in said_of] == [1, 1]


async def test_reaction_to_a_message_that_tells_several_is_of_each_and_says_so(desk: Desk) -> None:
    await desk.tell()
    desk.reply_gap = timedelta(minutes=10)
    await desk.publish(GAZETTE, TROOPS_RETOLD)
    await desk.publish(WIRE, TROOPS, TROOPS_AGAIN)
    await desk.deliver()
    [carrier] = [one for one in desk.store.deliveries(DeliveryState.SENT) if one.thread]
    desk.store.keep_feedback({carrier.alert.id: [(WRONG, "U0ANNA")]}, desk.now)

    told = desk.store.feedback_on_alerts(make.NOW)
    assert [(alert.item.title, [one.among for one in said]) for alert, said in told] == [
        (TROOPS_RETOLD[0], [2]), (TROOPS_AGAIN[0], [2]),
    ]  # fmt: skip


async def test_alert_that_is_not_remembered_is_said_so(desk: Desk) -> None:
    root = await desk.tell()
    stranger = Desk(desk.slack)
    async with listening(stranger):
        desk.slack.press(root["ts"], "useful")
        [answer] = await stranger.answers()

    assert answer == "The monitor does not remember this alert: nothing was noted."
    assert stranger.said() == []


async def test_press_that_cannot_be_written_down_is_said_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    root = await desk.tell()

    def full(*_: object, **__: object) -> bool:
        raise StateError("the disk is full")

    monkeypatch.setattr(desk.store, "keep_press", full)
    async with listening(desk):
        desk.slack.press(root["ts"], "useful")
        [answer] = await desk.answers()

    assert answer == "It could not be written down: press again in a while."


async def test_answer_that_fails_takes_nothing_back(desk: Desk) -> None:
    root = await desk.tell()
    desk.slack.fault("drop_http500", method="chat.postEphemeral")
    async with listening(desk):
        desk.slack.press(root["ts"], "useful", "U0ANNA")
        desk.slack.press(root["ts"], "more", "U0ANNA")
        await desk.answers()

    assert sorted(kind for _, kind in desk.said()) == [MORE, USEFUL]


@pytest.mark.parametrize("action", ["", "open", "useful twice", "silence", "usefulthis"])
def test_other_buttons_say_nothing(action: str) -> None:
    assert read(Press(action, "a1", "U0ANNA", make.CHANNEL)) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["type", "user", "id", "channel", "actions", "action_id", "value", "message", "thread_ts"]), inner
    ),
)  # fmt: skip


@given(JSON)
def test_no_payload_is_too_strange(payload: Any) -> None:
    strange = payload | {"type": "block_actions"} if isinstance(payload, dict) else payload
    assert all(press.user and press.channel for _, press in _presses(strange))


# -- the message -----------------------------------------------------------------------------------


def buttons_of(message: dict[str, Any]) -> list[tuple[str, str]]:
    blocks = [block for block in message["blocks"] if block["type"] == "actions"]
    return [(one["action_id"], one["value"]) for block in blocks for one in block["elements"]]


async def test_message_keeps_its_buttons_when_it_is_edited(desk: Desk) -> None:
    root = await desk.tell()
    before = buttons_of(root)
    await desk.tell(GAZETTE, TROOPS_RETOLD)
    desk.wait(minutes=5)
    await desk.deliver()

    assert root["edited"]
    [told, _] = desk.store.deliveries(DeliveryState.SENT)
    assert before == buttons_of(root) == [(kind.value, told.alert.id) for kind in LABELS]


async def test_message_that_is_refused_with_buttons_goes_without(desk: Desk) -> None:
    desk.slack.fault("invalid_blocks")
    root = await desk.tell()

    assert [block["type"] for block in root["blocks"]] == ["section"]


async def test_without_an_app_token_a_message_is_as_it_was(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Desk, "courier", World.courier)
    root = await desk.tell()
    [sent] = desk.store.deliveries(DeliveryState.SENT)

    assert sent.message is not None
    assert (root["text"], tuple(root["blocks"])) == (sent.message.text, sent.message.blocks)


def test_message_without_blocks_has_no_place_for_buttons() -> None:
    plain = Message("x", (), "x")
    assert with_buttons(plain, "a1") is plain


@pytest.mark.parametrize("name", GOLDEN)
def test_slack_takes_every_message_with_buttons(name: str) -> None:
    message = doubted(GOLDEN[name])
    shown = message if any(block["type"] == "actions" for block in message.blocks) else with_buttons(message, "a" * 36)
    assert block_kit.refusal({"text": shown.text, "blocks": json.loads(json.dumps(shown.blocks))}) is None


def test_choice_among_very_many_is_one_that_slack_takes(slack: FakeSlack) -> None:
    asked = which(WRONG, [make.alert(id=str(n), item=make.item(title="& <!here> " * 90)) for n in range(70)])
    fields = {"channel": make.CHANNEL, "user": "U0ANNA", "text": asked.text, "blocks": json.dumps(asked.blocks)}

    assert slack.answer("chat.postEphemeral", slack.token, fields)["ok"]
    assert (len(asked.blocks), slack.ephemerals[0]["pings"]) == (11, [])


# -- the connection --------------------------------------------------------------------------------


async def test_deaf_connection_is_noticed_and_changed(desk: Desk) -> None:
    root = await desk.tell()
    async with listening(desk, quiet=0.2):
        desk.slack.socket.deaf = True
        [old] = desk.slack.socket.connections
        await desk.until(lambda: old not in desk.slack.socket.connections)
        desk.slack.socket.deaf = False
        await desk.until(lambda: desk.slack.socket.connections)
        desk.slack.press(root["ts"], "useful")
        await desk.answers()

    assert desk.noted[:2] == ["", "slack: deaf: open, and silent for 0.2 s; connecting anew"]
    assert desk.said() == [("U0ANALYST", USEFUL)]


async def test_connection_that_answers_pings_and_brings_nothing_is_changed_after_a_while(desk: Desk) -> None:
    async with listening(desk, fresh=0.0):
        await desk.until(lambda: [method for method, _ in desk.slack.requests].count("apps.connections.open") > 2)

    assert desk.noted == [""]


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_slack_that_wants_another_connection_has_it(desk: Desk, reason: str) -> None:
    async with listening(desk):
        [old] = desk.slack.socket.connections
        await asyncio.to_thread(desk.slack.socket.disconnect, reason)
        await desk.until(lambda: old not in desk.slack.socket.connections and desk.slack.socket.connections)

    assert desk.noted == [""]


async def test_socket_mode_that_was_switched_off_is_said_with_the_remedy(desk: Desk) -> None:
    async with listening(desk):
        await asyncio.to_thread(desk.slack.socket.disconnect, "link_disabled")
        await desk.until(lambda: len(desk.noted) > 1 and desk.slack.socket.connections)

    assert desk.noted[1] == "slack: link_disabled: Socket Mode is off; switch it on in the app's settings"


async def test_connection_that_ends_without_a_word_is_opened_again(desk: Desk) -> None:
    async with listening(desk):
        await asyncio.to_thread(desk.slack.socket.close)
        await desk.until(lambda: desk.slack.socket.connections)

    assert desk.noted[1:2] == ["slack: the connection was closed"]


async def test_token_that_is_none_is_said_once_and_tried_less_and_less_and_alerts_go_out(desk: Desk) -> None:
    async with listening(desk, token="xapp-wrong"):  # noqa: S106 - it opens nothing
        await desk.until(lambda: [method for method, _ in desk.slack.requests].count("apps.connections.open") > 9)
        await desk.tell()

    assert desk.noted == [
        "slack: invalid_auth: Slack does not know this app-level token; copy it (xapp-…) from Basic Information again"
    ]
    assert desk.paused[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert max(desk.paused) <= 300.0
    assert len(desk.slack.messages) == 1


async def test_slack_that_cannot_be_reached_is_no_matter_of_the_alerts(desk: Desk) -> None:
    async with listening(desk, url="http://127.0.0.1:1/api/"):
        await desk.tell()
        for _ in range(3):
            await desk.tries.get()

    assert desk.noted == ["slack: ClientConnectorError"]
    assert len(desk.slack.messages) == 1


async def test_slack_that_asks_to_wait_is_waited_for(desk: Desk) -> None:
    desk.slack.fault("ratelimited", method="apps.connections.open")
    async with listening(desk):
        pass

    assert desk.paused == [7.0]


async def test_another_app_token_is_taken_at_once(desk: Desk) -> None:
    async with listening(desk, token="xapp-wrong") as socket:  # noqa: S106 - it opens nothing
        await desk.until(lambda: desk.noted)
        socket.renew(desk.slack.app_token, desk.slack.token)
        await desk.until(lambda: desk.slack.socket.connections)
        await desk.until(lambda: desk.noted[-1:] == [""])


async def test_how_the_connection_stands_is_kept_for_who_asks(desk: Desk) -> None:
    async with listening(desk):
        await desk.until(lambda: desk.noted)
    assert str(desk.store.link()) == f"connected since {desk.now:%Y-%m-%d %H:%M} UTC"

    await note_link("slack: invalid_auth", Hearing(desk.store, at_once, _nobody, desk.clock))
    assert str(desk.store.link()) == f"not connected since {desk.now:%Y-%m-%d %H:%M} UTC: slack: invalid_auth"

    desk.store.keep_link(None)
    assert desk.store.link() is None


async def _nobody(_press: Press, _message: Message) -> None:
    raise AssertionError


async def test_fault_of_ours_is_answered_and_ends_no_listening(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    root = await desk.tell()

    def fault(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    async with listening(desk):
        with monkeypatch.context() as broken:
            broken.setattr(desk.store, "delivery", fault)
            desk.slack.press(root["ts"], "useful")
            await desk.answers()
        with monkeypatch.context() as broken:
            broken.setattr(desk.store, "keep_link", fault)
            await asyncio.to_thread(desk.slack.socket.close)
            await desk.until(lambda: desk.slack.socket.connections)
        desk.slack.press(root["ts"], "more")
        answers = await desk.answers(2)

    assert answers[0] == "It could not be written down: press again in a while."
    assert desk.said() == [("U0ANALYST", MORE)]
