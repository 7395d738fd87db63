"""A Slack workspace: its channels and messages, and what the Web API answers. Knows no network.

After https://docs.slack.dev/reference/methods; what the documentation leaves open says where it comes from.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import block_kit

BOT_ID = "B0MONITOR"
USER_ID = "U0MONITOR"
APP_ID = "A0MONITOR"
TEAM_ID = "T0FAKE"

#: All that we ask for; `connections:write` is the app token's.
SCOPES = {"chat:write", "channels:history", "groups:history", "channels:read", "groups:read", "reactions:read"}

#: Names are refused, also by chat.postMessage, which takes them: nothing else does.
CHANNEL_ID = re.compile(r"[CG][A-Z0-9]+")

#: What history shows of a message, if the message has it. Not its channel, and none of the other arguments.
SHOWN = ("type", "subtype", "hidden", "ts", "user", "bot_id", "app_id", "text", "thread_ts", "edited", "reactions")


class Refused(Exception):
    """An answer that is not ok."""

    def __init__(self, code: str, *messages: str, **details: Any) -> None:
        super().__init__(code)
        told = {"errors": messages, "response_metadata": {"messages": [f"[ERROR] {words}" for words in messages]}}
        self.answer = {"ok": False, "error": code, **(told if messages else {}), **details}


class Workspace:
    """Set its attributes at any time; methods may be called from any thread.

    clock: seconds since the epoch for `ts`, real time unless given.
    channels: those that exist; None means that every channel does.
    """

    token = "xoxb-fake-1"  # noqa: S105 - it opens nothing
    app_token = "xapp-fake-1"  # noqa: S105 - as above

    def __init__(self, clock: Callable[[], float] = time.time, channels: set[str] | None = None) -> None:
        self.clock = clock
        self.channels = channels
        #: channels that are private; that the bot is not in; that are archived
        self.private: set[str] = set()
        self.outside: set[str] = set()
        self.archived: set[str] = set()
        #: what the token may do
        self.scopes = set(SCOPES)
        #: tokens that were good once
        self.revoked: set[str] = set()
        #: as chat.postMessage got them, with `ts`, `user` and `bot_id`, in order of posting; beside that what each of
        #: them does: `pings`, the mentions that are live, and `links`, (address, words)
        self.messages: list[dict[str, Any]] = []
        #: method and arguments of every request, also of those that failed
        self.requests: list[tuple[str, dict[str, Any]]] = []
        #: what was shown to one person each, with `ts` and `user`; no history has it
        self.ephemerals: list[dict[str, Any]] = []
        #: a page of history or of a thread never holds more
        self.page_limit = 999
        #: history and threads show a message only so many seconds after it was taken
        self.read_lag = 0.0
        #: messages that a channel takes at once, and then one a second; None for any number
        self.burst: int | None = None
        self._changed = threading.Condition()
        self._used: set[int] = set()
        self._deleted: set[str] = set()
        self._allowance: dict[str, tuple[float, float]] = {}
        self._late = 0.0
        self.methods: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post_message,
            "chat.postEphemeral": self._post_ephemeral,
            "chat.update": self._update,
            "chat.delete": self._delete,
            "conversations.history": self._history,
            "conversations.info": self._info,
            "conversations.replies": self._replies,
            "reactions.get": self._reactions,
        }

    # -- what people and admins do, and what a test asks ---------------------------------------------

    def post(self, **message: Any) -> dict[str, Any]:
        """Put a message into a channel without a request; `ts`, `user` and `bot_id` may be given (None: nobody's)."""
        with self._changed:
            now = self.clock()
            added = {
                "type": "message",
                "ts": self._next_ts(now + self._late),
                "user": USER_ID,
                "bot_id": BOT_ID,
            } | message
            if added["bot_id"] == BOT_ID:
                added["app_id"] = APP_ID
            added |= {"pings": block_kit.pings(added), "links": block_kit.links(added), "shown_from": now + self._late}
            self.messages.append(added)
            self._changed.notify_all()
            return added

    def remove(self, ts: str) -> None:
        """Delete a message as a person does; of one with replies its place stays."""
        with self._changed:
            message = self.message(ts)
            place = self.messages.index(message)
            if ts not in _threads(self.messages):
                del self.messages[place]
                self._deleted.add(ts)
                return
            left = {key: message[key] for key in ("type", "ts", "channel", "shown_from")}
            gone = {"subtype": "tombstone", "hidden": True, "user": "USLACKBOT", "text": "This message was deleted."}
            self.messages[place] = left | gone | {"bot_id": None, "pings": [], "links": []}

    def react(self, ts: str, name: str, user: str = "U0ANALYST") -> None:
        """Add a person's reaction; the same one again changes nothing."""
        with self._changed:
            reactions = self.message(ts).setdefault("reactions", [])
            if not any(reaction["name"] == name for reaction in reactions):
                reactions.append({"name": name, "users": [], "count": 0})
            [reaction] = [reaction for reaction in reactions if reaction["name"] == name]
            if user not in reaction["users"]:
                reaction["users"].append(user)
                reaction["count"] += 1

    def revoke(self) -> None:
        """Let the token be refused as one that was good."""
        self.revoked.add(self.token)

    def renew(self, token: str) -> None:
        """Give the app another token, which is good, and revoke the one that it had; or make the same one good again."""
        self.revoke()
        self.revoked.discard(token)
        self.token = token

    def message(self, ts: str) -> dict[str, Any]:
        """Return the message of a `ts`, also one that is not shown yet. Raises KeyError if there is none."""
        for message in self.messages:
            if message["ts"] == ts:
                return message
        raise KeyError(ts)

    def delivery_ids(self) -> list[str]:
        """Return the delivery id of every message that has one, in order of posting."""
        payloads = [(message.get("metadata") or {}).get("event_payload") or {} for message in self.messages]
        return [payload["delivery_id"] for payload in payloads if "delivery_id" in payload]

    def until(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        """Wait until a condition on this object holds. Raises TimeoutError where it does not within so much real time."""
        with self._changed:
            if not self._changed.wait_for(condition, seconds):
                raise TimeoutError(
                    f"not so after {seconds:g} s; {len(self.requests)} requests, the last: {self.requests[-1:]}"
                )

    # -- the Web API ---------------------------------------------------------------------------------

    def answer(self, method: str, token: str, arguments: dict[str, Any], late: float = 0.0) -> dict[str, Any]:
        """Do what a request asks.

        late: a message that it posts is posted only so many seconds later.
        """
        with self._changed:
            self._late = late
            try:
                if method not in self.methods:
                    raise Refused("unknown_method")
                self._check_token(method, token)
                return {"ok": True} | self.methods[method](_parsed(arguments))
            except Refused as refused:
                return refused.answer
            finally:
                self._late = 0.0
                self._changed.notify_all()

    def _check_token(self, method: str, token: str) -> None:
        right, other = self.token, self.app_token
        if method.startswith("apps."):
            right, other = other, right
        if not token:
            raise Refused("not_authed")
        if token in self.revoked:
            raise Refused("token_revoked")
        if token == other:
            raise Refused("not_allowed_token_type")
        if token != right:
            raise Refused("invalid_auth")

    def _need(self, scope: str) -> None:
        if scope not in self.scopes:
            raise Refused("missing_scope", needed=scope, provided=",".join(sorted(self.scopes)))

    def _channel(self, arguments: dict[str, Any], scope: str) -> str:
        """Return the channel that is asked for; the scope's `*` stands for the kind of it."""
        channel = arguments.get("channel")
        self._need(scope.replace("*", "groups" if channel in self.private else "channels"))
        if not channel:
            raise Refused("invalid_arguments", "missing required field: channel")
        exists = CHANNEL_ID.fullmatch(channel) and (self.channels is None or channel in self.channels)
        if not exists or channel in self.private & self.outside:
            raise Refused("channel_not_found")
        return str(channel)

    def _member_channel(self, arguments: dict[str, Any], scope: str) -> str:
        channel = self._channel(arguments, scope)
        if channel in self.outside:
            raise Refused("not_in_channel")
        return channel

    def _auth_test(self, _: dict[str, Any]) -> dict[str, Any]:
        team = {"url": "https://fake.example/", "team": "Fake", "team_id": TEAM_ID, "is_enterprise_install": False}
        return team | {"user": "monitor", "user_id": USER_ID, "bot_id": BOT_ID}

    def _info(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments, "*:read")
        flags = {
            "is_channel": True,
            "is_private": channel in self.private,
            "is_member": channel not in self.outside,
            "is_archived": channel in self.archived,
        }
        return {"channel": {"id": channel, "name": channel.lower(), **flags}}

    def _post_message(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._member_channel(arguments, "chat:write")
        if channel in self.archived:
            raise Refused("is_archived")
        self._check_content(arguments)
        self._check_pace(channel)
        thread = arguments.get("thread_ts")
        if thread in self._deleted:
            # Slack takes it, and posts it outside of any thread (slack-go #1571).
            arguments = {key: value for key, value in arguments.items() if key not in ("thread_ts", "reply_broadcast")}
        elif thread and any(message["ts"] == thread != message.get("thread_ts", thread) for message in self.messages):
            raise Refused("cannot_reply_to_message", "thread_ts is a reply's")  # "avoid", says the documentation
        message = self.post(**arguments)
        return {"channel": channel, "ts": message["ts"], "message": view(message, metadata=True)}

    def _post_ephemeral(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._member_channel(arguments, "chat:write")
        if not arguments.get("user"):
            raise Refused("invalid_arguments", "missing required field: user")
        self._check_content(arguments)
        shown = arguments | {"ts": self._next_ts(self.clock())}
        self.ephemerals.append(shown | {"pings": block_kit.pings(shown), "links": block_kit.links(shown)})
        return {"channel": channel, "message_ts": shown["ts"]}

    def _update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._member_channel(arguments, "chat:write")
        if channel in self.archived:
            raise Refused("is_inactive")
        self._check_content(arguments, update=True)
        message = self._own(channel, arguments, "cant_update_message")
        message |= {key: arguments[key] for key in ("text", "blocks", "metadata") if key in arguments}  # others stay
        # Not chat.postMessage's default for `parse`.
        shown = message | {"parse": arguments.get("parse", "client"), "link_names": arguments.get("link_names", False)}
        message |= {"pings": block_kit.pings(shown), "links": block_kit.links(shown)}
        message["edited"] = {"user": USER_ID, "ts": f"{self.clock():.6f}"}
        return {
            "channel": channel,
            "ts": message["ts"],
            "text": message.get("text", ""),
            "message": view(message),
        }

    def _delete(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._member_channel(arguments, "chat:write")
        ts = self._own(channel, arguments, "cant_delete_message")["ts"]
        self.remove(ts)
        return {"channel": channel, "ts": ts}

    def _own(self, channel: str, arguments: dict[str, Any], otherwise: str) -> dict[str, Any]:
        message = self._standing(channel, arguments.get("ts"))
        if message.get("bot_id") != BOT_ID:
            raise Refused(otherwise)
        return message

    def _standing(self, channel: str, ts: object) -> dict[str, Any]:
        for message in self.messages:
            if (message["channel"], message["ts"]) == (channel, ts) and message.get("subtype") != "tombstone":
                return message
        raise Refused("message_not_found")

    def _reactions(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self._need("reactions:read")
        if not arguments.get("channel") or not arguments.get("timestamp"):
            raise Refused("no_item_specified")
        channel = self._member_channel(arguments, "reactions:read")
        message = self._standing(channel, arguments["timestamp"])
        return {"type": "message", "channel": channel, "message": view(message)}

    def _history(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._member_channel(arguments, "*:history")
        visible = self._visible(channel)
        shown = [m for m in visible if m.get("thread_ts", m["ts"]) == m["ts"] or m.get("reply_broadcast")]
        return _page(shown[::-1], _threads(visible), arguments, self.page_limit, newest_first=True)

    def _replies(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._member_channel(arguments, "*:history")
        thread = arguments.get("ts")
        visible = self._visible(channel)
        if not any(message["ts"] == thread for message in visible):
            raise Refused("thread_not_found")
        shown = [message for message in visible if thread in (message["ts"], message.get("thread_ts"))]
        return _page(shown, _threads(visible), arguments, self.page_limit, newest_first=False)

    # -- messages ------------------------------------------------------------------------------------

    def _visible(self, channel: str) -> list[dict[str, Any]]:
        now = self.clock()
        shown = [m for m in self.messages if m["channel"] == channel and m["shown_from"] + self.read_lag <= now]
        return sorted(shown, key=lambda message: _micros(message["ts"]))

    def _check_content(self, arguments: dict[str, Any], *, update: bool = False) -> None:
        refusal = block_kit.refusal(arguments, update=update)
        if refusal:
            raise Refused(refusal.code, *refusal.messages)

    def _check_pace(self, channel: str) -> None:
        if self.burst is None:
            return
        now = self.clock()
        left, since = self._allowance.get(channel, (float(self.burst), now))
        left = min(float(self.burst), left + now - since)
        if left < 1:
            raise Refused("ratelimited", retry_after=1)
        self._allowance[channel] = (left - 1, now)

    def _next_ts(self, at: float) -> str:
        micros = int(at * 1_000_000)
        while micros in self._used:
            micros += 1
        self._used.add(micros)
        return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"


def view(
    message: dict[str, Any], threads: Mapping[str, list[str]] = MappingProxyType({}), *, metadata: bool = False
) -> dict[str, Any]:
    """What Slack shows of a message.

    threads: the `ts` of a root to those of its replies.
    metadata: with its payload; else only its type.
    """
    shown = {key: message[key] for key in SHOWN if message.get(key) is not None}
    if message.get("blocks"):
        shown["blocks"] = [{"block_id": f"b{number}"} | block for number, block in enumerate(message["blocks"])]
    if message.get("metadata"):
        told = message["metadata"]
        shown["metadata"] = told if metadata else {"event_type": told.get("event_type")}
    if message.get("thread_ts") and message.get("reply_broadcast"):
        shown["subtype"] = "thread_broadcast"
    replies = threads.get(message["ts"])
    if replies:
        shown |= {"thread_ts": message["ts"], "reply_count": len(replies), "latest_reply": max(replies, key=_micros)}
    return shown


def _threads(messages: list[dict[str, Any]]) -> dict[str, list[str]]:
    threads: dict[str, list[str]] = {}
    for message in messages:
        root = message.get("thread_ts", message["ts"])
        if root != message["ts"]:
            threads.setdefault(root, []).append(message["ts"])
    return threads


def _page(
    messages: list[dict[str, Any]],
    threads: dict[str, list[str]],
    arguments: dict[str, Any],
    page_limit: int,
    *,
    newest_first: bool,
) -> dict[str, Any]:
    limit = str(arguments.get("limit", 100))
    if not re.fullmatch(r"[1-9]\d*", limit):
        raise Refused("invalid_arguments", "limit must be a positive number")
    size = min(int(limit), page_limit)
    inclusive = _is_true(arguments.get("inclusive"))
    after = _micros(arguments.get("oldest") or "0", "invalid_ts_oldest")
    before = _micros(arguments.get("latest") or "9999999999", "invalid_ts_latest")
    start = _cursor(arguments.get("cursor"))

    def asked(message: dict[str, Any]) -> bool:
        ts = _micros(message["ts"])
        in_time = after <= ts <= before if inclusive else after < ts < before
        return in_time and (start is None or (ts <= start if newest_first else ts >= start))

    # A cursor is a place in time: what is posted between two pages moves nothing from one to the other.
    found = [message for message in messages if asked(message)]
    metadata = _is_true(arguments.get("include_all_metadata"))
    page: dict[str, Any] = {"messages": [view(message, threads, metadata=metadata) for message in found[:size]]}
    if len(found) <= size:
        return page | {"has_more": False}
    cursor = base64.b64encode(f"next_ts:{_micros(found[size]['ts'])}".encode()).decode()
    return page | {"has_more": True, "response_metadata": {"next_cursor": cursor}}


def _parsed(arguments: dict[str, Any]) -> dict[str, Any]:
    """Read what a form holds as JSON; what is none stays, to be refused."""
    return {key: _json(value) if key in ("blocks", "metadata") else value for key, value in arguments.items()}


def _json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _is_true(value: object) -> bool:
    return value in (True, 1, "1", "true")


def _micros(ts: str, otherwise: str = "bad_timestamp") -> int:
    seconds, _, fraction = str(ts).partition(".")
    if not re.fullmatch(r"\d{1,12}", seconds) or not re.fullmatch(r"\d{0,6}", fraction):
        raise Refused(otherwise)
    return int(seconds) * 1_000_000 + int(fraction.ljust(6, "0"))


def _cursor(cursor: str | None) -> int | None:
    if not cursor:
        return None
    try:
        name, _, ts = base64.b64decode(cursor, validate=True).decode().partition(":")
    except ValueError:
        raise Refused("invalid_cursor") from None
    if name != "next_ts" or not ts.isdigit():
        raise Refused("invalid_cursor")
    return int(ts)
