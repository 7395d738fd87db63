import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.decode import decode

XML = '<?xml version="1.0"?><rss version="2.0"><channel><title>{}</title></channel></rss>'
DECLARED = '<?xml version="1.0" encoding="{}"?><rss version="2.0"><channel><title>{}</title></channel></rss>'

#: Three headlines are what the poorest feed has.
RUSSIAN = "Войска КНДР замечены под Курском. Мирные переговоры в Женеве отложены. Курс рубля снова упал"
UKRAINIAN = "Її заява: ґрунт для переговорів є. Уряд призначив нового міністра. Київ пережив ніч без світла"
SIMPLIFIED = "习近平在北京会见普京。外交部发言人就有关问题答记者问。我国经济运行总体平稳，稳中有进"
TRADITIONAL = "總統在臺北會見外賓。外交部發言人說，這是兩國關係的新發展。我們將繼續加強國防"
KOREAN = "북한군이 러시아 쿠르스크에 파병됐다고 정부가 밝혔다. 대통령은 오늘 국회에서 연설을 한다"
JAPANESE = "ロシア軍の部隊がクルスク州に入ったことを政府が明らかにした。首相はきょう会見を開く"
FRENCH = "L’été où tout a changé : à Genève, les négociations échouent déjà"

LEGACY = [
    (RUSSIAN, "cp1251"),
    (RUSSIAN, "koi8-r"),
    (UKRAINIAN, "cp1251"),
    (UKRAINIAN, "koi8-u"),
    (SIMPLIFIED, "gb2312"),
    (SIMPLIFIED, "gb18030"),
    (TRADITIONAL, "big5"),
    (KOREAN, "euc-kr"),
    (JAPANESE, "shift_jis"),
    (JAPANESE, "euc-jp"),
    (FRENCH, "cp1252"),
]


def text_of(body: bytes, *, content_type: str = "", language: str = "") -> str:
    return decode(body, {"content-type": content_type}, language)[0]


def warnings_of(body: bytes, *, content_type: str = "", language: str = "") -> tuple[str, ...]:
    return decode(body, {"content-type": content_type}, language)[1]


# -- what is said is true -------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "encoding"), [*LEGACY, (RUSSIAN, "utf-8"), (SIMPLIFIED, "utf-8"), ("ASCII", "utf-8")])
def test_a_declaration_that_is_true_is_followed(text: str, encoding: str) -> None:
    document = DECLARED.format(encoding, text)
    assert decode(document.encode(encoding), {}) == (document, ())


@pytest.mark.parametrize(("text", "encoding"), LEGACY)
def test_so_is_a_header(text: str, encoding: str) -> None:
    document = XML.format(text)
    assert decode(document.encode(encoding), {"content-type": f"text/xml; charset={encoding}"}) == (document, ())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_wide_encodings_are_seen_in_the_bytes(encoding: str) -> None:
    document = XML.format(RUSSIAN)
    assert decode(document.encode(encoding), {}) == (document, ())


def test_a_language_written_in_ascii_is_read() -> None:
    document = DECLARED.format("iso-2022-jp", JAPANESE)
    assert text_of(document.encode("iso-2022-jp")) == document


@pytest.mark.parametrize("encoding", ["iso-8859-2", "iso-8859-7", "windows-1256"])
def test_encodings_that_we_cannot_judge_are_believed(encoding: str) -> None:
    text = {
        "iso-8859-2": "Zażółć gęślą jaźń, mówią",
        "iso-8859-7": "Η κυβέρνηση ανακοίνωσε",
        "windows-1256": "أعلنت الحكومة",
    }
    document = DECLARED.format(encoding, text[encoding] * 5)
    assert text_of(document.encode(encoding)) == document


def test_little_is_no_proof_against_a_declaration() -> None:
    document = DECLARED.format("euc-kr", "Talks · 美 · 中")
    assert text_of(document.encode("euc-kr")) == document


def test_punctuation_looks_alike_everywhere() -> None:
    document = DECLARED.format("gb2312", "“Quoted” words, nothing else " * 20)
    assert text_of(document.encode("gb2312")) == document


# -- nothing is said ------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "encoding"), LEGACY)
def test_an_undeclared_encoding_is_known_by_its_letters(text: str, encoding: str) -> None:
    document = XML.format(text)
    assert text_of(document.encode(encoding)) == document


def test_a_guess_is_told() -> None:
    assert warnings_of(XML.format(RUSSIAN).encode("koi8-r")) == ("encoding guessed: koi8-u",)


