"""The fake is held against what Slack's documentation says, through Slack's own client."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import IncompleteRead, RemoteDisconnected
from typing import Any
from urllib.error import URLError

import aiohttp
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_server import AFTER_ACCEPTING, BEFORE_ACCEPTING, FakeSlack

NEWS = "C0NEWS"
ADDRESS = "https://x.example/"


class Clock:
    def __init__(self) -> None:
        self.now = 1_730_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slack(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FakeSlack(clock) as slack:
        yield slack


@pytest.fixture
def client(slack: FakeSlack) -> WebClient:
    return client_of(slack)


def client_of(slack: FakeSlack, token: str | None = None, timeout: float = 5) -> WebClient:
    return WebClient(token or slack.token, base_url=slack.url, timeout=timeout, retry_handlers=[])  # type: ignore[arg-type]


def refused(call: Callable[..., Any], **arguments: Any) -> Any:
    """The answer to a call that Slack refuses."""
    with pytest.raises(SlackApiError) as raised:
        call(**arguments)
    return raised.value.response


def code(call: Callable[..., Any], **arguments: Any) -> str:
    return str(refused(call, **arguments)["error"])


def texts(page: Any) -> list[str]:
    return [message["text"] for message in page["messages"]]


# -- messages ---------------------------------------------------------------------------------------


def test_history_shows_the_latest_first_and_only_what_slack_shows(client):
    client.chat_postMessage(channel=NEWS, text="one", unfurl_links=False)
    client.chat_postMessage(channel=NEWS, text="two")
    client.chat_postMessage(channel="C0OTHER", text="elsewhere")

    page = client.conversations_history(channel=NEWS)

    assert texts(page) == ["two", "one"]
    assert set(page["messages"][1]) == {"type", "ts", "user", "bot_id", "app_id", "text"}


def test_pages_neither_repeat_nor_skip_while_others_post(client):
    for number in range(5):
        client.chat_postMessage(channel=NEWS, text=str(number))
    first = client.conversations_history(channel=NEWS, limit=2)
    client.chat_postMessage(channel=NEWS, text="new")
    cursor = first["response_metadata"]["next_cursor"]
    rest = client.conversations_history(channel=NEWS, limit=9, cursor=cursor)

    assert (texts(first), texts(rest), rest["has_more"]) == (["4", "3"], ["2", "1", "0"], False)


@pytest.mark.parametrize(("inclusive", "found"), [(True, ["3", "2", "1"]), (False, ["2"])])
def test_bounds_belong_to_the_range_only_if_asked(client, inclusive, found):
    ts = [client.chat_postMessage(channel=NEWS, text=str(number))["ts"] for number in range(5)]

    page = client.conversations_history(channel=NEWS, oldest=ts[1], latest=ts[3], inclusive=inclusive)

    assert texts(page) == found


def test_payload_of_metadata_is_shown_only_on_request(slack, client):
    metadata = {"event_type": "news", "event_payload": {"delivery_id": "d1"}}
    client.chat_postMessage(channel=NEWS, text="one", metadata=metadata)

    [bare] = client.conversations_history(channel=NEWS)["messages"]
    [whole] = client.conversations_history(channel=NEWS, include_all_metadata=True)["messages"]

    assert (bare["metadata"], whole["metadata"]) == ({"event_type": "news"}, metadata)
    assert slack.delivery_ids() == ["d1"]


def test_replies_stand_in_their_thread_and_a_broadcast_in_the_channel_too(client):
    root = client.chat_postMessage(channel=NEWS, text="root")["ts"]
    client.chat_postMessage(channel=NEWS, text="quiet", thread_ts=root)
    last = client.chat_postMessage(channel=NEWS, text="loud", thread_ts=root, reply_broadcast=True)["ts"]

    history = client.conversations_history(channel=NEWS)

    assert [(m["text"], m.get("subtype")) for m in history["messages"]] == [
        ("loud", "thread_broadcast"),
        ("root", None),
    ]
    assert [history["messages"][1][key] for key in ("thread_ts", "reply_count", "latest_reply")] == [root, 2, last]
    assert texts(client.conversations_replies(channel=NEWS, ts=root)) == ["root", "quiet", "loud"]


def test_thread_of_nothing_is_not_found(client):
    assert code(client.conversations_replies, channel=NEWS, ts="1730000000.000009") == "thread_not_found"


def test_reply_to_a_reply_is_refused(client):
    root = client.chat_postMessage(channel=NEWS, text="root")["ts"]
    reply = client.chat_postMessage(channel=NEWS, text="reply", thread_ts=root)["ts"]

    assert code(client.chat_postMessage, channel=NEWS, text="deeper", thread_ts=reply) == "cannot_reply_to_message"


def test_reply_to_a_deleted_message_lands_in_the_channel(slack, client):
    root = client.chat_postMessage(channel=NEWS, text="root")["ts"]
    slack.remove(root)

    answer = client.chat_postMessage(channel=NEWS, text="reply", thread_ts=root)

    assert "thread_ts" not in answer["message"]
    assert texts(client.conversations_history(channel=NEWS)) == ["reply"]


def test_deleted_root_leaves_its_place_to_the_thread(client):
    root = client.chat_postMessage(channel=NEWS, text="root")["ts"]
    client.chat_postMessage(channel=NEWS, text="reply", thread_ts=root)
    client.chat_delete(channel=NEWS, ts=root)

    [place] = client.conversations_history(channel=NEWS)["messages"]

    assert (place["ts"], place["subtype"], "bot_id" in place) == (root, "tombstone", False)
    assert texts(client.conversations_replies(channel=NEWS, ts=root))[1:] == ["reply"]


def test_update_changes_what_it_names_and_marks_the_message(client):
    blocks = [{"type": "divider", "block_id": "mine"}]
    ts = client.chat_postMessage(channel=NEWS, text="old", blocks=blocks)["ts"]

    client.chat_update(channel=NEWS, ts=ts, text="new")

    [message] = client.conversations_history(channel=NEWS)["messages"]
    assert (message["text"], message["blocks"], message["edited"]["user"]) == ("new", blocks, "U0MONITOR")


def test_only_own_messages_can_be_changed(slack, client):
    ts = slack.post(channel=NEWS, text="hello", user="U0ANALYST", bot_id=None)["ts"]

    assert code(client.chat_update, channel=NEWS, ts=ts, text="x") == "cant_update_message"
    assert code(client.chat_delete, channel=NEWS, ts=ts) == "cant_delete_message"
    assert code(client.chat_update, channel="C0OTHER", ts=ts, text="x") == "message_not_found"


def test_reactions_are_shown_on_the_message_and_asked_for_by_name(slack, client):
    ts = client.chat_postMessage(channel=NEWS, text="alert")["ts"]
    for user in ("U1", "U2", "U2"):
        slack.react(ts, "+1", user)

    expected = [{"name": "+1", "users": ["U1", "U2"], "count": 2}]
    assert client.conversations_history(channel=NEWS)["messages"][0]["reactions"] == expected
    assert client.reactions_get(channel=NEWS, timestamp=ts)["message"]["reactions"] == expected


# -- what is refused --------------------------------------------------------------------------------


def section(**fields: Any) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": "x"}} | fields


def button(**fields: Any) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": "Useful"}, "action_id": "useful"} | fields


def mrkdwn(length: int) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": "x" * length}


def plain(length: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": "x" * length}


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([{"type": "divider"}] * 51, "no more than 50 items allowed @/blocks"),
        ([section(text=mrkdwn(3_001))], "must be less than 3001 characters @/blocks/0/text/text"),
        ([section(text=mrkdwn(0))], "must be more than 0 characters @/blocks/0/text/text"),
        ([section(fields=[mrkdwn(1)] * 11)], "no more than 10 items allowed @/blocks/0/fields"),
        ([section(fields=[mrkdwn(2_001)])], "must be less than 2001 characters @/blocks/0/fields/0/text"),
        ([{"type": "section"}], "must define either `text` or `fields` @/blocks/0"),
        ([{"type": "header", "text": plain(151)}], "must be less than 151 characters @/blocks/0/text/text"),
        ([{"type": "header", "text": mrkdwn(9)}], "unsupported type: mrkdwn @/blocks/0/text/type"),
        ([{"type": "context", "elements": [plain(1)] * 11}], "no more than 10 items allowed @/blocks/0/elements"),
        ([{"type": "context"}], "missing required field: elements @/blocks/0"),
        ([actions(*[button(action_id=str(n)) for n in range(26)])], "no more than 25 items allowed @/blocks/0/elements"),
        ([actions(button(), button())], "`action_id` useful already exists @/blocks/0"),
        ([actions(button(text=plain(76)))], "must be less than 76 characters @/blocks/0/elements/0/text/text"),
        ([actions(button(value="x" * 2_001))], "must be less than 2001 characters @/blocks/0/elements/0/value"),
        ([actions(button(url=ADDRESS + "x" * 2_983))], "must be less than 3001 characters @/blocks/0/elements/0/url"),
        ([section(accessory=button(action_id="x" * 256))], "must be less than 256 characters @/blocks/0/accessory/action_id"),
        ([section(block_id="a"), section(block_id="a")], "`block_id` a already exists @/blocks/1/block_id"),
        ([{"type": "banner"}], "unsupported type: banner @/blocks/0/type"),
        ([section(colour="red")], "invalid additional property: colour @/blocks/0"),
    ],
)  # fmt: skip
def test_invalid_block_is_named_with_its_place(client, blocks, said):
    words, _, pointer = said.partition(" @")
    said = f"{words} [json-pointer:{pointer}]"
    answer = refused(client.chat_postMessage, channel=NEWS, text="x", blocks=blocks)

    assert (answer["error"], answer["errors"]) == ("invalid_blocks", [said])
    assert answer["response_metadata"]["messages"] == [f"[ERROR] {said}"]


def test_blocks_at_every_limit_are_taken(client):
    full = [
        section(text=mrkdwn(3_000), block_id="b" * 255),
        section(fields=[mrkdwn(500)] * 10, accessory=button(url=ADDRESS + "x" * 2_982)),
        {"type": "header", "text": plain(150)},
        {"type": "context", "elements": [plain(100)] * 10},
        actions(*[button(action_id=str(n), text=plain(75), value="x" * 2_000) for n in range(25)]),
    ]

    assert client.chat_postMessage(channel=NEWS, text="x", blocks=full)["ok"]


@pytest.mark.parametrize(
    ("message", "refusal"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "x", "blocks": "[{"}, "invalid_blocks_format"),
        ({"text": "x", "blocks": [section(text=mrkdwn(2_650))] * 5}, "msg_blocks_too_long"),
        ({"text": "x", "metadata": {"event_payload": {}}}, "invalid_metadata_format"),
        ({"text": "x", "metadata": {"event_type": "a", "event_payload": "b"}}, "invalid_metadata_format"),
        ({"text": "x", "metadata": {"event_type": "a", "event_payload": {"a": {"b": {"c": 1}}}}}, "invalid_metadata_schema"),
        ({"text": "x", "metadata": {"event_type": "a", "event_payload": {"ids": "x" * 8_000}}}, "metadata_too_large"),
    ],
)  # fmt: skip
def test_message_over_a_limit_is_refused(slack, client, message, refusal):
    assert code(client.api_call, api_method="chat.postMessage", json={"channel": NEWS} | message) == refusal
    assert slack.messages == []


def test_metadata_may_hold_lists_of_ids(client):
    metadata = {"event_type": "a", "event_payload": {"delivery_id": "d1", "tells": ["d1", "d2"], "of": {"n": 1}}}

    assert client.chat_postMessage(channel=NEWS, text="x", metadata=metadata)["ok"]


def test_update_takes_a_tenth_of_the_text(client):
    ts = client.chat_postMessage(channel=NEWS, text="x" * 40_000)["ts"]

    assert code(client.chat_update, channel=NEWS, ts=ts, text="x" * 4_001) == "msg_too_long"


# -- whom a message pings, what it links --------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pings"),
    [
        ("<!channel> <!here|here> <!everyone>", ["<!channel>", "<!here|here>", "<!everyone>"]),
        ("<@U012AB> <#C0OPS|ops> <!subteam^S1>", ["<@U012AB>", "<#C0OPS|ops>", "<!subteam^S1>"]),
        ("&lt;!channel&gt; @here #general <!date^1^{date}|now>", []),
    ],
)
def test_live_mentions_are_counted(slack, client, text, pings):
    blocks = [section(text={"type": "mrkdwn", "text": text, "verbatim": True})]
    client.chat_postMessage(channel=NEWS, text="x", blocks=blocks)
    client.chat_postMessage(channel=NEWS, text=text)
    client.chat_postMessage(
        channel=NEWS, text="x", blocks=[{"type": "header", "text": {"type": "plain_text", "text": text[:150]}}]
    )

    assert [message["pings"] for message in slack.messages] == [pings, pings, []]


def test_bare_mentions_and_addresses_are_live_unless_verbatim(slack, client):
    text = "ask @here in #general, see https://x.example/a"
    client.chat_postMessage(channel=NEWS, text="x", blocks=[section(text={"type": "mrkdwn", "text": text})])
    ts = client.chat_postMessage(channel=NEWS, text=text)["ts"]
    quiet = slack.messages[1]["pings"]
    client.chat_update(channel=NEWS, ts=ts, text=text)

    assert [message["pings"] for message in slack.messages] == [["@here", "#general"]] * 2
    assert (quiet, slack.messages[0]["links"]) == ([], [("https://x.example/a", "https://x.example/a")])


def test_links_are_recorded_with_the_words_that_hide_them(slack, client):
    text = {"type": "mrkdwn", "text": "<https://x.example/?a=1&amp;b=2|Tom &amp; Jerry>", "verbatim": True}
    client.chat_postMessage(
        channel=NEWS, text="x", blocks=[section(text=text), actions(button(url="https://y.example/"))]
    )

    assert slack.messages[0]["links"] == [
        ("https://x.example/?a=1&b=2", "Tom & Jerry"),
        ("https://y.example/", "Useful"),
    ]


# -- channels, tokens, scopes, pace ---------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["#news", "news", "C0NONE"])
def test_channel_is_an_id_that_exists(slack, client, channel):
    slack.channels = {NEWS}

    for call in (client.conversations_info, client.conversations_history):
        assert code(call, channel=channel) == "channel_not_found"
    assert code(client.chat_postMessage, channel=channel, text="x") == "channel_not_found"


def test_channel_says_what_the_bot_may_not_do_in_it(slack, client):
    slack.outside, slack.archived, slack.private = {"C0OUT", "C0SECRET"}, {"C0OLD"}, {"C0SECRET"}

    refusals = {
        channel: code(client.chat_postMessage, channel=channel, text="x") for channel in ("C0OUT", "C0OLD", "C0SECRET")
    }
    told = [client.conversations_info(channel=channel)["channel"] for channel in ("C0OUT", "C0OLD")]

    assert refusals == {"C0OUT": "not_in_channel", "C0OLD": "is_archived", "C0SECRET": "channel_not_found"}
    assert [(channel["is_member"], channel["is_archived"]) for channel in told] == [(False, False), (True, True)]
    assert texts(client.conversations_history(channel="C0OLD")) == []


def test_missing_scope_names_what_is_needed_and_what_is_there(slack, client):
    slack.scopes = {"chat:write", "channels:history"}
    slack.private = {"C0SECRET"}

    answer = refused(client.conversations_history, channel="C0SECRET")

    assert (answer["error"], answer["needed"], answer["provided"]) == (
        "missing_scope", "groups:history", "channels:history,chat:write",
    )  # fmt: skip
    assert client.auth_test().headers["X-OAuth-Scopes"] == "channels:history,chat:write"


def test_token_can_be_revoked_and_renewed(slack, client):
    old = slack.token
    slack.revoke()
    revoked = code(client.auth_test)
    slack.renew("xoxb-fake-2")

    assert (revoked, code(client.auth_test)) == ("token_revoked", "token_revoked")
    assert client_of(slack).auth_test()["bot_id"] == "B0MONITOR"
    assert (code(client_of(slack, "xoxb-other").auth_test), old != slack.token) == ("invalid_auth", True)


def test_pace_is_one_a_second_after_a_burst(slack, client, clock):
    slack.burst = 2
    for _ in range(2):
        client.chat_postMessage(channel=NEWS, text="x")
    client.chat_postMessage(channel="C0OTHER", text="x")

    answer = refused(client.chat_postMessage, channel=NEWS, text="x")
    clock.now += 1
    client.chat_postMessage(channel=NEWS, text="x")

    assert (answer.status_code, answer["error"], answer.headers["Retry-After"]) == (429, "ratelimited", "1")
    assert code(client.chat_postMessage, channel=NEWS, text="x") == "ratelimited"


# -- failing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "taken"), [(fault, 1) for fault in AFTER_ACCEPTING] + [(fault, 0) for fault in BEFORE_ACCEPTING]
)
def test_every_fault_spoils_one_answer(slack, fault, taken):
    slack.fault(fault)
    client = client_of(slack, timeout=0.3)

    try:
        answered = client.chat_postMessage(channel=NEWS, text="first").get("ts")
    except (SlackApiError, URLError, OSError, RemoteDisconnected, IncompleteRead, AttributeError, ValueError):
        answered = None

    assert (answered, len(slack.messages)) == (None, taken)
    assert client_of(slack).chat_postMessage(channel=NEWS, text="second")["ok"]


def test_any_code_can_be_answered_by_any_method(slack, client):
    slack.fault("fatal_error", "ok", "team_access_not_granted", method="conversations.history")

    assert code(client.conversations_history, channel=NEWS) == "fatal_error"
    assert client.conversations_history(channel=NEWS)["ok"]
    assert code(client.conversations_history, channel=NEWS) == "team_access_not_granted"


def test_late_message_is_posted_later_than_it_was_taken(slack, client, clock):
    slack.fault("accept_late")
    with pytest.raises(RemoteDisconnected):
        client.chat_postMessage(channel=NEWS, text="late")
    client.chat_postMessage(channel=NEWS, text="next")
    clock.now += 19
    before = texts(client.conversations_history(channel=NEWS))
    clock.now += 1

    assert (before, texts(client.conversations_history(channel=NEWS))) == (["next"], ["late", "next"])


def test_reading_may_lag_behind_posting(slack, client, clock):
    slack.read_lag = 5
    ts = client.chat_postMessage(channel=NEWS, text="x")["ts"]

    assert texts(client.conversations_history(channel=NEWS)) == []
    assert code(client.conversations_replies, channel=NEWS, ts=ts) == "thread_not_found"
    clock.now += 5
    assert texts(client.conversations_history(channel=NEWS)) == ["x"]


def test_server_that_is_down_refuses_and_comes_back_with_its_messages(slack, client):
    client.chat_postMessage(channel=NEWS, text="x")
    slack.down()
    with pytest.raises(URLError, match="refused"):
        client.auth_test()
    slack.up()

    assert texts(client.conversations_history(channel=NEWS)) == ["x"]


def test_waiting_for_what_does_not_come_ends(slack):
    with pytest.raises(TimeoutError, match="0 requests"):
        slack.until(lambda: slack.messages, seconds=0.01)


# -- Socket Mode --------------------------------------------------------------------------------------


def test_pressed_button_is_told_and_acknowledged(slack, client):
    ts = client.chat_postMessage(channel=NEWS, text="x", blocks=[actions(button(value="d1"))])["ts"]

    def acknowledge(client: SocketModeClient, request: Any) -> None:
        [action] = request.payload["actions"]
        client.send_socket_mode_response(SocketModeResponse(request.envelope_id, {"pressed": action["value"]}))

    # Without reconnecting: the library leaks a socket where it is closed while it does.
    listener = SocketModeClient(slack.app_token, web_client=client, auto_reconnect_enabled=False, concurrency=1)
    listener.socket_mode_request_listeners.append(acknowledge)
    with closing(listener):
        listener.connect()
        slack.until(lambda: slack.socket.connections)
        envelope = slack.press(ts, "useful")
        slack.until(lambda: slack.socket.acknowledged == {envelope: {"pressed": "d1"}})
        slack.socket.close()  # a client that hears of no end takes seconds to find its own


async def test_client_is_warned_and_then_sent_away(slack):
    async with aiohttp.ClientSession() as session, session.ws_connect(slack.socket.open()) as socket:
        assert (await socket.receive_json())["type"] == "hello"
        await asyncio.to_thread(slack.socket.disconnect, "warning")
        await asyncio.to_thread(slack.socket.disconnect)
        told = [message.json()["reason"] async for message in socket]

    assert (told, socket.closed) == (["warning", "refresh_requested"], True)


async def test_deaf_socket_stays_open_and_says_nothing(slack):
    async with aiohttp.ClientSession() as session, session.ws_connect(slack.socket.open(), autoping=False) as socket:
        hello = await socket.receive_json()
        slack.socket.deaf = True
        await socket.ping(b"into the void")
        await socket.send_json({"envelope_id": "heard"})
        slack.until(lambda: "heard" in slack.socket.acknowledged)
        slack.socket.push({"lost": True})
        slack.socket.deaf = False
        slack.socket.push({"lost": False})
        await socket.ping(b"hello?")
        told = []
        while (message := await socket.receive()).type is not aiohttp.WSMsgType.PONG:
            told += [message.json()["payload"]] if message.type is aiohttp.WSMsgType.TEXT else []

    assert (hello["type"], told, message.data) == ("hello", [{"lost": False}], b"hello?")


async def test_address_is_good_for_one_connection(slack, client):
    url = client.apps_connections_open(app_token=slack.app_token)["url"]
    async with aiohttp.ClientSession() as session, session.ws_connect(url):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await session.ws_connect(url)


def test_socket_is_opened_with_the_apps_token_only(slack, client):
    assert code(client.apps_connections_open, app_token=slack.token) == "not_allowed_token_type"
