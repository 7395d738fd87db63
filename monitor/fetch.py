"""Ask a feed's server for its document, politely. The only home of aiohttp's client side.

Takes a feed and what we remember of it, gives a document or the news that nothing changed. Looks at no content, keeps
no state but open connections and whose turn it is, and never reaches into private networks unless told to.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Literal, Self, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from monitor.errors import FetchError
from monitor.model import Document, Feed, NotModified, PollOutcome, Validators
from monitor.text import http_date, longest_prefix

TlsMode: TypeAlias = Literal["verify", "legacy", "insecure"]

_ACCEPT = "application/rss+xml, application/atom+xml, application/feed+json, application/xml;q=0.9, */*;q=0.5"
#: What a feed is charged for a failure that is as likely ours, or the weather's.
_DNS_WEIGHT = 0.25
_PASSING_WEIGHT = 0.5
_DAY = 86_400.0
#: Some publishers send policy headers beyond aiohttp's 8 KB.
_MAX_HEADER = 32_768
#: Below the shortest interval between two polls, so that no stale address fails a feed twice; long enough for a host's
#: many feeds, a gap apart, to share a look-up. Cannot weaken the guard: what it let pass is what is connected to.
_DNS_TTL = 60
#: For a host as a whole, however long it asks for: many feeds may share a host and not its trouble.
_LONGEST_PAUSE = 600.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEP_A_FORM = frozenset({307, 308})
_PERMANENT = frozenset({301, 308})
#: Lists, which a server may spread over several lines (RFC 9110, section 5.3); of all other fields the last line holds.
_LISTS = ("cache-control", "link")
#: ssl.OP_LEGACY_SERVER_CONNECT, which Python names from 3.12 on
_OP_LEGACY_SERVER_CONNECT = 0x4


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """How to ask for the feeds whose own URL lies under `prefix`."""

    #: ends where a part of the URL does (`text.longest_prefix`)
    prefix: str
    #: may be secrets: like `user_agent` and `tls`, only for the feed's own origin, or https where that is http
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    #: empty: the policy's
    user_agent: str = ""
    #: `http://host:port` that all requests go through, redirects included; empty: none. It may be in a private network.
    #: It also resolves the names: of private targets we refuse only literal addresses then, the others it must itself.
    proxy: str = field(default="", repr=False)
    #: `legacy` verifies, but accepts weak keys and servers that cannot renegotiate securely (RFC 5746; seen at
    #: cn.yna.co.kr); `insecure` verifies nothing
    tls: TlsMode = "verify"


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """How we behave towards servers; times in seconds."""

    user_agent: str
    connect_timeout: float = 10.0
    #: longest silence within an answer
    read_timeout: float = 20.0
    #: for everything, redirects and body included; waiting for a turn at the host is not counted
    total_timeout: float = 30.0
    #: of the body, after decompression
    max_bytes: int = 10_000_000
    max_redirects: int = 5
    #: requests to one host at once, ...
    per_host: int = 2
    #: ... and the least time from the start of one to the start of the next
    host_gap: float = 2.0
    #: hosts, in lower case, that may be in a private network or on this machine
    allow_private: frozenset[str] = frozenset()
    #: for each feed the one with the longest prefix holds
    options: tuple[FeedOptions, ...] = ()


class Fetcher:
    """Fetches feeds over one pool of connections: `async with Fetcher(policy) as fetcher`."""

    def __init__(self, policy: FetchPolicy) -> None:
        self._policy = policy
        self._options = {one.prefix: one for one in policy.options}
        self._turns = Turns(policy.per_host, policy.host_gap)

    async def __aenter__(self) -> Self:
        policy = self._policy
        self._tls = _tls_contexts(policy.options)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_GuardedResolver(policy.allow_private, _proxies(policy.options)),
                ttl_dns_cache=_DNS_TTL,
                # The turns count the hosts we ask; this one also counts those we are redirected to.
                limit_per_host=policy.per_host,
                limit=0,
            ),
            # A total of aiohttp's would count the wait for a connection as well.
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=policy.connect_timeout, sock_read=policy.read_timeout
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": policy.user_agent, "Accept": _ACCEPT},
            max_line_size=_MAX_HEADER,
            max_field_size=_MAX_HEADER,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def fetch(self, feed: Feed, validators: Validators, *, address: str = "") -> Document | NotModified:
        """Get a feed's document, or learn that it is still the one that `validators` stands for.

        `address` is where permanent redirects led at an earlier poll, asked in place of the feed's own URL; empty if
        nowhere. `moved_to` of the answer is where they lead now.
        A body that was cut off is a document too, but without validators: what is missing would hide behind a 304.

        Raises:
            FetchError: no document. `cause` is one of `timeout`, `dns`, `refused`, `tls`, `connection`, `proxy`,
                `protocol`, `encoding`, `too large`, `redirects`, `bad url`, `private address`, `bot wall`,
                `host asked to wait` and `http NNN`.
        """
        url = _web_url(address or feed.url)
        async with self._turns.turn(_host(url)):
            try:
                async with asyncio.timeout(self._policy.total_timeout):
                    return await self._follow(feed, validators, url, address)
            except (OSError, ValueError, aiohttp.ClientError) as error:  # TimeoutError and ssl.SSLError are OSErrors
                raise _fetch_error(error) from error

    async def post(self, url: str, form: Mapping[str, str]) -> int:
        """Send a form to a hub, and give the status of its answer, where redirects lead (307 and 308 alone keep a form).

        Raises: FetchError, as `fetch` does.
        """
        async with self._turns.turn(_host(_web_url(url))):
            try:
                async with asyncio.timeout(self._policy.total_timeout):
                    return await self._send(_web_url(url), form)
            except (OSError, ValueError, aiohttp.ClientError) as error:
                raise _fetch_error(error) from error

    async def _send(self, url: URL, form: Mapping[str, str]) -> int:
        for _ in range(self._policy.max_redirects + 1):
            self._refuse_private(_host(url))
            async with self._session.post(url, data=dict(form), allow_redirects=False) as response:
                target = _redirect(response, url)
                if target is None or response.status not in _KEEP_A_FORM:
                    return response.status
            url = target
        raise FetchError("redirects", "too many")

    async def _follow(self, feed: Feed, validators: Validators, url: URL, moved_to: str) -> Document | NotModified:
        """Ask, and go where the answers lead: ourselves, because what may be sent changes on the way."""
        options = self._options.get(longest_prefix(feed.url, self._options) or "", _NO_OPTIONS)
        permanent = True
        for _ in range(self._policy.max_redirects + 1):
            async with self._ask(url, feed, options, validators) as response:
                target = _redirect(response, url)
                if target is None:
                    return await self._answer(feed, validators, response, moved_to)
            permanent = permanent and response.status in _PERMANENT
            moved_to = str(target) if permanent else moved_to
            url = target
        raise FetchError("redirects", "too many")

    def _ask(
        self, url: URL, feed: Feed, options: FeedOptions, validators: Validators
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        host = _host(url)
        self._turns.refuse_paused(host)
        self._refuse_private(host)
        # The prefix says whose the secrets are, even if a strange URL of a feed can be read in two ways.
        trusted = _is_home(url, URL(options.prefix or feed.url))
        return self._session.get(
            url,
            headers=_conditions(validators) | (_own_headers(feed, options) if trusted else {}),
            allow_redirects=False,
            proxy=options.proxy or None,
            ssl=self._tls[options.tls if trusted else "verify"],
        )

    def _refuse_private(self, host: str) -> None:
        # A literal address is never resolved, so the resolver alone would let it pass.
        if _is_private_literal(host) and host not in self._policy.allow_private:
            raise _private_address(host)

    async def _answer(
        self, feed: Feed, validators: Validators, response: aiohttp.ClientResponse, moved_to: str
    ) -> Document | NotModified:
        headers = _headers(response)
        if response.status == 304 and _conditions(validators):
            return NotModified(feed, PollOutcome.NOT_MODIFIED, _renewed(validators, headers), headers, moved_to)
        if response.status not in (200, 203):
            error = _status_error(response.status, headers)
            self._turns.pause(_host(response.url), error.retry_after or 0.0)
            raise error
        body, whole = await self._read(response)
        if not whole:
            return Document(feed, str(response.url), headers, body, Validators(), moved_to)
        received = Validators(
            headers.get("etag", ""), headers.get("last-modified", ""), hashlib.sha256(body).hexdigest()
        )
        if received.body_hash == validators.body_hash:
            return NotModified(feed, PollOutcome.SAME_BODY, received, headers, moved_to)
        return Document(feed, str(response.url), headers, body, received, moved_to)

    async def _read(self, response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        """Read the body, decoded, and say whether it is whole."""
        chunks: list[bytes] = []
        size = 0
        try:
            # Piece by piece: `read()` would lift aiohttp's bound on what it inflates at once, 256 KB.
            async for chunk in response.content.iter_any():
                chunks.append(chunk)
                size += len(chunk)
                if size > self._policy.max_bytes:
                    raise FetchError("too large", f"more than {self._policy.max_bytes:,} bytes")
        except aiohttp.ClientPayloadError as error:
            # A feed that was cut off still has its first items.
            if not chunks or _is_undecodable(error):
                raise
            return b"".join(chunks), False
        return b"".join(chunks), True


# -- turns ----------------------------------------------------------------------------------------


class Turns:
    """Whose turn it is at each host: first come, first served, `at_once` at a time, `gap` seconds between two starts.

    `len` is how many hosts are remembered: those in use, and perhaps as many that were.
    """

    #: below this many, the idle are not worth looking for
    _FEW = 1_000

    def __init__(self, at_once: int, gap: float) -> None:
        self._at_once = at_once
        self._gap = gap
        self._hosts: dict[str, _Host] = {}
        self._many = self._FEW

    def __len__(self) -> int:
        return len(self._hosts)

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait for a turn at a host, and have it.

        Raises: FetchError: the host wants to be left alone, or says so while we wait.
        """
        host = self._host(name)
        host.refuse_paused()
        host.callers += 1
        try:
            async with host.places:
                await host.start(self._gap)
                yield
        finally:
            host.callers -= 1

    def pause(self, name: str, seconds: float) -> None:
        """Let nobody ask a host for so long, or for ten minutes if that is shorter."""
        if seconds > 0:
            host = self._host(name)
            host.paused_until = max(host.paused_until, _clock() + min(seconds, _LONGEST_PAUSE))

    def refuse_paused(self, name: str) -> None:
        """Raise FetchError if the host wants to be left alone."""
        if name in self._hosts:
            self._hosts[name].refuse_paused()

    def _host(self, name: str) -> _Host:
        if name not in self._hosts:
            if len(self._hosts) >= self._many:
                self._hosts = {known: host for known, host in self._hosts.items() if not host.idle}
                # Not again before as many are new: forgetting costs each newcomer next to nothing.
                self._many = max(self._FEW, 2 * len(self._hosts))
            self._hosts[name] = _Host(self._at_once)
        return self._hosts[name]


