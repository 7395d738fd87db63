"""Webhooks and Apprise over real HTTP on loopback, and three sinks at once of which one is down."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import make
import pytest
from fakes import FakeSink
from home import open_home
from hypothesis import given
from hypothesis import strategies as st
from slack_server import FakeSlack
from webhook_server import WebhookServer, verified
from world import GAZETTE, SHIPS, TROOPS, TROOPS_AGAIN, TROOPS_RETOLD, WIRE, World

from monitor import sinks
from monitor.app import open_sink
from monitor.config import Config, SinkOptions
from monitor.errors import ConfigError, Misconfigured, NotAccepted, SendError, Unacceptable
from monitor.model import Alert, AlertKind, Delivery, Notice, Terms
from monitor.payload import payload
from monitor.render import render, render_notice
from monitor.send import SlackSink
from monitor.sinks import AppriseSink, Router, WebhookSink, signature

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
NEVER_BY_SCORE = 1e-9


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with WebhookServer(SECRET) as server:
        yield server


def webhook(server: WebhookServer) -> WebhookSink:
    return WebhookSink("desk", server.url, SECRET, lambda: make.NOW)


def rendered(alert: Alert, *batch: Alert, **fields: object) -> Delivery:
    return make.delivery(alert=alert, batch=batch, message=render(alert, batch), **fields)


# -- the signature --------------------------------------------------------------------------------


def test_signature_is_that_of_the_specification() -> None:
    """The example of the specification's own libraries."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(min_size=24, max_size=64), st.uuids(), st.integers(0, 2**33), st.binary(max_size=200), st.data())
def test_what_was_signed_verifies_and_nothing_else_does(
    key: bytes, delivery_id: object, timestamp: int, body: bytes, data: st.DataObject
) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    headers = {"webhook-id": str(delivery_id), "webhook-timestamp": str(timestamp)}
    headers["webhook-signature"] = signature(key, str(delivery_id), str(timestamp), body)
    assert verified(secret, headers, body)

    place = data.draw(st.integers(0, len(body)))
    assert not verified(secret, headers, body[:place] + b"x" + body[place:])
    assert not verified(secret, headers | {"webhook-id": "another"}, body)
    assert not verified(secret, headers | {"webhook-timestamp": str(timestamp + 1)}, body)
    other = bytes([key[0] ^ 1]) + key[1:]
    assert not verified("whsec_" + base64.b64encode(other).decode(), headers, body)


# -- the document ---------------------------------------------------------------------------------


def document(delivery: Delivery) -> dict[str, object]:
    return json.loads(payload(delivery))


def test_root_is_told_with_all_that_is_known_of_it() -> None:
    told = document(rendered(make.alert(sources=("Harbour Wire", "Gazette"))))
    data = told.pop("data")
    assert told == {"type": "news_monitor.root", "version": 1, "timestamp": "2024-10-29T14:30:00Z"}
    assert data["text"].startswith("● HIGH  North Korean troops in Russia\n")
    del data["text"]
    assert data == {
        "id": make.alert().id,
        "kind": "root",
        "channel": "C0NEWS",
        "severity": "high",
        "topics": [{"id": "dprk-troops", "title": "North Korean troops in Russia"}],
        "story": {"id": "story-1", "title": "North Korean troops seen near Kursk, Seoul says"},
        "thread": make.alert().id,
        "sources": ["Harbour Wire", "Gazette"],
        "items": [
            {
                "id": make.item().id,
                "title": "North Korean troops seen near Kursk, Seoul says",
                "formerly": "",
                "link": "https://harbourwire.example/2024/10/29/troops",
                "source": "Harbour Wire",
                "kind": "wire",
                "country": "United Kingdom",
                "language": "en",
                "published": "2024-10-29T14:20:00Z",
                "seen": "2024-10-29T14:26:00Z",
                "why": {
                    "dprk-troops": "resembles “North Korean soldiers arrive in Russia for training”; mentions “troops”; "
                    "rarer than 1 in 12,000 ordinary items"
                },
            }
        ],
    }


def reply(title: str, **fields: object) -> Alert:
    return make.alert(kind=AlertKind.REPLY, item=make.item(title=title), parent="root-1", **fields)


def test_reply_names_its_story_and_its_thread() -> None:
    data = document(rendered(reply("Kyiv confirms")))["data"]
    assert (data["kind"], data["thread"]) == ("reply", "root-1")
    assert data["text"].startswith("  ↳ in the thread of “North Korean troops seen near Kursk, Seoul says”")


