"""Read the TOML files that people write: data, the place of every key, and what is wrong in plain words.

Knows nothing of what a file means; `config` and `rules` bring the models. Never repeats a secret.
"""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import json
import re
import textwrap
import tomllib
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time, timedelta
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Annotated, Any, ClassVar, NamedTuple, TypeAlias, TypeVar, Union, get_args, get_origin
from zoneinfo import ZoneInfo, available_timezones

from annotated_types import Ge, Gt, Interval, Le, Lt
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import ErrorDetails, core_schema

from monitor.errors import SECRET, Level, Problem, ProblemsError, printable
from monitor.model import QuietHours
from monitor.text import sink_of

#: ("tests", 3, "expect"): names of tables and keys, 0-based places in arrays
Keys: TypeAlias = tuple[str | int, ...]

Model = TypeVar("Model", bound=BaseModel)


#: A file of a megabyte is none that a person wrote, and a key of a thousand parts takes quadratic time to read.
MAX_BYTES, MAX_KEY_PARTS = 1_000_000, 200
#: Of a file with more mistakes of syntax than these, they are told first.
_MOST_SYNTAX_PROBLEMS = 20
#: Tables in tables; what walks through a file calls itself for each.
_DEEPEST = 50


class Place(NamedTuple):
    """Where something stands in a file; 1-based, columns in characters."""

    line: int
    #: of a key, a table's header, an element of an array
    column: int
    #: of the value, on the same line; of what has none apart, the same
    value: int


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read."""

    #: as the user named it
    path: str
    data: dict[str, Any]
    #: of every table, key and array element, and of the file itself: (); empty if nobody knows
    places: Mapping[Keys, Place] = field(repr=False)
    #: the file in which those keys of `data` stand that this one leaves to it; None if it leaves none
    inherited: Source | None = field(default=None, repr=False)

    def home(self, keys: Keys) -> Source:
        """Return the file in which a key stands. A table in a table is one value: it stands in one file."""
        outer = keys[:2]
        return (
            self.inherited if self.inherited and outer not in self.places and outer in self.inherited.places else self
        )

    def place(self, keys: Keys) -> Place | None:
        """Return the place of a key path, or of the nearest part of it that is there."""
        while keys and keys not in self.places:
            keys = keys[:-1]
        return self.places.get(keys)

    def line(self, keys: Keys) -> int | None:
        place = self.place(keys)
        return place.line if place else None

    def problem(self, keys: Keys, message: str, level: Level = Level.ERROR, *, of_key: bool = False) -> Problem:
        """Say what is wrong with the value at a key path, or with the key itself."""
        home = self.home(keys)
        place = home.place(keys)
        if place is None:
            return Problem(home.path, None, redact(message), level)
        return Problem(home.path, place.line, redact(message), level, place.column if of_key else place.value)


def read(path: Path) -> Source:
    """Read a file.

    Raises: ProblemsError with all problems if it cannot be read, is not UTF-8 or is not TOML.
    """
    return parse(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Read a file's text.

    Raises: ProblemsError with one problem if it cannot be read, is too large or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ProblemsError([Problem(str(path), None, f"larger than {MAX_BYTES:,} bytes; this is no such file")])
        return data.decode("utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except OSError as error:
        raise ProblemsError([Problem(str(path), None, _unreadable(error))]) from error
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise ProblemsError([Problem(str(path), line, "not UTF-8; save the file as UTF-8", column=column)]) from error


def parse(text: str, path: str) -> Source:
    """Like `read`, of a text that is already here; `path` is only for messages."""
    source, problems = salvage(text, path)
    if source is None or problems:
        raise ProblemsError(problems)
    return source


def salvage(text: str, path: str) -> tuple[Source | None, list[Problem]]:
    """Read what can be read of a text: lines with a mistake that ends where they do are left out.

    Returns None where a mistake has no such end, and every mistake of syntax that was found.
    """
    problems: list[Problem] = []
    if any(map(_LONG_KEY.search, text.splitlines())):
        return None, [_too_much(text, path)]
    while len(problems) < _MOST_SYNTAX_PROBLEMS:
        try:
            data = tomllib.loads(text)
            if _depth(data) > _DEEPEST:
                return None, [*problems, _too_much(text, path)]
            return Source(path, data, _Places(text)), problems
        except tomllib.TOMLDecodeError as error:
            problems.append(_syntax_problem(str(error), text, path))
        except (ValueError, RecursionError):  # a number of 5,000 digits; arrays nested 500 deep
            return None, [*problems, _too_much(text, path)]
        lines = text.split("\n")
        place = (problems[-1].line or 1) - 1
        if not _ends_with_its_line(lines[place], problems[-1]):
            break
        lines[place] = ""
        text = "\n".join(lines)
    return None, problems


def _too_much(text: str, path: str) -> Problem:
    large = (n for n, line in enumerate(text.split("\n"), 1) if _LARGE.search(line) or _LONG_KEY.search(line))
    return Problem(path, next(large, 1), "a number or a nesting is too large here; no key of ours needs such")


def _depth(data: object) -> int:
    """How many tables and arrays stand in one another."""
    depth, layer = 0, list[Any]([data])
    while layer:
        depth += 1
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    return depth


_PART = r"""(?:"[^"]*+"|'[^']*+'|[^\s.="']*+)"""
_LARGE = re.compile(rf"[0-9]{{300}}|(?:[\[{{][^\[\]{{}}]*+){{{_DEEPEST}}}")
_LONG_KEY = re.compile(rf"(?:\s*+\.\s*+{_PART}){{{MAX_KEY_PARTS}}}")
#: the beginning of a line that is a statement, or an element of an array
_STATEMENT = re.compile(r"""\s*(?:[\w."'-][^=]*=\s*|(?=["']))""")


