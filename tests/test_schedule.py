from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.schedule import after_failure, after_success

NOW = datetime(2024, 10, 29, 14, 30, tzinfo=UTC)
INTERVAL = timedelta(minutes=10)
CEILING = timedelta(hours=6)
MIDDLE = 0.5  # the draw that moves nothing


def pause(failures: float, retry_after: float | None = None, jitter: float = MIDDLE) -> timedelta:
    again = after_failure(NOW, failures, interval=INTERVAL, ceiling=CEILING, retry_after=retry_after, jitter=jitter)
    return again - NOW


@pytest.mark.parametrize(("jitter", "minutes"), [(0.0, 9), (0.5, 10), (1.0, 11)])
def test_a_success_is_followed_after_an_interval_a_tenth_less_or_more(jitter: float, minutes: int) -> None:
    assert after_success(NOW, interval=INTERVAL, jitter=jitter) == NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("failures", "minutes"), [(0.25, 12.5), (1.0, 20), (1.5, 25), (2.0, 30), (35.0, 360), (36.0, 360), (10_000.0, 360)]
)
def test_each_failure_makes_the_pause_an_interval_longer_up_to_the_ceiling(failures: float, minutes: float) -> None:
    assert pause(failures) == timedelta(minutes=minutes)


def test_jitter_does_not_lift_the_ceiling() -> None:
    assert pause(100.0, jitter=0.99) == CEILING


def test_a_longer_retry_after_is_kept() -> None:
    assert pause(1.0, retry_after=3600, jitter=0.0) == timedelta(hours=1)


def test_a_longer_retry_after_is_kept_beyond_the_ceiling() -> None:
    assert pause(1.0, retry_after=8 * 3600, jitter=0.0) == timedelta(hours=8)


def test_feeds_that_were_told_the_same_come_back_at_different_times() -> None:
    assert pause(1.0, retry_after=3600, jitter=0.5) == timedelta(minutes=63)


def test_a_shorter_retry_after_changes_nothing() -> None:
    assert pause(1.0, retry_after=5) == timedelta(minutes=20)


@pytest.mark.parametrize("seconds", [86_400.0, 1e18])
def test_a_retry_after_silences_no_feed_for_more_than_a_day(seconds: float) -> None:
    assert pause(1.0, retry_after=seconds, jitter=0.9) == timedelta(days=1)


@given(
    failures=st.floats(0, 1e6),
    retry_after=st.none() | st.floats(0, 1e9),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_no_feed_is_ever_given_up(failures: float, retry_after: float | None, jitter: float) -> None:
    assert timedelta(minutes=9) <= pause(failures, retry_after, jitter) <= timedelta(days=1)
