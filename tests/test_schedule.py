from datetime import timedelta
from random import Random

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from make import NOW

from monitor.model import Hints, Rhythm, Severity
from monitor.schedule import (
    DAY,
    IMPORTANT_FOR,
    LONG_DEATH,
    REMEMBERED,
    Pace,
    after_failure,
    after_success,
    asked_pause,
    is_dead,
    learn_rhythm,
    spread_out,
    usual_pause,
)

SECOND, MINUTE, HOUR, WEEK = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "weeks"))
PACE = Pace(interval=10 * MINUTE, floor=5 * MINUTE, ceiling=6 * HOUR)
MIDDLE = 0.5  # the draw that moves nothing
ALL_HOURS, ALL_DAYS = frozenset(range(24)), frozenset(range(7))

jitters = st.floats(0, 1, exclude_max=True)
#: In one draw, where `st.timedeltas` takes three: of most laws here the draws are the cost.
long_ago = st.integers(0, timedelta(days=400) // timedelta(microseconds=1)).map(lambda n: timedelta(microseconds=n))
ages = st.none() | long_ago
severities = st.sampled_from(list(Severity))


@st.composite
def paces(draw: st.DrawFn) -> Pace:
    floor, interval, ceiling = sorted(draw(st.lists(st.timedeltas(SECOND, DAY), min_size=3, max_size=3)))
    return Pace(interval, floor, ceiling)


@st.composite
def rhythms(draw: st.DrawFn) -> Rhythm:
    silent, important = draw(ages), draw(ages)
    return Rhythm(
        gap=draw(ages),
        last_new=None if silent is None else NOW - silent,
        severity=None if important is None else draw(severities),
        severity_at=None if important is None else NOW - important,
    )


def hours_of(bits: int) -> frozenset[int]:
    return frozenset(hour for hour in range(24) if bits >> hour & 1)


hints_of_any_kind = st.builds(
    Hints,
    period=st.none() | st.timedeltas(),
    skip_hours=st.integers(0, 2**24 - 1).map(hours_of) | st.just(ALL_HOURS),
    skip_days=st.frozensets(st.integers(0, 6)) | st.just(ALL_DAYS),
)


def next_pause(
    usual: timedelta,
    *,
    asked: timedelta | None = None,
    hints: Hints | None = None,
    pace: Pace = PACE,
    jitter: float = MIDDLE,
) -> timedelta:
    return after_success(NOW, usual=usual, asked=asked, hints=hints or Hints(), pace=pace, jitter=jitter) - NOW


# -- the usual pause ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gap", "pause"),
    [
        pytest.param(None, 10 * MINUTE, id="nothing is known: the configured interval"),
        pytest.param(HOUR, 30 * MINUTE, id="half the usual gap"),
        pytest.param(2 * SECOND, 5 * MINUTE, id="a burst: the floor"),
        pytest.param(9 * DAY, 6 * HOUR, id="a quarterly: the ceiling"),
    ],
)
def test_a_feed_is_asked_twice_for_each_item_between_floor_and_ceiling(gap: timedelta | None, pause: timedelta) -> None:
    assert usual_pause(Rhythm(gap=gap, last_new=NOW - HOUR), PACE, NOW) == pause


@pytest.mark.parametrize(
    ("silent", "pause"),
    [
        (WEEK - SECOND, 10 * MINUTE),
        (WEEK, 90 * MINUTE),
        (2 * WEEK - SECOND, 90 * MINUTE),
        (2 * WEEK, 3 * HOUR),
        (4 * WEEK - SECOND, 3 * HOUR),
        (4 * WEEK, 6 * HOUR),
        (400 * WEEK, 6 * HOUR),
    ],
)
def test_silence_slows_a_feed_down_in_steps(silent: timedelta, pause: timedelta) -> None:
    assert usual_pause(Rhythm(last_new=NOW - silent), PACE, NOW) == pause


def test_silence_speeds_no_feed_up() -> None:
    assert usual_pause(Rhythm(gap=8 * HOUR, last_new=NOW - WEEK), PACE, NOW) == 4 * HOUR