def test_replies_in_one_message_are_items_of_one_document() -> None:
    other = make.match(topic="ships")
    told = rendered(reply("Kyiv confirms"), reply("Moscow denies", matches=(other,), titles={"ships": "Ships"}))
    data = document(told)["data"]
    assert [item["title"] for item in data["items"]] == ["Kyiv confirms", "Moscow denies"]
    assert [topic["id"] for topic in data["topics"]] == ["dprk-troops", "ships"]


def test_notice_is_its_text() -> None:
    notice = Notice("n1", "desk:", "Harbour Wire: stale — nothing for 9 days", make.NOW)
    told = document(make.delivery(alert=notice, message=render_notice(notice)))
    assert told["type"] == "news_monitor.notice"
    assert set(told["data"]) == {"id", "kind", "channel", "text"}


def test_link_that_is_no_address_is_left_out() -> None:
    data = document(rendered(make.alert(item=make.item(link="javascript:alert(1)"))))["data"]
    assert data["items"][0]["link"] == ""


# -- the webhook ----------------------------------------------------------------------------------


def test_delivery_is_posted_once_signed_and_under_its_id(server: WebhookServer) -> None:
    delivery = rendered(make.alert())
    assert webhook(server).send(delivery) == delivery.alert.id
    assert server.received == {delivery.alert.id: document(delivery)}
    [(_, headers, body)] = server.requests
    assert body == payload(delivery)
    assert headers["webhook-id"] == headers["idempotency-key"] == delivery.alert.id
    assert headers["webhook-timestamp"] == str(int(make.NOW.timestamp()))
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("drop", NotAccepted),
        ("garbage", NotAccepted),
        ("408", NotAccepted),
        ("409", NotAccepted),
        ("429", NotAccepted),
        ("500", NotAccepted),
        ("503", NotAccepted),
        ("accept_then_close", NotAccepted),
        ("accept_then_reset", NotAccepted),
        ("accept_then_500", NotAccepted),
        ("301", Misconfigured),
        ("redirect", Misconfigured),
        ("401", Misconfigured),
        ("403", Misconfigured),
        ("404", Misconfigured),
        ("405", Misconfigured),
        ("410", Misconfigured),
        ("400", Unacceptable),
        ("413", Unacceptable),
        ("415", Unacceptable),
        ("422", Unacceptable),
    ],
)
def test_every_answer_has_its_class(server: WebhookServer, fault: str, outcome: type[SendError]) -> None:
    server.fault(fault)
    with pytest.raises(SendError) as caught:
        webhook(server).send(rendered(make.alert()))
    assert type(caught.value) is outcome
    assert len(server.requests) == 1
    assert str(caught.value).startswith("desk: ")


def test_server_that_is_not_there_has_not_accepted(server: WebhookServer) -> None:
    server.down()
    with pytest.raises(NotAccepted, match=r"^desk: no usable answer \(Connection refused\)$"):
        webhook(server).send(rendered(make.alert()))


def test_name_that_does_not_resolve_is_told_in_the_system_s_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NotAccepted, match=r"^desk: no usable answer \(Name or service not known\)$"):
        WebhookSink("desk", "https://KEY.example/", SECRET, lambda: make.NOW).send(rendered(make.alert()))


def test_answer_that_does_not_come_is_waited_for_so_long(
    server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "TIMEOUT", 0.05)
    server.fault("accept_then_hang")
    with pytest.raises(NotAccepted, match="none within"):
        webhook(server).send(rendered(make.alert()))


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [("429 7", 7.0), ("503 90", 90.0), ("429 99999999", 3600.0), ("429 soon", None), ("429", None)],
)
def test_wish_for_a_pause_is_told(server: WebhookServer, fault: str, seconds: float | None) -> None:
    server.fault(fault)
    with pytest.raises(NotAccepted) as caught:
        webhook(server).send(rendered(make.alert()))
    assert caught.value.retry_after == seconds


def test_certificate_that_nobody_vouches_for_is_refused() -> None:
    from fakes import FeedServer

    with FeedServer(tls=True) as stranger:
        with pytest.raises(NotAccepted):
            WebhookSink("desk", stranger.url("/hook"), SECRET, lambda: make.NOW).send(rendered(make.alert()))
        assert stranger.requests == []


def test_address_and_secret_are_never_told(server: WebhookServer) -> None:
    sink = WebhookSink("desk", f"{server.url}/KEY", SECRET, lambda: make.NOW)
    said = [repr(sink), str(vars(Router(FakeSink(), {"desk": sink})))]
    for fault in ("404", "500", "garbage", "redirect"):
        server.fault(fault)
        with pytest.raises(SendError) as caught:
            sink.send(rendered(make.alert()))
        said += [str(caught.value), repr(caught.value), str(caught.value.__cause__)]
    assert "KEY" not in "".join(said)
    assert SECRET not in "".join(said)


