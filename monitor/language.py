"""Tell the language of a text: by its script, by its alphabet, and where both leave a choice, by py3langid. Pure.

Takes plain text and what its publisher declared, gives ISO 639-1. Believes the publisher unless the text clearly says
otherwise: feeds name the wrong language, or none, but short titles name less.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

#: script -> what one of its letters weighs in Latin letters (as in `text.script`), its letters, and the languages of
#: news feeds that are written in it. The more languages are asked for, the more often a headline is taken for a rare
#: one: with all 140 that py3langid knows, five in a hundred.
_SCRIPTS = {
    "Latin": (
        1,
        r"A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff",
        "en de fr es pt it nl pl cs sk sl hr sr ro hu tr sv da no fi et lv lt sq ca id vi",
    ),
    "Cyrillic": (1, r"\u0400-\u0481\u048a-\u052f", "ru uk be bg sr mk kk"),
    "Arabic": (1, r"\u0620-\u064a\u066e-\u06d3\u06fa-\u06ff", "ar fa ur"),
    "Kana": (4, r"\u3041-\u3096\u30a1-\u30fa", "ja"),
    "Han": (4, r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af", "zh ja"),
    "Hangul": (3, r"\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3", "ko"),
    "Greek": (1, r"\u0370-\u03ff\u1f00-\u1fff", "el"),
    "Hebrew": (1, r"\u05d0-\u05ea", "he"),
    "Armenian": (1, r"\u0531-\u0587", "hy"),
    "Georgian": (1, r"\u10a0-\u10ff\u1c90-\u1cbf", "ka"),
    "Thai": (1, r"\u0e01-\u0e2e", "th"),
    "Devanagari": (1, r"\u0904-\u0939", "hi mr ne"),
    "Bengali": (1, r"\u0985-\u09b9", "bn"),
    "Tamil": (1, r"\u0b85-\u0bb9", "ta"),
    "Ethiopic": (1, r"\u1200-\u135a", "am"),
}
_LANGUAGES = {script: tuple(languages.split()) for script, (_, _, languages) in _SCRIPTS.items()}
_KNOWN = frozenset(language for languages in _LANGUAGES.values() for language in languages)
_RUN = re.compile("|".join(f"(?P<{script}>[{letters}]+)" for script, (_, letters, _) in _SCRIPTS.items()))

#: Of languages that share a script, the ones whose letters tell them apart.
_ALPHABETS = {
    "ru": frozenset("абвгдеёжзийклмнопрстуфхцчшщъыьэюя"),
    "uk": frozenset("абвгґдеєжзиіїйклмнопрстуфхцчшщьюя"),
    "be": frozenset("абвгдеёжзійклмнопрстуўфхцчшыьэюя"),
    "bg": frozenset("абвгдежзийклмнопрстуфхцчшщъьюя"),
    "sr": frozenset("абвгдђежзијклљмнњопрстћуфхцчџш"),
    "mk": frozenset("абвгдѓежзѕијклљмнњопрстќуфхцчџш"),
    "kk": frozenset("аәбвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя"),
    "ar": frozenset("ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىي"),
    "fa": frozenset("ءآأؤئابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهیكي"),
    "ur": frozenset("ءآأؤئابپتٹثجچحخدڈذرڑزژسشصضطظعغفقکگلمنںوہھیے"),
}
#: Letters of which a text of so many letters has one: without them it is not of the language.
_MARKS = {
    "be": frozenset("іў"), "kk": frozenset("әғқңөұүһ"),
    "sr": frozenset("јљњћђџ"), "mk": frozenset("јљњѓќџѕ"), "ur": frozenset("ٹڈڑںہھے"),
}  # fmt: skip
_UNAVOIDABLE = 25

#: Characters that are read: a sentence tells what a page would.
_READ = 200
#: Latin letters below which a title is names as likely as words
_FEW = 20
#: by how much the likeliest language must beat the declared one, as a difference of probabilities
_CLEAR = 0.3
#: the least probability of an answer where nothing was declared
_LIKELY = 0.3


def identify(text: str, declared: str = "") -> str:
    """Give the ISO 639-1 code of a text's language; empty if it cannot be told.

    `declared` is what the publisher says of it, ISO 639-1 or empty. It stays where the text is too short to contradict,
    and where it is a language that we do not know from others.
    """
    text = text[:_READ]
    script, letters = _script(text)
    if not script or (declared and declared not in _KNOWN):
        return declared
    possible = _fitting(script, letters, declared)
    # Latin names and brands stand alone in headlines of every language; no other script is borrowed so
    believed = declared if declared in possible or script == "Latin" else ""
    if len(possible) == 1:
        return possible[0]
    if believed and script == "Latin" and len(letters) < _FEW:
        return believed
    return _choose(text, possible, believed)


def _script(text: str) -> tuple[str, str]:
    """Name the script that carries the text, empty if it has no letters that we know, and give its letters."""
    runs: dict[str, list[str]] = {}
    for run in _RUN.finditer(text):
        runs.setdefault(str(run.lastgroup), []).append(run[0])
    letters = {script: "".join(found) for script, found in runs.items()}
    if "Kana" in letters:
        # Japanese is written in both
        letters["Han"] = letters.get("Han", "") + letters.pop("Kana")
    script = max(letters, key=lambda script: len(letters[script]) * _SCRIPTS[script][0], default="")
    return script, letters.get(script, "")


def _fitting(script: str, letters: str, declared: str) -> Sequence[str]:
    """Give the languages of a script that are spelled with these letters, at least one."""
    if script == "Han":
        return ("ja",) if _is_japanese(letters, declared) else ("zh",)
    languages = _LANGUAGES[script]
    if not _ALPHABETS.keys() >= set(languages):
        return languages
    counts = Counter(letters.lower())
    if len(letters) >= _UNAVOIDABLE:
        languages = tuple(
            language
            for language in languages
            if language == declared or not _MARKS.get(language, counts.keys()).isdisjoint(counts)
        )
    strange = [sum(counts[letter] for letter in counts.keys() - _ALPHABETS[language]) for language in languages]
    return [language for language, count in zip(languages, strange, strict=True) if count == min(strange)]


def _is_japanese(letters: str, declared: str) -> bool:
    kana = len(re.findall("[\u3041-\u3096\u30a1-\u30fa]", letters))
    if declared == "ja":
        return kana > 0 or len(letters) < 20  # short headlines can do without
    return kana > len(letters) / 5 if declared == "zh" else kana > 0  # Chinese quotes Japanese titles


def _choose(text: str, possible: Sequence[str], believed: str) -> str:
    guess, probability = _identifier().classify(text)
    if guess == believed or (not believed and guess in possible and probability >= _LIKELY):
        return guess
    likely = dict(_identifier().rank(text))
    total = sum(likely[language] for language in possible) or 1.0
    best = max(possible, key=likely.__getitem__)
    if believed:
        return best if (likely[best] - likely.get(believed, 0.0)) / total >= _CLEAR else believed
    return best if likely[best] / total >= _LIKELY else ""


@cache
def _identifier() -> LanguageIdentifier:
    # Here and not above: the import and the model take most of a second and a hundred megabytes.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(
        {language for languages in _LANGUAGES.values() if len(languages) > 1 for language in languages}
    )
    return identifier
