"""Make text and links comparable: plain text, canonical links, keys, scripts, sentences. Pure.

Takes what publishers write, gives what the other steps compare and show. Decides nothing about items.
"""

from __future__ import annotations

import functools
import hashlib
import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, unquote, urlsplit

import nh3
import numpy as np
from numpy.typing import NDArray
from w3lib.url import canonicalize_url

# -- plain text -----------------------------------------------------------------------------------

#: tags that end a word; inline ones (<b>, <a>, <span>) may stand inside one
_BLOCK_TAG = re.compile(
    r"<(?=/?(?:p(?:re)?|b(?:r|lockquote)|d(?:iv|[ltd])|li|[uo]l|h(?:[1-6r]|eader)|t(?:[rdh]|able)|s(?:ection|cript|tyle)"
    r"|article|f(?:ooter|ig(?:ure|caption))|i(?:mg|frame))\b)",
    re.IGNORECASE,
)
#: Another round is for these only: text that merely speaks of "a < b" must survive.
_ESCAPED_AGAIN = re.compile(
    r"</?(?:p|br|div|span|a|b|i|u|em|strong|small|sub|sup|font|img|ul|ol|li|h[1-6]|blockquote|script|style)\b[^<>]*>"
    r"|&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8}\d{0,2});",
    re.IGNORECASE,
)
#: CDATA that was escaped, or wrapped twice: an HTML parser takes it for a comment and loses the words
_CDATA_MARK = re.compile(r"<!\[CDATA\[|\]\]>")
#: C0, C1 and the line separators: they part words
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
#: bidi controls, zero-width characters, soft hyphen, tag characters, and lone surrogates (JSON can carry them)
_INVISIBLES = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e007f\ud800-\udfff]"
)
#: Persian and the scripts of India spell with joiners, and emoji are made with one; anywhere else they only hide.
_STRAY_JOINERS = re.compile("(?<![\u0600-\u06ff\u0900-\u0dff\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]")

#: takes all tags away, and scripts and styles with their contents; escapes the text it keeps
_CLEANER = nh3.Cleaner(tags=set())
#: An HTML parser takes a hundred seconds for a hundred thousand nested tags, and forty milliseconds for so many.
_MAX_TAGS = 2_000


def plain(html_or_text: str) -> str:
    """Give one line of plain text: no markup, no entities, nothing invisible, single spaces, NFC.

    Markup that a publisher escaped once or twice too often is taken away as well. What follows the first 2,000 tags is
    not read.
    """
    text = _strip_markup(html_or_text)
    for _ in range(2):
        if ("<" in text or "&" in text) and _ESCAPED_AGAIN.search(text):
            text = _strip_markup(text)
    text = " ".join(text.split())
    if not text.isprintable():  # nearly all is: one look instead of three
        text = _STRAY_JOINERS.sub("", _INVISIBLES.sub("", _CONTROLS.sub(" ", text)))
        text = " ".join(text.split())
    return unicodedata.normalize("NFC", text)


def _strip_markup(text: str) -> str:
    if "<" in text:
        if text.count("<") > _MAX_TAGS:
            text = "<".join(text.split("<", _MAX_TAGS)[:-1])
        if "]]>" in text or "<![" in text:
            text = _CDATA_MARK.sub(" ", text)
        text = _BLOCK_TAG.sub(" <", text)
        text = _CLEANER.clean(text)
    return html.unescape(text) if "&" in text else text


def clip(text: str, length: int) -> str:
    """Cut to at most `length` (>= 1) characters, at a word boundary where there is one, and say so with "…"."""
    if len(text) <= length:
        return text
    kept = text[: length - 1]
    if not text[length - 1].isspace():
        head, space, _ = kept.rpartition(" ")
        # Scripts without spaces, and monstrous words, are cut where they stand.
        if space and len(head) >= length // 2:
            kept = head
    return kept.rstrip(" ,;:–—-") + "…"


# -- sentences ------------------------------------------------------------------------------------

_SENTENCE_END = re.compile(
    r"(?P<western>(?<![.!?…])[.!?…]++[\"'»”’)\]]*+)\s+(?=(?P<next>\S))|[。！？｡](?:[。！？｡]|[」』”’）】])*\s*"
)
#: what stands before a full stop that ends no sentence; a single letter (an initial, "U.S.") never does
_ABBREVIATION = re.compile(
    "mr|mrs|ms|dr|prof|gen|col|lt|maj|capt|sgt|adm|sen|rep|gov|st|jr|sr|vs|inc|ltd|co|corp|no|fig|approx|est"
    "|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
    "|тыс|млн|млрд|трлн|руб|долл|грн|гг|им|ул|пр|просп|стр|тел|др|проф|акад|ген|полк|напр|см|вул"
)


