"""The sweep at work: reads a channel back, holds it against the outbox (`sweep`), mends what can be mended, takes in feedback.

One call for a channel and a page of its history, and one for each thread in which something happened lately.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ParamSpec, Protocol

import structlog

from monitor import hearing
from monitor.errors import SendError
from monitor.model import Expected, FeedbackKind, Posted
from monitor.pipeline import Clock, InThread
from monitor.sweep import Compared, Finding, FindingKind, compare, feedback, threads_to_read

P = ParamSpec("P")

log = structlog.get_logger()

#: So far back a channel is read.
SPAN = timedelta(hours=48)
#: A first look goes back to the oldest thread that is still alive, but never further than this.
LONGEST_SPAN = timedelta(days=14)
#: Threads are read that had a reply since the last sweep began, and so long before: clocks differ.
OVERLAP = timedelta(minutes=10)
#: Slack lets an app read some fifty pages a minute: so often in a row it is waited for.
PATIENCE = 3


class Reader(Protocol):
    """A sink whose channels can be read back."""

    def history(self, channel: str, since: datetime) -> list[Posted]: ...
    def replies(self, channel: str, thread: str, since: datetime) -> list[Posted]: ...
    def delete(self, channel: str, receipt: str) -> None: ...


class Ledger(hearing.Ledger, Protocol):
    """What a sweep asks of the store."""

    def told_channels(self, since: datetime) -> list[str]: ...
    def expected(
        self, channel: str, since: datetime, standing: Collection[str], now: datetime, reply_gap: timedelta
    ) -> list[Expected]: ...
    def adopted(self, delivery_ids: Collection[str]) -> set[str]: ...
    def lively_threads(self, channel: str, since: datetime) -> list[str]: ...
    def oldest_thread(self, channel: str, since: datetime) -> datetime | None: ...
    def adopt(self, posted: Posted, now: datetime) -> bool: ...
    def fact(self, key: str) -> str: ...
    def remember(self, key: str, value: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Auditor:
    """What a sweep needs of the world."""

    reader: Reader
    ledger: Ledger
    in_store: InThread
    in_sender: InThread
    clock: Clock
    #: name of a reaction -> what it says
    words: Mapping[str, FeedbackKind] = field(default_factory=dict)
    reply_gap: timedelta = timedelta(0)
    #: lets so many seconds pass
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Swept:
    """A channel that was swept, or could not be."""

    compared: Compared
    #: findings that were mended
    mended: tuple[Finding, ...] = ()
    #: why the channel, or a part of it, could not be read or mended; empty if all went well
    problem: str = ""


async def sweep(channel: str, edges: Auditor, *, first: bool = False) -> Swept:
    """Read a channel back, mend what can be mended, and take in what people say.

    first: go back to the oldest thread that is alive: the database may be older than what we told.
    """
    began, key = edges.clock(), f"swept {channel}"
    since = began - SPAN
    if first:
        oldest = await edges.in_store(edges.ledger.oldest_thread, channel, began - LONGEST_SPAN)
        since = max(began - LONGEST_SPAN, min(since, oldest or since))
    last = await edges.in_store(edges.ledger.fact, key)
    recent = max(since, datetime.fromisoformat(last) - OVERLAP) if last else since
    swept = await look(channel, edges, since=since, recent=recent, mend=True)
    if not swept.problem:
        await edges.in_store(edges.ledger.remember, key, began.isoformat())
    _say(swept)
    return swept


async def look(channel: str, edges: Auditor, *, since: datetime, recent: datetime, mend: bool) -> Swept:
    """Read a channel from `since` on, and its threads from `recent` on; mend what can be mended only if asked to."""
    began = edges.clock()
    try:
        posted = await _read(edges, edges.reader.history, channel, since)
    except SendError as error:
        return Swept(Compared(channel, 0, 0, ()), problem=f"cannot be read: {error}")
    known = await edges.in_store(edges.ledger.lively_threads, channel, recent)
    wanted = threads_to_read(posted, known, recent)
    replies, read, problem = await _read_threads(channel, wanted, edges, recent)
    posted = [*posted, *replies]
    standing = {one.delivery for one in posted if one.ours and one.delivery}
    compared = compare(
        channel,
        posted,
        # after the channel was read: what was sent meanwhile is in the outbox then, and so never unknown
        await edges.in_store(edges.ledger.expected, channel, since, standing, began, edges.reply_gap),
        known=await edges.in_store(edges.ledger.adopted, standing),
        threads=read,
        since=since,
        recent=recent,
        now=began,
    )
    if not mend:
        return Swept(compared, problem=problem)
    mended, unmended = await _mend(compared, edges)
    await edges.in_store(hearing.heed, feedback(posted, edges.words), edges.ledger, edges.clock())
    return Swept(compared, mended, "; ".join(filter(None, (problem, unmended))))


async def _read_threads(
    channel: str, wanted: Sequence[str], edges: Auditor, since: datetime
) -> tuple[list[Posted], set[str], str]:
    """What stands in the threads, which of them were read, and why not all were."""
    replies: list[Posted] = []
    read: set[str] = set()
    for thread in wanted:
        try:
            found = await _read(edges, edges.reader.replies, channel, thread, since)
        except SendError as error:
            return replies, read, f"{len(wanted) - len(read)} threads cannot be read: {error}"
        read.add(thread)
        replies += [one for one in found if one.thread]
    return replies, read, ""


async def _read(edges: Auditor, read: Callable[P, list[Posted]], *args: P.args, **kwargs: P.kwargs) -> list[Posted]:
    """Read, and where that is too fast for Slack, again; messages go out meanwhile."""
    for _ in range(PATIENCE):
        try:
            return await edges.in_sender(read, *args, **kwargs)
        except SendError as error:
            if error.retry_after is None:
                raise
            await edges.pause(error.retry_after)
    return await edges.in_sender(read, *args, **kwargs)


async def _mend(compared: Compared, edges: Auditor) -> tuple[tuple[Finding, ...], str]:
    """Adopt what is unknown, delete what stands twice; what was mended, and why something was not."""
    mended, problem = [], ""
    for finding in compared.findings:
        one = finding.posted
        if one is None or not finding.mendable:
            continue
        if finding.kind is FindingKind.UNKNOWN and await edges.in_store(edges.ledger.adopt, one, edges.clock()):
            mended.append(finding)
        elif finding.kind is FindingKind.DOUBLED:
            try:
                await edges.in_sender(edges.reader.delete, compared.channel, one.receipt)
            except SendError as error:
                problem = f"{one.receipt} cannot be deleted: {error}"
            else:
                mended.append(finding)
    return tuple(mended), problem


def _say(swept: Swept) -> None:
    """One line a channel; only what was found is worth an operator's eye."""
    compared = swept.compared
    counts = {kind.value.replace(" ", "_"): n for kind in FindingKind if (n := compared.count(kind))}
    say = log.warning if counts or swept.problem else log.debug
    say("sweep", channel=compared.channel, due=compared.due, sent=compared.sent, mended=len(swept.mended), **counts,
        **({"problem": swept.problem} if swept.problem else {}))  # fmt: skip
    for finding in compared.findings:
        log.info(
            "finding", channel=compared.channel, kind=finding.kind.value, id=finding.delivery, because=finding.because
        )
