"""Hear of presses from Slack through Socket Mode: a WebSocket that we open, so that no address of ours need be reachable.
Edge: https://docs.slack.dev/apis/events-api/using-socket-mode. Nothing here may hold up or fail an alert.

Reads one connection at a time, acknowledges each envelope as it comes, and begins anew where the connection ends, is to be
changed, or is open and says nothing.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from monitor.errors import NotAccepted
from monitor.model import Message, Press

#: Slack pings every few seconds. Where nothing came for half of this we ping, and where that is not answered either
#: the connection is deaf.
QUIET = 60.0  # seconds
#: A connection may answer pings and bring nothing else (python-slack-sdk #1379, #1701): without an envelope it is
#: changed after so long. Slack itself changes it every few hours.
FRESH = 3_600.0  # seconds
#: One that ends sooner counts as a failure, however it ended.
STEADY = 60.0  # seconds
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0  # seconds
#: Presses are known by their time for so many after them: Slack tells again of what was not acknowledged in time.
REMEMBERED = 1_000
#: Presses that wait to be taken down; what comes beyond them is let fall, acknowledged or not.
WAITING = 1_000

#: what a person can do
REMEDIES = {
    "invalid_auth": "Slack does not know this app-level token; copy it (xapp-…) from Basic Information again",
    "not_authed": "no app-level token was given",
    "token_revoked": "the app-level token was revoked; make another under Basic Information",
    "not_allowed_token_type": "this is no app-level token; it begins with xapp-",
    "missing_scope": "the app-level token lacks connections:write; make another under Basic Information",
    "link_disabled": "Socket Mode is off; switch it on in the app's settings",
}


class SocketMode:
    """The connection, and the answers to whoever pressed."""

    def __init__(
        self,
        app_token: str,
        bot_token: str,
        base_url: str,
        *,
        quiet: float = QUIET,
        fresh: float = FRESH,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """app_token: opens connections. bot_token: for answers. pause: lets so many seconds pass between two tries."""
        self._app_token, self._bot_token = app_token, bot_token
        self._base_url = base_url
        self._quiet, self._fresh, self._pause = quiet, fresh, pause
        # an answer that was lost is not worth a second try
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10.0), trust_env=True)
        self._renewed = asyncio.Event()
        self._presses: asyncio.Queue[Press] = asyncio.Queue(WAITING)
        self._seen: OrderedDict[tuple[str, ...], None] = OrderedDict()
        #: what was last noted; None: nothing yet
        self._noted: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    def renew(self, app_token: str, bot_token: str) -> None:
        """Go on with these tokens; another app token means another connection, at once."""
        self._bot_token = bot_token
        if app_token != self._app_token:
            self._app_token = app_token
            self._renewed.set()

    async def listen(self, hear: Callable[[Press], Awaitable[None]], note: Callable[[str], Awaitable[None]]) -> None:
        """Tell `hear` of each press, one after the other, until cancelled; `note` of each change: why there is no connection,
        empty once there is one.
        """
        hearing = asyncio.create_task(self._hear_all(hear))
        try:
            while True:
                self._renewed.clear()
                tasks = [asyncio.create_task(self._connect_for_ever(note)), asyncio.create_task(self._renewed.wait())]
                try:
                    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
                finally:
                    await _end(*tasks)
        finally:
            await _end(hearing)

    async def answer(self, press: Press, message: Message) -> None:
        """Show a message to the one who pressed, where they pressed, and to nobody else.

        Raises: NotAccepted, also if nobody knows: it is not tried again.
        """
        fields = {
            "channel": press.channel,
            "user": press.user,
            "text": message.text,
            "blocks": json.dumps(message.blocks),
            "parse": "none",
            **({"thread_ts": press.thread} if press.thread else {}),
        }
        try:
            await self._call("chat.postEphemeral", self._bot_token, fields)
        except (_Refused, *_BROKEN) as error:
            raise NotAccepted(_words(error)) from None

    async def _hear_all(self, hear: Callable[[Press], Awaitable[None]]) -> None:
        while True:
            await hear(await self._presses.get())

    async def _connect_for_ever(self, note: Callable[[str], Awaitable[None]]) -> None:
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            began, wait = loop.time(), 0.0
            try:
                await self._connection(note)
            except Exception as error:  # a fault of ours too: it is said, and costs nothing but the buttons
                wait = error.retry_after if isinstance(error, _Refused) else 0.0
                await self._note(_words(error), note)
            failures = 0 if loop.time() - began >= STEADY else failures + 1
            again = min(FIRST_WAIT * 2 ** min(failures - 1, 10), LONGEST_WAIT) if failures else 0.0
            await self._pause(max(wait, again))

    async def _connection(self, note: Callable[[str], Awaitable[None]]) -> None:
        """Open a connection and read it until it is to be changed."""
        opened = await self._call("apps.connections.open", self._app_token, {})
        # a deaf one does not answer a goodbye either
        patience = aiohttp.ClientWSTimeout(ws_close=1.0)
        async with self._session.ws_connect(str(opened["url"]), autoping=False, timeout=patience) as socket:
            async with asyncio.timeout(self._quiet):
                hello = await _next(socket)
            if hello.get("type") != "hello":
                raise _Refused("no hello", str(hello.get("reason") or ""))
            await self._note("", note)
            await self._read(socket)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        loop = asyncio.get_running_loop()
        since, asked = loop.time(), False
        while loop.time() - since < self._fresh:
            try:
                frame = await socket.receive(self._quiet / 2)
            except TimeoutError:
                if asked:
                    raise _Refused(f"deaf: open, and silent for {self._quiet:g} s; connecting anew") from None
                asked = True
                await socket.ping()
                continue
            asked = False
            if frame.type is aiohttp.WSMsgType.PING:
                await socket.pong(frame.data)
            elif frame.type is aiohttp.WSMsgType.TEXT:
                envelope = _said(frame)
                if envelope.get("type") == "disconnect" and envelope.get("reason") == "link_disabled":
                    raise _Refused("link_disabled")
                if envelope.get("type") == "disconnect":
                    return
                since = loop.time()
                await self._take(socket, envelope)
            elif frame.type is not aiohttp.WSMsgType.PONG:
                raise _Refused("the connection was closed")

    async def _take(self, socket: aiohttp.ClientWebSocketResponse, envelope: Mapping[str, Any]) -> None:
        if not (number := envelope.get("envelope_id")):
            return
        # first, and whatever it is: Slack waits three seconds
        await socket.send_json({"envelope_id": number})
        for key, press in _presses(envelope.get("payload")):
            if key not in self._seen and not self._presses.full():
                self._seen[key] = None
                self._presses.put_nowait(press)
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    async def _call(self, method: str, token: str, fields: Mapping[str, str]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.post(self._base_url + method, data=fields, headers=headers) as response:
            if response.status == 429:
                after = response.headers.get("Retry-After", "")
                raise _Refused("ratelimited", retry_after=float(after) if re.fullmatch(r"\d{1,5}", after) else 0.0)
            if response.status >= 400:
                raise _Refused(f"HTTP {response.status}")
            answer = await response.json()
        if not isinstance(answer, dict) or not answer.get("ok"):
            code = str(answer.get("error")) if isinstance(answer, dict) else ""
            raise _Refused(code if re.fullmatch(r"[a-z0-9_]{1,80}", code) else "no usable answer")
        return answer

    async def _note(self, problem: str, note: Callable[[str], Awaitable[None]]) -> None:
        if problem != self._noted:
            self._noted = problem
            await note(problem)


class _Refused(Exception):
    """Slack does not want to, or the connection is no good any more."""

    def __init__(self, because: str, detail: str = "", retry_after: float = 0.0) -> None:
        super().__init__(": ".join(filter(None, (because, detail, REMEDIES.get(because, "")))))
        self.retry_after = retry_after


#: what goes wrong on the way; also JSON that is none, or lacks what it should have
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError)


def _words(error: Exception) -> str:
    """Say what went wrong; of others' errors the kind alone: they quote addresses, in which tickets stand."""
    return f"slack: {error}" if isinstance(error, _Refused) else f"slack: {type(error).__name__}"


