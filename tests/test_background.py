"""Where ordinary news lies: means of languages, what lives where, and how it scatters."""

import make
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from monitor import background
from monitor.background import ENOUGH, LEANING, Background, Parts, Sample, Tongue, cosine, tongue
from monitor.words import word_ids

#: The first engine reads Latin only, the second everything.
PARTS = (2, 5)
ENGLISH, GERMAN = Tongue("en", "Latin"), Tongue("de", "Latin")
RUSSIAN, KOREAN = Tongue("ru", "Cyrillic"), Tongue("ko", "Hangul")
FRENCH, GREEK = Tongue("fr", "Latin"), Tongue("el", "Other")
NO_WORDS = word_ids("")

Matrix = NDArray[np.float32]


def scattered(around: float, count: int, *, latin: bool = True, seed: int = 1) -> Matrix:
    rows = np.random.default_rng(seed).normal(around, 0.5, size=(count, PARTS[-1])).astype(np.float32)
    if not latin:
        rows[:, : PARTS[0]] = 0
    return rows


def sample(*groups: tuple[Tongue, Matrix]) -> Sample:
    tongues = [tongue for tongue, rows in groups for _ in rows]
    return Sample(np.concatenate([rows for _, rows in groups]), tongues, [NO_WORDS] * len(tongues))


EN, DE = scattered(1, 400), scattered(3, 10, seed=2)
RU, KO = scattered(5, 200, latin=False, seed=3), scattered(7, 20, latin=False, seed=4)
SAMPLE = sample((ENGLISH, EN), (GERMAN, DE), (RUSSIAN, RU), (KOREAN, KO))
NEWS = Background(SAMPLE, PARTS)

LATIN_MEAN = np.concatenate([EN, DE]).mean(axis=0)


# -- what a text is written in ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"title": "Talks in Kazan", "text": "", "language": "en"}, ENGLISH),
        ({"title": "Talks", "text": "Переговоры о расчётах идут в Казани", "language": "ru"}, RUSSIAN),
        ({"title": "Talks in Kazan", "text": "They go on. " * 30 + "Переговоры" * 99, "language": ""}, Tongue("", "Latin")),
    ],
)  # fmt: skip
def test_an_item_is_written_in_its_language_and_the_script_of_its_gist(fields: dict[str, str], told: Tongue) -> None:
    assert tongue(make.item(**fields)) == told


# -- samples ---------------------------------------------------------------------------------------


def test_samples_add_up_in_order() -> None:
    one = Sample(np.ones((1, 2), dtype=np.float32), [ENGLISH], [word_ids("one")])
    two = Sample(np.zeros((2, 2), dtype=np.float32), (RUSSIAN, GREEK), (word_ids("two"), NO_WORDS))
    both = one + two
    assert len(both) == 3
    assert both.vectors.tolist() == [[1, 1], [0, 0], [0, 0]]
    assert list(both.tongues) == [ENGLISH, RUSSIAN, GREEK]
    assert [ids.tolist() for ids in both.words] == [word_ids("one").tolist(), word_ids("two").tolist(), []]


@pytest.mark.parametrize(
    ("vectors", "tongues", "words"), [(0, 0, 0), (2, 1, 2), (1, 2, 2), (2, 2, 1), (0, 1, 1)], ids=str
)
def test_a_sample_that_is_empty_or_lacks_something_is_refused(vectors: int, tongues: int, words: int) -> None:
    with pytest.raises(ValueError, match="a background needs at least one item"):
        Background(Sample(np.ones((vectors, 2), dtype=np.float32), [ENGLISH] * tongues, [NO_WORDS] * words), (2,))


def test_the_sample_is_left_as_it_was() -> None:
    before = SAMPLE.vectors.copy()
    Background(SAMPLE, PARTS)
    assert np.array_equal(SAMPLE.vectors, before)


def test_what_is_in_it_is_counted_by_tongue() -> None:
    nameless = sample((ENGLISH, EN), (Tongue("", "Latin"), DE), (RUSSIAN, RU))
    assert Background(nameless, PARTS).tongues == {ENGLISH: 400, RUSSIAN: 200}
    assert len(Background(nameless, PARTS)) == 610


# -- means -----------------------------------------------------------------------------------------


def mean_of(tongue: Tongue, news: Background = NEWS) -> Matrix:
    """What is taken off a text in which both parts live."""
    text = np.ones((1, PARTS[-1]), dtype=np.float32)
    mean: Matrix = (text - news.centred(text, [tongue]))[0]
    return mean