class _Host:
    """What we owe one host. Times are the loop's."""

    __slots__ = ("callers", "door", "next_start", "paused_until", "places")

    def __init__(self, at_once: int) -> None:
        self.places = asyncio.Semaphore(at_once)
        #: held while waiting for the gap, so that it is one caller's alone
        self.door = asyncio.Lock()
        #: who has a turn, or waits for one
        self.callers = 0
        self.next_start = 0.0
        self.paused_until = 0.0

    @property
    def idle(self) -> bool:
        return not self.callers and max(self.next_start, self.paused_until) <= _clock()

    async def start(self, gap: float) -> None:
        async with self.door:
            self.refuse_paused()
            if (wait := self.next_start - _clock()) > 0:
                await asyncio.sleep(wait)
            self.next_start = _clock() + gap

    def refuse_paused(self) -> None:
        if (left := self.paused_until - _clock()) > 0:
            raise FetchError("host asked to wait", retry_after=left, weight=0.0)


def _clock() -> float:
    return asyncio.get_running_loop().time()


# -- addresses ------------------------------------------------------------------------------------


def _web_url(text: str, base: URL | None = None) -> URL:
    """Read a URL, without its fragment and credentials: ours go into a header, a redirect's are for nobody.

    RFC 9110, section 4.2.4, asks for suspicion of the latter. Raises: FetchError.
    """
    try:
        url = URL(text)
        if base and not url.scheme:
            url = base.join(url)
        # Reading the port finds one that is out of range.
        if url.scheme in ("http", "https") and url.host and url.port:
            return url.with_user(None).with_fragment(None)
    except ValueError:
        pass
    raise FetchError("bad url", "it, or a redirect, is neither http:// nor https://, or has no host")


