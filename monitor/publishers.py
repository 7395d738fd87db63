"""What is known of publishers whose feeds mislead: publishers.toml → PublisherRules for each feed, by its host.

Tells all problems at once; a [[publisher]] with a problem loses only itself. Knows no publisher: they are data.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Annotated, Any, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from monitor.errors import Problem, ProblemsError
from monitor.model import Identity, PublisherRules, Zones
from monitor.text import host_of
from monitor.toml import Source, explain_validation, in_file_order, parse_zone, quote, read, secrets_in


class Publishers:
    """The rules of each publisher, by host, and those of all the others."""

    def __init__(self, by_host: Mapping[str, PublisherRules], others: PublisherRules) -> None:
        self._by_host = by_host
        self._others = others

    @classmethod
    def none(cls) -> Publishers:
        """Know nobody: every feed is read as the formats say."""
        return cls({}, PublisherRules())

    def rules_for(self, feed_url: str) -> PublisherRules:
        """Give the rules of the longest host that is the feed's, or that the feed's ends in."""
        host = host_of(feed_url).rstrip(".")
        while host:
            if host in self._by_host:
                return self._by_host[host]
            host = host.partition(".")[2]
        return self._others


def load_publishers(path: Path) -> tuple[Publishers, list[Problem]]:
    """Return what can be used of a file, and what is wrong with the rest; a file that cannot be read knows nobody."""
    try:
        source = read(path)
    except ProblemsError as error:
        return Publishers.none(), error.problems
    machine_titles, tables, problems = _validated(source)
    owners: dict[str, str] = {}
    by_host: dict[str, PublisherRules] = {}
    for place, table in tables:
        rules = _rules(table, machine_titles)
        for number, host in enumerate(table.hosts):
            if host in owners:
                said = f"publisher.hosts: {quote(host)} is among the hosts of {owners[host]} already, further up"
                problems.append(source.problem(("publisher", place, "hosts", number), said))
            else:
                owners[host], by_host[host] = table.name, rules
    return Publishers(by_host, PublisherRules(machine_titles=machine_titles)), in_file_order(problems)


def _rules(table: _PublisherTable, machine_titles: tuple[re.Pattern[str], ...]) -> PublisherRules:
    return PublisherRules(
        identity=table.identity,
        guid_drop=table.guid_drop,
        guid_ignore=table.guid_ignore,
        drop_parameters=table.drop_parameters,
        zones=Zones(table.zone, table.zones),
        machine_titles=machine_titles + table.machine_titles,
    )


# -- kinds of values ------------------------------------------------------------------------------

#: Characters. A pattern that needs more is several; a bound on what a slip of the pen can cost.
_LONGEST_PATTERN = 300
# (a+)+ and its kind try every way to share the text out, of which there are as many as a number with its digits.
_NESTED = re.compile(r"(?<!\\)\((?:[^()\\]|\\.)*[*+}](?:[^()\\]|\\.)*\)[*+{]")


def _pattern(value: object) -> re.Pattern[str]:
    if not isinstance(value, str):
        raise ValueError(f"expected a text in quotes, got {quote(value)}")
    if len(value) > _LONGEST_PATTERN:
        raise ValueError(f"a pattern of {len(value)} characters; write several, none above {_LONGEST_PATTERN}")
    if _NESTED.search(value):
        raise ValueError(f"{quote(value)} repeats what repeats, which can take for ever; take one of the two away")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "[[a]": not what was meant
            pattern = re.compile(value)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise ValueError(f"{quote(value)} is no regular expression: {error}") from error
    if pattern.search(""):
        raise ValueError(f"{quote(value)} finds something in every text, even an empty one; say what must be there")
    return pattern


def _host(value: str) -> str:
    host = value.strip().lower()
    if re.fullmatch(r"[\w-]+(\.[\w-]+)*", host):
        return host
    better = (host_of(host) or host_of(f"//{host}")).strip("*.")
    hint = f'did you mean "{better}"?' if better else 'write "bbc.com", for example'
    raise ValueError(f"{quote(value)} is no host; {hint}")


def _some(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if not hosts:  # `min_length` would say so of refused ones too
        raise ValueError("must not be empty")
    return hosts


def _parameter(value: str) -> str:
    if not re.fullmatch(r"[^\s?&=#]+", value):
        raise ValueError(f'{quote(value)} is no parameter of a link; for ?maca=en-rss write "maca"')
    return value.lower()


def _abbreviations(value: dict[str, ZoneInfo]) -> dict[str, ZoneInfo]:
    for name in value:
        if not name.isalpha():
            raise ValueError(f'{quote(name)} is no abbreviation of a zone; write letters, as in CST = "Asia/Shanghai"')
    return {name.lower(): zone for name, zone in value.items()}


# -- the file -------------------------------------------------------------------------------------

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Pattern = Annotated[re.Pattern[str], BeforeValidator(_pattern)]
_Zone = Annotated[ZoneInfo, BeforeValidator(parse_zone)]
_Host = Annotated[str, AfterValidator(_host)]
_Parameter = Annotated[str, AfterValidator(_parameter)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _PublisherTable(_Table):
    name: _Text
    hosts: Annotated[tuple[_Host, ...], AfterValidator(_some)]
    identity: Identity = Identity.GUID
    guid_drop: _Pattern | None = None
    guid_ignore: _Pattern | None = None
    drop_parameters: frozenset[_Parameter] = frozenset()
    zone: _Zone | None = None
    zones: Annotated[dict[str, _Zone], AfterValidator(_abbreviations)] = {}
    machine_titles: tuple[_Pattern, ...] = ()


class _PublishersFile(_Table):
    machine_titles: tuple[_Pattern, ...] = ()
    publisher: tuple[_PublisherTable, ...] = ()


_Tables: TypeAlias = list[tuple[int, _PublisherTable]]


def _validated(source: Source) -> tuple[tuple[re.Pattern[str], ...], _Tables, list[Problem]]:
    """Return what is sound of the file, each publisher with its place in it, and the problems of the rest."""
    problems = secrets_in(source)
    refused: set[tuple[int | str, ...]] = set()
    try:
        file = _PublishersFile.model_validate(source.data)
    except ValidationError as error:
        problems += explain_validation(error, source, _PublishersFile)
        # A key, or one element of the array that it holds.
        refused = {detail["loc"][:2] for detail in error.errors()}
        file = _PublishersFile.model_validate(_without(source.data, refused))
    places = (place for place in count() if ("publisher", place) not in refused)
    return file.machine_titles, list(zip(places, file.publisher, strict=False)), problems


def _without(data: Mapping[str, Any], refused: set[tuple[int | str, ...]]) -> dict[str, Any]:
    return {
        key: [element for place, element in enumerate(value) if (key, place) not in refused]
        if isinstance(value, list)
        else value
        for key, value in data.items()
        if (key,) not in refused
    }
