"""What a command does to channels beside a monitor that may be at work: an audit, a test message."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import ParamSpec, TextIO, TypeVar

from monitor.app import open_sink, slack_sink
from monitor.audit import Auditor, Swept, look
from monitor.config import Config, slack_token
from monitor.database import Lock
from monitor.errors import BusyError, Problem, SendError
from monitor.learning import now
from monitor.model import Delivery, DeliveryState, Notice
from monitor.pipeline import Clock, Courier, Sink, deliver_this
from monitor.store import Store
from monitor.text import sink_of

P = ParamSpec("P")
T = TypeVar("T")

#: A monitor at work sends a test within a second or two, unless its channel waits.
TEST_PATIENCE = timedelta(minutes=1)


async def audit_channels(
    config: Config, env: Mapping[str, str], span: timedelta, channel: str, *, repair: bool, clock: Clock = now
) -> list[Swept] | None:
    """Compare channels with the outbox, beside a monitor that may be at work; None if there is no Slack.

    channel: empty for all that were told of anything in that time, or are to be.

    Raises: ConfigError, StateError.
    """
    token = slack_token(config, env)
    if token is None:
        return None
    with contextlib.closing(Store.open(config.state)) as store:
        sink, since = slack_sink(config, token.get_secret_value()), clock() - span
        auditor = Auditor(sink, store, _here, _here, clock, config.feedback.words, config.alerts.reply_gap)
        channels = [channel] if channel else [one for one in store.told_channels(since) if not sink_of(one)]
        return [await look(one, auditor, since=since, recent=since, mend=repair) for one in channels]


async def try_channel(
    config: Config,
    env: Mapping[str, str],
    channel: str,
    stream: TextIO,
    pause: Callable[[], Awaitable[None]],
    clock: Clock = now,
) -> list[Problem]:
    """Send one message, marked as a test, the way of every alert, and read it back: what failed, and how to mend it.

    A monitor that is at work sends it itself. pause: between two looks at whether it has.

    Raises: ConfigError, StateError.
    """
    with contextlib.closing(Store.open(config.state)) as store:
        sink, settle, _ = open_sink(config, env, stream, False, [], clock)
        notice = Notice(str(uuid.uuid4()), channel, "a test: whoever reads this gets alerts here", clock())
        store.queue(notice, clock())
        try:
            with Lock(config.state):
                courier = Courier(sink, store, _here, _here, clock, settle)
                delivery = await deliver_this(notice.id, courier)
        except BusyError:
            delivery = await _wait_for(notice.id, store, pause, clock)
        problems = _what_failed(delivery, sink)
        if delivery and delivery.state is not DeliveryState.SENT:
            store.withdraw(notice.id, clock())
        return [Problem(channel, None, problem) for problem in problems]


async def _wait_for(
    delivery_id: str, store: Store, pause: Callable[[], Awaitable[None]], clock: Clock
) -> Delivery | None:
    """Wait until the monitor at work has tried a delivery, for a minute."""
    end = clock() + TEST_PATIENCE
    delivery = store.delivery(delivery_id)
    while (
        delivery
        and delivery.state in (DeliveryState.QUEUED, DeliveryState.SENDING)
        and not delivery.error
        and clock() < end
    ):
        await pause()
        delivery = store.delivery(delivery_id)
    return delivery


def _what_failed(delivery: Delivery | None, sink: Sink) -> list[str]:
    if delivery is None:
        return ["the message is not in the outbox any more: a bug"]
    if delivery.state is DeliveryState.QUEUED and not delivery.error:
        return ["the monitor at work has not tried to send it for a minute: does its channel wait? See monitor status"]
    if delivery.state is not DeliveryState.SENT:
        return [f"not posted ({delivery.state}): {delivery.error}"]
    if sink_of(delivery.alert.channel):
        return []  # accepted, and nothing there can be read back
    try:
        found = sink.find(delivery)
    except SendError as error:
        return [f"posted, but cannot be read back, so that a lost answer stays in doubt: {error}"]
    return [] if found else ["posted, but it does not show when the channel is read back: look there, then try again"]


async def _here(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Stands for the threads of a monitor at work."""
    return function(*args, **kwargs)
