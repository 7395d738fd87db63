"""What stands in a channel, held against what the outbox says of it: what is lost, doubled, late or unknown to us, and what
people made of what they read. Pure: finds, and mends nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from monitor.model import DeliveryState, Expected, FeedbackKind, Posted

#: A queued delivery that nothing has held for so long should have been sent.
LATE = timedelta(minutes=10)
#: What was posted so shortly before the channel was read may not show yet: nobody calls it lost.
LAG = timedelta(minutes=2)

#: These tell no news, and nothing that came of them is to be remembered.
_OWN_BUSINESS = frozenset({"canary"})

_DUE = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.UNKNOWN, DeliveryState.BLOCKED)


class FindingKind(enum.StrEnum):
    LOST = "lost"  # the outbox has it as sent, and it does not stand there
    DOUBLED = "doubled"  # stands there a second time
    UNKNOWN = "unknown to us"  # stands there, and the outbox lacks it, or has it as not sent
    LATE = "late"  # queued, held by nothing, and not sent


@dataclass(frozen=True, slots=True)
class Finding:
    kind: FindingKind
    delivery: str
    because: str
    #: the message that it is about; None where none stands there
    posted: Posted | None = None
    #: it can be mended: an unknown one is adopted, a double is deleted
    mendable: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of comparing a channel with the outbox."""

    channel: str
    #: deliveries that are to go out, and those that were sent in the time
    due: int
    sent: int
    findings: tuple[Finding, ...]

    def count(self, kind: FindingKind) -> int:
        return sum(finding.kind is kind for finding in self.findings)


def threads_to_read(posted: Iterable[Posted], known: Iterable[str], recent: datetime) -> list[str]:
    """Choose the threads that are worth a call: those with a reply since then, and those that the outbox knows of beside.

    known: threads into which we lately posted.
    """
    lively = [one.receipt for one in posted if one.latest_reply and moment(one.latest_reply) >= recent]
    return list(dict.fromkeys([*lively, *known]))


def compare(
    channel: str,
    posted: Sequence[Posted],
    expected: Sequence[Expected],
    *,
    known: Collection[str] = (),
    threads: Collection[str] = (),
    since: datetime,
    recent: datetime,
    now: datetime,
) -> Compared:
    """Hold what stands in a channel against the outbox.

    posted: what was read. expected: rows of the outbox that changed since then, wait, or stand there. known: deliveries that
    were adopted before, without a row of their own. threads: those that were read, from `recent` on; the channel itself was
    read from `since` on. now: when reading began.
    """
    rows = {row.id: row for row in expected}
    copies: dict[str, list[Posted]] = {}
    for one in sorted(posted, key=lambda one: one.receipt):
        if one.ours and one.delivery and one.kind not in _OWN_BUSINESS:
            others = copies.setdefault(one.delivery, [])
            # what a reply shows in the channel too stands in both, once
            if one.receipt not in {other.receipt for other in others}:
                others.append(one)
    findings = []
    for delivery, standing in copies.items():
        row = rows.get(delivery)
        kept = next((one for one in standing if row and one.receipt == row.receipt), standing[0])
        findings += [_doubled(one, kept) for one in standing if one is not kept]
        findings += _unknown(kept, row, delivery in known)
    read = _Reading(since, recent, frozenset(threads), now)
    # what was adopted stands there under the id that it had then
    receipts = {one.receipt for one in posted} | {row.receipt for row in rows.values() if row.id in copies}
    findings += [_lost(row) for row in rows.values() if row.receipt not in receipts and read.should_show(row)]
    findings += [_late(row, now) for row in rows.values() if row.free_since and now - row.free_since > LATE]
    due = sum(row.state in _DUE for row in rows.values())
    sent = sum(row.state is DeliveryState.SENT and row.sending_at is not None and row.sending_at >= since
               for row in rows.values())  # fmt: skip
    return Compared(channel, due, sent, tuple(findings))


@dataclass(frozen=True, slots=True)
class _Reading:
    """What of a channel was read."""

    since: datetime
    recent: datetime
    threads: frozenset[str]
    began: datetime

    def should_show(self, row: Expected) -> bool:
        """Whether a delivery that stands in the channel would have been read."""
        if row.state is not DeliveryState.SENT or not _is_time(row.receipt):
            return False
        at = moment(row.receipt)
        begin = self.since if not row.thread else self.recent if row.thread in self.threads else self.began
        # rounding: a receipt has more digits than a time
        return begin + timedelta(seconds=1) <= at <= self.began - LAG


def _doubled(one: Posted, kept: Posted) -> Finding:
    because = f"stands at {one.receipt} too, beside {kept.receipt}"
    if one.latest_reply:
        because += "; it has replies, so a person must look"
    return Finding(FindingKind.DOUBLED, one.delivery, because, one, mendable=not one.latest_reply)


def _unknown(one: Posted, row: Expected | None, adopted: bool) -> list[Finding]:
    if row is None and adopted:
        return []
    if row is None:
        because = "the outbox does not know of it"
    elif row.state is DeliveryState.SENT and row.receipt != one.receipt:
        because = f"the outbox has it at {row.receipt or 'no place'}"
    # what is on the wire is about to be settled, and what another message tells is told
    elif row.state in (DeliveryState.SENT, DeliveryState.SENDING, DeliveryState.BATCHED):
        return []
    else:
        because = f"the outbox has it as {row.state}"
    return [Finding(FindingKind.UNKNOWN, one.delivery, because, one, mendable=True)]


def _lost(row: Expected) -> Finding:
    return Finding(FindingKind.LOST, row.id, f"sent, and not at {row.receipt} any more: deleted by a person?")


def _late(row: Expected, now: datetime) -> Finding:
    minutes = int((now - (row.free_since or now)).total_seconds() // 60)
    return Finding(FindingKind.LATE, row.id, f"nothing has held it for {minutes} minutes")


# -- what people made of it -----------------------------------------------------------------------


def feedback(
    posted: Iterable[Posted], words: Mapping[str, FeedbackKind]
) -> dict[str, frozenset[tuple[FeedbackKind, str]]]:
    """Say, for each delivery of ours that was read, who says what of it; nobody, for most.

    words: name of a reaction -> what it says.
    """
    said: dict[str, frozenset[tuple[FeedbackKind, str]]] = {}
    for one in posted:
        if one.ours and one.delivery and one.kind not in _OWN_BUSINESS:
            now = {(words[reaction.name], reaction.user) for reaction in one.reactions if reaction.name in words}
            said[one.delivery] = said.get(one.delivery, frozenset()) | now
    return said


def moment(receipt: str) -> datetime:
    """When a message was posted: Slack names messages by its clock, in seconds."""
    return datetime.fromtimestamp(float(receipt), UTC)


def _is_time(receipt: str) -> bool:
    return receipt.replace(".", "", 1).isdecimal()
