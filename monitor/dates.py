"""Read the dates that publishers write, as UTC. Pure, and without a clock: no part of a date is filled in from today.

Takes RFC 822 and ISO 8601 with all that is done to them, Unix time, and dates as people write them in a dozen languages.
Refuses what is no date or could be two: an item without a date has the time at which we saw it, which is nearly right.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from monitor.model import Zones

NO_ZONES = Zones()

#: Characters. The longest date seen, JavaScript's with its zone spelt out, has 66.
_LONGEST = 100
#: There were no feeds before, and publishers without a date write the epoch; what is later counts in another calendar.
_YEARS = range(1995, 2201)


def parse_date(text: str, zones: Zones = NO_ZONES) -> datetime | None:
    """Give the moment, which may lie in the future; None rather than an invention.

    None: no date, or one that does not exist; a zone that nobody names, or that could be several (CST, IST), unless
    `zones` says what is meant; 02/03/2026; a year before 1995 or after 2200. A date alone is midnight, and only where
    `zones` has a default. Of a local time that happens twice the first is taken.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    try:
        read = _rfc_822(text, zones) or _iso_8601(text, zones) or _unix(text) or _written(text, zones)
        when = read.astimezone(UTC) if read else None
    except (ValueError, OverflowError):  # 31 February; 1 January of the year 1 east of Greenwich
        return None
    return when if when and when.year in _YEARS else None


# -- the two common forms -------------------------------------------------------------------------
# Nearly all dates have one of them; what is odd about the others is left to `_written`, which takes ten times as long.

_RFC_822 = re.compile(
    r"(?:[A-Z][a-z]{2}, )?([0-9]{1,2}) ([A-Z][a-z]{2}) ([0-9]{4}) (?!24)([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?"
    r" (?:([+-][0-9]{4})|([A-Z]{1,5}))"
)
# `fromisoformat` also takes weeks, hours alone and any separator, and not the same in every version of Python.
_ISO_8601 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ](?!24)[0-9]{2}:[0-9]{2}|$)|[0-9]{8}(?:T(?!24)[0-9]{4}|$)",
)


def _rfc_822(text: str, zones: Zones) -> datetime | None:
    found = _RFC_822.fullmatch(text)
    if not found:
        return None
    day, name, year, hour, minute, second, offset, word = found.groups()
    month = _MONTHS.get(name.lower())
    zone = _offset(offset) if offset else _named(word.lower(), zones)
    if not month or not zone:
        return None
    return datetime(int(year), month, int(day), int(hour), int(minute), int(second or 0), tzinfo=zone)


def _iso_8601(text: str, zones: Zones) -> datetime | None:
    if not _ISO_8601.match(text):
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    offset = when.utcoffset()
    if offset is None:
        return when.replace(tzinfo=zones.default) if zones.default else None
    return when if _is_used(offset) else None


# -- seconds and milliseconds ---------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _unix(text: str) -> datetime | None:
    """Read Unix time. The years that count leave it no other lengths: 9 and 10 digits, or 12 and 13."""
    if not re.fullmatch(r"[0-9]{9,10}(?:[0-9]{3})?", text):
        return None
    return _EPOCH + (timedelta(milliseconds=int(text)) if len(text) > 10 else timedelta(seconds=int(text)))


# -- as people write ------------------------------------------------------------------------------
# The clock is found first, since nothing else has a colon; what follows it is the zone; what is left over is the day.

_CLOCK = re.compile(
    r"""
    (?<! [\d:+-] )                                     # not the offset of a date without a time: 2026-02-17+03:00
    (?: (?P<before> am | pm | [上下]午 | 午[前後] | 오[전후] ) \s? )?
    (?P<hour> \d{1,2} ) \s? [:h时時点點시] \s? (?P<minute> \d{1,2} )
    (?: \s? [:分분] \s? (?P<second> \d{1,2} ) (?: [.,] (?P<fraction> \d+ ) )? )?
    \s? [分분秒초]?
    (?: \s? (?P<after> [ap] ) \.? \s? m \b \.? )?
    (?: \s? (?: uhr | hrs? | h ) \b \.? )?
    (?! [\d:] )
    """,
    re.VERBOSE,
)
_MORNING = ("am", "a", "上午", "午前", "오전")
# `GMT+9` is Korea Times. One in brackets counts where none stands before it: 18:03 (MSK), but +0300 (MSK).
_ZONE = re.compile(
    r"[\s(]*(?:(?:(?:gmt|utc|ut)\s?)?(?P<offset>[+-]\d{1,2}(?::?\d{2})?)(?!\d)|(?P<word>[^\W\d_]+))",
)