@pytest.mark.parametrize(("tongue", "rows"), [(ENGLISH, EN), (GERMAN, DE)])
def test_a_language_with_few_items_leans_on_its_script(tongue: Tongue, rows: Matrix) -> None:
    own = len(rows) / (len(rows) + LEANING)
    assert mean_of(tongue) == pytest.approx(own * rows.mean(axis=0) + (1 - own) * LATIN_MEAN, abs=1e-4)


def test_many_items_outweigh_the_script_and_few_hardly_count() -> None:
    assert np.abs(mean_of(ENGLISH) - EN.mean(axis=0)).max() < 0.01
    assert np.abs(mean_of(GERMAN) - LATIN_MEAN).max() < np.abs(mean_of(GERMAN) - DE.mean(axis=0)).min()


@pytest.mark.parametrize("tongue", [FRENCH, Tongue("", "Latin"), Tongue("ru", "Latin")])
def test_a_language_never_seen_has_the_mean_of_its_script(tongue: Tongue) -> None:
    assert mean_of(tongue) == pytest.approx(LATIN_MEAN, abs=1e-4)


def test_a_script_never_seen_has_the_mean_of_all() -> None:
    assert mean_of(GREEK) == pytest.approx(SAMPLE.vectors.mean(axis=0), abs=1e-4)
    assert mean_of(Tongue("en", "Han")) == pytest.approx(SAMPLE.vectors.mean(axis=0), abs=1e-4)


def test_the_rows_are_the_sample_centred_in_its_order() -> None:
    centred = [
        NEWS.centred(vector[None], [tongue])[0] for vector, tongue in zip(SAMPLE.vectors, SAMPLE.tongues, strict=True)
    ]
    assert NEWS.rows == pytest.approx(np.stack(centred), rel=2**-11, abs=1e-7)  # half precision
    some = np.array([3, 0])
    assert (NEWS.some_rows(some) == NEWS.rows[some]).all()


def test_items_of_no_known_language_are_centred_on_their_script() -> None:
    nameless = Background(sample((ENGLISH, EN), (Tongue("", "Latin"), DE)), PARTS)
    assert nameless.rows[400:] == pytest.approx(DE - LATIN_MEAN, rel=2**-11, abs=1e-4)


def test_ordinary_news_of_two_languages_lies_in_one_place() -> None:
    assert np.abs(NEWS.rows[:400].mean(axis=0)).max() < 0.01
    assert np.abs(NEWS.rows[410:610, PARTS[0] :].mean(axis=0)).max() < 0.01


@pytest.mark.parametrize("tongue", [ENGLISH, FRENCH, RUSSIAN, GREEK])
def test_a_part_that_is_all_zero_stays_so(tongue: Tongue) -> None:
    texts = np.array([[0, 0, 3, 4, 5], [0, 0, 0, 0, 0], [1, 2, 3, 4, 5]], dtype=np.float32)
    for given_back in (NEWS.centred(texts, [tongue] * 3), NEWS.units(texts, [tongue] * 3)):
        assert (given_back != 0).tolist() == [[False] * 2 + [True] * 3, [False] * 5, [True] * 5]
    assert not NEWS.rows[410:, : PARTS[0]].any()


def test_texts_of_many_tongues_are_told_one_by_one() -> None:
    texts, tongues = EN[:4], [ENGLISH, RUSSIAN, GREEK, ENGLISH]
    for many in (NEWS.centred, NEWS.units):
        alone = [many(text[None], [tongue])[0] for text, tongue in zip(texts, tongues, strict=True)]
        assert np.array_equal(many(texts, tongues), np.stack(alone))
    assert np.array_equal(NEWS.unit(texts[2], GREEK), NEWS.units(texts, tongues)[2])
    assert NEWS.centred(texts[:0], []).shape == (0, 5)


VECTORS = arrays(np.float32, PARTS[-1], elements=st.floats(-10, 10, width=16))
TONGUES = st.sampled_from([ENGLISH, GERMAN, FRENCH, RUSSIAN, KOREAN, GREEK])


@given(VECTORS, TONGUES)
def test_each_living_part_of_a_unit_has_length_1_and_the_direction_of_what_is_centred(
    vector: Matrix, tongue: Tongue
) -> None:
    centred, unit = NEWS.centred(vector[None], [tongue])[0], NEWS.unit(vector, tongue)
    for start, end in NEWS.bounds:
        length = np.linalg.norm(centred[start:end])
        assert np.linalg.norm(unit[start:end]) == pytest.approx(1.0 if length else 0.0, abs=1e-4)
        assert unit[start:end] * length == pytest.approx(centred[start:end], abs=1e-3)


