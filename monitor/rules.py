"""Topic files, rules/*.toml → Topics, and back; refuses with all problems at once, and advises on what is likely a mistake.

A folder of them is a pack: what its `_pack.toml` says holds for each of its topics that does not say it itself.

Does not run the tests inside the files, nor `vet` them: that takes the matcher.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, TypeAlias
from urllib.parse import quote as percent

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    create_model,
    model_validator,
)

from monitor.errors import Level, Problem, ProblemsError, RulesError
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
    MISSING,
    Channel,
    Count,
    Duration,
    Keys,
    Model,
    Source,
    Word,
    between,
    dotted,
    format_duration,
    in_file_order,
    json_schema,
    parse_quiet_hours,
    quote,
    read_text,
    salvage,
    secrets_in,
    unknown_sink,
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

#: The file with a folder's defaults.
PACK = "_pack.toml"

#: One folder of topics or several, in order.
Folders: TypeAlias = Path | Sequence[Path]

#: what topics are to have if nobody says otherwise
POLICY: Mapping[str, Level] = MappingProxyType({"tests": Level.WARNING})


def load_rules(folders: Folders) -> list[Topic]:
    """Return the topics of folders, of each in the order of their ids; an empty folder has none.

    Raises: RulesError with every problem, warnings included, if a file cannot be used.
    """
    topics, problems = load_topics(folders)
    if not all(problem.warning for problem in problems):
        raise RulesError(problems)
    return topics


def load_topics(folders: Folders, sinks: Collection[str] | None = None) -> tuple[list[Topic], list[Problem]]:
    """Return the topics that can be used, and what is wrong with the other files; warnings refuse nothing.

    sinks: names that channels may have before a colon; None: any.
    """
    loaded, problems = read_topics(folders, sinks)
    return [topic for topic, _ in loaded], problems


def check_topics(
    folders: Folders, sinks: Collection[str] | None = None, policy: Mapping[str, Level] = POLICY
) -> tuple[list[Topic], list[Problem]]:
    """Like `load_topics`, with the advice of `lint` after the problems."""
    loaded, problems = read_topics(folders, sinks)
    topics = [topic for topic, _ in loaded]
    return topics, problems + lint(topics, {topic.id: source for topic, source in loaded}, policy)


def read_topics(
    folders: Folders, sinks: Collection[str] | None = None
) -> tuple[list[tuple[Topic, Source]], list[Problem]]:
    """Like `load_topics`, with the file of each topic as it was read, and its pack's behind it."""
    loaded: list[tuple[Topic, Source]] = []
    problems: list[Problem] = []
    met: dict[str, Path] = {}
    for folder in [folders] if isinstance(folders, Path) else folders:
        try:
            paths = topic_files(folder)
        except OSError as error:
            problems.append(Problem(str(folder), None, f"the folder of topics cannot be read: {error.strerror}"))
            continue
        pack, broken = _load_pack(folder / PACK, sinks)
        problems += broken
        for path in paths:
            topic, source, found = _load_file(path, pack, sinks)
            other = met.setdefault(path.stem, path)
            if other != path:
                found.insert(
                    0, Problem(str(path), None, f"{other} is the same topic; a file's name is its id, rename one")
                )
            elif topic and source and not broken:
                loaded.append((topic, source))
            problems += found
    return loaded, problems


def topic_files(folder: Path) -> list[Path]:
    """The topic files of a folder, by name, without drafts, and what editors leave behind while a file is open.

    Raises: OSError.
    """
    return sorted(path for path in folder.iterdir() if path.suffix == ".toml" and path.name[0] not in "_.")


def owner_of(path: Path) -> str:
    """Whom to ask about a topic file, also about one that cannot be used; empty if neither it nor its pack says."""
    for file in (path, path.parent / PACK):
        try:
            source, _ = salvage(_text(file), str(file))
        except ProblemsError:
            continue
        owner = source.data.get("owner") if source else None
        if isinstance(owner, str) and owner.strip():
            return owner.strip()
    return ""


