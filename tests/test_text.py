import unicodedata
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from w3lib.url import canonicalize_url

from monitor.text import (
    LEAD,
    NARROWEST,
    PIECES,
    WIDEST,
    canonical_link,
    clip,
    fold,
    gist,
    item_id,
    language_code,
    page_path,
    plain,
    script,
    sentences,
    text_hash,
    units,
)

# -- plain ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Talks  end\n\twithout a deal ", "Talks end without a deal"),
        ("<p>One</p><p>Two</p>", "One Two"),
        ("One<br/>Two<BR>Three", "One Two Three"),
        ("<ul><li>One</li><li>Two</li></ul>", "One Two"),
        ("in<b>side</b> a word", "inside a word"),
        ('<a href="https://a.example/?a=1&amp;b=2">Link</a>', "Link"),
        ("<script>alert(1)</script>Text<style>p {}</style>", "Text"),
        ("<!-- nobody sees this -->Text", "Text"),
        ("cut off in a <a href='https://a.exa", "cut off in a"),
        ("AT&amp;T, Q&A, &quot;so&quot; &#8217;s &hellip;", 'AT&T, Q&A, "so" ’s …'),
        ("a < b and c > d", "a < b and c > d"),
        ("5 &lt; 6", "5 < 6"),
        ("&lt;b&gt;Tom &amp;amp; Jerry&lt;/b&gt;", "Tom & Jerry"),
        ("&amp;lt;p&amp;gt;Twice&amp;lt;/p&amp;gt; escaped", "Twice escaped"),
        ("&lt;![CDATA[Wrapped]]&gt;", "<![CDATA[Wrapped]]>"),
        ("<![CDATA[Wrapped]]> twice", "Wrapped twice"),
        ("<속보> 북한군 파병", "<속보> 북한군 파병"),
        ("", ""),
        (" <p> </p> ", ""),
    ],
)
def test_markup_goes_and_words_stay(written: str, read: str) -> None:
    assert plain(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a\u200bb\ufeffc\u00add", "abcd"),
        ("safe\u202etxt.exe\u2066", "safetxt.exe"),
        ("a\x00b\x85c\u2028d", "a b c d"),
        ("a\U000e0041b\ud800c", "abc"),
        ("la\u200dtin", "latin"),
        ("می‌خواهد", "می‌خواهد"),  # Persian spells with the joiner
        ("👩‍🚀", "👩‍🚀"),
        ("cafe\u0301", "café"),
    ],
)
def test_what_hides_goes_and_what_spells_stays(written: str, read: str) -> None:
    assert plain(written) == read


@given(st.text())
def test_plain_text_is_one_clean_line(written: str) -> None:
    text = plain(written)
    assert text == " ".join(text.split())
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


@pytest.mark.parametrize("hostile", ["<div>", "<", "&", "<b ", "<![CDATA[", "a\u200d", "<script>", "&lt;p", ". ", "."])
def test_hostile_text_is_read_to_its_end(hostile: str) -> None:
    # what it costs to read twice as much is measured in bench/hostile_text.py
    assert sentences(plain("Text" + hostile * 50_000))[0].startswith("Text")


@pytest.mark.parametrize(
    ("text", "length", "clipped"),
    [
        ("Short enough", 12, "Short enough"),
        ("North Korean troops seen", 14, "North Korean…"),
        ("North Korean troops seen", 13, "North Korean…"),
        ("North Korean, troops", 15, "North Korean…"),
        ("Donaudampfschifffahrt", 6, "Donau…"),
        ("习近平会见普京并签署协议", 6, "习近平会见…"),
        ("x", 1, "x"),
        ("xy", 1, "…"),
    ],
)
def test_long_text_is_cut_between_words(text: str, length: int, clipped: str) -> None:
    assert clip(text, length) == clipped


@given(st.text(), st.integers(1, 50))
def test_clipped_text_is_never_too_long(text: str, length: int) -> None:
    assert len(clip(text, length)) <= length


