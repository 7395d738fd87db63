"""Send a delivery's message to its channel, look whether one stands there already, and edit one that does.

Every sink has a `name`, `send`, `find` and `edit`. A sink calls once, sorts the failure, and returns: it never tries
again, because only the outbox knows whether a second try would be a second alert.
"""

from __future__ import annotations

import html
import json
import logging
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TextIO
from urllib.error import URLError

import click
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry import RetryHandler
from slack_sdk.web import SlackResponse

from monitor.errors import (
    SECRET,
    MaybeAccepted,
    Misconfigured,
    NotAccepted,
    RootGone,
    SendError,
    Unacceptable,
    Unreadable,
)
from monitor.model import SHORT_ID, Alert, AlertKind, Delivery, Message, Posted, Reaction, Severity

SLACK_URL = "https://slack.com/api/"

#: Marks our messages in a channel. Anyone in the workspace can read metadata: it carries no secret.
EVENT_TYPE = "news_monitor_delivery"

#: Slack's clock names the messages, ours the tries, and ours may be hours ahead, and right again by now: a zone is easily
#: mistaken. A day of a channel is a page or two.
LOOK_BACK = timedelta(days=1)
PAGE = 200
#: So much of what a message says is enough to know a headline in it, whatever stands before.
BEGINNING = 700

#: So many alerts are named in a message's metadata, with their items, and of so many more the items' short ids: Slack takes
#: 8,000 characters of it. What is told beyond that, a backup that is put back does not know, and the next digest repeats.
NAMED, OTHERS = 50, 500

#: Raised before a byte of the request can have left.
NEVER_SENT = (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError)
#: OpenSSL's words for a handshake that failed. Other errors of TLS may come later: these never do.
HANDSHAKE_FAILURES = frozenset(
    {
        "NO_PROTOCOLS_AVAILABLE",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "UNSUPPORTED_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    }
)

RATE_CODES = frozenset({"ratelimited", "rate_limited"})
#: Of the token, or the workspace: no channel would take anything.
TOKEN_CODES = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "missing_scope",
        "ekm_access_denied",
        "team_access_not_granted",
        "not_allowed_token_type",
    }
)
#: Of the channel; also whatever begins with `restricted_action`.
CHANNEL_CODES = frozenset({"channel_not_found", "not_in_channel", "is_archived", "is_inactive", "no_permission"})
#: The message that is replied to, or edited, is not there.
ROOT_CODES = frozenset({"thread_not_found", "cannot_reply_to_message", "message_not_found"})
#: Of a question what stands in a channel: it is not answered, and will not be until a person acts.
UNREADABLE_CODES = CHANNEL_CODES | {"missing_scope"}
#: Also whatever begins with `invalid_metadata_`.
PAYLOAD_CODES = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "metadata_too_large",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
        # of an edit: the message is another's by now, or the workspace lets nobody edit what is so old
        "cant_update_message",
        "edit_window_closed",
    }
)

#: What the app may do, as deploy/slack-app-manifest.yaml asks for it; docs/slack.md says what is lost without each.
SCOPES = ("chat:write", "channels:history", "groups:history", "channels:read", "groups:read", "reactions:read")

