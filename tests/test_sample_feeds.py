"""The outlets of the demo: a folder of fiction that must parse, and whose labels must be true of the shipped topics."""

import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.model import SOURCE_KINDS, Document, Item
from monitor.parse import parse
from monitor.sample_feeds import MEDIA_TYPES, Outlet, SampleItem, SampleServer, outlets
from monitor.text import plain, script

OUTLETS = outlets()
ITEMS = {item.id: (outlet, item) for outlet in OUTLETS for item in outlet.items}
RULES = {path.stem for path in (Path(__file__).parents[1] / "rules").glob("*.toml")}
SCRIPTS = {"en": "Latin", "ru": "Cyrillic", "uk": "Cyrillic", "zh": "Han"}


def parsed(outlet: Outlet, edition: int) -> list[Item]:
    feed = outlet.feed("http://127.0.0.1:8765")
    headers = {"content-type": f"{MEDIA_TYPES[outlet.format]}; charset=utf-8"}
    seen = max(item.published for item in outlet.items) + timedelta(hours=1)
    result = parse(Document(feed, feed.url, headers, outlet.document(edition)), seen)
    assert list(result.warnings) == []
    return list(result.items)


# -- what is promised ------------------------------------------------------------------------------


def test_eight_feeds_in_four_formats_and_four_languages() -> None:
    assert len(OUTLETS) == 8
    assert {outlet.format for outlet in OUTLETS} == {"rss2", "rss1", "atom", "jsonfeed"}
    assert {outlet.language for outlet in OUTLETS} == {"en", "ru", "uk", "zh"}
    assert {outlet.kind for outlet in OUTLETS} <= set(SOURCE_KINDS)
    assert len(ITEMS) == sum(len(outlet.items) for outlet in OUTLETS)
    assert len(ITEMS) >= 120


def test_there_are_copies_look_alikes_and_stories_over_languages() -> None:
    items = [item for _, item in ITEMS.values()]
    assert sum(bool(item.copy_of) for item in items) >= 5
    assert sum(bool(item.look_alike) for item in items) >= 20
    languages: dict[str, set[str]] = {}
    for outlet, item in ITEMS.values():
        languages.setdefault(item.story, set()).add(outlet.language)
    assert sum(len(tongues) > 1 for story, tongues in languages.items() if story) >= 5


def test_every_shipped_topic_has_items() -> None:
    assert Counter(topic for _, item in ITEMS.values() for topic in item.topics).keys() == RULES


def test_two_feeds_have_no_second_edition() -> None:
    """Their second poll answers 304."""
    quiet = [outlet.slug for outlet in OUTLETS if outlet.document(1) == outlet.document(2)]
    assert len(quiet) == 2


# -- labels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("item", [item for _, item in ITEMS.values()], ids=list(ITEMS))
def test_labels_are_sane(item: SampleItem) -> None:
    outlet, _ = ITEMS[item.id]
    assert set(item.topics) <= RULES
    assert item.look_alike in RULES | {""}
    assert not (item.topics and item.look_alike)
    assert bool(item.story) == bool(item.topics)
    assert item.edition in (1, 2)
    assert item.published.tzinfo is not None
    assert item.link.startswith(f"{outlet.site}/")
    assert outlet.site.endswith(".example")
    assert script(f"{plain(item.title)} {plain(item.summary)}") == SCRIPTS[outlet.language]


@pytest.mark.parametrize("item", [item for _, item in ITEMS.values() if item.copy_of], ids=lambda item: item.id)
def test_a_copy_repeats_an_earlier_item_of_its_language(item: SampleItem) -> None:
    outlet, _ = ITEMS[item.id]
    source, original = ITEMS[item.copy_of]
    assert source.slug != outlet.slug
    assert source.language == outlet.language
    assert original.published <= item.published <= original.published + timedelta(hours=48)
    assert (original.story, set(original.topics)) == (item.story, set(item.topics))
    assert not original.copy_of


def test_no_two_items_share_a_link() -> None:
    links = Counter(item.link for _, item in ITEMS.values())
    assert links.most_common(1)[0][1] == 1


# -- documents -------------------------------------------------------------------------------------


@pytest.mark.parametrize("edition", [1, 2])
@pytest.mark.parametrize("outlet", OUTLETS, ids=lambda outlet: outlet.slug)
def test_each_edition_parses_into_exactly_its_items(outlet: Outlet, edition: int) -> None:
    told = sorted((i for i in outlet.items if i.edition <= edition), key=lambda i: i.published, reverse=True)
    found = parsed(outlet, edition)
    assert [(item.title, item.link, item.published) for item in found] == [
        (plain(sample.title), sample.link, sample.published) for sample in told
    ]
    for item, sample in zip(found, told, strict=True):
        assert item.language == outlet.language
        assert item.text == plain(sample.summary)
        assert item.source == outlet.name


@pytest.mark.parametrize("outlet", OUTLETS, ids=lambda outlet: outlet.slug)
def test_an_item_keeps_its_id_in_the_next_edition(outlet: Outlet) -> None:
    first, second = ({item.id for item in parsed(outlet, edition)} for edition in (1, 2))
    assert first <= second
    assert len(second) == len(outlet.items)


# -- the server ------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[SampleServer]:
    with SampleServer(0) as running:
        yield running


def get(url: str, etag: str = "") -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, headers={"If-None-Match": etag} if etag else {})  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - our own server
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_every_feed_is_served_with_its_type_and_an_etag(server: SampleServer) -> None:
    assert len(server.feeds()) == 8
    for feed, outlet in zip(server.feeds(), server.outlets, strict=True):
        status, headers, body = get(feed.url)
        assert (status, body) == (200, outlet.document(1))
        assert headers["Content-Type"] == f"{MEDIA_TYPES[outlet.format]}; charset=utf-8"
        assert headers["ETag"]


def test_nothing_new_is_304_without_a_body_and_a_new_edition_is_not(server: SampleServer) -> None:
    answers = []
    for feed in server.feeds():
        etag = get(feed.url)[1]["ETag"]
        status, headers, body = get(feed.url, etag)
        assert (status, headers["ETag"], body) == (304, etag, b"")
        server.edition = 2
        answers.append(get(feed.url, etag)[0])
        server.edition = 1
    assert Counter(answers) == {200: 6, 304: 2}


def test_an_unknown_path_is_404(server: SampleServer) -> None:
    assert get(f"{server.base}/nothing")[0] == 404