# -- sentences ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ('He said: "No." Then he left.', ['He said: "No."', "Then he left."]),
        (
            "Mr. Putin met U.S. envoy J. Smith on Jan. 5. He left.",
            ["Mr. Putin met U.S. envoy J. Smith on Jan. 5.", "He left."],
        ),
        ("It rose 3.5 percent. approx. none", ["It rose 3.5 percent. approx. none"]),
        ("Цена 5 тыс. рублей в г. Москва. Да… Нет.", ["Цена 5 тыс. рублей в г. Москва.", "Да…", "Нет."]),
        ("习近平会见普京。他说“是。”然后走了！真的？", ["习近平会见普京。", "他说“是。”", "然后走了！", "真的？"]),
        ("「会談した。」と述べた。以上", ["「会談した。」", "と述べた。", "以上"]),
        ("북한군이 파병됐다. 한국이 밝혔다.", ["북한군이 파병됐다.", "한국이 밝혔다."]),
        ("", []),
    ],
)
def test_text_is_split_into_sentences(text: str, split: list[str]) -> None:
    assert sentences(text) == split


@given(st.text(alphabet="Аaб .!?。」\"'1"))
def test_splitting_loses_nothing(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


# -- comparing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("BRICS Pay", "brics pay"),
        ("Ёлка", "елка"),
        ("ＢＲＩＣＳ", "brics"),
        ("Straße", "STRASSE"),
        ("Кам’янка", "Кам'янка"),
        ("Кам\u02bcянка", "Кам'янка"),
        ("Nord‑Stream", "nord-stream"),
        ("cafe\u0301", "CAFÉ"),
        ("й", "и\u0306"),
    ],
)
def test_spellings_that_mean_the_same_fold_together(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_letters_that_differ_stay_apart() -> None:
    assert len({fold(letter) for letter in "ийіїеэгґ"}) == 8


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("North Korean troops seen near Kursk", "Latin"),
        ("Łódź, Đà Nẵng, İzmir", "Latin"),
        ("Войска КНДР под Курском", "Cyrillic"),
        ("Їжак", "Cyrillic"),
        ("习近平会见普京", "Han"),
        ("プーチン氏が訪朝", "Han"),
        ("ニュース", "Han"),
        ("북한군 파병", "Hangul"),
        ("قوات كورية شمالية", "Other"),
        ("रूस", "Other"),
        ("1234 — !", "Other"),
        ("", "Other"),
        ("OpenAI发布新模型", "Han"),
        ("KBS 북한군", "Hangul"),
        ("Xi Jinping (习) meets Putin", "Latin"),
        ("СМИ: Trump", "Latin"),
    ],
)
def test_the_script_that_carries_a_text_is_named(text: str, name: str) -> None:
    assert script(text) == name


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en", "en"),
        ("zh-CN", "zh"),
        ("EN_us", "en"),
        (" ru ", "ru"),
        ("ua", "uk"),
        ("ukr", "uk"),
        ("english", ""),
        ("x-default", ""),
        ("", ""),
    ],
)
def test_a_language_tag_is_reduced_to_iso_639_1(tag: str, code: str) -> None:
    assert language_code(tag) == code


# -- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("http://A.example/x", "https://a.example/x"),
        ("https://a.example", "https://a.example/"),
        (" https://a.example/x#comments ", "https://a.example/x"),
        ("https://a.example/x?b=1&a=2", "https://a.example/x?a=2&b=1"),
        ("http://a.example:80/x", "https://a.example/x"),
        ("https://a.example:8443/x", "https://a.example:8443/x"),
        ("http://[2001:db8::80]/", "https://[2001:db8::80]/"),
        ("https://a.example/x?id=7&utm_source=rss&UTM_medium=feed&fbclid=1&gclid=2", "https://a.example/x?id=7"),
        ("https://www.bbc.com/news/1?at_medium=RSS&at_campaign=KARANGA", "https://www.bbc.com/news/1"),
        ("https://www.dw.com/en/a-1?maca=en-rss-en-world-4025-rdf", "https://www.dw.com/en/a-1"),
        (
            "https://президент.example/новость",
            "https://xn--d1abbgf6aiiy.example/%D0%BD%D0%BE%D0%B2%D0%BE%D1%81%D1%82%D1%8C",
        ),
        ("https://a.example:99999/", "https://a.example:99999/"),
        ("http://[::1", "http://[::1"),
        ("http://\ud800/", "http://\ud800/"),
        ("tag:a.example,2024:1", "tag:a.example,2024:1"),
        ("/relative", "/relative"),
        ("", ""),
    ],
)
def test_links_to_one_page_become_equal(url: str, canonical: str) -> None:
    assert canonical_link(url) == canonical


