"""Golden files hold whole messages. After an intended change run this file with GOLDEN=write, and read the diff."""

import json
import math
import os
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import make
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.model import Alert, AlertKind, Corroboration, Escalation, MatchOutcome, Message, Notice, Severity
from monitor.phrases import why
from monitor.render import render, render_notice

GOLDEN = Path(__file__).parent / "data" / "golden"


# -- whole messages --------------------------------------------------------------------------------


def root_en() -> Alert:
    return make.alert(sources=("Harbour Wire", "Pravda Ridge", "Institute for Maps"))


def root_ru_two_topics() -> Alert:
    return make.alert(
        item=make.item(
            feed=make.feed(
                url="https://rs.example/rss",
                title="Rossiya Segodnya",
                kind="state media",
                country="Russia",
                language="ru",
            ),
            title="В Курскую область прибыли военные из КНДР, сообщили в Сеуле",
            text="Около трёх тысяч военнослужащих переброшены на запад России, утверждает южнокорейская разведка. " * 4,
            link="https://rs.example/20241028/kndr-1980.html?a=1&b=2",
            published=datetime(2024, 10, 28, 23, 50, tzinfo=UTC),
            first_seen=datetime(2024, 10, 29, 14, 26, tzinfo=UTC),
        ),
        matches=(
            make.match(nearest="Северокорейские солдаты прибыли в Россию", terms=("кндр*", "военн*"), score=5.4),
            make.match(topic="brics", outcome=MatchOutcome.MATCHED_TERM, terms=("brics pay",), score=0.2),
        ),
        titles={"dprk-troops": "North Korean troops in Russia", "brics": "BRICS Clear"},
        severity=Severity.CRITICAL,
    )


def reply() -> Alert:
    return make.alert(
        kind=AlertKind.REPLY,
        parent="root",
        item=make.item(
            feed=make.feed(title="新海日报", kind="state media", country="China", language="zh"),
            title="韩国国家情报院称朝鲜军人已抵达库尔斯克附近",
            link="https://xinhai.example/2024/10/29/1.html",
            published=None,
        ),
        sources=("Harbour Wire", "新海日报"),
    )


def hostile() -> Alert:
    title = "<!channel> *bold* _it_ `x` ~y~ <http://evil|x> @here #general \u202egnp.exe\u200b\x1b[31m\nAT&T"
    return make.alert(
        item=make.item(
            feed=make.feed(title="<@U0BOSS> Wire\u2066", kind="*wire*", country="\x07Utopia"),
            title=title,
            text="<!here> & more\r\n\r\n<https://evil.example|free money>\x00",
            link="https://evil.example/a|b>c<d e\u202ef?x=1&y=`2`",
        ),
        matches=(make.match(nearest="<!everyone> *now*", terms=("<x>",)),),
        titles={"dprk-troops": "Topic <!channel> & *co*"},
    )


def long_title() -> Alert:
    return make.alert(item=make.item(title="& тревога " * 500, text="<" * 5_000, link="https://x.example/" + "&" * 900))


def no_link() -> Alert:
    return make.alert(item=make.item(link="", text="", feed=make.feed(title="", kind="", country="")))


def edit_of_title() -> Alert:
    return make.alert(
        kind=AlertKind.REPLY,
        parent="root",
        formerly="North Korean troops seen near Kursk, Seoul says",
        item=make.item(title="North Korean troops not seen near Kursk after all, Seoul says", revision=1),
    )


def edit_of_text() -> Alert:
    """The title is what it was: it is not told twice."""
    return make.alert(kind=AlertKind.REPLY, parent="root", formerly=make.item().title, item=make.item(revision=2))


def late() -> Alert:
    return make.alert(item=make.item(published=make.NOW - timedelta(hours=3, minutes=4)))


VOICES = (
    make.voice("Harbour Wire", kind="wire", country="United Kingdom"),
    make.voice("Pravda Ridge", kind="state media", country="Russia"),
    make.voice("Institute for Maps"),
)


def corroborated() -> Alert:
    return make.alert(
        sources=(*(voice.source for voice in VOICES), "Copy Desk"), independent=VOICES, corroboration=Corroboration(3)
    )


def single_source() -> Alert:
    return make.alert(independent=VOICES[:1], corroboration=Corroboration(3, 2))


def two_not_yet_three() -> Alert:
    return make.alert(sources=("Harbour Wire", "Pravda Ridge"), independent=VOICES[:2], corroboration=Corroboration(3))


def escalation() -> Alert:
    return replace(reply(), escalation=Escalation(6, 4, timedelta(hours=1)), broadcast=True)


