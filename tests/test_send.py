import errno
import io
import json
import logging
import os
import socket
import ssl
import traceback
from dataclasses import replace
from datetime import timedelta
from http.client import IncompleteRead, RemoteDisconnected
from urllib.error import URLError

import make
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse
from slack_server import FakeSlack

from monitor.errors import MaybeAccepted, Misconfigured, NotAccepted, RootGone, SendError, Unacceptable, Unreadable
from monitor.model import AlertKind, Delivery, Notice, Severity
from monitor.render import render_notice
from monitor.send import SlackSink, TerminalSink, failure


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def slack():
    with FakeSlack(clock=lambda: make.NOW.timestamp()) as slack:
        yield slack


def sink(slack, timeout=5.0):
    return SlackSink(slack.token, slack.url, timeout)


def reply_to(receipt, **fields):
    alert = make.alert(kind=AlertKind.REPLY, item=make.item(title="Kyiv confirms"), parent="root", **fields)
    return make.delivery(alert=alert, thread=receipt)


def notice(**fields):
    told = Notice("n1", "C0OPS", "Harbour Wire: stale — answers, but its newest item is 9 days old", make.NOW)
    return make.delivery(alert=told, message=render_notice(told), **fields)


# -- what an answer means ------------------------------------------------------------------------


def refusal(code, status=200, headers=None, **data):
    body = None if code is None else {"ok": False, "error": code, **data}
    response = SlackResponse(
        client=None,
        http_verb="POST",
        api_url="https://slack.com/api/chat.postMessage",
        req_args={},
        data=body,
        headers=headers or {},
        status_code=status,
    )
    return SlackApiError("refused", response)


