"""Reading TOML for people: lines, syntax errors, durations, secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import toml
from monitor.errors import ProblemsError

DOCUMENT = '''\
title = "a # is no comment here"
"quoted key" = 1
a.b = "dotted"
multi = """
[not.a.table]
key = "not a key" \\""" ""
"""""
examples = [
  "one", "two",  # a comment with ] and "
  # "no element"
  "three",
  [
    4,
  ],
]

[notify]   # comment
channel = '#literal "quotes"'
when = 2026-11-21 10:00:00
share = 1.5e3

[deep.er]
x = { y = 1, "z z" = [ { w = 2 } ] }

[[tests]]
title = "first"

[[tests]]
title = "second"
[tests.where]
lang = "ru"
[[tests.steps]]
at = 0
[[tests.steps]]
at = 1

[deep]
own = true
'''

LINES: list[tuple[toml.Keys, int]] = [
    (("title",), 1),
    (("quoted key",), 2),
    (("a",), 3),
    (("a", "b"), 3),
    (("multi",), 4),
    (("examples",), 8),
    (("examples", 0), 9),
    (("examples", 1), 9),
    (("examples", 2), 11),
    (("examples", 3), 12),
    (("examples", 3, 0), 13),
    (("notify",), 17),
    (("notify", "channel"), 18),
    (("notify", "when"), 19),
    (("notify", "share"), 20),
    (("deep", "er"), 22),
    (("deep", "er", "x", "y"), 23),
    (("deep", "er", "x", "z z", 0, "w"), 23),
    (("tests",), 25),
    (("tests", 0), 25),
    (("tests", 0, "title"), 26),
    (("tests", 1), 28),
    (("tests", 1, "title"), 29),
    (("tests", 1, "where", "lang"), 31),
    (("tests", 1, "steps"), 32),
    (("tests", 1, "steps", 0, "at"), 33),
    (("tests", 1, "steps", 1, "at"), 35),
    (("deep",), 37),
    (("deep", "own"), 38),
]


@pytest.mark.parametrize(("keys", "line"), LINES, ids=[".".join(map(str, keys)) for keys, _ in LINES])
def test_key_is_found_on_its_line(keys: toml.Keys, line: int) -> None:
    assert toml.parse(DOCUMENT, "x.toml").line(keys) == line


def test_missing_key_is_placed_where_its_table_is() -> None:
    assert toml.parse(DOCUMENT, "x.toml").line(("tests", 1, "expect")) == 28


def test_missing_top_level_key_is_placed_at_the_beginning() -> None:
    assert toml.parse(DOCUMENT, "x.toml").place(("description",)) == (1, 1, 1)


COLUMNS: list[tuple[toml.Keys, int, int]] = [
    (("title",), 1, 9),
    (("quoted key",), 1, 16),
    (("a",), 1, 7),
    (("a", "b"), 3, 7),
    (("examples", 1), 10, 10),
    (("examples", 3, 0), 5, 5),
    (("notify",), 1, 1),
    (("deep", "er", "x", "y"), 7, 11),
    (("deep", "er", "x", "z z", 0, "w"), 26, 30),
    (("tests", 1, "where", "lang"), 1, 8),
]


@pytest.mark.parametrize(("keys", "column", "value"), COLUMNS, ids=[".".join(map(str, keys)) for keys, *_ in COLUMNS])
def test_key_and_its_value_are_found_in_their_columns(keys: toml.Keys, column: int, value: int) -> None:
    assert toml.parse(DOCUMENT, "x.toml").place(keys) == (dict(LINES)[keys], column, value)


def test_columns_count_signs_and_not_bytes() -> None:
    assert toml.parse('a = ["Лима", "利馬", "é"]', "x.toml").place(("a", 2)) == (1, 20, 20)


def test_windows_line_ends_count_once() -> None:
    assert toml.parse("a = 1\r\n\r\nb = 2\r\n", "x.toml").line(("b",)) == 3


def test_byte_order_mark_is_no_syntax_error(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert toml.read(file).data == {"a": 1}


# -- generated documents --------------------------------------------------------------------------

NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\x7f"), max_size=8
) | st.sampled_from(["a", "b-c", "d_1", "2", "a.b", 'say "x"', "#", "[x]", "x = 1", "it's"])
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12) | st.sampled_from(
    ['"', '"""', "'''", "#", "[[tests]]", "\\", "]", "}", ",", "a = 1"]
)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _quoted(name)


