"""`feeds check`: fetch each feed twice, as the monitor would, and say what it is like. Writes nothing down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from monitor.checkup import Finding, Level, compare, examine
from monitor.decode import decode
from monitor.discover import discover, guesses
from monitor.errors import FetchError, ParseError
from monitor.model import Document, Feed, PublisherRules, Validators
from monitor.pipeline import Fetch, Parse

#: Feeds that are looked at side by side.
CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Surveyed:
    feed: Feed
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        return all(finding.level is not Level.ERROR for finding in self.findings)


async def survey(
    feeds: Iterable[Feed],
    fetch: Fetch,
    parse: Parse,
    rules_for: Callable[[Feed], PublisherRules],
    clock: Callable[[], datetime],
    between_polls: Callable[[], Awaitable[None]],
) -> list[Surveyed]:
    """Look at feeds, and give what was found in the order in which they came."""
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(feed: Feed) -> Surveyed:
        async with gate:
            return Surveyed(feed, tuple(await _look(feed, fetch, parse, rules_for(feed), clock, between_polls)))

    return list(await asyncio.gather(*map(one, feeds)))


async def _look(
    feed: Feed,
    fetch: Fetch,
    parse: Parse,
    rules: PublisherRules,
    clock: Callable[[], datetime],
    between_polls: Callable[[], Awaitable[None]],
) -> list[Finding]:
    try:
        first = await fetch.fetch(feed, Validators())
    except FetchError as error:
        return [Finding(Level.ERROR, "fetching", str(error))]
    if not isinstance(first, Document):  # nothing was asked conditionally
        return [Finding(Level.ERROR, "fetching", "304 Not Modified to a question without a condition")]
    try:
        parsed = await parse(first, clock(), rules)
    except ParseError as error:
        return [Finding(Level.ERROR, "parsing", str(error)), *_instead(first, error)]
    findings = examine(first, parsed, rules, clock())
    await between_polls()
    try:
        second = await fetch.fetch(feed, replace(first.validators, body_hash=""))
        after = await parse(second, clock(), rules) if isinstance(second, Document) else None
    except (FetchError, ParseError) as error:
        return [Finding(Level.WARNING, "second poll", f"failed, and the first did not: {error}"), *findings]
    if isinstance(second, Document) and second.validators.body_hash == first.validators.body_hash:
        return [*findings, Finding(Level.NOTE, "second poll", "nothing changed")]
    return [*findings, *compare(first, parsed, second, after)]


def _instead(document: Document, error: ParseError) -> list[Finding]:
    """Where the feed may be, if this is a page for people."""
    if error.cause != "html":
        return []
    text, _ = decode(document.body, document.headers, "")
    found = [f"{one.url} ({one.title})" if one.title else one.url for one in discover(text, document.url)]
    if found:
        return [Finding(Level.NOTE, "feeds of this page", url) for url in found[:5]]
    tries = ", ".join(guesses(document.url)[:4])
    return [Finding(Level.NOTE, "feeds of this page", f"it names none; often they are at {tries}")]