def openssl(reason):
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        # no byte of the request left
        (URLError(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")), NotAccepted),
        (URLError(socket.gaierror(socket.EAI_NONAME, "Name or service not known")), NotAccepted),
        (URLError(ssl.SSLCertVerificationError(1, "certificate has expired")), NotAccepted),
        (URLError(openssl("WRONG_VERSION_NUMBER")), NotAccepted),
        (URLError(openssl("TLSV1_ALERT_PROTOCOL_VERSION")), NotAccepted),
        # it may have arrived
        (URLError(ConnectionResetError()), MaybeAccepted),
        (URLError(BrokenPipeError()), MaybeAccepted),
        (URLError(TimeoutError("timed out")), MaybeAccepted),
        (URLError(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")), MaybeAccepted),
        (URLError(openssl("DECRYPTION_FAILED_OR_BAD_RECORD_MAC")), MaybeAccepted),
        (TimeoutError("timed out"), MaybeAccepted),
        (ConnectionResetError(), MaybeAccepted),
        (RemoteDisconnected("Remote end closed connection without response"), MaybeAccepted),
        (IncompleteRead(b"{"), MaybeAccepted),
        (json.JSONDecodeError("Expecting value", "<html>", 0), MaybeAccepted),
        (AttributeError("'list' object has no attribute 'get'"), MaybeAccepted),
        # whatever a server error says
        (refusal("internal_error", status=500), MaybeAccepted),
        (refusal("invalid_auth", status=503), MaybeAccepted),
        (refusal("ratelimited", status=503), MaybeAccepted),
        (refusal(None, status=502), MaybeAccepted),
        (refusal("Received a response in a non-JSON format: <html>", status=504), MaybeAccepted),
        # no JSON in it
        (refusal("Received a response in a non-JSON format: <html>"), MaybeAccepted),
        (refusal("Received a response in a non-JSON format: <html>", status=407), MaybeAccepted),
        (refusal(None), MaybeAccepted),
        # too fast
        (refusal("ratelimited", status=429), NotAccepted),
        (refusal("Received a response in a non-JSON format: slow down", status=429), NotAccepted),
        (refusal("ratelimited"), NotAccepted),
        (refusal("rate_limited"), NotAccepted),
        # a person must act
        (refusal("invalid_auth"), Misconfigured),
        (refusal("not_authed"), Misconfigured),
        (refusal("account_inactive"), Misconfigured),
        (refusal("token_revoked"), Misconfigured),
        (refusal("token_expired"), Misconfigured),
        (refusal("missing_scope"), Misconfigured),
        (refusal("no_permission"), Misconfigured),
        (refusal("channel_not_found"), Misconfigured),
        (refusal("not_in_channel"), Misconfigured),
        (refusal("is_archived"), Misconfigured),
        (refusal("is_inactive"), Misconfigured),
        (refusal("not_allowed_token_type"), Misconfigured),
        (refusal("restricted_action"), Misconfigured),
        (refusal("restricted_action_thread_only_channel"), Misconfigured),
        (refusal("ekm_access_denied"), Misconfigured),
        (refusal("team_access_not_granted"), Misconfigured),
        # what it answers, or edits, is not there
        (refusal("thread_not_found"), RootGone),
        (refusal("cannot_reply_to_message"), RootGone),
        (refusal("message_not_found"), RootGone),
        # these very bytes
        (refusal("invalid_blocks"), Unacceptable),
        (refusal("invalid_blocks_format"), Unacceptable),
        (refusal("msg_blocks_too_long"), Unacceptable),
        (refusal("metadata_too_large"), Unacceptable),
        (refusal("msg_too_long"), Unacceptable),
        (refusal("no_text"), Unacceptable),
        (refusal("too_many_attachments"), Unacceptable),
        (refusal("invalid_metadata_format"), Unacceptable),
        (refusal("cant_update_message"), Unacceptable),
        (refusal("edit_window_closed"), Unacceptable),
        (refusal("invalid_metadata_schema"), Unacceptable),
        # Slack's own trouble, and what nobody listed
        (refusal("internal_error"), MaybeAccepted),
        (refusal("fatal_error"), MaybeAccepted),
        (refusal("service_unavailable"), MaybeAccepted),
        (refusal("request_timeout"), MaybeAccepted),
        (refusal("duplicate_message_not_found"), MaybeAccepted),
        (refusal("a_code_of_next_year"), MaybeAccepted),
    ],
)
def test_every_failure_has_its_class(error, outcome):
    assert type(failure(error)) is outcome


@pytest.mark.parametrize(
    ("code", "everywhere"),
    [
        ("invalid_auth", True),
        ("missing_scope", True),
        ("ekm_access_denied", True),
        ("channel_not_found", False),
        ("not_in_channel", False),
        ("is_archived", False),
        ("restricted_action_read_only_channel", False),
        ("no_permission", False),
    ],
)
def test_configuration_failure_is_of_the_token_or_of_one_channel(code, everywhere):
    assert failure(refusal(code)).everywhere is everywhere


def test_missing_scope_is_named():
    said = str(failure(refusal("missing_scope", needed="chat:write", provided="identify")))

    assert said == (
        "slack: missing_scope: the app lacks a scope; add it under OAuth & Permissions, and install the app again: chat:write"
    )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "30"}, 30.0), ({"retry-after": "1"}, 1.0), ({"Retry-After": "soon"}, None), ({}, None)],
)
def test_rate_limit_says_when_to_come_back(headers, seconds):
    assert failure(refusal("ratelimited", 429, headers)).retry_after == seconds


def test_configuration_failure_says_what_to_do():
    assert str(failure(refusal("not_in_channel"))) == "slack: not_in_channel: the bot is not in the channel; /invite it"


def test_invalid_blocks_name_the_block():
    error = refusal("invalid_blocks", response_metadata={"messages": ["[ERROR] must be less than 3001 [blocks/0]"]})

    assert str(failure(error)) == "slack: invalid_blocks: [ERROR] must be less than 3001 [blocks/0]"


def test_body_that_is_no_json_is_not_quoted():
    error = refusal("Received a response in a non-JSON format: you sent xoxb-1", status=403)

    assert str(failure(error)) == "slack: HTTP 403 without Slack's JSON"