CONFIGURATION_CODES = TOKEN_CODES | CHANNEL_CODES
#: What a person can do about it.
REMEDIES = {
    "invalid_auth": "Slack does not know this token; copy the bot token (xoxb-…) from the app's page again",
    "not_authed": "no token was given",
    "account_inactive": "the token belongs to a deleted user or workspace; install the app again",
    "token_revoked": "the token was revoked; install the app again and give the new one",
    "token_expired": "the token has expired; install the app again and give the new one",
    "missing_scope": "the app lacks a scope; add it under OAuth & Permissions, and install the app again",
    "ekm_access_denied": "the workspace's administrators have suspended posting",
    "team_access_not_granted": "the app is not installed in this channel's workspace; install it there",
    "not_allowed_token_type": "this is no bot token; copy the one that begins with xoxb- from the app's page",
    "channel_not_found": "no such channel, or the bot is not in it; give the channel's ID (C…) and /invite the bot",
    "not_in_channel": "the bot is not in the channel; /invite it",
    "is_archived": "the channel is archived; unarchive it, or name another",
    "is_inactive": "the channel is archived; unarchive it, or name another",
    "no_permission": "the bot may not post there; /invite it, or let it post in the channel's settings",
}
#: What is lost without any of these scopes: one is for public channels, the other for private ones.
POST, READ = ("chat:write",), ("channels:history", "groups:history")
LOST = {POST: "nothing can be posted", READ: "no channel can be read back, and a doubtful alert may come twice"}

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
        self._base_url, self._timeout = base_url, timeout
        self.renew(token)

    def renew(self, token: str) -> None:
        """Go on with this token, in the thread that sends. Raises: as making one does."""
        if not re.fullmatch(r"[!-~]+", token.strip()):
            raise Misconfigured("slack: the token is empty, or holds a space or a character that no token has")
        # The library's default handler posts again after a dropped connection, also when Slack took the first one.
        self._writer = _client(token, self._base_url, self._timeout, retry_handlers=[])
        self._reader = _client(token, self._base_url, self._timeout, retry_handlers=None)
        self._identity: frozenset[str] = frozenset()

    def send(self, delivery: Delivery) -> str:
        """Post once; return the message's `ts`.

        Raises:
            NotAccepted, MaybeAccepted, Misconfigured, RootGone, Unacceptable
        """
        payload = _payload(delivery)
        # One article's preview is larger than the alert.
        payload |= {"unfurl_links": False, "unfurl_media": False}
        if delivery.thread:
            payload |= {"thread_ts": delivery.thread, "reply_broadcast": _is_broadcast(delivery)}
        try:
            answer = self._writer.chat_postMessage(**payload)
            receipt = answer.get("ts")
        except Exception as error:  # the post may be out, so whatever it is must not leave unsorted
            raise failure(error) from _cause(error)
        if not isinstance(receipt, str) or not receipt:
            raise MaybeAccepted("slack: ok, but without the message's ts")
        return receipt

    def edit(self, delivery: Delivery) -> None:
        """Replace a root's message by the delivery's; to do so twice is to do it once.

        Raises:
            NotAccepted, MaybeAccepted, Misconfigured, RootGone, Unacceptable
        """
        payload = _payload(delivery)
        try:
            self._writer.chat_update(ts=delivery.thread, **payload)
        except Exception as error:  # as in send
            raise failure(error) from _cause(error)

    def find(self, delivery: Delivery) -> str | None:
        """Return the `ts` of the delivery's message, or None if it is certainly not in its channel or thread.

        Raises:
            MaybeAccepted: it cannot be known, for whatever reason. Never another one: a channel that we may not
                read says nothing about what stands in it.
            Unreadable: such a one, and it will be so until a person acts, or Slack has us wait.
        """
        if delivery.sending_at is None:
            return None
        oldest = f"{(delivery.sending_at - LOOK_BACK).timestamp():.6f}"
        try:
            ours = self._our_ids()
            for message in self._standing(delivery, oldest):
                if _delivery_id(message) == delivery.alert.id and not ours.isdisjoint(_author_ids(message)):
                    return str(message["ts"])
        except Exception as error:  # as in send; not to know is the answer that makes the outbox read again
            raise _unreadable(error) from _cause(error)
        return None

    def history(self, channel: str, since: datetime) -> list[Posted]:
        """Return what stands in a channel from a time on, latest first: not what stands only in threads.

        Raises:
            MaybeAccepted: it cannot be read.
        """
        return self._posted(channel, "", since)

    def replies(self, channel: str, thread: str, since: datetime) -> list[Posted]:
        """Return what stands in a thread from a time on; whether its root is among it depends on Slack.

        Raises:
            MaybeAccepted: it cannot be read.
        """
        try:
            return self._posted(channel, thread, since)
        except MaybeAccepted as error:
            if "thread_not_found" in str(error):  # its root was deleted, and all that stood under it
                return []
            raise

    def _posted(self, channel: str, thread: str, since: datetime) -> list[Posted]:
        try:
            ours = self._our_ids()
            return [
                _posted(channel, message, ours)
                for message in self._messages(channel, thread, f"{since.timestamp():.6f}")
            ]
        except Exception as error:  # as in find
            raise _unreadable(error) from _cause(error)

    def delete(self, channel: str, receipt: str) -> None:
        """Delete a message of ours.

        Raises:
            NotAccepted, MaybeAccepted, Misconfigured
        """
        try:
            self._writer.chat_delete(channel=channel, ts=receipt)
        except Exception as error:  # as in send
            if (
                isinstance(error, SlackApiError) and _code(error.response.data) == "message_not_found"
            ):  # somebody was faster
                return
            raise failure(error) from _cause(error)

    def check(self, channels: list[str]) -> list[str]:
        """Return what would keep us from sending to these channels or reading them back, each with what to do about it;
        empty if nothing would.

        Posts nothing. One problem if the token fails, else one for each scope that is missing, and for each channel.
        """
        try:
            answer = self._reader.auth_test()
        except Exception as error:  # as in send
            return [str(failure(error))]
        granted = _scopes(answer)
        missing = [scopes for scopes in LOST if granted and granted.isdisjoint(scopes)]
        problems = [
            f"slack: the app lacks the scope {' or '.join(scopes)}: {LOST[scopes]}; add it under OAuth & Permissions, "
            "and install the app again"
            for scopes in missing
        ]
        told = {channel: self._channel_problem(channel, answer, readable=READ not in missing) for channel in channels}
        return problems + [f"{channel}: {problem}" for channel, problem in told.items() if problem]

    def _channel_problem(self, channel: str, who: SlackResponse, *, readable: bool) -> str:
        """What is wrong with a channel; empty if nothing, as far as we are told. readable: we may ask what stands in it."""
        name = ""
        try:
            told = self._reader.conversations_info(channel=channel).get("channel") or {}
            name = f"#{told.get('name') or channel}"
            if told.get("is_archived"):
                return f"slack: {name} is archived; unarchive it, or name another"
            if told.get("is_member") is False:
                return f"slack: the bot is not in {name}; type /invite @{who.get('user')} there"
        except Exception as error:  # as in send
            # without channels:read we are told no more than by the history
            if _error_code(error) != "missing_scope":
                return str(failure(error))
        return _problem(partial(self._reader.conversations_history, channel=channel, limit=1)) if readable else ""

    def _our_ids(self) -> frozenset[str]:
        """Return our bot and user id: another monitor with the same rules makes the same delivery ids."""
        if not self._identity:
            answer = self._reader.auth_test()
            self._identity = frozenset(filter(None, (answer.get("bot_id"), answer.get("user_id"))))
        if not self._identity:
            raise ValueError("auth.test does not say who we are")
        return self._identity

    def _standing(self, delivery: Delivery, oldest: str) -> Iterator[Mapping[str, Any]]:
        """What stands where the delivery would: in its thread, or in its channel if there is none.

        A reply whose root was deleted meanwhile Slack may have put in the channel, outside of any thread (slack-go #1571).
        """
        try:
            yield from self._messages(delivery.alert.channel, delivery.thread, oldest)
        except SlackApiError as error:
            if _error_code(error) != "thread_not_found":
                raise
            yield from self._messages(delivery.alert.channel, "", oldest)

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
    if isinstance(error, URLError) and (isinstance(error.reason, NEVER_SENT) or _is_handshake(error.reason)):
        return NotAccepted(f"slack: cannot be reached ({_told(error.reason)})")
    return MaybeAccepted(f"slack: no usable answer ({_told(error)})")


