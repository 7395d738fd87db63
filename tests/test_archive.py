import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import make
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.archive import read_archive
from monitor.errors import Problem, StateError
from monitor.model import Feed, Item

FULL = {
    "id": "a1",
    "title": "Troops seen near Kursk",
    "text": "3,000 soldiers, Seoul says.",
    "lang": "en",
    "published": "2024-10-28T09:00:00Z",
    "source": "Harbour Wire",
    "url": "http://harbour.example/1?utm_source=x",
}
NINE = datetime(2024, 10, 28, 9, tzinfo=UTC)


def read(folder: Path, *lines: object) -> tuple[list[Item], list[Problem]]:
    """Lines that are text stand as they are; others become JSON."""
    path = folder / "items.jsonl"
    path.write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n", encoding="utf-8"
    )
    return read_archive(path, make.NOW)


def one(folder: Path, **fields: object) -> Item:
    items, problems = read(folder, FULL | fields)
    assert problems == []
    return items[0]


# -- good lines ------------------------------------------------------------------------------------


def test_a_full_line(tmp_path: Path) -> None:
    assert one(tmp_path) == Item(
        id="a1",
        feed=Feed("archive:Harbour Wire", "Harbour Wire"),
        title="Troops seen near Kursk",
        text="3,000 soldiers, Seoul says.",
        link="http://harbour.example/1?utm_source=x",
        canonical_link="https://harbour.example/1",
        language="en",
        published=NINE,
        first_seen=NINE,
    )


def test_the_least_that_a_line_may_say(tmp_path: Path) -> None:
    items, problems = read(tmp_path, {"id": 7, "title": "Troops seen"})
    assert problems == []
    assert items == [Item("7", Feed("archive:"), "Troops seen", "", "", "", "", None, make.NOW)]


@pytest.mark.parametrize("key", ["text", "lang", "published", "source", "url"])
def test_null_is_as_good_as_nothing(tmp_path: Path, key: str) -> None:
    without = {name: value for name, value in FULL.items() if name != key}
    assert one(tmp_path, **{key: None}) == read(tmp_path, without)[0][0]


def test_keys_that_nobody_knows_are_passed_over(tmp_path: Path) -> None:
    assert one(tmp_path, story="s1", topics=["x"]).id == "a1"


def test_title_and_text_are_made_plain(tmp_path: Path) -> None:
    item = one(tmp_path, title="Troops &amp; <b>tanks</b>\n seen", text="<p>One.</p><p>Two.</p>")
    assert (item.title, item.text) == ("Troops & tanks seen", "One. Two.")


@pytest.mark.parametrize(("given", "code"), [("zh-CN", "zh"), ("RU", "ru"), ("ua", "uk"), ("klingon", "")])
def test_languages_are_codes(tmp_path: Path, given: str, code: str) -> None:
    assert one(tmp_path, lang=given).language == code


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ("2024-10-28T09:00:00Z", NINE),
        ("2024-10-28T12:00:00+03:00", NINE),
        ("2024-10-28 09:00", NINE),  # without a zone it is UTC
        ("2024-10-28T09:00:00.000", NINE),
        ("2024-10-28", datetime(2024, 10, 28, tzinfo=UTC)),
        ("20241028T090000Z", NINE),
    ],
)
def test_times_are_in_utc(tmp_path: Path, published: str, expected: datetime) -> None:
    item = one(tmp_path, published=published)
    assert (item.published, item.first_seen) == (expected, expected)
    assert item.at.utcoffset() == timedelta(0)


def test_an_item_without_a_time_gets_that_of_the_one_before(tmp_path: Path) -> None:
    bare = {"id": "b", "title": "No time"}
    items, _ = read(tmp_path, bare, FULL, bare, FULL | {"published": "2024-10-27"}, bare)
    assert [item.published for item in items] == [None, NINE, None, datetime(2024, 10, 27, tzinfo=UTC), None]
    assert [item.first_seen for item in items] == [make.NOW, NINE, NINE, *[datetime(2024, 10, 27, tzinfo=UTC)] * 2]


def test_gzip_is_read_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(FULL).encode()))
    items, problems = read_archive(path, make.NOW)
    assert ([item.id for item in items], problems) == (["a1"], [])


def test_order_is_as_given_and_ids_may_repeat(tmp_path: Path) -> None:
    items, _ = read(tmp_path, *({"id": n % 3, "title": f"Item {n}"} for n in (5, 3, 9, 1)))
    assert [item.title for item in items] == ["Item 5", "Item 3", "Item 9", "Item 1"]


@pytest.mark.parametrize("content", ["", "\n", "\n  \n\r\n"])
def test_empty_lines_are_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(content)
    assert read_archive(path, make.NOW) == ([], [])


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([json.dumps(FULL).encode()] * 2))
    items, problems = read_archive(path, make.NOW)
    assert ([item.id for item in items], problems) == (["a1", "a1"], [])


