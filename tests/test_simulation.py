"""A few hundred alerts of bench/delivery_simulation.py, by several seeds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest
from delivery_simulation import Channel, Luck, Result, ours, post_first, record_first, some_alerts

from monitor.model import Alert

ALERTS = 300


def lucky(seed: int, retries: int = 0) -> tuple[list[Alert], Luck, Channel]:
    luck = Luck(random.Random(seed))  # noqa: S311 - chance, and no secret
    return some_alerts(ALERTS, seed), luck, Channel(luck, retries)


@pytest.mark.parametrize("seed", range(1, 5))
def test_outbox_loses_nothing_and_repeats_nothing(seed: int) -> None:
    found = asyncio.run(ours(*lucky(seed)))
    assert (found.lost, found.doubled, found.early) == (0, 0, 0)
    # or there would have been nothing to lose
    assert min(found.crashes, found.outcomes["answer lost, taken late"], found.outcomes["answer lost, not taken"]) > 1


Way = Callable[[Sequence[Alert], Luck, Channel], Result]


@pytest.mark.parametrize(("way", "fault"), [(record_first, "lost"), (post_first, "doubled")])
def test_naive_ways_do(way: Way, fault: str) -> None:
    assert getattr(way(*lucky(1)), fault) > 0


def test_client_that_tries_again_repeats() -> None:
    assert asyncio.run(ours(*lucky(1, retries=1))).doubled > 0
