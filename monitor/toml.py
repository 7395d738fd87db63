"""Read the TOML files that people write: data, the line of every key, and what is wrong in plain words.

Knows nothing of what a file means; `config` and `rules` bring the models. Never repeats a secret.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time, timedelta
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeAlias, TypeVar, Union, get_args, get_origin
from zoneinfo import ZoneInfo, available_timezones

from annotated_types import Ge, Gt, Interval, Le, Lt
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from monitor.errors import SECRET, Problem, ProblemsError
from monitor.model import QuietHours
from monitor.text import sink_of

#: ("tests", 3, "expect"): names of tables and keys, 0-based places in arrays
Keys: TypeAlias = tuple[str | int, ...]

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read."""

    #: as the user named it
    path: str
    data: dict[str, Any]
    #: 1-based, for every table, key and array element
    lines: Mapping[Keys, int] = field(repr=False)

    def line(self, keys: Keys) -> int | None:
        """Return the line of a key path, or of the nearest part of it that is there; None for the file as a whole."""
        while keys:
            if keys in self.lines:
                return self.lines[keys]
            keys = keys[:-1]
        return None

    def problem(self, keys: Keys, message: str, *, warning: bool = False) -> Problem:
        return Problem(self.path, self.line(keys), redact(message), warning)


def read(path: Path) -> Source:
    """Read a file.

    Raises: ProblemsError with one problem if it cannot be read, is not UTF-8 or is not TOML.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except OSError as error:
        raise ProblemsError([Problem(str(path), None, _unreadable(error))]) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ProblemsError([Problem(str(path), line, "not UTF-8; save the file as UTF-8")]) from error
    return parse(text, str(path))


def parse(text: str, path: str) -> Source:
    """Like `read`, of a text that is already here; `path` is only for messages."""
    try:
        return Source(path, tomllib.loads(text), _locate(text))
    except tomllib.TOMLDecodeError as error:
        raise ProblemsError([_syntax_problem(str(error), text, path)]) from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits; arrays nested 500 deep
        raise ProblemsError([Problem(path, None, "a number or a nesting in this file is too large")]) from error


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
    problems = [source.problem(detail["loc"], _explain(detail, model)) for detail in error.errors(include_url=False)]
    return in_file_order(problems)


def in_file_order(problems: Sequence[Problem]) -> list[Problem]:
    """Sort by line, what concerns the file as a whole first; each problem once."""
    return sorted(dict.fromkeys(problems), key=lambda problem: problem.line or 0)


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
    known = _did_you_mean(name, sorted(names)) or (f"; there are {', '.join(sorted(names))}" if names else "")
    return f"monitor.toml has no [[sink]] {quote(name)}{known}"


Word = Annotated[str, StringConstraints(strip_whitespace=True)]
Count = Annotated[int, Field(strict=True)]  # pydantic would take "8" and 8.0 and true too
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Channel = Annotated[Word, AfterValidator(check_channel)]

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

# What tomllib says, and what a person who writes headlines most likely did.
_HINTS = (
    (r"Cannot overwrite a value", "this key has a value already, further up"),
    (r"Cannot (?:declare|mutate|redefine).*", "this table or key stands twice"),
    (r"Illegal character '\\n'.*", "a text must end with a quote on the line where it began"),
    (r"Unterminated string", "a text that began further up has no closing quote"),
    (r"Expected newline or end of document after a statement",
     "more stands here than one value; a text stands in quotes, and a quote inside it is written \\\""),
    (r"Expected '=' after a key.*", "a key is followed by = and its value"),
    (r"Unclosed array", "an array that began further up lacks a comma between two values, or its closing ]"),
    (r"Invalid value", "this is no value: a text stands in quotes, an array that began further up needs its closing ]"),
    (r"Unescaped '\\' in a string", "a backslash in a text is written twice: \\\\"),
)  # fmt: skip


def _syntax_problem(said: str, text: str, path: str) -> Problem:
    """Turn tomllib's message, which ends in the place, into a problem with a line."""
    reason, _, place = said.rpartition(" (at ")
    hint = next((hint for pattern, hint in _HINTS if re.fullmatch(pattern, reason)), reason)
    found = re.match(r"line (\d+), column (\d+)", place)
    if found is None:  # "end of document"
        return Problem(path, text.rstrip().count("\n") + 1, redact(f"not valid TOML at the end of the file: {hint}"))
    return Problem(path, int(found[1]), redact(f"not valid TOML at column {found[2]}: {hint}"))


