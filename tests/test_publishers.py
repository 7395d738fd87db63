"""publishers.toml: what a file says reaches the feeds it is about, and what is wrong with it loses nothing else."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import shipped
from monitor.errors import Problem
from monitor.model import Identity, PublisherRules, Zones
from monitor.publishers import Publishers, load_publishers

FULL = """\
machine_titles = ['^Feed error']

[[publisher]]
name            = "Harbour Wire"
hosts           = ["harbourwire.example", "harbour.example"]
identity        = "title and day"
guid_drop       = '#\\d+$'
guid_ignore     = '^N/A$'
drop_parameters = ["From", "edition"]
zone            = "Asia/Seoul"
zones           = { CST = "Asia/Shanghai", ist = "Europe/Dublin" }
machine_titles  = ['^Test item$']

[[publisher]]
name     = "Harbour Wire's archive"
hosts    = ["archive.harbourwire.example"]
identity = "link"
"""


def load(folder: Path, text: str) -> tuple[Publishers, list[str]]:
    """The publishers, and the problems without the file's name."""
    file = folder / "publishers.toml"
    file.write_text(text, encoding="utf-8", errors="replace", newline="")
    publishers, problems = load_publishers(file)
    return publishers, [str(replace(problem, column=None)).removeprefix(f"{file}:").lstrip() for problem in problems]


def publisher(line: str = "", name: str = "A", host: str = "a.example") -> str:
    return f'[[publisher]]\nname = "{name}"\nhosts = ["{host}"]\n{line}\n'


# -- a file ---------------------------------------------------------------------------------------


def test_every_key_of_a_file_reaches_its_publisher(tmp_path: Path) -> None:
    publishers, problems = load(tmp_path, FULL)
    assert problems == []
    assert publishers.rules_for("https://harbourwire.example/feed.xml") == PublisherRules(
        identity=Identity.TITLE_AND_DAY,
        guid_drop=re.compile(r"#\d+$"),
        guid_ignore=re.compile("^N/A$"),
        drop_parameters=frozenset({"from", "edition"}),
        zones=Zones(ZoneInfo("Asia/Seoul"), {"cst": ZoneInfo("Asia/Shanghai"), "ist": ZoneInfo("Europe/Dublin")}),
        machine_titles=(re.compile("^Feed error"), re.compile("^Test item$")),
    )


def test_publisher_of_whom_little_is_said_is_read_as_usual(tmp_path: Path) -> None:
    publishers, problems = load(tmp_path, publisher())
    assert problems == []
    assert publishers.rules_for("https://a.example/") == PublisherRules()


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        ("https://harbourwire.example/feed.xml", Identity.TITLE_AND_DAY),
        ("https://feeds.harbourwire.example/feed.xml", Identity.TITLE_AND_DAY),
        ("http://HARBOUR.example:8080/feed.xml", Identity.TITLE_AND_DAY),
        ("https://harbour.example./feed.xml", Identity.TITLE_AND_DAY),
        ("https://archive.harbourwire.example/feed.xml", Identity.LINK),
        ("https://old.archive.harbourwire.example/feed.xml", Identity.LINK),
        ("https://notharbourwire.example/feed.xml", Identity.GUID),
        ("https://harbourwire.example.evil.example/feed.xml", Identity.GUID),
        ("https://evil.example/harbourwire.example", Identity.GUID),
        ("https://example/", Identity.GUID),
        ("https://[harbourwire.example/", Identity.GUID),
        ("", Identity.GUID),
    ],
)
def test_longest_host_counts(tmp_path: Path, url: str, identity: Identity) -> None:
    assert load(tmp_path, FULL)[0].rules_for(url).identity is identity


def test_machine_titles_of_every_feed_are_those_of_unknown_publishers_too(tmp_path: Path) -> None:
    rules = load(tmp_path, FULL)[0].rules_for("https://b.example/")
    assert rules == PublisherRules(machine_titles=(re.compile("^Feed error"),))