def _load_pack(path: Path, sinks: Collection[str] | None) -> tuple[Source, list[Problem]]:
    """A folder's defaults, none if it has no such file; and what is wrong with them."""
    nothing = Source(str(path), {}, {})
    if not os.path.lexists(path):
        return nothing, []
    source, problems, file = _read(path, _PackFile)
    if source and file and sinks is not None:
        channel = source.data.get("notify", {}).get("channel", "")
        if said := unknown_sink(channel.strip(), sinks):
            problems.append(source.problem(("notify", "channel"), f"notify.channel: {said}"))
    return nothing if problems or source is None else source, problems


def _load_file(
    path: Path, pack: Source, sinks: Collection[str] | None
) -> tuple[Topic | None, Source | None, list[Problem]]:
    own, problems, file = _read(path, _TopicFile)
    problems += _name_problems(path)
    if own and file and sinks is not None and (said := unknown_sink(file.notify.channel, sinks)):
        problems.append(own.problem(("notify", "channel"), f"notify.channel: {said}"))
    if problems or not (own and file):
        return None, None, in_file_order(problems)
    source = _inherit(own, pack)
    # each is well by itself, and no value is made of both
    return _topic(validate(_TopicFile, source), source, path.stem), source, []


def with_defaults(topic: Topic, folder: Path) -> Topic:
    """A topic that is to be a file of a folder, as that file will be read: with what the folder's pack says."""
    pack, _ = _load_pack(folder / PACK, None)
    data = as_data(topic)
    said = {key: data[key] for key in ("title", "description", "theme", "owner", "examples") if data[key]}
    source = _inherit(Source(str(folder / f"{topic.id}.toml"), said, {}), pack)
    return _topic(validate(_TopicFile, source), source, topic.id)


def _inherit(own: Source, pack: Source) -> Source:
    """A topic's file with what its pack says: its own word counts, key by key, in tables too."""
    data = {**pack.data, **own.data}
    for table in ("scope", "story", "notify"):
        if isinstance(ours := pack.data.get(table), dict) and table in own.data:
            data[table] = {**ours, **own.data[table]}
    return replace(own, data=data, inherited=pack)


def _read(path: Path, model: type[Model]) -> tuple[Source | None, list[Problem], Model | None]:
    """A file as far as it can be read, all that is wrong with it, and what it says if that is nothing."""
    try:
        source, problems = salvage(_text(path), str(path))
    except ProblemsError as error:
        return None, list(error.problems), None
    if source is None:
        return None, problems, None
    broken = bool(problems)
    problems += secrets_in(source)
    try:
        checked = validate(model, source)
    except ProblemsError as error:
        # a key that seems missing may stand in a line that could not be read
        problems += [one for one in error.problems if not (broken and one.message.startswith(MISSING))]
        return source, in_file_order(problems), None
    return source, problems, None if problems else checked


def _text(path: Path) -> str:
    """The text of a file that may be anything: a pipe would never end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise ProblemsError([Problem(str(path), None, "is no ordinary file; put the topic's text there")])
    except OSError:
        pass  # reading it says the same, in words
    return read_text(path)


def _name_problems(path: Path) -> list[Problem]:
    if re.fullmatch(r"\w[\w-]*", path.stem):
        return []
    better = re.sub(r"[^\w]+", "-", path.stem).strip("-") or "my-topic"
    message = f"a file's name is its topic's id: letters, digits, - and _, as in \"{better}.toml\""
    return [Problem(str(path), None, message)]


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
    parse_quiet_hours(value)
    return value


def _language_or_none(value: str) -> str:
    return value and _language(value)


_Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1),
    WithJsonSchema({"type": "string", "minLength": 1, "pattern": r"\S"}),
]
_Term = Annotated[
    _Text,
    AfterValidator(_term),
    WithJsonSchema({"type": "string", "pattern": r"^(?!.*(^|[\s*])\*)(?!.*\*[0-9A-Za-z]).*\S"}),
]
_Language = Annotated[
    Word, AfterValidator(_language), WithJsonSchema({"type": "string", "pattern": r"^\s*[a-z]{2,3}\s*$"})
]
_LanguageOrNone = Annotated[
    Word, AfterValidator(_language_or_none), WithJsonSchema({"type": "string", "pattern": r"^\s*([a-z]{2,3})?\s*$"})
]
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_QuietHours = Annotated[
    Word,
    AfterValidator(_quiet_hours),
    WithJsonSchema({"type": "string", "pattern": rf"^\s*{_CLOCK} ?- ?{_CLOCK}( +[A-Za-z_/+0-9-]+)?\s*$"}),
]
_Noise = Annotated[
    float,
    BeforeValidator(parse_noise),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\s*[0-9]{1,12} */ *[0-9]{1,12}\s*$"},
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            ],
        }
    ),
]


class _Table(BaseModel):
    """The text below each key is what editors show of it: it goes into deploy/topic.schema.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _TermsTable(_Table):
    """Words, phrases and prefixes*, where a name is certain. Whatever stands in a text counts, whatever its case or form."""

    always: tuple[_Term, ...] = ()
    """One of these in an item, and the topic takes it, however it scores."""
    require: tuple[Annotated[tuple[_Term, ...], Field(min_length=1)], ...] = ()
    """Groups: of each that has a term in the item's script, the item must have one."""
    exclude: tuple[_Term, ...] = ()
    """One of these in an item, and the topic does not take it."""