def _written(text: str, zones: Zones) -> datetime | None:
    text = _fold(text)
    clock = _CLOCK.search(text)
    if not clock:
        day = _day(text)
        return datetime(*day, tzinfo=zones.default) if day and zones.default else None
    before, after = text[: clock.start()], text[clock.end() :]
    if before.strip() and not re.search(r"\d", before):
        return None  # a word by the clock may be half of the day: 晚上8:03
    zone, after = _zone(after, zones)
    day = _day(f"{before} {after}")
    return _moment(day, clock, zone) if day and zone else None


def _zone(after: str, zones: Zones) -> tuple[tzinfo | None, str]:
    """Give the zone that follows the clock, None if nobody knows it, and what comes after it."""
    found = _ZONE.match(after)
    if not found or found["word"] in _MONTHS:
        return zones.default, after
    zone = _offset(found["offset"]) if found["offset"] else _named(found["word"], zones)
    return zone, after[found.end() :]


def _moment(day: tuple[int, int, int], clock: re.Match[str], zone: tzinfo) -> datetime:
    hour, minute, second = _hour(clock), int(clock["minute"]), int(clock["second"] or 0)
    microsecond = int((clock["fraction"] or "0")[:6].ljust(6, "0"))
    if (hour, minute, second, microsecond) == (24, 0, 0, 0):  # ISO 8601: the end of the day
        return datetime(*day, tzinfo=zone) + timedelta(days=1)
    return datetime(*day, hour, minute, second, microsecond, tzinfo=zone)


def _hour(clock: re.Match[str]) -> int:
    hour, half = int(clock["hour"]), clock["before"] or clock["after"]
    if not half:
        return hour
    first, last, begin = (0, 12, 0) if half in _MORNING else (1, 23, 12)  # some write 18:03 pm
    if not first <= hour <= last:
        raise ValueError("no such hour")
    return begin + hour % 12


# -- zones ----------------------------------------------------------------------------------------

_WESTERNMOST, _EASTERNMOST = timedelta(hours=-12), timedelta(hours=14)  # Baker Island, Kiribati
#: Hours, as the tz database has them. Missing on purpose, since nobody knows which is meant: CST (America, as RFC 822 has
#: it, or China), IST (India, Israel, Ireland), AST (the Atlantic, Arabia), GST (the Gulf, Guam), SST, ECT, WST, ET, PT.
_HOURS = {
    "z": 0, "ut": 0, "utc": 0, "gmt": 0, "wet": 0,
    "bst": 1, "west": 1, "wat": 1, "cet": 1, "mez": 1, "cest": 2, "mesz": 2, "cat": 2, "sast": 2, "eet": 2,
    "eest": 3, "msk": 3, "мск": 3, "trt": 3, "eat": 3, "idt": 3, "irst": 3.5, "msd": 4, "samt": 4,
    "pkt": 5, "yekt": 5, "npt": 5.75, "omst": 6, "ict": 7, "wib": 7, "krat": 7, "novt": 7,
    "hkt": 8, "sgt": 8, "myt": 8, "pht": 8, "awst": 8, "irkt": 8, "kst": 9, "jst": 9, "yakt": 9,
    "acst": 9.5, "aest": 10, "vlat": 10, "acdt": 10.5, "aedt": 11, "nzst": 12, "nzdt": 13,
    "brt": -3, "art": -3, "edt": -4, "est": -5, "cdt": -5, "mdt": -6, "mst": -7, "pdt": -7, "pst": -8, "akdt": -8,
    "akst": -9, "hst": -10,
}  # fmt: skip
_USUAL: dict[str, tzinfo] = {name: timezone(timedelta(hours=hours)) for name, hours in _HOURS.items()}


def _named(word: str, zones: Zones) -> tzinfo | None:
    return zones.named.get(word) or _USUAL.get(word)


@lru_cache(maxsize=256)
def _offset(written: str) -> timezone | None:
    """Read +0300, +03:00, +03, +3, +530."""
    digits = written[1:].replace(":", "")
    hours, minutes = (digits, "0") if len(digits) <= 2 else (digits[:-2], digits[-2:])
    if int(minutes) > 59:
        return None
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if written[0] == "-" else 1)
    return timezone(offset) if _is_used(offset) else None


def _is_used(offset: timedelta) -> bool:
    return _WESTERNMOST <= offset <= _EASTERNMOST


# -- days -----------------------------------------------------------------------------------------