def test_rules_of_a_publisher_are_made_once(tmp_path: Path) -> None:
    publishers, _ = load(tmp_path, FULL)
    one, other = (
        publishers.rules_for("https://harbourwire.example/1"),
        publishers.rules_for("https://harbour.example/2"),
    )
    assert one is other


def test_nobody_is_known_without_a_file() -> None:
    assert Publishers.none().rules_for("https://bbc.com/") == PublisherRules()


def test_empty_file_is_a_file(tmp_path: Path) -> None:
    assert load(tmp_path, "")[1] == []


# -- problems -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('indentity = "link"', '4: unknown key "indentity" in [[publisher]]; did you mean "identity"?'),
        (
            'identity = "titel"',
            '4: publisher.identity: "titel" is none of guid, link, title, title and day; did you mean "title"?',
        ),
        (
            "guid_drop = '(#\\d+'",
            '4: publisher.guid_drop: "(#\\\\d+" is no regular expression: missing ), unterminated subpattern at position 0',
        ),
        ("guid_drop = 3", "4: publisher.guid_drop: expected a text in quotes, got 3"),
        (
            "guid_drop = '(#\\d*)*$'",
            '4: publisher.guid_drop: "(#\\\\d*)*$" repeats what repeats, which can take for ever; take one of the two away',
        ),
        (
            "guid_ignore = 'x*'",
            '4: publisher.guid_ignore: "x*" finds something in every text, even an empty one; say what must be there',
        ),
        (
            "machine_titles = ['[[a]']",
            '4: publisher.machine_titles: "[[a]" is no regular expression: Possible nested set at position 1',
        ),
        (
            f"machine_titles = ['{'x' * 301}']",
            "4: publisher.machine_titles: a pattern of 301 characters; write several, none above 300",
        ),
        ("machine_titles = 'x'", '4: publisher.machine_titles: expected an array [...], got "x"'),
        (
            'drop_parameters = ["maca="]',
            '4: publisher.drop_parameters: "maca=" is no parameter of a link; for ?maca=en-rss write "maca"',
        ),
        (
            'zone = "Asia/Seul"',
            '4: publisher.zone: "Asia/Seul" is no zone of the tz database; did you mean "Asia/Seoul"?',
        ),
        (
            'zone = "Asia/Beijing"',
            '4: publisher.zone: "Asia/Beijing" is no zone of the tz database; did you mean "Asia/Shanghai"?',
        ),
        ('zone = "KST"', '4: publisher.zone: "KST" is no zone of the tz database; write "Asia/Seoul", for example'),
        ("zone = 9", "4: publisher.zone: expected a text in quotes, got 9"),
        (
            'zones = { IST = "asia/jerusalen", CST = "Asia/Taipei" }',
            '4: publisher.zones.IST: "asia/jerusalen" is no zone of the tz database; did you mean "Asia/Jerusalem"?',
        ),
        (
            'zones = { "GMT+9" = "Asia/Seoul" }',
            '4: publisher.zones: "GMT+9" is no abbreviation of a zone; write letters, as in CST = "Asia/Shanghai"',
        ),
    ],
)
def test_mistake_is_told_in_these_words(tmp_path: Path, line: str, said: str) -> None:
    assert load(tmp_path, publisher(line))[1] == [said]


@pytest.mark.parametrize(
    ("host", "better"),
    [
        ("https://www.bbc.com/news", "www.bbc.com"),
        ("*.bbc.com", "bbc.com"),
        ("bbc.com/news", "bbc.com"),
        ("bbc.com:443", "bbc.com"),
    ],
)
def test_address_in_place_of_a_host_is_refused_with_the_host(tmp_path: Path, host: str, better: str) -> None:
    said = f'3: publisher.hosts: "{host}" is no host; did you mean "{better}"?'
    assert load(tmp_path, publisher(host=host))[1] == [said]


