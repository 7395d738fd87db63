import json
from datetime import timedelta
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import ParseError
from monitor.model import Hints
from monitor.syntax import RawFeed, RawItem, read, read_by_feedparser, read_well_formed
from monitor.text import plain

NAMESPACES = (
    'xmlns:atom="http://www.w3.org/2005/Atom" xmlns:content="http://purl.org/rss/1.0/modules/content/"'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/"'
    ' xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" xmlns:media="http://search.yahoo.com/mrss/"'
    ' xmlns:sy="http://purl.org/rss/1.0/modules/syndication/" xmlns:x="https://x.example/ns"'
)


def rss(*items: str, channel: str = "", root: str = "") -> str:
    return (
        f'<rss version="2.0" {NAMESPACES} {root}><channel><title>News</title>{channel}'
        f"{''.join(f'<item>{item}</item>' for item in items)}</channel></rss>"
    )


def atom(*entries: str, feed: str = "", root: str = "") -> str:
    return (
        f'<feed xmlns="http://www.w3.org/2005/Atom" xmlns:media="http://search.yahoo.com/mrss/" {root}><title>News</title>'
        f"{feed}{''.join(f'<entry>{entry}</entry>' for entry in entries)}</feed>"
    )


def rdf(*items: str, channel: str = "") -> str:
    return (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:sy="http://purl.org/rss/1.0/modules/syndication/">'
        f'<channel rdf:about="https://a.example/"><title>News</title>{channel}</channel>'
        f"{''.join(items)}</rdf:RDF>"
    )


def fast(text: str) -> RawFeed:
    """What the fast reader makes of a document that it must not decline."""
    feed = read_well_formed(text)
    assert feed is not None
    return feed


def only(text: str) -> RawItem:
    """The single item of a document that the fast reader must not decline."""
    (item,) = fast(text).items
    return item


def cause(text: str) -> str:
    with pytest.raises(ParseError) as caught:
        read(text)
    return caught.value.cause


def comparable(item: RawItem) -> tuple[object, ...]:
    texts = {plain(text) for text in item.texts}
    return item.guid, item.link, plain(item.title), texts - {""}, item.dates, item.language


# -- what an item says ----------------------------------------------------------------------------


def test_rss() -> None:
    item = only(
        rss(
            "<title>One &amp;amp; two</title><link>https://a.example/1</link><guid isPermaLink='false'>g1</guid>"
            "<description>&lt;p&gt;Text&lt;/p&gt;</description><content:encoded><![CDATA[<p>More text</p>]]></content:encoded>"
            "<pubDate> Tue, 17 Feb 2026 18:03:07 +0800 </pubDate><dc:date>2026-02-17</dc:date><dc:language>uk</dc:language>"
        )
    )
    assert item == RawItem(
        guid="g1",
        link="https://a.example/1",
        title="One &amp; two",
        texts=("<p>Text</p>", "<p>More text</p>"),
        dates=("Tue, 17 Feb 2026 18:03:07 +0800", "2026-02-17", ""),
        language="uk",
    )


def test_atom() -> None:
    item = only(
        atom(
            "<id>tag:1</id><title type='html'>One &amp;amp; two</title><link rel='self' href='https://a.example/1.atom'/>"
            "<link href='https://a.example/1'/><link rel='enclosure' href='https://a.example/1.mp3'/>"
            "<summary>a &lt; b</summary><content type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'>So <b>it</b> is</div>"
            "</content><published>2026-02-17T18:03:07Z</published><updated>2026-02-18T00:00:00Z</updated>",
            root="xml:lang='zh_TW'",
        )
    )
    assert item == RawItem(
        guid="tag:1",
        link="https://a.example/1",
        title="One &amp; two",
        texts=("a &lt; b", "<div>So <b>it</b> is</div>"),
        dates=("2026-02-17T18:03:07Z", "2026-02-18T00:00:00Z", ""),
        language="zh_TW",
    )