# -- by what a text is measured --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tongue", "enough", "name", "places"),
    [
        (ENGLISH, ENOUGH, ENGLISH, range(400)),
        (ENGLISH, 400, ENGLISH, range(400)),
        (ENGLISH, 401, Tongue("", "Latin"), range(410)),
        (ENGLISH, 411, Tongue("", ""), range(630)),
        (GERMAN, ENOUGH, Tongue("", "Latin"), range(410)),
        (GERMAN, 10, GERMAN, range(400, 410)),
        (FRENCH, ENOUGH, Tongue("", "Latin"), range(410)),
        (FRENCH, 0, Tongue("", "Latin"), range(410)),
        (Tongue("", "Latin"), ENOUGH, Tongue("", "Latin"), range(410)),
        (RUSSIAN, ENOUGH, RUSSIAN, range(410, 610)),
        (KOREAN, ENOUGH, Tongue("", ""), range(630)),
        (GREEK, ENOUGH, Tongue("", ""), range(630)),
    ],
)
def test_a_text_is_measured_by_its_language_else_its_script_else_all(
    tongue: Tongue, enough: int, name: Tongue, places: range
) -> None:
    found, rows = NEWS.rows_like(tongue, enough)
    assert (found, rows.tolist()) == (name, list(places))


# -- which parts live ------------------------------------------------------------------------------


def test_a_part_lives_in_a_script_that_its_engine_reads() -> None:
    assert NEWS.alive("Latin") == (True, True)
    assert NEWS.alive("Cyrillic") == NEWS.alive("Hangul") == (False, True)


def test_in_a_script_never_seen_lives_what_lives_in_all() -> None:
    assert NEWS.alive("Other") == (False, True)
    assert Background(sample((ENGLISH, EN)), PARTS).alive("Other") == (True, True)


def test_the_patterns_are_all_that_can_live() -> None:
    latin_only = np.zeros_like(RU)
    assert NEWS.patterns == {(True, True), (False, True)}
    assert Background(sample((ENGLISH, EN)), PARTS).patterns == {(True, True)}
    assert Background(sample((RUSSIAN, RU)), PARTS).patterns == {(False, True)}
    assert Background(sample((ENGLISH, EN), (RUSSIAN, latin_only)), PARTS).patterns == {(True, True)}
    assert Background(sample((RUSSIAN, latin_only)), PARTS).patterns == set()


def test_a_mean_is_taken_over_the_rows_in_which_a_part_lives() -> None:
    rows = np.array([[1, 1, 2, 2, 2], [0, 0, 4, 4, 4], [3, 3, 0, 0, 0]], dtype=np.float32)
    assert NEWS.mean(rows, (True, True)).tolist() == [2, 2, 3, 3, 3]
    assert NEWS.mean(rows, (False, True)).tolist() == [0, 0, 3, 3, 3]
    assert NEWS.mean(rows[1:2], (True, True)).tolist() == [0, 0, 4, 4, 4]
    assert NEWS.mean(rows[:0], (True, True)).tolist() == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("alive", "having", "live"),
    [
        ((True, True), [True, False, False], [1, 1, 1, 1, 1]),
        ((False, True), [True, True, False], [0, 0, 1, 1, 1]),
        ((True, False), [True, False, True], [1, 1, 0, 0, 0]),
        ((False, False), [True, True, True], [0, 0, 0, 0, 0]),
    ],
)
def test_rows_and_dimensions_that_have_these_parts(alive: Parts, having: list[bool], live: list[int]) -> None:
    rows = np.array([[1, 1, 2, 2, 2], [0, 0, 4, 4, 4], [3, 3, 0, 0, 0]], dtype=np.float32)
    assert NEWS.having(rows, alive).tolist() == having
    assert np.arange(NEWS.dimension)[NEWS.live(alive)].tolist() == np.flatnonzero(live).tolist()


# -- how it scatters -------------------------------------------------------------------------------

NO_PACK = np.zeros((0, PARTS[-1]), dtype=np.float32)


def crooked(count: int = 500) -> Background:
    """News that scatters more in some directions than in others; the second engine's vectors are four times as long."""
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(count, PARTS[-1])) @ rng.normal(size=(PARTS[-1], PARTS[-1])) * [1, 1, 4, 4, 4]
    return Background(sample((ENGLISH, rows.astype(np.float32))), PARTS)