def _unreadable(error: Exception) -> MaybeAccepted:
    """Say why a channel could not be read."""
    code, reason = _error_code(error), failure(error)
    too_often = isinstance(error, SlackApiError) and isinstance(reason, NotAccepted)
    unknown = Unreadable if code in UNREADABLE_CODES or too_often else MaybeAccepted
    return unknown(str(reason), retry_after=reason.retry_after)


def _is_handshake(reason: object) -> bool:
    # one that is not OpenSSL's own has no word of it
    return isinstance(reason, ssl.SSLError) and getattr(reason, "reason", "") in HANDSHAKE_FAILURES


def _refusal(response: SlackResponse) -> SendError:
    status = response.status_code
    answer = response.data if isinstance(response.data, dict) else {}
    code = _code(answer)
    said = f"slack: {_advice(code, answer)}" if code else f"slack: HTTP {status} without Slack's JSON"
    if status >= 500:  # whatever it says: part of the work may be done
        return MaybeAccepted(f"slack: HTTP {status}")
    if status == 429 or code in RATE_CODES:
        return NotAccepted(said, retry_after=_retry_after(response.headers))
    if code in TOKEN_CODES:
        return Misconfigured(said, everywhere=True)
    if code in CHANNEL_CODES or code.startswith("restricted_action"):
        return Misconfigured(said)
    if code in ROOT_CODES:
        return RootGone(said)
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
    # which scope, likewise
    details = details or str(answer.get("needed") or "")
    return ": ".join(filter(None, [code, REMEDIES.get(code, ""), _told(details)]))