@pytest.mark.parametrize("zone", ["", "Asia", "/etc/passwd", "../../etc/passwd", "Asia/\\u0000", "x" * 5_000, "Россия"])
def test_what_is_no_zone_is_refused_whatever_it_is(tmp_path: Path, zone: str) -> None:
    (said,) = load(tmp_path, publisher(f'zone = "{zone}"'))[1]
    assert "is no zone of the tz database" in said


def test_machine_without_zones_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.toml.available_timezones", set)
    assert load(tmp_path, publisher('zone = "Asia/Nowhere"'))[1] == [
        "4: publisher.zone: this machine knows no time zones; install the package tzdata"
    ]


def test_bad_publisher_loses_only_itself(tmp_path: Path) -> None:
    bad = publisher('zone = "Mars/Olympus"\nidentity = "link"', host="bad.example")
    good = publisher('identity = "link"', host="good.example")
    others = FULL.partition("\n\n")[2]
    publishers, problems = load(tmp_path, f"machine_titles = ['(', '^Feed error']\n{good}{bad}{bad}{others}")
    assert [said.partition(":")[0] for said in problems] == ["1", "9", "14"]
    assert publishers.rules_for("https://good.example/").identity is Identity.LINK
    assert publishers.rules_for("https://good.example/").machine_titles == (re.compile("^Feed error"),)
    assert publishers.rules_for("https://bad.example/").identity is Identity.GUID
    assert publishers.rules_for("https://harbour.example/").identity is Identity.TITLE_AND_DAY


def test_host_of_two_publishers_stays_with_the_first(tmp_path: Path) -> None:
    broken = publisher("zone = 1", host="c.example")
    first = publisher('identity = "link"')
    second = '[[publisher]]\nname = "B"\nhosts = ["b.example", "A.example"]\nidentity = "title"\n'
    publishers, problems = load(tmp_path, broken + first + second)
    assert problems[1:] == ['11: publisher.hosts: "a.example" is among the hosts of A already, further up']
    assert publishers.rules_for("https://a.example/").identity is Identity.LINK
    assert publishers.rules_for("https://b.example/").identity is Identity.TITLE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[publisher]]\n", '1: the key "name" is missing in [[publisher]]'),
        ("[[publisher]]\n", '1: the key "hosts" is missing in [[publisher]]'),
        ('[[publisher]]\nname = "A"\nhosts = []\n', "3: publisher.hosts: must not be empty"),
        ('[publisher]\nname = "A"\n', "expected [[publisher]] in double brackets, since there may be several"),
        ("publisher = [1]\n", "1: publisher: expected a table [[publisher]], got 1"),
        ("publishers = 1\n", '1: unknown key "publishers"; did you mean "publisher"?'),
        ("machine_titles = 1\n", "1: machine_titles: expected an array [...], got 1"),
        ("[[publisher]\n", "1: not valid TOML; a header ends"),
        ("machine_titles = ['xoxb-1-SECRET']\n", "1: this looks like a Slack token or webhook"),
    ],
)
def test_file_of_another_shape_is_told_so(tmp_path: Path, text: str, said: str) -> None:
    problems = load(tmp_path, text)[1]
    assert any(said in problem for problem in problems)
    assert "SECRET" not in "".join(problems)


def test_missing_file_knows_nobody(tmp_path: Path) -> None:
    publishers, problems = load_publishers(tmp_path / "none.toml")
    assert problems == [Problem(str(tmp_path / "none.toml"), None, "no such file")]
    assert publishers.rules_for("https://bbc.com/") == PublisherRules()


LINES = ["[[publisher]]", "[publisher]", 'name = "A"', 'hosts = ["a.example"]', "hosts = 1", 'zone = "Asia/Seoul"', "zone = []",
         "zones = { A = 1 }", "zones = []", "machine_titles = ['a', '(', 1]", "publisher = [[], {}, 1]"]  # fmt: skip