TRACKING = """
    utm_source utm_medium utm_campaign utm_term utm_content utm_id utm_referrer utm-source UTM_Brand mtm_campaign mtm_kwd
    hsa_cam hsa_src at_medium at_campaign at_custom1 at_link_id itm_source itm_campaign itm_channel int_source int_medium
    pk_campaign pk_kwd pk_source piwik_campaign ns_campaign ns_mchannel ns_source ns_linkname ns_fee
    fbclid gclid dclid yclid ysclid ymclid twclid ttclid msclkid gclsrc gbraid wbraid gad_source gad_campaignid srsltid
    igshid igsh mibextid rdt_cid li_fat_id fb_source fb_ref fb_action_ids ref_src ref_url _openstat
    mc_cid mc_eid mkt_tok _hsenc _hsmi __hssc __hstc __hsfp hsCtaTracking vero_id vero_conv oly_enc_id oly_anon_id
    ml_subscriber _bhlid _kx _ga _gl wt_mc wt_zmc PHPSESSID jsessionid
    xtor xtref ocid smid smtyp ftag maca traffic_source guccounter guce_referrer guce_referrer_sig soc_src soc_trk srnd
    wpisrc referringSource gnt-cfr Echobox __twitter_impression spm spm_id_from share_token vd_source
"""
#: From "source" on: what the lists of others leave out, and sites name pages with.
NAMING = """
    id=1 at=1 page=2 p=3 pk_id=4 utm=1 gl=cn hl=zh v=1 story_id=1 newsIdx=1 nav_id=1 s=1 t=1 r=1 si=1 sn=1 __biz=1 mid=1
    aid=1 cat=1 tag=1 lang=ru date=2024-11-16 itm_id=5 int_id=5 feed=rss2 format=rss c=rss-all type=feed amp=5 output=xml
    outputType=xml platform=ios
    source=tass source=crss src=a.jpg ref=home ref=feed-the-world from=2024 via=kiev origin=cn medium=oil campaign=5 mod=2
    cid=7 uid=7 eid=7 sid=7 pid=7 clid=7 cmp=TSLA ncid=2 session_id=3 view_id=3 campaign_id=3 gallery=12 galleryId=1
    picid=3 keyword=brics context=3 ts=1731772800
"""
FROM_A_FEED = """
    from=rss source=RSS cmp=rss icid=rss via=rss ref=rssfeed cid=rss2 mod=rss_markets src=feed cmp=us-rss-world
    ncid=txtlnkusaolp.rss from=r%73s
"""
FOR_TELEPHONES = "amp amp=1 amp=true _amp=true outputType=amp output=amp platform=amp"


@pytest.mark.parametrize("name", TRACKING.split())
def test_tracking_does_not_name_a_page(name: str) -> None:
    assert canonical_link(f"https://a.example/x?{name}=a%2Fb.1&id=7") == "https://a.example/x?id=7"


@pytest.mark.parametrize("parameter", NAMING.split())
def test_a_parameter_that_may_name_a_page_is_kept(parameter: str) -> None:
    assert canonical_link(f"https://a.example/?{parameter}") == f"https://a.example/?{parameter}"


@pytest.mark.parametrize("parameter", (FROM_A_FEED + FOR_TELEPHONES).split())
def test_a_value_may_say_that_the_parameter_only_leads_to_the_page(parameter: str) -> None:
    assert canonical_link(f"https://a.example/x?{parameter}&id=7") == "https://a.example/x?id=7"