# What stands inside brackets, and the days of the week where they are written as one with the date.
_ASIDE = re.compile(r"\([^()]*\)|(?:星期|礼拜|禮拜|周|週)[一二三四五六日天]|[月火水木金土日]曜日?|[월화수목금토일]요일")
_TOKEN = re.compile(r"\d+|[^\W\d_]+")
#: words that may stand among the parts of a date and mean nothing
_FILLERS = frozenset(
    (
        "st", "nd", "rd", "th", "of", "at", "on", "t", "er", "um", "de", "del", "a", "as", "las", "alle", "ore", "saat",
        "r", "o", "godz", "г", "год", "года", "р", "року", "в", "о", "年", "月", "日", "号", "號", "년", "월", "일",
        "mon", "tue", "wed", "thu", "fri", "sat", "sun",
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
    )
)  # fmt: skip
#: n: one or two digits, Y: four, M: a month's name. Two digits at the end are a year only in the order of RFC 822.
_ORDERS = {"nMY": "dmy", "nMn": "dmy", "MnY": "mdy", "YMn": "ymd", "Ynn": "ymd"}
# Locales that part a date by full stops put the day first, or the year.
_DOTTED = re.compile(r"\d\. ?\d{1,2}\. ?\d{4}")
_LOOSE = re.compile(r"\d[\s,]+\d")


def _day(text: str) -> tuple[int, int, int] | None:
    """Read year, month and day from a text that must hold nothing else; they need not exist."""
    text = _ASIDE.sub(" ", text)
    shape, values = "", []
    for token in _TOKEN.findall(text):
        if token.isdecimal():
            if len(token) not in (1, 2, 4):
                return None
            shape += "Y" if len(token) == 4 else "n"
            values.append(int(token))
        elif token in _MONTHS:
            shape += "M"
            values.append(_MONTHS[token])
        elif shape and token not in _FILLERS:  # before it the day of the week, in any language
            return None
    if shape.startswith("M") and "M" in shape[1:]:  # "mar" is a Tuesday too
        shape, values = shape[1:], values[1:]
    order = _order_of_numbers(text, *values[:2]) if shape == "nnY" else _ORDERS.get(shape)
    if not order or ("M" not in shape and _LOOSE.search(text)):
        return None
    day = dict(zip(order, values, strict=True))
    return _year(day["y"]), day["m"], day["d"]


def _order_of_numbers(text: str, first: int, second: int) -> str:
    """Say which of two numbers before a year is the day; empty where nobody knows."""
    if second > 12:
        return "mdy"
    return "dmy" if first > 12 or first == second or _DOTTED.search(text) else ""


def _year(number: int) -> int:
    if number > 99:
        return number
    return number + (2000 if number < 50 else 1900)  # RFC 5322, section 4.3


# -- words ----------------------------------------------------------------------------------------

_INVISIBLE = re.compile("[\u00ad\u0300-\u036f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_ALIKE = str.maketrans("ı‐‑–—−", "i-----")


def _fold(text: str) -> str:
    """Make spellings equal: case, accents, width, dashes; what cannot be seen is taken away."""
    bare = _INVISIBLE.sub("", unicodedata.normalize("NFKD", text.lower()))
    return unicodedata.normalize("NFC", bare).translate(_ALIKE)


#: A line has January to December: English, German, Dutch, French, Spanish, Portuguese, Italian, Polish, Turkish, Russian,
#: Ukrainian, Belarusian; in full, in the genitive where dates have it, and shortened. No word is two months.
_NAMES = """
january february march april may june july august september october november december
jan feb mar apr may jun jul aug sep oct nov dec
januar februar märz april mai juni juli august september oktober november dezember
jänner feber mrz apr mai jun jul aug sept okt nov dez
januari februari maart april mei juni juli augustus september oktober november december
jan feb mrt apr mei jun jul aug sep okt nov dec
janvier février mars avril mai juin juillet août septembre octobre novembre décembre
janv févr mars avr mai juin juil août sept oct nov déc
enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
ene feb mar abr may jun jul ago setiembre oct nov dic
janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro
jan fev mar abr mai jun jul ago set out nov dez
gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
gen feb mar apr mag giu lug ago set ott nov dic
styczeń luty marzec kwiecień maj czerwiec lipiec sierpień wrzesień październik listopad grudzień
stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia
sty lut mar kwi maj cze lip sie wrz paź lis gru
ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık
oca şub mar nis may haz tem ağu eyl eki kas ara
январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь
января февраля марта апреля мая июня июля августа сентября октября ноября декабря
янв фев мар апр мая июн июл авг сен окт ноя дек
янв февр мар апр мая июн июл авг сент окт нояб дек
січень лютий березень квітень травень червень липень серпень вересень жовтень листопад грудень
січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня
січ лют бер кві тра чер лип сер вер жов лис гру
січ лют берез квіт трав черв лип серп верес жовт лист груд
студзень люты сакавік красавік травень чэрвень ліпень жнівень верасень кастрычнік лістапад снежань
студзеня лютага сакавіка красавіка мая чэрвеня ліпеня жніўня верасня кастрычніка лістапада снежня
"""
_MONTHS = {_fold(name): month for line in _NAMES.splitlines() for month, name in enumerate(line.split(), start=1)}
