"""What stands in a channel, held against the outbox: each finding, and what is none."""

from datetime import timedelta

import make
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model import DeliveryState, Expected, FeedbackKind, Posted, Reaction
from monitor.sweep import FindingKind, compare, feedback, moment, threads_to_read

NOW = make.NOW
SINCE = NOW - timedelta(hours=48)


def receipt(**ago):
    return f"{(NOW - timedelta(**ago)).timestamp():.6f}"


def posted(delivery="d1", at=None, **fields):
    defaults = {
        "channel": make.CHANNEL,
        "receipt": at or receipt(hours=1),
        "ours": True,
        "delivery": delivery,
        "kind": "root",
    }
    return Posted(**(defaults | fields))


def expected(name="d1", state=DeliveryState.SENT, at=None, **fields):
    at = at or receipt(hours=1)
    defaults = {"receipt": at if state is DeliveryState.SENT else "", "sending_at": moment(at)}
    return Expected(name, state, **(defaults | fields))


def found(channel, outbox, **fields):
    defaults = {"since": SINCE, "recent": SINCE, "now": NOW}
    compared = compare(make.CHANNEL, channel, outbox, **(defaults | fields))
    return [(finding.kind, finding.delivery, finding.mendable) for finding in compared.findings]


# -- as it should be -------------------------------------------------------------------------------


def test_what_was_sent_and_stands_there_is_no_finding():
    assert found([posted()], [expected()]) == []


def test_due_and_sent_are_counted():
    waiting = [expected(f"w{n}", state) for n, state in enumerate((DeliveryState.QUEUED, DeliveryState.UNKNOWN))]
    compared = compare(make.CHANNEL, [posted()], [expected(), *waiting], since=SINCE, recent=SINCE, now=NOW)

    assert (compared.due, compared.sent) == (2, 1)


@pytest.mark.parametrize(
    "message",
    [
        posted("", kind=""),  # what people write
        posted("d9", ours=False),  # another monitor's, or a forger's
        posted("d9", kind="canary"),
    ],
)
def test_what_is_not_ours_to_know_is_no_finding(message):
    assert found([message], []) == []


def test_reply_that_is_shown_in_the_channel_too_stands_there_once():
    reply = posted(thread=receipt(hours=2), kind="reply")

    assert found([reply, reply], [expected(thread=receipt(hours=2))], threads={receipt(hours=2)}) == []


# -- unknown to us ---------------------------------------------------------------------------------


def test_message_that_the_outbox_lacks_is_unknown():
    assert found([posted()], []) == [(FindingKind.UNKNOWN, "d1", True)]


@pytest.mark.parametrize("state", [DeliveryState.QUEUED, DeliveryState.UNKNOWN, DeliveryState.HELD, DeliveryState.DEAD])
def test_message_that_the_outbox_has_as_not_sent_is_unknown(state):
    assert found([posted()], [expected(state=state)]) == [(FindingKind.UNKNOWN, "d1", True)]


@pytest.mark.parametrize("state", [DeliveryState.SENDING, DeliveryState.BATCHED])
def test_message_on_the_wire_and_one_told_by_another_are_none(state):
    assert found([posted()], [expected(state=state)]) == []


def test_message_that_was_adopted_before_is_known():
    assert found([posted()], [], known={"d1"}) == []


def test_message_that_stands_elsewhere_than_the_outbox_says_is_adopted_where_it_stands():
    assert found([posted(at=receipt(hours=1))], [expected(at=receipt(hours=2))]) == [(FindingKind.UNKNOWN, "d1", True)]


# -- doubled ---------------------------------------------------------------------------------------


def twice(**later):
    return [posted(at=receipt(minutes=50), **later), posted(at=receipt(minutes=60))]


def doubled(channel, outbox):
    compared = compare(make.CHANNEL, channel, outbox, since=SINCE, recent=SINCE, now=NOW)
    return [f.posted.receipt for f in compared.findings if f.kind is FindingKind.DOUBLED and f.mendable]


def test_of_a_message_that_stands_twice_the_later_one_goes():
    assert doubled(twice(), []) == [receipt(minutes=50)]


def test_of_a_message_that_stands_twice_the_one_that_the_outbox_names_stays():
    assert doubled(twice(), [expected(at=receipt(minutes=50))]) == [receipt(minutes=60)]


