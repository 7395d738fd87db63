"""Terms: which words, phrases and prefixes* stand in a text, and as what. Pure.

Takes terms as their authors wrote them, all at once, and looks at each text in one pass. Knows no topics and decides nothing.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import ahocorasick
import numpy as np
from numpy.typing import NDArray

from monitor.text import fold, script
from monitor.words import taken

#: Scripts that put no space beside a word of another script ("金砖BRICS峰会", "BRICS가"): where one ends, a word does.
_HAN, _HANGUL = "\u3005-\u3007\u3041-\u3096\u30a1-\u30fc\u3400-\u9fff\uf900-\ufaff", "\u1100-\u11ff\uac00-\ud7a3"
_ONE_WORD = rf"(?:[^\W{_HAN}{_HANGUL}]+|(?:(?=\w)[{_HAN}])+|[{_HANGUL}]+)"
#: What is no word parts words and is forgotten, a * in a text too.
_WORD = re.compile(_ONE_WORD)
_WORD_OR_PREFIX = re.compile(rf"{_ONE_WORD}\**")


@dataclass(frozen=True, slots=True)
class Term:
    """A word, a phrase or a prefix*, and the script that it is in."""

    written: str
    script: str


def terms_of(written: Iterable[str]) -> tuple[Term, ...]:
    """Read terms, keeping their order."""
    return tuple(map(_term, written))


@functools.lru_cache(maxsize=1 << 16)
def _term(written: str) -> Term:
    return Term(written, script(written))


class Lexicon:
    """All terms of all topics, ready to be found.

    Words are whole unless they end in *, Han stands anywhere, and a Russian or Ukrainian word in its dictionary form is
    looked for in all its forms (see `forms_of`). Making one costs some ten microseconds a term that was met before.
    """

    def __init__(self, terms: Iterable[str]) -> None:
        sought: dict[str, list[tuple[str, _Needle]]] = {}
        for term in dict.fromkeys(terms):
            for needle in _needles(term):
                sought.setdefault(needle.text, []).append((term, needle))
        self._automaton = ahocorasick.Automaton()
        self._automaton.add_word("\0", ())  # stands in no text; without a word it refuses to search
        for text, wanted in sought.items():
            self._automaton.add_word(text, tuple(wanted))
        self._automaton.make_automaton()

    def find(self, text: str) -> Found:
        """Look for all terms in a text."""
        searched = f" {' '.join(_WORD.findall(fold(text)))} "
        places: dict[str, _Place] = {}
        for last, wanted in self._automaton.iter(searched):
            for term, needle in wanted:
                if term not in places and (place := needle.place(searched, last + 1)):
                    places[term] = place
        return Found(text, searched, places)


def searched_words(text: str) -> set[str]:
    """The words of a text, as terms are looked for in it."""
    return set(_WORD.findall(fold(text)))


class Concordance:
    """Of a great many texts the words, each looked up once: so few of them are read for a term."""

    def __init__(self, words: Sequence[str], places: NDArray[np.uint32], bounds: NDArray[np.int64]) -> None:
        """words: each once. places: of each text its words' in `words`, one text after the other. bounds: where each begins."""
        self.words = words
        self.places = places
        self.bounds = bounds

    def take(self, rows: NDArray[np.intp]) -> Concordance:
        """Some of the texts, in the order given."""
        return Concordance(self.words, *taken(self.places, self.bounds, rows))

    def __add__(self, other: Concordance) -> Concordance:
        places = {word: n for n, word in enumerate(self.words)}
        moved = np.array([places.setdefault(word, len(places)) for word in other.words], dtype=np.uint32)
        bounds = np.append(self.bounds, other.bounds[1:] + self.bounds[-1])
        return Concordance(list(places), np.concatenate([self.places, moved[other.places]]), bounds)

    def may_hold(self, terms: Iterable[str]) -> dict[str, NDArray[np.intp]]:
        """By term, rising, the texts that have all words of one of its forms; all in which it stands are among them."""
        forms = {term: {tuple(_parts(needle.text)) for needle in _needles(term)} for term in terms}
        parts = {part: n for n, part in enumerate({part for each in forms.values() for form in each for part in form})}
        rows = self._having(list(parts))
        found = {}
        for term, each in forms.items():
            holding = [functools.reduce(np.intersect1d, [rows[parts[part]] for part in form]) for form in each]
            found[term] = functools.reduce(np.union1d, holding, _NONE)
        return found

    def _having(self, parts: Sequence[str]) -> list[NDArray[np.intp]]:
        """The texts that have each part in a word."""
        if not parts or not self.words:
            return [_NONE] * len(parts)
        automaton = ahocorasick.Automaton()
        for number, part in enumerate(parts):
            automaton.add_word(part, number)
        automaton.make_automaton()
        # a space on either side of each: no part has two in a row
        begins = np.cumsum([0, *(len(word) + 2 for word in self.words)])
        hits = np.array(list(automaton.iter("".join(f" {word} " for word in self.words))), dtype=np.intp).reshape(-1, 2)
        words = np.searchsorted(begins, hits[:, 0], side="right") - 1
        wanted = np.zeros(len(self.words), dtype=np.bool_)
        wanted[words] = True
        there = np.flatnonzero(wanted[self.places])
        there = there[np.argsort(self.places[there], kind="stable")]
        sorted_words = self.places[there]
        texts = np.searchsorted(self.bounds, there, side="right") - 1
        rows: list[list[NDArray[np.intp]]] = [[_NONE] for _ in parts]
        for word, part in dict.fromkeys(zip(words.tolist(), hits[:, 1].tolist(), strict=True)):
            start, end = np.searchsorted(sorted_words, [word, word + 1]).tolist()
            rows[part].append(texts[start:end])
        return [np.unique(np.concatenate(each)) for each in rows]