# -- posting ---------------------------------------------------------------------------------------


def test_accepted_post_returns_its_ts(slack):
    assert sink(slack).send(make.delivery()) == "1730212200.000000"


def test_post_carries_message_and_delivery_id(slack):
    delivery = make.delivery()

    sink(slack).send(delivery)

    assert slack.requests == [
        (
            "chat.postMessage",
            {
                "channel": "C0NEWS",
                "text": "HIGH: Troops seen near Kursk",
                "blocks": [{"type": "section", "text": {"type": "plain_text", "text": "Troops seen near Kursk"}}],
                "metadata": {
                    "event_type": "news_monitor_delivery",
                    "event_payload": {
                        "delivery_id": delivery.alert.id,
                        "kind": "root",
                        "tells": [delivery.alert.id],
                        "items": [delivery.alert.item.id],
                    },
                },
                "parse": "none",
                "link_names": False,
                "unfurl_links": False,
                "unfurl_media": False,
            },
        )
    ]


def test_reply_goes_into_its_thread(slack):
    sink(slack).send(reply_to("1730212200.000000"))

    assert slack.messages[0]["thread_ts"] == "1730212200.000000"


def test_broadcast_reply_is_shown_in_the_channel(slack):
    sink(slack).send(reply_to("1730212200.000000", broadcast=True))

    assert slack.messages[0]["reply_broadcast"] is True


def test_notice_is_posted_to_the_channel_of_ops_and_found_again(slack):
    receipt = sink(slack).send(notice())

    [message] = slack.messages
    assert (message["channel"], "thread_ts" in message, "reply_broadcast" in message) == ("C0OPS", False, False)
    assert message["text"] == "The monitor itself: Harbour Wire: stale — answers, but its newest item is 9 days old"
    assert (slack.delivery_ids(), sink(slack).find(notice())) == (["n1"], receipt)


def test_notice_with_lost_answer_is_found(slack):
    slack.fault("accept_then_close")

    with pytest.raises(MaybeAccepted):
        sink(slack).send(notice())

    assert sink(slack).find(notice()) == slack.messages[0]["ts"]


def test_edit_replaces_the_message_in_its_place(slack):
    root = make.delivery()
    ts = sink(slack).send(root)
    edit = replace(root.alert, id="e1", kind=AlertKind.EDIT, parent=root.alert.id)

    sink(slack).edit(make.delivery(alert=edit, thread=ts, message=make.message(text="HIGH: 2 sources")))

    [message] = slack.messages
    assert (message["ts"], message["text"], slack.delivery_ids()) == (ts, "HIGH: 2 sources", [root.alert.id])
    assert "unfurl_links" not in slack.requests[-1][1]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("accept_then_close", MaybeAccepted),
        ("ratelimited", NotAccepted),
        ("message_not_found", RootGone),
        ("cant_update_message", Unacceptable),
        ("is_inactive", Misconfigured),
    ],
)
def test_failed_edit_is_sorted(slack, fault, outcome):
    ts = sink(slack).send(make.delivery())
    slack.fault(fault, method="chat.update")

    with pytest.raises(outcome):
        sink(slack).edit(make.delivery(alert=make.alert(kind=AlertKind.EDIT, parent="root"), thread=ts))


def test_message_without_blocks_is_shown_by_its_text(slack):
    sink(slack).send(make.delivery(message=make.message(blocks=())))

    assert "blocks" not in slack.requests[0][1]


def test_broadcast_root_is_no_reply(slack):
    sink(slack).send(make.delivery(alert=make.alert(broadcast=True)))

    assert "reply_broadcast" not in slack.messages[0]