# -- Apprise --------------------------------------------------------------------------------------


def test_apprise_is_given_a_title_and_a_text_with_the_link(server: WebhookServer) -> None:
    delivery = rendered(make.alert())
    assert AppriseSink("mail", server.apprise_url).send(delivery) == delivery.alert.id
    [told] = server.notified
    assert told["title"] == "● HIGH  North Korean troops in Russia"
    assert told["message"].startswith("North Korean troops seen near Kursk, Seoul says\n")
    assert "link https://harbourwire.example/2024/10/29/troops" in told["message"]


def test_reply_through_apprise_names_its_story(server: WebhookServer) -> None:
    AppriseSink("mail", server.apprise_url).send(rendered(reply("Kyiv confirms")))
    [told] = server.notified
    assert told["title"] == "↳ in the thread of “North Korean troops seen near Kursk, Seoul says”"
    assert told["message"].startswith("Kyiv confirms\n")


def test_title_pings_nobody_and_fakes_no_link(server: WebhookServer) -> None:
    item = make.item(
        title="@everyone <!channel> [Bank](https://evil.example) <@U1>", link="https://a.example/@author/1"
    )
    AppriseSink("mail", server.apprise_url).send(rendered(make.alert(item=item)))
    [told] = server.notified
    assert not re.search(r"(?<!/)[@<>\[\]]", told["message"])
    assert "link https://a.example/@author/1" in told["message"]


def test_no_is_tried_again_and_in_the_end_a_person_must_look(server: WebhookServer) -> None:
    sink = AppriseSink("mail", server.apprise_url)
    server.fault("500", "500")
    with pytest.raises(NotAccepted):
        sink.send(rendered(make.alert(), attempt=7))
    with pytest.raises(Misconfigured, match=r"^mail: Apprise said no 8 times"):
        sink.send(rendered(make.alert(), attempt=8))


def test_apprise_follows_no_redirect(server: WebhookServer) -> None:
    server.fault("redirect")
    with pytest.raises(NotAccepted):
        AppriseSink("mail", server.apprise_url).send(rendered(make.alert()))
    assert len(server.requests) == 1


def test_address_that_apprise_does_not_know_is_refused_without_repeating_it() -> None:
    with pytest.raises(Misconfigured) as caught:
        AppriseSink("mail", "nosuch://SECRET")
    assert str(caught.value) == "mail: not an address that Apprise knows; its documentation lists them"


def test_apprise_says_nothing_to_the_log(server: WebhookServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        server.fault("500", "drop")
        sink = AppriseSink("mail", f"{server.apprise_url}/SECRET?+X-Key=SECRET")
        for _ in range(2):
            with pytest.raises(NotAccepted) as caught:
                sink.send(rendered(make.alert()))
            assert "SECRET" not in f"{caught.value!r} {caught.value.__cause__!r}"
        sink.send(rendered(make.alert()))
        with pytest.raises(Misconfigured):
            AppriseSink("mail", "nosuch://SECRET")
    assert "SECRET" not in caplog.text


# -- the router, and what the outbox makes of it ----------------------------------------------------


def test_delivery_goes_where_its_channel_says() -> None:
    main, desk = FakeSink(), FakeSink()
    router = Router(main, {"desk": desk})
    for channel in ("C0NEWS", "#news", "desk:", "desk:asia"):
        router.send(make.delivery(alert=make.alert(channel=channel)))
    assert [d.alert.channel for d in main.messages] == ["C0NEWS", "#news"]
    assert [d.alert.channel for d in desk.messages] == ["desk:", "desk:asia"]


def test_what_waits_for_a_sink_that_is_gone_waits_for_a_person() -> None:
    with pytest.raises(Misconfigured, match=r"^there is no \[\[sink\]\] desk in monitor\.toml$"):
        Router(FakeSink(), {}).send(make.delivery(alert=make.alert(channel="desk:")))


def test_sinks_are_opened_as_the_configuration_says(tmp_path: Path) -> None:
    wanted = [
        SinkOptions(name="desk", kind="webhook", url="https://desk.example/", secret="$KEY"),  # noqa: S106 - its name
        SinkOptions(name="phone", kind="apprise", url="$PHONE"),
    ]
    config = Config(state=tmp_path, sink=tuple(wanted))
    env = {"KEY": SECRET, "PHONE": "json://localhost"}
    router, settle, channel = open_sink(config, env, io.StringIO(), False, [], lambda: make.NOW)
    assert (router.name, settle, channel) == ("terminal, desk, phone", timedelta(0), "terminal")

    token = {"SLACK_BOT_TOKEN": "xoxb-1"}
    router, settle, channel = open_sink(config, env | token, io.StringIO(), False, [], lambda: make.NOW)
    assert (router.name, settle) == ("slack, desk, phone", timedelta(seconds=60))

    with pytest.raises(ConfigError, match=r"^\$PHONE: phone: not an address that Apprise knows"):
        open_sink(config, env | {"PHONE": "SECRET"}, io.StringIO(), False, [], lambda: make.NOW)


def test_address_of_several_receivers_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"^mail: an address of several receivers"):
        AppriseSink("mail", "mailto://me:SECRET@mail.example?to=a@mail.example,b@mail.example")