_NONE = np.zeros(0, dtype=np.intp)


def _parts(searched: str) -> Iterator[str]:
    """The words of a piece of what is searched, each with the spaces beside it."""
    words = searched.split(" ")
    for n, word in enumerate(words):
        if word:
            yield f"{' ' * (n > 0)}{word}{' ' * (n < len(words) - 1)}"


#: where in a searched text a term begins and ends
_Place: TypeAlias = tuple[int, int]


class Found:
    """The terms that stand in one text."""

    def __init__(self, text: str, searched: str, places: Mapping[str, _Place]) -> None:
        self._text = text
        self._searched = searched
        self._places = places

    def __iter__(self) -> Iterator[str]:
        """The terms that stand in the text, as their authors wrote them."""
        return iter(self._places)

    def __contains__(self, term: str) -> bool:
        return term in self._places

    def among(self, terms: Iterable[Term]) -> tuple[str, ...]:
        """Those of the terms that stand in the text, as their author wrote them."""
        return tuple(term.written for term in terms if term.written in self._places)

    def words(self, term: str) -> str:
        """The words of the text that a found term stands in it as: "санкция" may be found as "Санкциями"."""
        start, end = self._places[term]
        if not self._origins:
            return self._searched[start:end]
        return " ".join(self._text[self._origins[start] : self._origins[end - 1] + 1].split())

    @functools.cached_property
    def _origins(self) -> list[int]:
        """Of each sign of what was searched its place in the text; empty if signs of the text melt into one another."""
        folds = [fold(sign) for sign in self._text]
        folded = "".join(folds)
        if folded != fold(self._text):
            return []
        origins = [place for place, signs in enumerate(folds) for _ in signs]
        searched = [0]  # the space before the first word; no term begins or ends with one
        for word in _WORD.finditer(folded):
            searched += [*origins[word.start() : word.end()], 0]
        return searched