def _host(url: URL) -> str:
    return url.host or ""


def _redirect(response: aiohttp.ClientResponse, url: URL) -> URL | None:
    """Give the URL that an answer sends us to; None if it does not."""
    location = response.headers.get("Location") if response.status in _REDIRECTS else None
    return _web_url(location, url) if location else None


def _is_home(url: URL, home: URL) -> bool:
    """Say whether `url` may be told what is meant for `home`: the same origin, or the same host by https, not http."""
    return url.origin() == home.origin() or (
        url.host == home.host
        and (home.scheme, url.scheme) == ("http", "https")
        and home.is_default_port()
        and url.is_default_port()
    )


# -- options --------------------------------------------------------------------------------------


_NO_OPTIONS = FeedOptions(prefix="")


def _own_headers(feed: Feed, options: FeedOptions) -> dict[str, str]:
    """Give the headers that are for the feed's own server alone."""
    headers = {}
    url = URL(feed.url)
    if url.raw_user is not None or url.raw_password is not None:
        headers["Authorization"] = aiohttp.encode_basic_auth(url.user or "", url.password or "")
    if options.user_agent:
        headers["User-Agent"] = options.user_agent
    return headers | dict(options.headers)


def _proxies(options: Iterable[FeedOptions]) -> frozenset[tuple[str, int]]:
    urls = [URL(one.proxy) for one in options if one.proxy]
    return frozenset((_host(url), url.port or 0) for url in urls)