class _ScopeTable(_Table):
    """Which items the topic looks at; empty means all."""

    languages: frozenset[_Language] = frozenset()
    """ISO 639-1: "en", "ru", "uk", "zh"."""
    sources: frozenset[_Text] = frozenset()
    """Titles of feeds, as the feed list has them."""
    kinds: frozenset[_Text] = frozenset()
    """Kinds of sources: wire, state media, independent, think tank, government, trade press."""
    max_age: Annotated[Duration | None, between("1h", "90d")] = None
    """Older items are not told: "1h" to "90d". Without it the configuration's alerts.max_age holds."""


class _CorroborationTable(_Table):
    """Who else must tell a story before the channel is told of it; at least one of `sources` and `kinds`."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["sources"]}, {"required": ["kinds"]}]})

    sources: Annotated[Count | None, Field(ge=2, le=20)] = None
    """So many independent sources are enough: 2 to 20."""
    kinds: Annotated[Count | None, Field(ge=2, le=len(SOURCE_KINDS))] = None
    """So many kinds of independent sources are enough: 2 to 6."""
    within: Annotated[Duration, between("10m", "7d")] = Corroboration().within
    """After this time the channel is told anyway: "10m" to "7d"."""

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if self.sources is None and self.kinds is None:
            raise ValueError("says not how much is enough; write sources = 3, or kinds = 2, or both")
        return self


class _StoryTable(_Table):
    """How the topic's stories are told."""

    window: Annotated[Duration | None, between("1h", "30d")] = None
    """A story takes new items until it has been silent for this long: "1h" to "30d". Without it the configuration's
    alerts.story_window holds."""
    corroboration: _CorroborationTable | None = None
    """Without it the first item is told at once."""


class _NotifyTable(_Table):
    """Where and how the topic's alerts go."""

    channel: Channel = ""
    """An id of Slack's ("C0123456789"), or a [[sink]] of monitor.toml ("desk:"). Without it the configuration's alerts.channel
    holds."""
    mode: Mode = Mode.INSTANT
    """Each alert by itself, in the channel's digest, or both."""
    followups: Followups = Followups.THREAD
    """What comes after a story's first message: in its thread, there and shown in the channel too, or only counted."""
    daily_budget: Annotated[Count | None, Field(ge=1, le=10_000)] = None
    """So many alerts a day at most: 1 to 10000."""
    quiet_hours: _QuietHours | None = None
    """When alerts wait: "22:00-07:00", or "22:00-07:00 Europe/Berlin"."""


class _TestTable(_Table):
    """An item, and whether the topic must take it. None of them is an example."""

    title: _Text
    """The headline."""
    expect: Literal["alert", "silent"]
    """Whether the topic must take the item, or must not."""
    text: str = ""
    """What stands below the headline."""
    lang: _LanguageOrNone = ""
    """ISO 639-1; empty: found out from the text."""


