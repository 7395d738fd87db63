"""Turn the bytes of a document into text, whatever they are said to be. Pure.

Takes the body and the header of an answer, gives the text and what was guessed or lost on the way. Refuses nothing: a byte
that cannot be read becomes U+FFFD. An encoding is known by the characters that its languages use most.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from w3lib.encoding import http_content_type_encoding, read_bom, resolve_encoding

from monitor.text import language_code

_XML_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?\bencoding\s*=\s*["']([\w.:-]+)""")
#: Encodings of documents. Python has others (base64, punycode); and what claims to be wide was caught before, or is not.
_CHARSET = re.compile(
    r"utf-8|ascii|cp\d+|iso8859-\d+|koi8-\w+|kz1048|ptcp154|tis-620|mac-\w+|gb18030|hz|big5\w*|johab"
    r"|(?:euc|shift|iso2022)_\w+"
)
_LANGUAGE = re.compile(rb"""<(?:dc:)?language>\s*([\w-]+)|\bxml:lang\s*=\s*["']([\w-]+)""")
#: How a "<" begins in a wide encoding without a byte order mark.
_WIDE = {b"\x00\x00\x00<": "utf-32-be", b"<\x00\x00\x00": "utf-32-le", b"\x00<": "utf-16-be", b"<\x00": "utf-16-le"}


@dataclass(frozen=True, slots=True)
class _Writing:
    """What is written in some encodings, and how to know it."""

    languages: frozenset[str]
    #: Python's names, most used first
    encodings: tuple[str, ...]
    #: the commonest characters, in lower case
    common: frozenset[str]
    #: the share that they have, at least, of what is not ASCII in a text read right
    share: float


#: Shares as counted in headlines: 0.66 to 0.71 (Russian, Ukrainian, Bulgarian), 0.50 (Chinese, both scripts), 0.56, 0.48.
_WRITINGS = (
    _Writing(
        frozenset({"ru", "uk", "be", "bg", "sr", "mk"}), ("cp1251", "koi8-u"), frozenset("оеаинтсрвлі"), share=0.55
    ),
    _Writing(
        frozenset({"zh"}),
        ("gb18030", "big5hkscs"),
        frozenset(
            "的一是不了在人有我他这這个個们們中来來上大为為和国國地到以说說时時要就出会會可也你对對生能而子那得于於着著下自之年过過"
            "发發后後作里裡用道行所然家种種事成方多经經去法学學如都同现現当當没沒动動面起看定天分还還进進好小部其些主样樣理心本前开開"
            "但因只从從想实實日军軍者意无無力它与與长長把机機十民第公此已工使情明性知全三又关關点點正业業外将將两兩高间間由问問很最重"
            "并並物手应應战戰向头頭文体體政美相见見被利什二等产產新己制身果加西斯月话話合回特代内內信表化老给給世位次度门門任常先海通"
            "教儿兒东東声聲提立及比员員解水名真论論处處走义義各入几幾口认認条條平系气氣题題活尔爾更别別打女变變四神总總何电電数數安少"
            "报報才结結反受目太量再感建务務做接必场場件计計管期市直德资資命山金指克许許统統区區保至队隊形社便空决決治展马馬科司五基眼"
            "书書非则則听聽白却卻界达達光放强強即像难難且权權思王象完设設式色路记記南品住告类類求据據程北边邊死张張该該交规規万萬取拉"
        ),
        share=0.4,
    ),
    _Writing(
        frozenset({"ko"}),
        ("cp949",),
        frozenset(
            "이다의는에을가한고를은로지사하기자인대도서해시리정과부전일어나스그수있라으보제장들만상주니여원면아게할와안조적성동구연세비국"
            "선관것용경위계발"
        ),
        share=0.45,
    ),
    _Writing(
        frozenset({"ja"}),
        ("cp932", "euc_jp"),
        frozenset("のにはをたがでてとしれさいるかなもっりまらくうよこすきんあそえけせつみちわおだどじやめン"),
        share=0.3,
    ),
)
_WRITTEN_IN = {encoding: writing for writing in _WRITINGS for encoding in writing.encodings}
_LATIN = "cp1252"
#: In Latin scripts letters beyond ASCII stand alone or in pairs.
_RUN = re.compile(rb"[\x80-\xff]{3,}")
#: Bytes that are looked through for what is not ASCII, and bytes of it that are judged: 200 suffice.
_READ, _SAMPLE = 1_000_000, 4_000
#: What a declaration, and what the language is worth, where 1 is a text as it should be; and how much more they are worth
#: in a text of fewer bytes beyond ASCII than are evidence.
_DECLARED, _OF_LANGUAGE = 0.3, 0.2
_EVIDENCE, _WITHOUT_EVIDENCE = 40, 5
#: So many characters of several bytes, all in their places, do not come about by chance in another encoding.
_CLEARLY_UTF8 = 8