class _Needle(NamedTuple):
    """What is looked for of a term: a piece of text that must stand there, and where it does, what else must."""

    #: begins and ends with a space where a word does
    text: str
    #: the last word may go on
    goes_on: bool
    #: the whole term as a regular expression; empty if the piece is all of it
    whole: str

    def place(self, searched: str, end: int) -> _Place | None:
        """Where the term stands, given that the piece ends here."""
        if self.whole:
            match = _expression(self.whole).search(searched)
            return match.span() if match else None
        start = end - len(self.text) + self.text.startswith(" ")
        if self.goes_on:
            return start, searched.index(" ", end)
        return start, end - self.text.endswith(" ")


#: Python's own memory of expressions is for 512 of them.
_expression = functools.lru_cache(maxsize=1 << 14)(re.compile)


# Topics of a pack name the same countries, and a reload brings most terms again.
@functools.lru_cache(maxsize=1 << 17)
def _needles(term: str) -> tuple[_Needle, ...]:
    needles = (_needle(_WORD_OR_PREFIX.findall(phrase)) for phrase in forms_of(term))
    return tuple(dict.fromkeys(needle for needle in needles if needle))


def _needle(words: Sequence[str]) -> _Needle | None:
    """Put words together as they stand in what is searched: one space between, and none needed between Han."""
    pieces, whole, after_han, open_end = [""], "", False, False
    for word in words:
        stem = word.rstrip("*")
        han = script(stem) == "Han"
        if open_end or (han and after_han):  # what stands between the two is not known
            pieces.append("")
        if not (han and (after_han or not whole)):
            pieces[-1] += " "
        pieces[-1] += stem
        whole += (" ?" if han and after_han else " ") if whole else "" if han else r"(?<!\S)"
        open_end = not han and word != stem
        whole += re.escape(stem) + ("" if han else r"\S*" if open_end else r"(?!\S)")
        after_han = han
    if not words:
        return None
    if not (after_han or open_end):
        pieces[-1] += " "
    return _Needle(max(pieces, key=len), open_end, whole if len(pieces) > 1 else "")


# -- inflection -----------------------------------------------------------------------------------

#: pymorphy3 (Korobov 2015, "Morphological analyzer and generator for Russian and Ukrainian languages") ships no types.
_Analyzer: TypeAlias = Any
#: one reading of a word: what it is, of which dictionary form, and all the forms of that
_Reading: TypeAlias = Any
#: "masc", "femn" or "neut" for a singular, else "plur"; and a case
_Stand: TypeAlias = tuple[str, str]

#: Two languages with two numbers and six cases give some thirty; what goes on beyond is no phrase.
_MAX_FORMS = 60
#: A shorter noun without an adjective stays as it is: too many are abbreviations or Chinese names ("сот", "ван").
_SHORTEST_NOUN = 4
#: A word that no dictionary has is inflected from this length on. Measured: DESIGN.md, "Matching".
_SHORTEST_GUESS = 5
_CHUNK = re.compile(r"\w+(?:['-]\w+)*\**")
#: without it no dictionary is loaded
_WORTH_READING = re.compile(r"[а-яєіїґ]{4,}(?![\w*])")
_RUSSIAN_LETTERS = re.compile("[а-я]+")
#: Russian has remnants of further cases ("в снегу"); adjectives stand in these beside them.
_CASES = {case: case for case in ("nomn", "gent", "datv", "accs", "ablt", "loct")} | {
    "gen1": "gent", "gen2": "gent", "acc2": "accs", "loc1": "loct", "loc2": "loct",
}  # fmt: skip
_NAMES = frozenset({"Name", "Surn", "Patr"})


def forms_of(term: str) -> list[str]:
    """Give all that a term is looked for as: itself, folded, and what Russian or Ukrainian makes of it.

    Only dictionary forms are inflected: the first noun, with the adjectives before it and the names after it. All other
    words of a phrase and each prefix* stay as they are: "план мира", "плана мира".
    """
    folded = fold(term)
    phrases = {folded: None}
    if _WORTH_READING.search(folded):
        for analyzer in _analyzers():
            words = [word for chunk in _CHUNK.findall(folded) for word in _dictionary_words(chunk, analyzer)]
            if not any(_is_foreign(word, analyzer) for word in words):
                phrases |= {" ".join(form): None for form in _forms(words, analyzer)}
    return list(itertools.islice(phrases, _MAX_FORMS))