def sentences(text: str) -> list[str]:
    """Split plain text into sentences, none empty, by Latin, Cyrillic and CJK punctuation."""
    found = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if end["western"] and not _ends_sentence(
            text[max(start, end.start() - 20) : end.start()], end["western"], end["next"]
        ):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def _ends_sentence(before: str, mark: str, following: str) -> bool:
    if following.islower():
        return False
    if mark != ".":
        return True
    word = re.split(r"[\s.(«\"“]", before)[-1].casefold()
    return not (_ABBREVIATION.fullmatch(word) or (len(word) == 1 and word.isalpha()))


# -- comparing ------------------------------------------------------------------------------------

#: ё is optional in Russian; apostrophes are a letter's part in Ukrainian, and everyone types another one
_FOLDED = (("ё", "е"), ("’", "'"), ("‘", "'"), ("ʼ", "'"), ("`", "'"), ("‐", "-"), ("‑", "-"))


def fold(text: str) -> str:
    """Make spellings that a reader takes for the same equal: width, ligatures, case, ё, apostrophes, hyphens."""
    if text.isascii():
        return text.lower().replace("`", "'")
    # Case folding can undo the normal form, hence the second time.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    for spelling, usual in _FOLDED:  # a tenth of the time that `translate` takes
        folded = folded.replace(spelling, usual)
    return folded


#: script, what one of its letters weighs in Latin letters, and its letters. Kana stands with Han: a term in Chinese
#: characters can be found in Japanese text, and Japanese without Han is rare in news.
_SCRIPTS = (
    ("Latin", 1, re.compile("[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a]+")),
    ("Cyrillic", 1, re.compile("[\u0400-\u0481\u048a-\u052f]+")),
    (
        "Han",
        4,
        re.compile(
            "[\u3005\u3006\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]+"
        ),
    ),
    ("Hangul", 3, re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]+")),
)
_LETTERS = re.compile(r"[^\W\d_]+")


def script(text: str) -> str:
    """Name the script that carries the text: "Latin", "Cyrillic", "Han" (kana too), "Hangul" or "Other".

    Letters are weighed, a Han character as four and a Hangul syllable as three: a word is that much shorter there, and
    one company's name would make a Chinese headline Latin. No letters at all is "Other".
    """
    counts = {name: _count(letters, text) for name, _, letters in _SCRIPTS}
    weights = {name: weight * counts[name] for name, weight, _ in _SCRIPTS}
    weights["Other"] = _count(_LETTERS, text) - sum(counts.values())
    best = max(weights, key=weights.__getitem__)
    return best if weights[best] else "Other"


def _count(letters: re.Pattern[str], text: str) -> int:
    return sum(map(len, letters.findall(text)))


def scripts(texts: Sequence[str]) -> list[str]:
    """The same as `script`, of a great many texts, in a twentieth of the time."""
    codes = code_points("".join(texts))
    owners = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    kinds = len(_SCRIPTS) + 2
    counts = np.bincount(owners * kinds + letter_kinds()[np.minimum(codes, 0xFFFF)], minlength=len(texts) * kinds)
    weights = counts.reshape(len(texts), kinds)[:, 1:] * [*(weight for _, weight, _ in _SCRIPTS), 1]
    names = [*(name for name, _, _ in _SCRIPTS), "Other"]
    best = [
        names[place] if weight else "Other" for place, weight in zip(weights.argmax(1), weights.max(1), strict=True)
    ]
    for rare in set(owners[codes > 0xFFFF].tolist()):
        best[rare] = script(texts[rare])
    return best


def code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


@functools.cache
def letter_kinds() -> NDArray[np.uint8]:
    """Of each character up to U+FFFF: 0 if it is no letter, else the place of its script, from 1 on; the last is any other."""
    every = "".join(map(chr, range(0x10000)))
    kinds = np.zeros(0x10000, dtype=np.uint8)
    for kind, letters in (
        (len(_SCRIPTS) + 1, _LETTERS),
        *((n, letters) for n, (_, _, letters) in enumerate(_SCRIPTS, 1)),
    ):
        for run in letters.finditer(every):
            kinds[run.start() : run.end()] = kind
    return kinds


#: codes that feeds use and ISO 639-1 does not: country codes, old codes, ISO 639-2
_LANGUAGE_ALIASES = {
    "ua": "uk", "cn": "zh", "tw": "zh", "jp": "ja", "kr": "ko", "us": "en", "gb": "en", "cz": "cs", "dk": "da", "gr": "el",
    "iw": "he", "in": "id",
    "eng": "en", "rus": "ru", "ukr": "uk", "zho": "zh", "chi": "zh", "jpn": "ja", "kor": "ko",
}  # fmt: skip