@st.composite
def values(draw: st.DrawFn) -> str:
    """Draw a value as it is written, over one or several lines."""
    text = _quoted(draw(TEXTS))
    kind = draw(st.integers(0, 7))
    return [
        "1",
        "-1.5e3",
        "2026-11-21 10:00:00",
        text,
        f'"""\n[a]\nb = 1\n{text[1:-1]} "" \\""""',
        "'''\n[[a]]\nb = \"\n'''",
        f"[\n  {text}, # ]\n\n  [1, {{ x = {text} }}],\n]",
        f"{{ x = {text}, y.z = [ {text} ] }}",
    ][kind]


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[toml.Keys, int]]:
    """Draw a document and the line of each of its tables and their keys."""
    lines: list[str] = []
    expected: dict[toml.Keys, int] = {}

    def add(text: str) -> int:
        first = len(lines) + 1
        lines.extend(text.split("\n"))
        return first

    def add_keys(table: toml.Keys, names: list[str]) -> None:
        for name in names:
            if draw(st.booleans()):
                add(draw(st.sampled_from(["", "# x = 1", "  # [x]", "\t"])))
            expected[(*table, name)] = add(f"{_key(name)} = {draw(values())}")

    tables = draw(st.lists(NAMES, max_size=3, unique=True))
    names = st.lists(NAMES.filter(lambda name: name not in tables), max_size=3, unique=True)
    add_keys((), draw(names))
    for table in tables:
        if draw(st.booleans()):
            expected[(table,)] = add(f" [ {_key(table)} ] # [[x]]")
            add_keys((table,), draw(names))
        else:
            for place in range(draw(st.integers(1, 3))):
                expected[(table, place)] = add(f"[[{_key(table)}]]")
                add_keys((table, place), draw(names))
    return "\n".join(lines), expected


def _paths(value: object, keys: toml.Keys = ()) -> Iterator[toml.Keys]:
    inner: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for key, part in inner:
        yield (*keys, key)
        yield from _paths(part, (*keys, key))


@given(documents())
def test_every_generated_key_is_found_on_its_line_and_exactly_what_tomllib_reads_has_one(
    document: tuple[str, dict[toml.Keys, int]],
) -> None:
    text, expected = document
    source = toml.parse(text, "x.toml")
    assert {keys: source.line(keys) for keys in expected} == expected
    assert set(source.places) == {(), *_paths(source.data)}


@settings(max_examples=300)
@given(st.text(st.sampled_from("ab1.=[]{},\"'#\n\\ "), max_size=20) | st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        source = toml.parse(text, "x.toml")
    except ProblemsError:
        return
    assert set(source.places) == {(), *_paths(source.data)}


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb 2\n", "x.toml:2:3: not valid TOML; a key is followed by = and its value"),
        (
            'a = "x',
            "x.toml:1:7: not valid TOML at the end of the file; a text that began further up has no closing quote",
        ),
        (
            "[a]\n[b\n",
            "x.toml:2:3: not valid TOML; a header ends with a bracket for each that it begins with: [terms], [[tests]]",
        ),
        (
            "a = " + "[" * 3000 + "]" * 3000,
            "x.toml:1: a number or a nesting is too large here; no key of ours needs such",
        ),
        ("a = " + "9" * 5000, "x.toml:1: a number or a nesting is too large here; no key of ours needs such"),
    ],
    ids=["no-equals-sign", "unclosed-at-the-end", "unclosed-header", "too-deep", "too-many-digits"],
)
def test_syntax_error_has_its_place_and_a_hint(text: str, said: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        toml.parse(text, "x.toml")
    assert str(caught.value) == said


def test_missing_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"none\.toml: no such file$"):
        toml.read(tmp_path / "none.toml")


def test_folder_in_place_of_a_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match="cannot be read: Is a directory"):
        toml.read(tmp_path)


# -- durations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("6h", timedelta(hours=6)),
        ("3d", timedelta(days=3)),
        ("2w", timedelta(days=14)),
        ("0s", timedelta()),
        ("1h30m", timedelta(minutes=90)),
        (" 48h ", timedelta(days=2)),
    ],
)
def test_duration_is_read(text: str, duration: timedelta) -> None:
    assert toml.parse_duration(text) == duration


@pytest.mark.parametrize("text", ["10", "m", "", "10 m", "-1h", "1.5h", "1y", "9999999d", "1h-", "ten minutes"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match='is not a duration; write a number and a unit: "30s", "10m", "6h" or "3d"'):
        toml.parse_duration(text)


@given(st.integers(0, 10**9))
def test_duration_is_read_as_it_is_written(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert toml.parse_duration(toml.format_duration(duration)) == duration


# -- secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [
        "xoxb-1-SECRET",
        "xoxp-1-SECRET",
        "xoxe.xoxp-1-SECRET",
        "xapp-1-SECRET",
        "https://hooks.slack.com/services/T/SECRET",
    ],
)
def test_slack_secret_is_found_wherever_it_stands_and_never_repeated(secret: str) -> None:
    source = toml.parse(f'a = [1, {{ b = "see {secret}" }}]\n', "x.toml")
    (problem,) = toml.secrets_in(source)
    assert problem.line == 1
    assert "SECRET" not in str(problem)


def test_file_without_secrets_has_none_found() -> None:
    assert toml.secrets_in(toml.parse(DOCUMENT, "x.toml")) == []


FIRST_LINES = ["# a comment", "", "  ", "#:schema x", 'title = "x"', "title = \'\'\'", "\'\'\'", "[a]", "b.c = 1", " d = [",
               "]", "title=1", "\ttitle  =  true # x", '"title" = 2']  # fmt: skip


@given(st.lists(st.sampled_from(FIRST_LINES), max_size=6))
def test_first_key_lies_where_all_keys_are_found_to_lie(lines: list[str]) -> None:
    source, _ = toml.salvage("\n".join(lines), "x.toml")
    if source:
        first = source.places.get(("title",))
        assert first == dict(source.places).get(("title",))
