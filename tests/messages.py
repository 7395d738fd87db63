"""What the monitor tells, one of each kind: `GOLDEN` names them, tests/golden holds them as they are rendered.

Nothing here is random and no clock is read.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import make

from monitor.buttons import noted, which, with_buttons
from monitor.digest import Period, compose, render_digest
from monitor.model import (
    Alert,
    AlertKind,
    Corroboration,
    DigestKind,
    Escalation,
    FeedbackKind,
    Growth,
    HoldReason,
    MatchOutcome,
    Matter,
    Message,
    Notice,
    Severity,
    Spike,
)
from monitor.render import degraded, render, render_notice


def root() -> Alert:
    return make.alert(sources=("Harbour Wire", "Pravda Ridge", "Institute for Maps"))


def root_of_several_topics() -> Alert:
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


def root_in_another_language() -> Alert:
    several = root_of_several_topics()
    return replace(several, matches=several.matches[:1], severity=Severity.HIGH)


def root_by_a_sentence_further_down() -> Alert:
    text = (
        "Defence ministers spent the day on ammunition. Diplomats said the evening was about something else. "
        "South Korea's spy service had shown them pictures of three thousand of the North's soldiers in Kursk."
    )
    match = make.match(
        unit="South Korea's spy service had shown them pictures of three thousand of the North's soldiers in Kursk.",
        opinion="Qwen3-4B: yes, the troops are the news of the second half",
        outcome=MatchOutcome.MATCHED_OPINION,
        terms=("soldier*", "troops", "north korea*"),
        words=("soldiers", "Soldiers", "North Korea's"),
    )
    return make.alert(item=make.item(title="Ministers meet in Brussels", text=text), matches=(match,))


def broadcast() -> Alert:
    return replace(reply(), broadcast=True)


def digest() -> Message:
    """Two themes, a story for each reason for which one is held, a spike, and counts."""
    troops, ships = make.topic(theme="War"), make.topic(id="ships", title="Warships", theme="Seas")
    names = [
        ("North Korean troops seen near Kursk, Seoul says", "dprk-troops", Severity.HIGH, HoldReason.QUIET_HOURS),
        ("韩国国家情报院称朝鲜军人已抵达库尔斯克附近", "dprk-troops", Severity.NOTICE, HoldReason.BUDGET),
        ("Warships sail for <!channel> *drills* in the Baltic & beyond", "ships", Severity.INFO, HoldReason.DIGEST),
        ("Frigate returns to harbour", "ships", Severity.INFO, HoldReason.SILENCE),
    ]
    held = [
        make.alert(
            id=f"a{n}", story=f"s{n}", severity=severity, item=make.item(title=title, link=f"https://wire.example/{n}"),
            matches=(make.match(topic=topic),), titles={topic: {"ships": "Warships"}.get(topic, troops.title)},
        )
        for n, (title, topic, severity, _) in enumerate(names)
    ]  # fmt: skip
    update = replace(held[0], id="a9", kind=AlertKind.REPLY, parent="a0")
    deliveries = [make.delivery(alert=alert, reason=reason) for alert, (*_, reason) in zip(held, names, strict=True)]
    deliveries.append(make.delivery(alert=update, reason=HoldReason.QUIET_HOURS))
    told = [make.delivery(alert=replace(root(), id=f"t{n}", story=f"t{n}")) for n in range(3)]
    period = Period(DigestKind.DAILY, make.NOW - timedelta(days=1), make.NOW)
    composed = compose(
        make.CHANNEL, period, Matter(tuple(deliveries), tuple(told), {"s0": 7}), {troops.id: troops, ships.id: ships},
        {"ships": Spike("Warships", 12, 2.4)},
    )  # fmt: skip
    assert composed
    return render_digest(composed)


GREW = Growth(
    sources=7, kinds=("wire", "state media", "independent"), languages=3, items=12, latest=make.NOW + timedelta(hours=3)
)


def rendered(told: Alert | Notice | list[Alert]) -> Message:
    if isinstance(told, list):
        return render(told[0], told[1:])
    return render_notice(told) if isinstance(told, Notice) else render(told)


GOLDEN: dict[str, Message] = {
    case.__name__: rendered(case())
    for case in (
        root, root_in_another_language, root_of_several_topics, root_by_a_sentence_further_down, late, corroborated,
        single_source, two_not_yet_three, hostile, long_title, no_link, reply, broadcast, escalation, edit_of_title,
        edit_of_text, batch, batch_of_many, notice, notice_of_a_bad_day,
    )
} | {
    "root_grown": render(single_source(), growth=GREW),
    "root_grown_closed": render(
        root(), growth=replace(GREW, closed=True, kinds=("state media", "independent"), latest=make.NOW + timedelta(days=2))
    ),
    "root_grown_silenced": render(
        root(), growth=replace(GREW, silenced_by="M. Okafor", silenced_until=make.NOW + timedelta(days=1))
    ),
} | {
    "digest": digest(),
    "root_with_buttons": with_buttons(rendered(root()), root().id),
    "answer": noted(FeedbackKind.MUTE, root()),
    "answer_which": which(FeedbackKind.WRONG, batch()),
} | {
    f"{name}_rung_{rung}": message
    for name, whole in (("root", rendered(corroborated())), ("batch", rendered(batch())))
    for rung in (1, 2, 3)
    if (message := degraded(whole, rung))
}  # fmt: skip