@pytest.mark.parametrize(
    ("fault", "outcome", "standing"),
    [
        ("accept_then_close", MaybeAccepted, 1),
        ("accept_then_reset", MaybeAccepted, 1),
        ("incomplete", MaybeAccepted, 1),
        ("truncated_json", MaybeAccepted, 1),
        ("html200", MaybeAccepted, 1),
        ("list200", MaybeAccepted, 1),
        ("no_ts", MaybeAccepted, 1),
        ("http500", MaybeAccepted, 1),
        ("http502", MaybeAccepted, 1),
        ("http503", MaybeAccepted, 1),
        ("http504", MaybeAccepted, 1),
        ("drop", MaybeAccepted, 0),
        ("ratelimited", NotAccepted, 0),
        ("channel_not_found", Misconfigured, 0),
        ("invalid_blocks", Unacceptable, 0),
        ("fatal_error", MaybeAccepted, 0),
    ],
)
def test_failed_post_is_sorted_and_never_posted_again(slack, fault, outcome, standing):
    slack.fault(fault)

    with pytest.raises(SendError) as raised:
        sink(slack).send(make.delivery())

    assert (type(raised.value), len(slack.messages), len(slack.requests)) == (outcome, standing, 1)


def test_silent_server_leaves_the_post_in_doubt(slack):
    slack.fault("accept_then_hang")

    with pytest.raises(MaybeAccepted):
        sink(slack, timeout=0.2).send(make.delivery())


def test_refused_connection_is_certainly_no_post(slack):
    slack.down()

    with pytest.raises(NotAccepted, match=r"slack: cannot be reached \(.*Connection refused\)"):
        sink(slack).send(make.delivery())


def test_rate_limit_hands_on_the_wait(slack):
    slack.fault("ratelimited")

    with pytest.raises(NotAccepted) as raised:
        sink(slack).send(make.delivery())

    assert raised.value.retry_after == 7.0


def test_unrendered_delivery_is_a_bug(slack):
    with pytest.raises(ValueError, match="rendered when it is claimed"):
        sink(slack).send(make.delivery(message=None))


# -- reading back ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["accept_then_close", "accept_then_reset", "http504", "truncated_json", "no_ts"])
def test_post_with_lost_answer_is_found(slack, fault):
    slack.fault(fault)
    with pytest.raises(MaybeAccepted):
        sink(slack).send(make.delivery())

    assert sink(slack).find(make.delivery()) == "1730212200.000000"


def test_post_that_never_arrived_is_absent(slack):
    slack.fault("drop")
    with pytest.raises(MaybeAccepted):
        sink(slack).send(make.delivery())

    assert sink(slack).find(make.delivery()) is None


def test_delivery_never_tried_is_absent_without_a_question(slack):
    assert (sink(slack).find(make.delivery(sending_at=None)), slack.requests) == (None, [])


def test_other_alerts_message_is_not_it(slack):
    sink(slack).send(make.delivery(alert=make.alert(story="another")))

    assert sink(slack).find(make.delivery()) is None


def test_other_channels_message_is_not_it(slack):
    delivery = make.delivery()
    sink(slack).send(delivery)

    assert sink(slack).find(replace(delivery, alert=replace(delivery.alert, channel="C0OTHER"))) is None


def test_other_apps_metadata_is_not_it(slack):
    delivery = make.delivery()
    slack.post(
        channel="C0NEWS",
        metadata={"event_type": "news_monitor_delivery", "event_payload": {"delivery_id": delivery.alert.id}},
        bot_id="B0STAGING",
        user="U0STAGING",
    )

    assert sink(slack).find(delivery) is None


def test_other_kind_of_metadata_is_not_it(slack):
    delivery = make.delivery()
    payload = {"delivery_id": delivery.alert.id}
    slack.post(channel="C0NEWS", metadata={"event_type": "deployment", "event_payload": payload})

    assert sink(slack).find(delivery) is None


def test_message_on_a_later_page_is_found(slack):
    sink(slack).send(make.delivery())
    for _ in range(5):
        slack.post(channel="C0NEWS", text="chatter")
    slack.page_limit = 2

    assert sink(slack).find(make.delivery()) == "1730212200.000000"


