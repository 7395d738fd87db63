"""What any message must hold to, whatever a feed says; the words in it. Whole ones are held by test_golden."""

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import make
import pytest
from hostile import flaws, is_readable, messages, rungs, title
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import GREW, VOICES, batch, batch_of_many, rendered

from monitor.model import Alert, AlertKind, Corroboration, Escalation, Growth, MatchOutcome, Message, Notice
from monitor.phrases import why
from monitor.render import degraded, render

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


@settings(max_examples=120, deadline=None)
@given(alerts() | notices() | batches())
def test_whatever_a_feed_says_a_message_only_shows_it(alert):
    assert [flaws(message, [make.item().link]) for message in rungs(rendered(alert))] == [[]] * 4


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_hostile_title_is_shown_and_nothing_else_comes_of_it(seed):
    draw = random.Random(seed)  # noqa: S311 - a seeded title
    said = title(draw)

    for kind, whole in messages(said, draw):
        assert [flaws(message) for message in rungs(whole)] == [[]] * 4, kind
        assert is_readable(kind, whole, said), kind


@settings(max_examples=60, deadline=None)
@given(ANYTHING)
def test_whatever_a_link_is_it_stays_one_link(link):
    alert = make.alert(item=make.item(id="1", link=f"https://x.example/{link}", canonical_link=""))

    section = render(alert).blocks[0]["text"]["text"]

    assert (section.count("<"), section.count(">"), section.count("|")) in ((1, 1, 1), (0, 0, 0))


# -- links to topic files --------------------------------------------------------------------------

SHOWN_AT = "https://git.example/topics/dprk.toml#L4"


def linked(alert: Alert, *batch: Alert, link: str = SHOWN_AT) -> list[str]:
    message = render(alert, batch, links={"dprk-troops": link})
    return [part["text"] for block in message.blocks for part in block.get("elements", []) if part["type"] == "mrkdwn"]


@pytest.mark.parametrize("kind", [AlertKind.ROOT, AlertKind.REPLY])
def test_topic_is_a_link_to_its_file(kind):
    [text] = linked(make.alert(kind=kind))
    assert f"<{SHOWN_AT}|North Korean troops in Russia>" in text


def test_topics_of_a_batch_are_links_to_their_files():
    [text] = linked(make.alert(kind=AlertKind.REPLY), make.alert(kind=AlertKind.REPLY))
    assert text == f"<{SHOWN_AT}|North Korean troops in Russia>"


def test_topic_whose_file_nobody_knows_is_named_beside_one_that_is_a_link():
    matches = (make.match(), make.match(topic="other"))
    [text] = linked(make.alert(matches=matches, titles={"dprk-troops": "A & B", "other": "*Others*"}))
    assert text == f"🟠 HIGH · <{SHOWN_AT}|A &amp; B> · ∗Others∗"


@pytest.mark.parametrize("link", ["javascript:alert(1)", "https://x.example/" + "a" * 500])
def test_topic_is_not_linked_to_what_is_no_address_or_too_long(link):
    assert SHOWN_AT not in str(linked(make.alert(), link=link))
    assert "<" not in str(linked(make.alert(), link=link))


@settings(max_examples=60, deadline=None)
@given(alerts())
def test_message_with_links_to_topics_only_shows_what_a_feed_says(alert):
    links = {match.topic: SHOWN_AT for match in alert.matches}
    assert [flaws(message, [make.item().link, SHOWN_AT]) for message in rungs(render(alert, links=links))] == [[]] * 4


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


# -- in less ---------------------------------------------------------------------------------------


def test_rungs_say_less_and_less():
    whole = rendered(batch())
    first, second, third = (degraded(whole, rung) for rung in (1, 2, 3))

    assert degraded(whole, 0) is whole
    assert first.blocks[0]["text"]["text"] == second.text
    assert (len(first.blocks), second.blocks, third.blocks) == (1, (), ())
    assert third.text == f"{whole.text}\n<https://xinhai.example/2024/10/29/1.html>"
    assert degraded(whole, 4) is None


def test_rung_keeps_whole_lines_while_they_fit_and_shows_that_there_were_more():
    line = {"type": "section", "text": {"type": "mrkdwn", "text": "<https://x.example/|" + "a" * 800 + ">"}}
    whole = make.message(blocks=(line,) * 5)

    assert [degraded(whole, 1).blocks[0]["text"]["text"], degraded(whole, 2).text] == [
        "\n".join([line["text"]["text"]] * 3 + ["…"]),
        "\n".join([line["text"]["text"]] * 4 + ["…"]),
    ]


def test_message_without_blocks_has_all_rungs():
    whole = make.message(text="&amp;" * 1_000, blocks=())

    assert [len(message.text) for message in rungs(whole)] == [5_000, 5_000, 3_496, 1_496]


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
        ({"outcome": MatchOutcome.MATCHED_TERM, "terms": tuple("abcdef")}, "mentions “a”, “b”, “c” and 3 more"),
        ({"outcome": MatchOutcome.MATCHED_TERM, "terms": ("a*", "b"), "words": ("Ab", "ab")}, "mentions “ab”"),
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
        render(make.alert(item=item)).blocks[2]["elements"][0]["text"]
        == f"Harbour Wire · wire, United Kingdom · {said}"
    )


