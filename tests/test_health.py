from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import make
import pytest
from hypothesis import given
from hypothesis import strategies as st
from make import NOW

from monitor.health import Review, conditions, notice, review
from monitor.model import Ailment, Condition, Feed, FeedState, Notice, Rhythm

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FEED = make.feed()


def state(feed: Feed = FEED, **fields: object) -> FeedState:
    """A feed that is well: polled for a month, with something new every few hours."""
    defaults = {
        "feed": feed,
        "first_success": NOW - 30 * DAY,
        "last_success": NOW,
        "rhythm": Rhythm(gap=2 * HOUR, longest_gap=12 * HOUR, newest=NOW - HOUR),
    }
    return FeedState(**(defaults | fields))


def failing(since: timedelta, cause: str = "timeout", **fields: object) -> FeedState:
    return state(failures=9.0, last_error=cause, failing_since=NOW - since, **fields)


def never(cause: str = "html", failures: float = 3.0, since: timedelta = 9 * DAY) -> FeedState:
    return FeedState(FEED, failures=failures, last_error=cause, failing_since=NOW - since)


def silent(since: timedelta, longest: timedelta | None = None, **fields: object) -> FeedState:
    return state(rhythm=Rhythm(gap=longest, longest_gap=longest, newest=NOW - since), **fields)


# -- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "well",
    [
        pytest.param(state(), id="all is well"),
        pytest.param(FeedState(FEED), id="never polled"),
        pytest.param(failing(2 * DAY - MINUTE), id="failing, but not for long"),
        pytest.param(never(failures=2.5), id="never parsed, but not tried often"),
        pytest.param(silent(2 * DAY - MINUTE, HOUR), id="silent over a weekend"),
        pytest.param(silent(9 * DAY - MINUTE, 3 * DAY), id="a weekly that is late"),
        pytest.param(silent(30 * DAY - MINUTE), id="silent, of unknown rhythm"),
        pytest.param(silent(900 * DAY, HOUR, last_error="timeout", failing_since=NOW), id="silent, because it fails"),
        pytest.param(state(rhythm=Rhythm()), id="answers, but never had an item with a time"),
        pytest.param(state(last_gap=NOW - DAY - MINUTE), id="a gap of the day before yesterday"),
    ],
)
def test_a_feed_of_which_nothing_is_wrong(well: FeedState) -> None:
    assert conditions(well, NOW) == {}


