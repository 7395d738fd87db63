import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import ParseError
from monitor.model import Document, Feed, Hints, Identity, Item, PublisherRules, Zones
from monitor.parse import MAX_ITEMS, MAX_TEXT, USUAL, ParsedFeed, parse

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FEED = Feed("https://news.example/feed.xml", "News")
FIXTURES = Path(__file__).parents[2] / "shared" / "fixtures"
TITLE = "Войска КНДР замечены под Курском"


def read(body: str | bytes, *, feed: Feed = FEED, rules: PublisherRules = USUAL, **headers: str) -> ParsedFeed:
    body = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return parse(Document(feed, feed.url, named, body), NOW, rules)


def rss(*items: str, channel: str = "", encoding: str = "UTF-8") -> str:
    return (
        f'<?xml version="1.0" encoding="{encoding}"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>News</title>'
        f"{channel}{''.join(f'<item>{item}</item>' for item in items)}</channel></rss>"
    )


def only(*items: str, channel: str = "") -> Item:
    """The single item of an RSS document."""
    (item,) = read(rss(*items, channel=channel)).items
    return item


def titles(feed: ParsedFeed) -> list[str]:
    return [item.title for item in feed.items]


def ids(*items: str) -> list[str]:
    return [item.id for item in read(rss(*items)).items]


def cause(body: str | bytes) -> str:
    with pytest.raises(ParseError) as caught:
        read(body)
    return caught.value.cause


# -- the formats ----------------------------------------------------------------------------------


def test_rss_2() -> None:
    feed = read(
        rss(
            "<title>Troops &amp;amp; trains</title><link>https://news.example/1?utm_source=rss</link>"
            "<guid isPermaLink='false'>g1</guid><description>&lt;p&gt;Seoul says.&lt;/p&gt;</description>"
            "<pubDate>Tue, 17 Feb 2026 18:03:07 +0800</pubDate>",
            channel="<language>en-us</language>",
        )
    )
    assert (feed.title, feed.language, feed.warnings) == ("News", "en", ())
    assert feed.items == (
        Item(
            id="41253db578e7687f",
            feed=FEED,
            title="Troops & trains",
            text="Seoul says.",
            link="https://news.example/1?utm_source=rss",
            canonical_link="https://news.example/1",
            language="en",
            published=datetime(2026, 2, 17, 10, 3, 7, tzinfo=UTC),
            first_seen=NOW,
            published_raw="Tue, 17 Feb 2026 18:03:07 +0800",
            keys=feed.items[0].keys,
            content=feed.items[0].content,
        ),
    )


def test_rss_1() -> None:
    feed = read(
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="x"><title>News</title></channel>'
        '<item rdf:about="https://news.example/1"><title>One</title><link>https://news.example/1</link>'
        "<dc:date>2026-02-17T18:03Z</dc:date><dc:language>ru</dc:language></item></rdf:RDF>"
    )
    (item,) = feed.items
    assert (item.title, item.link, item.language) == ("One", "https://news.example/1", "ru")
    assert item.published == datetime(2026, 2, 17, 18, 3, tzinfo=UTC)


def test_atom() -> None:
    feed = read(
        '<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><title>News</title><entry xml:lang="uk"><id>tag:1</id>'
        '<title type="html">One &amp;lt;b&gt;</title><link rel="enclosure" href="/a.mp3"/><link href="/1"/>'
        '<updated>2026-02-17T18:03:00Z</updated><summary type="text">a &lt; b</summary></entry></feed>'
    )
    (item,) = feed.items
    assert (item.link, item.text, item.language) == ("https://news.example/1", "a < b", "uk")
    assert item.published == datetime(2026, 2, 17, 18, 3, tzinfo=UTC)