def batch() -> list[Alert]:
    """In one message: a reply, an edit, and one that escalates."""
    edit = edit_of_title()
    minutes = [
        replace(told, item=replace(told.item, published=make.NOW - timedelta(minutes=ago)))
        for told, ago in ((reply(), 9), (replace(edit, created=make.NOW - timedelta(minutes=7)), 60), (escalation(), 5))
    ]
    return [minutes[1], minutes[0], minutes[2]]


def batch_of_many() -> list[Alert]:
    """The latest stand first, and the oldest are counted."""
    return [
        replace(
            hostile(),
            kind=AlertKind.REPLY,
            item=replace(
                hostile().item, title=f"{n} {hostile().item.title}", published=make.NOW - timedelta(minutes=n)
            ),
        )
        for n in range(14)
    ]


def notice() -> Notice:
    feed = "https://harbourwire.example/" + "feeds/of/every/desk/" * 3 + "rss.xml"
    storm = (
        "Harbour Wire: storm — 30 items are held back: much that is old became new at once. "
        f"Tell them: monitor feeds release {feed} · forget them: monitor feeds drop {feed}"
    )
    lines = [storm, "新海日报: failing — http 503 for 3 days", "our own network: no longer outage, since 14:02 UTC"]
    return Notice("n1", "C0OPS", "\n".join(lines), make.NOW)


def notice_of_a_bad_day() -> Notice:
    lines = [
        f"<!channel> *Outlet* {n} & Co\u202e: stale — answers, but its newest item is 9 days old" for n in range(20)
    ]
    return Notice("n2", "C0OPS", "\n".join([*lines, "and 7 more: monitor status"]), make.NOW)


ALERTS = [
    root_en, root_ru_two_topics, reply, hostile, long_title, no_link, edit_of_title, edit_of_text, late, corroborated,
    single_source, two_not_yet_three, escalation, batch, batch_of_many, notice, notice_of_a_bad_day,
]  # fmt: skip


def rendered(told: Alert | Notice | list[Alert]) -> Message:
    if isinstance(told, list):
        return render(told[0], told[1:])
    return render_notice(told) if isinstance(told, Notice) else render(told)


@pytest.mark.parametrize("make_alert", ALERTS)
def test_slack_shows_what_was_agreed(make_alert):
    message = rendered(make_alert())

    shown = json.dumps({"text": message.text, "blocks": message.blocks}, indent=1, ensure_ascii=False) + "\n"

    assert shown == agreed(f"{make_alert.__name__}.json", shown)


@pytest.mark.parametrize("make_alert", ALERTS)
def test_terminal_shows_what_was_agreed(make_alert):
    shown = rendered(make_alert()).terminal + "\n"

    assert shown == agreed(f"{make_alert.__name__}.txt", shown)


def agreed(name: str, shown: str) -> str:
    path = GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        path.write_text(shown, encoding="utf-8")
    return path.read_text(encoding="utf-8")


# -- whatever a feed says --------------------------------------------------------------------------

#: also lone surrogates, which a JSON feed can spell
ANYTHING = st.text(st.characters(exclude_categories=())) | st.text("&<>!|*_~`@#\u202e\u200b\x1b\n 中a", max_size=600)


@st.composite
def alerts(draw) -> Alert:
    words = st.lists(ANYTHING, max_size=6).map(tuple)
    feed = make.feed(**{field: draw(ANYTHING) for field in ("title", "kind", "country")})
    item = make.item(
        feed=feed, id="1", title=draw(ANYTHING), text=draw(ANYTHING) * draw(st.sampled_from([1, 50])), language="ru"
    )
    matches = [
        make.match(topic=f"t{n}", nearest=draw(ANYTHING), terms=draw(words)) for n in range(draw(st.integers(1, 5)))
    ]
    return make.alert(
        kind=draw(st.sampled_from(AlertKind)),
        item=item,
        matches=tuple(matches),
        titles={match.topic: draw(ANYTHING) for match in matches},
        sources=draw(words),
        formerly=draw(ANYTHING),
        independent=tuple(make.voice(word, kind=word, country=word) for word in draw(words)),
        corroboration=draw(st.sampled_from([None, Corroboration(2), Corroboration(9)])),
        escalation=draw(st.sampled_from([None, Escalation(6, 4, timedelta(minutes=90))])),
    )


@st.composite
def batches(draw) -> list[Alert]:
    """Some replies, or many that are alike."""
    return draw(st.lists(alerts(), min_size=2, max_size=4)) * draw(st.sampled_from([1, 5]))


@st.composite
def notices(draw) -> Notice:
    lines = draw(st.lists(ANYTHING, min_size=1, max_size=21))
    return Notice("n", "C0OPS", "\n".join(lines) * draw(st.sampled_from([1, 9])), make.NOW)