def test_double_that_people_replied_to_is_left_to_a_person():
    assert doubled(twice(latest_reply=receipt(minutes=5)), []) == []


# -- lost ------------------------------------------------------------------------------------------


def test_what_was_sent_and_does_not_stand_there_is_lost():
    assert found([], [expected()]) == [(FindingKind.LOST, "d1", False)]


@pytest.mark.parametrize(
    "row",
    [
        expected(at=receipt(hours=49)),  # older than what was read
        expected(at=receipt(minutes=1)),  # may not show yet
        expected(thread=receipt(hours=3)),  # in a thread that was not read
        expected(state=DeliveryState.BATCHED),
        Expected("d1", DeliveryState.SENT, "d1"),  # of a sink that does not name messages by the time
    ],
)
def test_what_would_not_have_been_read_is_not_lost(row):
    assert found([], [row]) == []


def test_reply_that_is_missing_from_a_thread_that_was_read_is_lost():
    thread = receipt(hours=3)

    assert found([], [expected(thread=thread)], threads={thread}) == [(FindingKind.LOST, "d1", False)]


# -- late ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "late"), [(10, False), (11, True)])
def test_what_nothing_has_held_for_ten_minutes_is_late(minutes, late):
    row = expected(state=DeliveryState.QUEUED, free_since=NOW - timedelta(minutes=minutes))

    assert [kind for kind, *_ in found([], [row])] == [FindingKind.LATE] * late


# -- which threads ---------------------------------------------------------------------------------


def test_threads_with_replies_since_the_last_time_are_read_and_those_that_we_posted_in():
    channel = [
        posted("d1", receipt(hours=30), latest_reply=receipt(hours=1)),
        posted("d2", receipt(hours=20), latest_reply=receipt(hours=10)),
        posted("d3", receipt(hours=3)),
    ]

    assert threads_to_read(channel, ["1.5"], NOW - timedelta(hours=2)) == [receipt(hours=30), "1.5"]


# -- what people say -------------------------------------------------------------------------------

WORDS = {"+1": FeedbackKind.USEFUL, "white_check_mark": FeedbackKind.USEFUL, "x": FeedbackKind.WRONG}


def test_reactions_that_say_something_are_taken_in_once_for_each_person():
    reactions = (Reaction("+1", "U1"), Reaction("white_check_mark", "U1"), Reaction("x", "U2"), Reaction("tada", "U3"))

    assert feedback([posted(reactions=reactions)], WORDS) == {
        "d1": {(FeedbackKind.USEFUL, "U1"), (FeedbackKind.WRONG, "U2")}
    }


def test_message_without_a_reaction_says_that_nobody_says_anything():
    assert feedback([posted(), posted("d2", ours=False)], WORDS) == {"d1": frozenset()}


# -- laws ------------------------------------------------------------------------------------------

DELIVERIES = st.sampled_from(["a", "b", "c"])
MESSAGES = st.lists(st.tuples(DELIVERIES, st.integers(3, 3000)), unique_by=lambda one: one[1], max_size=8)
ROWS = st.dictionaries(DELIVERIES, st.tuples(st.sampled_from(DeliveryState), st.integers(3, 3000)))


@given(MESSAGES, ROWS)
def test_what_is_mended_once_needs_no_mending(messages, rows):
    """Adopting what is unknown and deleting what is doubled leaves one message a delivery, where the outbox says."""
    channel = [posted(delivery, receipt(minutes=minutes)) for delivery, minutes in messages]
    outbox = [expected(name, state, receipt(minutes=minutes)) for name, (state, minutes) in rows.items()]

    def mendable(channel, outbox, known):
        compared = compare(make.CHANNEL, channel, outbox, since=SINCE, recent=SINCE, now=NOW, known=known)
        return [finding for finding in compared.findings if finding.mendable]

    findings = mendable(channel, outbox, set())
    gone = {f.posted.receipt for f in findings if f.kind is FindingKind.DOUBLED}
    adopted = {f.delivery: f.posted for f in findings if f.kind is FindingKind.UNKNOWN}
    left = [one for one in channel if one.receipt not in gone]
    mended = [
        Expected(row.id, DeliveryState.SENT, adopted[row.id].receipt) if row.id in adopted else row for row in outbox
    ]

    assert len({one.delivery for one in left}) == len(left)
    assert mendable(left, mended, set(adopted)) == []