def scatter(rows: Matrix) -> Matrix:
    return rows.T @ rows / np.float32(len(rows))


def test_without_shrinking_ordinary_news_scatters_alike_in_all_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "SHRINKAGE", 0.0)
    news = crooked()
    white = news.rows @ news.whitening((True, True), NO_PACK)
    assert scatter(white) == pytest.approx(np.eye(5), abs=1e-3)


def test_only_rows_with_all_living_parts_are_whitened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "SHRINKAGE", 0.0)
    both, second = (NEWS.whitening(alive, NO_PACK) for alive in ((True, True), (False, True)))
    assert (both.shape, second.shape) == ((5, 5), (3, 3))
    assert scatter(NEWS.rows[:410] @ both) == pytest.approx(np.eye(5), abs=1e-3)
    assert scatter(NEWS.rows[:, PARTS[0] :] @ second) == pytest.approx(np.eye(3), abs=1e-3)


def test_shrinking_draws_each_engine_to_its_own_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "SHRINKAGE", 1.0)
    news = crooked()
    variances = np.diag(scatter(news.rows))
    means = [variances[start:end].mean() for start, end in news.bounds]
    assert means[1] > 4 * means[0]
    expected = np.diag(np.repeat(means, [2, 3]) ** -0.5)
    assert news.whitening((True, True), NO_PACK) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_shrinking_a_little_whitens_a_little_less(monkeypatch: pytest.MonkeyPatch) -> None:
    news, uneven = crooked(), []
    for shrinkage in (0.0, 0.3, 0.9, 1.0):
        monkeypatch.setattr(background, "SHRINKAGE", shrinkage)
        strengths = np.linalg.eigvalsh(scatter(news.rows @ news.whitening((True, True), NO_PACK)))
        uneven.append(float(strengths[-1] / strengths[0]))
    assert uneven == sorted(uneven)
    assert uneven[-1] > 2 * uneven[0]


def test_what_the_texts_of_a_pack_have_in_common_is_worth_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "SHRINKAGE", 0.0)
    news = crooked()
    axis = np.array([0, 0, 1, 0, 0], dtype=np.float32)
    pack = axis * np.linspace(1, 2, 30, dtype=np.float32)[:, None] + np.float32(0.01)
    alone, among = (news.whitening((True, True), texts) for texts in (NO_PACK, pack))
    assert np.linalg.norm(axis @ among) < 0.9 * np.linalg.norm(axis @ alone)
    # how loud the pack is does not matter, and what is not in all living parts does not count
    assert news.whitening((True, True), 10 * pack) == pytest.approx(among, rel=1e-3, abs=1e-5)
    deaf = pack * [0, 0, 1, 1, 1]
    assert np.array_equal(news.whitening((True, True), deaf.astype(np.float32)), alone)


@settings(deadline=None, max_examples=30)
@given(arrays(np.float32, (12, PARTS[-1]), elements=st.floats(-1, 1, width=16), unique=True))
def test_whatever_scatters_can_be_whitened(rows: Matrix) -> None:
    news = Background(sample((ENGLISH, rows)), PARTS)
    for alive in news.patterns:
        assert np.isfinite(news.whitening(alive, rows[:3])).all()


# -- likeness --------------------------------------------------------------------------------------


def test_likeness_is_the_mean_over_shared_parts() -> None:
    units = np.array([[1, 0, 1, 0], [0, 0, 0, 1]], dtype=np.float32)
    assert cosine(units, np.array([1, 0, 1, 0], dtype=np.float32)).tolist() == [1, 0]
    assert cosine(units, np.array([0, 0, 1, 0], dtype=np.float32)).tolist() == [1, 0]
    assert cosine(units, np.zeros(4, dtype=np.float32)).tolist() == [0, 0]


@given(VECTORS, VECTORS, TONGUES, TONGUES)
def test_likeness_is_a_cosine_whichever_is_first(one: Matrix, other: Matrix, here: Tongue, there: Tongue) -> None:
    first, second = NEWS.unit(one, here), NEWS.unit(other, there)
    likeness = float(cosine(first[None], second)[0])
    assert -1.001 <= likeness <= 1.001
    assert likeness == pytest.approx(float(cosine(second[None], first)[0]), abs=1e-5)
    if np.any(first):
        assert float(cosine(first[None], first)[0]) == pytest.approx(1.0, abs=1e-4)