def texts(message: Message) -> list[str]:
    """Return every string that Slack shows."""
    shown = [message.text]
    for block in message.blocks:
        shown += [part["text"] for part in block.get("elements", [block.get("text")])]
    return shown


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line if not unicodedata.combining(c))


@settings(max_examples=80, deadline=None)
@given(alerts() | notices() | batches())
def test_whatever_a_feed_says_slack_takes_it_and_runs_none_of_it(alert):
    message = rendered(alert)
    own_link = "<https://harbourwire.example/2024/10/29/troops|"
    shown = texts(message)

    assert len(message.blocks) <= 10
    assert all(1 <= len(text) <= 2_500 for text in shown)
    assert sum(map(len, shown[1:])) <= 10_000
    assert sum(text.replace(own_link, "").count("<") for text in shown) == 0
    assert {unicodedata.category(c) for c in "".join(shown) if c != "\n"}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})


@settings(max_examples=80, deadline=None)
@given(alerts() | notices() | batches())
def test_whatever_a_feed_says_a_terminal_only_shows_it(alert):
    terminal = rendered(alert).terminal

    assert {unicodedata.category(c) for c in terminal if c != "\n"}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})
    assert max(columns(line) for line in terminal.split("\n")) <= 100


@settings(max_examples=60, deadline=None)
@given(ANYTHING)
def test_whatever_a_link_is_it_stays_one_link(link):
    alert = make.alert(item=make.item(id="1", link=f"https://x.example/{link}", canonical_link=""))

    section = render(alert).blocks[0]["text"]["text"]

    assert (section.count("<"), section.count(">"), section.count("|")) in ((1, 1, 1), (0, 0, 0))


@pytest.mark.parametrize(
    "link",
    ["javascript:alert(1)", "ftp://x.example/a", "//x.example/a", "https://[x", "https://", "ht\ntp://x.example/a"],
)
def test_link_that_is_not_of_the_web_is_not_linked(link):
    section = render(make.alert(item=make.item(title="Troops seen", link=link))).blocks[0]["text"]["text"]

    assert section == "*Troops seen*"


def test_link_too_long_for_its_section_is_told_by_the_terminal_only():
    link = "https://x.example/" + "a" * 1_300
    message = render(make.alert(item=make.item(title="Troops seen", link=link)))

    assert (message.blocks[0]["text"]["text"], link in message.terminal) == ("*Troops seen*", True)


def test_title_of_nothing_visible_is_said_to_be_none():
    message = render(make.alert(item=make.item(title="\u200b\u202e", link="")))

    assert message.blocks[0]["text"]["text"] == "*(no title)*"


# -- why -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"nearest": "Troops in"}, "resembles “Troops in”; mentions “troops”; rarer than 1 in 12,000 ordinary items"),
        ({"nearest": "", "terms": (), "score": 3.3}, "rarer than 1 in 1,900 ordinary items"),
        ({"nearest": "", "terms": (), "score": 5.0}, "rarer than 1 in 100,000 ordinary items"),
        ({"nearest": "", "terms": (), "score": 9.0}, "rarer than 1 in 100,000 ordinary items"),
        ({"nearest": "", "terms": (), "score": math.inf}, "rarer than 1 in 100,000 ordinary items"),
        ({"nearest": "", "terms": (), "score": 2.0}, "rarer than 1 in 100 ordinary items"),
        ({"nearest": "Troops", "terms": (), "score": 0.9}, "resembles “Troops”"),
        ({"nearest": "", "terms": (), "score": 0.9}, "matched"),
        ({"nearest": "", "terms": (), "score": math.nan}, "matched"),
        ({"outcome": MatchOutcome.MATCHED_TERM, "terms": ("кндр*", "troops")}, "mentions “кндр…”, “troops”"),
        ({"outcome": MatchOutcome.MATCHED_TERM, "terms": tuple("abcdef")}, "mentions “a”, “b”, “c”, “d” and 2 more"),
        ({"outcome": MatchOutcome.MATCHED_TERM, "terms": ()}, "matched by term"),
    ],
)
def test_reason_in_plain_words(fields, said):
    assert why(make.match(**fields)) == said


def test_long_example_is_clipped_at_a_word():
    said = why(make.match(nearest="soldiers " * 30, terms=(), score=0))

    assert said == f"resembles “{'soldiers ' * 8}soldiers…”"


