"""The sinks that `[[sink]]` in monitor.toml names, and the router that gives each delivery to its channel's.

Neither kind can be read back. They tell at least once: what may or may not have been accepted is sent again, to a webhook
under the key by which it knows the first.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import logging
import re
import ssl
import textwrap
from collections.abc import Callable, Mapping
from datetime import datetime
from email.message import Message as Headers
from typing import TYPE_CHECKING, Protocol
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from monitor import __version__
from monitor.errors import Misconfigured, NotAccepted, SendError, Unacceptable
from monitor.model import Delivery
from monitor.payload import payload
from monitor.text import sink_of

if TYPE_CHECKING:
    from apprise import Apprise

#: seconds; of a webhook for each wait on the socket, of Apprise for all of it
TIMEOUT = 10.0
#: seconds; a server that asks for more is asked again all the same
LONGEST_RETRY_AFTER = 3600.0

#: The receiver could not read it, and would not the next time.
_UNREADABLE = frozenset({400, 413, 415, 422})
#: It, or what stands before it, has no time, or has this very delivery in hand.
_PASSING = frozenset({408, 409, 425, 429})

#: Apprise says "no" and not why: after so many tries, which take two minutes, a person should look.
APPRISE_TRIES = 8


class Sink(Protocol):
    name: str

    def send(self, delivery: Delivery) -> str: ...
    def find(self, delivery: Delivery) -> str | None: ...
    def edit(self, delivery: Delivery) -> None: ...


class Router:
    """Gives each delivery to the sink that its channel names, and what names none to the main one: Slack, or the terminal."""

    def __init__(self, main: Sink, named: Mapping[str, Sink]) -> None:
        self.main = main
        self._named = named
        self.name = ", ".join([main.name, *named])

    def send(self, delivery: Delivery) -> str:
        """Send to the channel's sink.

        Raises:
            Misconfigured: there is no such sink, or none any more. Else what that sink raises.
        """
        return self._sink(delivery).send(delivery)

    def find(self, delivery: Delivery) -> str | None:
        return self._sink(delivery).find(delivery)

    def edit(self, delivery: Delivery) -> None:
        self._sink(delivery).edit(delivery)

    def _sink(self, delivery: Delivery) -> Sink:
        name = sink_of(delivery.alert.channel)
        if not name:
            return self.main
        if name not in self._named:
            raise Misconfigured(f"there is no [[sink]] {name} in monitor.toml")
        return self._named[name]


# -- webhook --------------------------------------------------------------------------------------


class WebhookSink:
    """Posts signed JSON, https://www.standardwebhooks.com/. The delivery's id is its idempotency key."""

    def __init__(self, name: str, url: str, secret: str, clock: Callable[[], datetime]) -> None:
        """Prepare; nothing is sent.

        secret: "whsec_" and base64, as `config.sink_secrets` gives it.
        """
        self.name = name
        self._url = url
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._clock = clock
        self._opener = build_opener(_NoRedirects, HTTPSHandler(context=ssl.create_default_context()))

    def send(self, delivery: Delivery) -> str:
        """Post once; return the delivery's id.

        Raises:
            NotAccepted: it may be sent again: where the answer was lost, too, since the receiver knows it by its key.
            Misconfigured, Unacceptable
        """
        body = payload(delivery)
        request = Request(self._url, body, self._headers(delivery.alert.id, body), method="POST")  # noqa: S310 - http or https, by config
        try:
            # the body of the answer is not read: its status says all
            self._opener.open(request, timeout=TIMEOUT).close()
        except HTTPError as error:
            error.close()
            raise self._refusal(error.code, error.headers) from None  # its text may be anything, its address a secret
        except (OSError, http.client.HTTPException) as error:
            raise NotAccepted(f"{self.name}: no usable answer ({_told(error)})") from None
        return delivery.alert.id

    def edit(self, delivery: Delivery) -> None:
        """Do nothing: it would be a second message."""

    def find(self, delivery: Delivery) -> str | None:
        """Raises: NotAccepted, always: a webhook cannot be read back, and may be told again."""
        raise NotAccepted(f"{self.name}: cannot be read back; sent again under the same key {delivery.alert.id}")

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        timestamp = str(int(self._clock().timestamp()))
        return {
            "Content-Type": "application/json",
            "User-Agent": f"news-monitor/{__version__}",
            "Idempotency-Key": key,
            "webhook-id": key,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(self._key, key, timestamp, body),
        }

    def _refusal(self, status: int, headers: Headers) -> SendError:
        said = f"{self.name}: HTTP {status}"
        if status >= 500 or status in _PASSING:
            return NotAccepted(said, retry_after=_retry_after(headers))
        if status in _UNREADABLE:
            return Unacceptable(said)
        if status < 400:
            return Misconfigured(f"{said}: redirects are not followed; give the address that it leads to")
        return Misconfigured(said)