def utc(time: str) -> datetime:
    return datetime.fromisoformat(time).replace(tzinfo=UTC)


# -- what is left out ------------------------------------------------------------------------------


def test_text_that_repeats_the_headline_is_not_repeated():
    item = make.item(title="Troops seen", text="Troops seen. Seoul told lawmakers.")

    assert render(make.alert(item=item)).blocks[3]["text"]["text"] == "Seoul told lawmakers."


def test_text_that_only_begins_like_the_headline_is_whole():
    item = make.item(title="Kim", text="Kimchi exports rise")

    assert render(make.alert(item=item)).blocks[3]["text"]["text"] == "Kimchi exports rise"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a" * 150 + ". " + "B" * 200, "a" * 150 + ". …"),
        ("a" * 100 + ". " + "B" * 200, "a" * 100 + ". " + "B" * 137 + "…"),
        ("他" * 150 + "。" + "她" * 200, "他" * 150 + "。 …"),
        ("A" * 150 + " said. The U.S. Coast Guard " + "b" * 200, "A" * 150 + " said. …"),
    ],
)
def test_text_is_cut_after_a_sentence_where_one_ends_late_enough(text, said):
    assert render(make.alert(item=make.item(text=text))).blocks[3]["text"]["text"] == said


def test_single_source_is_not_counted():
    assert "source" not in render(make.alert(sources=("Harbour Wire",))).terminal


def test_many_sources_are_counted_and_the_first_named():
    blocks = render(make.alert(sources=tuple("ABCDEF"))).blocks

    assert blocks[-1]["elements"][0]["text"] == "6 sources so far: A, B, C, D and 2 more · monitor explain 80666894"


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


RARE = "rarer than 1 in 12,000 ordinary items"
COUNTS = "7 independent sources, 3 languages, 12 items"


def test_sentence_further_down_is_quoted_in_place_of_the_lead():
    match = make.match(unit="Pictures showed soldiers in Kursk.", nearest="Troops in Kursk", terms=(), score=0)
    blocks = render(make.alert(matches=(match,))).blocks

    assert blocks[3]["text"]["text"] == "Further down: “Pictures showed soldiers in Kursk.”"
    assert blocks[4]["elements"][0]["text"] == "Why: resembles “Troops in Kursk”"


def test_only_the_first_topic_says_all_of_its_reason():
    second = make.match(topic="kursk", nearest="Fighting in Kursk", unit="Fighting went on.")
    third = make.match(topic="brics", outcome=MatchOutcome.MATCHED_TERM, terms=("brics pay",))
    why = render(make.alert(matches=(make.match(nearest="Troops in Kursk"), second, third))).blocks[4]["elements"][0][
        "text"
    ]

    assert why.split("\n") == [
        "Why: North Korean troops in Russia — resembles “Troops in Kursk”; mentions “troops”; " + RARE,
        "kursk — its part “Fighting went on.” resembles “Fighting in Kursk”",
        "brics — mentions “brics pay”",
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "7 independent sources, 3 languages, 12 items, last 17:30 UTC · wire, state media and independent"),
        ({"kinds": ("state media", "independent")}, f"{COUNTS}, last 17:30 UTC · state media and independent"),
        ({"kinds": ("wire",), "latest": make.NOW + timedelta(days=1)}, f"{COUNTS}, last 14:30 UTC 30 Oct"),
        ({"kinds": (), "closed": True}, f"{COUNTS}, last 17:30 UTC · story closed"),
        ({"kinds": (), "silenced_by": "M. Okafor"}, f"{COUNTS}, last 17:30 UTC · silenced by M. Okafor"),
        (
            {"kinds": (), "silenced_by": "\u200b", "silenced_until": make.NOW},
            f"{COUNTS}, last 17:30 UTC · silenced by somebody until 14:30 UTC",
        ),
        (
            {"kinds": (), "sources": 1, "languages": 1, "items": 1},
            "1 independent source, 1 item, last 17:30 UTC",
        ),
    ],
)
def test_root_says_how_far_its_story_has_come(fields, said):
    message = render(make.alert(corroboration=Corroboration(3)), growth=replace(GREW, **fields))

    assert message.blocks[-1]["elements"][0]["text"] == f"{said} · monitor explain 80666894"
    assert message.text.endswith(f"(Harbour Wire; {said})")
    assert "single source" not in str(message.blocks)


def test_growth_counts_independent_sources_and_all_items():
    copied = make.voice("Copy Desk", kind="trade press", own=False)
    story = make.story(voices=(*VOICES, copied), items=5, languages=("en", "ru"))

    assert Growth.of(story, closed=True) == Growth(3, ("wire", "state media"), 2, 5, story.latest, closed=True)


def test_language_without_a_name_is_told_by_its_code():
    assert "in tg" in render(make.alert(item=make.item(language="tg"))).terminal


def test_chinese_text_wraps_by_columns():
    terminal = render(make.alert(kind=AlertKind.REPLY, item=make.item(title="朝" * 60))).terminal

    assert terminal.split("\n")[1:4] == [
        "    " + "朝" * 48,
        "    " + "朝" * 12,
        "    Harbour Wire · wire, United Kingdom · published 14:20 UTC 29 Oct, seen 6 min later",
    ]