# -- when ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("published", "seen", "said"),
    [
        ("2024-10-29 14:20", "2024-10-29 14:26", "published 14:20 UTC, seen 6 min later"),
        ("2024-10-29 14:26", "2024-10-29 14:26", "published 14:26 UTC, seen within a minute"),
        ("2024-10-29 13:20", "2024-10-29 14:26", "published 13:20 UTC, seen 1 h 6 min later"),
        ("2024-10-28 23:50", "2024-10-29 00:10", "published 23:50 UTC 28 Oct, seen 20 min later"),
        ("2024-10-26 14:20", "2024-10-29 14:26", "late: published 14:20 UTC 26 Oct, seen 3 days later"),
        ("2023-10-29 14:20", "2023-10-29 14:26", "published 14:20 UTC 29 Oct 2023, seen 6 min later"),
        (None, "2024-10-29 14:26", "seen 14:26 UTC"),
        ("2024-10-29 18:00", "2024-10-29 14:26", "seen 14:26 UTC"),
    ],
)
def test_time_is_told_as_short_as_it_is_clear(published, seen, said):
    item = make.item(published=utc(published) if published else None, first_seen=utc(seen))

    assert (
        render(make.alert(item=item)).blocks[3]["elements"][0]["text"]
        == f"Harbour Wire · wire, United Kingdom · {said}"
    )


def utc(time: str) -> datetime:
    return datetime.fromisoformat(time).replace(tzinfo=UTC)


# -- what is left out ------------------------------------------------------------------------------


def test_text_that_repeats_the_headline_is_not_repeated():
    item = make.item(title="Troops seen", text="Troops seen. Seoul told lawmakers.")

    assert render(make.alert(item=item)).blocks[2]["text"]["text"] == "Seoul told lawmakers."


def test_text_that_only_begins_like_the_headline_is_whole():
    item = make.item(title="Kim", text="Kimchi exports rise")

    assert render(make.alert(item=item)).blocks[2]["text"]["text"] == "Kimchi exports rise"


def test_single_source_is_not_counted():
    assert "source" not in render(make.alert(sources=("Harbour Wire",))).terminal


def test_many_sources_are_counted_and_the_first_named():
    blocks = render(make.alert(sources=tuple("ABCDEF"))).blocks

    assert blocks[-1]["elements"][0]["text"] == "6 sources so far: A, B, C, D and 2 more"


@pytest.mark.parametrize(
    ("needed", "count", "said"),
    [
        (Corroboration(3), 1, "single source"),
        (Corroboration(3), 2, "2 sources, not yet 3"),
        (Corroboration(3), 3, ""),
        (Corroboration(4, 2), 2, ""),  # of two kinds
        (Corroboration(None, 3), 2, "2 sources, not yet of 3 kinds"),
        (Corroboration(None, 2), 0, "single source"),
        (None, 1, ""),
    ],
)
def test_root_that_goes_out_without_what_it_waited_for_is_marked(needed, count, said):
    message = render(make.alert(independent=VOICES[:count], corroboration=needed))

    marked = message.blocks[1]["elements"][0]["text"].removeprefix("🟠 HIGH · North Korean troops in Russia")
    assert marked == (f" · {said}" if said else "")
    assert said in message.terminal


@pytest.mark.parametrize(
    ("jump", "said"),
    [
        (Escalation(6, 4, timedelta(hours=1)), "Now told by 6 independent sources, 4 of them in the last hour"),
        (Escalation(5, 5, timedelta(hours=6)), "Now told by 5 independent sources, all of them in the last 6 hours"),
        (
            Escalation(6, 5, timedelta(minutes=90)),
            "Now told by 6 independent sources, 5 of them in the last 90 minutes",
        ),
    ],
)
def test_jump_in_sources_is_told_first(jump, said):
    message = render(make.alert(kind=AlertKind.REPLY, escalation=jump))

    assert message.blocks[0]["text"]["text"] == said
    assert message.text.startswith(f"{said}: ")


def test_batch_tells_the_latest_first_and_each_topic_once():
    texts_shown = texts(rendered(batch()))

    assert [("was “" in text, "新海日报" in text) for text in texts_shown[2:5]] == [
        (False, True),
        (True, False),
        (False, True),
    ]
    assert texts_shown[-1] == "North Korean troops in Russia"


def test_batch_of_many_counts_those_that_it_does_not_show():
    shown = texts(rendered(batch_of_many()))

    assert [text.partition("|")[2].partition(" ")[0] for text in shown[1:8]] == list("0123456")
    assert shown[-1].startswith("and 7 more\n")


def test_language_without_a_name_is_told_by_its_code():
    assert "in tg" in render(make.alert(item=make.item(language="tg"))).terminal


def test_chinese_text_wraps_by_columns():
    terminal = render(make.alert(kind=AlertKind.REPLY, item=make.item(title="朝" * 60))).terminal

    assert terminal.split("\n")[1:4] == [
        "    " + "朝" * 48,
        "    " + "朝" * 12,
        "    Harbour Wire · wire, United Kingdom · published 14:20 UTC 29 Oct, seen 6 min later",
    ]
