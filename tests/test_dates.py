"""Dates as publishers write them: read right, or not at all."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.dates import parse_date
from monitor.model import Zones

SEOUL = Zones(ZoneInfo("Asia/Seoul"))
#: nine hours before Seoul
EVENING = datetime(2026, 2, 17, 9, 3, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# -- with a zone ----------------------------------------------------------------------------------

RFC_822 = [
    ("Tue, 17 Feb 2026 18:03:07 GMT", "2026-02-17T18:03:07"),
    ("Tue, 17 Feb 2026 18:03:07 +0000", "2026-02-17T18:03:07"),
    ("Tue, 17 Feb 2026 18:03:07 -0000", "2026-02-17T18:03:07"),
    ("Tue, 17 Feb 2026 18:03:07 Z", "2026-02-17T18:03:07"),
    ("17 Feb 2026 18:03 UT", "2026-02-17T18:03:00"),
    ("Tue, 17 Feb 2026 18:03:07 +0530", "2026-02-17T12:33:07"),
    ("Tue, 17 Feb 2026 18:03:07 -03:30", "2026-02-17T21:33:07"),
    ("Tue, 17 Feb 2026 18:03:07+5:30", "2026-02-17T12:33:07"),
    ("Tue, 17 Feb 2026 18:03:07 +09", "2026-02-17T09:03:07"),
    ("Tue, 17 Feb 2026 18:03:07 +900", "2026-02-17T09:03:07"),
    ("Tue, 17 Feb 2026 18:03:07 GMT+9", "2026-02-17T09:03:07"),
    ("Tue, 17 Feb 2026 18:03:07 GMT +0900", "2026-02-17T09:03:07"),
    ("Tue, 17 Feb 2026 18:03:07 UTC+3", "2026-02-17T15:03:07"),
    ("Tue, 17 Feb 2026 18:03:07 UTC−03:00", "2026-02-17T21:03:07"),
    ("Tue, 17 Feb 2026 18:03:07 +0300 (MSK)", "2026-02-17T15:03:07"),
    ("Tue, 17 Feb 2026 18:03:07 (MSK)", "2026-02-17T15:03:07"),
    ("Tue Feb 17 2026 18:03:07 GMT+0100 (Central European Standard Time)", "2026-02-17T17:03:07"),
    ("tue, 17 feb 2026 18:03:07 gmt", "2026-02-17T18:03:07"),
    ("TUE, 17 FEB 2026 18:03:07 KST", "2026-02-17T09:03:07"),
    ("Tue,17Feb2026 18:03:07GMT", "2026-02-17T18:03:07"),
    ("Thu,28 Jul 2022 4:35:5 GMT+9", "2022-07-27T19:35:05"),
    (" Tue, 17 Feb\n2026  18:03:07\tGMT ", "2026-02-17T18:03:07"),
    ("Tuesday 17 February 2026 18:03:07 GMT", "2026-02-17T18:03:07"),
    ("Tue, 17th Feb 2026 18:03:07 GMT", "2026-02-17T18:03:07"),
    ("Thurs., 1 Jan. 2026 00:00 GMT", "2026-01-01T00:00:00"),
    ("Tuesday, 17-Feb-26 18:03:07 GMT", "2026-02-17T18:03:07"),
    ("Wed, 17 Feb 99 18:03:07 GMT", "1999-02-17T18:03:07"),
    ("Tue Feb 17 18:03:07 EST 2026", "2026-02-17T23:03:07"),
    ("Tue Feb 17 18:03:07 +0000 2026", "2026-02-17T18:03:07"),
    ("Feb 17, 2026 6:03 pm EST", "2026-02-17T23:03:00"),
    ("Tue, February 17, 2026 at 06:03 PM PST", "2026-02-18T02:03:00"),
    ("02/17/2026 6:03 p.m. EST", "2026-02-17T23:03:00"),
    ("17 Feb 2026 18:03 PM GMT", "2026-02-17T18:03:00"),
    ("17 Feb 2026 12:03 am GMT", "2026-02-17T00:03:00"),
    ("17 Feb 2026 12:03 pm GMT", "2026-02-17T12:03:00"),
    ("18:03 MSK, 17 Feb 2026", "2026-02-17T15:03:00"),
    ("Sat, 28 Feb 2026 24:00:00 GMT", "2026-03-01T00:00:00"),
]

ISO_8601 = [
    ("2026-02-17T18:03:07Z", "2026-02-17T18:03:07"),
    ("2026-02-17T18:03Z", "2026-02-17T18:03:00"),
    ("2026-02-17t18:03:07z", "2026-02-17T18:03:07"),
    ("2026-02-17T17:36:36-0500", "2026-02-17T22:36:36"),
    ("2026-02-17T18:03:07+03", "2026-02-17T15:03:07"),
    ("2026-02-17 18:03:07 +03:00", "2026-02-17T15:03:07"),
    ("2026-02-17 18:03:07 UTC", "2026-02-17T18:03:07"),
    ("2026-02-17T18:03:07 GMT", "2026-02-17T18:03:07"),
    ("2026-02-17T18:03:07.5Z", "2026-02-17T18:03:07.500000"),
    ("2026-02-17T18:03:07,25+0100", "2026-02-17T17:03:07.250000"),
    ("2026-02-17t18:03:07.123456789z", "2026-02-17T18:03:07.123456"),
    ("2026-2-17T8:3:7Z", "2026-02-17T08:03:07"),
    ("2026-12-31T24:00:00Z", "2027-01-01T00:00:00"),
    ("20260217T180307Z", "2026-02-17T18:03:07"),
    ("20260217T1803+0900", "2026-02-17T09:03:00"),
    ("2026/02/17 18:03:07 +0300", "2026-02-17T15:03:07"),
]

UNIX = [
    ("1771374614", "2026-02-18T00:30:14"),
    ("1771374614123", "2026-02-18T00:30:14.123000"),
    ("788918400", "1995-01-01T00:00:00"),
    ("999999999999", "2001-09-09T01:46:39.999000"),
]

OTHER_LANGUAGES = [
    ("Вт, 17 фев 2026 18:03:07 +0300", "2026-02-17T15:03:07"),
    ("вторник, 17 февраля 2026 г. в 18:03 МСК", "2026-02-17T15:03:00"),
    ("вівторок, 17 лютого 2026 18:03 EET", "2026-02-17T16:03:00"),
    ("Di, 17 Mär 2026 18:03:07 +0100", "2026-03-17T17:03:07"),
    ("Dienstag, 17. März 2026 um 18:03 Uhr MEZ", "2026-03-17T17:03:00"),
    ("mar., 17 févr. 2026 18:03:07 +0100", "2026-02-17T17:03:07"),
    ("mardi 17 février 2026 à 18h03 CET", "2026-02-17T17:03:00"),
    ("mar, 17 mar 2026 18:03:07 +0100", "2026-03-17T17:03:07"),
    ("martes, 17 de marzo de 2026 a las 18:03 GMT", "2026-03-17T18:03:00"),
    ("terça-feira, 17 de março de 2026 às 18:03 BRT", "2026-03-17T21:03:00"),
    ("dom, 02 ott 2022 18:55:00 GMT", "2022-10-02T18:55:00"),
    ("wtorek, 17 września 2024, godz. 18:03 CEST", "2024-09-17T16:03:00"),
    ("Sal, 17 Ağustos 2026 18:03 +03", "2026-08-17T15:03:00"),
    ("17 ARALIK 2026 18:03 TRT", "2026-12-17T15:03:00"),
    ("Thứ Ba, 17/02/2026 - 18:03 +0700", "2026-02-17T11:03:00"),
    ("2026年2月17日 18:03:07 JST", "2026-02-17T09:03:07"),
    ("2026年2月17日 上午12:03 HKT", "2026-02-16T16:03:00"),
    ("2026. 2. 17. 오전 9:03 KST", "2026-02-17T00:03:00"),
    ("٢٠٢٦-٠٢-١٧T18:03Z", "2026-02-17T18:03:00"),
]


@pytest.mark.parametrize(("written", "right"), RFC_822 + ISO_8601 + UNIX + OTHER_LANGUAGES)
def test_date_with_a_zone_is_read_in_it(written: str, right: str) -> None:
    assert parse_date(written) == utc(right)


@pytest.mark.parametrize(("written", "right"), RFC_822 + ISO_8601 + UNIX + OTHER_LANGUAGES)
def test_zone_that_is_written_wins_over_the_publisher_s(written: str, right: str) -> None:
    assert parse_date(written, SEOUL) == utc(right)


def test_date_in_the_future_is_returned_as_read() -> None:
    assert parse_date("Fri, 17 Feb 2126 18:03:07 GMT") == utc("2126-02-17T18:03:07")


def test_answer_is_in_utc() -> None:
    read = parse_date("Tue, 17 Feb 2026 18:03:07 +0300")
    assert read is not None
    assert read.tzinfo is UTC


# -- without a zone -------------------------------------------------------------------------------

WITHOUT_ZONE = [
    "Tue, 17 Feb 2026 18:03:00",
    "Tue Feb 17 18:03:00 2026",
    "2026-02-17T18:03",
    "2026-02-17 18:03:00",
    "20260217T180300",
    "2026/2/17 18:03:00",
    "17.02.2026 18:03",
    "17.02.2026, 18:03 Uhr",
    "17/02/2026 18:03",
    "17-02-2026 18:03",
    "2/17/2026 6:03 PM",
    "Mon, 02/17/2026 - 18:03",
    "2026:02:17 18:03:00",
    "Tuesday, February 17, 2026 - 18:03",
    "Tuesday, February 17, 2026 – 6:03pm",
    "Feb. 17, 2026, 6:03 p.m.",
    "17 февраля 2026, 18:03",
    "18:03, 17 февраля 2026 г.",
    "17 Şubat 2026, 18:03",
    "2026年2月17日 18:03",
    "2026年2月17日18时03分",
    "2026年02月17日 星期二 18:03:00",
    "2026年2月17日(火)午後6時03分",
    "2026年2月17日 下午6:03",
    "２０２６年２月１７日 １８：０３",
    "2026년 2월 17일 18시 03분",
    "2026년 2월 17일 화요일 오후 6:03",
    "2026. 2. 17. 오후 6:03:00",
    "2026-02-17 (화) 18:03:00",
]


@pytest.mark.parametrize("written", WITHOUT_ZONE)
def test_date_without_a_zone_is_the_publisher_s_time(written: str) -> None:
    assert parse_date(written, SEOUL) == EVENING


@pytest.mark.parametrize("written", WITHOUT_ZONE)
def test_date_without_a_zone_is_left_out_where_the_publisher_s_is_unknown(written: str) -> None:
    assert parse_date(written) is None


@pytest.mark.parametrize(
    "written",
    [
        "2026-02-17",
        "20260217",
        "17 Feb 2026",
        "Tuesday, 17 February, 2026",
        "17.2.2026",
        "2026年2月17日",
        "2026년 2월 17일",
    ],
)
def test_date_without_a_time_is_midnight_at_the_publisher_s(written: str) -> None:
    assert parse_date(written, SEOUL) == utc("2026-02-16T15:00:00")
    assert parse_date(written) is None


# -- zones ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("WET", 0), ("BST", 1), ("WEST", 1), ("CET", 1), ("CEST", 2), ("EET", 2), ("EEST", 3), ("MSK", 3), ("МСК", 3),
        ("ICT", 7), ("HKT", 8), ("SGT", 8), ("KST", 9), ("JST", 9), ("AEDT", 11), ("NPT", 5.75),
        ("EST", -5), ("EDT", -4), ("CDT", -5), ("MST", -7), ("MDT", -6), ("PST", -8), ("PDT", -7),
    ],
)  # fmt: skip
def test_usual_abbreviation_is_known(zone: str, hours: float) -> None:
    assert parse_date(f"17 Feb 2026 18:03 {zone}") == utc("2026-02-17T18:03:00") - timedelta(hours=hours)


@pytest.mark.parametrize(
    "zone", ["CST", "IST", "AST", "GST", "SST", "ECT", "ET", "XYZ", "A", "Europe/Moscow", "Moscow"]
)
def test_abbreviation_that_nobody_can_know_is_refused_even_where_the_publisher_has_a_zone(zone: str) -> None:
    assert parse_date(f"Tue, 17 Feb 2026 18:03:07 {zone}", SEOUL) is None


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("Tue, 17 Feb 2026 18:03:07 CST", "2026-02-17T10:03:07"),
        ("2026年2月17日 18:03:07 (CST)", "2026-02-17T10:03:07"),
        ("Tue, 17 Feb 2026 18:03:07 GMT", "2026-02-17T10:03:07"),
        ("Tue, 17 Feb 2026 18:03:07 IST", "2026-02-17T18:03:07"),
        ("Fri, 17 Jul 2026 18:03:07 IST", "2026-07-17T17:03:07"),
    ],
)
def test_what_the_publisher_means_by_an_abbreviation_wins(written: str, right: str) -> None:
    shanghai, dublin = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Dublin")
    zones = Zones(named={"cst": shanghai, "gmt": shanghai, "ist": dublin})
    assert parse_date(written, zones) == utc(right)


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("17 Feb 2026 18:03", "2026-02-17T17:03:00"),
        ("17 Jul 2026 18:03", "2026-07-17T16:03:00"),
        ("25 Oct 2026 02:30", "2026-10-25T00:30:00"),  # happens twice that night
        ("29 Mar 2026", "2026-03-28T23:00:00"),
        ("2026-07-17", "2026-07-16T22:00:00"),
        ("2026-03-28T24:00:00", "2026-03-28T23:00:00"),
    ],
)
def test_publisher_s_summer_time_is_kept(written: str, right: str) -> None:
    assert parse_date(written, Zones(ZoneInfo("Europe/Berlin"))) == utc(right)


# -- refused --------------------------------------------------------------------------------------

NO_DATES = [
    "",
    "yesterday",
    "18:03",
    "Yesterday, 18:03 GMT",
    "Feb 2026",
    "17 Feb 18:03 GMT",
    "17 Foo 2026 18:03 GMT",
    "Mo, 25 Jun 11:41:36",
    "Vol. 17 2 2026",
    "2026 02 17",
    "2026-W08-2T10:00Z",
    "2026-048T10:00Z",
    "2026-02-17T18Z",
    "2026-02-17+03:00",
    "2026-02-17 -05:00",
    "2026-02-17Z",
    "17 Feb 2026 GMT",
    "17 Feb 2026 18:03 - 19:03",
    "17 Feb 2026 10 pm GMT",
    "2026-02-17T18:03:07-05:00Z",
    "Tue, 17 Feb 2026 18:03:07 0000",
    "2026年2月17日晚上8:03",
    "晚上8:03 2026年2月17日",
    "令和8年2月17日 18:03",
    "1771374614.5",
    "17713746145",
    "-1771374614",
]
TWO_DATES = [
    "02/03/2026 18:03 GMT",
    "02-03-2026 18:03 GMT",
    "Sat, 11 04 2020 08:51:49 +0100",
    "10/30/23 21:55:58 GMT",
    "26.02.17 18:03 GMT",
]
IMPOSSIBLE = [
    "Tue, 31 Feb 2026 10:00:00 GMT",
    "Sun, 29 Feb 2026 10:00:00 GMT",
    "Tue, 17 Feb 2026 25:00:00 GMT",
    "Tue, 17 Feb 2026 24:00:01 GMT",
    "Tue, 17 Feb 2026 18:60:00 GMT",
    "Tue, 17 Feb 2026 18:03:60 GMT",
    "Feb 17, 2026 18:03 am GMT",
    "Feb 17, 2026 0:03 pm GMT",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "0000-00-00T00:00:00Z",
    "Tue, 17 Feb 2026 18:03:07 +9900",
    "Tue, 17 Feb 2026 18:03:07 +0375",
    "2026-02-17T18:03:07+15:00",
    "2026-02-17T18:03:07-13:00",
]
NO_NEWS = [
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "000000000",
    "Sat, 31 Dec 1994 23:59:59 GMT",
    "1995-01-01T00:00:00+01:00",
    "788918399",
    "Mon, 01 Jan 0001 00:00:00 +0000",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "1 Jan 2201 00:00 GMT",
    "17/02/2569 18:03 +0700",  # Thailand's calendar, and Iran's
    "1404-11-28T18:03:00+03:30",
]


@pytest.mark.parametrize("written", NO_DATES + TWO_DATES + IMPOSSIBLE + NO_NEWS)
def test_what_is_no_date_or_could_be_two_is_refused(written: str) -> None:
    assert parse_date(written, SEOUL) is None


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("17/02/2026 18:03 GMT", "2026-02-17T18:03:00"),
        ("02/17/2026 18:03 GMT", "2026-02-17T18:03:00"),
        ("03/03/2026 18:03 GMT", "2026-03-03T18:03:00"),
        ("02.03.2026 18:03 GMT", "2026-03-02T18:03:00"),  # nobody who writes full stops puts the month first
        ("2026/02/03 18:03 GMT", "2026-02-03T18:03:00"),
    ],
)
def test_order_of_numbers_is_taken_where_only_one_is_possible(written: str, right: str) -> None:
    assert parse_date(written) == utc(right)


@pytest.mark.parametrize("padding", ["1", " 1", "(", "Tue, ", "١", "ﷺ", ":1"])
def test_long_text_is_refused(padding: str) -> None:
    assert parse_date(padding * 100_000 + "17 Feb 2026 18:03 GMT", SEOUL) is None


# -- laws -----------------------------------------------------------------------------------------

moments = st.datetimes(
    min_value=datetime(1995, 1, 2),  # noqa: DTZ001 - hypothesis wants naive bounds, and puts the zone to them
    max_value=datetime(2199, 12, 30),  # noqa: DTZ001
    timezones=st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@given(moments)
def test_rfc_822_is_read_as_it_is_written(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    assert parse_date(format_datetime(moment)) == moment


@given(moments)
def test_rfc_822_is_read_the_same_in_any_case_and_without_its_punctuation(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    assert parse_date(format_datetime(moment).lower().replace(",", "")) == moment


@given(moments, st.sampled_from(["T", " "]), st.sampled_from(["auto", "milliseconds", "microseconds"]))
def test_iso_8601_is_read_as_it_is_written(moment: datetime, separator: str, precision: str) -> None:
    written = moment.isoformat(separator, precision)
    assert parse_date(written) == datetime.fromisoformat(written)


@given(moments)
def test_unix_time_is_read_as_it_is_written(moment: datetime) -> None:
    seconds = int(moment.timestamp())
    assert parse_date(str(seconds)) == moment.replace(microsecond=0)
    assert parse_date(f"{seconds}007") == moment.replace(microsecond=7_000)


@given(st.datetimes(datetime(1995, 1, 2), datetime(2199, 12, 30)), st.data())  # noqa: DTZ001
def test_local_time_is_that_of_the_zone(moment: datetime, data: st.DataObject) -> None:
    zone = ZoneInfo(data.draw(st.sampled_from(["Europe/Moscow", "Asia/Tehran", "America/New_York", "Europe/Dublin"])))
    assert parse_date(str(moment), Zones(zone)) == moment.replace(tzinfo=zone).astimezone(UTC)


PIECES = [
    "17", "2", "2026", "26", "Feb", "фев", "mar", "Tue,", "18:03", ":07", "24:00", "GMT", "CST", "+03", "-0500", "Z", "T", "pm",
    "上午", "年", "月", "日", "년", ".", "/", "-", " ", "(", ")", ",", "\0", "\ud800", "İ", "½", "²", "١",
]  # fmt: skip
texts = st.text() | st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.datetimes().map(str)


@given(texts, st.sampled_from([Zones(), SEOUL, Zones(ZoneInfo("America/New_York"))]))
def test_any_text_is_a_date_in_utc_or_none(text: str, zones: Zones) -> None:
    read = parse_date(text, zones)
    assert read is None or (read.tzinfo is UTC and 1995 <= read.year <= 2200)


# -- the collected wild ---------------------------------------------------------------------------

MEASURED = Path(__file__).parents[2] / "shared" / "fixtures" / "measured" / "dates_feedparser_6.0.14.tsv"
#: Read only where the publisher's zone is known; IST is not India's alone.
WANTS_A_ZONE = {"2016/6/29 15:07:41", "2026년 2월 17일", "Tue, 17 Feb 2026 18:03:07 IST"}
#: The table leaves it to the caller to hold them to the time they were seen.
FUTURE = {"Fri, 17 Feb 2126 18:03:07 GMT": "2126-02-17T18:03:07Z"}


def measured() -> Iterator[tuple[str, str]]:
    if MEASURED.exists():
        with MEASURED.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                written = row["pubDate"] or ""
                yield written, FUTURE.get(written, row["right_answer"])


@pytest.mark.parametrize(("written", "right"), list(measured()))
def test_measured_date_is_read_right(written: str, right: str) -> None:
    answer = right.split(" ")[0]
    expected = datetime.fromisoformat(answer) if answer.endswith("Z") and written not in WANTS_A_ZONE else None
    assert parse_date(written) == expected


@pytest.mark.parametrize(("written", "right"), [row for row in measured() if "no zone" in row[1]])
def test_measured_date_without_a_zone_is_read_right_where_it_is_known(written: str, right: str) -> None:
    local = datetime.fromisoformat(right.split(" ")[0]).replace(tzinfo=SEOUL.default)
    assert parse_date(written, SEOUL) == local