@pytest.mark.parametrize(
    ("ill", "condition", "because"),
    [
        (failing(2 * DAY), Condition.FAILING, "timeout for 2 days"),
        (failing(40 * DAY, "http 404"), Condition.FAILING, "http 404 for 40 days"),
        (failing(MINUTE, "http 410"), Condition.GONE, "its server says 410 Gone"),
        (failing(40 * DAY, "http 410"), Condition.GONE, "its server says 410 Gone"),
        (never("http 410"), Condition.GONE, "its server says 410 Gone"),
        (never("html"), Condition.NEVER_PARSED, "html, at every poll since it is on the list"),
        (never("dns", failures=3.0, since=HOUR), Condition.NEVER_PARSED, "dns, at every poll since it is on the list"),
        (silent(2 * DAY, HOUR), Condition.STALE,
         "answers, but its newest item is 2 days old; its longest silence was 1 h"),
        (silent(9 * DAY, 3 * DAY), Condition.STALE,
         "answers, but its newest item is 9 days old; its longest silence was 3 days"),
        (silent(30 * DAY), Condition.STALE, "answers, but its newest item is 30 days old"),
        (silent(3 * DAY, MINUTE), Condition.STALE,
         "answers, but its newest item is 3 days old; its longest silence was 1 h"),
        (state(last_gap=NOW), Condition.GAP,
         "a poll had nothing in common with the one before: items may have slid past"),
        (state(held=17), Condition.STORM,
         ("17 items are held back: much that is old became new at once. "
          "Tell them: monitor feeds release https://harbourwire.example/feed.xml"
          " · forget them: monitor feeds drop https://harbourwire.example/feed.xml")),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_feed_has_a_word_and_a_reason(ill: FeedState, condition: Condition, because: str) -> None:
    assert conditions(ill, NOW) == {condition: because}


def test_several_things_may_be_wrong_at_once() -> None:
    ill = failing(3 * DAY, held=9, last_gap=NOW - HOUR)
    assert list(conditions(ill, NOW)) == [Condition.FAILING, Condition.GAP, Condition.STORM]


moments = st.none() | st.timedeltas(timedelta(0), timedelta(days=900)).map(lambda age: NOW - age)
spans = st.none() | st.timedeltas(timedelta(0), timedelta(days=900))
any_state = st.builds(
    FeedState,
    feed=st.sampled_from([make.feed(url=f"https://{name}.example/") for name in "abc"]),
    first_success=moments,
    last_success=moments,
    failures=st.floats(0, 100),
    last_error=st.sampled_from(["", "dns", "http 410", "html"]),
    failing_since=moments,
    last_gap=moments,
    held=st.integers(0, 3),
    rhythm=st.builds(Rhythm, gap=spans, longest_gap=spans, newest=moments),
)


@given(any_state)
def test_failing_gone_and_never_parsed_are_said_one_at_a_time(some: FeedState) -> None:
    assert len({Condition.FAILING, Condition.GONE, Condition.NEVER_PARSED} & set(conditions(some, NOW))) <= 1


# -- from day to day ------------------------------------------------------------------------------


@dataclass
class Ops:
    """Looks at the feeds one after the other, and keeps what each look remembers and tells."""

    now: datetime = NOW
    remembered: tuple[Ailment, ...] = ()
    outage_since: datetime | None = None
    told: list[str] = field(default_factory=list)

    def look(self, *states: FeedState, after: timedelta = timedelta(0)) -> list[str]:
        """Give what is told, after so long."""
        self.now += after
        found = review(self.remembered, states, self.outage_since, self.now)
        self.remembered = found.ailments
        told = [*(f"{a.condition}" for a in found.began), *(f"no longer {a.condition}" for a in found.over)]
        self.told += told
        return told

    def watch(self, *states: FeedState, span: timedelta, every: timedelta = 5 * MINUTE) -> list[str]:
        """Look again and again; give all that is told."""
        return [line for _ in range(span // every) for line in self.look(*states, after=every)]


#: no times of its own: it stays well however long it is watched
WELL = state(rhythm=Rhythm())
STALE, STORM, GAP = silent(400 * DAY, HOUR), replace(WELL, held=9), replace(WELL, last_gap=NOW)


def test_a_condition_is_told_once_it_has_lasted_and_only_once() -> None:
    ops = Ops()
    assert ops.look(STALE) == []
    assert ops.look(STALE, after=29 * MINUTE) == []
    assert ops.look(STALE, after=MINUTE) == ["stale"]
    assert ops.watch(STALE, span=5 * DAY) == []


def test_what_is_over_is_told_once_when_it_has_stayed_away() -> None:
    ops = Ops()
    ops.watch(STALE, span=HOUR)
    assert ops.look(WELL, after=MINUTE) == []
    assert ops.look(WELL, after=6 * HOUR - MINUTE) == []
    assert ops.look(WELL, after=MINUTE) == ["no longer stale"]
    assert ops.remembered == ()
    assert ops.watch(WELL, span=5 * DAY) == []


def test_what_was_over_before_it_was_told_is_never_told() -> None:
    ops = Ops()
    ops.look(STALE)
    assert ops.watch(WELL, span=5 * DAY) == []
    assert ops.remembered == ()


def test_a_feed_that_comes_and_goes_is_told_of_once() -> None:
    ops = Ops()
    for _ in range(20):
        ops.watch(STALE, span=HOUR)
        ops.watch(WELL, span=5 * HOUR)
    assert ops.told == ["stale"]
    ops.watch(WELL, span=2 * HOUR)
    assert ops.told == ["stale", "no longer stale"]


def test_a_condition_that_returns_after_it_was_over_is_told_again() -> None:
    ops = Ops()
    for _ in range(2):
        ops.watch(STALE, span=HOUR)
        ops.watch(WELL, span=7 * HOUR)
    assert ops.told == ["stale", "no longer stale"] * 2


@pytest.mark.parametrize(("ill", "told"), [(STORM, "storm"), (GAP, "gap")])
def test_a_storm_and_a_gap_are_told_at_once(ill: FeedState, told: str) -> None:
    assert Ops().look(ill) == [told]


def test_a_storm_is_over_at_once_when_a_person_has_decided() -> None:
    ops = Ops()
    ops.look(STORM)
    assert ops.look(WELL, after=MINUTE) == ["no longer storm"]


def test_an_outage_is_told_at_once_and_so_is_its_end() -> None:
    ops = Ops(outage_since=NOW - MINUTE)
    assert ops.look(WELL) == ["outage"]
    assert ops.remembered[0].since == NOW - MINUTE
    assert ops.watch(WELL, span=DAY) == []
    ops.outage_since = None
    assert ops.look(WELL, after=MINUTE) == ["no longer outage"]


def test_an_outage_and_a_storm_are_two_things() -> None:
    ops = Ops(outage_since=NOW)
    assert sorted(ops.look(STORM)) == ["outage", "storm"]
    ops.outage_since = None
    assert ops.look(STORM, after=MINUTE) == ["no longer outage"]
    assert ops.look(WELL, after=MINUTE) == ["no longer storm"]


def test_how_long_an_outage_lasts_says_nothing_of_a_feed() -> None:
    ops = Ops(outage_since=NOW - DAY)
    assert ops.look(STALE) == ["outage"]


def test_the_reason_that_is_remembered_is_todays() -> None:
    ops = Ops()
    ops.look(state(held=9))
    ops.look(state(held=12))
    assert ops.remembered[0].because.startswith("12 items")


def test_conditions_of_one_feed_and_of_two_are_told_apart() -> None:
    other = make.feed(url="https://other.example/rss")
    ops = Ops()
    assert ops.look(STORM, replace(STORM, feed=other)) == ["storm", "storm"]
    assert ops.look(WELL, replace(STORM, feed=other)) == ["no longer storm"]
    assert [ailment.feed_url for ailment in ops.remembered] == [other.url]


@pytest.mark.parametrize("ill", [STALE, STORM])
def test_a_feed_that_left_the_list_is_forgotten_without_a_word(ill: FeedState) -> None:
    """To say "no longer stale" of it would be untrue."""
    ops = Ops()
    ops.watch(ill, span=HOUR)
    assert ops.look(after=MINUTE) == []
    assert ops.remembered == ()


def test_an_outage_is_remembered_though_no_feed_is_on_the_list() -> None:
    ops = Ops(outage_since=NOW)
    assert ops.look() == ["outage"]
    assert ops.look(after=MINUTE) == []


def test_nothing_wrong_is_nothing_to_remember() -> None:
    assert review((), [WELL], None, NOW) == Review((), (), ())


KINDS = (WELL, STALE, STORM, GAP, failing(3 * DAY), failing(DAY, "http 410"), never(), failing(3 * DAY, held=9))
some_states = st.lists(st.sampled_from(KINDS), max_size=3).map(
    lambda kinds: [replace(one, feed=make.feed(url=f"https://{n}.example/")) for n, one in enumerate(kinds)]
)
looks = st.lists(
    st.tuples(
        some_states,
        st.timedeltas(timedelta(0), DAY),
        st.booleans(),
    ),
    max_size=5,
)


@given(looks)
def test_for_each_beginning_there_is_at_most_one_end_and_the_other_way_round(
    history: list[tuple[list[FeedState], timedelta, bool]],
) -> None:
    now, remembered, open_ones = NOW, tuple[Ailment, ...](), set[tuple[str, Condition]]()
    for states, after, outage in history:
        now += after
        found = review(remembered, states, now if outage else None, now)
        began, over = [key(a) for a in found.began], [key(a) for a in found.over]
        assert open_ones.isdisjoint(began)
        assert open_ones.issuperset(over)
        listed = {"", *(some.feed.url for some in states)}
        open_ones = {one for one in {*open_ones, *began} - set(over) if one[0] in listed}
        assert {key(a) for a in found.ailments if a.told} == open_ones
        assert len({key(a) for a in found.ailments}) == len(found.ailments)
        remembered = found.ailments


@given(looks)
def test_the_same_look_twice_tells_nothing_the_second_time(
    history: list[tuple[list[FeedState], timedelta, bool]],
) -> None:
    remembered = tuple[Ailment, ...]()
    for states, _, outage in history:
        first = review(remembered, states, NOW if outage else None, NOW)
        second = review(first.ailments, states, NOW if outage else None, NOW)
        assert (second.began, second.over, set(second.ailments)) == ((), (), set(first.ailments))
        remembered = first.ailments


def key(ailment: Ailment) -> tuple[str, Condition]:
    return ailment.feed_url, ailment.condition


# -- what ops read --------------------------------------------------------------------------------


def ailment(url: str = FEED.url, **fields: object) -> Ailment:
    defaults = {"feed_url": url, "condition": Condition.FAILING, "because": "dns for 3 days", "since": NOW - 3 * DAY}
    return Ailment(**(defaults | fields))


def message(began: Sequence[Ailment] = (), over: Sequence[Ailment] = (), now: datetime = NOW) -> Notice | None:
    return notice(Review((), tuple(began), tuple(over)), {FEED.url: "Harbour Wire"}, "C0OPS", now)


def lines(told: Notice | None) -> list[str]:
    assert told is not None
    return told.text.splitlines()


def test_no_news_is_no_notice() -> None:
    assert message() is None


def test_a_notice_names_feeds_as_people_do() -> None:
    outage = ailment("", condition=Condition.OUTAGE, because="most hosts cannot be reached")
    over = ailment(condition=Condition.STALE, absent_since=NOW - 6 * HOUR)
    told = message([outage, ailment(), ailment("https://unnamed.example/rss")], [over])
    assert lines(told) == [
        "our own network: outage — most hosts cannot be reached",
        "Harbour Wire: failing — dns for 3 days",
        "https://unnamed.example/rss: failing — dns for 3 days",
        "Harbour Wire: no longer stale, since 08:30 UTC",
    ]
    assert told is not None
    assert (told.channel, told.created) == ("C0OPS", NOW)


@pytest.mark.parametrize(
    ("findings", "shown", "last"),
    [
        (1, 1, "Harbour Wire: failing — dns for 3 days"),
        (20, 20, "Harbour Wire: failing — dns for 3 days"),
        (21, 21, "and 1 more: monitor status"),
        (5_000, 21, "and 4980 more: monitor status"),
    ],
)
def test_a_notice_lists_twenty_findings_and_counts_the_rest(findings: int, shown: int, last: str) -> None:
    told = lines(message([ailment()] * findings))
    assert (len(told), told[-1]) == (shown, last)


def test_beginnings_and_ends_share_the_twenty() -> None:
    over = ailment(absent_since=NOW)
    assert lines(message([ailment()] * 15, [over] * 15))[-1] == "and 10 more: monitor status"


def test_the_same_review_is_the_same_notice() -> None:
    assert message([ailment()]) == message([ailment()])


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(message([ailment()], now=NOW + MINUTE), id="at another time"),
        pytest.param(message([ailment(because="dns for 4 days")]), id="another finding"),
        pytest.param(
            notice(Review((), (ailment(),), ()), {FEED.url: "Harbour Wire"}, "C0OTHER", NOW), id="another channel"
        ),
    ],
)
def test_another_review_is_another_notice(other: Notice | None) -> None:
    first = message([ailment()])
    assert first is not None
    assert other is not None
    assert first.id != other.id