@functools.cache
def _analyzers() -> tuple[_Analyzer, ...]:
    """Load the dictionaries: Russian, and Ukrainian where it is installed."""
    import pymorphy3  # a fifth of a second and 50 MB, which a pack without Cyrillic need not spend

    found = [pymorphy3.MorphAnalyzer(lang="ru")]
    with contextlib.suppress(ValueError):  # how it says that it has no such dictionary
        found.append(pymorphy3.MorphAnalyzer(lang="uk"))
    return tuple(found)


def forget_dictionaries() -> None:
    """Let go of the dictionaries, 40 MB, once all terms were read; the next term that needs them loads them again.

    Not while another thread makes a `Lexicon`.
    """
    for kept in (_analyzers, _readings, _knows):  # the latter two know them by who reads
        kept.cache_clear()


def _dictionary_words(chunk: str, analyzer: _Analyzer) -> list[str]:
    """Part what is written with hyphens, unless it is one word ("премьер-министр")."""
    return [chunk] if "-" not in chunk or _knows(analyzer, chunk) else chunk.split("-")


def _forms(words: Sequence[str], analyzer: _Analyzer) -> Iterator[tuple[str, ...]]:
    """Give a phrase by its first noun; without one, by its first word, if that is an adjective."""
    for place, (word, following) in enumerate(itertools.zip_longest(words, words[1:], fillvalue="")):
        if any(_adjectives(word, _stand(noun), analyzer) for noun in _lemmas(following, "NOUN", analyzer)):
            continue  # "военный" is a noun too, but not in "военный конфликт"
        nouns = _lemmas(word, "NOUN", analyzer)
        if found := [form for noun in nouns for form in _by_noun(words, place, noun, analyzer)]:
            yield from found
            return
    for adjective in _lemmas(words[0], "ADJF", analyzer):
        for form in _declined(adjective):
            yield fold(form.word), *words[1:]


def _by_noun(words: Sequence[str], place: int, noun: _Reading, analyzer: _Analyzer) -> Iterator[tuple[str, ...]]:
    own = _stand(noun)
    if own[1] != "nomn":  # the same word again, read as an accusative
        return
    beside: dict[int, list[_Reading]] = {}  # of the places around it, those whose words go with the noun
    for other in range(place - 1, -1, -1):
        if not (adjectives := _adjectives(words[other], own, analyzer)):
            break
        beside[other] = adjectives
    for other in range(place + 1, len(words)):
        if not (names := _names(words[other], own, analyzer, after_name=_is_name(noun))):
            break
        beside[other] = names
    if len(words[place]) < _SHORTEST_NOUN and not beside:
        return
    for form in _declined(noun):
        stand, word = _stand(form), fold(form.word)
        if stand[0] not in (own[0], "plur") or (not beside and _means_another(word, words[place], noun)):
            continue
        choices = [{kept} for kept in words]
        choices[place] = {word}
        for other, readings in beside.items():
            choices[other] = {fold(one.word) for each in readings for one in _declined(each) if _stand(one) == stand}
        yield from itertools.product(*choices)


def _adjectives(word: str, stand: _Stand, analyzer: _Analyzer) -> list[_Reading]:
    return [one for one in _readings(word, analyzer) if one.tag.POS == "ADJF" and _stand(one) == stand]


def _names(word: str, stand: _Stand, analyzer: _Analyzer, *, after_name: bool) -> list[_Reading]:
    """Read a word as a name that stands beside a noun; what nobody knows is one if it follows one."""
    unknown = after_name and not _knows(analyzer, word)
    return [
        one
        for one in _readings(word, analyzer)
        if (unknown or _is_name(one)) and "Fixd" not in one.tag.grammemes and _stand(one) == stand
    ]


