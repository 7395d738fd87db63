"""Which judgements are borderline, what is asked, and what an opinion comes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import make
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model import Match, MatchOutcome, Opinion, Severity
from monitor.opinion import (
    BY_SCORE,
    REASON_LIMIT,
    TEXT_LIMIT,
    TITLE_LIMIT,
    Borderline,
    Budget,
    apply,
    cache_key,
    candidates,
    fingerprint,
    no_opinion,
    one_line,
    question,
)

POLICY = Borderline(below=0.5, above=0.3)
YES = Opinion(True, 0.9, "soldiers are sent", "judge-1")
NO = Opinion(False, 0.8, "a parade at home", "judge-1")


def judged(score: float, outcome: MatchOutcome = MatchOutcome.MATCHED, bar: float = 3.0) -> Match:
    return make.match(score=score, bar=bar, outcome=outcome)


# -- which to ask about ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "outcome", "asked"),
    [
        (2.5, MatchOutcome.BELOW_BAR, True),
        (2.49, MatchOutcome.BELOW_BAR, False),
        (2.99, MatchOutcome.BELOW_BAR, True),
        (3.0, MatchOutcome.MATCHED, True),
        (3.25, MatchOutcome.MATCHED, True),
        (3.31, MatchOutcome.MATCHED, False),
        (3.0, MatchOutcome.MATCHED_TERM, False),
        (3.0, MatchOutcome.NO_REQUIRED_TERM, False),
        (3.0, MatchOutcome.EXCLUDED_TERM, False),
        (3.0, MatchOutcome.NEARER_NEGATIVE, False),
        (3.0, MatchOutcome.OUT_OF_SCOPE, False),
    ],
)
def test_only_what_the_score_decided_near_the_bar_is_asked_about(
    score: float, outcome: MatchOutcome, asked: bool
) -> None:
    match = judged(score, outcome)
    assert candidates([match], POLICY) == ([match] if asked else [])


def test_the_nearest_to_its_own_bar_is_asked_about_first() -> None:
    far, near, at = judged(3.7, bar=3.5), judged(1.9, MatchOutcome.BELOW_BAR, bar=2.0), judged(4.0, bar=4.0)
    assert candidates([far, near, at], POLICY) == [at, near, far]


def test_a_band_of_nothing_asks_about_the_bar_alone() -> None:
    assert candidates([judged(3.0), judged(3.001)], Borderline(0, 0)) == [judged(3.0)]


DECADES = st.floats(0, 6)
MATCHES = st.builds(make.match, score=DECADES, bar=DECADES, outcome=st.sampled_from(MatchOutcome))


@given(st.lists(MATCHES), st.builds(Borderline, below=st.floats(0, 3), above=st.floats(0, 3)))
def test_candidates_are_in_the_band_of_the_two_outcomes_and_in_order(matches: list[Match], policy: Borderline) -> None:
    found = candidates(matches, policy)
    distances = [match.score - match.bar for match in found]
    assert {match.outcome for match in found} <= {MatchOutcome.MATCHED, MatchOutcome.BELOW_BAR}
    assert all(-policy.below <= distance <= policy.above for distance in distances)
    assert list(map(abs, distances)) == sorted(map(abs, distances))
    assert not Counter(found) - Counter(matches)


# -- what to ask ----------------------------------------------------------------------------------


def test_a_question_tells_the_topic_s_words_and_the_item_s() -> None:
    topic = make.topic(negatives=("A parade in Pyongyang",))
    asked = question(topic, make.item(language="ko"))
    assert (asked.topic, asked.topic_title, asked.negatives) == (
        "dprk-troops",
        "North Korean troops in Russia",
        ("A parade in Pyongyang",),
    )
    assert asked.title == "North Korean troops seen near Kursk, Seoul says"
    assert asked.text.startswith("South Korea's intelligence service told")
    assert asked.language == "ko"


def test_a_long_item_is_clipped() -> None:
    asked = question(make.topic(), make.item(title="word " * 1_000, text="слово " * 10_000))
    assert (len(asked.title) <= TITLE_LIMIT, len(asked.text) <= TEXT_LIMIT) == (True, True)
    assert asked.text.endswith("…")


@pytest.mark.parametrize(
    "change", [{"title": "x"}, {"description": "x"}, {"examples": ("x",)}, {"negatives": ("x",)}, {"examples": ()}]
)
def test_a_topic_told_in_other_words_has_another_fingerprint(change: dict[str, object]) -> None:
    assert fingerprint(make.topic(**change)) != fingerprint(make.topic())


def test_an_example_that_becomes_a_negative_changes_the_fingerprint() -> None:
    assert fingerprint(make.topic(examples=("x",), negatives=())) != fingerprint(
        make.topic(examples=(), negatives=("x",))
    )


def test_a_setting_that_no_judge_is_told_changes_no_fingerprint() -> None:
    assert fingerprint(make.topic(noise=0.1, severity=Severity.INFO, path="x.toml")) == fingerprint(make.topic())


def test_a_key_is_the_same_for_the_same_words() -> None:
    """Written out: a change of it would ask everything again."""
    asked = question(make.topic(), make.item(id="a", feed=make.feed(url="https://a.example/"), language="en"))
    same = question(make.topic(noise=0.1), make.item(id="b", language="fr"))
    assert cache_key(asked, "judge@1") == cache_key(same, "judge@1")
    assert cache_key(asked, "judge@1") == "f236afb47d5249f2e6ee9f1919f2b433ce8b2d5487dfd979ee337d60e385f9c6"


def test_a_key_differs_with_judge_topic_and_words() -> None:
    asked = question(make.topic(), make.item())
    others = [
        replace(asked, topic="x"),
        replace(asked, fingerprint="x"),
        replace(asked, title="x"),
        replace(asked, text="x"),
        replace(asked, title=asked.title + asked.text[:1], text=asked.text[1:]),
    ]
    keys = {cache_key(one, "judge@1") for one in [asked, *others]} | {cache_key(asked, "judge@2")}
    assert len(keys) == 7


def test_a_lone_surrogate_has_a_key() -> None:
    assert len(cache_key(question(make.topic(), make.item(title="\ud83d", text="\udc00")), "judge@1")) == 64


# -- the reason -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("The item reports troop movements.", "The item reports troop movements."),
        ("two\nlines\tand\u2028more", "two lines and more"),
        ("<!channel> <@U123> wake up", "‹＠U123› wake up"),
        ("&lt;!here&gt; now", "‹!here› now"),
        ("*bold* _it_ ~no~ `code`", "∗bold∗ ˍitˍ ∼no∼ 'code'"),
        ("read <https://evil.example|this> now", "read now"),
        ("see https://evil.example/x?y=1 or www.evil.example", "see (link) or (link)"),
        ("://evil.example", "(link)"),
        ("@everyone, #general", "＠everyone, ＃general"),
        ("R&D", "R＆D"),
        ("<b>\ud800</b>lost", "lost"),
        ("", ""),
    ],
)
def test_a_reason_is_one_plain_line(written: str, shown: str) -> None:
    assert one_line(written) == shown


@given(st.text(st.sampled_from("a <>&|*_~`@#:/!;.lthrefxw\n\u200b\ud800") | st.characters(), max_size=400))
def test_no_reason_has_a_mark_of_slack_s_or_a_second_line(written: str) -> None:
    shown = one_line(written)
    assert set("*_~`<>&|@#\n\r").isdisjoint(shown)
    assert "://" not in shown
    assert len(shown) <= REASON_LIMIT


def test_why_there_is_no_opinion_is_a_reason_too() -> None:
    assert no_opinion("http 500", "judge-1") == Opinion(None, 0.0, "http 500", "judge-1")


# -- what it comes to -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "opinion", "after"),
    [
        (MatchOutcome.MATCHED, YES, MatchOutcome.MATCHED),
        (MatchOutcome.MATCHED, NO, MatchOutcome.OPINION_AGAINST),
        (MatchOutcome.BELOW_BAR, YES, MatchOutcome.MATCHED_OPINION),
        (MatchOutcome.BELOW_BAR, NO, MatchOutcome.BELOW_BAR),
        (MatchOutcome.MATCHED, no_opinion("timeout", "judge-1"), MatchOutcome.MATCHED),
        (MatchOutcome.BELOW_BAR, no_opinion("timeout", "judge-1"), MatchOutcome.BELOW_BAR),
    ],
)
def test_an_opinion_is_held_against_the_first_judgement(
    outcome: MatchOutcome, opinion: Opinion, after: MatchOutcome
) -> None:
    match = apply(judged(3.0, outcome), opinion)
    assert match.outcome is after
    assert match.matched is (opinion.relevant if opinion.relevant is not None else outcome is MatchOutcome.MATCHED)


def test_an_alert_says_who_agreed_and_who_could_not_be_asked() -> None:
    assert apply(judged(3.0), Opinion(True, 0.9, "names the troops", "judge-1")).opinion == (
        "judge-1 is for it, 90 % sure: names the troops"
    )
    assert apply(judged(3.0), Opinion(False, 1.0, "", "judge-1")).opinion == "judge-1 is against it, 100 % sure"
    assert apply(judged(3.0), no_opinion("timeout", "judge-1")).opinion == "no second opinion (judge-1): timeout"


@pytest.mark.parametrize("outcome", sorted(set(MatchOutcome) - BY_SCORE))
def test_nobody_overrules_what_an_author_wrote(outcome: MatchOutcome) -> None:
    with pytest.raises(ValueError, match="nobody may overrule"):
        apply(judged(3.0, outcome), YES)


JUDGED = st.builds(make.match, score=DECADES, bar=DECADES, outcome=st.sampled_from(sorted(BY_SCORE)))
OPINIONS = st.builds(Opinion, st.none() | st.booleans(), st.floats(0, 1), st.text(max_size=5), st.just("judge-1"))


@given(JUDGED, OPINIONS)
def test_an_opinion_changes_nothing_but_whether_and_what_is_said(match: Match, opinion: Opinion) -> None:
    after = apply(match, opinion)
    assert after.matched == (match.matched if opinion.relevant is None else opinion.relevant)
    assert replace(after, outcome=match.outcome, opinion=match.opinion) == match
    assert opinion.by in after.opinion


@pytest.mark.parametrize("kept_out", [{"gate": "troops | soldiers"}, {"negative": "North Korean tourists arrive"}])
def test_nobody_is_asked_about_what_would_be_kept_out_all_the_same(kept_out: dict[str, str]) -> None:
    assert candidates([replace(judged(3.0, MatchOutcome.BELOW_BAR), **kept_out)], Borderline()) == []


# -- the budget -----------------------------------------------------------------------------------

DAY = date(2024, 10, 29)
EVENING = datetime(2024, 10, 29, 23, 59, tzinfo=UTC)


def test_a_question_is_taken_off_the_day_s_budget() -> None:
    assert Budget(2, 0, DAY).spend(EVENING) == Budget(2, 1, DAY)


def test_a_spent_budget_gives_nothing_until_the_next_day_in_utc() -> None:
    spent = Budget(2, 2, DAY)
    assert spent.spend(EVENING) is None
    seoul = timezone(timedelta(hours=9))
    assert spent.spend(datetime(2024, 10, 30, 8, 59, tzinfo=seoul)) is None
    assert spent.spend(datetime(2024, 10, 30, 9, 0, tzinfo=seoul)) == Budget(2, 1, date(2024, 10, 30))


def test_a_clock_set_back_does_not_fill_the_purse_again() -> None:
    assert Budget(2, 2, DAY).spend(EVENING - timedelta(days=1)) is None
    assert Budget(2, 1, DAY).spend(EVENING - timedelta(days=1)) == Budget(2, 2, DAY)


@given(st.integers(0, 4), st.lists(st.datetimes(datetime(2024, 10, 27), datetime(2024, 11, 2))))  # noqa: DTZ001 - made UTC below
def test_a_budget_never_overspends(limit: int, times: list[datetime]) -> None:
    budget = Budget(limit, 0, DAY)
    granted: Counter[date] = Counter()
    for time in times:
        if left := budget.spend(time.replace(tzinfo=UTC)):
            assert left.day >= budget.day
            budget = left
            granted[budget.day] += 1
        assert 0 <= budget.spent <= limit
    assert all(count <= limit for count in granted.values())


@given(st.integers(0, 4), st.integers(0, 9))
def test_a_day_grants_exactly_its_limit(limit: int, asked: int) -> None:
    budget, granted = Budget(limit, 0, DAY), 0
    for _ in range(asked):
        if left := budget.spend(EVENING):
            budget, granted = left, granted + 1
    assert granted == min(limit, asked)