def test_a_publishers_own_parameters_are_left_out_on_demand() -> None:
    url = "https://a.example/x.html?FL&c=3&id=7"

    assert canonical_link(url, drop=frozenset({"fl", "c"})) == "https://a.example/x.html?id=7"


@given(st.text() | st.from_regex(r"https?://[a-z:@\[\]]{1,9}[/?#&=a-z0-9%.;+_-]{0,30}"))
def test_a_canonical_link_is_its_own_and_never_raises(url: str) -> None:
    canonical = canonical_link(url)
    assert canonical_link(canonical) == canonical


#: `[a-z_.%25-]{1,6}=[a-z0-9%./+-]{0,6}`, which as a regular expression takes ten times as long to draw from
PAIRS = st.tuples(
    st.text("abcdefghijklmnopqrstuvwxyz_.%25-", min_size=1, max_size=6),
    st.text("abcdefghijklmnopqrstuvwxyz0123456789%./+-", max_size=6),
).map("=".join)


@given(st.lists(PAIRS, max_size=4), st.lists(st.sampled_from(TRACKING.split()), max_size=3), st.randoms())
def test_neither_order_nor_tracking_tells_pages_apart(pairs: list[str], tracking: list[str], chance: Random) -> None:
    mixed = [*pairs, *(f"{name}=1" for name in tracking)]
    chance.shuffle(mixed)

    assert canonical_link("http://a.example/x?" + "&".join(mixed)) == canonical_link(
        "https://a.example/x?" + "&".join(pairs)
    )


@given(
    st.from_regex(r"[a-z0-9-]{1,5}(\.[a-z0-9-]{1,5}){1,2}", fullmatch=True),
    st.from_regex(r"(/[A-Za-z0-9,~+=:@._-]{0,4}){0,3}", fullmatch=True),
    st.from_regex(r"(\?([A-Za-z0-9._~-]{1,3}=[A-Za-z0-9._~-]{0,3}(&|\Z)){0,3})?", fullmatch=True),
)
def test_the_short_way_gives_what_w3lib_gives(host: str, path: str, query: str) -> None:
    url = f"https://{host}{path}{query}"

    assert canonical_link(url) == canonicalize_url(url)


def test_a_fragment_is_kept_on_demand() -> None:
    assert canonical_link("http://a.example/live#post-7", keep_fragment=True) == "https://a.example/live#post-7"


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("https://www.a.example/2024/11/Talks-End/", "2024/11/talks-end"),
        ("https://a.example/world/index.html", "world"),
        ("https://a.example/index.php", ""),
        ("https://a.example/", ""),
        ("https://a.example", ""),
        ("https://a.example/?p=123", ""),
        ("https://a.example/view.php?id=7", "view.php"),
        ("https://a.example/index.php?id=7", "index.php"),
        ("https://a.example/live#post-7", "live"),
        ("https://a.example/my-index.html", "my-index.html"),
        ("tag:a.example,2024:1", ""),
        ("/relative", ""),
        ("http://[::1", ""),
        ("", ""),
    ],
)
def test_a_path_is_what_stays_when_a_publisher_moves(link: str, path: str) -> None:
    assert page_path(link) == path


@given(st.text(alphabet="ab/.-?#&=A", max_size=20))
def test_neither_scheme_nor_host_changes_the_path(rest: str) -> None:
    assert page_path(f"http://old.example/{rest}") == page_path(f"https://new.example:8443/{rest}")


def test_an_items_id_is_known_by_feed_and_identity() -> None:
    assert item_id("https://a.example/feed", "guid-1") == "cb057734faecac7c"


def test_a_text_hash_sees_every_character() -> None:
    assert text_hash("Kursk") != text_hash("kursk")


def test_lone_surrogates_can_be_hashed() -> None:
    assert len(text_hash("\ud800")) == 16


# -- what an item is matched by --------------------------------------------------------------------


def report(*lengths: int) -> list[str]:
    """Sentences of so many characters, no two alike."""
    return [f"S{n}{' word' * length}"[: length - 4] + "end." for n, length in enumerate(lengths, 10)]


LONG_LEAD = report(280)[0]


