"""Stand-ins for the world outside, written by hand. A test scripts them and then reads what they were asked."""

from __future__ import annotations

import asyncio
import functools
import gzip
import hashlib
import re
import socket
import ssl
import struct
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import numpy as np

from monitor.background import Background, Sample, Tongue
from monitor.errors import SendError
from monitor.model import (
    Delivery,
    Document,
    Feed,
    NotModified,
    PollOutcome,
    PublisherRules,
    Validators,
    Vector,
)
from monitor.parse import ParsedFeed, parse
from monitor.schedule import Pace
from monitor.text import fold
from monitor.words import word_ids


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
    #: in two HTTP chunks, instead of with a Content-Length; cut off, the second never comes
    chunked: bool = False
    #: drop the connection without a word
    reset: bool = False


@dataclass(frozen=True)
class Request:
    path: str
    #: lower-case names
    headers: dict[str, str]


#: A certificate for FeedServer that nobody trusts, and that is weak besides.
CERTIFICATE = Path(__file__).parent / "data" / "tls" / "loopback.pem"


class _Server(ThreadingHTTPServer):
    #: None: plain HTTP
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread: a handshake that fails or lingers must not hold up the others.
        secured = self.tls.wrap_socket(request, server_side=True) if self.tls else request
        super().finish_request(secured, client_address)
        if self.tls:
            secured.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients hang up in the middle of a connection, as many tests want.
        if not isinstance(sys.exception(), (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


class FeedServer:
    """A real HTTP server on the loopback interface: `with FeedServer() as server`.

    Each path has a list of answers, given in order; the last one repeats. A path without answers is 404. Asked as a
    proxy, it takes the whole URL for the path. Entered again after it was left, it listens on the same port.
    """

    def __init__(self, host: str = "127.0.0.1", *, tls: bool = False) -> None:
        self.host = host
        self._tls = tls
        self._port = 0
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

    def url(self, path: str, host: str = "") -> str:
        return f"{'https' if self._tls else 'http'}://{host or self.host}:{self._port}{path}"

    def __enter__(self) -> Self:
        self._server = _Server((self.host, self._port), self._handler())
        self._port = self._server.server_address[1]
        self._server.tls = _weak_tls() if self._tls else None
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
                if answer.chunked:
                    self._chunks(body, answer.cut)
                    return
                if answer.cut is not None:
                    self.wfile.write(body[: answer.cut])
                    self.close_connection = True
                    return
                step = max(1, len(body) // 10) if answer.drip else max(1, len(body))
                for start in range(0, len(body), step):
                    self.wfile.write(body[start : start + step])
                    time.sleep(answer.drip)

            def _chunks(self, body: bytes, cut: int | None) -> None:
                middle = len(body) // 2 if cut is None else cut
                self.wfile.write(b"%x\r\n%s\r\n" % (middle, body[:middle]))
                if cut is None:
                    self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body) - middle, body[middle:]))
                else:
                    self.close_connection = True

            def _head(self, status: int, answer: Answer, length: int | None) -> None:
                self.send_response(status)
                headers = {"ETag": answer.etag, "Last-Modified": answer.last_modified}
                if length is not None:
                    size = {"Transfer-Encoding": "chunked"} if answer.chunked else {"Content-Length": str(length)}
                    headers |= size | {"Content-Encoding": "gzip" if answer.gzip else ""}
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


def _weak_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=1")  # or it would refuse its own key
    context.load_cert_chain(CERTIFICATE)
    return context


def _is_known(answer: Answer, request: Request) -> bool:
    return bool(
        (answer.etag and request.headers.get("if-none-match") == answer.etag)
        or (answer.last_modified and request.headers.get("if-modified-since") == answer.last_modified)
    )


# -- the edges of the pipeline --------------------------------------------------------------------


class FakeFetch:
    """Gives each feed's scripted answers in order, the last one again and again.

    An answer is a body, the word of a `NotModified`, or an error to raise. A feed without answers has an empty body.
    """

    def __init__(self) -> None:
        #: URL and validators of every request
        self.requests: list[tuple[str, Validators]] = []
        #: feed URL -> where a permanent redirect leads
        self.moved: dict[str, str] = {}
        #: URL -> seconds before its answer
        self.delays: dict[str, float] = {}
        self._answers: dict[str, list[bytes | PollOutcome | Exception]] = {}

    def script(self, url: str, *answers: bytes | PollOutcome | Exception) -> None:
        self._answers[url] = list(answers)

    async def fetch(self, feed: Feed, validators: Validators, *, address: str = "") -> Document | NotModified:
        self.requests.append((address or feed.url, validators))
        await asyncio.sleep(self.delays.get(feed.url, 0.0))
        answers = self._answers.get(feed.url) or [b""]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, PollOutcome):
            return NotModified(feed, answer, validators, moved_to=self.moved.get(feed.url, address))
        body_hash = hashlib.sha256(answer).hexdigest()
        received = Validators(etag=f'"{body_hash[:8]}"', body_hash=body_hash)
        return Document(feed, feed.url, {}, answer, received, self.moved.get(feed.url, address))