def test_rss_1() -> None:
    item = only(
        rdf(
            "<item rdf:about='https://a.example/1'><title>One</title><link>https://a.example/1</link>"
            "<dc:date>2026-02-17T18:03Z</dc:date></item>",
            channel="<items><rdf:Seq><rdf:li resource='https://a.example/1'/></rdf:Seq></items>",
        )
    )
    assert (item.guid, item.link, item.dates[1]) == ("https://a.example/1", "https://a.example/1", "2026-02-17T18:03Z")


def test_a_namespace_that_nobody_knows_may_have_two_prefixes() -> None:
    root = "xmlns:wire='https://wire.example/ns' xmlns:w='https://wire.example/ns'"
    assert only(rss("<title>One</title><wire:slug>x</wire:slug>", root=root)).title == "One"


def test_a_feed_says_its_title_and_language() -> None:
    feed = fast(rss(channel="<language>en-GB</language><image><title>Logo</title></image>"))
    assert (feed.title, feed.language, list(feed.items), feed.warnings) == ("News", "en-GB", [], ())
    assert fast(atom(root="xml:lang='uk'")).language == "uk"


@pytest.mark.parametrize(
    ("elements", "link"),
    [
        ("<link>https://a.example/1</link>", "https://a.example/1"),
        ("<link>https://a.example/?a=1&amp;amp;b=2</link>", "https://a.example/?a=1&b=2"),
        ("<link>https:////a.example/1</link>", "https://a.example/1"),
        ("<link>/1</link>", "/1"),
        ("<link>/1</link><atom:link href='https://a.example/2'/>", "https://a.example/2"),
        ("<link>/1</link><atom:link rel='self' href='https://a.example/2'/>", "/1"),
        ("<link>/1</link><atom:link type='audio/mpeg' href='https://a.example/2'/>", "/1"),
        ("<guid>https://a.example/1</guid>", "https://a.example/1"),
        ("<guid isPermaLink='false'>https://a.example/1</guid>", ""),
        ("<guid>abc</guid>", ""),
        ("<guid>abc</guid><enclosure url='https://a.example/1.mp3'/>", ""),
        ("", ""),
    ],
)
def test_links_of_an_item(elements: str, link: str) -> None:
    text = rss(elements)
    assert only(text).link == link
    assert read_by_feedparser(text).items[0].link == link


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("AT&amp;amp;T", "AT&amp;T"),
        ("&lt;b&gt;Bold&lt;/b&gt;", "<b>Bold</b>"),
        ("&lt;Freedom&gt; bill", "&lt;Freedom&gt; bill"),
        ("5 &lt; 6 &amp; 7", "5 &lt; 6 &amp; 7"),
        ("<![CDATA[<i>It</i> is]]><!-- x -->!", "<i>It</i> is!"),
        ("Ð\u009dÐµÑ\u0082".replace("\u009d", "&#157;").replace("\u0082", "&#130;"), "Нет"),
        ("CafÃ©", "Café"),
        ("It&#146;s", "It’s"),
    ],
)
def test_a_title_in_rss_is_text_or_html_as_it_looks(written: str, title: str) -> None:
    (item,) = read(rss(f"<title>{written}</title>")).items
    assert item.title == title


@pytest.mark.parametrize(
    ("attributes", "written", "text"),
    [
        ("", "&lt;b&gt;", "&lt;b&gt;"),
        ("type='text'", "&lt;b&gt;", "&lt;b&gt;"),
        ("type='HTML'", "&lt;b&gt;", "<b>"),
        ("type='text/html'", "&lt;b&gt;", "<b>"),
        ("type='xhtml'", "<x:p xmlns:x='http://www.w3.org/1999/xhtml'>a &lt; <x:b>b</x:b></x:p>", "<p>a &lt; <b>b</b></p>"),
    ],
)  # fmt: skip
def test_types_of_texts_in_atom(attributes: str, written: str, text: str) -> None:
    assert only(atom(f"<title>One</title><content {attributes}>{written}</content>")).texts == (text,)