class _StepTable(_Table):
    """An item, and what it must be to the story."""

    at: Annotated[Duration, between("0s", "365d")]
    """Time since the first step: "0h", "90m"."""
    title: _Text
    """The headline."""
    expect: Literal["root", "copy", "update"]
    """What opens a story, the same text again, or something new."""
    text: str = ""
    """What stands below the headline."""


class _StoryTestTable(_Table):
    """Items in a row, and how they must be grouped."""

    name: _Text
    """What the test shows, in a few words."""
    steps: Annotated[tuple[_StepTable, ...], Field(min_length=1)]
    """The items, in the order of their times; the first one is at "0h" and a root."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        first, times = self.steps[0], [step.at for step in self.steps]
        if times[0] or times != sorted(times):
            raise ValueError('steps begin at "0h" and go forward in time; put them in the order of their times')
        if first.expect != "root":
            raise ValueError('the first step opens the story; write expect = "root" there')
        return self


class _TopicFile(_Table):
    """A topic of news-monitor: one file, whose name is the topic's id."""

    title: _Text
    """The topic's name, as analysts read it in alerts."""
    description: _Text
    """What the topic is about, as news prose: matching learns from it."""
    theme: Word = ""
    """What `rules list` groups topics by."""
    examples: tuple[_Text, ...] = ()
    """Four to eight headlines as they really read, over all sub-subjects; any language finds every language."""
    negatives: tuple[_Text, ...] = ()
    """Look-alikes that must stay silent: the same actors in another matter, the same matter with other actors."""
    status: TopicStatus = TopicStatus.ACTIVE
    """Active; in shadow, where it is judged and nobody is told; or off."""
    severity: Severity = Severity.NOTICE
    """How much an alert of it matters."""
    noise: Annotated[_Noise, Field(json_schema_extra={"default": "1/2000"})] = 1 / 2000
    """How rare a match must be among ordinary news: "1/2000" is one ordinary item in two thousand."""
    owner: Word = ""
    """Whom to ask about the topic."""
    terms: _TermsTable = _TermsTable()
    scope: _ScopeTable = _ScopeTable()
    story: _StoryTable = _StoryTable()
    notify: _NotifyTable = _NotifyTable()
    tests: tuple[_TestTable, ...] = ()
    """What must alert and what must not; `rules test` holds the topic to it."""
    story_tests: tuple[_StoryTestTable, ...] = ()
    """How items in a row must be grouped; `rules test` holds the steps to it."""


#: What a pack may say for all of its topics: whom they are for and how they are told, not what they are about.
_INHERITED = ("theme", "status", "severity", "noise", "owner", "scope", "story", "notify")

_PackFile = create_model(
    "_PackFile",
    __base__=_Table,
    __doc__="Defaults of a folder of topics of news-monitor: what a topic's own file does not say.",
    **{key: (_TopicFile.model_fields[key].annotation, _TopicFile.model_fields[key]) for key in _INHERITED},  # type: ignore[call-overload]  # no type says "a part of that model"
)


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
            quiet_hours=parse_quiet_hours(file.notify.quiet_hours) if file.notify.quiet_hours else None,
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
        line=source.line(("title",)),
    )


def _story(table: _StoryTable) -> StoryPolicy:
    asked = table.corroboration
    needed = Corroboration(asked.sources, asked.kinds, asked.within) if asked else None
    return StoryPolicy(table.window, needed)


# -- and back -------------------------------------------------------------------------------------