@pytest.mark.parametrize(
    ("severity", "since", "pause"),
    [
        (Severity.CRITICAL, DAY, 10 * MINUTE),
        (Severity.HIGH, DAY, 10 * MINUTE),
        (Severity.NOTICE, DAY, 30 * MINUTE),
        (Severity.INFO, DAY, 30 * MINUTE),
        (Severity.CRITICAL, IMPORTANT_FOR - SECOND, 10 * MINUTE),
        (Severity.CRITICAL, IMPORTANT_FOR, 6 * HOUR),
    ],
)
def test_a_feed_that_matters_is_asked_often_for_a_month_though_it_is_slow(
    severity: Severity, since: timedelta, pause: timedelta
) -> None:
    rhythm = Rhythm(gap=30 * DAY, last_new=NOW - 5 * WEEK, severity=severity, severity_at=NOW - since)
    assert usual_pause(rhythm, PACE, NOW) == pause


def test_importance_slows_no_feed_down() -> None:
    rhythm = Rhythm(gap=12 * MINUTE, last_new=NOW, severity=Severity.INFO, severity_at=NOW)
    assert usual_pause(rhythm, PACE, NOW) == 6 * MINUTE


@given(rhythm=rhythms(), pace=paces())
def test_the_usual_pause_lies_between_floor_and_ceiling(rhythm: Rhythm, pace: Pace) -> None:
    assert pace.floor <= usual_pause(rhythm, pace, NOW) <= pace.ceiling


@given(rhythm=rhythms(), pace=paces(), severity=severities)
def test_what_matters_now_is_never_asked_less_often(rhythm: Rhythm, pace: Pace, severity: Severity) -> None:
    plain = Rhythm(gap=rhythm.gap, last_new=rhythm.last_new)
    important = Rhythm(gap=rhythm.gap, last_new=rhythm.last_new, severity=severity, severity_at=NOW)
    assert usual_pause(important, pace, NOW) <= usual_pause(plain, pace, NOW)


# -- after a success ------------------------------------------------------------------------------


@pytest.mark.parametrize(("jitter", "minutes"), [(0.0, 9), (0.5, 10), (1.0, 11)])
def test_a_pause_is_a_tenth_less_or_more(jitter: float, minutes: int) -> None:
    assert next_pause(10 * MINUTE, jitter=jitter) == minutes * MINUTE


@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        pytest.param(None, 10 * MINUTE, id="nothing"),
        pytest.param(SECOND, 10 * MINUTE, id="ttl of a second: shortens nothing"),
        pytest.param(HOUR, HOUR, id="an hour"),
        pytest.param(30 * DAY, 6 * HOUR, id="a month: the ceiling"),
        pytest.param(timedelta.max, 6 * HOUR, id="for ever: the ceiling"),
    ],
)
def test_what_a_server_asks_for_lengthens_the_pause_up_to_the_ceiling(
    asked: timedelta | None, pause: timedelta
) -> None:
    assert next_pause(10 * MINUTE, asked=asked) == pause


@pytest.mark.parametrize(
    ("hours", "days", "pause"),
    [
        # NOW is Tuesday, 14:30, and the pause an hour
        pytest.param({3, 4}, {5, 6}, HOUR, id="rests at another time"),
        pytest.param({15}, set(), 90 * MINUTE, id="moved behind the hour"),
        pytest.param({15, 16, 17}, set(), 3.5 * HOUR, id="moved behind three hours"),
        pytest.param(set(), {1}, 6 * HOUR, id="a day longer than the ceiling"),
        pytest.param(ALL_HOURS, set(), 6 * HOUR, id="every hour"),
        pytest.param(set(), ALL_DAYS, 6 * HOUR, id="every day"),
        pytest.param(ALL_HOURS, ALL_DAYS, 6 * HOUR, id="always"),
    ],
)
def test_a_publishers_rest_is_kept_within_the_ceiling(hours: set[int], days: set[int], pause: timedelta) -> None:
    hints = Hints(skip_hours=frozenset(hours), skip_days=frozenset(days))
    assert next_pause(HOUR, hints=hints) == pause


