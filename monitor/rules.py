"""Topic files, rules/*.toml → Topics; refuses with all problems at once, and advises on what is likely a mistake.

Does not run the tests inside the files: that takes the matcher.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from monitor.errors import Problem, ProblemsError, RulesError
from monitor.model import (
    SOURCE_KINDS,
    Corroboration,
    Followups,
    Mode,
    Notify,
    Scope,
    Severity,
    StoryPolicy,
    StoryStep,
    StoryTest,
    Terms,
    Topic,
    TopicStatus,
    TopicTest,
)
from monitor.toml import (
    Channel,
    Count,
    Duration,
    Keys,
    Source,
    Word,
    between,
    dotted,
    in_file_order,
    quote,
    read,
    secrets_in,
    validate,
)

# Few, since they can be listed: what an author may take for a whole word. Shorter ones are caught by their length.
_COMMON_PREFIXES = frozenset(
    (
        "anti", "counter", "euro", "inter", "micro", "multi", "over", "post", "semi", "super", "trans", "ultra", "under",
        "анти", "контр", "между", "мульти", "пере", "после", "против", "супер", "транс", "проти", "після",
        "中国", "中國", "美国", "美國",
    )
)  # fmt: skip

_ALPHABETS = {"LATIN", "CYRILLIC", "GREEK"}


def load_rules(folder: Path) -> list[Topic]:
    """Return the topics of a folder, in the order of their ids; an empty folder has none.

    Raises: RulesError with every problem, warnings included, if a file cannot be used.
    """
    topics, problems = load_topics(folder)
    if not all(problem.warning for problem in problems):
        raise RulesError(problems)
    return topics


def load_topics(folder: Path) -> tuple[list[Topic], list[Problem]]:
    """Return the topics that can be used, and what is wrong with the other files; warnings refuse nothing."""
    loaded, problems = _load(folder)
    return [topic for topic, _ in loaded], problems


def check_topics(folder: Path) -> tuple[list[Topic], list[Problem]]:
    """Like `load_topics`, with the advice of `lint` after the problems."""
    loaded, problems = _load(folder)
    topics = [topic for topic, _ in loaded]
    return topics, problems + lint(topics, {topic.id: source for topic, source in loaded})


def _load(folder: Path) -> tuple[list[tuple[Topic, Source]], list[Problem]]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except OSError as error:
        return [], [Problem(str(folder), None, f"the folder of topics cannot be read: {error.strerror}")]
    loaded: list[tuple[Topic, Source]] = []
    problems: list[Problem] = []
    for path in paths:
        if path.name[0] in "_.":  # drafts, and what editors leave behind while a file is open
            continue
        topic, source, found = _load_file(path)
        problems += found
        if topic and source:
            loaded.append((topic, source))
    return loaded, problems


def _load_file(path: Path) -> tuple[Topic | None, Source | None, list[Problem]]:
    problems = _name_problems(path)
    try:
        source = read(path)
        problems += secrets_in(source)
        file = validate(_TopicFile, source)
    except ProblemsError as error:
        return None, None, in_file_order(problems + error.problems)
    if problems:
        return None, None, problems
    return _topic(file, source, path.stem), source, _not_acted_on(file, source)


def _name_problems(path: Path) -> list[Problem]:
    if re.fullmatch(r"\w[\w-]*", path.stem):
        return []
    better = re.sub(r"[^\w]+", "-", path.stem).strip("-") or "my-topic"
    message = f"a file's name is its topic's id: letters, digits, - and _, as in \"{better}.toml\""
    return [Problem(str(path), None, message)]


def _not_acted_on(file: _TopicFile, source: Source) -> list[Problem]:
    notify = file.notify
    given = {
        "mode": notify.mode is not Mode.INSTANT,
        "daily_budget": notify.daily_budget is not None,
        "quiet_hours": notify.quiet_hours is not None,
    }
    return in_file_order(
        [
            source.problem(("notify", key), f"notify.{key}: accepted, not yet acted on", warning=True)
            for key, is_given in given.items()
            if is_given
        ]
    )


# -- the file -------------------------------------------------------------------------------------


def parse_noise(value: object) -> float:
    """Read "1/2000" or 0.0005.

    Raises: ValueError, saying what to write.
    """
    fraction = re.fullmatch(r"(\d{1,12}) */ *(\d{1,12})", value.strip()) if isinstance(value, str) else None
    noise = value
    if fraction:
        noise = int(fraction[1]) / max(int(fraction[2]), 1)
    if not isinstance(noise, (int, float)) or not 0 < noise < 1:
        raise ValueError(
            f"{quote(value)} does not say how rare a match must be; "
            'write "1/2000" for one ordinary item in two thousand, or a number between 0 and 1'
        )
    return noise


def _term(value: str) -> str:
    if not re.search(r"\w", value) or re.search(r"(?:^|[\s*])\*|\*\w", value):
        raise ValueError(f"{quote(value)} is not a term: write a word or a phrase; a * may stand only at a word's end")
    return value


def _language(value: str) -> str:
    if not re.fullmatch(r"[a-z]{2,3}", value):
        raise ValueError(f'{quote(value)} is not a language code; write ISO 639-1, as in "en", "ru", "uk", "zh"')
    return value


def _quiet_hours(value: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d( [A-Za-z_]+(/[A-Za-z_]+)*)?", value):
        raise ValueError(f'{quote(value)} are no hours; write "22:00-07:00", or "22:00-07:00 Europe/Berlin"')
    return value


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Term = Annotated[_Text, AfterValidator(_term)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _TermsTable(_Table):
    always: tuple[_Term, ...] = ()
    require: tuple[Annotated[tuple[_Term, ...], Field(min_length=1)], ...] = ()
    exclude: tuple[_Term, ...] = ()


class _ScopeTable(_Table):
    languages: frozenset[Annotated[Word, AfterValidator(_language)]] = frozenset()
    sources: frozenset[_Text] = frozenset()
    kinds: frozenset[_Text] = frozenset()
    max_age: Annotated[Duration | None, between("1h", "90d")] = None


class _CorroborationTable(_Table):
    sources: Annotated[Count | None, Field(ge=2, le=20)] = None
    kinds: Annotated[Count | None, Field(ge=2, le=len(SOURCE_KINDS))] = None
    within: Annotated[Duration, between("10m", "7d")] = Corroboration().within

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if self.sources is None and self.kinds is None:
            raise ValueError("says not how much is enough; write sources = 3, or kinds = 2, or both")
        return self


class _StoryTable(_Table):
    window: Annotated[Duration | None, between("1h", "30d")] = None
    corroboration: _CorroborationTable | None = None


class _NotifyTable(_Table):
    channel: Channel = ""
    mode: Mode = Mode.INSTANT
    followups: Followups = Followups.THREAD
    daily_budget: Annotated[Count | None, Field(ge=1)] = None
    quiet_hours: Annotated[Word, AfterValidator(_quiet_hours)] | None = None


class _TestTable(_Table):
    title: _Text
    expect: Literal["alert", "silent"]
    text: str = ""
    lang: str = ""


class _StepTable(_Table):
    at: Duration
    title: _Text
    expect: Literal["root", "copy", "update"]
    text: str = ""


class _StoryTestTable(_Table):
    name: _Text
    steps: Annotated[tuple[_StepTable, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        first, times = self.steps[0], [step.at for step in self.steps]
        if times[0] or times != sorted(times):
            raise ValueError('steps begin at "0h" and go forward in time')
        if first.expect != "root":
            raise ValueError('the first step opens the story: expect = "root"')
        return self


class _TopicFile(_Table):
    title: _Text
    description: _Text
    theme: Word = ""
    examples: tuple[_Text, ...] = ()
    negatives: tuple[_Text, ...] = ()
    status: TopicStatus = TopicStatus.ACTIVE
    severity: Severity = Severity.NOTICE
    noise: Annotated[float, BeforeValidator(parse_noise)] = 1 / 2000
    owner: Word = ""
    terms: _TermsTable = _TermsTable()
    scope: _ScopeTable = _ScopeTable()
    story: _StoryTable = _StoryTable()
    notify: _NotifyTable = _NotifyTable()
    tests: tuple[_TestTable, ...] = ()
    story_tests: tuple[_StoryTestTable, ...] = ()


def _topic(file: _TopicFile, source: Source, topic_id: str) -> Topic:
    return Topic(
        id=topic_id,
        title=file.title,
        description=file.description,
        theme=file.theme,
        examples=file.examples,
        negatives=file.negatives,
        status=file.status,
        severity=file.severity,
        noise=file.noise,
        owner=file.owner,
        terms=Terms(file.terms.always, file.terms.require, file.terms.exclude),
        scope=Scope(file.scope.languages, file.scope.sources, file.scope.kinds, file.scope.max_age),
        story=_story(file.story),
        notify=Notify(
            channel=file.notify.channel or None,
            mode=file.notify.mode,
            followups=file.notify.followups,
            daily_budget=file.notify.daily_budget,
            quiet_hours=file.notify.quiet_hours,
        ),
        tests=tuple(
            TopicTest(test.title, test.expect == "alert", test.text, test.lang, source.line(("tests", place)))
            for place, test in enumerate(file.tests)
        ),
        story_tests=tuple(
            StoryTest(
                test.name,
                tuple(StoryStep(step.at, step.title, step.expect, step.text) for step in test.steps),
                source.line(("story_tests", place)),
            )
            for place, test in enumerate(file.story_tests)
        ),
        path=source.path,
    )


def _story(table: _StoryTable) -> StoryPolicy:
    asked = table.corroboration
    needed = Corroboration(asked.sources, asked.kinds, asked.within) if asked else None
    return StoryPolicy(table.window, needed)


# -- advice ---------------------------------------------------------------------------------------


def lint(topics: Sequence[Topic], sources: Mapping[str, Source] = MappingProxyType({})) -> list[Problem]:
    """Advise on topics that load, file by file. `sources`, by topic id, gives the lines; without it there are none."""
    problems: list[Problem] = []
    earlier: dict[str, str] = {}  # folded example → id of the topic that has it
    titles: dict[str, str] = {}
    for topic in topics:
        source = sources.get(topic.id) or Source(topic.path or topic.id, {}, {})
        advice = [
            *_same_title(topic, titles),
            *_few_examples(topic),
            *_contradictory_examples(topic),
            *_repeated_examples(topic, earlier),
            *_loose_terms(topic),
            *_contradictory_terms(topic),
            *_unknown_kinds(topic),
            *_idle_tests(topic),
        ]
        problems += in_file_order(
            [
                source.problem(keys, f"{dotted(keys)}: {said}" if keys else said, warning=warning)
                for keys, said, warning in advice
            ]
        )
    return problems


#: where, what, whether it is only a warning
_Advice = Iterator[tuple[Keys, str, bool]]


def _same_title(topic: Topic, titles: dict[str, str]) -> _Advice:
    other = titles.setdefault(_fold(topic.title), topic.id)
    if other != topic.id:
        yield (
            ("title",),
            f'the topic {other} has the title "{topic.title}" too; readers could not tell them apart',
            False,
        )


def _few_examples(topic: Topic) -> _Advice:
    if len(topic.examples) < 2:
        yield ("examples",), "fewer than two; matching leans on the description alone", True


def _contradictory_examples(topic: Topic) -> _Advice:
    negatives = {_fold(negative) for negative in topic.negatives}
    for place, example in enumerate(topic.examples):
        if _fold(example) in negatives:
            yield ("examples", place), f"{quote(example)} is among the negatives too", False


def _repeated_examples(topic: Topic, earlier: dict[str, str]) -> _Advice:
    for place, example in enumerate(topic.examples):
        other = earlier.get(_fold(example))
        if other is not None:
            where = "stands twice" if other == topic.id else f"is an example of {other} too"
            yield ("examples", place), f"{quote(example)} {where}", True
        earlier.setdefault(_fold(example), topic.id)


def _loose_terms(topic: Topic) -> _Advice:
    for place, term in enumerate(topic.terms.always):
        if _is_loose(_fold(term)):
            yield (
                ("terms", "always", place),
                f"{quote(term)} is too common to alert on whatever the score; write more of it, or use require",
                True,
            )


def _is_loose(term: str) -> bool:
    """Tell whether a folded term is bound to stand in much that it does not mean."""
    stem = term.removesuffix("*")
    signs = [sign for sign in stem if sign.isalnum()]
    scripts = {unicodedata.name(sign, "").split()[0] for sign in signs if sign.isalpha()}
    if not scripts:
        return True
    if stem != term:
        return stem in _COMMON_PREFIXES or len(signs) < (4 if scripts & _ALPHABETS else 2)
    return scripts == {"LATIN"} and len(signs) < 3


def _contradictory_terms(topic: Topic) -> _Advice:
    excluded = {_fold(term) for term in topic.terms.exclude}
    for place, term in enumerate(topic.terms.always):
        if _fold(term) in excluded:
            yield ("terms", "always", place), f"{quote(term)} is excluded too: one of the two is a mistake", False
    for place, group in enumerate(topic.terms.require):
        for inner, term in enumerate(group):
            if _fold(term) in excluded:
                yield ("terms", "require", place, inner), f"{quote(term)} is excluded too: it lets nothing in", False


def _unknown_kinds(topic: Topic) -> _Advice:
    for kind in sorted(topic.scope.kinds.difference(SOURCE_KINDS)):
        yield ("scope", "kinds"), f"{quote(kind)} is none of the usual kinds: {', '.join(SOURCE_KINDS)}", True


def _idle_tests(topic: Topic) -> _Advice:
    if not topic.tests:
        yield (), "no [[tests]]: nothing tells when a change breaks this topic", True
    known = {_fold(text) for text in (*topic.examples, *topic.negatives)}
    for place, test in enumerate(topic.tests):
        if _fold(test.title) in known:
            yield ("tests", place, "title"), "this test is one of the examples or negatives: it proves nothing", True


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