def test_an_item_without_text_has_what_its_pictures_show() -> None:
    group = "<media:group><media:title>A</media:title><media:description>On a bridge.</media:description></media:group>"
    assert only(atom(f"<title>One</title>{group}")).texts == ("On a bridge.",)


def test_but_not_in_the_place_of_its_own() -> None:
    picture = "<media:content><media:description>A caption, and a long one.</media:description></media:content>"
    item = only(rss(f"{picture}<title>One</title><description>Text.</description>{picture}"))
    assert item.texts == ("Text.",)


@pytest.mark.parametrize("aside", ["source", "image", "textInput"])
def test_what_stands_in_an_item_of_something_else_is_not_its_own(aside: str) -> None:
    other = f"<{aside}><title>Other</title><link>https://b.example/</link></{aside}>"
    item = only(rss(f"<title>One</title><link>https://a.example/1</link>{other}"))
    assert (item.title, item.link) == ("One", "https://a.example/1")


@pytest.mark.parametrize("namespace", ["http://purl.org/dc/elements/1.0/", "http://dublincore.example/"])
def test_a_module_is_known_by_its_prefix_too(namespace: str) -> None:
    text = rss("<title>One</title><dc:date>2026-02-17</dc:date>").replace("http://purl.org/dc/elements/1.1/", namespace)
    assert only(text).dates == ("", "2026-02-17", "")


# -- xml:base -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "item", "link"),
    [
        ("", "", "1"),
        ("xml:base='https://a.example/news/'", "", "https://a.example/news/1"),
        ("xml:base='https://a.example/news/'", "xml:base='world/'", "https://a.example/news/world/1"),
        ("xml:base='/news/'", "", "/news/1"),
        ("xml:base='http://[bad'", "", ""),
    ],
)
def test_links_are_relative_to_xml_base(root: str, item: str, link: str) -> None:
    text = atom("<title>One</title><link href='1'/>", root=root).replace("<entry>", f"<entry {item}>")
    assert only(text).link == link
    assert read_by_feedparser(text).items[0].link == link


def test_a_base_ends_with_its_element() -> None:
    text = atom("<content xml:base='https://b.example/'>Text</content><link href='/1'/>")
    assert only(text).link == "/1"


def test_a_guid_that_is_a_link_has_a_base_too() -> None:
    assert only(rss("<guid>1</guid>", root="xml:base='https://a.example/'")).guid == "https://a.example/1"
    assert only(rss("<guid isPermaLink='false'>1</guid>", root="xml:base='https://a.example/'")).guid == "1"


# -- hints ----------------------------------------------------------------------------------------


def both(text: str) -> Hints:
    """The hints of a document, on which both readers must agree."""
    assert read_by_feedparser(text).hints == fast(text).hints
    return fast(text).hints


HOURLY = "<sy:updatePeriod>hourly</sy:updatePeriod>"


@pytest.mark.parametrize(
    ("channel", "period"),
    [
        ("", None),
        ("<ttl>60</ttl>", timedelta(hours=1)),
        ("<ttl> 5 </ttl>", timedelta(minutes=5)),
        ("<ttl>0</ttl>", None),
        ("<ttl>-5</ttl>", None),
        ("<ttl>PT1H</ttl>", None),
        ("<ttl>99999999</ttl>", None),
        (f"<ttl>30</ttl>{HOURLY}", timedelta(minutes=30)),
        (f"<ttl></ttl>{HOURLY}", timedelta(hours=1)),
        (f"{HOURLY}<sy:updateFrequency>1</sy:updateFrequency>", timedelta(hours=1)),
        (f"{HOURLY}<sy:updateFrequency>4</sy:updateFrequency>", timedelta(minutes=15)),
        (f"{HOURLY}<sy:updateFrequency>0.1</sy:updateFrequency>", timedelta(hours=10)),
        (f"{HOURLY}<sy:updateFrequency>0</sy:updateFrequency>", None),
        (f"{HOURLY}<sy:updateFrequency>-1</sy:updateFrequency>", None),
        (f"{HOURLY}<sy:updateFrequency>100000</sy:updateFrequency>", None),
        ("<sy:updateFrequency>2</sy:updateFrequency>", timedelta(hours=12)),
        ("<sy:updatePeriod>\n dayly </sy:updatePeriod>", timedelta(days=1)),
        ("<sy:updatePeriod>Weekly</sy:updatePeriod>", timedelta(weeks=1)),
        ("<sy:updatePeriod>monthly</sy:updatePeriod>", timedelta(days=30)),
        ("<sy:updatePeriod>yearly</sy:updatePeriod>", timedelta(days=365)),
        ("<sy:updatePeriod>always</sy:updatePeriod>", None),
        ("<sy:updatePeriod>minutely</sy:updatePeriod><sy:updateFrequency>5</sy:updateFrequency>", None),
    ],
)
def test_how_often_to_ask(channel: str, period: timedelta | None) -> None:
    assert both(rss(channel=channel)).period == period


