"""The sample outlets of `samples/`, served as feeds on this machine: RSS 2.0, RSS 1.0, Atom and JSON Feed, with ETags.

Every outlet is fictional and every word ours; the events are real. An outlet has two editions: what stands in its feed at
the first poll, and what has come by the second.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import Thread
from types import TracebackType
from typing import Self
from xml.sax.saxutils import escape, quoteattr

from monitor.model import Feed

MEDIA_TYPES = {
    "rss2": "application/rss+xml",
    "rss1": "application/rdf+xml",
    "atom": "application/atom+xml",
    "jsonfeed": "application/feed+json",
}


@dataclass(frozen=True, slots=True)
class SampleItem:
    id: str
    #: 1: there at the first poll; 2: by the second
    edition: int
    published: datetime
    link: str
    title: str
    #: may hold simple HTML, as summaries in real feeds do
    summary: str
    #: what it is about; empty: it must stay silent
    topics: tuple[str, ...] = ()
    #: items of one event share it; empty where there are no topics
    story: str = ""
    #: the item whose text it repeats; empty if it is its own
    copy_of: str = ""
    #: the topic that it only resembles; empty if it is no look-alike
    look_alike: str = ""


@dataclass(frozen=True, slots=True)
class Outlet:
    slug: str
    name: str
    site: str
    #: one of MEDIA_TYPES
    format: str
    language: str
    kind: str
    country: str
    items: tuple[SampleItem, ...]

    def feed(self, base: str) -> Feed:
        return Feed(f"{base}/{self.slug}", self.name, self.kind, self.country, self.language, self.site)

    def document(self, edition: int) -> bytes:
        """The feed as it stands in an edition, newest item first."""
        items = sorted(
            (item for item in self.items if item.edition <= edition), key=lambda i: i.published, reverse=True
        )
        return _WRITERS[self.format](self, items).encode()


def outlets() -> list[Outlet]:
    """The sample outlets, those in English first: whoever reads the demo reads English."""
    folder = files("monitor") / "samples"
    found = [
        _outlet(file.name.removesuffix(".toml"), tomllib.loads(file.read_text(encoding="utf-8")))
        for file in folder.iterdir()
        if file.name.endswith(".toml")
    ]
    return sorted(found, key=lambda outlet: (outlet.language != "en", outlet.slug))


def _outlet(slug: str, table: dict[str, object]) -> Outlet:
    values = dict(table)
    values.pop("quiet")  # for whoever writes items: an outlet without a second edition
    rows = values.pop("items")
    assert isinstance(rows, list)  # noqa: S101 - our own file
    return Outlet(slug=slug, items=tuple(_sample(str(values["site"]), row) for row in rows), **values)  # type: ignore[arg-type]  # a test reads every one


def _sample(site: str, row: dict[str, object]) -> SampleItem:
    values = dict(row)
    link = f"{site}{values.pop('path')}"
    topics = values.pop("topics")
    assert isinstance(topics, list)  # noqa: S101 - our own file
    return SampleItem(link=link, topics=tuple(topics), **values)  # type: ignore[arg-type]  # a test reads every one


# -- formats --------------------------------------------------------------------------------------


def _rss2(outlet: Outlet, items: Iterable[SampleItem]) -> str:
    body = "".join(
        f"<item><title>{escape(i.title)}</title><link>{escape(i.link)}</link>"
        f'<guid isPermaLink="false">{outlet.slug}:{i.id}</guid><pubDate>{format_datetime(i.published)}</pubDate>'
        f"<description>{escape(i.summary)}</description></item>\n"
        for i in items
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel><title>{escape(outlet.name)}</title>'
        f"<link>{outlet.site}</link><description>{escape(outlet.name)}</description>"
        f"<language>{outlet.language}</language>\n{body}</channel></rss>\n"
    )


def _rss1(outlet: Outlet, items: Sequence[SampleItem]) -> str:
    listed = "".join(f"<rdf:li rdf:resource={quoteattr(i.link)}/>" for i in items)
    body = "".join(
        f"<item rdf:about={quoteattr(i.link)}><title>{escape(i.title)}</title><link>{escape(i.link)}</link>"
        f"<description>{escape(i.summary)}</description><dc:date>{i.published.isoformat()}</dc:date></item>\n"
        for i in items
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        ' xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<channel rdf:about={quoteattr(outlet.site)}><title>{escape(outlet.name)}</title><link>{outlet.site}</link>"
        f"<description>{escape(outlet.name)}</description><dc:language>{outlet.language}</dc:language>"
        f"<items><rdf:Seq>{listed}</rdf:Seq></items></channel>\n{body}</rdf:RDF>\n"
    )


def _atom(outlet: Outlet, items: Sequence[SampleItem]) -> str:
    body = "".join(
        f"<entry><id>tag:{outlet.slug}.example,2024:{i.id}</id><title>{escape(i.title)}</title>"
        f"<link href={quoteattr(i.link)}/><published>{i.published.isoformat()}</published>"
        f'<updated>{i.published.isoformat()}</updated><summary type="html">{escape(i.summary)}</summary></entry>\n'
        for i in items
    )
    updated = max(i.published for i in items).isoformat()
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{outlet.language}">'
        f"<id>{outlet.site}</id><title>{escape(outlet.name)}</title><link href={quoteattr(outlet.site)}/>"
        f"<updated>{updated}</updated>\n{body}</feed>\n"
    )


def _jsonfeed(outlet: Outlet, items: Iterable[SampleItem]) -> str:
    rows = [
        {
            "id": i.id,
            "url": i.link,
            "title": i.title,
            "content_html": i.summary,
            "date_published": i.published.isoformat(),
        }
        for i in items
    ]
    document = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": outlet.name,
        "home_page_url": outlet.site,
        "language": outlet.language,
        "items": rows,
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


_WRITERS = {"rss2": _rss2, "rss1": _rss1, "atom": _atom, "jsonfeed": _jsonfeed}


# -- the server -----------------------------------------------------------------------------------


class SampleServer:
    """Serves the outlets on 127.0.0.1 while entered; `edition` says which, and may be changed at any time."""

    def __init__(self, port: int, edition: int = 1) -> None:
        self.edition = edition
        self.outlets = outlets()
        by_path = {f"/{outlet.slug}": outlet for outlet in self.outlets}
        server = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outlet = by_path.get(self.path)
                if outlet is None:
                    self.send_error(404)
                    return
                body = outlet.document(server.edition)
                etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
                known = self.headers.get("If-None-Match") == etag
                self.send_response(304 if known else 200)
                self.send_header("ETag", etag)
                if not known:
                    self.send_header("Content-Type", f"{MEDIA_TYPES[outlet.format]}; charset=utf-8")
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if not known:
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing: the monitor's own log tells of every poll."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Answers)
        self.base = f"http://127.0.0.1:{self._server.server_port}"

    def feeds(self) -> list[Feed]:
        return [outlet.feed(self.base) for outlet in self.outlets]

    def serve_forever(self) -> None:
        self._server.serve_forever()

    def __enter__(self) -> Self:
        # so often it looks whether it was told to stop: what waits for it at the end waits as long
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