@pytest.mark.parametrize("ahead", [timedelta(hours=-14), timedelta(hours=-3), timedelta(hours=3), timedelta(hours=14)])
def test_message_is_found_though_our_clock_was_wrong_by_hours(slack, ahead):
    sink(slack).send(make.delivery())
    delivery = make.delivery(sending_at=make.NOW + ahead)

    assert sink(slack).find(delivery) == "1730212200.000000"


def test_reply_is_found_in_its_thread(slack):
    root = sink(slack).send(make.delivery())
    receipt = sink(slack).send(reply_to(root))

    assert sink(slack).find(reply_to(root)) == receipt


def test_reply_that_never_arrived_is_absent(slack):
    root = sink(slack).send(make.delivery())

    assert sink(slack).find(reply_to(root)) is None


@pytest.mark.parametrize(
    "fault", ["missing_scope", "not_in_channel", "invalid_auth", "fatal_error", "ratelimited", "http503", "html200"]
)
def test_unreadable_channel_is_not_an_empty_one(slack, fault):
    slack.fault(fault, method="conversations.history")

    with pytest.raises(MaybeAccepted):
        sink(slack).find(make.delivery())


@pytest.mark.parametrize(
    ("fault", "refused"),
    [
        ("missing_scope", True),
        ("not_in_channel", True),
        ("channel_not_found", True),
        ("ratelimited", True),
        ("token_revoked", False),  # nor could it be sent again
        ("fatal_error", False),
        ("http503", False),
        ("html200", False),
    ],
)
def test_channel_that_may_not_be_read_is_told_from_one_that_did_not_answer(slack, fault, refused):
    slack.fault(fault, method="conversations.history")

    with pytest.raises(MaybeAccepted) as raised:
        sink(slack).find(make.delivery())

    assert isinstance(raised.value, Unreadable) is refused


def test_slack_that_is_down_is_no_refusal_to_let_us_read(slack):
    slack.down()

    with pytest.raises(MaybeAccepted) as raised:
        sink(slack).find(make.delivery())

    assert not isinstance(raised.value, Unreadable)


def test_rate_limited_reading_says_when_to_come_back(slack):
    slack.fault("ratelimited", method="conversations.history")

    with pytest.raises(MaybeAccepted) as raised:
        sink(slack).find(make.delivery())

    assert raised.value.retry_after == 7.0


def test_failure_on_a_later_page_is_not_an_absence(slack):
    for _ in range(3):
        slack.post(channel="C0NEWS", text="chatter")
    slack.page_limit = 2
    slack.fault("ok", "internal_error", method="conversations.history")

    with pytest.raises(MaybeAccepted):
        sink(slack).find(make.delivery())


def test_unreadable_identity_is_not_an_absence(slack):
    slack.fault("internal_error", method="auth.test")

    with pytest.raises(MaybeAccepted):
        sink(slack).find(make.delivery())


# -- check -----------------------------------------------------------------------------------------


def test_check_is_content_with_readable_channels(slack):
    assert sink(slack).check(["C0NEWS", "C0OTHER"]) == []


def test_check_names_each_channel_that_cannot_be_read(slack):
    slack.channels = {"C0NEWS"}

    (problem,) = sink(slack).check(["C0NEWS", "#alerts"])

    assert problem == (
        "#alerts: slack: channel_not_found: no such channel, or the bot is not in it; "
        "give the channel's ID (C…) and /invite the bot"
    )


def test_check_tells_a_bad_token_once(slack):
    problems = SlackSink("xoxb-wrong", slack.url).check(["C0NEWS", "C0OTHER"])

    assert problems == [
        "slack: invalid_auth: Slack does not know this token; copy the bot token (xoxb-…) from the app's page again"
    ]


def test_check_posts_nothing(slack):
    sink(slack).check(["C0NEWS"])

    assert [method for method, _ in slack.requests] == ["auth.test", "conversations.info", "conversations.history"]


