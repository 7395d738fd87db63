"""What a page or a paragraph says of itself, as the beginning of a topic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.seed import HEADLINE, MOST_HEADLINES, TITLE, Seed, seed_of_page, seed_of_text

PAGE = """<!doctype html><html><head><title>Navy stops tanker | Harbour Wire</title>
<meta property="og:title" content="Navy stops tanker off Estonia &amp; lets it go - Harbour Wire">
<meta property="og:site_name" content="Harbour Wire">
<meta name="description" content="A tanker without a flag was stopped. It sailed on.">
</head><body><nav><h1>Menu</h1><p>Home News Sport Weather and much more that nobody came for, every day</p></nav>
<article><h1>Navy stops tanker</h1><p>By our staff</p><script>var p = "<p>none</p>"</script>
<p>The Estonian navy stopped a tanker without a flag on its way to Primorsk on Tuesday.</p></article></body></html>"""


def test_article_gives_its_headline_without_the_site() -> None:
    seed = seed_of_page(PAGE)
    assert seed.headlines == ("Navy stops tanker off Estonia & lets it go",)
    assert seed.description == "A tanker without a flag was stopped. It sailed on."


def test_article_that_announces_nothing_is_read() -> None:
    page = PAGE[: PAGE.index("<meta")] + PAGE[PAGE.index("</head>") :]
    assert seed_of_page(page) == Seed(
        "Navy stops tanker",
        "The Estonian navy stopped a tanker without a flag on its way to Primorsk on Tuesday.",
        ("Navy stops tanker",),
    )


def test_page_without_a_headline_gives_nothing() -> None:
    assert seed_of_page("<p>404</p>") == Seed()


def test_site_after_a_bar_is_taken_off_where_none_is_named() -> None:
    assert seed_of_page("<title>Xi in Kazan | The Daily</title>").title == "Xi in Kazan"
    assert seed_of_page("<title>Xi - Putin talks begin</title>").title == "Xi - Putin talks begin"


PARAGRAPH = """Sanctions on the shadow fleet
- Britain sanctioned 18 tankers that carry Russian crude.
- Denmark will check the insurance of tankers. Sweden does so already, says its minister.
"""


def test_paragraph_gives_a_headline_for_each_event() -> None:
    assert seed_of_text(PARAGRAPH) == Seed(
        "Sanctions on the shadow fleet",
        "Britain sanctioned 18 tankers that carry Russian crude.",
        (
            "Britain sanctioned 18 tankers that carry Russian crude",
            "Denmark will check the insurance of tankers",
            "Sweden does so already, says its minister",
        ),
    )


def test_paragraph_without_a_heading_is_called_by_its_first_sentence() -> None:
    assert seed_of_text("Xi met Putin in Kazan on Tuesday. They dined.").title == "Xi met Putin in Kazan on Tuesday"


def test_chinese_sentences_are_headlines_too() -> None:
    assert seed_of_text("习近平会见普京。两国元首讨论了乌克兰问题与能源合作。").headlines == (
        "两国元首讨论了乌克兰问题与能源合作",
    )


def test_nothing_gives_nothing() -> None:
    assert seed_of_text(" \n") == Seed()


@given(st.text() | st.text(alphabet="<>/!-[]p h1metanavscript=\"'&;.\n "))
def test_no_page_and_no_text_is_too_strange(text: str) -> None:
    for seed in (seed_of_page(text), seed_of_text(text)):
        assert len(seed.title) <= TITLE
        assert len(seed.headlines) <= MOST_HEADLINES
        assert all(len(one) <= HEADLINE for one in seed.headlines)
        assert bool(seed.description) == bool(seed.title)