def _lemmas(word: str, part: str, analyzer: _Analyzer) -> list[_Reading]:
    """Read a word as the dictionary form of a noun or an adjective that inflects; empty if it is more likely another form.

    "Кина" may be a currency, and is a form of "кино" (and, in Macedonian, China).
    """
    readings = _readings(word, analyzer)
    own = [one for one in readings if fold(one.normal_form) == word]
    # The Ukrainian dictionary has not counted what is likely. Whoever writes "Песков" hardly means the genitive of sand.
    enough = 0.0 if any(map(_is_name, own)) else 0.5 if analyzer is _analyzers()[0] else 0.25
    if sum(one.score for one in own) < enough * sum(one.score for one in readings):
        return []
    return [one for one in own if part == one.tag.POS and not one.tag.grammemes & {"Fixd", "Abbr"}]


@functools.lru_cache(maxsize=1 << 12)
def _readings(word: str, analyzer: _Analyzer) -> tuple[_Reading, ...]:
    """Read a word in every way; one that no dictionary has, in the likeliest, if it looks Russian."""
    if _knows(analyzer, word):
        return tuple(analyzer.parse(word))
    guessed = len(word) >= _SHORTEST_GUESS and _RUSSIAN_LETTERS.fullmatch(word) and analyzer is _analyzers()[0]
    return tuple(analyzer.parse(word)[:1]) if guessed and not _is_foreign(word, analyzer) else ()


def _declined(reading: _Reading) -> list[_Reading]:
    """Give all forms of a noun or an adjective but vocatives, short forms and superlatives."""
    return [
        one
        for one in reading.lexeme
        if one.tag.POS == reading.tag.POS and _stand(one)[1] and "Supr" not in one.tag.grammemes
    ]


def _stand(reading: _Reading) -> _Stand:
    """Tell number or gender, and case; the latter is empty for a vocative, and for what has none."""
    grammemes = reading.tag.grammemes
    number = next((one for one in ("plur", "masc", "femn", "neut") if one in grammemes), "")
    return number, next((case for one, case in _CASES.items() if one in grammemes), "")


def _is_name(reading: _Reading) -> bool:
    return bool(reading.tag.grammemes & _NAMES)


def _is_foreign(word: str, analyzer: _Analyzer) -> bool:
    """Tell whether only another dictionary has the word; a name may be of any language."""
    others = [] if _knows(analyzer, word) else [other for other in _analyzers() if _knows(other, word)]
    return any(not _is_name(one) for other in others for one in _readings(word, other))


@functools.lru_cache(maxsize=1 << 12)  # the dictionary is read in Python: a quarter of the time that a term takes
def _knows(analyzer: _Analyzer, word: str) -> bool:
    return bool(analyzer.word_is_known(word))


#: words that any text has: "ради" is the genitive of the Ukrainian council, and Russian "for the sake of"
_EVERYWHERE = frozenset({"ADVB", "COMP", "CONJ", "INTJ", "NPRO", "NUMR", "PRCL", "PRED", "PREP"})


def _means_another(form: str, lemma: str, noun: _Reading) -> bool:
    """Tell whether a form is mostly one of another, Russian word: "после" of "посол", "стали" of "сталь"."""
    readings = _readings(form, _analyzers()[0]) if _knows(_analyzers()[0], form) else ()
    own = [one.score for one in readings if fold(one.normal_form) == lemma]
    scores = [one.score for one in readings]
    # of common words that can be read in two ways the dictionary has counted in a corpus which is meant; others weigh the same
    if len(set(scores)) > 1:
        return bool(2 * sum(own) < sum(scores))
    # a form of a name, or of what was guessed, is not worth a word of the language: "маска" of "Маск"
    costly = _is_name(noun) or not noun.is_known or any(one.tag.POS in _EVERYWHERE for one in readings)
    return bool(readings) and not own and costly
