"""The canary: the whole way, its end told whatever it is, and no trace left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import make
import pytest
from fakes import FakeEmbedder, FakeSink, background, ordinary
from world import World, at_once, learn

from monitor.canary import Aviary, is_due, tend
from monitor.errors import MaybeAccepted, Misconfigured, NotAccepted
from monitor.learning import Learning
from monitor.match import Matcher
from monitor.model import DeliveryState, Flight, Notice, Topic

CAGE = "C0CANARY"
OPS = "C0OPS"


class Coop(World):
    """A world with a canary in it."""

    def __init__(self, sink: FakeSink | None = None) -> None:
        super().__init__(sink=sink)
        self.learning = Learning(FakeEmbedder(), ordinary, background())  # type: ignore[arg-type]  # as good as the real

    @property
    def aviary(self) -> Aviary:
        return Aviary(
            CAGE, time(6), UTC, OPS, lambda: self.learning, self.store, self.sink, at_once, at_once, at_once, self.clock
        )

    async def tend(self) -> Flight | None:
        return await tend(self.aviary)

    def notices(self) -> list[str]:
        return [m.alert.text for m in self.sink.messages if isinstance(m.alert, Notice) and m.alert.channel == OPS]


def test_canary_goes_the_whole_way_and_arrives() -> None:
    async def run() -> None:
        coop = Coop()
        began = await coop.tend()
        assert began is not None
        assert not began.is_over
        coop.wait(seconds=2)
        await coop.deliver()
        arrived = await coop.tend()

        [sent] = coop.sink.messages
        assert sent.alert.channel == CAGE
        assert sent.message is not None
        assert "The monitor's canary of 2024-10-29 sings" in sent.message.text
        assert str(arrived) == "arrived on 2024-10-29 at 14:30 UTC, after 2 s"

    asyncio.run(run())


def test_canary_leaves_no_trace() -> None:
    async def run() -> None:
        coop = Coop()
        await coop.know()

        def traces() -> tuple[object, ...]:
            store = coop.store
            return store.totals(), store.verdict_counts(), store.outbox_counts(), len(coop.judge.stories)

        before = traces()
        await coop.tend()
        await coop.deliver()
        await coop.tend()

        assert traces() == before
        assert coop.store.told_channels(make.NOW - timedelta(days=1)) == []

    asyncio.run(run())


def test_canary_that_does_not_arrive_is_told_to_ops_once() -> None:
    async def run() -> None:
        coop = Coop(FakeSink(Misconfigured("slack: not_in_channel: the bot is not in the channel; /invite it")))
        await coop.tend()
        await coop.deliver()
        coop.wait(minutes=10)
        assert await coop.tend() == coop.store.flight()
        assert coop.notices() == []
        coop.wait(minutes=1)
        for _ in range(2):
            await coop.tend()
            await coop.deliver()

        [told] = coop.notices()
        assert "the canary to C0CANARY failed on 2024-10-29 at 14:30 UTC: blocked, slack: not_in_channel" in told
        assert coop.store.deliveries(DeliveryState.BLOCKED) == []

    asyncio.run(run())


def test_canary_that_cannot_be_read_back_has_failed() -> None:
    async def run() -> None:
        coop = Coop()
        await coop.tend()
        await coop.deliver()
        coop.sink.unreadable = MaybeAccepted("slack: missing_scope")
        coop.wait(minutes=11)
        flight = await coop.tend()

        assert flight is not None
        assert flight.failed.startswith("sent, and cannot be read back: slack: missing_scope")

    asyncio.run(run())


def test_canary_that_nothing_matches_has_failed_at_once() -> None:
    class Deaf(Learning):
        def matcher(self, topics: Sequence[Topic], known: object = None) -> Matcher:  # noqa: ARG002 - as the real one
            return learn(())

    async def run() -> None:
        coop = Coop()
        coop.learning = Deaf(FakeEmbedder(), ordinary, background())  # type: ignore[arg-type]  # as above
        flight = await coop.tend()

        assert flight is not None
        assert flight.failed.startswith("its topic does not take it")

    asyncio.run(run())


def test_canary_that_was_late_and_arrives_in_time_is_well() -> None:
    async def run() -> None:
        coop = Coop(FakeSink(NotAccepted("slack: cannot be reached")))
        await coop.tend()
        await coop.deliver()
        coop.wait(minutes=5)
        await coop.deliver()
        flight = await coop.tend()

        assert flight is not None
        assert flight.arrived == coop.now

    asyncio.run(run())


YESTERDAY = datetime(2024, 10, 28, 6, 0, tzinfo=UTC)


def flown(began: datetime) -> Flight:
    return Flight("f1", began, began)


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        (None, make.NOW, True),
        (flown(YESTERDAY), datetime(2024, 10, 29, 5, 59, tzinfo=UTC), False),
        (flown(YESTERDAY), datetime(2024, 10, 29, 6, 0, tzinfo=UTC), True),
        (flown(YESTERDAY), datetime(2024, 10, 31, 3, 0, tzinfo=UTC), False),
        (flown(datetime(2024, 10, 29, 6, 0, tzinfo=UTC)), datetime(2024, 10, 29, 23, 0, tzinfo=UTC), False),
        (Flight("f1", YESTERDAY), datetime(2024, 10, 29, 6, 0, tzinfo=UTC), False),  # still under way
    ],
)
def test_canary_is_let_go_once_a_day(last: Flight | None, now: datetime, due: bool) -> None:
    assert is_due(time(6), UTC, last, now) is due


def test_canary_goes_by_the_desks_clock() -> None:
    at_six_in_seoul = datetime(2024, 10, 28, 21, 0, tzinfo=UTC)

    assert is_due(time(6), ZoneInfo("Asia/Seoul"), flown(YESTERDAY), at_six_in_seoul)


def test_canary_is_remembered() -> None:
    coop = Coop()
    flight = Flight("f1", make.NOW, make.NOW + timedelta(seconds=3))
    coop.store.keep_flight(flight)

    assert coop.store.flight() == flight