def test_how_often_to_ask_in_rss_1_and_in_atom() -> None:
    assert both(rdf(channel=HOURLY)).period == timedelta(hours=1)
    assert both(atom(feed=HOURLY, root=NAMESPACES.partition(" xmlns:x=")[0].rpartition(" ")[2])).period == timedelta(
        hours=1
    )


def test_when_not_to_ask() -> None:
    hints = both(
        rss(
            channel="<skipHours><hour>0</hour><hour> 07 </hour><hour>24</hour><hour>25</hour><hour>noon</hour></skipHours>"
            "<skipDays><day>Sunday</day><day>monday</day><day>воскресенье</day></skipDays>"
        )
    )
    assert (hints.skip_hours, hints.skip_days) == ({0, 7}, {0, 6})


def test_nobody_means_never() -> None:
    hours = "".join(f"<hour>{hour}</hour>" for hour in range(24))
    days = "".join(f"<day>{day}day</day>" for day in ("Mon", "Tues", "Wednes", "Thurs", "Fri", "Satur", "Sun"))
    assert both(rss(channel=f"<skipHours>{hours}</skipHours><skipDays>{days}</skipDays>")) == Hints()


LINKS = "<{0}link rel='hub' href='https://hub.example/'/><{0}link rel='self' href='https://a.example/feed'/>"


@pytest.mark.parametrize("text", [rss(channel=LINKS.format("atom:")), atom(feed=LINKS.format(""))])
def test_whom_to_ask_to_be_told(text: str) -> None:
    hints = both(text)
    assert (hints.hub, hints.topic) == ("https://hub.example/", "https://a.example/feed")


def test_of_several_hubs_the_first_that_can_be_called() -> None:
    text = atom(
        feed="<link rel='hub' href='xmpp:a'/><link rel='hub' href='https://b.example/'/><link rel='hub' href='https://c.example/'/>"
    )
    assert both(text).hub == "https://b.example/"


# -- JSON Feed ------------------------------------------------------------------------------------


def test_json_feed() -> None:
    feed = read(
        json.dumps(
            {
                "version": "https://jsonfeed.org/version/1.1",
                "title": "A < B",
                "language": "uk",
                "feed_url": "https://a.example/feed.json",
                "hubs": [{"type": "WebSub", "url": "https://hub.example/"}, "strange"],
                "items": [
                    {"id": 7, "url": "/1", "title": "One", "content_html": "<p>Text</p>", "date_published": "2026"},
                    1,
                ],
            }
        )
    )
    assert (feed.title, feed.language) == ("A &lt; B", "uk")
    assert feed.hints == Hints(hub="https://hub.example/", topic="https://a.example/feed.json")
    assert list(feed.items) == [RawItem("7", "/1", "One", ("", "<p>Text</p>", ""), ("2026", ""), "")]


@pytest.mark.parametrize(
    "text", ["{}", "{", '{"version": 1}', '{"version": "https://jsonfeed.org/version/1"', "{" * 50_000]
)
def test_json_that_is_no_feed(text: str) -> None:
    assert cause(text) == "not a feed"