def test_json_feed() -> None:
    feed = read(
        json.dumps(
            {
                "version": "https://jsonfeed.org/version/1.1",
                "title": "News",
                "language": "zh-Hans",
                "items": [
                    {
                        "id": 7,
                        "url": "/1",
                        "title": "One",
                        "content_html": "<p>Text</p>",
                        "date_published": "2026-02-17T18:03:00Z",
                    },
                    {
                        "id": "8",
                        "external_url": "https://b.example/2",
                        "content_text": "a <b> c. More",
                        "language": "ru",
                    },
                    "no item",
                ],
            }
        )
    )
    assert [(item.title, item.text, item.link, item.language) for item in feed.items] == [
        ("One", "Text", "https://news.example/1", "zh"),
        ("a c. More", "a c. More", "https://b.example/2", "ru"),
    ]
    assert feed.items[0].published == datetime(2026, 2, 17, 18, 3, tzinfo=UTC)


def test_what_no_database_takes_is_not_passed_on() -> None:
    item = {"id": "\ud800", "title": "One\ud800", "url": "https://a.example/\x001\ud8002", "summary": "Text\udfff"}
    feed = read(json.dumps({"version": "https://jsonfeed.org/version/1", "items": [item]}))
    assert [(found.title, found.text, found.link) for found in feed.items] == [
        ("One?", "Text?", "https://a.example/1?2")
    ]


def test_a_feed_without_items_is_a_feed() -> None:
    assert read(rss()) == ParsedFeed((), "News", "")


def test_what_a_feed_says_of_polling_is_passed_on() -> None:
    assert read(rss(channel="<ttl>60</ttl>")).hints == Hints(period=timedelta(hours=1))


# -- no feed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        ("\ufeff".encode(), "empty"),
        ("<!DOCTYPE html><html><body>Just a moment...</body></html>", "html"),
        ("<!-- x -->" * 40 + "<HTML><head><title>404</title></head></HTML>", "html"),
        ("Internal Server Error", "not a feed"),
        ("<opml version='2.0'><body/></opml>", "not a feed"),
        ('{"error": "not found"}', "not a feed"),
        ('{"version": "https://jsonfeed.org/version/1", "items": [{"id', "not a feed"),
        ('{"version": 1, "items": {}}', "not a feed"),
        ("{" * 100_000, "not a feed"),
        (b"\x00\x01\x02\xff" * 50, "not a feed"),
    ],
)
def test_what_is_no_feed_is_named(body: str | bytes, word: str) -> None:
    assert cause(body) == word


def test_a_file_name_is_not_opened() -> None:
    assert cause(str(Path(__file__))) == "not a feed"


# -- encodings ------------------------------------------------------------------------------------

ITEM = f"<title>{TITLE}</title><link>https://news.example/1</link>"
BROKEN = rss(ITEM).encode().replace(" под ".encode(), b" \xa9 ")


def test_headers_and_the_feed_list_help_to_decode() -> None:
    body = rss(ITEM).encode("cp1251")
    assert titles(read(body, content_type="text/xml; charset=windows-1251")) == [TITLE]
    assert titles(read(rss("<title>Ы</title>").encode("cp1251"), feed=Feed(FEED.url, language="ru"))) == ["Ы"]


def test_one_bad_byte_spoils_one_letter_and_is_told() -> None:
    feed = read(BROKEN)
    assert titles(feed) == ["Войска КНДР замечены \ufffd Курском"]
    assert feed.warnings == ("bytes that are no utf-8 replaced",)


def test_a_bad_byte_does_not_make_the_item_new() -> None:
    assert read(BROKEN).items[0].id == read(rss(ITEM)).items[0].id


def test_a_guessed_encoding_is_told() -> None:
    feed = read(rss(ITEM).encode("cp1251"), feed=Feed(FEED.url, language="ru"))
    assert feed.warnings == ("encoding guessed: cp1251",)


# -- damage ---------------------------------------------------------------------------------------


def test_a_document_cut_between_items_gives_what_is_there() -> None:
    body = rss("<title>One</title><guid>1</guid>", "<title>Two</title><guid>2</guid>")
    feed = read(body[: body.index("</channel>")])
    assert (titles(feed), feed.warnings) == (["One", "Two"], ("truncated",))