async def test_reload_refuses_a_channel_whose_sink_is_unknown(tmp_path: Path) -> None:
    async with open_home(tmp_path / "state") as home:
        home.monitor.config = home.monitor.config.model_copy(update={"rules": (tmp_path,)})
        text = 'title = "Grain"\ndescription = "Grain leaves."\n[notify]\nchannel = "desk:"\n'
        (tmp_path / "grain.toml").write_text(text, encoding="utf-8")
        [problem] = await home.monitor.reload()
    assert str(problem) == f'{tmp_path}/grain.toml:4:11: notify.channel: monitor.toml has no [[sink]] "desk"'


def topic(name: str, channel: str, *terms: str):
    notify = replace(make.topic().notify, channel=channel)
    return make.topic(id=name, title=name.title(), terms=Terms(always=terms), noise=NEVER_BY_SCORE, notify=notify)


def states(world: World) -> list[str]:
    return [delivery.state.value for delivery in world.store.deliveries()]


async def test_doubtful_delivery_is_sent_again_under_its_key(server: WebhookServer) -> None:
    world = World((topic("troops", "desk:", "north korean"),), settle=timedelta(seconds=60))
    world.sink = Router(FakeSink(), {"desk": webhook(server)})  # type: ignore[assignment]  # for all that is asked of it
    await world.know()
    await world.publish(WIRE, TROOPS)
    [delivery] = world.store.deliveries()
    message = render(delivery.alert)
    world.store.claim(delivery.alert.id, message, world.now)
    webhook(server).send(replace(delivery, message=message))
    world.restart()  # it died before it wrote down the answer
    assert states(world) == ["unknown"]

    world.wait(seconds=61)
    await world.deliver()

    assert states(world) == ["sent"]
    assert server.came == [delivery.alert.id] * 2
    assert list(server.received) == [delivery.alert.id]


async def test_message_that_is_sent_again_still_tells_all_its_replies(server: WebhookServer) -> None:
    world = World((topic("troops", "desk:", "north korean"),))
    world.sink = Router(FakeSink(), {"desk": webhook(server)})  # type: ignore[assignment]  # for all that is asked of it
    world.reply_gap = timedelta(minutes=10)
    await world.know()
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.publish(WIRE, TROOPS, TROOPS_AGAIN)
    world.wait(minutes=20)
    server.fault("accept_then_500")
    await world.deliver()
    first = server.requests[-1][2]
    world.wait(minutes=20)
    await world.deliver()

    assert server.requests[-1][2] == first
    told = list(server.received.values())[-1]["data"]
    assert len(told["items"]) == 2
    assert states(world) == ["sent", "sent", "batched"]


async def test_one_sink_that_is_down_holds_up_no_other_and_loses_nothing(server: WebhookServer) -> None:
    topics = (
        topic("troops", "desk:", "north korean"),
        topic("ships", "C0NEWS", "warship*"),
        topic("chess", "phone:", "chess"),
    )
    chess = ("Chess champion defends the title", "Twelve games in Lima.")
    with FakeSlack(clock=lambda: make.NOW.timestamp()) as slack, WebhookServer() as phone:
        world = World(topics)
        named = {"desk": webhook(server), "phone": AppriseSink("phone", phone.apprise_url)}
        world.sink = Router(SlackSink(slack.token, slack.url, 5.0), named)  # type: ignore[assignment]  # as above
        await world.know()
        server.down()
        await world.publish(WIRE, TROOPS, SHIPS, chess)
        await world.deliver()
        assert len(slack.messages) == 1
        assert len(phone.notified) == 1
        assert sorted(states(world)) == ["queued", "sent", "sent"]

        server.up()
        await world.deliver()
        assert server.received == {}  # it is not hammered: its pause is not over
        world.wait(minutes=1)
        await world.deliver()
        assert states(world) == ["sent"] * 3
        assert [told["data"]["items"][0]["title"] for told in server.received.values()] == [TROOPS[0]]
        assert (len(slack.messages), len(phone.notified)) == (1, 1)
