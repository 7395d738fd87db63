"""A receiver of webhooks on the loopback interface, as docs/sinks.md tells people to write one, that fails as scripted.

    with WebhookServer(secret) as server:
        server.fault("accept_then_close")      # the next delivery is taken, its answer is lost
        server.received                        # what it has, each delivery once

It refuses what is not signed, and knows deliveries by their keys. `json://` of Apprise may post to it too: `notified`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import struct
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

#: What `fault` is given beyond these is the status of an answer, with Retry-After if one stands behind a space: "429 7".
FAULTS = {
    "accept_then_close": "taken, and the connection is closed in place of an answer",
    "accept_then_reset": "the same, with a TCP reset",
    "accept_then_hang": "no answer until the server is stopped",
    "accept_then_500": "",
    "drop": "not taken, and the connection is closed",
    "garbage": "not taken, and the answer is no HTTP",
    "redirect": "308 to a place of its own that takes everything",
}


class WebhookServer:
    """Serves from `with` to its end, each connection in a thread."""

    def __init__(self, secret: str = "") -> None:
        self.secret = secret
        #: id -> document, in the order in which they first came
        self.received: dict[str, dict[str, Any]] = {}
        #: id of every signed delivery, each time that it came
        self.came: list[str] = []
        #: what Apprise posted
        self.notified: list[dict[str, Any]] = []
        #: path, lower-case headers and body of every request
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self._faults: deque[str] = deque()
        self._stopping = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/hook"

    @property
    def apprise_url(self) -> str:
        return f"json://127.0.0.1:{self._port}/apprise"

    def fault(self, *faults: str) -> None:
        """Let the next requests fail, one fault each; "" is none."""
        self._faults.extend(faults)

    def up(self) -> None:
        """Listen, after `down` on the same port again."""
        self._stopping.clear()
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections; what was received stays."""
        if self._server:
            self._stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    # -- what the handler asks ---------------------------------------------------------------------

    def next_fault(self) -> str:
        return self._faults.popleft() if self._faults else ""

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Keep what may be kept; return the status."""
        if path.startswith("/apprise"):
            self.notified.append(json.loads(body))
            return 200
        if not verified(self.secret, headers, body):
            return 401
        key = headers["idempotency-key"]
        self.came.append(key)
        self.received.setdefault(key, json.loads(body))
        return 204

    def wait_for_stop(self) -> None:
        self._stopping.wait(30)


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Check a signature as the specification says, written apart from who signs."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = [part.partition(",") for part in headers.get("webhook-signature", "").split()]
    return any(version == "v1" and hmac.compare_digest(expected, value) for version, _, value in given)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for them, and no socket outlives a test

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: a client that gave up waiting is part of the tests."""


def _handler(server: WebhookServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            server.requests.append((self.path, headers, body))
            fault = server.next_fault()
            if fault == "garbage":
                self.wfile.write(b"this is no HTTP\r\n")
            elif fault == "redirect":
                self._answer(308, Location=server.url)
            elif fault[:1].isdigit():
                status, _, wait = fault.partition(" ")
                self._answer(int(status), **({"Retry-After": wait} if wait else {}))
            elif fault != "drop":
                self._taken(server.take(self.path, headers, body), fault)

        def _taken(self, status: int, fault: str) -> None:
            if fault == "accept_then_hang":
                server.wait_for_stop()
            elif fault == "accept_then_reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            elif fault == "accept_then_500":
                self._answer(500)
            elif not fault:
                self._answer(status)

        def _answer(self, status: int, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    return Handler
