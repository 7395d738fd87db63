"""Problems, as people, programs, CI servers and GitHub read them."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from monitor.errors import Level, Problem
from monitor.report import Case, as_github, as_json, as_junit, as_text, summary

WRONG = Problem("rules/a.toml", 4, 'severity: "hihg" is none of info, notice', column=12)
LOOSE = Problem("rules/a.toml", 6, "terms.always: too common", Level.WARNING, 11)
WHOLE = Problem("rules/b.toml", None, "no such file")
HINT = Problem("rules/b.toml", 1, "no term in Han", Level.ADVICE, 1)


def marked(line: str, column: int | None) -> list[str]:
    return as_text([Problem("a.toml", 1, "x", column=column)], lambda _: line).splitlines()[1:]


def test_text_is_a_line_a_problem() -> None:
    assert as_text([WRONG, LOOSE, WHOLE]).splitlines() == [
        'rules/a.toml:4:12: severity: "hihg" is none of info, notice',
        "rules/a.toml:6:11: warning: terms.always: too common",
        "rules/b.toml: no such file",
    ]


def test_caret_stands_below_the_mistake() -> None:
    assert marked('severity = "hihg"', 12) == ['    severity = "hihg"', "               ^"]


def test_caret_allows_for_wide_and_for_combining_signs() -> None:
    assert marked('a = ["粮食", "x"]', 12) == ['    a = ["粮食", "x"]', "                 ^"]
    assert marked('a = ["e\u0301", "x"]', 11)[1] == "             ^"


def test_long_line_is_cut_around_the_mistake() -> None:
    line, caret = marked("x" * 300 + "!" + "y" * 300, 301)
    assert (len(line), line[caret.index("^")]) == (104, "!")


def test_line_without_a_column_has_no_caret_and_an_empty_one_is_not_shown() -> None:
    assert marked("owner = 1", None) == ["    owner = 1"]
    assert marked("  ", 1) == []


def test_shown_line_repeats_no_secret_and_moves_no_cursor() -> None:
    line, caret = marked('channel = "xoxb-1-SECRET" # \x1b[2J', 27)
    assert "SECRET" not in line
    assert "\x1b" not in line
    assert line[caret.index("^")] == "#"


def test_json_has_every_part_of_a_problem() -> None:
    data = json.loads(as_json([WRONG, HINT], 3))
    assert (data["topics"], data["counts"]) == (3, {"error": 1, "warning": 0, "advice": 1})
    assert data["problems"][0] == {
        "file": "rules/a.toml", "line": 4, "column": 12, "level": "error",
        "message": 'severity: "hihg" is none of info, notice',
    }  # fmt: skip


def test_github_s_commands_name_file_line_and_column() -> None:
    assert as_github([WRONG, LOOSE, HINT, WHOLE]).splitlines() == [
        '::error file=rules/a.toml,line=4,col=12::severity: "hihg" is none of info, notice',
        "::warning file=rules/a.toml,line=6,col=11::terms.always: too common",
        "::notice file=rules/b.toml,line=1,col=1::no term in Han",
        "::error file=rules/b.toml::no such file",
    ]


def test_github_s_commands_cannot_be_forged() -> None:
    forged = Problem("a,line=9:b.toml", 1, "100 %\n::error::no\r", column=2)
    assert as_github([forged]) == "::error file=a%2Cline=9%3Ab.toml,line=1,col=2::100 %25%0A::error::no%0D"


def test_junit_has_a_case_a_file_and_counts_what_failed() -> None:
    suite = ElementTree.fromstring(  # noqa: S314 - ours
        as_junit(
            "rules check", [Case("rules check", "a.toml", "a: 1\na: 2\x0b"), Case("rules check", "b.toml", "", "b: 3")]
        )
    )
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", "2", "1")
    (failed, well) = suite
    assert failed[0].get("message") == "a: 1"
    assert failed[0].text == "a: 1\na: 2\\x0b"
    assert [(part.tag, part.text) for part in well] == [("system-out", "b: 3")]


def test_summary_counts_levels() -> None:
    assert summary([WRONG, WHOLE, LOOSE, HINT]) == "2 errors, 1 warning, 1 piece of advice"
    assert summary([]) == "nothing to mend"