def language_code(tag: str) -> str:
    """Reduce a language tag ("zh-CN", "EN_us", "ua") to ISO 639-1 in lower case; empty if it is none."""
    primary = re.split(r"[-_]", tag.strip().lower(), maxsplit=1)[0]
    primary = _LANGUAGE_ALIASES.get(primary, primary)
    return primary if re.fullmatch("[a-z]{2}", primary) else ""


# -- keys -----------------------------------------------------------------------------------------

#: `name=value` of what never names a page, in lower case: one name too many makes two pages one, and the second is never
#: told. Ours on purpose: of nine packages with such a list, the large ones drop `source`, `cid` or `sid` as well, the
#: others know less of what stands in feeds; and a list that grows with an upgrade would give items that we have new ids.
_TRACKING = re.compile(
    r"(?:"
    r"utm[_-].*?|(?:at|hsa|mtm)_.*?"
    r"|(?:int|itm|piwik|pk)_(?:campaign|channel|content|keyword|kwd|medium|source|term)"
    r"|ns_(?:campaign|fee|linkname|mchannel|source)"
    # clicks, by who counts them
    r"|(?:d|fb|g|tt|tw|y|ym|ys)clid|msclkid|gclsrc|[gw]braid|gad_(?:campaignid|source)|srsltid|igsh(?:id)?|mibextid"
    r"|rdt_cid|li_fat_id|fb_(?:action_ids|action_types|ref|source)|ref_(?:src|url)|_openstat"
    # letters, visitors, sessions
    r"|mc_[ce]id|mkt_tok|_hsenc|_hsmi|__hs(?:fp|sc|tc)|hsctatracking|vero_(?:conv|id)|oly_(?:anon|enc)_id"
    r"|ml_subscriber(?:_hash)?|_bhlid|_kx|_g[al]|wt_z?mc|phpsessid|jsessionid"
    # publishers and portals, as seen in feeds and in links that readers share
    r"|__twitter_impression|echobox|ftag|gnt-cfr|guccounter|guce_referrer(?:_sig)?|maca|ocid|referringsource|share_token"
    r"|smid|smtyp|soc_(?:src|trk)|spm(?:_id_from)?|srnd|traffic_source|vd_source|wpisrc|xtor|xtref"
    r")=.*"
    # what names a page on one site and the way to it on another, where it says that the way was a feed
    r"|(?:campaign|channel|cid|cmp|cmpid|emc|from|iid|icid|intcid|medium|mod|ncid|origin|partner|ref|referr?er|source|src"
    r"|via)=(?:(?:.*[-_.])?rss(?:feed|\d)?(?:[-_.].*)?|feeds?)"
    # the same page for telephones; hosts and paths for them (`m.`, `amp.`, `/amp/`, `.amp`) are each site's own
    r"|_?amp=(?:1|true)?|(?:output|outputtype|platform|viewas)=amp",
    re.DOTALL,
)
_DEFAULT_PORT = re.compile(r"(?<=[^/:]):(?:80|443)$")
#: Links that w3lib gives back as they are, up to the order of the query: nine in ten of those in feeds. It takes 40 µs.
_PLAIN = re.compile(
    r"https?://(?P<host>(?:[a-z0-9-]+\.)+[a-z0-9-]+)(?P<path>(?:/(?!\.)[\w,~+=:@.-]*)*)(?:\?(?P<query>[^#\s]*))?",
    re.ASCII,
)
_PLAIN_PAIR = re.compile(r"[\w.~-]+=[\w.~-]*", re.ASCII)


def canonical_link(url: str, *, keep_fragment: bool = False, drop: frozenset[str] = frozenset()) -> str:
    """Give the form under which two links to one page are equal: https, sorted query, no fragment, no tracking.

    For comparing, not for following. `drop` are further parameters (names in lower case) that do not name pages on this
    publisher's site. What is no http(s) URL comes back stripped and else unchanged.
    """
    url = url.strip()
    if plain := _PLAIN.fullmatch(url):
        pairs = _telling(plain["query"] or "", drop)
        if all(map(_PLAIN_PAIR.fullmatch, pairs)):
            pairs.sort(key=lambda pair: pair.partition("="))
            return f"https://{plain['host']}{plain['path'] or '/'}{'?' if pairs else ''}{'&'.join(pairs)}"
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return url
        return str(canonicalize_url(_page(parts, drop).geturl(), keep_fragments=keep_fragment))
    except ValueError:  # a bad port, a bad IPv6 address, a lone surrogate
        return url


def _page(parts: SplitResult, drop: frozenset[str]) -> SplitResult:
    query = "&".join(_telling(parts.query, drop))
    return parts._replace(scheme="https", netloc=_DEFAULT_PORT.sub("", parts.netloc), query=query)


def _telling(query: str, drop: frozenset[str]) -> list[str]:
    """Give the `name=value` pairs that may name the page."""
    return [pair for pair in query.split("&") if pair and not _is_tracking(pair, drop)]