def _ends_with_its_line(line: str, problem: Problem) -> bool:
    """Tell whether a mistake concerns one line alone, so that the others can be read without it."""
    if problem.column is None or line.count("[") != line.count("]") or '"""' in line or "'''" in line:
        return False
    begins = _STATEMENT.match(line)
    return problem.message.endswith(_NO_EQUALS) or bool(begins and problem.column > begins.end())


def validate(model: type[Model], source: Source) -> Model:
    """Return the file as `model` has it.

    Raises: ProblemsError with everything that the model refuses.
    """
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        raise ProblemsError(explain_validation(error, source, model)) from error


def explain_validation(error: ValidationError, source: Source, model: type[BaseModel]) -> list[Problem]:
    """Say each of pydantic's errors in plain words, with its line; in the order of the file.

    `model` is the one that refused: an error does not carry it, and its keys and ranges are what the words need.
    """
    problems, details = [], error.errors(include_url=False)
    misspelt = {_meant(detail["loc"], model) for detail in details if detail["type"] == "extra_forbidden"}
    for detail in details:
        if detail["type"] == "missing" and detail["loc"] in misspelt:
            continue  # one mistake, one problem: the misspelt key says what to do
        of_key = detail["type"] == "extra_forbidden" or detail["loc"][-1:] == ("[key]",)
        problems.append(source.problem(detail["loc"], _explain(detail, model), of_key=of_key))
    return in_file_order(problems)


def in_file_order(problems: Sequence[Problem]) -> list[Problem]:
    """Sort by place, what concerns the file as a whole first; each problem once."""
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.line or 0, problem.column or 0))


# -- kinds of values that every such file has -------------------------------------------------------

#: The tz database names a zone after its largest city, people after its capital.
_CAPITALS = {
    "Asia/Beijing": "Asia/Shanghai",
    "Asia/Delhi": "Asia/Kolkata",
    "Asia/Hanoi": "Asia/Ho_Chi_Minh",
    "Asia/Islamabad": "Asia/Karachi",
    "Asia/Abu_Dhabi": "Asia/Dubai",
    "Europe/Ankara": "Europe/Istanbul",
    "America/Washington": "America/New_York",
}