def test_half_an_item_is_not_told() -> None:
    body = rss("<title>One</title><guid>1</guid>", "<title>Two and a half</title><guid>2</guid>")
    feed = read(body[: body.index(" and a half")])
    assert (titles(feed), feed.warnings) == (["One"], ("truncated",))


@pytest.mark.parametrize(
    "damage", ["Q & A", "a\x0bb", "&nbsp;", "<b>unclosed"], ids=["ampersand", "control", "entity", "markup"]
)
def test_a_malformed_document_keeps_its_items(damage: str) -> None:
    feed = read(rss(f"<title>One</title><description>{damage}</description>", "<title>Two</title>"))
    assert titles(feed) == ["One", "Two"]


@pytest.mark.parametrize("before", ["\n\n", "<br />\n<b>Warning</b>: mysql_connect() in /index.php\n", "\ufeff\ufeff"])
def test_what_stands_before_the_document_does_not_hide_it(before: str) -> None:
    assert titles(read(before + rss("<title>One</title>"))) == ["One"]


def test_an_item_that_says_nothing_is_skipped_and_counted() -> None:
    feed = read(rss("<title>One</title>", "<link>https://news.example/2</link>", "<title> </title>"))
    assert (titles(feed), feed.warnings) == (["One"], ("2 items without title or text skipped",))


def test_a_document_gives_so_many_items_and_no_more() -> None:
    feed = read(rss(*(f"<title>{n}</title>" for n in range(MAX_ITEMS + 5))))
    assert len(feed.items) == MAX_ITEMS
    assert feed.warnings == (f"5 items beyond the first {MAX_ITEMS} skipped",)


# -- title and text -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("AT&amp;T &amp; Q&amp;amp;A", "AT&T & Q&A"),
        ("&lt;b&gt;Bold&lt;/b&gt; claim", "Bold claim"),
        ("Tom &amp;amp; Jerry &amp;lt;b&amp;gt;met&amp;lt;/b&amp;gt;", "Tom & Jerry met"),
        ("<![CDATA[<i>It</i> &#8217;s]]>", "It ’s"),
        ("Senate passes &lt;Freedom&gt; bill", "Senate passes <Freedom> bill"),
        ("5 &lt; 6", "5 < 6"),
    ],
)
def test_a_title_is_read_as_people_would(written: str, title: str) -> None:
    assert only(f"<title>{written}</title>").title == title


def test_without_a_title_the_first_sentence_stands_in() -> None:
    item = only("<description>Seoul says so. Moscow denies.</description>")
    assert (item.title, item.text) == ("Seoul says so.", "Seoul says so. Moscow denies.")


def test_the_longer_of_summary_and_content_is_the_text() -> None:
    item = only(
        "<title>One</title><description>Short.</description>"
        "<content:encoded>&lt;p&gt;A longer text.&lt;/p&gt;</content:encoded>"
    )
    assert item.text == "A longer text."


def test_markup_does_not_make_a_text_longer() -> None:
    item = only(
        "<title>One</title><description>Longer to read.</description>"
        "<content:encoded>&lt;p class='a-very-long-class-name'&gt;Short.&lt;/p&gt;</content:encoded>"
    )
    assert item.text == "Longer to read."


def test_a_long_text_is_clipped() -> None:
    assert len(only(f"<title>One</title><description>{'word ' * 2000}</description>").text) <= MAX_TEXT


# -- links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "link"),
    [
        ("<link>https://a.example/1</link>", "https://a.example/1"),
        ("<link>/world/1</link>", "https://news.example/world/1"),
        ("<link>//cdn.example/1</link>", "https://cdn.example/1"),
        ("<link>\n  https://a.example/\n1 </link>", "https://a.example/1"),
        ("<link>/world/1</link><guid>/world/1</guid>", "https://news.example/world/1"),
        ("<guid>https://a.example/1</guid>", "https://a.example/1"),
        ("<guid isPermaLink='false'>https://a.example/1</guid>", "https://a.example/1"),
        ("<guid>abc</guid>", ""),
        ("<link>javascript:alert(1)</link>", ""),
        ("<link>http://[::1</link>", ""),
        ("", ""),
    ],
)
def test_a_link_can_be_opened_or_is_empty(elements: str, link: str) -> None:
    assert only(f"<title>One</title>{elements}").link == link