@given(st.text(max_size=60) | st.lists(st.sampled_from(LINES), max_size=8).map("\n".join))
def test_any_text_is_loaded_or_told_of(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    publishers, problems = load(tmp_path_factory.mktemp("publishers"), text)
    assert isinstance(publishers.rules_for("https://a.example/"), PublisherRules)
    assert all(problems)


# -- the shipped file -----------------------------------------------------------------------------

SHIPPED, SHIPPED_PROBLEMS = load_publishers(shipped("publishers.toml"))


def test_shipped_file_has_no_problem() -> None:
    assert SHIPPED_PROBLEMS == []


@pytest.mark.parametrize("revision", ["#0", "#3", "#12"])
def test_revision_of_a_bbc_page_has_the_guid_of_the_page(revision: str) -> None:
    drop = SHIPPED.rules_for("https://feeds.bbci.co.uk/russian/rss.xml").guid_drop
    assert drop is not None
    assert drop.sub("", f"https://www.bbc.com/news/articles/c1{revision}") == "https://www.bbc.com/news/articles/c1"


@pytest.mark.parametrize(
    ("guid", "ignored"),
    [("https://www.aljazeera.com/?t=1738882009", True), ("https://www.aljazeera.com/news/2025/2/6/buyout", False)],
)
def test_guid_of_al_jazeera_that_is_a_time_names_nothing(guid: str, ignored: bool) -> None:
    ignore = SHIPPED.rules_for("https://www.aljazeera.com/xml/rss/all.xml").guid_ignore
    assert ignore is not None
    assert bool(ignore.search(guid)) is ignored


@pytest.mark.parametrize(
    ("url", "abbreviation", "zone"),
    [
        ("http://www.xinhuanet.com/english/rss/worldrss.xml", "cst", "Asia/Shanghai"),
        ("https://www.globaltimes.cn/rss/outbrain.xml", "cst", "Asia/Shanghai"),
        ("http://www.gov.cn/rss", "cst", "Asia/Shanghai"),
        ("https://focustaiwan.tw/rss", "cst", "Asia/Taipei"),
        ("https://www.thehindu.com/news/feeder/default.rss", "ist", "Asia/Kolkata"),
        ("https://www.jpost.com/rss/rssfeedsheadlines.aspx", "ist", "Asia/Jerusalem"),
        ("https://www.rte.ie/feeds/rss/", "ist", "Europe/Dublin"),
    ],
)
def test_abbreviation_means_what_it_means_in_the_publisher_s_country(url: str, abbreviation: str, zone: str) -> None:
    assert SHIPPED.rules_for(url).zones.named[abbreviation] == ZoneInfo(zone)


def test_google_news_is_known_by_title_and_day() -> None:
    assert SHIPPED.rules_for("https://news.google.com/rss/search?q=x").identity is Identity.TITLE_AND_DAY


@pytest.mark.parametrize(
    ("title", "is_machine_s"),
    [
        ("Bridge returned error 0! (20505)", True),
        ("Bridge returned error 403! (20762)", True),
        ("RSS reader not yet whitelisted!", True),
        ("This RSS feed URL is deprecated", True),
        ("This feed is deprecated.", True),
        ("This Feed Has Moved", True),
        ("Our RSS feed has been moved to a new address", True),
        ("Harbour Desk Feed Has Moved", True),
        ("Kerch bridge returned to traffic after strike", False),
        ("Bridge returned error-free after inspection", False),
        ("Animal feed has moved to the top of the import list", False),
        ("Grain feed prices: this market has moved", False),
        ("EU says the gas feed is no longer needed", False),
    ],
)
def test_title_that_a_machine_wrote_is_told_from_news(title: str, is_machine_s: bool) -> None:
    patterns = SHIPPED.rules_for("https://unknown.example/").machine_titles
    assert any(pattern.search(title) for pattern in patterns) is is_machine_s


def test_rules_travel_to_the_parsers_process() -> None:
    publishers, _ = load_publishers(shipped("publishers.toml"))
    for url in ("https://feeds.bbci.co.uk/news/rss.xml", "https://www.yna.co.kr/rss", "https://nobody.example/rss"):
        rules = publishers.rules_for(url)
        assert pickle.loads(pickle.dumps(rules)) == rules  # noqa: S301 - our own