def test_feeds_that_rest_at_the_same_time_do_not_all_come_back_at_the_full_hour() -> None:
    hints = Hints(skip_hours=frozenset({15}))
    pauses = [next_pause(HOUR, hints=hints, jitter=jitter) for jitter in (0.3, 0.5, 0.7)]
    assert len(set(pauses)) == 3


@given(rhythm=rhythms(), pace=paces(), asked=st.none() | st.timedeltas(SECOND), hints=hints_of_any_kind, jitter=jitters)
@example(Rhythm(), PACE, timedelta.max, Hints(skip_hours=ALL_HOURS, skip_days=ALL_DAYS), 0.999)
def test_no_feed_is_hammered_and_none_forgotten(
    rhythm: Rhythm, pace: Pace, asked: timedelta | None, hints: Hints, jitter: float
) -> None:
    pause = next_pause(usual_pause(rhythm, pace, NOW), asked=asked, hints=hints, pace=pace, jitter=jitter)
    assert 0.9 * pace.floor <= pause <= pace.ceiling


@given(rhythm=rhythms(), pace=paces(), asked=st.none() | st.timedeltas(SECOND), hints=hints_of_any_kind, jitter=jitters)
def test_no_wish_of_a_server_shortens_a_pause(
    rhythm: Rhythm, pace: Pace, asked: timedelta | None, hints: Hints, jitter: float
) -> None:
    usual = usual_pause(rhythm, pace, NOW)
    alone = next_pause(usual, pace=pace, jitter=jitter)
    assert next_pause(usual, asked=asked, hints=hints, pace=pace, jitter=jitter) >= alone


#: a period beyond the ceiling, and rests without an end, would leave the law nothing to say
hints_that_leave_time = st.builds(
    Hints,
    period=st.none() | st.timedeltas(SECOND, 8 * HOUR),
    skip_hours=st.integers(0, 2**24 - 1).map(hours_of),
    skip_days=st.frozensets(st.integers(0, 6)),
)


@given(hints=hints_that_leave_time, jitter=jitters)
def test_a_poll_falls_in_a_rest_only_at_the_ceiling(hints: Hints, jitter: float) -> None:
    pause = next_pause(HOUR, hints=hints, jitter=jitter)
    assume(pause < PACE.ceiling)
    when = NOW + pause
    assert when.hour not in hints.skip_hours
    assert when.weekday() not in hints.skip_days


# -- what a server asks for -----------------------------------------------------------------------