# -- identity -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<guid>g1</guid><title>One</title>", "<guid>g1</guid><title>One, corrected</title>"),
        ("<guid>g1</guid><title>One</title>", "<guid>g1</guid><title>One</title><link>https://a.example/moved</link>"),
        ("<guid>http://a.example/1</guid><title>One</title>", "<guid>https://a.example/1</guid><title>One</title>"),
        (
            "<guid>https://a.example/1?maca=en-rss</guid><title>One</title>",
            "<guid>https://a.example/1?utm_source=x</guid><title>One</title>",
        ),
        (
            "<link>http://a.example/1</link><title>One</title>",
            "<link>https://a.example/1?utm_source=x#top</link><title>One, corrected</title>",
        ),
        (
            "<title>One</title><pubDate>Mon</pubDate>",
            "<title>One</title><pubDate>Mon</pubDate><description>D</description>",
        ),
    ],
    ids=["guid", "guid, moved", "https", "tracking", "link", "title and date"],
)
def test_an_item_that_comes_again_keeps_its_id(one: str, other: str) -> None:
    assert ids(one) == ids(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<guid>g1</guid><title>One</title>", "<guid>g2</guid><title>One</title>"),
        ("<guid>https://a.example/live#post-1</guid><title>One</title>", "<guid>https://a.example/live#post-2</guid><title>One</title>"),
        ("<guid>https://a.example/?t=1</guid><title>One</title>", "<guid>https://a.example/?t=2</guid><title>One</title>"),
        ("<guid>g1</guid><link>https://a.example/</link><title>One</title>", "<guid>g2</guid><link>https://a.example/</link><title>One</title>"),
        ("<guid>N/A</guid><link>https://a.example/1</link><title>One</title>", "<guid>N/A</guid><link>https://a.example/2</link><title>One</title>"),
        ("<guid>N/A</guid><title>One</title>", "<guid>N/A</guid><title>Two</title>"),
        ("<guid>https://a.example/</guid><title>One</title>", "<guid>https://a.example/</guid><title>Two</title>"),
        ("<link>https://a.example/live</link><title>One</title>", "<link>https://a.example/live</link><title>Two</title>"),
        ("<title>One</title><pubDate>Mon</pubDate>", "<title>One</title><pubDate>Tue</pubDate>"),
    ],
)  # fmt: skip
def test_items_that_differ_in_one_document_are_told_apart(one: str, other: str) -> None:
    assert len(set(ids(one, other))) == 2


def test_an_item_repeated_in_one_document_is_told_once() -> None:
    feed = read(
        rss(
            "<guid>g1</guid><title>One</title>",
            "<guid>g2</guid><title>Two</title>",
            "<guid>g1</guid><title>One</title>",
        )
    )
    assert (titles(feed), feed.warnings) == (["One", "Two"], ("1 repeated items skipped",))


def test_a_repeated_item_keeps_the_id_it_has_alone() -> None:
    item = "<guid>g1</guid><title>One</title><link>https://a.example/1</link>"
    assert ids(item, item) == ids(item)


def test_two_feeds_with_one_guid_have_two_items() -> None:
    body = rss("<guid>g1</guid><title>One</title>")
    assert read(body).items[0].id != read(body, feed=Feed("https://b.example/feed")).items[0].id


# -- identity as a publisher's rules have it ------------------------------------------------------

