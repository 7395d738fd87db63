import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.discover import Discovered, discover, guesses

PAGE = "https://news.example/world/asia.html"
RSS = '<link rel="alternate" type="application/rss+xml" href="/rss.xml">'
FOUND = ["https://news.example/rss.xml"]


def urls(page: str, url: str = PAGE) -> list[str]:
    return [feed.url for feed in discover(page, url)]


def link(**attributes: str) -> str:
    """A link element that announces a feed, unless the attributes say otherwise."""
    written = {"rel": "alternate", "type": "application/rss+xml", "href": "/rss.xml"} | attributes
    return "<link " + " ".join(f'{name}="{value}"' for name, value in written.items() if value) + ">"


# -- what a link element may look like ------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(RSS, id="nothing else"),
        pytest.param(f"<html><head><title>News</title>{RSS}</head><body></body></html>", id="in the head"),
        pytest.param(f"<html><body><p>News</p>{RSS}</body></html>", id="in the body"),
        pytest.param(f'<?xml version="1.0"?><html xmlns="x"><head>{RSS[:-1]} /></head></html>', id="XHTML"),
        pytest.param(f'<title/><script src="/a.js" />{RSS}', id="after empty elements of XHTML"),
        pytest.param("<link rel=alternate type=application/rss+xml href=/rss.xml>", id="no quotes"),
        pytest.param("<link rel='alternate' type='application/rss+xml' href='/rss.xml'>", id="single quotes"),
        pytest.param("<LINK REL=ALTERNATE TYPE=Application/RSS+XML HREF=/rss.xml>", id="upper case"),
        pytest.param(f"<HTML><HEAD>{RSS}</HEAD></HTML>", id="upper case around it"),
        pytest.param(RSS.replace(" ", "\r\n\t"), id="a line for each attribute"),
        pytest.param(RSS.replace("=", " = "), id="spaces around the equals signs"),
        pytest.param(RSS.replace('" ', '"'), id="no space between attributes"),
        pytest.param("<link href=/rss.xml type=application/rss+xml rel=alternate>", id="another order"),
        pytest.param(link(rel=" alternate "), id="spaces in the relation"),
        pytest.param(link(rel="home\nAlternate nofollow"), id="one relation of several"),
        pytest.param(link(rel="&#97;lternate", type="application&#47;rss&#x2B;xml"), id="references in the values"),
        pytest.param(link(type=" application/rss+xml "), id="spaces in the type"),
        pytest.param(link(type="application/rss+xml; charset=UTF-8"), id="a parameter of the type"),
        pytest.param(link(href="\n /rss.xml "), id="spaces in the address"),
        pytest.param(link(href="https://news.example/rss.xml"), id="absolute address"),
        pytest.param(link(href="//news.example/rss.xml"), id="address without a scheme"),
        pytest.param(link(href="../rss.xml"), id="address beside the page"),
        pytest.param(link(href="/rss.xml#top"), id="address with a fragment"),
        pytest.param(link(href="feed://news.example/rss.xml"), id="feed as the scheme"),
        pytest.param(link(href="feed:https://news.example/rss.xml"), id="feed before the scheme"),
        pytest.param(link(id="alternate", title="/other.xml", rev="stylesheet"), id="distracting attributes"),
        pytest.param('<link rel="alternate" rel="next" type="text/rss" href="/rss.xml">', id="an attribute twice"),
        pytest.param(f"<a title=it's>{RSS}</a>", id="after a stray quote"),
        pytest.param(f"<!--[if IE]><p>Old</p><![endif]-->{RSS}", id="after a conditional comment"),
        pytest.param(f"<![if !IE]>{RSS}<![endif]-->", id="inside a revealed conditional comment"),
        pytest.param(f"<![endif]--><![ nonsense>{RSS}", id="after declarations that are none"),
        pytest.param(f"<script>if (a<b) document.write('<p>')</script>{RSS}", id="after a script"),
        pytest.param(f"<noscript>{RSS}</noscript>", id="for those without scripts"),
        pytest.param(f"{RSS}<!-- the rest is missing", id="before a comment that never ends"),
        pytest.param(f"{RSS}<p title='", id="before a tag that never ends"),
        pytest.param(f"{RSS}{RSS}", id="twice"),
        pytest.param(RSS + link(href="http://news.example/rss.xml"), id="once by http"),
        pytest.param(link(rel="feed"), id="rel=feed"),
        pytest.param(link(rel="feed", type=""), id="rel=feed without a type"),
        pytest.param(link(rel="alternate", type=""), id="no type, but such an address"),
        pytest.param(link(type="text/xml"), id="XML, and such an address"),
    ],
)
def test_a_feed_is_announced(page: str) -> None:
    assert urls(page) == FOUND