def as_data(topic: Topic) -> dict[str, Any]:
    """A topic as its file has it, with every default filled in; None is what the configuration decides, or nobody."""
    asked, notify = topic.story.corroboration, topic.notify
    return {
        "title": topic.title,
        "description": topic.description,
        "theme": topic.theme,
        "owner": topic.owner,
        "status": topic.status.value,
        "severity": topic.severity.value,
        "noise": format_noise(topic.noise),
        "examples": list(topic.examples),
        "negatives": list(topic.negatives),
        "terms": {
            "always": list(topic.terms.always),
            "require": [list(group) for group in topic.terms.require],
            "exclude": list(topic.terms.exclude),
        },
        "scope": {
            "languages": sorted(topic.scope.languages),
            "sources": sorted(topic.scope.sources),
            "kinds": sorted(topic.scope.kinds),
            "max_age": _duration(topic.scope.max_age),
        },
        "story": {
            "window": _duration(topic.story.window),
            "corroboration": asked
            and {"sources": asked.sources, "kinds": asked.kinds, "within": format_duration(asked.within)},
        },
        "notify": {
            "channel": notify.channel,
            "mode": notify.mode.value,
            "followups": notify.followups.value,
            "daily_budget": notify.daily_budget,
            "quiet_hours": str(notify.quiet_hours) if notify.quiet_hours else None,
        },
        "tests": [
            {"title": test.title, "expect": "alert" if test.alert else "silent", "text": test.text, "lang": test.lang}
            for test in topic.tests
        ],
        "story_tests": [
            {
                "name": test.name,
                "steps": [
                    {"at": format_duration(step.at), "title": step.title, "expect": step.expect, "text": step.text}
                    for step in test.steps
                ],
            }
            for test in topic.story_tests
        ],
    }


def origins(topic: Topic, source: Source) -> dict[Keys, tuple[str, int] | None]:
    """Say of each key of `as_data`, and of each test, in which file and line it stands; None: in none."""
    data = as_data(topic)
    leaves: list[Keys] = [(key,) for key, value in data.items() if not isinstance(value, dict)]
    leaves += [(key, inner) for key, value in data.items() if isinstance(value, dict) for inner in value]
    leaves += [(key, n) for key in ("tests", "story_tests") for n in range(len(data[key]))]
    homes = [(keys, source.home(keys)) for keys in leaves]
    return {keys: (home.path, home.places[keys].line) if keys in home.places else None for keys, home in homes}


def address(topic: Topic, template: str) -> str:
    """Where a topic's file is shown, by `alerts.rules_url`."""
    path = Path(topic.path)
    words = {"{folder}": path.parent.name, "{file}": path.name, "{line}": str(topic.line or 1)}
    return re.sub(r"\{\w+\}", lambda found: percent(words[found[0]], safe=""), template)


def format_noise(noise: float) -> str | float:
    """Write a noise as people do, "1/2000", where that is the same number."""
    ordinary = round(1 / noise)
    return f"1/{ordinary}" if ordinary < 10**12 and 1 / ordinary == noise else noise


def _duration(duration: timedelta | None) -> str | None:
    return None if duration is None else format_duration(duration)


def topic_schema() -> dict[str, Any]:
    """JSON Schema for topic files, for editors: all that can be told of a file by itself, but for the order of steps."""
    return json_schema(_TopicFile, "A topic of news-monitor")


def pack_schema() -> dict[str, Any]:
    """The same for _pack.toml."""
    return json_schema(_PackFile, "A pack of topics of news-monitor", _TopicFile)


def schema_line(folder: Path) -> str:
    """The first line of a topic file in a folder, by which editors know its keys; empty where the schema is not near."""
    near = ("../deploy/topic.schema.json", "../../deploy/topic.schema.json", "topic.schema.json")
    return next((f"#:schema {path}\n" for path in near if (folder / path).is_file()), "")


# -- advice ---------------------------------------------------------------------------------------


def lint(
    topics: Sequence[Topic],
    sources: Mapping[str, Source] = MappingProxyType({}),
    policy: Mapping[str, Level] = POLICY,
) -> list[Problem]:
    """Advise on topics that load, file by file. `sources`, by topic id, gives the lines; without it there are none.

    policy: keys that every topic is to have, and how bad it is if one does not.
    """
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
            *_asked_for(topic, policy),
        ]
        problems += in_file_order(
            [source.problem(keys, f"{dotted(keys)}: {said}" if keys else said, level) for keys, said, level in advice]
        )
    return list(dict.fromkeys(problems))  # what is wrong with a pack is found with each of its topics


#: where, what, how bad
_Advice = Iterator[tuple[Keys, str, Level]]


