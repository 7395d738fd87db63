"""What a rarity means, on scores whose distribution is known.

With vectors of one dimension a score is the square root of how far an item lies (`line`), so any distribution of scores can
be had; with many, each topic is a direction of its own.
"""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.background import ENOUGH, Background, Sample, Tongue
from monitor.rarity import TAIL_ITEMS, Ranks, TopicTexts
from monitor.words import Bags, WordIds, WordWeights, word_ids

ENGLISH, GERMAN = Tongue("en", "Latin"), Tongue("de", "Latin")
RUSSIAN, KOREAN = Tongue("ru", "Cyrillic"), Tongue("ko", "Hangul")
NO_WORDS = word_ids("")

Matrix = NDArray[np.float32]
Scores = NDArray[np.float64]


def sample(vectors: Matrix, tongue: Tongue = ENGLISH, words: list[WordIds] | None = None) -> Sample:
    return Sample(vectors.astype(np.float32), [tongue] * len(vectors), words or [NO_WORDS] * len(vectors))


def topic(vectors: Matrix | Scores, *words: str) -> TopicTexts:
    return TopicTexts(vectors.astype(np.float32), tuple(map(word_ids, words)) or (NO_WORDS,) * len(vectors))


def ranks(topics: list[TopicTexts], background: Background) -> Ranks:
    return Ranks(topics, [np.zeros((0, background.dimension), dtype=np.float32)] * len(topics), background)


def rarities(known: Ranks, centred: Matrix, tongue: Tongue = ENGLISH) -> Matrix:
    """Of texts without words."""
    return with_words(known, centred, [NO_WORDS] * len(centred), tongue)


def with_words(known: Ranks, centred: Matrix, words: list[WordIds], tongue: Tongue) -> Matrix:
    return known.rarities(centred, known.shared_words(Bags.of(words)), tongue)


# -- one topic on a line ---------------------------------------------------------------------------


def line(scores: Scores) -> Matrix:
    """Items that score so, up to a factor, for a topic that lies at 1."""
    return (scores * np.abs(scores))[:, None].astype(np.float32)


def along(background: Background) -> Ranks:
    return ranks([topic(np.ones((1, 1), dtype=np.float32))], background)