DATE = "Tue, 29 Oct 2024 14:30:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"cache-control": "max-age=600"}, 600),
        ({"cache-control": "public, MAX-AGE = 600, must-revalidate"}, 600),
        ({"cache-control": 'max-age="600"'}, 600),
        ({"cache-control": "s-maxage=900"}, None),
        ({"cache-control": "max-age=600", "age": "550"}, 50),
        ({"cache-control": "max-age=600", "age": "601"}, None),
        ({"cache-control": "max-age=600", "age": "-5"}, 600),
        ({"cache-control": "max-age=600", "age": "٥"}, 600),
        ({"cache-control": "max-age=0"}, None),
        ({"cache-control": "max-age=-1"}, None),
        ({"cache-control": "max-age="}, None),
        ({"cache-control": "no-cache, max-age=600"}, None),
        ({"cache-control": "no-store"}, None),
        ({"cache-control": "no-cache", "date": DATE, "expires": "Tue, 29 Oct 2024 15:30:00 GMT"}, None),
        ({"cache-control": "max-age=60", "date": DATE, "expires": "Tue, 29 Oct 2024 15:30:00 GMT"}, 60),
        ({"date": DATE, "expires": "Tue, 29 Oct 2024 15:30:00 GMT"}, 3600),
        ({"date": DATE, "expires": "Tue, 29 Oct 2024 16:30:00 +0100"}, 3600),
        ({"date": DATE, "expires": "Thu, 19 Nov 1981 08:52:00 GMT"}, None),
        ({"date": DATE, "expires": DATE}, None),
        ({"date": DATE, "expires": "0"}, None),
        ({"date": DATE, "expires": "-1"}, None),
        ({"date": DATE, "expires": ""}, None),
        ({"date": DATE, "expires": "never"}, None),
        ({"date": DATE, "expires": "Tue, 29 Oct 2024 99:99:99 GMT"}, None),
        ({"date": DATE, "expires": "Tue, 29 Oct 99999 15:30:00 GMT"}, None),
        ({"date": DATE, "expires": "Tue, 29 Oct 2024 15:30 " + "9" * 40}, None),
        ({"date": "today", "expires": "Tue, 29 Oct 2024 15:30:00 GMT"}, None),
        ({"expires": "Tue, 29 Oct 2024 15:30:00 GMT"}, None),
        # without a zone: HTTP knows no other than GMT
        ({"date": DATE, "expires": "Tue, 29 Oct 2024 15:30:00 -0000"}, 3600),
        ({"date": DATE, "expires": "Tue, 29 Oct 2024 15:30:00"}, 3600),
        ({"date": "Tue, 29 Oct 2024 14:30:00", "expires": "Tue, 29 Oct 2024 15:30:00 GMT"}, 3600),
    ],
)
def test_an_answer_stays_fresh_for_so_long(headers: dict[str, str], seconds: int | None) -> None:
    assert asked_pause(headers, Hints()) == (None if seconds is None else seconds * SECOND)


def test_the_longer_of_document_and_headers_holds() -> None:
    assert asked_pause({"cache-control": "max-age=600"}, Hints(period=HOUR)) == HOUR
    assert asked_pause({"cache-control": "max-age=7200"}, Hints(period=HOUR)) == 2 * HOUR
    assert asked_pause({"cache-control": "no-cache"}, Hints(period=HOUR)) == HOUR


@pytest.mark.parametrize("period", [timedelta(0), -HOUR])
def test_a_period_of_nothing_asks_for_nothing(period: timedelta) -> None:
    assert asked_pause({}, Hints(period=period)) is None


def test_a_freshness_of_centuries_can_be_scheduled() -> None:
    asked = asked_pause({"cache-control": "max-age=" + "9" * 400}, Hints())
    assert next_pause(10 * MINUTE, asked=asked) == PACE.ceiling


clock_like = st.from_regex(
    r"\w{3}, \d{1,2} Oct \d{1,5} \d{1,2}:\d{1,2}(:\d{1,2})? ([-+]\d{1,5}|GMT|-0000|)", fullmatch=True
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "cache-control": st.text() | st.integers().map("max-age={}".format),
            "age": st.text() | st.integers().map(str),
            "expires": st.text() | clock_like,
            "date": st.text() | clock_like,
        },
    )
)
def test_no_header_breaks_a_poll(headers: dict[str, str]) -> None:
    asked = asked_pause(headers, Hints())
    assert asked is None or asked > timedelta(0)
    assert 9 * MINUTE <= next_pause(10 * MINUTE, asked=asked) <= PACE.ceiling


# -- after a failure ------------------------------------------------------------------------------


def pause_after(
    failures: float,
    *,
    dead: bool = False,
    usual: timedelta = 10 * MINUTE,
    retry_after: float | None = None,
    jitter: float = MIDDLE,
) -> timedelta:
    again = after_failure(
        NOW, failures, dead=dead, usual=usual, ceiling=6 * HOUR, retry_after=retry_after, jitter=jitter
    )
    return again - NOW


@pytest.mark.parametrize(
    ("failures", "minutes"),
    [(0.0, 10), (0.25, 12.5), (1.0, 20), (1.5, 25), (2.0, 30), (35.0, 360), (36.0, 360), (10_000.0, 360)],
)
def test_each_failure_makes_the_pause_longer_up_to_the_ceiling(failures: float, minutes: float) -> None:
    assert pause_after(failures) == timedelta(minutes=minutes)