# -- secrets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "  ", "xoxb-1\nxoxb-2", "xoxb 1", "xoxb-ключ"])
def test_token_that_no_header_can_hold_is_refused_unquoted(token):
    with pytest.raises(Misconfigured) as raised:
        SlackSink(token)

    assert str(raised.value) == "slack: the token is empty, or holds a space or a character that no token has"


@pytest.mark.parametrize("fault", ["invalid_auth", "http500", "html200", "accept_then_close", "ratelimited"])
def test_no_failure_shows_the_token(slack, caplog, fault):
    caplog.set_level(logging.DEBUG)
    slack.fault(fault)

    with pytest.raises(SendError) as raised:
        sink(slack).send(make.delivery())

    told = "".join(traceback.format_exception(raised.value)) + caplog.text
    assert slack.token not in told


def test_token_in_slacks_advice_is_struck_out():
    error = refusal("invalid_blocks", response_metadata={"messages": ["in request with xoxb-12-34-abc"]})

    assert str(failure(error)) == "slack: invalid_blocks: in request with …"


def test_message_bodies_stay_out_of_the_debug_log(slack, caplog):
    caplog.set_level(logging.DEBUG)

    sink(slack).send(make.delivery())

    assert caplog.text == ""


# -- terminal --------------------------------------------------------------------------------------


def terminal(tmp_path, stream=None, colour=False):
    return TerminalSink(stream or io.StringIO(), tmp_path / "transcript.jsonl", colour)