# -- news sitemaps --------------------------------------------------------------------------------

NEWS = (
    "<n:news><n:publication><n:name>The Wire</n:name><n:language>en</n:language></n:publication>"
    "<n:publication_date>2026-02-17T18:03:07Z</n:publication_date><n:title>Q&amp;A: &lt;One&gt;</n:title></n:news>"
)


def sitemap(*pages: str) -> str:
    return (
        '<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
        ' xmlns:n="http://www.google.com/schemas/sitemap-news/0.9" xmlns:i="http://www.google.com/schemas/sitemap-image/1.1">'
        f"{''.join(f'<url>{page}</url>' for page in pages)}</urlset>"
    )


def test_a_news_sitemap_is_a_feed() -> None:
    feed = read(
        sitemap(
            f"<loc> https://a.example/1 </loc><lastmod>2026-02-18</lastmod>{NEWS}<i:image><i:title>No</i:title></i:image>",
            "<loc>https://a.example/about</loc>",
        )
    )
    assert feed.title == "The Wire"
    assert list(feed.items) == [
        RawItem(
            guid="https://a.example/1",
            link="https://a.example/1",
            title="Q&amp;A: &lt;One&gt;",
            texts=(),
            dates=("2026-02-17T18:03:07Z", "2026-02-18"),
            language="en",
        )
    ]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (sitemap("<loc>https://a.example/about</loc>"), "a sitemap without news:news"),
        (sitemap().replace("urlset", "sitemapindex"), "an index of sitemaps; one of those that it names may be a feed"),
        (sitemap(f"<loc>https://a.example/?a&b</loc>{NEWS}"), "a sitemap, and not well-formed"),
    ],
)
def test_other_sitemaps_are_none(text: str, detail: str) -> None:
    with pytest.raises(ParseError, match="not a feed") as caught:
        read(text)
    assert str(caught.value) == f"not a feed: {detail}"


# -- no feed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("\ufeff \r\n", "empty"),
        ("<!DOCTYPE html><html><body>Just a moment...</body></html>", "html"),
        ("<html xmlns='http://www.w3.org/1999/xhtml'><head><title>404</title></head></html>", "html"),
        ("Internal Server Error", "not a feed"),
        ("<opml version='2.0'><body/></opml>", "not a feed"),
        ("/etc/hostname", "not a feed"),
        ("https://a.example/feed", "not a feed"),
        ("\ud800", "not a feed"),
    ],
)
def test_what_is_no_feed_is_named(text: str, word: str) -> None:
    assert cause(text) == word


# -- damage ---------------------------------------------------------------------------------------

ONE = "<title>One</title><guid>1</guid>"


@pytest.mark.parametrize(
    "text",
    [
        rss(f"{ONE}<description>Q & A</description>"),
        rss(f"{ONE}<description>&nbsp;</description>"),
        rss(f"{ONE}<description><p>Text</description>"),
        rss(f"{ONE}<undeclared:x/>"),
        '<!DOCTYPE rss [<!ENTITY n "N">]>' + rss(ONE),
        "<br />\n<b>Warning</b>: in /index.php\n" + rss(ONE),
        rss(f"{ONE}<description><p>Text</p></description>"),
        atom("<title>One</title><id>1</id><content type='application/octet-stream'>aGk=</content>"),
        f"<feed version='0.3' xmlns='http://purl.org/atom/ns#'><entry>{ONE.replace('guid', 'id')}</entry></feed>",
        rss(f"{ONE}<item><title>Two</title></item>").replace("</item></item>", "</item>", 1),
    ],
)
def test_what_is_beyond_the_book_is_feedparsers(text: str) -> None:
    assert read_well_formed(text.strip()) is None
    assert (read(text).items[0].title, read(text).items[0].guid) == ("One", "1")