def _tls_contexts(options: Iterable[FeedOptions]) -> Mapping[TlsMode, ssl.SSLContext | bool]:
    """Make what aiohttp takes for each mode; True and False are contexts of its own."""
    # Loading the system's certificates takes milliseconds: only if it is for something.
    legacy = _legacy_context() if any(one.tls == "legacy" for one in options) else True
    return {"verify": True, "legacy": legacy, "insecure": False}


def _legacy_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_ciphers("DEFAULT:@SECLEVEL=1")
    context.options |= _OP_LEGACY_SERVER_CONNECT
    context.set_alpn_protocols(["http/1.1"])
    return context


# -- private addresses ----------------------------------------------------------------------------


class _GuardedResolver(AbstractResolver):
    """Gives only addresses that anyone could reach. What it gives is what is connected to: no second look-up."""

    def __init__(self, allow_private: frozenset[str], proxies: frozenset[tuple[str, int]]) -> None:
        self._allow_private = allow_private
        self._proxies = proxies
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        results = await self._resolver.resolve(host, port, family)
        if host in self._allow_private or (host, port) in self._proxies:
            return results
        public = [result for result in results if not _is_private_literal(result["host"])]
        if not public:
            raise _private_address(host)
        return public

    async def close(self) -> None:
        await self._resolver.close()