@pytest.mark.parametrize(
    "page",
    [
        pytest.param("", id="nothing"),
        pytest.param(link(rel=""), id="no relation"),
        pytest.param(link(rel="alter nate"), id="half a relation"),
        pytest.param(link(rel="alternate stylesheet"), id="another style"),
        pytest.param(link(rel="", rev="alternate"), id="the reverse relation"),
        pytest.param(link(rel="self"), id="another relation"),
        pytest.param(link(href=""), id="no address"),
        pytest.param("<link rel=alternate type=application/rss+xml href>", id="an address without a value"),
        pytest.param(link(type="application/ rss+xml"), id="a space inside the type"),
        pytest.param(link(rel="feed", type="text/html"), id="a page that is read as a feed"),
        pytest.param(link(type="text/html", hreflang="de"), id="the page in another language"),
        pytest.param(link(type="", hreflang="de", href="/de/anatomy"), id="the same without a type"),
        pytest.param(link(type="text/xml+oembed", href="/oembed?format=xml"), id="oEmbed"),
        pytest.param(link(type="application/json", href="/wp-json/wp/v2/pages/7"), id="another JSON"),
        pytest.param(link(type="application/xml", href="/map.xml", title="Map"), id="another XML"),
        pytest.param(link(href="javascript:feed()"), id="a script for an address"),
        pytest.param(link(href="mailto:rss@news.example"), id="a mailbox"),
        pytest.param(link(href="https://[news.example/rss.xml"), id="an address that is none"),
        pytest.param(link(href="/" + "a" * 3_000), id="an address too long"),
        pytest.param(link(href="/rss\x1b[2J.xml"), id="an address for a terminal"),
        pytest.param(link(href=""" " title="/rss.xml"""), id="an empty address"),
        pytest.param(link(href="#rss"), id="the page itself"),
        pytest.param(f"<!-- {RSS} -->", id="in a comment"),
        pytest.param(f"<!-- {RSS}", id="in a comment that never ends"),
        pytest.param(f"<script>var feed = '{RSS}'</script>", id="in a script"),
        pytest.param(f"<style>/* {RSS} */</style>", id="in a style"),
        pytest.param(f"<title>How to write {RSS}</title>", id="in the title"),
        pytest.param(f"<textarea>{RSS}</textarea>", id="in a text field"),
        pytest.param(f"<pre>{RSS.replace('<', '&lt;')}</pre>", id="escaped"),
        pytest.param(RSS[:-1], id="cut off"),
        pytest.param(" " * 500_000 + RSS, id="behind half a megabyte"),
        pytest.param(f'<a title="&#{"9" * 5_000};">{RSS}', id="behind a reference that html.parser refuses"),
    ],
)
def test_no_feed_is_announced(page: str) -> None:
    assert urls(page) == []


@pytest.mark.parametrize(
    ("mime", "href", "kind"),
    [
        ("application/rss+xml", "/news", "rss"),
        ("application/atom+xml", "/news", "atom"),
        ("application/x.atom+xml", "/news", "atom"),
        ("application/x-atom+xml", "/news", "atom"),
        ("application/rdf+xml", "/news", "rdf"),
        ("application/feed+json", "/news", "json"),
        ("application/json", "/feed.json", "json"),
        ("text/rss+xml", "/news", "rss"),
        ("text/xml", "/news/atom.xml", "atom"),
        ("application/xml", "/feed/", ""),
    ],
)
def test_the_kind_is_told_by_the_type_or_else_by_the_address(mime: str, href: str, kind: str) -> None:
    (feed,) = discover(link(type=mime, href=href), PAGE)
    assert feed.kind == kind


def test_xml_is_a_feed_if_its_title_says_so() -> None:
    assert discover(link(type="text/xml", href="/all.xml", title="RSS: all news"), PAGE) == [
        Discovered("https://news.example/all.xml", "RSS: all news", "")
    ]


def test_a_title_is_plain_text() -> None:
    (feed,) = discover(link(title="Asia &amp;\n &lt;b&gt;Pacific&lt;/b&gt; \x1b[2J"), PAGE)
    assert feed.title == "Asia & Pacific [2J"