@pytest.mark.parametrize(
    "reference", ["&#1114112;", "&#x110000;", "&#xD800;", "&#99999999999999999999;", "&#x" + "f" * 5000]
)
def test_references_to_no_character_do_not_lose_the_document(reference: str) -> None:
    feed = read(rss(f"<title>One {reference}</title>", "<title>Two</title>"))
    assert [plain(item.title) for item in feed.items] == ["One \ufffd", "Two"]
    assert feed.warnings == ("not well-formed",)


@pytest.mark.parametrize("reference", ["&#1055;", "&#x41f;", "&#000001055;", "&#X41F;"])
def test_other_references_are_left_alone(reference: str) -> None:
    assert read(rss(f"<title>{reference} & </title>")).items[0].title.startswith("П")


def test_characters_that_xml_does_not_know_part_words() -> None:
    feed = fast(rss("<title>One\x0btwo\uffff</title>"))
    assert ([item.title for item in feed.items], feed.warnings) == (["One two"], ("not well-formed",))


def test_a_backslash_in_an_entity_does_not_lose_the_document() -> None:
    text = '<!DOCTYPE rss [\n<!ENTITY path "C:\\data">\n]>\n' + rss("<title>One</title>")
    assert [item.title for item in read(text).items] == ["One"]


def test_feedparser_may_break_and_that_is_told() -> None:
    chapters = "<p:chapters xmlns:p='http://podlove.org/simple-chapters'><p:chapter/></p:chapters>"
    with pytest.raises(ParseError, match="crash: TypeError in feedparser") as caught:
        read(rss(f"<title>One & two</title>{chapters}"))
    assert caught.value.cause == "crash"


def test_a_document_cut_between_items_gives_what_is_there() -> None:
    text = rss(ONE, "<title>Two</title>").partition("</channel>")[0]
    feed = read(text)
    assert ([item.title for item in feed.items], feed.warnings) == (["One", "Two"], ("truncated",))


def test_half_an_item_is_not_told() -> None:
    feed = read(rss(ONE, "<title>Two and a half</title>").partition(" and")[0])
    assert ([item.title for item in feed.items], feed.warnings) == (["One"], ("truncated",))


# -- the law: where both read, both say the same --------------------------------------------------

TEXTS = st.text("abc é я中 <>&;'\"/#x1", max_size=20) | st.sampled_from(
    ["<b>bold</b> & more", "https://a.example/1", "/1?a=1&b=2", "&amp;lt;", "a < b", "Tue, 17 Feb 2026 18:03:07 GMT"]
)
NAMES = (
    "title", "link", "guid", "description", "content:encoded", "pubDate", "dc:date", "dcterms:modified", "dc:creator",
    "dc:language", "category", "itunes:subtitle", "atom:updated", "x:title", "author", "comments", "enclosure",
)  # fmt: skip
ONCE = ("guid", "description", "content:encoded")


@st.composite
def items(draw: st.DrawFn) -> str:
    names = draw(st.lists(st.sampled_from(NAMES), max_size=8))
    # Of two guids feedparser has one as the guid and the other as the link; of two texts, one as HTML and one not.
    names = [name for n, name in enumerate(names) if name not in ONCE or name not in names[:n]]
    return "".join(draw(element(name)) for name in names)


@st.composite
def element(draw: st.DrawFn, name: str) -> str:
    attributes = {"guid": ["", " isPermaLink='false'"], "title": ["", " xml:lang='ru-RU'"]}.get(name, [""])
    return f"<{name}{draw(st.sampled_from(attributes))}>{escape(draw(TEXTS))}</{name}>"


@settings(deadline=None)  # the machine is shared
@given(st.lists(items(), max_size=3))
def test_both_readers_agree(written: list[str]) -> None:
    text = rss(*(f"<title>Always one</title>{item}" for item in written))
    feed = read_well_formed(text)
    if feed is not None:
        theirs = read_by_feedparser(text)
        assert [comparable(item) for item in feed.items] == [comparable(item) for item in theirs.items]
        assert (feed.title, feed.language, feed.hints) == (theirs.title, theirs.language, theirs.hints)
