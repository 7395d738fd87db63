"""The WebSocket half of the fake Slack: https://docs.slack.dev/apis/events-api/using-socket-mode.

Runs aiohttp in a thread of its own; all of it may be called from the test's thread.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine
from itertools import count
from typing import Any

from aiohttp import WSMsgType, web

APP_ID = "A0MONITOR"
#: seconds from one ping of the server to the next
PING_EVERY = 1.0


class SocketMode:
    """Starts with the first URL that it gives away."""

    def __init__(self, changed: threading.Condition) -> None:
        """changed: told of connections and acknowledgements, so that a test can wait for them."""
        #: Keeps its connections open, and neither pings nor answers pings nor sends anything.
        self.deaf = False
        #: those that are open, the newest last, each with the task that listens to it
        self.connections: dict[web.WebSocketResponse, asyncio.Task[None]] = {}
        #: payload and kind of each envelope
        self.pushed: list[tuple[dict[str, Any], str]] = []
        #: envelope id -> what came back for it: its payload, {} if it had none
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self._changed = changed
        self._numbers = count(1)
        self._tickets: set[str] = set()
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._port = 0

    def open(self) -> str:
        """Return a URL that is good for one connection."""
        if self._thread is None:
            self._ready.clear()
            self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
            self._thread.start()
            self._ready.wait(10)
        ticket = f"ticket-{next(self._numbers)}"
        self._tickets.add(ticket)
        return f"ws://127.0.0.1:{self._port}/link/?ticket={ticket}"

    def close(self) -> None:
        """End all connections without a word, and stop."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None

    def push(self, payload: dict[str, Any], kind: str = "interactive") -> str:
        """Send an envelope through one of the connections, as Slack does; return its id. Nothing arrives while deaf."""
        envelope = f"envelope-{next(self._numbers)}"
        self.pushed.append((payload, kind))
        if not self.connections:
            raise RuntimeError("nobody is connected")
        told = {"envelope_id": envelope, "type": kind, "accepts_response_payload": True, "payload": payload}
        if not self.deaf:
            self._do(list(self.connections)[-1].send_json(told))
        return envelope

    def disconnect(self, reason: str = "refresh_requested") -> None:
        """Tell every connection to come again, and close it; the reason `warning` leaves it open."""
        for connection, listening in list(self.connections.items()):
            self._do(connection.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "fake"}}))
            if reason != "warning":
                self._loop.call_soon_threadsafe(listening.cancel)

    def _do(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        application = web.Application()
        application.router.add_get("/link/", self._connection)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _connection(self, request: web.Request) -> web.WebSocketResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            raise web.HTTPForbidden
        self._tickets.discard(ticket)
        connection = web.WebSocketResponse(autoping=False)
        await connection.prepare(request)
        await connection.send_json({"type": "hello", "num_connections": 1, "connection_info": {"app_id": APP_ID}})
        listening = asyncio.create_task(self._listen(connection))
        pinging = asyncio.create_task(self._ping(connection))
        with self._changed:
            self.connections[connection] = listening
            self._changed.notify_all()
        try:
            await asyncio.wait([listening])
            if listening.cancelled():
                # Only now, since aiohttp hangs up on a client that it has not done listening to.
                await connection.close()
        finally:
            listening.cancel()
            pinging.cancel()
            with self._changed:
                del self.connections[connection]
                self._changed.notify_all()
        return connection

    async def _listen(self, connection: web.WebSocketResponse) -> None:
        async for message in connection:
            if message.type is WSMsgType.PING and not self.deaf:
                await connection.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self._hear(json.loads(message.data))

    async def _ping(self, connection: web.WebSocketResponse) -> None:
        while not connection.closed:
            if not self.deaf:
                await connection.ping()
            await asyncio.sleep(PING_EVERY)

    def _hear(self, answer: dict[str, Any]) -> None:
        with self._changed:
            self.acknowledged[answer["envelope_id"]] = answer.get("payload") or {}
            self._changed.notify_all()