def test_jitter_does_not_lift_the_ceiling() -> None:
    assert pause_after(100.0, jitter=0.99) == 6 * HOUR


@pytest.mark.parametrize(
    ("retry_after", "jitter", "pause"),
    [
        pytest.param(5, 0.5, 20 * MINUTE, id="shorter than ours"),
        pytest.param(0, 0.5, 20 * MINUTE, id="at once"),
        pytest.param(3600, 0.0, HOUR, id="longer than ours"),
        pytest.param(3600, 0.5, 63 * MINUTE, id="not all at the same second"),
        pytest.param(8 * 3600, 0.0, 8 * HOUR, id="beyond the ceiling"),
        pytest.param(86_400.0, 0.9, DAY, id="a day"),
        pytest.param(1e18, 0.9, DAY, id="for ever"),
        pytest.param(float("inf"), 0.9, DAY, id="infinitely"),
    ],
)
def test_a_server_that_asks_to_wait_is_left_alone_for_so_long(
    retry_after: float, jitter: float, pause: timedelta
) -> None:
    assert pause_after(1.0, retry_after=retry_after, jitter=jitter) == pause


@pytest.mark.parametrize("retry_after", [None, 60.0, 86_400.0])
@pytest.mark.parametrize("jitter", [0.0, 0.99])
def test_a_dead_feed_is_asked_about_once_a_day(retry_after: float | None, jitter: float) -> None:
    assert 0.9 * DAY <= pause_after(50.0, dead=True, retry_after=retry_after, jitter=jitter) <= DAY


@given(
    failures=st.floats(0, 1e6),
    dead=st.booleans(),
    usual=st.timedeltas(5 * MINUTE, 6 * HOUR),
    retry_after=st.none() | st.floats(0, 1e9),
    jitter=jitters,
)
def test_no_failing_feed_is_given_up_or_hammered(
    failures: float, dead: bool, usual: timedelta, retry_after: float | None, jitter: float
) -> None:
    pause = pause_after(failures, dead=dead, usual=usual, retry_after=retry_after, jitter=jitter)
    assert 0.9 * 5 * MINUTE <= pause <= DAY
    assert pause >= min(timedelta(seconds=retry_after or 0), DAY)


@given(failures=st.floats(0, 100), more=st.floats(0, 100), jitter=jitters)
def test_another_failure_never_brings_the_next_poll_nearer(failures: float, more: float, jitter: float) -> None:
    assert pause_after(failures + more, jitter=jitter) >= pause_after(failures, jitter=jitter)


@pytest.mark.parametrize(
    ("cause", "failing_for", "dead"),
    [
        ("http 410", None, True),
        ("http 410", timedelta(0), True),
        ("http 404", None, False),
        ("http 404", LONG_DEATH, False),
        ("http 404", LONG_DEATH + SECOND, True),
        ("dns", DAY, False),
        ("", None, False),
    ],
)
def test_a_feed_is_dead_by_its_servers_word_or_after_a_week(
    cause: str, failing_for: timedelta | None, dead: bool
) -> None:
    assert is_dead(cause, None if failing_for is None else NOW - failing_for, NOW) is dead


# -- many feeds -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "apart"), [(1, 0.5), (2, 0.5), (300, 0.5), (1_200, 0.5), (10_000, 0.06)])
def test_overdue_feeds_come_one_after_the_other_in_their_order(count: int, apart: float) -> None:
    feeds = [f"https://{n}.example/" for n in range(count)]
    times = spread_out(feeds, NOW, 10 * MINUTE)
    assert list(times) == feeds
    assert [times[feed] for feed in feeds] == [NOW + n * timedelta(seconds=apart) for n in range(count)]
    assert times[feeds[-1]] < NOW + 10 * MINUTE


def test_no_feeds_are_spread_over_no_time() -> None:
    assert spread_out([], NOW, 10 * MINUTE) == {}