def signature(key: bytes, delivery_id: str, timestamp: str, body: bytes) -> str:
    """Sign as Standard Webhooks 1.0.0 has it, symmetrically.

    timestamp: Unix seconds of this try, in digits.
    """
    signed = b".".join((delivery_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class _NoRedirects(HTTPRedirectHandler):
    """A redirect is an answer like others: what was signed for one place is not for the next."""

    def redirect_request(self, *_: object) -> None:
        return None


def _retry_after(headers: Headers) -> float | None:
    value = headers.get("Retry-After", "")
    return min(float(value), LONGEST_RETRY_AFTER) if re.fullmatch(r"\d{1,9}", value) else None


def _told(error: Exception) -> str:
    """Put an error into words of the system's, or its class's: of any other the address may be a part."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return f"none within {TIMEOUT:.0f} s"
    return (isinstance(reason, OSError) and reason.strerror) or type(reason).__name__


# -- Apprise --------------------------------------------------------------------------------------


class AppriseSink:
    """Tells one address of Apprise's, https://github.com/caronc/apprise: a mail, a chat, a telephone.

    It has no ids, and says only yes or no.
    """

    def __init__(self, name: str, url: str) -> None:
        """Prepare; nothing is sent. Slow: Apprise takes most of a second to load.

        Raises:
            Misconfigured: Apprise knows no such address, or it has several receivers; it is not repeated.
        """
        self.name = name
        self._apprise, receivers = _apprise(url)
        if not receivers:
            raise Misconfigured(f"{name}: not an address that Apprise knows; its documentation lists them")
        if receivers > 1:
            # of a "no" nobody could tell who lacks the message, and the others would have it again and again
            raise Misconfigured(f"{name}: an address of several receivers; give one, such as a group or a mailing list")

    def send(self, delivery: Delivery) -> str:
        """Tell once; return the delivery's id.

        Raises:
            NotAccepted: as far as Apprise knows; it is sent again.
            Misconfigured: so it was for some minutes, and a person should look.
        """
        if delivery.message is None:
            raise ValueError("a delivery is rendered when it is claimed, and sent only after that")
        title, _, body = _harmless(delivery.message.terminal).partition("\n")
        if self._apprise.notify(title=title.strip(), body=textwrap.dedent(body), body_format="text", timeout=TIMEOUT):
            return delivery.alert.id
        if delivery.attempt < APPRISE_TRIES:
            raise NotAccepted(f"{self.name}: Apprise says no, and not why")
        raise Misconfigured(f"{self.name}: Apprise said no {delivery.attempt} times; is its address still good?")

    def edit(self, delivery: Delivery) -> None:
        """Do nothing: it would be a second message."""

    def find(self, delivery: Delivery) -> str | None:
        """Raises: NotAccepted, always: nothing can be read back, and may be told again."""
        raise NotAccepted(
            f"{self.name}: cannot be read back; {delivery.alert.id} is sent again, and may be there twice"
        )


def _apprise(url: str) -> tuple[Apprise, int]:
    """Return what tells an address, and how many receivers it has; none if it is unknown."""
    from apprise import Apprise, AppriseAsset
    from apprise.common import OverflowMode

    # They quote addresses, which are keys: Apprise in every warning, urllib3 in one. All they have to say we know.
    logging.getLogger("apprise").disabled = True
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    asset = AppriseAsset(app_id="news-monitor", app_desc="news-monitor", app_url="", http_redirects=False)
    made = Apprise(asset=asset)
    service = Apprise.instantiate(url, asset=asset)
    if service is None:
        return made, 0
    # what is too long for a service would be refused each time
    service.overflow_mode = OverflowMode.SPLIT
    made.add(service)
    return made, len(service)


#: What a chat may take for a mention, a tag or a link. The first three are everywhere where there are mentions.
_LIVE = str.maketrans({"@": "＠", "<": "‹", ">": "›", "[": "［", "]": "］"})


def _harmless(text: str) -> str:
    """Nobody knows what a service makes of a text: let no title ping a room or fake a link there. Links stay whole."""
    return re.sub(
        r"\S+",
        lambda word: word[0] if re.match(r"https?://", word[0], re.IGNORECASE) else word[0].translate(_LIVE),
        text,
    )
