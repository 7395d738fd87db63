"""Ask a feed's server for its document, politely. The only home of aiohttp's client side.

Takes a feed and what we remember of it, gives a document or the news that nothing changed. Looks at no content, keeps
no state but open connections, and never reaches into private networks unless told to.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import ipaddress
import socket
import ssl
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from monitor.errors import FetchError
from monitor.model import Document, Feed, NotModified, PollOutcome, Validators

_ACCEPT = "application/rss+xml, application/atom+xml, application/feed+json, application/xml;q=0.9, */*;q=0.5"
#: What a feed is charged for a failure that is as likely ours, or the weather's.
_DNS_WEIGHT = 0.25
_PASSING_WEIGHT = 0.5
_DAY = 86_400.0
#: Some publishers send policy headers beyond aiohttp's 8 KB.
_MAX_HEADER = 32_768


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
    #: connections to one host at once
    per_host: int = 2
    #: hosts, in lower case, that may be in a private network or on this machine
    allow_private: frozenset[str] = frozenset()


class Fetcher:
    """Fetches feeds over one pool of connections: `async with Fetcher(policy) as fetcher`."""

    def __init__(self, policy: FetchPolicy) -> None:
        self._policy = policy
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(policy.per_host))

    async def __aenter__(self) -> Self:
        policy = self._policy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_GuardedResolver(policy.allow_private),
                # The turns below count hosts we ask; this one also counts those we are redirected to.
                limit_per_host=policy.per_host,
                limit=0,
            ),
            # A literal address is never resolved, so the resolver alone would let it pass.
            middlewares=(self._refuse_private_literal,),
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

    async def fetch(self, feed: Feed, validators: Validators) -> Document | NotModified:
        """Get a feed's document, or learn that it is still the one that `validators` stands for.

        Raises:
            FetchError: no document. `cause` is one of `timeout`, `dns`, `refused`, `tls`, `connection`, `encoding`,
                `too large`, `redirects`, `bad url`, `private address` and `http NNN`.
        """
        async with self._turns[_host(feed.url)]:
            try:
                async with asyncio.timeout(self._policy.total_timeout):
                    return await self._get(feed, validators)
            except (OSError, ValueError, aiohttp.ClientError) as error:  # TimeoutError and ssl.SSLError are OSErrors
                raise _fetch_error(error) from error

    async def _get(self, feed: Feed, validators: Validators) -> Document | NotModified:
        # aiohttp refuses the n-th redirect of n.
        redirects = self._policy.max_redirects + 1
        async with self._session.get(feed.url, headers=_conditions(validators), max_redirects=redirects) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            if response.status == 304 and _conditions(validators):
                return NotModified(feed, PollOutcome.NOT_MODIFIED, _renewed(validators, headers))
            if response.status not in (200, 203):
                raise _status_error(response.status, headers)
            body = await self._read(response)
            received = Validators(
                headers.get("etag", ""), headers.get("last-modified", ""), hashlib.sha256(body).hexdigest()
            )
            if received.body_hash == validators.body_hash:
                return NotModified(feed, PollOutcome.SAME_BODY, received)
            return Document(feed, str(response.url), headers, body, received)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(65_536):
            body += chunk
            if len(body) > self._policy.max_bytes:
                raise FetchError("too large", f"more than {self._policy.max_bytes:,} bytes")
        return bytes(body)

    async def _refuse_private_literal(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        host = request.url.host or ""
        if host not in self._policy.allow_private and _is_private_literal(host):
            raise _private_address(host)
        return await handler(request)


# -- private addresses ----------------------------------------------------------------------------


class _GuardedResolver(AbstractResolver):
    """Gives only addresses that anyone could reach. What it gives is what is connected to: no second look-up."""

    def __init__(self, allow_private: frozenset[str]) -> None:
        self._allow_private = allow_private
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        results = await self._resolver.resolve(host, port, family)
        if host in self._allow_private:
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


# -- conditions -----------------------------------------------------------------------------------


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


# -- failures -------------------------------------------------------------------------------------


def _host(url: str) -> str:
    try:
        parsed = URL(url)
        # Reading the port finds one that is out of range.
        if parsed.scheme in ("http", "https") and parsed.host and parsed.port:
            return parsed.host
    except ValueError:
        pass
    raise FetchError("bad url", "neither http:// nor https://, or no host")


def _status_error(status: int, headers: Mapping[str, str]) -> FetchError:
    weight = _PASSING_WEIGHT if status == 429 or status >= 500 else 1.0
    retry_after = _retry_after(headers, datetime.now(UTC)) if status in (429, 503) else None
    return FetchError(f"http {status}", retry_after=retry_after, weight=weight)


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read Retry-After as seconds, 0 to a day; None if there is none that can be read."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _DAY)
    until = _http_date(value)
    if until is None:
        return None
    # Against the server's own clock where it shows it: ours may differ.
    asked = _http_date(headers.get("date", "")) or now
    return min(max((until - asked).total_seconds(), 0.0), _DAY)


def _http_date(value: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _fetch_error(error: Exception) -> FetchError:
    """Name a failure in our words. Never quotes the URL: it may carry a key or a password."""
    match error:
        case TimeoutError():
            return FetchError("timeout", weight=_PASSING_WEIGHT)
        case aiohttp.TooManyRedirects():
            return FetchError("redirects", "too many")
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return FetchError("tls", str(error), weight=_PASSING_WEIGHT)
        case aiohttp.ClientConnectorDNSError():
            return FetchError("dns", str(error.os_error), weight=_DNS_WEIGHT)
        case aiohttp.ClientConnectorError() if error.os_error.errno == errno.ECONNREFUSED:
            return FetchError("refused")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | ValueError():
            return FetchError("bad url", "it, or a redirect, cannot be followed")
        case aiohttp.ClientPayloadError() if "encoding" in str(error):
            return FetchError("encoding", "the body is not compressed as its header says")
        case aiohttp.ClientResponseError():
            return FetchError("connection", error.message)
        case _:
            return FetchError("connection", f"{type(error).__name__}: {error}")