@pytest.mark.parametrize(
    ("written", "query"),
    [
        ("a=1&amp;b=2", "a=1&b=2"),
        ("a=1&#38;b=2", "a=1&b=2"),
        ("a=1&#038;b=2", "a=1&b=2"),
        ("a=1&b=2", "a=1&b=2"),
        ("lang=ru&region=2&copy=3", "lang=ru&region=2&copy=3"),
    ],
)
def test_ampersands_of_an_address(written: str, query: str) -> None:
    assert urls(link(href=f"/feed?{written}")) == [f"https://news.example/feed?{query}"]


# -- base -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "href", "url"),
    [
        ("https://cdn.example/feeds/", "asia.xml", "https://cdn.example/feeds/asia.xml"),
        ("https://cdn.example/feeds/page", "asia.xml", "https://cdn.example/feeds/asia.xml"),
        ("https://cdn.example/feeds/", "/asia.xml", "https://cdn.example/asia.xml"),
        ("https://cdn.example/feeds/", "../asia.xml", "https://cdn.example/asia.xml"),
        ("https://cdn.example/", "https://news.example/asia.xml", "https://news.example/asia.xml"),
        ("/feeds/", "asia.xml", "https://news.example/feeds/asia.xml"),
        ("javascript:void(0)", "asia.xml", "https://news.example/world/asia.xml"),
        ("https://[", "asia.xml", "https://news.example/world/asia.xml"),
        ("", "asia.xml", "https://news.example/world/asia.xml"),
    ],
)
def test_base(base: str, href: str, url: str) -> None:
    assert urls(f'<BASE target="_top" href="{base}">{link(href=href)}') == [url]


def test_the_first_base_counts_and_for_links_before_it_too() -> None:
    page = f"{link(href='1.xml')}<base target=_top><base href='https://a.example/'><base href='https://b.example/'>"
    assert urls(page) == ["https://a.example/1.xml"]


def test_a_page_without_an_address_gives_only_absolute_ones() -> None:
    page = link(href="/rss.xml") + link(href="https://news.example/rss.xml")
    assert urls(page, "") == urls(page, "https://[") == FOUND


# -- order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("href", "title"),
    [
        ("/1.xml", "Comments on: Talks end"),
        ("/1.xml", "News » Talks end Comments Feed"),
        ("/1.xml", "Kommentar-Feed"),
        ("/1.xml", "Комментарии"),
        ("/1.xml", "评论"),
        ("/comments/feed/", ""),
        ("/feeds/comments/default", ""),
        ("/?feed=comments-rss2", ""),
    ],
)
def test_feeds_of_comments_come_last(href: str, title: str) -> None:
    page = link(href=href, title=title) + link(href="/b.xml", title="Commentary") + link(href="/a.xml")
    assert urls(page)[:2] == ["https://news.example/b.xml", "https://news.example/a.xml"]
    assert len(urls(page)) == 3


def test_a_page_that_announces_itself_alone_announces_nothing() -> None:
    """As pages with h-feed do, https://microformats.org/wiki/rel-feed."""
    assert urls('<link rel="feed" href="/"><a href="/rss.xml">RSS</a>', "https://news.example/") == FOUND


def test_what_is_announced_goes_before_what_is_linked_to() -> None:
    assert urls(f'<a href="/feed">Feed</a>{RSS}') == FOUND


def test_of_mere_links_those_to_the_host_come_first() -> None:
    page = (
        '<a href="https://feeds.other.example/x">1</a><a href="https://www.news.example/feed">2</a><a href="/rss">3</a>'
    )
    assert [feed.title for feed in discover(page, PAGE)] == ["2", "3", "1"]


def test_a_page_of_links_gives_fifty() -> None:
    assert len(urls("".join(link(href=f"/{n}.xml") for n in range(200)))) == 50


# -- mere links -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "href",
    [
        "/rss",
        "/rss/",
        "/world/rss",
        "/rss/world/",
        "/rss2",
        "/feed",
        "/category/asia/feed/",
        "/asia.rss",
        "/asia.atom",
        "/index.rdf",
        "/atom.xml",
        "/rss.xml",
        "/index.xml",
        "/RSS/World.XML",
        "/rss/v2/all.xml",
        "/news-rss.xml",
        "/feed.json",
        "/feeds/posts/default",
        "/?feed=rss2",
        "/index.php?format=feed&amp;type=rss",
        "https://feeds.news.example/world",
        "https://rss.news.example/world",
        "feed://news.example/world.rss",
    ],
)
def test_a_link_looks_like_a_feed(href: str) -> None:
    assert len(urls(f'<p>Follow us: <a class="x" href="{href}"><img src="/i.png"> RSS</a></p>')) == 1