def test_a_line_separator_of_unicode_ends_no_line(tmp_path: Path) -> None:
    items, problems = read(tmp_path, '{"id": 1, "title": "one\u2028two\x85three"}')
    assert ([item.title for item in items], problems) == (["one two three"], [])


# -- bad lines -------------------------------------------------------------------------------------

BAD = [
    ("no JSON", "not json", "Expecting value"),
    ("half a line", '{"id": 1, "title": "x"', "Expecting"),
    ("a list", "[1, 2]", "a line must be one JSON object"),
    ("a number", "3", "a line must be one JSON object"),
    ("null", "null", "a line must be one JSON object"),
    ("no title", {"id": 1}, "no title"),
    ("an empty title", {"id": 1, "title": " "}, "no title"),
    ("a title of markup alone", {"id": 1, "title": "<br>"}, "no title"),
    ("a title that is no text", {"id": 1, "title": ["x"]}, "title must be text"),
    ("a text that is no text", {"id": 1, "title": "x", "text": {"a": 1}}, "text must be text"),
    ("a source that is no text", {"id": 1, "title": "x", "source": 5}, "source must be text"),
    ("no id", {"title": "x"}, "no id"),
    ("an empty id", {"id": "", "title": "x"}, "no id"),
    ("an id that is neither text nor number", {"id": [1], "title": "x"}, "no id"),
    ("an id that cannot be printed again", '{"id": "\\ud800", "title": "x"}', "surrogates not allowed"),
    ("no time", {"id": 1, "title": "x", "published": "yesterday"}, "published is no ISO 8601 time: 'yesterday'"),
    ("a time that is a number", {"id": 1, "title": "x", "published": 1730106000}, "published must be text"),
    (
        "a time before the year 1",
        {"id": 1, "title": "x", "published": "0001-01-01T00:00:00+03:00"},
        "before the year 1",
    ),
    ("a day that is none", {"id": 1, "title": "x", "published": "2024-02-30"}, "published is no ISO 8601 time"),
    ("brackets without end", "[" * 100_000, "recursion"),
    ("a number of 5,000 digits", '{"id": ' + "1" * 5000 + ', "title": "x"}', "integer string"),
]


@pytest.mark.parametrize(("line", "why"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_line_is_named_and_nothing_else_is_lost(tmp_path: Path, line: object, why: str) -> None:
    items, problems = read(tmp_path, FULL, line, FULL | {"id": "a2"})
    assert [item.id for item in items] == ["a1", "a2"]
    assert [(problem.path, problem.line, problem.warning) for problem in problems] == [
        (str(tmp_path / "items.jsonl"), 2, False)
    ]
    assert problems[0].message.startswith("skipped: ")
    assert why in problems[0].message


def test_bytes_that_are_no_utf_8_harm_their_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    good = json.dumps(FULL).encode()
    path.write_bytes(b"\n".join([good, b'{"id": 2, "title": "caf\xe9 open"}', b"\xff\xfe\x00", good]))
    items, problems = read_archive(path, make.NOW)
    assert [item.title for item in items] == ["Troops seen near Kursk", "caf\ufffd open", "Troops seen near Kursk"]
    assert [problem.line for problem in problems] == [3]


def test_empty_lines_are_counted(tmp_path: Path) -> None:
    _, problems = read(tmp_path, "", FULL, "", "oops")
    assert [problem.line for problem in problems] == [4]


def test_a_bad_line_does_not_set_the_clock(tmp_path: Path) -> None:
    items, _ = read(tmp_path, FULL, {"title": "no id", "published": "2030-01-01"}, {"id": 3, "title": "No time"})
    assert items[1].first_seen == NINE


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), max_size=5))
def test_whatever_the_lines_each_is_read_or_named(tmp_path: Path, lines: list[str]) -> None:
    items, problems = read(tmp_path, *lines, FULL)
    full = [line.removeprefix("\ufeff") if n == 0 else line for n, line in enumerate(lines)]
    assert len(items) + len(problems) == sum(bool(line.strip()) for line in full) + 1
    assert items[-1].id == "a1"


# -- bad files -------------------------------------------------------------------------------------


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


PACKED = gzip.compress(b"".join(json.dumps(FULL | {"id": n}).encode() + b"\n" for n in range(2000)))


@pytest.mark.parametrize(
    "content",
    [b"no gzip", PACKED[: len(PACKED) // 2], PACKED[:200] + bytes(64) + PACKED[264:], PACKED[:-8] + bytes(8)],
    ids=["no gzip", "cut short", "rotten", "bad sum"],
)
def test_a_file_that_cannot_be_unpacked_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = _write(tmp_path / "items.jsonl.gz", content)
    with pytest.raises(StateError, match=r"items\.jsonl\.gz: cannot be read"):
        read_archive(path, make.NOW)


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"nothing\.jsonl: cannot be read"):
        read_archive(tmp_path / "nothing.jsonl", make.NOW)