def records(tmp_path):
    lines = (tmp_path / "transcript.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_root_is_shown_after_an_empty_line(tmp_path):
    screen = io.StringIO()

    terminal(tmp_path, screen).send(make.delivery())

    assert screen.getvalue() == "\n● HIGH  North Korean troops in Russia\n  Troops seen near Kursk\n"


def test_reply_is_shown_close_to_what_precedes(tmp_path):
    screen = io.StringIO()
    delivery = replace(reply_to("root"), message=make.message(terminal="  ↳ Kyiv confirms"))

    terminal(tmp_path, screen).send(delivery)

    assert screen.getvalue() == "  ↳ Kyiv confirms\n"


def test_first_line_has_the_severitys_colour(tmp_path):
    screen = io.StringIO()
    delivery = make.delivery(alert=make.alert(severity=Severity.CRITICAL))

    terminal(tmp_path, screen, colour=True).send(delivery)

    assert screen.getvalue() == (
        "\n\x1b[31m\x1b[1m● HIGH  North Korean troops in Russia\x1b[0m\n  Troops seen near Kursk\n"
    )


def test_notice_is_shown_like_a_root_of_no_severity_and_found_again(tmp_path):
    screen = io.StringIO()
    sink = terminal(tmp_path, screen, colour=True)

    assert (sink.send(notice()), sink.find(notice())) == ("n1", "n1")

    assert screen.getvalue() == (
        "\n\x1b[34m\x1b[1m⚙ the monitor itself\x1b[0m\n"
        "  • Harbour Wire: stale — answers, but its newest item is 9 days old\n"
    )
    assert records(tmp_path)[0]["channel"] == "C0OPS"


def test_transcript_is_never_coloured(tmp_path):
    delivery = make.delivery()

    terminal(tmp_path, colour=True).send(delivery)

    assert records(tmp_path) == [
        {
            "id": delivery.alert.id,
            "channel": "C0NEWS",
            "text": "● HIGH  North Korean troops in Russia\n  Troops seen near Kursk",
        }
    ]


def test_terminal_receipt_is_the_alerts_id(tmp_path):
    delivery = make.delivery()

    assert terminal(tmp_path).send(delivery) == delivery.alert.id


def test_alert_in_the_transcript_is_found_by_the_next_process(tmp_path):
    delivery = make.delivery()
    terminal(tmp_path).send(delivery)

    assert terminal(tmp_path).find(delivery) == delivery.alert.id


def test_alert_missing_from_the_transcript_is_absent(tmp_path):
    terminal(tmp_path).send(make.delivery(alert=make.alert(story="another")))

    assert terminal(tmp_path).find(make.delivery()) is None


def test_no_transcript_means_no_alert(tmp_path):
    assert terminal(tmp_path).find(make.delivery()) is None


def torn(tmp_path, delivery: Delivery, keep):
    """Send, and leave only the first `keep` bytes, as a kill in mid-write does."""
    terminal(tmp_path).send(delivery)
    path = tmp_path / "transcript.jsonl"
    path.write_bytes(path.read_bytes()[:keep])


def test_edit_prints_nothing(tmp_path):
    screen = io.StringIO()

    terminal(tmp_path, screen).edit(make.delivery())

    assert (screen.getvalue(), (tmp_path / "transcript.jsonl").exists()) == ("", False)


def test_torn_line_is_absent(tmp_path):
    torn(tmp_path, make.delivery(), keep=-2)

    assert terminal(tmp_path).find(make.delivery()) is None


def test_line_that_lacks_only_its_end_is_there(tmp_path):
    delivery = make.delivery()
    torn(tmp_path, delivery, keep=-1)

    assert terminal(tmp_path).find(delivery) == delivery.alert.id


def test_line_torn_inside_a_character_is_absent(tmp_path):
    torn(tmp_path, make.delivery(), keep=81)  # the first two of the three bytes of "●"

    assert terminal(tmp_path).find(make.delivery()) is None


def test_alert_after_a_torn_line_stands_on_its_own(tmp_path):
    torn(tmp_path, make.delivery(), keep=40)

    terminal(tmp_path).send(make.delivery())

    lines = (tmp_path / "transcript.jsonl").read_bytes().splitlines()
    assert (len(lines), len(lines[0]), json.loads(lines[1])["id"]) == (2, 40, make.alert().id)


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file")])
def test_alert_is_delivered_though_the_screen_is_gone(tmp_path, error):
    class Gone(io.StringIO):
        def write(self, _):
            raise error

    delivery = make.delivery()
    terminal(tmp_path, Gone()).send(delivery)

    assert [record["id"] for record in records(tmp_path)] == [delivery.alert.id]


def test_screen_without_the_characters_shows_what_it_can(tmp_path):
    raw = io.BytesIO()
    screen = io.TextIOWrapper(raw, encoding="ascii")

    terminal(tmp_path, screen).send(make.delivery())

    assert raw.getvalue() == b"\n? HIGH  North Korean troops in Russia\n  Troops seen near Kursk\n"


def failing(code):
    def call(*_):
        raise OSError(code, os.strerror(code))

    return call


def test_full_disk_takes_nothing_and_shows_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", failing(errno.ENOSPC))
    screen = io.StringIO()

    with pytest.raises(NotAccepted, match="No space left on device"):
        terminal(tmp_path, screen).send(make.delivery())

    assert screen.getvalue() == ""


def test_line_that_did_not_fit_the_disk_is_taken_back(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:-1]))

    with pytest.raises(NotAccepted, match="the disk is full"):
        terminal(tmp_path).send(make.delivery())

    assert (tmp_path / "transcript.jsonl").read_bytes() == b""


def test_unconfirmed_disk_leaves_the_alert_in_doubt(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))

    with pytest.raises(MaybeAccepted, match="Input/output error"):
        terminal(tmp_path).send(make.delivery())


def test_transcript_that_cannot_be_opened_needs_a_person(tmp_path):
    nowhere = TerminalSink(io.StringIO(), tmp_path / "no such folder" / "transcript.jsonl", colour=False)

    with pytest.raises(Misconfigured, match="cannot open the transcript"):
        nowhere.send(make.delivery())


def test_transcript_that_cannot_be_read_is_not_an_absence(tmp_path):
    (tmp_path / "transcript.jsonl").mkdir()

    with pytest.raises(MaybeAccepted, match="cannot read the transcript"):
        terminal(tmp_path).find(make.delivery())
