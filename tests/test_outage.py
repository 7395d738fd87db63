from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make import NOW

from monitor.outage import HOSTS, WINDOW, Change, Reachability

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
BEGAN, ENDED = Change.BEGAN, Change.ENDED
ALL_HOSTS = "abcdefghij"


@dataclass
class Network:
    """Polls a second apart, each one letter: of the host "a", from feed "a1" where nothing else is said."""

    reachability: Reachability = field(default_factory=Reachability)
    now: datetime = NOW

    def wait(self, span: timedelta) -> None:
        self.now += span

    def answer(self, hosts: str) -> list[Change]:
        return self._poll(hosts, reached=True)

    def fail(self, hosts: str, *, feed: str = "1", weight: float = 1.0) -> list[Change]:
        return self._poll(hosts, reached=False, feed=feed, weight=weight)

    @property
    def down(self) -> bool:
        return self.reachability.outage_since is not None

    def _poll(self, hosts: str, *, reached: bool, feed: str = "1", weight: float = 0.0) -> list[Change]:
        changes = []
        for host in hosts:
            self.now += SECOND
            change = self.reachability.note(host, f"{host}{feed}", reached=reached, weight=weight, now=self.now)
            changes += [change] if change else []
        return changes


# -- it begins ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answering", "failing", "begins"),
    [
        pytest.param("", "abc", False, id="all of three: too few to say"),
        pytest.param("", "abcd", True, id="all of four"),
        pytest.param("e", "abcd", True, id="four of five"),
        pytest.param("ef", "abcd", False, id="four of six"),
        pytest.param("ij", "abcdefgh", True, id="eight of ten"),
        pytest.param("hij", "abcdefg", False, id="seven of ten"),
        pytest.param("abcd", "", False, id="none"),
    ],
)
def test_an_outage_begins_when_most_hosts_cannot_be_reached(answering: str, failing: str, begins: bool) -> None:
    network = Network()
    assert network.answer(answering) + network.fail(failing) == ([BEGAN] if begins else [])
    assert network.down is begins


def test_it_begins_once_however_long_it_lasts() -> None:
    network = Network()
    assert network.fail("abcd") == [BEGAN]
    since = network.reachability.outage_since
    for _ in range(100):
        network.wait(30 * SECOND)
        assert network.fail(ALL_HOSTS) == []
    assert network.reachability.outage_since == since == NOW + 4 * SECOND


def test_many_feeds_of_one_host_are_one_host() -> None:
    network = Network()
    assert network.fail("a" * 100 + "b" * 100 + "c" * 100) == []


def test_a_host_counts_by_its_last_poll() -> None:
    network = Network()
    network.fail("abc")
    assert network.answer("abc") + network.fail("d") == []


def test_failures_that_lie_far_apart_are_no_outage() -> None:
    network = Network()
    for host in ALL_HOSTS * 3:
        network.wait(WINDOW / (HOSTS - 1))
        assert network.fail(host) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 300)), max_size=50))
def test_three_hosts_never_make_an_outage(polls: list[tuple[str, bool, int]]) -> None:
    network = Network()
    for host, reached, seconds in polls:
        network.wait(seconds * SECOND)
        assert (network.answer(host) if reached else network.fail(host)) == []


# -- it ends --------------------------------------------------------------------------------------


def test_one_lucky_answer_does_not_end_it() -> None:
    network = Network()
    network.fail(ALL_HOSTS)
    assert network.answer("a") == []
    assert network.down


def test_it_ends_once_when_half_of_the_hosts_answer() -> None:
    network = Network()
    network.fail(ALL_HOSTS)
    assert network.answer("abcd") == []
    assert network.answer("e") == [ENDED]
    assert network.answer("fghij") == []
    assert not network.down


def test_no_failure_ends_it() -> None:
    network = Network()
    network.fail(ALL_HOSTS)
    network.answer("abcd")
    network.wait(WINDOW - 5 * SECOND)  # all those that failed are forgotten one by one
    assert network.fail("k" * 20) == []
    assert network.down