_UNITS = {"w": timedelta(weeks=1), "d": timedelta(days=1), "h": timedelta(hours=1),
          "m": timedelta(minutes=1), "s": timedelta(seconds=1)}  # fmt: skip


def parse_duration(value: object) -> timedelta:
    """Read "30s", "10m", "6h", "3d", "1h30m".

    Raises: ValueError saying how to write one.
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"(?:\d{1,6}[wdhms])+", value.strip()):
        raise ValueError(f'{quote(value)} is not a duration; write a number and a unit: "30s", "10m", "6h" or "3d"')
    parts = re.findall(r"(\d+)([wdhms])", value)
    return sum((int(number) * _UNITS[unit] for number, unit in parts), timedelta())


def format_duration(duration: timedelta) -> str:
    """Write a duration, in whole seconds, as `parse_duration` reads it; weeks as days."""
    seconds = int(duration.total_seconds())
    parts = []
    for unit in "dhms":
        number, seconds = divmod(seconds, int(_UNITS[unit].total_seconds()))
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def parse_quiet_hours(value: str) -> QuietHours:
    """Read "22:00-07:00", or with an IANA zone of their own, "22:00-07:00 Europe/Berlin".

    Raises: ValueError saying how to write them.
    """
    found = re.fullmatch(r"([0-9:]+) ?- ?([0-9:]+)(?: +(\S+))?", value)
    try:
        begin, end = map(parse_clock, (found[1], found[2]) if found else ())
    except ValueError:
        raise ValueError(f'{quote(value)} are no hours; write "22:00-07:00", or "22:00-07:00 Europe/Berlin"') from None
    if begin == end:
        raise ValueError(f"{quote(value)} begin when they end; hours of no length, or of a whole day, are none")
    return QuietHours(begin, end, check_zone(found[3]) if found and found[3] else "")


def parse_clock(value: str) -> time:
    """Read a time of day, "08:00".

    Raises: ValueError saying how to write one.
    """
    if not re.fullmatch(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError(f'{quote(value)} is not a time of day; write one as in "08:00"')
    return time.fromisoformat(value)


def parse_zone(value: object) -> ZoneInfo:
    """Read the name of a zone, "Asia/Seoul".

    Raises: ValueError with the one that was likely meant.
    """
    if not isinstance(value, str):
        raise ValueError(f"expected a text in quotes, got {quote(value)}")
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:  # not there; "../x"; "Asia", which is a folder
        raise ValueError(_no_zone(value)) from error


def _no_zone(value: str) -> str:
    known = {name.casefold(): name for name in available_timezones() if "/" in name}
    if not known:
        return "this machine knows no time zones; install the package tzdata"
    near = difflib.get_close_matches(value.casefold().replace(" ", "_"), known, n=1)
    better = _CAPITALS.get(value) or (known[near[0]] if near else "")
    hint = f'did you mean "{better}"?' if better else 'write "Asia/Seoul", for example'
    return f"{quote(value)} is no zone of the tz database; {hint}"


def check_zone(value: str) -> str:
    """Refuse what is no name of a zone."""
    parse_zone(value)
    return value


def between(low: str, high: str) -> Any:
    """Return a durations' range, for the metadata of `Annotated[Duration, …]`."""
    return Field(ge=parse_duration(low), le=parse_duration(high))


def check_channel(value: str) -> str:
    """Refuse what can be neither a Slack channel nor one of a [[sink]]; whether it exists is found out later."""
    if "://" in value:  # not repeated: a key may be in it
        raise ValueError('an address is no channel; give it to a [[sink]] in monitor.toml, and write "name:" here')
    if value and not re.fullmatch(r"#?[^\s#@,:]+|[a-z0-9-]+:[^\s#@,:]*", value):
        slack, named = (
            'write its id, such as "C0123456789"',
            'one of a [[sink]] is its name and a colon: "desk:"',
        )
        raise ValueError(f"{quote(value)} is not a channel; {named if ':' in value else slack}")
    return value


