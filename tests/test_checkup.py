"""What a rule author is told of a feed: documents by hand, and the words for what is wrong with them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from email.utils import format_datetime

import make
import pytest

from monitor.checkup import Finding, Level, compare, examine, unfetched, unparsed, worst_first
from monitor.errors import FetchError, ParseError
from monitor.model import Document, Identity, PublisherRules, Validators
from monitor.parse import parse

NOW = make.NOW
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FEED = make.feed(url="https://outlet.example/rss", language="")
TEXT = "South Korea's intelligence service told lawmakers that 3,000 soldiers had been moved west by train."
UKRAINIAN = "Північнокорейських військових помітили на заході: їх перекинули потягом, кажуть у Сеулі"


def item(
    n: int = 0, *, guid: str | None = "", link: str | None = "", date: datetime | str | None = None, title: str = "",
    text: str = TEXT,
) -> str:  # fmt: skip
    """The n-th item, an hour older than the one before; a field that is None is left out."""
    when = date if isinstance(date, str) else format_datetime(date or NOW - (n + 1) * HOUR)
    fields = {
        "title": title or f"North Korean troops seen near Kursk, report {n}",
        "description": text,
        "guid": None if guid is None else guid or f"id-{n}",
        "link": None if link is None else link or f"https://outlet.example/{n}",
        "pubDate": when or None,
    }
    return "<item>" + "".join(f"<{name}>{value}</{name}>" for name, value in fields.items() if value) + "</item>"


def feed(*items: str, language: str = "en", head: str = "", headers: dict[str, str] | None = None) -> Document:
    said = f"<language>{language}</language>" if language else ""
    body = f'<rss version="2.0"><channel><title>Outlet</title>{said}{head}{"".join(items)}</channel></rss>'
    return document(body.encode(), headers)


def document(body: bytes, headers: dict[str, str] | None = None, **fields: str) -> Document:
    headers = {"content-type": "application/rss+xml", "etag": '"1"'} | (headers or {})
    values = {"url": FEED.url} | fields
    validators = Validators(headers["etag"], headers.get("last-modified", ""), str(hash(body)))
    return Document(FEED, values["url"], headers, body, validators, values.get("moved_to", ""))


def looked_at(document: Document, rules: PublisherRules = PublisherRules()) -> list[Finding]:  # noqa: B008 - frozen
    return examine(document, parse(document, NOW, rules), rules, NOW)


def said(findings: list[Finding], about: str = "") -> list[str]:
    """`level: words` of the findings, of one matter if it is named."""
    return [f"{found.level}: {found.says}" for found in findings if about in ("", found.about)]


TEN = tuple(map(item, range(10)))


# -- one document ---------------------------------------------------------------------------------


def test_good_feed_gets_notes_alone() -> None:
    assert [(found.level.value, found.about, found.says) for found in looked_at(feed(*TEN))] == [
        ("note", "document", "“Outlet”, 10 items in 3 KB"),
        ("note", "identity", "by guid, such as “id-0”"),
        ("note", "dates", "“Tue, 29 Oct 2024 13:30:00 +0000” is read as 2024-10-29 13:30 UTC"),
        ("note", "rhythm", "an item every 60 min; the document reaches back 9 h"),
        ("note", "language", "declares en, and reads so"),
    ]


NAME_THE_ZONE = "if it names no zone, or one of several meanings, say in publishers.toml which is meant"
FIRST_SEEN = "The time when they are first seen stands in"
UNREAD = "2024-10-29 10:00:00"
WRONG_ZONE = [item(n, date=NOW + 3 * HOUR) for n in (20, 21)]
#: what is found, and where
FOUND: dict[str, tuple[Document, str, str]] = {
    # -- the document
    "no items": (feed(), "document", "warning: a feed without items, 88 bytes"),
    "no title": (document(f"<rss><channel>{TEN[0]}</channel></rss>".encode()), "document", "note: no title, 1 items in 0 KB"),
    "a body that was cut off": (
        document(feed(*TEN).body[:1_500], {}), "document", "warning: truncated"
    ),
    "two encodings": (
        document(feed(*TEN, language="ru").body.replace(b"Outlet", "Новости дня".encode("cp1251")),
                 {"content-type": "application/rss+xml; charset=utf-8"}),
        "document", "warning: encoding guessed: cp1251",
    ),
    # -- the address
    "moved for good": (
        document(feed(*TEN).body, url="https://new.example/", moved_to="https://new.example/"), "address",
        "warning: moved for good to https://new.example/: put that on the list",
    ),
    "redirected for now": (
        document(feed(*TEN).body, url="https://cdn.example/rss"), "address",
        "note: answered by https://cdn.example/rss, for now",
    ),
    # -- identity
    "no guids": (
        feed(*(item(n, guid=None) for n in range(10))), "identity",
        "note: no guid: an item is known by its link, else by title and date",
    ),
    "guids here and there": (
        feed(*(item(n, guid=None if n % 2 else "") for n in range(10))), "identity",
        "warning: 5 of 10 items have no guid: their links, or titles and dates, stand in",
    ),
    "a guid for all": (
        feed(*(item(n, guid="N/A") for n in range(10))), "identity",
        "warning: 10 items share their guid, such as “N/A”: links and titles tell them apart",
    ),
    "an endless guid": (
        feed(item(guid="x" * 300)), "identity", f"note: by guid, such as “{'x' * 79}…”",
    ),
    # -- dates
    "undated": (
        feed(*(item(n, date="") for n in range(10))), "dates",
        "warning: 10 of 10 items have none: the time when they are first seen stands in",
    ),
    "one of many undated": (
        feed(*TEN, item(11, date="")), "dates",
        "note: 1 of 11 items have none: the time when they are first seen stands in",
    ),
    "dates without a zone": (
        feed(*(item(n, date=UNREAD) for n in range(4))), "dates",
        f"warning: 4 of 4 cannot be read, such as “{UNREAD}”; {NAME_THE_ZONE}",
    ),
    "dates in the future": (
        feed(*TEN, *WRONG_ZONE), "dates",
        f"warning: 2 of 12 are in the future, such as “Tue, 29 Oct 2024 17:30:00 +0000”: a wrong zone? {FIRST_SEEN}",
    ),
    # -- rhythm
    "asleep for long": (
        feed(*(item(n, date=NOW - (40 + n) * DAY) for n in range(5))), "rhythm", "warning: its newest item is 40 days old"
    ),
    "a document of minutes": (
        feed(*(item(n, date=NOW - 2 * n * MINUTE) for n in range(10))), "rhythm",
        "warning: an item every 2 min; the document reaches back 18 min: polls further apart miss items ([[feed]] interval)",
    ),
    "a weekly": (
        feed(*(item(n, date=NOW - 7 * n * DAY) for n in range(5))), "rhythm",
        "note: an item every 7 days; the document reaches back 28 days",
    ),
    # -- language
    "no language": (feed(*TEN, language=""), "language", "note: declares none; most of it reads like en"),
    "another language": (
        feed(*(item(n, title=UKRAINIAN, text=UKRAINIAN) for n in range(3))), "language",
        "warning: declares en, but reads like uk: the words of each item decide",
    ),
    "another language in an item or two": (
        feed(*TEN, *(item(n, title=UKRAINIAN, text=UKRAINIAN) for n in range(11, 14))), "language",
        "note: declares en, and reads so",
    ),
    # -- links
    "no links": (feed(*(item(n, link=None) for n in range(10))), "links", "warning: 10 of 10 items have none"),
    "one link for all": (
        feed(*(item(n, link="https://outlet.example/") for n in range(10))), "links",
        "note: 10 items share their link with another",
    ),
    # -- asking
    "no validators": (
        feed(*TEN, headers={"etag": ""}), "asking",
        "note: no ETag and no Last-Modified: every poll gets the whole document",
    ),
    "a ttl": (feed(*TEN, head="<ttl>60</ttl>"), "asking", "note: its server wishes 60 min between two polls"),
    "a max-age": (
        feed(*TEN, headers={"cache-control": "max-age=7200"}), "asking", "note: its server wishes 2 h between two polls"
    ),
    "a hub": (
        feed(*TEN, head='<a:link xmlns:a="http://www.w3.org/2005/Atom" rel="hub" href="https://hub.example/"/>'), "asking",
        "note: pushes through https://hub.example/ where websub.callback is set",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "about", "words"), FOUND.values(), ids=FOUND.keys())
def test_finding(document: Document, about: str, words: str) -> None:
    assert words in said(looked_at(document), about)


#: a good feed says nothing of these
QUIET = ("address", "links", "asking")


@pytest.mark.parametrize("about", QUIET)
def test_what_is_well_is_not_told(about: str) -> None:
    assert said(looked_at(feed(*TEN)), about) == []


#: rules of a publisher, and what then is said of its items' identity
RULED = [
    (PublisherRules(identity=Identity.TITLE_AND_DAY), "title and day"),
    (PublisherRules(identity=Identity.LINK), "link"),
    (PublisherRules(guid_drop=re.compile(r"#\d+$")), "guid"),
    (PublisherRules(guid_ignore=re.compile("^N/A$")), "guid"),
]


@pytest.mark.parametrize(("rules", "name"), RULED)
def test_publishers_rules_are_named(rules: PublisherRules, name: str) -> None:
    document = feed(*(item(n, guid=f"g{n}#1") for n in range(9)))
    words = f"note: by {name}, as its publisher's rules (publishers.toml) have it"
    assert said(looked_at(document, rules), "identity") == [words]


def test_shared_guids_do_not_matter_where_items_are_known_by_another_thing() -> None:
    document = feed(*(item(n, guid="N/A") for n in range(9)))
    findings = looked_at(document, PublisherRules(identity=Identity.LINK))
    assert [found.level for found in findings if found.about == "identity"] == [Level.NOTE]


def test_future_dates_do_not_set_the_rhythm() -> None:
    dates = [NOW - HOUR, NOW - 2 * HOUR, NOW - 3 * HOUR, NOW + 90 * DAY]
    document = feed(*(item(n, date=date) for n, date in enumerate(dates)))
    assert said(looked_at(document), "rhythm") == ["note: an item every 60 min; the document reaches back 2 h"]


def test_items_of_one_moment_have_no_rhythm() -> None:
    assert said(looked_at(feed(*(item(n, date=NOW) for n in range(9)))), "rhythm") == []


def test_words_that_no_language_has_are_called_so() -> None:
    assert said(looked_at(feed(item(title="123", text="—"), language="")), "language") == [
        "note: declares none; most of it reads like none we know"
    ]


# -- no document, no feed -------------------------------------------------------------------------

#: what a fetch raised -> what is said
UNFETCHED = [
    (FetchError("http 404"), "http 404: nothing stands at this address"),
    (FetchError("http 500"), "http 500"),
    (FetchError("dns", "Name or service not known"), "dns: Name or service not known: no such host, or no name service here"),
    (FetchError("timeout"), "timeout"),
]  # fmt: skip
UNPARSED = [
    (ParseError("html"), "html: a page for people, not a feed"),
    (ParseError("empty"), "empty: its server answers, and says nothing"),
    (ParseError("not a feed", "JSON, but no JSON Feed"), "not a feed: JSON, but no JSON Feed"),
]


@pytest.mark.parametrize(("error", "words"), UNFETCHED)
def test_missing_document_is_explained(error: FetchError, words: str) -> None:
    assert unfetched(error) == Finding(Level.ERROR, "fetching", words)


@pytest.mark.parametrize(("error", "words"), UNPARSED)
def test_document_that_is_no_feed_is_explained(error: ParseError, words: str) -> None:
    assert unparsed(error) == Finding(Level.ERROR, "parsing", words)


# -- two polls ------------------------------------------------------------------------------------


def disagreement(one: Document, two: Document) -> list[str]:
    return said(compare(one, parse(one, NOW), two, parse(two, NOW)))


FOREIGN = tuple(
    item(n, guid=f"x{n}", link=f"https://outlet.example/x{n}", title=f"Other {n}", date=NOW) for n in range(10)
)
RENAMED = (
    "warning: 10 items have another identity, such as “North Korean troops seen near Kursk, report 0”: "
    "link, or title and time, tell them again"
)
#: the items of two polls, what the second one's ETag is -> what is said
POLLS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str, list[str]]] = {
    "the same in another document": (TEN, TEN[::-1], '"2"', ["note: the same items in another document"]),
    "the same in another document, with the same ETag": (
        TEN, TEN[::-1], '"1"', ["note: the same items in another document"]
    ),
    "an item came, one went": (TEN, (item(10), *TEN[:-1]), '"2"', ["note: 1 items new, 1 gone"]),
    "an item came, and the ETag stayed": (
        TEN, (item(10), *TEN), '"1"',
        [
            "warning: the same ETag for other items: news may hide for a day, until a poll does without it",
            "note: 1 items new, 0 gone",
        ],
    ),
    "a title changed": (
        TEN[:2], (TEN[0], item(1, title="Nobody seen near Kursk")), '"2"',
        ["note: 1 titles changed: “North Korean troops seen near Kursk, report 1” is now “Nobody seen near Kursk”"],
    ),
    "all guids changed": (
        TEN, tuple(item(n, guid=f"new-{n}") for n in range(10)), '"2"',
        [f'{RENAMED}; identity = "link" in publishers.toml is safer'],
    ),
    "all guids and links changed": (
        TEN, tuple(item(n, guid=f"new-{n}", link=f"https://outlet.example/{n}-new") for n in range(10)), '"2"', [RENAMED]
    ),
    "all changed": (
        TEN, FOREIGN, '"2"',
        ["warning: not one item of the first is in it, and nothing tells them again: every poll would be news"],
    ),
    "it was empty": ((), TEN, '"2"', ["note: 10 items new, 0 gone"]),
    "it is empty": (TEN, (), '"2"', ["note: 0 items new, 10 gone"]),
}  # fmt: skip


@pytest.mark.parametrize(("one", "two", "etag", "words"), POLLS.values(), ids=POLLS.keys())
def test_what_two_polls_disagree_on(one: tuple[str, ...], two: tuple[str, ...], etag: str, words: list[str]) -> None:
    assert disagreement(feed(*one), feed(*two, headers={"etag": etag})) == words


def test_last_modified_lies_only_where_there_is_no_etag() -> None:
    modified = {"last-modified": "Tue, 29 Oct 2024 14:00:00 GMT"}
    one, two = (feed(*items, headers={"etag": "", **modified}) for items in (TEN[:9], TEN))
    assert "the same Last-Modified for other items" in disagreement(one, two)[0]
    one, two = (feed(*TEN[:n], headers={"etag": f'"{n}"', **modified}) for n in (9, 10))
    assert disagreement(one, two) == ["note: 1 items new, 0 gone"]


def test_server_without_validators_lies_about_nothing() -> None:
    one, two = (feed(*TEN[:n], headers={"etag": ""}) for n in (9, 10))
    assert disagreement(one, two) == ["note: 1 items new, 0 gone"]


# -- order ----------------------------------------------------------------------------------------


def test_worst_comes_first_and_else_the_order_stays() -> None:
    findings = [Finding(level, str(n), "") for n, level in enumerate([Level.NOTE, Level.WARNING, Level.ERROR] * 2)]
    assert [found.about for found in worst_first(findings)] == ["2", "5", "1", "4", "0", "3"]
