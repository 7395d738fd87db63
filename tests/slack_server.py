"""A Slack on the loopback interface that keeps what it is told and fails as scripted.

    with FakeSlack() as slack:
        slack.fault("accept_then_close")       # the next chat.postMessage is taken, its answer is lost
        WebClient(token=slack.token, base_url=slack.url)
        slack.messages                         # what stands in its channels

It keeps to what the documentation says of the five methods it knows: paging by cursor, metadata only on request,
history without thread replies. Unset proxy variables before using it.
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
from urllib.parse import parse_qsl

BOT_ID = "B0MONITOR"
USER_ID = "U0MONITOR"

#: Taken, and then no good answer. What `fault` is given beyond these two tables is an error code of Slack's.
AFTER_ACCEPTING = {
    "accept_then_close": "the connection is closed in place of an answer",
    "accept_then_reset": "the same, with a TCP reset",
    "accept_then_hang": "no answer until the fake is stopped",
    "incomplete": "the body ends before its Content-Length",
    "truncated_json": "a body that ends in mid-JSON",
    "html200": "200 and a page, as a captive portal gives",
    "list200": "200 and JSON, but a list",
    "no_ts": "ok, but without the message's ts",
    "http500": "",
    "http502": "",
    "http503": "",
    "http504": "",
}
BEFORE_ACCEPTING = {
    "drop": "not taken, and the connection is closed in place of an answer",
    "ratelimited": "429 with Retry-After",
}


class FakeSlack:
    """Serves from `with` to its end, each connection in a thread; safe to look at from the test's thread.

    clock: seconds since the epoch for `ts`, real time unless given.
    channels: those that exist; None means that every channel does.
    """

    token = "xoxb-fake-1"  # noqa: S105 - it opens nothing
    retry_after = 7

    def __init__(self, clock: Callable[[], float] = time.time, channels: set[str] | None = None) -> None:
        self.clock = clock
        self.channels = channels
        #: as chat.postMessage got them, with `ts`, `user` and `bot_id`; in order of posting
        self.messages: list[dict[str, Any]] = []
        #: method and arguments of every request, also of those that failed
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.page_limit = 1_000
        self._faults: dict[str, deque[str]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self._last_ts = 0

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

    def fault(self, *faults: str, method: str = "chat.postMessage") -> None:
        """Let the method's next calls fail, one fault a call: `ok`, a word from the tables above, or an error code."""
        self._faults[method].extend(faults)

    def post(self, **message: Any) -> dict[str, Any]:
        """Put a message into a channel without a request; `ts`, `user` and `bot_id` may be given."""
        with self._lock:
            message = {"type": "message", "ts": self._next_ts(), "user": USER_ID, "bot_id": BOT_ID} | message
            self.messages.append(message)
            return message

    def delivery_ids(self) -> list[str]:
        """Return the delivery id of every message that has one, in order of posting."""
        payloads = [(message.get("metadata") or {}).get("event_payload") or {} for message in self.messages]
        return [payload["delivery_id"] for payload in payloads if "delivery_id" in payload]

    # -- what the handler asks ---------------------------------------------------------------------

    def next_fault(self, method: str) -> str:
        with self._lock:
            return self._faults[method].popleft() if self._faults[method] else "ok"

    def answer(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        known = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post_message,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "conversations.info": self._info,
        }
        if method not in known:
            return {"ok": False, "error": "unknown_method"}
        channel = arguments.get("channel")
        if channel is not None and self.channels is not None and channel not in self.channels:
            return {"ok": False, "error": "channel_not_found"}
        return known[method](arguments)

    def wait_for_stop(self) -> None:
        self._stopping.wait(30)

    def _auth_test(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "team": "Fake", "user": "monitor", "user_id": USER_ID, "bot_id": BOT_ID}

    def _info(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "channel": {"id": arguments["channel"], "is_channel": True, "is_member": True}}

    def _post_message(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if not arguments.get("text") and not arguments.get("blocks"):
            return {"ok": False, "error": "no_text"}
        message = self.post(**arguments)
        return {"ok": True, "channel": arguments["channel"], "ts": message["ts"], "message": message}

    def _history(self, arguments: dict[str, Any]) -> dict[str, Any]:
        shown = [m for m in self.messages if not m.get("thread_ts") or m.get("reply_broadcast")]
        return self._read(shown[::-1], arguments)

    def _replies(self, arguments: dict[str, Any]) -> dict[str, Any]:
        thread = arguments["ts"]
        if not any(m["ts"] == thread for m in self.messages):
            return {"ok": False, "error": "thread_not_found"}
        return self._read([m for m in self.messages if thread in (m["ts"], m.get("thread_ts"))], arguments)

    def _read(self, messages: list[dict[str, Any]], arguments: dict[str, Any]) -> dict[str, Any]:
        oldest = float(arguments.get("oldest", 0))
        chosen = [m for m in messages if m["channel"] == arguments["channel"] and float(m["ts"]) >= oldest]
        start = int(arguments.get("cursor") or 0)
        end = start + min(int(arguments.get("limit", 100)), self.page_limit)
        more = end < len(chosen)
        visible = [m if arguments.get("include_all_metadata") == "1" else _stripped(m) for m in chosen[start:end]]
        page: dict[str, Any] = {"ok": True, "messages": visible, "has_more": more}
        return page | ({"response_metadata": {"next_cursor": str(end)}} if more else {})

    def _next_ts(self) -> str:
        self._last_ts = max(self._last_ts + 1, int(self.clock() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"


def _stripped(message: dict[str, Any]) -> dict[str, Any]:
    """Take the payload out of a message's metadata, as Slack does where nobody asks for it."""
    if "metadata" not in message:
        return message
    return message | {"metadata": {"event_type": message["metadata"].get("event_type")}}


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for them, and no socket outlives a test

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: a client that gave up waiting is part of the tests."""


def _handler(slack: FakeSlack) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            method = self.path.rpartition("/")[2]
            arguments = self._arguments()
            slack.requests.append((method, arguments))
            fault = slack.next_fault(method)
            if fault in BEFORE_ACCEPTING:
                self._refuse(fault)
            elif fault != "ok" and fault not in AFTER_ACCEPTING:
                self._reply({"ok": False, "error": fault})
            elif self.headers.get("Authorization") != f"Bearer {slack.token}":
                self._reply({"ok": False, "error": "invalid_auth"})
            else:
                self._answer(slack.answer(method, arguments), fault)

        def _arguments(self) -> dict[str, Any]:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if body and "json" in self.headers.get("Content-Type", ""):
                return json.loads(body)
            return dict(parse_qsl(body.decode()))

        def _refuse(self, fault: str) -> None:
            if fault == "ratelimited":
                answer = {"ok": False, "error": "ratelimited"}
                self._reply(answer, status=429, headers={"Retry-After": str(slack.retry_after)})

        def _answer(self, answer: dict[str, Any], fault: str) -> None:
            if fault == "accept_then_hang":
                slack.wait_for_stop()
            elif fault == "accept_then_reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            elif fault == "incomplete":
                self._send(200, json.dumps(answer).encode()[:20], {"Content-Length": "500"})
            elif fault == "truncated_json":
                self._send(200, json.dumps(answer).encode()[:20])
            elif fault == "html200":
                self._send(200, b"<html>Sign in to the guest network</html>", {"Content-Type": "text/html"})
            elif fault == "list200":
                self._send(200, b"[]")
            elif fault == "no_ts":
                self._reply({"ok": True})
            elif fault.startswith("http5"):
                self._send(int(fault[4:]), b"<html>upstream</html>", {"Content-Type": "text/html"})
            elif fault == "ok":
                self._reply(answer)

        def _reply(self, answer: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> None:
            self._send(status, json.dumps(answer).encode(), headers or {})

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