@pytest.mark.parametrize(("language", "encoding"), [("ru", "cp1251"), ("ko", "cp949"), ("zh", "gb18030")])
def test_the_language_decides_where_letters_do_not(language: str, encoding: str) -> None:
    text = {"ru": "Ы", "ko": "뺨", "zh": "嫪"}[language]
    document = XML.format(text)
    assert text_of(document.encode(encoding), language=language) == document


def test_the_language_may_stand_in_the_document() -> None:
    document = "<rss><channel><language>ru</language><title>ЦБ</title></channel></rss>"
    assert text_of(document.encode("cp1251")) == document


def test_letters_that_stand_alone_are_latin() -> None:
    assert text_of(XML.format("It’s a café").encode("cp1252")) == XML.format("It’s a café")


# -- what is said is false ------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "encoding"), LEGACY[:-1])
@pytest.mark.parametrize(
    "declared", ["utf-8", "iso-8859-1", "us-ascii", "klingon", "base64", "unicode_escape", "utf-16"]
)
def test_a_wrong_declaration_is_overruled(text: str, encoding: str, declared: str) -> None:
    document = DECLARED.format(declared, f"{text} {text}")
    assert text_of(document.encode(encoding)) == document


@pytest.mark.parametrize("declared", ["windows-1251", "iso-8859-1", "koi8-r", "gb2312", "big5", "euc-kr", "shift_jis"])
@pytest.mark.parametrize("text", [RUSSIAN, SIMPLIFIED, TRADITIONAL, KOREAN, JAPANESE])
def test_utf8_is_known_whatever_is_declared(text: str, declared: str) -> None:
    document = DECLARED.format(declared, text)
    assert text_of(document.encode()) == document
    assert text_of(XML.format(text).encode(), content_type=f"text/xml; charset={declared}") == XML.format(text)


@pytest.mark.parametrize(("really", "declared"), [("cp1251", "koi8-r"), ("koi8-r", "windows-1251")])
def test_cyrillic_encodings_are_told_from_each_other(really: str, declared: str) -> None:
    document = DECLARED.format(declared, RUSSIAN)
    assert text_of(document.encode(really)) == document


@pytest.mark.parametrize(("really", "declared"), [("big5", "gb2312"), ("gb2312", "big5"), ("euc-kr", "gb2312")])
def test_so_are_those_of_east_asia(really: str, declared: str) -> None:
    text = {"big5": TRADITIONAL, "gb2312": SIMPLIFIED, "euc-kr": KOREAN}[really]
    document = DECLARED.format(declared, f"{text} {text}")
    assert text_of(document.encode(really)) == document


def test_of_two_declarations_the_one_that_fits_counts() -> None:
    document = DECLARED.format("windows-1251", RUSSIAN)
    assert text_of(document.encode("cp1251"), content_type="text/xml; charset=iso-8859-1") == document


# -- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", ["utf-8", "windows-1251", "klingon"])
def test_one_bad_byte_spoils_one_letter_and_is_told(declared: str) -> None:
    document = DECLARED.format(declared, RUSSIAN)
    text, warnings = decode(document.encode().replace(" под ".encode(), b" \xa9 "), {})
    assert (text, warnings) == (document.replace(" под ", " \ufffd "), ("bytes that are no utf-8 replaced",))


def test_a_bad_byte_among_few_letters_is_one_bad_byte() -> None:
    assert text_of("<title>é and </title>".encode() + b"\x92") == "<title>é and </title>\ufffd"


@pytest.mark.parametrize(("text", "encoding"), [*LEGACY[:-1], (RUSSIAN, "utf-8")])
def test_a_cut_inside_a_character_loses_that_character(text: str, encoding: str) -> None:
    body = XML.format(text).encode(encoding)
    body = body[: body.index(b"</title>") - 1]
    assert text_of(body) == body.decode(encoding, "replace")


def test_what_the_publisher_could_not_read_is_no_damage_of_ours() -> None:
    assert decode("<title>Caf\ufffd</title>".encode(), {}) == ("<title>Caf\ufffd</title>", ())


@given(st.binary(max_size=300), st.sampled_from(["", "utf-8", "gb2312", "koi8-r", "euc-jp", "hz", "iso-2022-kr"]))
def test_all_bytes_give_text_that_can_be_kept(body: bytes, declared: str) -> None:
    text = text_of(body, content_type=f"text/xml; charset={declared}")
    assert text.encode("utf-8").decode() == text


@given(st.text())
def test_utf8_is_read_as_it_was_written(text: str) -> None:
    document = XML.format(text.replace("\x00", ""))
    assert text_of(document.encode("utf-8", "replace")) == document.encode("utf-8", "replace").decode()
