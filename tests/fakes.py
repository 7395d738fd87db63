"""Stand-ins for the world outside, written by hand. A test scripts them and then reads what they were asked."""

from __future__ import annotations

import gzip
import socket
import struct
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    """What the server says to one request."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    #: sent along; a request that names it in If-None-Match gets 304 without a body
    etag: str = ""
    #: sent along; a request that names it in If-Modified-Since gets 304 without a body
    last_modified: str = ""
    #: seconds of silence before the answer
    delay: float = 0.0
    #: seconds of silence after each tenth of the body
    drip: float = 0.0
    #: send this many bytes of the body, all of which was promised, and hang up
    cut: int | None = None
    gzip: bool = False
    #: drop the connection without a word
    reset: bool = False


@dataclass(frozen=True)
class Request:
    path: str
    #: lower-case names
    headers: dict[str, str]


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients hang up in the middle of a connection, as many tests want.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FeedServer:
    """A real HTTP server on the loopback interface: `with FeedServer() as server`.

    Each path has a list of answers, given in order; the last one repeats. A path without answers is 404.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        #: most requests that were being answered at one moment
        self.most_at_once = 0
        self._answers: defaultdict[str, list[Answer]] = defaultdict(list)
        self._at_once = 0
        self._lock = threading.Lock()

    def serve(self, path: str, *answers: Answer) -> str:
        """Script a path, anew if it was scripted before; gives its URL."""
        self._answers[path] = list(answers)
        return self.url(path)

    def redirect(self, path: str, to: str, status: int = 302) -> str:
        return self.serve(path, Answer(status=status, headers={"Location": to}))

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self._server.server_address[1]}{path}"

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _next(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            answers = self._answers.get(request.path)
            if not answers:
                return Answer(status=404)
            return answers.pop(0) if len(answers) > 1 else answers[0]

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            yield
        finally:
            with self._lock:
                self._at_once -= 1

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                request = Request(self.path, {name.lower(): value for name, value in self.headers.items()})
                with server._counted():
                    try:
                        self._answer(server._next(request), request)
                    except OSError:
                        self.close_connection = True  # the client had enough, as many tests want

            def _answer(self, answer: Answer, request: Request) -> None:
                time.sleep(answer.delay)
                if answer.reset:
                    self._reset()
                    return
                if _is_known(answer, request):
                    self._head(304, answer, None)
                    return
                body = gzip.compress(answer.body) if answer.gzip else answer.body
                self._head(answer.status, answer, len(body))
                if answer.cut is not None:
                    self.wfile.write(body[: answer.cut])
                    self.close_connection = True
                    return
                step = max(1, len(body) // 10) if answer.drip else max(1, len(body))
                for start in range(0, len(body), step):
                    self.wfile.write(body[start : start + step])
                    time.sleep(answer.drip)

            def _head(self, status: int, answer: Answer, length: int | None) -> None:
                self.send_response(status)
                headers = {"ETag": answer.etag, "Last-Modified": answer.last_modified}
                if length is not None:
                    headers |= {"Content-Length": str(length), "Content-Encoding": "gzip" if answer.gzip else ""}
                for name, value in (headers | answer.headers).items():
                    if value:
                        self.send_header(name, value)
                self.end_headers()

            def _reset(self) -> None:
                # Lingering for zero seconds makes the close a reset.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Say nothing: pytest's output is for failures."""

        return Handler


def _is_known(answer: Answer, request: Request) -> bool:
    return bool(
        (answer.etag and request.headers.get("if-none-match") == answer.etag)
        or (answer.last_modified and request.headers.get("if-modified-since") == answer.last_modified)
    )