@pytest.mark.parametrize(("title", "text"), [("Talks end", ""), ("Talks end", "Talks end"), ("x" * 500, "")])
def test_an_item_without_text_of_its_own_is_its_title(title: str, text: str) -> None:
    assert units(title, text) == [gist(title, text)] == [title]


@pytest.mark.parametrize(
    ("title", "text", "gist_of_it"),
    [
        ("Talks end", "No deal was made.", "Talks end. No deal was made."),
        ("Talks end!", "No deal.", "Talks end! No deal."),
        ("Talks end", "Talks end without a deal.", "Talks end without a deal."),  # the text says the title again
    ],
)
def test_the_gist_comes_first_and_the_title_alone_second(title: str, text: str, gist_of_it: str) -> None:
    assert units(title, text) == list(dict.fromkeys([gist_of_it, title, text]))
    assert units(title, f"{text} {LONG_LEAD}")[:2] == [gist(title, f"{text} {LONG_LEAD}"), title]


def test_each_sentence_is_a_unit() -> None:
    sentences = report(100, 200, 150)
    assert units("Talks end", " ".join(sentences))[2:] == sentences


def test_short_sentences_go_with_what_follows() -> None:
    short, one, two = report(NARROWEST - 10, 100, NARROWEST)
    assert units("Talks end", " ".join([short, one, two]))[2:] == [f"{short} {one}", two]


def test_a_sentence_of_chinese_says_as_much_in_a_third_of_the_letters() -> None:
    one, short, two = "二" * 40 + "。", "三" * 10 + "。", "四" * 20 + "。"
    assert units("标题", f"{one}{short}{two}")[2:] == [one, f"{short} {two}"]


def test_what_has_no_sentences_is_cut_between_words() -> None:
    listed = " ".join(f"item{n}" for n in range(100))
    pieces = units("Talks end", listed)[2:]
    assert " ".join(pieces) == listed
    assert all(len(piece) <= WIDEST for piece in pieces)
    assert units("标题", "一" * 80 + "二" * 80 + "三" * 40)[2:] == ["一" * 80, "二" * 80, "三" * 40]


@pytest.mark.parametrize("length", range(LEAD - 3, LEAD + 4))
def test_a_sentence_that_ends_where_the_lead_does_is_somewhere_whole(length: int) -> None:
    first, last = report(100, length - 101)
    assert len(f"{first} {last}") == length
    assert any(last in unit for unit in units("Talks end", f"{first} {last} And so on."))


LENGTHS = st.lists(st.integers(20, WIDEST), min_size=1, max_size=PIECES)


@given(LENGTHS)
@example([140, 159, 20])  # the second ends with the lead
def test_every_sentence_stands_whole_in_a_unit_and_in_their_order(lengths: list[int]) -> None:
    sentences = report(*lengths)
    found = units("Talks end", " ".join(sentences))
    places = [next((n for n, unit in enumerate(found[2:]) if sentence in unit), None) for sentence in sentences]
    assert None not in places
    assert places == sorted(places, key=lambda place: place or 0)


TITLES = st.text(min_size=1, max_size=120)
WRITTEN = ["No deal. ", "Talks went on? ", "Сделки нет. ", "没有达成协议。", "word ", "x" * 90, "!", "Talks end"]
TEXTS = st.text() | st.lists(st.sampled_from(WRITTEN), max_size=400).map("".join)


@given(TITLES | st.just("Talks end"), TEXTS)
def test_units_are_few_and_bounded_and_differ(title: str, text: str) -> None:
    found = units(title, text)
    assert found[0] == gist(title, text)
    assert all(found)
    assert len(found) == len(set(found)) <= 2 + PIECES
    assert all(len(unit) <= max(len(title) + 2 + LEAD, WIDEST + NARROWEST + 1) for unit in found)
    assert found[1:2] == ([] if found[0] == title else [title])


def test_of_a_book_only_the_beginning_is_read() -> None:
    book = " ".join(report(*[150] * 2_000))
    found = units("Book", book)
    assert len(found) == 2 + PIECES
    assert found == units("Book", book[: 2 * WIDEST * PIECES])