async def _next(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """Read the next thing that is said; pings aside."""
    while True:
        frame = await socket.receive()
        if frame.type is aiohttp.WSMsgType.TEXT:
            return _said(frame)
        if frame.type is aiohttp.WSMsgType.PING:
            await socket.pong(frame.data)
        elif frame.type is not aiohttp.WSMsgType.PONG:
            raise _Refused("the connection was closed")


def _said(frame: aiohttp.WSMessage) -> dict[str, Any]:
    said = frame.json()
    return said if isinstance(said, dict) else {}


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _presses(payload: Any) -> Iterator[tuple[tuple[str, ...], Press]]:
    """The buttons that an envelope says were pressed, each with what knows it again; none where it says something else."""
    if not isinstance(payload, dict) or payload.get("type") != "block_actions":
        return
    user, channel = _text(payload, "user", "id"), _text(payload, "channel", "id")
    thread = _text(payload, "message", "thread_ts") or _text(payload, "container", "thread_ts")
    if _text(payload, "message", "subtype") == "thread_broadcast":
        thread = ""  # it may have been pressed in the channel, where nobody sees what is shown in the thread
    actions = payload.get("actions")
    for action in actions if isinstance(actions, list) else ():
        if user and channel:
            name, value = _text(action, "action_id"), _text(action, "value")
            yield (user, name, value, _text(action, "action_ts")), Press(name, value, user, channel, thread)


def _text(value: Any, *keys: str) -> str:
    """A text somewhere inside; empty if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""