def unknown_sink(channel: str, names: Collection[str]) -> str:
    """Say that a channel names none of these sinks; empty if it does, or is Slack's."""
    name = sink_of(channel)
    if not name or name in names:
        return ""
    known = did_you_mean(name, sorted(names)) or (f"; there are {', '.join(sorted(names))}" if names else "")
    return f"monitor.toml has no [[sink]] {quote(name)}{known}"


Word = Annotated[str, StringConstraints(strip_whitespace=True)]
Count = Annotated[int, Field(strict=True)]  # pydantic would take "8" and 8.0 and true too
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\s*([0-9]{1,6}[wdhms])+\s*$"}),
]
Channel = Annotated[
    Word,
    AfterValidator(check_channel),
    WithJsonSchema({"type": "string", "pattern": r"^\s*(#?[^\s#@,:]+|[a-z0-9-]+:[^\s#@,:/]*)?\s*$"}),
]

# -- writing --------------------------------------------------------------------------------------


def dump(data: Mapping[str, Any], notes: Mapping[Keys, str] = MappingProxyType({})) -> str:
    """Write a document that reads the same again: keys, then tables, then arrays of tables.

    TOML has no null: a key whose value is None stands in a comment. notes: what to say behind keys and headers.
    """
    blocks = ["\n".join(_lines({key: value for key, value in data.items() if not _is_table(value)}, (), notes))]
    for key, value in data.items():
        name = _written_key(key)
        if isinstance(value, dict):
            blocks.append("\n".join([_noted(f"[{name}]", notes.get((key,))), *_lines(value, (key,), notes)]))
        elif _is_table(value):
            for n, table in enumerate(value):
                header = _noted(f"[[{name}]]", notes.get((key, n)))
                blocks.append("\n".join([header, *_lines(table, (key, n), notes)]))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)
    )


def _lines(table: Mapping[str, Any], above: Keys, notes: Mapping[Keys, str]) -> list[str]:
    return [
        f"# {_written_key(key)}: not set"
        if value is None
        else _noted(f"{_written_key(key)} = {_written(value, fold=True)}", notes.get((*above, key)))
        for key, value in table.items()
    ]


def _noted(line: str, note: str | None) -> str:
    return f"{line}  # {printable(note)}" if note else line


def _written(value: Any, *, fold: bool = False) -> str:
    """Write a value; an array over several lines if it is long, and may be."""
    if isinstance(value, dict):
        inner = ", ".join(f"{_written_key(key)} = {_written(v)}" for key, v in value.items() if v is not None)
        return f"{{ {inner} }}"
    if isinstance(value, list):
        parts = [_written(one) for one in value]
        if fold and sum(map(len, parts)) > 80:
            return "[\n" + "".join(f"  {part},\n" for part in parts) + "]"
        return f"[{', '.join(parts)}]"
    # JSON's texts, numbers and booleans are TOML's, but for this one sign
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _written_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _written(key)


# -- JSON Schema ----------------------------------------------------------------------------------


def json_schema(model: type[BaseModel], title: str, written: type[BaseModel] | None = None) -> dict[str, Any]:
    """Say in JSON Schema what a model takes, as editors of TOML understand it: draft 7, no null, each table in its place.

    written: where the texts below the keys of a model stand that no file shows.
    """
    texts_of = {model: written or model}
    made = model.model_json_schema(schema_generator=type("_Schema", (_Schema,), {"texts_of": texts_of}))
    definitions = made.pop("$defs", {})
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": title, **_plain(made, definitions)}


class _Schema(GenerateJsonSchema):
    texts_of: ClassVar[Mapping[type, type]] = {}

    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        said = _texts_below_keys(self.texts_of.get(schema["cls"], schema["cls"]))
        for key, about in made.get("properties", {}).items():
            about.update({"description": said[key]} if key in said else {})
        return made