def _is_private_literal(host: str) -> bool:
    """Say whether this is an address, not a name, and not one of the public internet."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or _nat64(address) or address
    return address.is_multicast or not address.is_global


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Give the IPv4 address inside 64:ff9b::/96 (RFC 6052), which a translator would connect to."""
    packed = address.packed
    return ipaddress.IPv4Address(packed[12:]) if packed[:12] == b"\x00\x64\xff\x9b" + bytes(8) else None


def _private_address(host: str) -> FetchError:
    return FetchError(
        "private address", f"{host} is not on the public internet; name it in `allow_private` if you mean it"
    )


# -- headers --------------------------------------------------------------------------------------


def _conditions(validators: Validators) -> dict[str, str]:
    headers = {"If-None-Match": validators.etag, "If-Modified-Since": validators.last_modified}
    return {name: value for name, value in headers.items() if value}


def _renewed(validators: Validators, headers: Mapping[str, str]) -> Validators:
    """Give the validators after a 304, which may bring new ones (RFC 9110, section 15.4.5)."""
    return replace(
        validators,
        etag=headers.get("etag", validators.etag),
        last_modified=headers.get("last-modified", validators.last_modified),
    )


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return headers | {name: ", ".join(response.headers.getall(name)) for name in _LISTS if name in headers}


# -- failures -------------------------------------------------------------------------------------


def _status_error(status: int, headers: Mapping[str, str]) -> FetchError:
    # 404: active feeds do vanish for a day, and come back.
    weight = _PASSING_WEIGHT if status in (404, 429) or status >= 500 else 1.0
    retry_after = _retry_after(headers, datetime.now(UTC)) if status in (429, 503) else None
    if headers.get("cf-mitigated") == "challenge":  # Cloudflare's: a person with a browser would get through
        return FetchError("bot wall", f"http {status}", retry_after=retry_after, weight=_PASSING_WEIGHT)
    return FetchError(f"http {status}", retry_after=retry_after, weight=weight)


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read Retry-After as seconds, 0 to a day; None if there is none that can be read."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _DAY)
    until = http_date(value)
    if until is None:
        return None
    # Against the server's own clock where it shows it: ours may differ.
    asked = http_date(headers.get("date", "")) or now
    return min(max((until - asked).total_seconds(), 0.0), _DAY)


def _is_undecodable(error: aiohttp.ClientPayloadError) -> bool:
    return isinstance(error.__cause__, ContentEncodingError)


def _fetch_error(error: Exception) -> FetchError:
    """Name a failure in our words. Never quotes the URL: it may carry a key or a password."""
    match error:
        case TimeoutError():
            return FetchError("timeout", weight=_PASSING_WEIGHT)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return FetchError("tls", str(error), weight=_PASSING_WEIGHT)
        case aiohttp.ClientConnectorDNSError():
            return FetchError("dns", str(error.os_error), weight=_DNS_WEIGHT)
        case aiohttp.ClientProxyConnectionError():
            return FetchError("proxy", str(error.os_error), weight=_PASSING_WEIGHT)
        case aiohttp.ClientHttpProxyError():
            return FetchError("proxy", f"http {error.status}", weight=_PASSING_WEIGHT)
        case aiohttp.ClientConnectorError() if error.os_error.errno == errno.ECONNREFUSED:
            return FetchError("refused", weight=_PASSING_WEIGHT)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | ValueError():
            return FetchError("bad url", "it, or a redirect, cannot be followed")
        case aiohttp.ClientPayloadError() if _is_undecodable(error):
            return FetchError("encoding", "the body is not compressed as its header says")
        case aiohttp.ClientResponseError():
            return FetchError("protocol", error.message)
        case _:
            return FetchError("connection", f"{type(error).__name__}: {error}", weight=_PASSING_WEIGHT)
