"""`feeds check`: fetch each feed twice, as the monitor would, and say what it is like. Writes nothing down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from monitor.checkup import Finding, Level, compare, examine, unfetched, unparsed, worst_first
from monitor.decode import decode
from monitor.discover import discover, guesses
from monitor.errors import FetchError, ParseError
from monitor.model import Document, Feed, PublisherRules, Validators
from monitor.parse import ParsedFeed
from monitor.pipeline import Fetch, Parse

#: Feeds that are looked at side by side.
CONCURRENCY = 8
#: Addresses that are named in place of a page's.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Surveyed:
    feed: Feed
    #: worst first
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        return all(finding.level is not Level.ERROR for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Surveyor:
    """What looking at feeds needs of the world: the same edges as the monitor's."""

    fetch: Fetch
    parse: Parse
    rules_for: Callable[[Feed], PublisherRules]
    clock: Callable[[], datetime]

    async def survey(self, feeds: Iterable[Feed], between_polls: Callable[[], Awaitable[None]]) -> list[Surveyed]:
        """Look at feeds, each twice, and give what was found in the order in which they came."""
        gate = asyncio.Semaphore(CONCURRENCY)

        async def one(feed: Feed) -> Surveyed:
            return Surveyed(feed, tuple(worst_first(await self._look(feed, gate, between_polls))))

        return list(await asyncio.gather(*map(one, feeds)))

    async def _look(
        self, feed: Feed, gate: asyncio.Semaphore, between_polls: Callable[[], Awaitable[None]]
    ) -> list[Finding]:
        try:
            async with gate:
                first = await self._document(feed)
        except FetchError as error:
            return [unfetched(error)]
        try:
            before = await self._parsed(first)
        except ParseError as error:
            return [unparsed(error), *_instead(first, error)]
        await between_polls()
        async with gate:
            later = await self._second_look(first, before)
        return [*examine(first, before, self.rules_for(feed), self.clock()), *later]

    async def _second_look(self, first: Document, before: ParsedFeed) -> list[Finding]:
        try:
            second = await self._document(first.feed)
            if second.body == first.body:
                return [await self._unchanged(first)]
            return compare(first, before, second, await self._parsed(second))
        except (FetchError, ParseError) as error:
            return [Finding(Level.WARNING, "second poll", f"failed, and the first did not: {error}")]

    async def _document(self, feed: Feed) -> Document:
        """Fetch all of it: whoever asks for changes alone believes what an ETag says.

        Raises: FetchError.
        """
        answer = await self.fetch.fetch(feed, Validators())
        if not isinstance(answer, Document):
            raise FetchError("http 304", "though nobody asked for changes alone")
        return answer

    async def _parsed(self, document: Document) -> ParsedFeed:
        return await self.parse(document, self.clock(), self.rules_for(document.feed), {})

    async def _unchanged(self, document: Document) -> Finding:
        """Ask for changes where there are none: does the server know it?"""
        if not (document.validators.etag or document.validators.last_modified):
            return Finding(Level.NOTE, "second poll", "nothing changed")
        answer = await self.fetch.fetch(document.feed, replace(document.validators, body_hash=""))
        knows = not isinstance(answer, Document)
        says = "says so" if knows else "sends the whole document all the same"
        return Finding(Level.NOTE, "second poll", f"nothing changed; asked for changes alone, its server {says}")


def _instead(document: Document, error: ParseError) -> list[Finding]:
    """Where the feed may be, if this is a page for people."""
    if error.cause != "html":
        return []
    text, _ = decode(document.body, document.headers, "")
    found = [f"{one.url} ({one.title})" if one.title else one.url for one in discover(text, document.url)]
    if found:
        return [Finding(Level.NOTE, "instead", f"the page names {url}") for url in found[:_NAMED]]
    tries = ", ".join(guesses(document.url)[:_NAMED])
    return [Finding(Level.NOTE, "instead", f"the page names no feed; often one is at {tries}")]