async def parse_here(
    document: Document, first_seen: datetime, rules: PublisherRules, known: Mapping[str, str]
) -> ParsedFeed:
    """Parses in this process: its own tests kill the other one."""
    return parse(document, first_seen, rules, known)


def usual_pace(_: Feed) -> Pace:
    return Pace(interval=timedelta(minutes=10), floor=timedelta(minutes=5), ceiling=timedelta(hours=6))


def no_rules(_: Feed) -> PublisherRules:
    return PublisherRules()


class FakeEmbedder:
    """A text is the bag of its words, each thrown into one of 64 dimensions: like words, like vectors."""

    dimension = 64
    parts = (64,)
    languages: tuple[frozenset[str], ...] = (frozenset(),)

    def __init__(self, name: str = "bag@1") -> None:
        self.id = name
        self.engine_ids = (name,)
        #: all that it was ever asked to embed
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vector:
        self.texts += texts
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in re.findall(r"\w+", fold(text)):
                number = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
                row[number % self.dimension] += 1.0 if number & 0x8000_0000 else -1.0
            row /= np.linalg.norm(row) or 1.0
        return vectors.astype(np.float16).astype(np.float32)


SMALL_WORDS = (
    "the of in to and a on for with as at by from is are was over after it its this that said says into".split()
)


@functools.cache
def ordinary() -> Sample:
    """Two hundred items, as a `FakeEmbedder` sees them, of words that nothing else in the tests uses; their small words are
    what they are everywhere."""
    words = [" ".join(f"ordinary{(n * 7 + k * 13) % 97}" for k in range(9)) for n in range(200)]
    texts = [f"{text} {' '.join(SMALL_WORDS[n % 3 :: 3])}" for n, text in enumerate(words)]
    return Sample(FakeEmbedder().embed(texts), [Tongue("en", "Latin")] * len(texts), [word_ids(text) for text in texts])


@functools.cache
def background() -> Background:
    return Background(ordinary(), FakeEmbedder.parts)


@dataclass(frozen=True)
class Landed:
    """The message stands in the channel, and yet the sender gets this error."""

    error: SendError


class FakeSink:
    """A channel in memory. Each send takes the next word of the script: an error, `Landed(error)`, or None for well."""

    name = "fake"

    def __init__(self, *script: SendError | Landed | None) -> None:
        self.outcomes = list(script)
        #: what stands in the channel, in order
        self.messages: list[Delivery] = []
        #: every call of `send`, and of `find`
        self.tries: list[Delivery] = []
        self.looks: list[Delivery] = []
        #: every call of `edit`, each of which takes the next word of this script
        self.edits: list[Delivery] = []
        self.edit_outcomes: list[SendError | None] = []
        #: the channel cannot be read while this is set
        self.unreadable: SendError | None = None

    def send(self, delivery: Delivery) -> str:
        self.tries.append(delivery)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, SendError):
            raise outcome
        self.messages.append(delivery)
        if isinstance(outcome, Landed):
            raise outcome.error
        return f"ts{len(self.messages)}"

    def edit(self, delivery: Delivery) -> None:
        self.edits.append(delivery)
        if self.edit_outcomes and (outcome := self.edit_outcomes.pop(0)):
            raise outcome

    def find(self, delivery: Delivery) -> str | None:
        self.looks.append(delivery)
        if self.unreadable:
            raise self.unreadable
        positions = (n for n, known in enumerate(self.messages, 1) if known.alert.id == delivery.alert.id)
        return next((f"ts{n}" for n in positions), None)


# -- beside the process ---------------------------------------------------------------------------


class Systemd:
    """Hears what the daemon tells it, in a thread: its socket holds ten words, and then the daemon waits."""

    def __init__(self, address: str) -> None:
        #: so far, in order
        self.words: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while word := self._socket.recv(1000).decode():
            self.words.append(word)

    def heard(self) -> list[str]:
        """All words, in order. Call it once, at the end."""
        address = self._socket.getsockname()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", address)
        self._thread.join(5)
        self._socket.close()
        return self.words
