import subprocess
import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.language import Folded, identify

HEADLINES = {
    "en": "Finance ministers fail to agree on a new round of sanctions",
    "de": "Finanzminister können sich nicht auf neue Sanktionen einigen",
    "fr": "Les ministres des Finances échouent à s'entendre sur de nouvelles sanctions",
    "es": "Los ministros de Finanzas no logran acordar nuevas sanciones",
    "pt": "Ministros das Finanças não chegam a acordo sobre novas sanções",
    "it": "I ministri delle Finanze non trovano l'accordo su nuove sanzioni",
    "nl": "Ministers van Financiën worden het niet eens over nieuwe sancties",
    "pl": "Ministrowie finansów nie osiągnęli porozumienia w sprawie nowych sankcji",
    "cs": "Ministři financí se neshodli na nových sankcích proti bankám",
    "tr": "Maliye bakanları yeni yaptırımlar konusunda anlaşamadı",
    "sv": "Finansministrarna kunde inte enas om nya sanktioner mot bankerna",
    "hu": "A pénzügyminiszterek nem tudtak megegyezni az új szankciókról",
    "ru": "Министры финансов не смогли договориться о новых санкциях против банков",
    "uk": "Міністри фінансів не змогли домовитися про нові санкції проти банків",
    "be": "Міністры фінансаў не змаглі дамовіцца пра новыя санкцыі супраць банкаў",
    "bg": "Финансовите министри не успяха да се споразумеят за нови санкции срещу банките",
    "sr": "Министри финансија нису успели да се договоре о новим санкцијама против банака",
    "mk": "Министрите за финансии не успеаја да се договорат за нови санкции против банките",
    "kk": "Қаржы министрлері банктерге қарсы жаңа санкциялар туралы келісе алмады",
    "ar": "وزراء المالية يفشلون في الاتفاق على عقوبات جديدة ضد البنوك",
    "fa": "وزیران دارایی بر سر تحریم‌های تازه علیه بانک‌ها به توافق نرسیدند",
    "zh": "财政部长们未能就新一轮制裁达成一致",
    "ja": "財務相会合、新たな制裁で合意できず",
    "ko": "재무장관들, 새로운 제재에 합의하지 못해",
    "el": "Οι υπουργοί Οικονομικών δεν συμφώνησαν σε νέες κυρώσεις",
    "he": "שרי האוצר לא הגיעו להסכמה על סנקציות חדשות",
    "ka": "ფინანსთა მინისტრები ახალ სანქციებზე ვერ შეთანხმდნენ",
    "hy": "Ֆինանսների նախարարները չհամաձայնեցին նոր պատժամիջոցների շուրջ",
    "th": "รัฐมนตรีคลังตกลงมาตรการคว่ำบาตรใหม่ไม่ได้",
    "hi": "वित्त मंत्री नए प्रतिबंधों पर सहमत नहीं हो सके",
}


@pytest.mark.parametrize("language", HEADLINES)
def test_a_headline_tells_its_language(language: str) -> None:
    assert identify(HEADLINES[language]) == language


@pytest.mark.parametrize("declared", ["", "en", "ru", "uk", "zh", "es"])
@pytest.mark.parametrize("language", ["en", "ru", "uk", "zh", "de", "pl", "ar", "ko"])
def test_a_wrong_declaration_does_not_survive_a_headline(language: str, declared: str) -> None:
    assert identify(HEADLINES[language], declared) == language


@pytest.mark.parametrize("language", HEADLINES)
def test_a_right_declaration_stays(language: str) -> None:
    assert identify(HEADLINES[language], language) == language


@pytest.mark.parametrize(
    ("text", "declared", "language"),
    [
        # too short to contradict
        ("Brexit", "de", "de"),
        ("Moskau", "fr", "fr"),
        # Latin names in a feed of another script
        ("BRICS Pay", "ru", "ru"),
        ("Huawei Mate 70 Pro", "zh", "zh"),
        ("Путин", "ru", "ru"),
        ("Путин", "bg", "bg"),
        ("首相辞任", "ja", "ja"),
        # says nothing at all
        ("", "uk", "uk"),
        ("2024: 3-1!", "en", "en"),
        # languages that we could not tell from their neighbours
        ("Bryter samtalane om nye sanksjonar mot bankane", "nn", "nn"),
        ("Os ministros de Finanzas non chegan a un acordo", "gl", "gl"),
        ("Министрлер жаны санкциялар боюнча макулдаша алышкан жок", "ky", "ky"),
        # what both languages spell with the same letters
        ("Парламент одобри закона за банките", "bg", "bg"),
    ],
)
def test_what_cannot_be_contradicted_stays_as_declared(text: str, declared: str, language: str) -> None:
    assert identify(text, declared) == language


@pytest.mark.parametrize(
    ("text", "declared", "language"),
    [
        ("Київ", "ru", "uk"),
        ("Съезд партии пройдёт в мае", "uk", "ru"),
        ("Путин", "en", ""),  # certainly not English
        ("Москва: подъём цен", "uk", "ru"),
        ("北京", "en", "zh"),
        ("東京都、ごみの減量へ", "zh", "ja"),
        ("电影《君の名は》票房破纪录，观众排起长队", "zh", "zh"),
        ("国务院总理李强主持召开国务院常务会议研究部署工作", "ja", "zh"),
        ("삼성", "en", "ko"),
        ("Huawei发布新手机", "en", "zh"),
        ("IBM и Microsoft уходят из России", "en", "ru"),
    ],
)
def test_the_letters_overrule_a_declaration(text: str, declared: str, language: str) -> None:
    assert identify(text, declared) == language


@pytest.mark.parametrize("text", ["", "12:30", "…", "Xi", "Opel"])
def test_what_cannot_be_told_is_empty(text: str) -> None:
    assert identify(text) == ""


def test_a_quoted_word_of_another_alphabet_changes_nothing() -> None:
    assert identify("Фільм «Мы» вийде на екрани в листопаді, повідомили в міністерстві культури", "uk") == "uk"


@given(st.text(), st.sampled_from(["", "en", "ru", "zh", "eo"]))
def test_any_text_gets_a_code_or_none(text: str, declared: str) -> None:
    language = identify(text, declared)
    assert len(language) in (0, 2)
    assert identify(text, declared) == language


def test_the_library_waits_until_it_is_needed() -> None:
    program = "import sys, monitor.language as l; l.identify('北京', 'en'); sys.exit('py3langid' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0  # noqa: S603


@given(
    st.lists(st.lists(st.integers(0, 2**16 - 1), min_size=64, max_size=64), min_size=1, max_size=4),
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
)
def test_a_folded_table_says_what_it_said(pieces: list[list[int]], order: list[int]) -> None:
    table = array("H", [value for n in order for value in pieces[n % len(pieces)]])
    folded = Folded(table)
    assert [folded[place] for place in range(len(table))] == list(table)


def test_pieces_that_look_alike_are_told_apart() -> None:
    """2**63 times any odd number is 2**63 in 64 bits, and twice that is 0: by their sums these two are one."""
    twice, none = [0, 0, 0, 1 << 15] * 2 + [0] * 56, [0] * 64
    table = array("H", [*twice, *none])
    folded = Folded(table)
    assert [folded[place] for place in range(128)] == list(table)