def seeded(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


TENTHS = st.integers(-300, 300).map(lambda tenths: tenths / 10)


@settings(deadline=None)
@given(st.lists(TENTHS, min_size=2, max_size=ENOUGH + 50), st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
@example([1.0, 2.0, *[3.0] * 200], [2.0, 3.0, 3.1])
def test_rarity_is_finite_and_never_falls_as_the_score_rises(ordinary: list[float], asked: list[float]) -> None:
    assume(len(set(ordinary)) > 1)
    background = Background(sample(line(np.array(ordinary))), (1,))
    assert_in_order(background, np.concatenate([background.rows, line(np.array(asked))]))


@pytest.mark.parametrize("score", [1.5, 1.7, 1.8, 1.9, 2.0])
def test_items_that_are_one_text_over_and_over_are_as_rare_as_they_are_many(score: float) -> None:
    scores = np.sort(seeded(1).normal(size=400))
    scores[-10:] = score
    background = Background(sample(line(scores)), (1,))
    rarity = assert_in_order(background, background.rows)
    assert 1.2 < rarity[-1] < 2.5


def assert_in_order(background: Background, items: Matrix) -> Matrix:
    """Give the rarities of items on a line, from the lowest score to the highest."""
    rarity: Matrix = rarities(along(background), np.sort(items, axis=0))[:, 0]
    assert np.isfinite(rarity).all()
    assert (rarity >= 0).all()
    assert (np.diff(rarity) >= -1e-5 * rarity[1:]).all()
    return rarity


@settings(deadline=None, max_examples=25)
@given(st.lists(TENTHS, min_size=101, max_size=101, unique=True))
def test_the_median_is_one_in_two_and_the_nine_tenths_quantile_one_in_ten(ordinary: list[float]) -> None:
    background = Background(sample(line(np.sort(ordinary))), (1,))
    assume(background.rows.all())  # an item at the very centre has no vector
    rarity = rarities(along(background), background.rows)[:, 0]
    assert rarity[50] == pytest.approx(math.log10(2), abs=1e-3)
    assert rarity[90] == pytest.approx(1.0, abs=1e-3)


NORMAL = seeded(2).normal(size=(4, 4_000))
HEAVIER = seeded(3).standard_t(5, size=(4, 4_000))


@pytest.mark.parametrize("rounds", [NORMAL, HEAVIER], ids=["normal", "Student, 5 degrees"])
def test_one_in_so_many_ordinary_items_is_as_rare_as_that(rounds: Scores) -> None:
    fresh = seeded(4).normal(size=20_000) if rounds is NORMAL else seeded(4).standard_t(5, size=20_000)
    for ordinary in rounds:
        rarity = rarities(along(Background(sample(line(ordinary)), (1,))), line(fresh))[:, 0]
        for one_in in (100, 300):
            share = (rarity >= math.log10(one_in)).mean() * one_in
            assert 1 / 3 < share < 3


def test_far_out_each_step_is_worth_the_same() -> None:
    """So far no sample reaches; the tail goes on as an exponential, and without end."""
    background = Background(sample(line(NORMAL[0])), (1,))
    rarity = rarities(along(background), line(np.arange(10.0, 100.0, 10.0)))[:, 0]
    steps = np.diff(rarity)
    assert rarity[0] > 6
    assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-3)


# -- languages -------------------------------------------------------------------------------------


def test_each_language_has_its_own_place_and_shares_the_tail_while_it_is_small() -> None:
    """What scatters widely in one language is not rare there, and would be in another."""
    rng = seeded(5)
    quiet, loud = rng.normal(size=301), 5 * rng.normal(size=3_000)
    assert ENOUGH < len(quiet) < TAIL_ITEMS < len(loud)
    background = Background(sample(line(np.sort(quiet)), ENGLISH) + sample(line(loud), GERMAN), (1,))
    known = along(background)
    rarity = rarities(known, background.rows[:301])[:, 0]
    assert (rarity[150], rarity[270]) == pytest.approx((math.log10(2), 1.0), abs=1e-3)
    item = line(np.array([4.0]))
    assert rarities(known, item, ENGLISH) > 3
    assert rarities(known, item, GERMAN) < 1
    # a language never seen is measured by its script
    assert rarities(known, item, Tongue("fr", "Latin")) == pytest.approx(
        rarities(known, item, Tongue("", "Latin")), abs=1e-6
    )


@pytest.mark.parametrize("first", [ENGLISH, RUSSIAN])
def test_what_was_asked_before_changes_nothing(first: Tongue) -> None:
    """Too few of both for scales of their own; and an English item has two living parts, a Russian one."""
    rng = seeded(6)
    rows = rng.normal(size=(160, 8)).astype(np.float32)
    rows[80:, :4] = 0
    background = Background(sample(rows[:80], ENGLISH) + sample(rows[80:], RUSSIAN), (4, 8))
    topics = [topic(rng.normal(size=(3, 8))) for _ in range(3)]
    asked = ranks(topics, background)
    rarities(asked, background.rows[:1] if first is ENGLISH else background.rows[-1:], first)
    for tongue, items in ((ENGLISH, background.rows[:80]), (RUSSIAN, background.rows[80:])):
        fresh = ranks(topics, background)
        assert rarities(asked, items, tongue) == pytest.approx(rarities(fresh, items, tongue), abs=1e-4)


def test_where_no_engine_reads_nothing_is_rare() -> None:
    rows = seeded(7).normal(size=(400, 4)).astype(np.float32)
    rows[200:] = 0
    background = Background(sample(rows[:200], ENGLISH) + sample(rows[200:], RUSSIAN), (4,))
    texts = topic(rows[:2], "sanctions on oil", "oil")
    known = Ranks([texts], [rows[2:4]], background)
    dead = np.zeros((2, 4), dtype=np.float32)
    assert with_words(known, dead, [word_ids("sanctions on oil"), NO_WORDS], RUSSIAN).tolist() == [[0.0], [0.0]]
    assert known.contrast(0, dead[0], RUSSIAN) == 0.0


def test_without_topics_there_is_nothing_to_be_rare_in() -> None:
    background = Background(sample(NORMAL[0][:200, None]), (1,))
    assert rarities(ranks([], background), background.rows[:3]).shape == (3, 0)


# -- many topics -----------------------------------------------------------------------------------

DIMENSION, TOPICS = 32, 20


class World:
    """Ordinary news that scatters alike in all directions, and topics that each have one of their own."""

    def __init__(self) -> None:
        self.rng = seeded(8)
        self.axes = np.linalg.qr(self.rng.normal(size=(DIMENSION, DIMENSION)))[0]
        self.clean = self.ordinary(4_000)
        self.topics = [topic(self.about(n, 5)) for n in range(TOPICS)]

    def ordinary(self, count: int) -> Matrix:
        rows: Matrix = self.rng.normal(size=(count, DIMENSION)).astype(np.float32)
        return rows

    def about(self, theme: int, count: int) -> Matrix:
        rows: Matrix = self.ordinary(count) + np.float32(8) * self.axes[theme].astype(np.float32)
        return rows

    def learnt(self, ordinary: Matrix) -> tuple[Ranks, Background]:
        background = Background(sample(ordinary), (DIMENSION,))
        return ranks(self.topics, background), background

    def said(self, learnt: tuple[Ranks, Background], items: Matrix) -> Matrix:
        known, background = learnt
        return rarities(known, background.centred(items, [ENGLISH] * len(items)))


WORLD = World()


def test_topics_compare() -> None:
    """One bar for all lets through as many false alarms of each."""
    rarity = WORLD.said(WORLD.learnt(WORLD.clean), WORLD.ordinary(10_000))
    for one_in in (100, 300):
        shares = (rarity >= math.log10(one_in)).mean(axis=0) * one_in
        assert (shares > 1 / 3).all(), shares
        assert (shares < 3).all(), shares


def test_a_background_that_tells_of_a_topic_hardly_makes_it_less_rare() -> None:
    dirty = WORLD.clean.copy()
    dirty[::50] = WORLD.about(0, 80)  # two in a hundred
    clean, contaminated = WORLD.learnt(WORLD.clean), WORLD.learnt(dirty)
    fresh = WORLD.ordinary(10_000)
    before, after = WORLD.said(clean, fresh), WORLD.said(contaminated, fresh)
    rare = np.argsort(before[:, 0])[-30:-10]  # one in five hundred
    assert np.abs(before[rare, 0] - after[rare, 0]).max() < 0.8
    assert np.abs(before[:, 1:] - after[:, 1:]).max() < 0.5
    assert np.median(WORLD.said(contaminated, WORLD.about(0, 200))[:, 0]) > math.log10(2_000)


def test_the_order_of_topics_changes_nothing() -> None:
    order = seeded(9).permutation(TOPICS)
    background = Background(sample(WORLD.clean), (DIMENSION,))
    there = rarities(ranks([WORLD.topics[n] for n in order], background), WORLD.clean[:50])
    here = rarities(ranks(WORLD.topics, background), WORLD.clean[:50])
    assert there == pytest.approx(here[:, order], abs=1e-2)


def test_contrast_is_half_at_the_topics_mean_and_minus_half_at_its_look_alikes() -> None:
    background = Background(sample(WORLD.clean), (DIMENSION,))
    negatives = [WORLD.about(n + 1, 3) for n in range(TOPICS)]
    known = Ranks(WORLD.topics, negatives, background)
    for place in (0, 7):
        own, against = WORLD.topics[place].vectors.mean(axis=0), negatives[place].mean(axis=0)
        contrasts = [known.contrast(place, vector, ENGLISH) for vector in (own, against, (own + against) / 2)]
        assert contrasts == pytest.approx([0.5, -0.5, 0.0], abs=1e-3)


# -- words -----------------------------------------------------------------------------------------

#: of a hundred texts, how many have the word
SEEN = {"talks": 90, "sanctions": 30, "grain": 10, "kazan": 1}
COUNTRIES = [word_ids(" ".join(w for w, count in SEEN.items() if n % 100 < count)) for n in range(1_000)]
WEIGHTS = WordWeights(COUNTRIES)


def wordy(*topics: TopicTexts) -> tuple[Ranks, Matrix]:
    """Topics on a line, and an item so far out that each step in score is worth the same."""
    scores = seeded(10).normal(size=1_000)
    background = Background(sample(line(scores), ENGLISH, COUNTRIES), (1,))
    return ranks(list(topics), background), line(np.array([12.0]))


def raised(known: Ranks, item: Matrix, text: str, tongue: Tongue = ENGLISH) -> Matrix:
    """What the words of a text add to each topic's rarity."""
    raises: Matrix = (with_words(known, item, [word_ids(text)], tongue) - with_words(known, item, [NO_WORDS], tongue))[
        0
    ]
    return raises


def likeness(text: str, *texts: str) -> float:
    """The cosine that is meant, by hand; the mean over a topic's texts."""

    def weighed(words: str) -> dict[int, float]:
        ids = word_ids(words)
        return dict(zip(ids.tolist(), WEIGHTS.of(ids).tolist(), strict=True))

    own = weighed(text)
    return sum(own.get(word, 0.0) * weight for one in texts for word, weight in weighed(one).items()) / len(texts)


ONE = np.ones((1, 1), dtype=np.float32)
TOPIC_WORDS = "talks sanctions grain kazan"


def test_the_rarer_a_shared_word_the_more_it_raises() -> None:
    known, item = wordy(topic(ONE, TOPIC_WORDS))
    rises = [float(raised(known, item, f"{word} unheard")[0]) for word in (*SEEN, "nothing")]
    assert rises[:-1] == sorted(rises[:-1])
    assert rises[0] > rises[-1] == 0


@pytest.mark.parametrize(
    "text", ["talks", "talks sanctions", "grain talks", "kazan grain", "kazan of all places", TOPIC_WORDS]
)
def test_words_raise_by_the_cosine_of_their_rarities(text: str) -> None:
    texts = ("talks sanctions", "grain", "kazan at last")
    known, item = wordy(topic(np.ones((3, 1)), *texts))
    whole = float(raised(known, item, "kazan")[0]) / likeness("kazan", *texts)
    assert whole > 0
    assert float(raised(known, item, text)[0]) == pytest.approx(whole * likeness(text, *texts), rel=0.01, abs=0.01)


def test_words_raise_only_the_topics_that_have_them() -> None:
    known, item = wordy(topic(ONE, "grain"), topic(ONE, "зерно"), topic(ONE, ""), topic(ONE, "grain", "talks"))
    raises = raised(known, item, "grain")
    assert raises[1] == raises[2] == 0
    assert min(raises[0], raises[3]) > 0


def test_a_topic_without_words_in_the_script_of_the_item_gets_none() -> None:
    known, item = wordy(topic(ONE, "sanctions"), topic(ONE, "sanctions", "санкции"))
    russian = raised(known, item, "Санкции", RUSSIAN)
    assert russian[0] == 0
    assert russian[1] > 0


def test_words_count_whatever_the_order_of_texts() -> None:
    known, item = wordy(topic(ONE, TOPIC_WORDS))
    texts = [word_ids(text) for text in ("kazan", "", "talks")]
    together = with_words(known, np.repeat(item, 3, axis=0), texts, ENGLISH)
    alone = [with_words(known, item, [words], ENGLISH)[0] for words in texts]
    assert together == pytest.approx(np.stack(alone))