def decode(body: bytes, headers: Mapping[str, str], language: str = "") -> tuple[str, tuple[str, ...]]:
    """Give the text, and what was guessed or lost, in words for people.

    `headers` have lower-case names, `language` is what the feed list says of the feed (ISO 639-1, or empty).
    """
    # feedparser answers a single bad UTF-8 byte, or a cut inside a character, by reading the whole document as iso-8859-2:
    # silent mojibake in every title, and new ids for items without a guid.
    encoding, bom = read_bom(body)
    if encoding and bom:
        return body[len(bom) :].decode(encoding, "replace"), ()
    for start, wide in _WIDE.items():
        if body.startswith(start):
            return body.decode(wide, "replace"), ()
    declared = _declared(body, headers)
    name = _encoding(body, declared, language)
    text = body.decode(name, "replace")
    warnings = []
    if name not in ("utf-8", *declared):
        warnings.append(f"encoding guessed: {name}")
    if _lost(text, body):
        warnings.append(f"bytes that are no {name} replaced")
    return text, tuple(warnings)


def _declared(body: bytes, headers: Mapping[str, str]) -> list[str]:
    """Give Python's names of the encodings that the XML declaration and the header name, in this order.

    RFC 7303 has it the other way round, for proxies that recode; there are more servers with a wrong default.
    """
    declaration = _XML_ENCODING.match(body)
    labels = (
        declaration and declaration[1].decode("ascii", "replace"),
        http_content_type_encoding(headers.get("content-type", "")),
    )
    names = [resolve_encoding(label) for label in labels if label]
    # KOI8-U is KOI8-R with the letters of Ukrainian in the place of lines for drawing boxes.
    return [name.replace("koi8-r", "koi8-u") for name in names if name and _CHARSET.fullmatch(name)]


def _encoding(body: bytes, declared: list[str], language: str) -> str:
    legacy = [name for name in declared if name != "utf-8"]
    if body.isascii():
        return legacy[0] if legacy else "utf-8"  # iso-2022-jp is ASCII too
    if _is_utf8(body, is_declared=len(legacy) < len(declared) or not declared):
        return "utf-8"
    return _likeliest(body, legacy, language or _language_in(body))


def _is_utf8(body: bytes, *, is_declared: bool) -> bool:
    """Tell UTF-8, damaged or not. Seen often: declared as windows-1251, and recoded since."""
    text = body.decode("utf-8", "replace")
    lost = _lost(text, body)
    if is_declared and not lost:
        return True
    sound = len(text) - len(text.encode("ascii", "ignore")) - lost
    return sound >= lost if is_declared else sound >= max(_CLEARLY_UTF8, 10 * lost)


def _lost(text: str, body: bytes) -> int:
    """Give the number of characters that could not be read; a publisher's own U+FFFD is no damage of ours."""
    lost = text.count("\ufffd")
    return max(0, lost - body.count("\ufffd".encode())) if lost else 0


def _language_in(body: bytes) -> str:
    found = _LANGUAGE.search(body, 0, 4_000)
    return language_code((found[1] or found[2]).decode("ascii", "replace")) if found else ""


def _likeliest(body: bytes, declared: list[str], language: str) -> str:
    """Give the encoding in which the text looks most like text; what is declared, and the language, count as well."""
    usual = [writing.encodings[0] for writing in _WRITINGS if language in writing.languages]
    # Whitespace is no part of a character in any encoding that is ASCII's superset.
    sample = b" ".join(word for word in body[:_READ].split() if not word.isascii())[:_SAMPLE]
    evidence = len(sample) - len(sample.decode("ascii", "ignore"))
    weight = 1 if evidence >= _EVIDENCE else _WITHOUT_EVIDENCE

    def likelihood(name: str) -> float:
        said = _DECLARED if name in declared else _OF_LANGUAGE if name in usual else 0.0
        return _plausibility(sample, name) + weight * said

    return max(dict.fromkeys((*declared, *usual, _LATIN, *_WRITTEN_IN)), key=likelihood)


def _plausibility(sample: bytes, encoding: str) -> float:
    """Give 1 for what looks as text in an encoding does, less for what does not; below 0 if much cannot be read."""
    text = sample.decode(encoding, "replace")
    beyond_ascii = [character for character in text if character > "\x7f"]
    count = max(1, len(beyond_ascii))
    damage = 2 * text.count("\ufffd") / count
    if encoding == _LATIN:
        return 1.0 - sum(map(len, _RUN.findall(sample))) / count - damage
    writing = _WRITTEN_IN.get(encoding)
    if writing is None or not any(map(str.isalpha, beyond_ascii)):
        return 1.0 - damage  # punctuation looks alike in all
    # Capitals count half: KOI8 and Windows-1251 read as each other are shouting.
    common = sum((character in writing.common) + (character.lower() in writing.common) for character in beyond_ascii)
    return min(1.0, common / 2 / count / writing.share) - damage