def _same_title(topic: Topic, titles: dict[str, str]) -> _Advice:
    other = titles.setdefault(_fold(topic.title), topic.id)
    if other != topic.id:
        said = (
            f'the topic {other} has the title "{topic.title}" too; readers could not tell them apart, name it otherwise'
        )
        yield ("title",), said, Level.ERROR


def _few_examples(topic: Topic) -> _Advice:
    if len(topic.examples) < 2:
        said = "fewer than two; matching leans on the description alone, give four to eight headlines"
        yield ("examples",), said, Level.WARNING


def _contradictory_examples(topic: Topic) -> _Advice:
    negatives = {_fold(negative) for negative in topic.negatives}
    for place, example in enumerate(topic.examples):
        if _fold(example) in negatives:
            yield ("examples", place), f"{quote(example)} is among the negatives too; take it out of one", Level.ERROR


def _repeated_examples(topic: Topic, earlier: dict[str, str]) -> _Advice:
    for place, example in enumerate(topic.examples):
        other = earlier.get(_fold(example))
        if other == topic.id:
            yield ("examples", place), f"{quote(example)} stands twice; once is enough", Level.WARNING
        elif other is not None:
            said = f"{quote(example)} is an example of {other} too; leave it to one of them"
            yield ("examples", place), said, Level.WARNING
        earlier.setdefault(_fold(example), topic.id)


def _loose_terms(topic: Topic) -> _Advice:
    for place, term in enumerate(topic.terms.always):
        if _is_loose(_fold(term)):
            said = f"{quote(term)} is too common to alert on whatever the score; write more of it, or use require"
            yield ("terms", "always", place), said, Level.WARNING


def _is_loose(term: str) -> bool:
    """Tell whether a folded term is bound to stand in much that it does not mean."""
    stem = term.removesuffix("*")
    signs = [sign for sign in stem if sign.isalnum()]
    scripts = {unicodedata.name(sign, "?").split()[0] for sign in signs if sign.isalpha()}
    if not scripts:
        return True
    if stem != term:
        return stem in _COMMON_PREFIXES or len(signs) < (4 if scripts & _ALPHABETS else 2)
    return scripts == {"LATIN"} and len(signs) < 3


def _contradictory_terms(topic: Topic) -> _Advice:
    excluded = {_fold(term) for term in topic.terms.exclude}
    for place, term in enumerate(topic.terms.always):
        if _fold(term) in excluded:
            said = f"{quote(term)} is excluded too; one of the two is a mistake, take it out"
            yield ("terms", "always", place), said, Level.ERROR
    for place, group in enumerate(topic.terms.require):
        for inner, term in enumerate(group):
            if _fold(term) in excluded:
                said = f"{quote(term)} is excluded too; it lets nothing in, take it out of one"
                yield ("terms", "require", place, inner), said, Level.ERROR


def _unknown_kinds(topic: Topic) -> _Advice:
    for kind in sorted(topic.scope.kinds.difference(SOURCE_KINDS)):
        said = f"{quote(kind)} is none of the usual kinds; they are {', '.join(SOURCE_KINDS)}"
        yield ("scope", "kinds"), said, Level.WARNING


def _idle_tests(topic: Topic) -> _Advice:
    known = {_fold(text) for text in (*topic.examples, *topic.negatives)}
    for place, test in enumerate(topic.tests):
        if _fold(test.title) in known:
            said = "this test is one of the examples or negatives; it proves nothing, test another headline"
            yield ("tests", place, "title"), said, Level.WARNING


def _asked_for(topic: Topic, policy: Mapping[str, Level]) -> _Advice:
    asked = {
        "tests": (
            topic.tests,
            "no [[tests]]; nothing tells when a change breaks this topic, write what must alert and not",
        ),
        "owner": (topic.owner, 'no owner; say whom to ask about this topic: owner = "@desk"'),
        "theme": (topic.theme, "no theme; say which of the pack's themes this topic belongs to"),
    }
    for key, level in policy.items():
        given, said = asked[key]
        if not given:
            yield (), said, level


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