def _texts_below_keys(model: type) -> dict[str, str]:
    """What stands below the keys of a model. Pydantic would read it at each start: a quarter of a second, for no schema."""
    said: dict[str, str] = {}
    for base in model.__mro__[-1::-1]:
        if issubclass(base, BaseModel) and base is not BaseModel:
            [written] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            for key, below in pairwise(getattr(written, "body", [])):
                if isinstance(key, ast.AnnAssign) and isinstance(below, ast.Expr):
                    said[ast.unparse(key.target)] = inspect.cleandoc(ast.literal_eval(below.value))
    return said


def _plain(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Take out what a TOML file cannot say, and what pydantic makes of our names and types."""
    if isinstance(schema, list):
        return [_plain(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if choices := [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]:
        schema = {**schema, "anyOf": choices}
        if len(choices) == 1:
            schema = {**choices[0], **{key: value for key, value in schema.items() if key != "anyOf"}}
    if "$ref" in schema:  # what stands beside a reference is not read in draft 7
        referred = definitions[schema["$ref"].rpartition("/")[2]]
        schema = {**referred, **{key: value for key, value in schema.items() if key != "$ref"}}
    return {
        key: " ".join(value.split()) if key == "description" and isinstance(value, str) else _plain(value, definitions)
        for key, value in schema.items()
        if key not in ("uniqueItems", "ge", "le")
        and not (key == "title" and isinstance(value, str))
        and not (key == "default" and (value in (None, "") or isinstance(value, (list, dict))))
    }


# -- secrets --------------------------------------------------------------------------------------


def redact(text: str) -> str:
    return SECRET.sub("(secret)", text)


def secrets_in(source: Source) -> list[Problem]:
    """Refuse each key or value that looks like a Slack token, without repeating it."""
    message = (
        "this looks like a Slack token or webhook; a secret does not belong in this file. Put a token where "
        "slack.token_file says, and revoke this one if others could read it here"
    )
    return [
        source.problem(keys, message)
        for keys, value in _leaves(source.data)
        if any(isinstance(part, str) and SECRET.search(part) for part in (*keys, value))
    ]


def _leaves(value: object, keys: Keys = ()) -> Iterator[tuple[Keys, object]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*keys, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*keys, index))
    else:
        yield keys, value


# -- syntax ---------------------------------------------------------------------------------------

_CURLY = tuple("“”„‟«»‘’‚")
_NO_EQUALS = "a key is followed by = and its value"
# What tomllib says, and what a person who writes headlines most likely did.
_HINTS = (
    (r"Cannot overwrite a value", "this key has a value already, further up; keep one"),
    (r"Cannot (?:declare|mutate|redefine).*", "this table or key stands twice; put all of it in one place"),
    (r"Illegal character '\\n'.*", "a text must end with a quote on the line where it began"),
    (r"Unterminated string", "a text that began further up has no closing quote"),
    (r"Expected newline or end of document after a statement",
     "more stands here than one value; a text stands in quotes, and a quote inside it is written \\\""),
    (r"Expected '=' after a key.*", _NO_EQUALS),
    (r"Expected '\]+' at the end of.*", "a header ends with a bracket for each that it begins with: [terms], [[tests]]"),
    (r"Unclosed array", "an array that began further up lacks a comma between two values, or its closing ]"),
    (r"Invalid value", "this is no value: a text stands in quotes, an array that began further up needs its closing ]"),
    (r"Unescaped '\\' in a string", "a backslash in a text is written twice: \\\\"),
)  # fmt: skip


def _syntax_problem(said: str, text: str, path: str) -> Problem:
    """Turn tomllib's message, which ends in the place, into a problem with a place."""
    reason, _, place = said.rpartition(" (at ")
    hint = next((hint for pattern, hint in _HINTS if re.fullmatch(pattern, reason)), reason)
    found = re.match(r"line (\d+), column (\d+)", place)
    if found and text.split("\n")[int(found[1]) - 1][int(found[2]) - 1 :][:1] in _CURLY:
        hint = 'a text stands in straight quotes: "…"'
    if found is None:  # "end of document"
        last = text.rstrip()
        line, column = last.count("\n") + 1, len(last) - last.rfind("\n")
        return Problem(path, line, redact(f"not valid TOML at the end of the file; {hint}"), column=column)
    return Problem(path, int(found[1]), redact(f"not valid TOML; {hint}"), column=int(found[2]))


def _unreadable(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return f"cannot be read: {error.strerror or error}"


# -- places ---------------------------------------------------------------------------------------
# tomllib keeps no positions, and tomlkit would be a dependency for two numbers. The text has passed tomllib when it
# comes here, so the grammar may be read loosely.


class _Token(NamedTuple):
    text: str
    line: int
    column: int


_Tokens: TypeAlias = deque[_Token]

_TOKEN = re.compile(
    r'''
      \#[^\n]*                                    # comment: no group, hence skipped
    | ( """ (?: \\. | [^\\] )*? "{3,5}            # up to two quotes may stand before the closing three
      | \'\'\' .*? '{3,5}
      | " (?: \\. | [^"\\] )* "
      | ' [^']* '
      | [\n\[\]{}=,.]
      | [^\s\[\]{}=,.\#"']+
      )
    ''',
    re.VERBOSE | re.DOTALL,
)


#: a document that begins, after comments, with a bare key
_FIRST_KEY = re.compile(r"(?:[ \t]*(?:#[^\r\n]*)?\n)*[ \t]*([A-Za-z0-9_-]+)[ \t]*=[ \t]*(?=[^\s#])")


class _Places(Mapping[Keys, Place]):
    """The place of all in a valid document, looked for when it is first asked: most files are well."""

    def __init__(self, text: str) -> None:
        self._text = text

    @functools.cached_property
    def _found(self) -> dict[Keys, Place]:
        return _locate(self._text)

    def __getitem__(self, keys: Keys) -> Place:
        # of a topic that is well only this is asked: a thousand of them are there a second sooner
        first = _FIRST_KEY.match(self._text) if "_found" not in self.__dict__ else None
        if first and keys == (first[1],):
            begin = self._text.rfind("\n", 0, first.start(1)) + 1
            return Place(self._text.count("\n", 0, begin) + 1, first.start(1) - begin + 1, first.end() - begin + 1)
        return self._found[keys]

    def __iter__(self) -> Iterator[Keys]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def _locate(text: str) -> dict[Keys, Place]:
    """Map every table, key and array element of a valid document to its place."""
    tokens = _tokens(text)
    places: dict[Keys, Place] = {(): Place(1, 1, 1)}
    lengths: dict[Keys, int] = {}  # of each array of tables, so far
    table: Keys = ()
    while tokens:
        if tokens[0].text == "\n":
            tokens.popleft()
        elif tokens[0].text == "[":
            table = _header(tokens, places, lengths)
        else:
            _assignment(tokens, table, places)
    return places


def _tokens(text: str) -> _Tokens:
    tokens: _Tokens = deque()
    line, begin, counted = 1, 0, 0
    for found in _TOKEN.finditer(text):
        if found[1] is not None:
            if passed := text.count("\n", counted, found.start()):
                line += passed
                begin = text.rfind("\n", counted, found.start()) + 1
            counted = found.start()
            tokens.append(_Token(found[1], line, counted - begin + 1))
    return tokens


def _at(token: _Token) -> Place:
    return Place(token.line, token.column, token.column)


def _header(tokens: _Tokens, places: dict[Keys, Place], lengths: dict[Keys, int]) -> Keys:
    """Take `[a.b]` or `[[a.b]]`; return the table that the next keys belong to."""
    place = _at(tokens.popleft())
    array = tokens[0].text == "["
    if array:
        tokens.popleft()
    *parents, last = [name for name, _ in _names(tokens)]
    path: Keys = ()
    for name in parents:
        path = (*path, name)
        places.setdefault(path, place)
        if path in lengths:
            path = (*path, lengths[path] - 1)
    path = (*path, last)
    tokens.popleft()
    if array:
        tokens.popleft()
        places.setdefault(path, place)
        lengths[path] = lengths.get(path, 0) + 1
        path = (*path, lengths[path] - 1)
    places[path] = place  # an own header is a better place than the mention in a sub-table's
    return path


def _assignment(tokens: _Tokens, table: Keys, places: dict[Keys, Place]) -> None:
    """Take `a.b = value`."""
    names = _names(tokens)
    tokens.popleft()
    path = table
    for name, token in names:
        path = (*path, name)
        places.setdefault(path, Place(token.line, token.column, tokens[0].column))
    _value(tokens, path, places)


def _names(tokens: _Tokens) -> list[tuple[str, _Token]]:
    """Take a dotted key."""
    names = [_name(tokens.popleft())]
    while tokens[0].text == ".":
        tokens.popleft()
        names.append(_name(tokens.popleft()))
    return names


def _name(token: _Token) -> tuple[str, _Token]:
    text = token.text
    return str(tomllib.loads(f"name = {text}")["name"]) if text[0] in "\"'" else text, token


def _value(tokens: _Tokens, path: Keys, places: dict[Keys, Place]) -> None:
    """Take a value and note the elements and keys inside it."""
    opening = tokens.popleft().text
    if opening not in ("[", "{"):
        while tokens and tokens[0].text not in ("\n", ",", "]", "}"):  # 1.5 and 2026-11-21 10:00 are several tokens
            tokens.popleft()
        return
    index = 0
    while tokens[0].text not in ("]", "}"):
        if tokens[0].text in ("\n", ","):
            tokens.popleft()
        elif opening == "{":
            _assignment(tokens, path, places)
        else:
            places[(*path, index)] = _at(tokens[0])
            _value(tokens, (*path, index), places)
            index += 1
    tokens.popleft()


# -- words ----------------------------------------------------------------------------------------

#: how it is said that a key is missing
MISSING = 'the key "'

_EXPECTED = {
    "string_type": "a text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "an array [...]",
    "list_type": "an array [...]",
    "frozen_set_type": "an array [...]",
    "set_type": "an array [...]",
    "path_type": "a path in quotes",
}
_OUT_OF_RANGE = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
_EMPTY = {"string_too_short", "too_short"}


def _explain(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, keys = detail["type"], detail["loc"]
    if kind == "extra_forbidden":
        return _unknown_key(keys, detail["input"], model)
    if kind == "missing":
        return f'{MISSING}{keys[-1]}" is missing{_inside(keys[:-1])}; write {keys[-1]} = …'
    if keys[-1:] == ("[key]",):  # pydantic's mark of a key that is refused, and not its value
        keys = keys[:-2]
    return f"{dotted(keys)}: {_refusal(detail, keys, model)}"


def _refusal(detail: ErrorDetails, keys: Keys, model: type[BaseModel]) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind in ("tuple_type", "list_type") and isinstance(value, dict):
        return f"expected [[{dotted(keys)}]] in double brackets, since there may be several; got a single table"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {quote(value)}"
    if kind == "model_type":
        single = " in single brackets" if isinstance(value, list) else ""
        return f"expected a table {_table(keys)}{single}, got {quote(value)}"
    if kind in ("enum", "literal_error"):
        choices = re.findall(r"'([^']+)'", str(context["expected"]))
        return f"{quote(value)} is none of {', '.join(choices)}{did_you_mean(value, choices)}"
    if kind in _OUT_OF_RANGE:
        return f"{quote(value)} is out of range; {_range(_field(keys, model))}"
    if kind in _EMPTY:
        return f"must not be empty; {'fill it, or take it out' if len(keys) > 1 else 'write something'}"
    return detail["msg"]


def _unknown_key(keys: Keys, value: object, model: type[BaseModel]) -> str:
    """Say what the key may be meant for: a slip of the pen, or a key that stands in the wrong table."""
    *table, key = keys
    said = f"unknown table {_table(keys)}" if isinstance(value, dict) else f'unknown key "{key}"{_inside(tuple(table))}'
    own = _model(tuple(table), model)
    known = list(own.model_fields) if own else []
    if (
        table and not isinstance(value, dict) and key in model.model_fields
    ):  # the commonest slip in TOML: a key after [table] belongs to it
        return f"{said}; it belongs at the top of the file, above the first [table]"
    if slip := did_you_mean(key, known):
        return said + slip
    homes = [table for table, inner in _tables(model) if key in inner.model_fields]
    if homes:
        return f"{said}; it belongs in {' or '.join(homes)}"
    return f"{said}; the keys are {', '.join(known)}"


def _meant(keys: Keys, model: type[BaseModel]) -> Keys | None:
    """Return the key path of which an unknown key looks like a slip of the pen; None if of none."""
    own = _model(keys[:-1], model)
    near = _nearest(keys[-1], list(own.model_fields) if own else [])
    return (*keys[:-1], near) if near else None


def did_you_mean(value: object, choices: Sequence[str]) -> str:
    near = _nearest(value, choices)
    return f'; did you mean "{near}"?' if near else ""


def _nearest(value: object, choices: Sequence[str]) -> str | None:
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(value.casefold(), folded, n=1) if isinstance(value, str) else []
    return folded[near[0]] if near else None


def _tables(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the header of each table, and of each array of tables, with its model."""
    for name, info in model.model_fields.items():
        if inner := _inner_model(info.annotation):
            yield f"[[{name}]]" if get_origin(info.annotation) in (tuple, list) else f"[{name}]", inner


def _model(keys: Keys, model: type[BaseModel]) -> type[BaseModel] | None:
    """Return the model of the table at a key path; None if there is none."""
    for key in keys:
        if isinstance(key, str):
            info = model.model_fields.get(key)
            inner = _inner_model(info.annotation) if info else None
            if inner is None:
                return None
            model = inner
    return model


def _inner_model(annotation: object) -> type[BaseModel] | None:
    """Return the model in `Model`, `tuple[Model, ...]`, `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, list, Union, UnionType, Annotated):
        return next((inner for part in get_args(annotation) if (inner := _inner_model(part))), None)
    return None


def _field(keys: Keys, model: type[BaseModel]) -> FieldInfo | None:
    names = [key for key in keys if isinstance(key, str)]
    owner = _model(tuple(names[:-1]), model)
    return owner.model_fields.get(names[-1]) if owner else None


def _range(info: FieldInfo | None) -> str:
    low = high = ""
    for constraint in info.metadata if info else ():
        for part in constraint if isinstance(constraint, Interval) else (constraint,):
            match part:
                case Ge(ge=bound):
                    low = _bound(bound)
                case Gt(gt=bound):
                    low = f"more than {_bound(bound)}"
                case Le(le=bound):
                    high = _bound(bound)
                case Lt(lt=bound):
                    high = f"less than {_bound(bound)}"
    if low and high:
        return f"choose {low} to {high}"
    return f"choose {low} or more" if low else f"choose {high} or less"


def _bound(bound: object) -> str:
    return format_duration(bound) if isinstance(bound, timedelta) else f"{bound}"


def dotted(keys: Keys) -> str:
    return ".".join(key for key in keys if isinstance(key, str))


def _table(keys: Keys) -> str:
    return f"[[{dotted(keys)}]]" if isinstance(keys[-1], int) else f"[{dotted(keys)}]"


def _inside(keys: Keys) -> str:
    return f" in {_table(keys)}" if keys else ""


def quote(value: object) -> str:
    """Show a value as TOML has it, shortened."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, timedelta):
        value = format_duration(value)
    if isinstance(value, int) and value.bit_length() > 64:  # Python refuses to write one of more than 4,300 digits
        return "a very large number"
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 60 else f"{shown[:58]}…{shown[-1]}"
