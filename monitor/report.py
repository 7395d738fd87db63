"""Problems of files → text with the lines that they are in, JSON, JUnit, GitHub's workflow commands. Pure."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from monitor.errors import SECRET, Level, Problem, printable

#: so much of a line is shown, around its mistake
WIDTH = 100

#: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
_GITHUB = {Level.ERROR: "error", Level.WARNING: "warning", Level.ADVICE: "notice"}


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that was tried, for JUnit."""

    #: what it belongs to, as a file or a topic
    group: str
    name: str
    #: why it failed; empty if it did not
    failure: str = ""
    #: what else is to be said
    output: str = ""
    seconds: float = 0.0


def as_text(problems: Sequence[Problem], line_of: Callable[[Problem], str] | None = None) -> str:
    """A line a problem. With `line_of`, which gives the line of the file that a problem is in, that follows, marked."""
    parts = []
    for problem in problems:
        parts.append(str(problem))
        line = line_of(problem) if line_of else ""
        if line.strip():
            parts.append(_marked(line, problem.column))
    return "\n".join(parts)


def as_json(problems: Sequence[Problem], topics: int) -> str:
    data = {
        "topics": topics,
        "counts": {level.value: count for level, count in counts(problems).items()},
        "problems": [
            {
                "file": printable(problem.path),
                "line": problem.line,
                "column": problem.column,
                "level": problem.level.value,
                "message": problem.message,
            }
            for problem in problems
        ],
    }
    return json.dumps(data, ensure_ascii=False, indent=2)


def as_github(problems: Sequence[Problem]) -> str:
    """A workflow command a problem: GitHub shows it beside the line, in a pull request."""
    return "\n".join(_command(problem) for problem in problems)


def as_junit(name: str, cases: Sequence[Case]) -> str:
    """A suite of test cases in JUnit's XML, as CI servers read it."""
    failed = sum(bool(case.failure) for case in cases)
    suite = ElementTree.Element("testsuite", name=name, tests=str(len(cases)), failures=str(failed), errors="0")
    for case in cases:
        element = ElementTree.SubElement(
            suite, "testcase", classname=printable(case.group), name=printable(case.name), time=f"{case.seconds:.3f}"
        )
        if case.failure:
            failure = ElementTree.SubElement(element, "failure", message=printable(case.failure.partition("\n")[0]))
            failure.text = _xml(case.failure)
        if case.output:
            ElementTree.SubElement(element, "system-out").text = _xml(case.output)
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode")


def counts(problems: Sequence[Problem]) -> dict[Level, int]:
    """How many of each level, those of none too."""
    found = Counter(problem.level for problem in problems)
    return {level: found[level] for level in Level}


def summary(problems: Sequence[Problem]) -> str:
    plural = {Level.ERROR: "errors", Level.WARNING: "warnings", Level.ADVICE: "pieces of advice"}
    singular = {Level.ERROR: "error", Level.WARNING: "warning", Level.ADVICE: "piece of advice"}
    told = [f"{n} {(singular if n == 1 else plural)[level]}" for level, n in counts(problems).items() if n]
    return ", ".join(told) or "nothing to mend"


def _marked(line: str, column: int | None) -> str:
    """A line, cut to its part around the column, with a caret below that."""
    shown = SECRET.sub(lambda found: "*" * len(found[0]), line.replace("\t", " "))
    begin = max(0, column - WIDTH // 2) if column and len(shown) > WIDTH else 0
    cut = printable(shown[begin : begin + WIDTH])
    if column is None:
        return f"    {cut}"
    before = printable(shown[begin : column - 1])
    blank = sum(2 if unicodedata.east_asian_width(sign) in "WF" else not unicodedata.combining(sign) for sign in before)
    return f"    {cut}\n    {' ' * blank}^"


def _command(problem: Problem) -> str:
    where = {"file": problem.path, "line": problem.line, "col": problem.column}
    given = ",".join(f"{key}={_escaped(str(value), ':,')}" for key, value in where.items() if value is not None)
    return f"::{_GITHUB[problem.level]} {given}::{_escaped(problem.message)}"


def _escaped(text: str, more: str = "") -> str:
    for sign in "%\r\n" + more:
        text = text.replace(sign, f"%{ord(sign):02X}")
    return printable(text)


def _xml(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