GOOGLE = PublisherRules(identity=Identity.TITLE_AND_DAY)
RULED = {
    "revision counter": (
        PublisherRules(guid_drop=re.compile(r"#\d+$")),
        "<guid>https://a.example/1#0</guid><title>One</title>",
        "<guid>https://a.example/1#3</guid><title>One, revised</title>",
    ),
    "guid that is a time": (
        PublisherRules(guid_ignore=re.compile(r"\?t=\d+$")),
        "<guid>https://a.example/?t=1</guid><link>https://a.example/1</link><title>One</title>",
        "<guid>https://a.example/?t=2</guid><link>https://a.example/1</link><title>One, revised</title>",
    ),
    "tracking of its own": (
        PublisherRules(drop_parameters=frozenset({"syn"})),
        "<link>https://a.example/1?syn=a</link><title>One</title>",
        "<link>https://a.example/1?syn=b</link><title>One, revised</title>",
    ),
    "link alone": (
        PublisherRules(identity=Identity.LINK),
        "<guid>1</guid><link>https://a.example/1</link><title>One</title>",
        "<guid>2</guid><link>https://a.example/1</link><title>One, revised</title>",
    ),
    "title and day": (
        GOOGLE,
        "<guid>1</guid><link>https://a.example/x</link><title>One</title><pubDate>17 Feb 2026 18:03 GMT</pubDate>",
        "<guid>2</guid><link>https://a.example/y</link><title>ONE</title><pubDate>17 Feb 2026 19:03 GMT</pubDate>",
    ),
}


@pytest.mark.parametrize(("rules", "one", "other"), RULED.values(), ids=RULED.keys())
def test_rules_keep_an_id(rules: PublisherRules, one: str, other: str) -> None:
    assert read(rss(one), rules=rules).items[0].id == read(rss(other), rules=rules).items[0].id


def test_same_title_on_another_day_is_another_item() -> None:
    days = [f"<title>One</title><pubDate>{day} Feb 2026 18:03 GMT</pubDate>" for day in (17, 18)]
    assert len(read(rss(*days), rules=GOOGLE).items) == 2


def test_item_that_a_machine_wrote_is_no_news() -> None:
    rules = PublisherRules(machine_titles=(re.compile("^Bridge returned error"),))
    feed = read(rss("<title>Bridge returned error 0! (20505)</title>", "<title>One</title>"), rules=rules)
    assert (titles(feed), feed.warnings) == (["One"], ("1 items that a machine wrote skipped",))


def test_other_keys_are_those_that_no_other_item_shares() -> None:
    date = "<pubDate>17 Feb 2026 18:03 GMT</pubDate>"
    shared = [f"<guid>{n}</guid><title>{n}</title><link>https://a.example/hub</link>{date}" for n in "ab"]
    alone = f"<guid>c</guid><title>c</title><link>https://a.example/c</link>{date}"
    one, other, third = read(rss(*shared, alone)).items
    # page with title, time with title; the third has its link as well
    assert [len(one.keys), len(other.keys), len(third.keys)] == [2, 2, 3]
    assert not {*one.keys} & {*other.keys, *third.keys}


def test_home_page_is_nobodys_key() -> None:
    date = "<pubDate>17 Feb 2026 18:03 GMT</pubDate>"
    keys = [only(f"<guid>{n}</guid><title>{n}</title><link>https://a.example/</link>{date}").keys for n in "ab"]
    assert not {*keys[0]} & {*keys[1]}


def test_title_is_the_last_key_of_an_item_without_link_and_date() -> None:
    one, other = only("<guid>1</guid><title>About</title>"), only("<guid>2</guid><title>ABOUT</title>")
    assert one.id != other.id
    assert one.keys == other.keys != ()


# -- language -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "channel", "language"),
    [
        ("<dc:language>uk</dc:language>", "<language>ru</language>", "uk"),
        ("", "<language>zh-CN</language>", "zh"),
        ("", "<language>nonsense</language>", "fr"),
        ("", "", "fr"),
    ],
)
def test_the_nearest_word_on_language_counts(item: str, channel: str, language: str) -> None:
    feed = Feed(FEED.url, language="fr")
    assert read(rss(f"<title>One</title>{item}", channel=channel), feed=feed).items[0].language == language


# -- dates ----------------------------------------------------------------------------------------


def test_an_item_without_a_good_date_falls_back_to_the_next() -> None:
    item = only(
        "<title>One</title><pubDate>Tue, 17 Feb 2026 18:03:07</pubDate><dc:date>2026-02-17T18:03:07+03:00</dc:date>"
    )
    assert item.published == datetime(2026, 2, 17, 15, 3, 7, tzinfo=UTC)


