"""Send a delivery's message to its channel, and look whether one stands there already.

Every sink has a `name`, `send` and `find`. A sink calls once, sorts the failure, and returns: it never tries again,
because only the outbox knows whether a second try would be a second alert.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TextIO
from urllib.error import URLError

import click
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry import RetryHandler
from slack_sdk.web import SlackResponse

from monitor.errors import SECRET, MaybeAccepted, Misconfigured, NotAccepted, SendError, Unacceptable
from monitor.model import Alert, AlertKind, Delivery, Message, Severity

SLACK_URL = "https://slack.com/api/"

#: Marks our messages in a channel. Anyone in the workspace can read metadata: it carries no secret.
EVENT_TYPE = "news_monitor_delivery"

#: Slack's clock names the messages, ours the tries; no honest pair of clocks is further apart.
LOOK_BACK = timedelta(seconds=120)
PAGE = 200

#: Raised before a byte of the request can have left.
NEVER_SENT = (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError)

RATE_CODES = frozenset({"ratelimited", "rate_limited"})
#: Also whatever begins with `restricted_action`.
CONFIGURATION_CODES = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "missing_scope",
        "no_permission",
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "ekm_access_denied",
        "team_access_not_granted",
    }
)
#: Also whatever begins with `invalid_metadata_`.
PAYLOAD_CODES = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
    }
)

#: What the app may do, as deploy/slack-app-manifest.yaml asks for it; docs/slack.md says what is lost without each.
SCOPES = ("chat:write", "channels:history", "groups:history", "channels:read", "groups:read", "reactions:read")

#: What a person can do about it.
REMEDIES = {
    "invalid_auth": "Slack does not know this token; copy the bot token (xoxb-…) from the app's page again",
    "not_authed": "no token was given",
    "account_inactive": "the token belongs to a deleted user or workspace; install the app again",
    "token_revoked": "the token was revoked; install the app again and give the new one",
    "token_expired": "the token has expired; install the app again and give the new one",
    "missing_scope": f"the app lacks a scope; it needs {', '.join(SCOPES)}: add it, and install the app again",
    "channel_not_found": "no such channel, or the bot is not in it; give the channel's ID (C…) and /invite the bot",
    "not_in_channel": "the bot is not in the channel; /invite it",
    "is_archived": "the channel is archived",
}

COLOURS = {Severity.INFO: "blue", Severity.NOTICE: "cyan", Severity.HIGH: "yellow", Severity.CRITICAL: "red"}


# -- Slack -----------------------------------------------------------------------------------------


class SlackSink:
    """Posts to a Slack channel as a bot, and reads the channel back by the delivery's id in the message's metadata."""

    name = "slack"

    def __init__(self, token: str, base_url: str = SLACK_URL, timeout: float = 10.0) -> None:
        """Prepare both clients; nothing is sent.

        timeout: seconds, for each wait on the socket.

        Raises:
            Misconfigured: the token cannot be put into a header (the library's own error would quote it).
        """
        if not re.fullmatch(r"[!-~]+", token.strip()):
            raise Misconfigured("slack: the token is empty, or holds a space or a character that no token has")
        # The library's default handler posts again after a dropped connection, also when Slack took the first one.
        self._writer = _client(token, base_url, timeout, retry_handlers=[])
        self._reader = _client(token, base_url, timeout, retry_handlers=None)
        self._identity: frozenset[str] = frozenset()

    def send(self, delivery: Delivery) -> str:
        """Post once; return the message's `ts`.

        Raises:
            NotAccepted, MaybeAccepted, Misconfigured, Unacceptable
        """
        payload = _payload(delivery)
        try:
            answer = self._writer.chat_postMessage(**payload)
            receipt = answer.get("ts")
        except Exception as error:  # the post may be out, so whatever it is must not leave unsorted
            raise failure(error) from _cause(error)
        if not isinstance(receipt, str) or not receipt:
            raise MaybeAccepted("slack: ok, but without the message's ts")
        return receipt

    def find(self, delivery: Delivery) -> str | None:
        """Return the `ts` of the delivery's message, or None if it is certainly not in its channel or thread.

        Raises:
            MaybeAccepted: it cannot be known, for whatever reason. Never another one: a channel that we may not
                read says nothing about what stands in it.
        """
        if delivery.sending_at is None:
            return None
        oldest = f"{(delivery.sending_at - LOOK_BACK).timestamp():.6f}"
        try:
            ours = self._our_ids()
            for message in self._messages(delivery.alert.channel, delivery.thread, oldest):
                if _delivery_id(message) == delivery.alert.id and not ours.isdisjoint(_author_ids(message)):
                    return str(message["ts"])
        except Exception as error:  # as in send; not to know is the answer that makes the outbox read again
            reason = failure(error)
            unknown = MaybeAccepted(str(reason))
            unknown.retry_after = reason.retry_after
            raise unknown from _cause(error)
        return None

    def check(self, channels: list[str]) -> list[str]:
        """Return what would keep us from sending to these channels or reading them back; empty if nothing would.

        Posts nothing. One problem if the token fails, else one for each channel that does.
        """
        problem = _problem(self._reader.auth_test)
        if problem:
            return [problem]
        probe = partial(self._reader.conversations_history, limit=1)
        problems = {channel: _problem(partial(probe, channel=channel)) for channel in channels}
        return [f"{channel}: {problem}" for channel, problem in problems.items() if problem]

    def _our_ids(self) -> frozenset[str]:
        """Return our bot and user id: another monitor with the same rules makes the same delivery ids."""
        if not self._identity:
            answer = self._reader.auth_test()
            self._identity = frozenset(filter(None, (answer.get("bot_id"), answer.get("user_id"))))
        if not self._identity:
            raise ValueError("auth.test does not say who we are")
        return self._identity

    def _messages(self, channel: str, thread: str, oldest: str) -> Iterator[Mapping[str, Any]]:
        cursor = None
        while True:
            page = self._page(channel, thread, oldest=oldest, cursor=cursor)
            yield from page["messages"]
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor and page.get("has_more"):
                raise ValueError("there are more messages, and no cursor to them")
            if not cursor:
                return

    def _page(self, channel: str, thread: str, **options: Any) -> SlackResponse:
        # Without include_all_metadata Slack leaves out event_payload; nothing is ever found (python-slack-sdk #1501).
        options |= {"channel": channel, "inclusive": True, "include_all_metadata": True, "limit": PAGE}
        if thread:
            return self._reader.conversations_replies(ts=thread, **options)
        return self._reader.conversations_history(**options)


def failure(error: Exception) -> SendError:
    """Say what an exception of slack_sdk means for the message that was being posted.

    What is not known to be a refusal may be an acceptance: the outbox reads back before it sends again. The result
    holds no secret and nothing of the answer's body but Slack's own code and advice.
    """
    if isinstance(error, SlackApiError):
        return _refusal(error.response)
    if isinstance(error, URLError) and isinstance(error.reason, NEVER_SENT):
        return NotAccepted(f"slack: cannot be reached ({_told(error.reason)})")
    return MaybeAccepted(f"slack: no usable answer ({_told(error)})")


def _refusal(response: SlackResponse) -> SendError:
    status = response.status_code
    answer = response.data if isinstance(response.data, dict) else {}
    code = _code(answer)
    said = f"slack: {_advice(code, answer)}" if code else f"slack: HTTP {status} without Slack's JSON"
    if status >= 500:  # whatever it says: part of the work may be done
        return MaybeAccepted(f"slack: HTTP {status}")
    if status == 429 or code in RATE_CODES:
        return NotAccepted(said, retry_after=_retry_after(response.headers))
    if code in CONFIGURATION_CODES or code.startswith("restricted_action"):
        return Misconfigured(said)
    if code in PAYLOAD_CODES or code.startswith("invalid_metadata_"):
        return Unacceptable(said)
    return MaybeAccepted(said)


def _code(answer: Mapping[str, Any]) -> str:
    """Return Slack's error code; empty for the library's own text in its place, which quotes a body that is no JSON."""
    code = answer.get("error")
    return code if isinstance(code, str) and re.fullmatch(r"[a-z0-9_]{1,80}", code) else ""


def _advice(code: str, answer: Mapping[str, Any]) -> str:
    metadata = answer.get("response_metadata")
    # Which block is invalid is said here and nowhere else.
    messages = metadata.get("messages") if isinstance(metadata, dict) else None
    details = "; ".join(map(str, messages)) if isinstance(messages, list) else ""
    return ": ".join(filter(None, [code, REMEDIES.get(code, ""), _told(details)]))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return float(value) if re.fullmatch(r"\d{1,6}", value) else None


def _told(error: object) -> str:
    """Put an error into a few words that hold no token."""
    words = str(error) if str(error) or not isinstance(error, Exception) else type(error).__name__
    return SECRET.sub("…", words)[:300]


def _cause(error: Exception) -> Exception | None:
    """Return what to raise `from`: not a SlackApiError: its text is the whole body, its request has our token."""
    return None if isinstance(error, SlackApiError) else error


def _problem(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception as error:  # as in send
        return str(failure(error))
    return ""


def _payload(delivery: Delivery) -> dict[str, Any]:
    message = _message(delivery)
    thread = {"thread_ts": delivery.thread, "reply_broadcast": _is_broadcast(delivery)} if delivery.thread else {}
    return {
        "channel": delivery.alert.channel,
        "text": message.text,
        "blocks": list(message.blocks),
        "metadata": {"event_type": EVENT_TYPE, "event_payload": {"delivery_id": delivery.alert.id}},
        # A title is no place for @channel or #general; and one article's preview is larger than the alert.
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
        **thread,
    }


def _is_broadcast(delivery: Delivery) -> bool:
    return isinstance(delivery.alert, Alert) and delivery.alert.broadcast


def _delivery_id(message: Mapping[str, Any]) -> str:
    metadata = message.get("metadata") or {}
    if metadata.get("event_type") != EVENT_TYPE:
        return ""
    return str((metadata.get("event_payload") or {}).get("delivery_id", ""))


def _author_ids(message: Mapping[str, Any]) -> list[Any]:
    return [message.get("bot_id"), message.get("user")]


def _client(token: str, base_url: str, timeout: float, retry_handlers: list[RetryHandler] | None) -> WebClient:
    return WebClient(
        token=token,
        base_url=base_url,
        timeout=timeout,  # type: ignore[arg-type]  # the library says int and hands it to urllib, which takes a float
        retry_handlers=retry_handlers,
        # Outside the tree of loggers, so that no configuration makes it speak: at DEBUG it quotes messages, at ERROR
        # the answers' bodies, and all it has to say is in what we raise.
        logger=logging.Logger("slack_sdk, silent", level=logging.CRITICAL),
    )


# -- terminal --------------------------------------------------------------------------------------


class TerminalSink:
    """Shows alerts on a stream. The transcript file is the channel of record, the screen only its view.

    So a killed process neither repeats an alert nor loses one: what stands in the transcript is delivered.
    """

    name = "terminal"

    def __init__(self, stream: TextIO, transcript: Path, colour: bool) -> None:
        self._stream = stream
        self._transcript = transcript
        self._colour = colour

    def send(self, delivery: Delivery) -> str:
        """Append to the transcript, then show; return the alert's id.

        Raises:
            NotAccepted: the transcript took nothing, or not all of it.
            MaybeAccepted: it took all, but the disk does not confirm it.
            Misconfigured: the transcript cannot be opened for writing.
        """
        message = _message(delivery)
        record = {"id": delivery.alert.id, "channel": delivery.alert.channel, "text": message.terminal}
        _append(self._transcript, json.dumps(record, ensure_ascii=False))
        alert = delivery.alert
        severity = alert.severity if isinstance(alert, Alert) else Severity.INFO
        self._show(_painted(message, severity) if self._colour else message.terminal, delivery)
        return delivery.alert.id

    def find(self, delivery: Delivery) -> str | None:
        """Return the alert's id if the transcript has it whole, else None.

        Raises:
            MaybeAccepted: the transcript cannot be read.
        """
        try:
            with self._transcript.open("rb") as lines:
                found = any(_recorded_id(line) == delivery.alert.id for line in lines)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MaybeAccepted(f"cannot read the transcript: {error}") from error
        return delivery.alert.id if found else None

    def _show(self, text: str, delivery: Delivery) -> None:
        apart = "" if delivery.alert.kind is AlertKind.REPLY else "\n"
        encoding = self._stream.encoding or "utf-8"
        shown = f"{apart}{text}\n".encode(encoding, errors="replace").decode(encoding)
        try:
            self._stream.write(shown)
            self._stream.flush()
        except (OSError, ValueError):
            # The reader went away (`monitor demo | head`) or the stream is closed. The alert stands in the transcript:
            # to fail now would send it again.
            return


def _append(path: Path, line: str) -> None:
    try:
        new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError as error:
        raise Misconfigured(f"cannot open the transcript: {error}") from error
    try:
        _write(descriptor, line)
        _sync(descriptor, path.parent if new else None)
    finally:
        os.close(descriptor)


def _write(descriptor: int, line: str) -> None:
    """Write a line in one piece or not at all; on a line of its own, whatever a kill in mid-write has left."""
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        record = (b"\n" if torn else b"") + line.encode() + b"\n"
        if os.write(descriptor, record) < len(record):
            os.ftruncate(descriptor, size)
            raise NotAccepted("cannot write the transcript: the disk is full")
    except OSError as error:
        raise NotAccepted(f"cannot write the transcript: {error}") from error


def _sync(descriptor: int, new_in: Path | None) -> None:
    """Make the content last, and the name of a new file in its folder too."""
    try:
        os.fsync(descriptor)
        if new_in is not None:
            folder = os.open(new_in, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise MaybeAccepted(f"the transcript may not be on the disk: {error}") from error


def _recorded_id(line: bytes) -> str:
    """Return a transcript line's alert id; empty for a torn line."""
    try:
        record = json.loads(line)
    except ValueError:
        return ""
    return str(record.get("id", "")) if isinstance(record, dict) else ""


def _painted(message: Message, severity: Severity) -> str:
    first, newline, rest = message.terminal.partition("\n")
    return click.style(first, fg=COLOURS[severity], bold=True) + newline + rest


def _message(delivery: Delivery) -> Message:
    if delivery.message is None:
        raise ValueError("a delivery is rendered when it is claimed, and sent only after that")
    return delivery.message
