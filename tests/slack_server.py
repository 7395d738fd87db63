"""A Slack on the loopback interface that keeps what it is told and fails as scripted.

    with FakeSlack() as slack:
        slack.fault("accept_then_close")       # the next chat.postMessage is taken, its answer is lost
        WebClient(token=slack.token, base_url=slack.url)
        slack.messages                         # what stands in its channels

Real HTTP, so that the client may be another process: start the daemon with `slack.url`, steer it from here, and wait
with `slack.until(lambda: slack.messages)`. What it holds and answers is in slack_workspace.py, what it refuses of a
message in block_kit.py, its WebSocket in socket_mode.py. Unset proxy variables before using it.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from slack_workspace import BOT_ID, TEAM_ID, USER_ID, Workspace, view
from socket_mode import SocketMode

__all__ = ["AFTER_ACCEPTING", "BEFORE_ACCEPTING", "BOT_ID", "USER_ID", "FakeSlack"]

#: Taken, and then no good answer. What `fault` is given beyond these two tables is an error code of Slack's, and not
#: taken; that connections are refused is `down`.
AFTER_ACCEPTING = {
    "accept_then_close": "the connection is closed in place of an answer",
    "accept_then_reset": "the same, with a TCP reset",
    "accept_then_hang": "no answer until the fake is stopped",
    "accept_late": "as accept_then_close, and the message is posted only `lateness` seconds later",
    "incomplete": "the body ends before its Content-Length",
    "truncated_json": "a body that ends in mid-JSON",
    "html200": "200 and a page, as a captive portal gives",
    "list200": "200 and JSON, but a list",
    "no_ts": "ok, but without the message's ts",
    "http500": "a server error",
    "http502": "the same, from a proxy",
    "http503": "the same, overloaded",
    "http504": "the same, too late",
}
BEFORE_ACCEPTING = {
    "ratelimited": "429 with Retry-After, of `retry_after` seconds",
    "drop": "not taken, and the connection is closed in place of an answer",
    "drop_reset": "the same, with a TCP reset",
    "drop_hang": "not taken, and no answer until the fake is stopped",
    "drop_html200": "not taken: a captive portal's page",
    "drop_truncated_json": "not taken: an error whose JSON ends in the middle",
    "drop_http500": "not taken: a server error",
    "drop_http502": "the same, from a proxy",
    "drop_http503": "the same, overloaded",
    "drop_http504": "the same, too late",
}


class FakeSlack(Workspace):
    """Serves from `with` to its end, each connection in a thread; safe to look at from the test's thread."""

    retry_after = 7
    lateness = 20.0

    def __init__(self, clock: Callable[[], float] = time.time, channels: set[str] | None = None) -> None:
        super().__init__(clock, channels)
        self.socket = SocketMode(self._changed)
        self.methods["apps.connections.open"] = lambda _: {"url": self.socket.open()}
        self._faults: dict[str, deque[str]] = defaultdict(deque)
        self._stopping = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    def __enter__(self) -> FakeSlack:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api/"

    def up(self) -> None:
        """Listen, after `down` on the same port again."""
        self._stopping.clear()
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Stop listening: connections are refused, what hangs is let go. Messages stay."""
        if self._server is not None:
            self._stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            self.socket.close()

    def fault(self, *faults: str, method: str = "chat.postMessage") -> None:
        """Let the method's next calls fail, one fault a call: `ok`, a word from the tables above, or an error code."""
        with self._changed:
            self._faults[method].extend(faults)

    def forgive(self) -> None:
        """Let no further call fail."""
        with self._changed:
            self._faults.clear()

    def press(self, ts: str, action_id: str, user: str = "U0ANALYST", value: str | None = None) -> str:
        """Press a button of a message as a person does, of several that are called so the one with a value; return the id of
        the envelope that tells of it. A message may be one that is shown to that person alone: of that Slack tells less.
        """
        ephemeral = next((shown for shown in self.ephemerals if shown["ts"] == ts), None)
        message = ephemeral or self.message(ts)
        [button] = [
            element
            for block in message["blocks"]
            for element in [*block.get("elements", []), block.get("accessory", {})]
            if element.get("action_id") == action_id and value in (None, element.get("value"))
        ]
        action = {
            "type": "button",
            "action_id": action_id,
            "value": button.get("value"),
            "action_ts": f"{self.clock():.6f}",
        }
        payload = {
            "type": "block_actions",
            "team": {"id": TEAM_ID},
            "user": {"id": user},
            "channel": {"id": message["channel"]},
            "container": {"type": "message", "message_ts": ts, "channel_id": message["channel"]},
            **({} if ephemeral else {"message": view(message, metadata=True)}),
            "actions": [action],
        }
        return self.socket.push(payload)

    # -- what the handler asks ---------------------------------------------------------------------

    def record(self, method: str, arguments: dict[str, Any]) -> str:
        """Note a request, and say how it is to fail."""
        with self._changed:
            self.requests.append((method, arguments))
            self._changed.notify_all()
            return self._faults[method].popleft() if self._faults[method] else "ok"

    def wait_for_stop(self) -> None:
        self._stopping.wait(30)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for them, and no socket outlives a test
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: a client that gave up waiting is part of the tests."""


def _handler(slack: FakeSlack) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            method = urlsplit(self.path).path.rpartition("/")[2]
            arguments = self._arguments()
            fault = slack.record(method, arguments)
            if fault == "ratelimited":
                self._reply({"ok": False, "error": "ratelimited", "retry_after": slack.retry_after})
            elif fault in BEFORE_ACCEPTING:
                self._answer({"ok": False, "error": "not_taken"}, fault)
            elif fault != "ok" and fault not in AFTER_ACCEPTING:
                self._reply({"ok": False, "error": fault})
            else:
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                late = slack.lateness if fault == "accept_late" else 0.0
                self._answer(slack.answer(method, token, arguments, late), fault)

        do_GET = do_POST  # noqa: N815 - the base class's way to name it

        def _arguments(self) -> dict[str, Any]:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if body and "json" in self.headers.get("Content-Type", ""):
                return json.loads(body)
            return dict(parse_qsl(urlsplit(self.path).query) + parse_qsl(body.decode()))

        def _answer(self, answer: dict[str, Any], fault: str) -> None:
            shape = fault.removeprefix("accept_then_").removeprefix("drop_")
            if shape == "hang":
                slack.wait_for_stop()
            elif shape == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            elif shape == "incomplete":
                self._send(200, json.dumps(answer).encode()[:20], {"Content-Length": "500"})
            elif shape == "truncated_json":
                self._send(200, json.dumps(answer).encode()[:20])
            elif shape == "html200":
                self._send(200, b"<html>Sign in to the guest network</html>", {"Content-Type": "text/html"})
            elif shape == "list200":
                self._send(200, b"[]")
            elif shape == "no_ts":
                self._reply({"ok": True})
            elif shape.startswith("http5"):
                self._send(int(shape[4:]), b"<html>upstream</html>", {"Content-Type": "text/html"})
            elif shape == "ok":
                self._reply(answer)

        def _reply(self, answer: dict[str, Any]) -> None:
            wait = answer.pop("retry_after", None)
            headers = {"X-OAuth-Scopes": ",".join(sorted(slack.scopes))}
            if wait is not None:
                headers["Retry-After"] = str(wait)
            self._send(200 if wait is None else 429, json.dumps(answer).encode(), headers)

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            defaults = {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(body))}
            for name, value in (defaults | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    return Handler