@pytest.mark.parametrize(
    "href",
    [
        "/",
        "#rss",
        "asia.html#feed",
        "/feedback",
        "/rss.html",
        "/how-to-feed-a-cat",
        "https://rss.example/pricing",
        "/sitemap_index.xml",
        "/crossword",
        "/feeds-and-speeds/",
        "https://feedly.com/i/subscription/feed/https://news.example/feed",
        "https://share.example/?u=https%3A%2F%2Fnews.example%2Frss&amp;type=rss",
        "mailto:news@news.example?subject=rss",
        "javascript:location='/rss'",
    ],
)
def test_a_link_does_not_look_like_a_feed(href: str) -> None:
    assert urls(f'<a href="{href}">RSS</a>') == []


def test_the_words_of_a_link_are_its_title() -> None:
    page = '<a href="/rss/a/" title="x">World <b>&amp;</b>\n Asia</a> and <a href="/rss/b/" title="Europe"><img></a>'
    assert [feed.title for feed in discover(page, PAGE)] == ["World & Asia", "Europe"]


def test_a_page_that_looks_like_a_feed_does_not_name_itself() -> None:
    assert urls('<a href="#top">Up</a><a href="/rss/world.xml">World</a>', "https://news.example/rss/") == [
        "https://news.example/rss/world.xml"
    ]


# -- hostile pages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hostile",
    [
        "<",
        "<!--",
        "<![if",
        "</",
        "<a ",
        "<a x='",
        "<a href=/rss>",
        "<p>",
        "&",
        "&#",
        "<title><",
        "<script></",
        "<![endif]-->",
    ],
)
def test_a_page_of_nothing_else_is_read_in_passing(hostile: str) -> None:
    """Were one of these read in quadratic time, it would be missed here by nobody: it takes minutes."""
    assert len(urls(RSS + hostile * 40_000)) == 1


# -- guesses --------------------------------------------------------------------------------------

AT_ROOT = [
    "https://news.example/feed",
    "https://news.example/rss",
    "https://news.example/rss.xml",
    "https://news.example/index.xml",
    "https://news.example/feed.xml",
    "https://news.example/atom.xml",
    "https://news.example/feeds/posts/default",
    "https://news.example/news-sitemap.xml",
]


@pytest.mark.parametrize(
    "url",
    [
        "https://news.example",
        "https://news.example/",
        "https://news.example/index.html",
        "https://news.example//?page=1#top",
    ],
)
def test_guesses_at_a_front_page_are_the_sites(url: str) -> None:
    assert guesses(url) == AT_ROOT


@pytest.mark.parametrize(
    "url",
    [
        "https://news.example/world/asia",
        "https://news.example/world/asia/",
        "https://news.example/world/asia/today.html",
        "https://news.example/world/asia?page=2",
    ],
)
def test_guesses_at_a_section_come_before_the_sites(url: str) -> None:
    assert guesses(url) == [
        "https://news.example/world/asia/feed",
        "https://news.example/world/asia/rss",
        "https://news.example/world/asia/rss.xml",
        "https://news.example/world/asia/index.xml",
        *AT_ROOT,
    ]


@pytest.mark.parametrize("url", ["", "news.example", "/world", "mailto:x@news.example", "https://", "https://["])
def test_no_guesses_without_an_address(url: str) -> None:
    assert guesses(url) == []


# -- laws -----------------------------------------------------------------------------------------

SCRAPS = (
    "<link", "<a", "<base", "<script>", "</script", "<title>", "</a>", "<!--", "-->", "<![", "<!", "<?", "</", "]>", ">", "/>",
    "rel=", "href=", "type=", "'", '"', "=", " ", "alternate", "feed", "application/rss+xml", "/rss", "?feed=rss", "//", "#",
    "http://[", "feed:", "&", "&#", "&#x110000;", "9" * 5_000, "\0", "\ud800", "\u202e",
)  # fmt: skip


@given(
    page=st.lists(st.sampled_from(SCRAPS) | st.text(max_size=3), max_size=30).map("".join),
    url=st.sampled_from([PAGE, "", "http://["]),
)
@example(page="<link rel=feed href='http://a:b/'>", url=PAGE)
@example(page="<link rel=feed href='//\ud800/'>", url="https://\ud800/")
def test_whatever_the_page_what_comes_back_can_be_asked_for(page: str, url: str) -> None:
    found = discover(page, url)
    assert len({feed.url for feed in found}) == len(found)
    for feed in found:
        assert feed.url.startswith(("http://", "https://"))
        assert feed.url.isprintable()
        assert " " not in feed.url


@given(st.text() | st.text().map("https://{}".format))
def test_guesses_never_raise(url: str) -> None:
    assert len(guesses(url)) <= 12