def _error_code(error: Exception) -> str:
    answer = error.response.data if isinstance(error, SlackApiError) else None
    return _code(answer) if isinstance(answer, dict) else ""


def _scopes(answer: SlackResponse) -> frozenset[str]:
    """What the app was granted; empty if nobody says."""
    header = next((value for name, value in answer.headers.items() if name.lower() == "x-oauth-scopes"), "")
    return frozenset(filter(None, (scope.strip() for scope in header.split(","))))


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
    return {
        "channel": delivery.alert.channel,
        "text": message.text,
        # with none of them the text is shown
        **({"blocks": list(message.blocks)} if message.blocks else {}),
        "metadata": {"event_type": EVENT_TYPE, "event_payload": _what_it_is(delivery)},
        # A title is no place for @channel or #general.
        "parse": "none",
        "link_names": False,
    }


def _what_it_is(delivery: Delivery) -> dict[str, Any]:
    """What a message says of itself to who reads the channel back: its own id, and what it tells; an edit is its root's."""
    alert = delivery.alert
    if isinstance(alert, Alert) and alert.kind is AlertKind.EDIT:
        alert = replace(alert, kind=AlertKind.ROOT, id=alert.parent)
    told = [alert, *delivery.batch]
    items = list(dict.fromkeys(one.item.id for one in told if isinstance(one, Alert)))
    others = "".join(item[:SHORT_ID] for item in items[NAMED : NAMED + OTHERS])
    return {
        "delivery_id": alert.id,
        "kind": alert.kind.value,
        "tells": [one.id for one in told][:NAMED],
        "items": items[:NAMED],
        # if it was refused, it may be for its length
        **({"others": others} if others and not delivery.rung else {}),
    }


def _is_broadcast(delivery: Delivery) -> bool:
    return isinstance(delivery.alert, Alert) and delivery.alert.broadcast


def _delivery_id(message: Mapping[str, Any]) -> str:
    return str(_told_about(message).get("delivery_id", ""))


def _told_about(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a message says of the delivery that it is; empty if it is none."""
    metadata = message.get("metadata") or {}
    return (metadata.get("event_payload") or {}) if metadata.get("event_type") == EVENT_TYPE else {}


def _posted(channel: str, message: Mapping[str, Any], ours: frozenset[str]) -> Posted:
    about, receipt, thread = _told_about(message), str(message["ts"]), str(message.get("thread_ts") or "")
    return Posted(
        channel=channel,
        receipt=receipt,
        thread="" if thread == receipt else thread,
        ours=not ours.isdisjoint(_author_ids(message)),
        delivery=str(about.get("delivery_id", "")),
        kind=str(about.get("kind", "")),
        tells=tuple(map(str, about.get("tells") or ())),
        items=(*map(str, about.get("items") or ()), *_short_ids(str(about.get("others") or ""))),
        text=html.unescape(str(message.get("text") or ""))[:BEGINNING],
        reactions=tuple(
            Reaction(str(reaction.get("name", "")).partition("::")[0], str(user))
            for reaction in message.get("reactions") or ()
            for user in reaction.get("users") or ()
            if user not in ours
        ),
        latest_reply=str(message.get("latest_reply") or ""),
    )


def _short_ids(others: str) -> list[str]:
    return [others[n : n + SHORT_ID] for n in range(0, len(others), SHORT_ID)]


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

    def edit(self, delivery: Delivery) -> None:
        """Do nothing. A line that was printed cannot be changed, and what an edit sums up stands below it, reply by reply."""

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
        raise Misconfigured(f"cannot open the transcript: {error}", everywhere=True) from error
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