def _unreadable(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return f"cannot be read: {error.strerror or error}"


# -- lines ----------------------------------------------------------------------------------------
# tomllib keeps no positions, and tomlkit would be a dependency for one number. The text has passed tomllib when it
# comes here, so the grammar may be read loosely.


class _Token(NamedTuple):
    text: str
    line: int


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


def _locate(text: str) -> dict[Keys, int]:
    """Map every table, key and array element of a valid document to its line."""
    tokens = _tokens(text)
    lines: dict[Keys, int] = {}
    lengths: dict[Keys, int] = {}  # of each array of tables, so far
    table: Keys = ()
    while tokens:
        if tokens[0].text == "\n":
            tokens.popleft()
        elif tokens[0].text == "[":
            table = _header(tokens, lines, lengths)
        else:
            _assignment(tokens, table, lines)
    return lines


def _tokens(text: str) -> _Tokens:
    tokens: _Tokens = deque()
    line, counted = 1, 0
    for found in _TOKEN.finditer(text):
        if found[1] is not None:
            line += text.count("\n", counted, found.start())
            counted = found.start()
            tokens.append(_Token(found[1], line))
    return tokens


def _header(tokens: _Tokens, lines: dict[Keys, int], lengths: dict[Keys, int]) -> Keys:
    """Take `[a.b]` or `[[a.b]]`; return the table that the next keys belong to."""
    line = tokens.popleft().line
    array = tokens[0].text == "["
    if array:
        tokens.popleft()
    *parents, last = _names(tokens)
    path: Keys = ()
    for name in parents:
        path = (*path, name)
        lines.setdefault(path, line)
        if path in lengths:
            path = (*path, lengths[path] - 1)
    path = (*path, last)
    tokens.popleft()
    if array:
        tokens.popleft()
        lines.setdefault(path, line)
        lengths[path] = lengths.get(path, 0) + 1
        path = (*path, lengths[path] - 1)
    lines[path] = line  # an own header is a better place than the mention in a sub-table's
    return path


def _assignment(tokens: _Tokens, table: Keys, lines: dict[Keys, int]) -> None:
    """Take `a.b = value`."""
    line = tokens[0].line
    path = table
    for name in _names(tokens):
        path = (*path, name)
        lines.setdefault(path, line)
    tokens.popleft()
    _value(tokens, path, lines)


def _names(tokens: _Tokens) -> list[str]:
    """Take a dotted key."""
    names = [_name(tokens.popleft().text)]
    while tokens[0].text == ".":
        tokens.popleft()
        names.append(_name(tokens.popleft().text))
    return names


def _name(text: str) -> str:
    return str(tomllib.loads(f"name = {text}")["name"]) if text[0] in "\"'" else text


def _value(tokens: _Tokens, path: Keys, lines: dict[Keys, int]) -> None:
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
            _assignment(tokens, path, lines)
        else:
            lines[(*path, index)] = tokens[0].line
            _value(tokens, (*path, index), lines)
            index += 1
    tokens.popleft()


# -- words ----------------------------------------------------------------------------------------

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
        return f'the key "{keys[-1]}" is missing{_inside(keys[:-1])}'
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
        return f"expected a table {_table(keys)}, got {quote(value)}"
    if kind in ("enum", "literal_error"):
        choices = re.findall(r"'([^']+)'", str(context["expected"]))
        return f"{quote(value)} is none of {', '.join(choices)}{_did_you_mean(value, choices)}"
    if kind in _OUT_OF_RANGE:
        return f"{quote(value)} is out of range; {_range(_field(keys, model))}"
    if kind in _EMPTY:
        return "must not be empty"
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
    if slip := _did_you_mean(key, known):
        return said + slip
    homes = [table for table, inner in _tables(model) if key in inner.model_fields]
    if homes:
        return f"{said}; it belongs in {' or '.join(homes)}"
    return f"{said}; the keys are {', '.join(known)}"


def _did_you_mean(value: object, choices: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(value).casefold(), choices, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


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
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 60 else f"{shown[:58]}…{shown[-1]}"