@pytest.mark.parametrize("pause", [10 * MINUTE, 19 * MINUTE])
def test_on_a_short_list_one_lucky_answer_does_not_end_it_either(pause: timedelta) -> None:
    """Its polls are so rare that one alone is all there is in the last minutes."""
    network = Network()
    network.fail("abcd")
    network.wait(pause)
    assert network.answer("a") == []
    network.wait(pause)
    assert network.answer("b") == [ENDED]


def test_no_outage_outlasts_dead_hosts_for_ever() -> None:
    network = Network()
    network.fail("abcd")
    for _ in range(5):
        network.wait(11 * MINUTE)
        assert network.answer("a") == []
    network.wait(11 * MINUTE)
    assert network.answer("a") == [ENDED]


def test_it_can_begin_again() -> None:
    network = Network()
    assert network.fail("abcd") + network.answer("abcd") + network.fail("abcd") == [BEGAN, ENDED, BEGAN]


@given(st.lists(st.tuples(st.sampled_from(ALL_HOSTS), st.booleans(), st.integers(0, 300)), max_size=100))
def test_beginnings_and_ends_alternate(polls: list[tuple[str, bool, int]]) -> None:
    network, changes = Network(), list[Change]()
    for host, reached, seconds in polls:
        network.wait(seconds * SECOND)
        changes += network.answer(host) if reached else network.fail(host)
        assert network.down is (len(changes) % 2 == 1)
    assert changes == [BEGAN, ENDED] * (len(changes) // 2) + [BEGAN] * (len(changes) % 2)


# -- what is given back ---------------------------------------------------------------------------


def test_what_feeds_were_charged_as_it_began_is_given_back() -> None:
    network = Network()
    network.fail("ab")
    network.fail("c", weight=0.25)
    assert network.fail("d") == [BEGAN]
    # d's poll is charged nothing, because the outage was known by then
    assert network.reachability.charged() == {"a1": 1.0, "b1": 1.0, "c1": 0.25}


def test_every_feed_of_a_host_is_given_its_own_charge() -> None:
    network = Network()
    network.fail("aab", feed="1")
    network.fail("a", feed="2", weight=0.25)
    network.fail("cd")
    assert network.reachability.charged() == {"a1": 2.0, "b1": 1.0, "a2": 0.25, "c1": 1.0}


def test_charges_from_before_the_window_are_the_feeds_own() -> None:
    network = Network()
    network.fail("a", feed="old")
    network.wait(WINDOW)
    assert network.fail("abcd") == [BEGAN]
    assert set(network.reachability.charged()) == {"a1", "b1", "c1"}


def test_a_host_that_answered_with_an_error_keeps_its_charge() -> None:
    network = Network()
    network.reachability.note("e", "e1", reached=True, weight=1.0, now=NOW)
    network.fail("abcd")
    assert set(network.reachability.charged()) == {"a1", "b1", "c1"}


def test_what_was_charged_nothing_gets_nothing_back() -> None:
    network = Network()
    network.fail("abcd", weight=0.0)
    assert network.reachability.charged() == {}


def test_no_charge_is_given_back_twice() -> None:
    """Nor is what failed during the outage, which nobody was charged for."""
    network = Network()
    network.fail("abcdefg")
    network.answer("abcd")
    network.fail("ab", feed="2")
    assert network.fail("c", feed="2") == [BEGAN]
    assert network.reachability.charged() == {"a2": 1.0, "b2": 1.0}


@given(st.lists(st.tuples(st.sampled_from(ALL_HOSTS), st.booleans(), st.integers(0, 40)), max_size=100))
def test_no_feed_is_given_back_more_than_it_was_charged(polls: list[tuple[str, bool, int]]) -> None:
    """The pipeline's side of it: a failure is charged unless an outage is known, and given back when one begins."""
    network, owed = Network(), dict.fromkeys((f"{host}1" for host in ALL_HOSTS), 0.0)
    for host, reached, seconds in polls:
        network.wait(seconds * SECOND)
        changes = network.answer(host) if reached else network.fail(host)
        if changes == [BEGAN]:
            for feed, weight in network.reachability.charged().items():
                owed[feed] -= weight
        if not reached and not network.down:
            owed[f"{host}1"] += 1.0
        assert min(owed.values()) >= 0