def test_an_item_without_a_date_has_none() -> None:
    assert only("<title>One</title>").published is None


def test_future_date_is_kept_and_taken_for_now() -> None:
    item = only("<title>One</title><pubDate>Fri, 17 Feb 2126 18:03:07 GMT</pubDate>")
    assert item.published == datetime(2126, 2, 17, 18, 3, 7, tzinfo=UTC)
    assert (item.at, item.published_raw) == (NOW, "Fri, 17 Feb 2126 18:03:07 GMT")


def test_past_date_wins_over_a_future_one() -> None:
    item = only(
        "<title>One</title><pubDate>Fri, 17 Feb 2126 18:03:07 GMT</pubDate><dc:date>2026-02-17T18:03:07Z</dc:date>"
    )
    assert item.published == datetime(2026, 2, 17, 18, 3, 7, tzinfo=UTC)


def test_date_that_cannot_be_read_is_kept_as_it_was_written() -> None:
    item = only("<title>One</title><pubDate>Tue, 17 Feb 2026 18:03:07</pubDate>")
    assert (item.published, item.published_raw) == (None, "Tue, 17 Feb 2026 18:03:07")


def test_date_without_a_zone_is_in_its_publishers() -> None:
    rules = PublisherRules(zones=Zones(ZoneInfo("Asia/Seoul")))
    [item] = read(rss("<title>One</title><pubDate>Tue, 17 Feb 2026 18:03:07</pubDate>"), rules=rules).items
    assert item.published == datetime(2026, 2, 17, 9, 3, 7, tzinfo=UTC)


# -- the collected wild ---------------------------------------------------------------------------


@settings(deadline=None)  # the machine is shared
@given(
    damage=st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 8), st.binary(max_size=4)), max_size=6),
    encoding=st.sampled_from(["utf-8", "cp1251", "utf-16"]),
)
def test_no_damage_breaks_the_parser(damage: list[tuple[int, int, bytes]], encoding: str) -> None:
    item = f"{ITEM}<guid>1</guid><description>&lt;p&gt;Text&lt;/p&gt;</description><pubDate>Mon</pubDate>"
    body = rss(item, item, encoding=encoding).encode(encoding)
    for start, length, put in damage:
        body = body[:start] + put + body[start + length :]
    try:
        feed = read(body)
    except ParseError:
        return
    assert all(item.title and item.id for item in feed.items)


CORPORA = ("feedparser", "others", "measured/mutants", "real_feeds", "edited_items")


@pytest.mark.parametrize("corpus", [name for name in CORPORA if (FIXTURES / name).exists()])
def test_nothing_that_was_collected_breaks_the_parser(corpus: str) -> None:
    for path in sorted((FIXTURES / corpus).rglob("*")):
        if path.is_file():
            try:
                feed = read(path.read_bytes())
            except ParseError:
                continue
            assert all(item.title and item.id for item in feed.items), path


def test_known_item_that_says_nothing_else_is_given_without_its_text() -> None:
    body = rss("<guid>1</guid><title>One</title><description>Text.</description>", "<guid>2</guid><title>Two</title>")
    first = read(body)
    again = parse(Document(FEED, FEED.url, {}, body.encode()), NOW, USUAL, {i.id: i.content for i in first.items})
    assert [(i.id, i.keys, i.content) for i in again.items] == [(i.id, i.keys, i.content) for i in first.items]
    assert [i.text for i in again.items] == ["", ""]


def test_known_item_that_says_something_else_has_its_text() -> None:
    item = "<guid>1</guid><title>One</title><description>{}</description>"
    [first] = read(rss(item.format("Text."))).items
    changed = rss(item.format("Another text."))
    [again] = parse(Document(FEED, FEED.url, {}, changed.encode()), NOW, USUAL, {first.id: first.content}).items
    assert (again.id, again.text) == (first.id, "Another text.")
    assert again.content != first.content