def _is_tracking(pair: str, drop: frozenset[str]) -> bool:
    name, _, value = (unquote(part).lower() for part in pair.partition("="))
    return name in drop or _TRACKING.fullmatch(f"{name}={value}") is not None


#: last parts of a path that are as good as none
_INDEX = re.compile(r"(?:^|/)(?:default|home|index)\.\w{2,5}$")


def page_path(canonical: str) -> str:
    """Give what of a canonical link survives a change of scheme, host and query: the path in lower case.

    Without slashes at its ends and without an index page; empty for a home page and for what is no http(s) URL.
    """
    try:
        parts = urlsplit(canonical)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https"):
        return ""
    path = parts.path.lower().strip("/")
    # with a query it is not the folder's index but the program that makes all pages
    return path if parts.query else _INDEX.sub("", path).strip("/")


def is_web(url: str) -> bool:
    """Say whether this is an http(s) URL by its beginning."""
    return url.lower().startswith(("http://", "https://"))


def host_of(url: str) -> str:
    """Give the host of a URL in lower case, without its port; empty if it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def sink_of(channel: str) -> str:
    """Give the name of the [[sink]] that a channel is of, "desk" of "desk:" and "desk:asia"; empty if it is Slack's."""
    name, colon, _ = channel.partition(":")
    return name if colon else ""


def longest_prefix(url: str, prefixes: Iterable[str]) -> str | None:
    """Give the longest of these beginnings under which a URL lies; None if under none.

    A beginning ends where a part of the URL does: "https://a.com" is none of "https://a.com.evil.org/". A name and password
    in the URL, and the case of its host, mean nothing.
    """
    try:
        parts = urlsplit(url)
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2].lower()).geturl()
    except ValueError:
        return None
    under = [
        p for p in prefixes if address.startswith(p) and (p.endswith("/") or address[len(p) :][:1] in ("", *"/?#&"))
    ]
    return max(under, key=len, default=None)


def http_date(value: str) -> datetime | None:
    """Read a date of an HTTP header, RFC 9110, section 5.6.7; None if it is none ("0" and "-1" are seen often)."""
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)  # "-0000", or no zone at all: HTTP knows no other


def item_id(feed_url: str, identity: str) -> str:
    """Give the key of an item: 16 hex digits over its feed and the publisher's identity of it."""
    return text_hash(f"{feed_url}\n{identity}")


def link_identity(canonical: str) -> str:
    """What stands for an item's canonical link among the names by which it is known again."""
    return f"link\n{canonical}"


def text_hash(text: str) -> str:
    """Give 16 hex digits of sha256 over exactly this text."""
    # JSON can carry lone surrogates, which UTF-8 cannot.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


#: Characters of an item's text that stand for it beside the title: the lead of a report says what it is about.
LEAD = 300


def gist(title: str, text: str) -> str:
    """What an item says, in brief: its title and the beginning of its text. What is embedded and compared."""
    lead = clip(text, LEAD) if text else ""
    # many publishers begin the text with the title again
    if not lead or lead.startswith(title):
        return lead or title
    return f"{title} {lead}" if title.endswith((".", "!", "?", "…", "。", "！", "？")) else f"{title}. {lead}"


#: Sentences of one item that are matched by themselves, so that a digest is read and a book is not; what is wider than so
#: many Latin letters is cut, and what is narrower than the second number goes with the sentence before it.
PIECES = 12
WIDEST, NARROWEST = 240, 40


def units(title: str, text: str) -> list[str]:
    """The texts by which an item is matched: its gist first, its title alone, and its text sentence by sentence.

    One sentence that matters drowns among forty, or among three. Only the gist, where there is no text; at most 2 + PIECES.
    """
    found = [gist(title, text)]
    return found if found[0] == title else list(dict.fromkeys([*found, title, *_pieces(text)]))


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for sentence in _cut(sentences(text[: 2 * WIDEST * PIECES])):
        if pieces and width(pieces[-1]) < NARROWEST:
            pieces[-1] += f" {sentence}"
        elif len(pieces) == PIECES:
            break
        else:
            pieces.append(sentence)
    return pieces


def _cut(parts: Iterable[str]) -> Iterator[str]:
    """Lists and tables have no sentences: let nothing be wider than a piece."""
    for part in parts:
        rest = part
        while width(rest) > WIDEST:
            length = WIDEST * len(rest) // width(rest)
            cut = rest.rfind(" ", length // 2, length) + 1 or length
            yield rest[:cut].strip()
            rest = rest[cut:].strip()
        yield rest


def width(text: str) -> int:
    """Length in Latin letters: a Han character or a Hangul syllable says what three do."""
    return len(text) * (3 if script(text) in ("Han", "Hangul") else 1)