# -- rhythm ---------------------------------------------------------------------------------------


def learn(*ages: timedelta, before: Rhythm | None = None, taken: tuple[Severity, ...] = ()) -> Rhythm:
    return learn_rhythm(before or Rhythm(), [NOW - age for age in ages], taken, NOW)


def test_the_usual_gap_is_the_median_and_the_longest_is_kept_beside_it() -> None:
    rhythm = learn(0 * HOUR, 1 * HOUR, 3 * HOUR, 13 * HOUR)
    assert (rhythm.gap, rhythm.longest_gap) == (2 * HOUR, 10 * HOUR)
    assert (rhythm.newest, rhythm.last_new) == (NOW, NOW)


@given(st.lists(long_ago, max_size=60), st.randoms())
def test_the_order_of_a_document_does_not_matter(ages: list[timedelta], random: Random) -> None:
    shuffled = list(ages)
    random.shuffle(shuffled)
    assert learn(*shuffled) == learn(*ages)


def test_of_many_items_the_latest_are_learnt_from() -> None:
    old = [1000 * DAY + n * 50 * DAY for n in range(100)]
    assert learn(*(n * HOUR for n in range(REMEMBERED)), *old).longest_gap == HOUR


@pytest.mark.parametrize(
    "ages",
    [
        pytest.param([], id="none"),
        pytest.param([HOUR], id="one"),
        pytest.param([HOUR, 2 * HOUR], id="two"),
        pytest.param([HOUR] * 30, id="a first poll of undated items"),
        pytest.param([*[HOUR] * 30, *[2 * HOUR] * 30], id="two polls of undated items"),
        pytest.param([n * SECOND / 10 for n in range(10)], id="all within a second"),
    ],
)
def test_too_little_to_learn_from_leaves_what_was_learnt(ages: list[timedelta]) -> None:
    assert learn(*ages).gap is None
    before = Rhythm(gap=HOUR, longest_gap=DAY)
    after = learn(*ages, before=before)
    assert (after.gap, after.longest_gap) == (HOUR, DAY)


def test_undated_items_teach_by_when_they_came() -> None:
    assert learn(*[0 * HOUR] * 5, *[3 * HOUR] * 5, *[9 * HOUR] * 5).gap == 4.5 * HOUR


def test_a_burst_does_not_lift_the_floor() -> None:
    rhythm = learn(*(n * 2 * SECOND for n in range(30)), 5 * DAY)
    assert usual_pause(rhythm, PACE, NOW) == PACE.floor
    assert rhythm.longest_gap == 5 * DAY - 58 * SECOND


def test_a_poll_without_times_keeps_the_newest() -> None:
    assert learn(before=Rhythm(newest=NOW - DAY)).newest == NOW - DAY


@pytest.mark.parametrize(
    ("known", "since", "taken", "severity", "renewed"),
    [
        (None, None, (), None, False),
        (None, None, (Severity.INFO, Severity.HIGH, Severity.NOTICE), Severity.HIGH, True),
        (Severity.HIGH, DAY, (Severity.HIGH,), Severity.HIGH, True),
        (Severity.HIGH, DAY, (Severity.CRITICAL,), Severity.CRITICAL, True),
        (Severity.HIGH, DAY, (Severity.INFO,), Severity.HIGH, False),
        (Severity.HIGH, DAY, (), Severity.HIGH, False),
        (Severity.HIGH, IMPORTANT_FOR, (), None, False),
        (Severity.HIGH, IMPORTANT_FOR, (Severity.INFO,), Severity.INFO, True),
    ],
)
def test_the_most_severe_alert_of_a_month_is_remembered(
    known: Severity | None,
    since: timedelta | None,
    taken: tuple[Severity, ...],
    severity: Severity | None,
    renewed: bool,
) -> None:
    before = Rhythm(severity=known, severity_at=None if since is None else NOW - since)
    after = learn(HOUR, before=before, taken=taken)
    assert after.severity is severity
    assert (after.severity_at == NOW) is renewed
