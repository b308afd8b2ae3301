import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcot_pipeline.corpus.normalize.text import comparison_key, normalize_text, trace
from medcot_pipeline.corpus.normalize.text_rules import RULES
from medcot_pipeline_tests.support.growth import grows_linearly, texts

SAME = "unchanged"
VECTORS = [
    ("WBC 15.6×10⁹/L", SAME),
    ("20×10<sup>9</sup>／L", "20×10⁹/L"),
    ("PaO<sub>2</sub>4．2kPa", "PaO₂4.2kPa"),
    ("1.73m²", SAME),
    ("½片", SAME),
    ("T 38．5℃", "T 38.5℃"),
    ("5～10mg", SAME),
    ("38~39℃", "38～39℃"),
    ("3〜4次", "3～4次"),
    ("①发热②咳嗽", SAME),
    ("毕Ⅱ式", SAME),
    ("ＨｂＡ１ｃ ７.５％", "HbA1c 7.5%"),
    ("血pH7．47，PaCO₂ 35mmHg", "血pH7.47，PaCO₂ 35mmHg"),
    ("男,45岁.症见心胸闷痛", "男，45岁。症见心胸闷痛"),
    ("PaO2<60mmHg，PaCO2>50mmHg", SAME),
    ("⼤便稀薄呈⽔样", "大便稀薄呈水样"),
    ("首选(\u3000\u3000)。", "首选（ ）。"),
    ("D－二聚体", "D-二聚体"),
    ("HBsAg(+)、抗-HBs(－)", "HBsAg(+)、抗-HBs(-)"),
    ("120／80 mmHg", "120/80 mmHg"),
    ("剂量为1,000mg", SAME),
    ("稀释1:2000", SAME),
    ("Beck's三联征", SAME),
    ("（HPLC）法", SAME),
    ("㎎/㎏", "mg/kg"),
    ("3㎡", "3m²"),
    ("\ufeff患者\u200b女", "患者女"),
    ("怎么办？？？", "怎么办？"),
    ("癥瘕积聚", SAME),
    ("Mg²⁺ 2mmol/L", SAME),
    ("\u22122℃", "-2℃"),
    ("P<0.05, n=30", SAME),
    ("A．青霉素\nB．红霉素", "A. 青霉素\nB. 红霉素"),
    ("图像：<br />[img=x]", "图像：\n[img=x]"),
    ("3.0×109/L", SAME),
    ("口服１０mg", "口服10mg"),
]
EQUAL = [
    ("10⁹/L", "10^9/L"),
    ("10⁹/L", "10<sup>9</sup>／L"),
    ("PaO₂4．2kPa", "PaO2 4.2 kPa"),
    ("5-10mg", "5～10mg"),
    ("Ⅱ度", "II度"),
    ("1,000", "1000"),
    ("HbA1c", "HBA1C"),
    ("120/80mmHg。", "120／80 mmHg"),
    ("HCO₃⁻", "HCO3-"),
    ("HCO₃⁻15mmol/L", "HCO3-15mmol/L"),
    ("Ca²⁺", "Ca2+"),
    ("3×2cm", "3 x 2cm"),
    ("5*10^9/L", "5×10⁹/L"),
    ("⁹⁹ᵐTc显像", "99mTc显像"),
    ("男，45岁。咳嗽", "男,45岁.咳嗽"),
]
DIFFERENT = [
    ("1.5mg", "15mg"),
    ("HBsAg(+)", "HBsAg(-)"),
    ("10⁹/L", "109/L"),
    ("1:2000", "12000"),
    ("½片", "12片"),
    ("<60", ">60"),
    ("m²", "m2"),
    ("5～10", "510"),
    ("\u22122℃", "2℃"),
    ("果糖-1，6-二磷酸", "果糖-16-二磷酸"),
    ("血压 120 80", "血压12080"),
    ("1. 5mg", "1.5mg"),
    ("3×2 1", "3×21"),
    ("3x2 1", "3x21"),
    ("5(10)mg", "510mg"),
    (".5mg", "5mg"),
    ("Mg≤2", "Mg≥2"),
    ("10⁻³", "10³"),
]
MEDICAL = st.text(
    alphabet="男女患者，。、；：？！,.:;?!()（）[] \n\t\u3000\u00a00123456789０１９．～~〜-−–+±×<>≤≥=/／%％℃²³⁹⁻₂₃Ⅱ½①"
    "<sup><sub></b>&amp;ABCDabcLmgkµμ㎎㎡⼤\u200b\ufeff\r\u0301\u200d😀",
    max_size=60,
)
PIECES = st.lists(
    st.sampled_from(
        [
            *[
                "<sup>",
                "</sup>",
                "<sub>",
                "</sub>",
                "<b>",
                "</b>",
                "<br/>",
                "<span x>",
                "</span>",
                "&lt;",
                "&gt;",
                "&amp;",
            ],
            *[
                "&nbsp;",
                "sup",
                "9",
                "10",
                "．",
                "A．",
                "~",
                " ",
                "\n",
                "（",
                "）",
                "(",
                ")",
                "，",
                ",",
                "？",
                "?",
                ".",
                "男",
            ],
            *["＜", "＞", "ｂ", "\u0301", "e", "⁹", "-", "×", "\u200d", "😀", "\r", "amp;", "<", ">", "/", "\\", ":"],
        ]
    ),
    max_size=14,
).map("".join)


@pytest.mark.parametrize(("before", "after"), VECTORS, ids=[f"vector-{n}" for n in range(1, len(VECTORS) + 1)])
def test_text_for_training_follows_the_policy(before: str, after: str) -> None:
    assert normalize_text(before) == (before if after == SAME else after)


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_two_ways_to_write_one_thing_have_one_key(a: str, b: str) -> None:
    assert comparison_key(a) == comparison_key(b)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_two_quantities_never_share_a_key(a: str, b: str) -> None:
    assert comparison_key(a) != comparison_key(b)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("HCO<sub>3</sub><sup>-</sup>15", "HCO₃⁻15"),
        ("用<sup>99m</sup>Tc显像", "用⁹⁹ᵐTc显像"),
        ("C<sub>max</sub>与PGF<sub>2α</sub>", "C_(max)与PGF_(2α)"),
        ("<sup><b>9</b></sup>", "⁹"),
        ("P&lt;0.05", "P<0.05"),
        ("&amp;amp;lt;5", "<5"),
        ("&unknown; A&B", "&unknown; A&B"),
        ("若a<b则停药", "若a<b则停药"),
        ("<b>注意</b>：禁用", "注意：禁用"),
        ("<think>想</think>", "<think>想</think>"),
        ("检查:体温37℃;脉搏正常!", "检查：体温37℃；脉搏正常！"),
        ("12:30发作", "12:30发作"),
        ("嗯...再想想", "嗯...再想想"),
        ("已见图[img=~/a/牙合.gif]", "已见图[img=~/a/牙合.gif]"),
        ("\u3000\u3000患者\u00a0\u00a0男\t女  \n\n\n\n- 甲\n   - 乙 ", "患者 男 女\n\n- 甲\n   - 乙"),
        ("咳嗽1天．面部皮疹", "咳嗽1天。面部皮疹"),
        ("a\\,中", "a\\,中"),
        ("e\u0301", "é"),
        ("👨\u200d⚕️看\u200d诊", "👨\u200d⚕️看诊"),
        ("发热\r\n咳嗽\u2028气促", "发热\n咳嗽\n气促"),
        ("坏\ud800字", "坏\ufffd字"),
        ("V1~V5导联", "V1～V5导联"),
    ],
)
def test_what_genuine_rows_also_need(before: str, after: str) -> None:
    assert normalize_text(before) == after


@given(st.one_of(MEDICAL, PIECES, st.text(max_size=40)))
@settings(max_examples=1000, deadline=None)
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalize_text(text)
    assert normalize_text(once) == once
    assert comparison_key(once) == comparison_key(text)


def digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(char)) for char in text if re.match(r"[0-9０-９]", char))


@given(MEDICAL.filter(lambda text: "<" not in text and "&" not in text))
@settings(max_examples=600, deadline=None)
def test_digits_stay_in_order_where_there_is_no_tag(text: str) -> None:
    assert digits(normalize_text(text)) == digits(text)


@given(MEDICAL.filter(lambda text: "&" not in text and not re.search("</?[a-zA-Z]", text)))
@settings(max_examples=600, deadline=None)
def test_comparisons_signs_and_exponents_stay_in_order(text: str) -> None:
    kept = re.compile("[<>≤≥=+±×²³⁹⁻₂₃½①Ⅱ%℃-]")
    width = str.maketrans({"−": "-", "％": "%", "㎡": "m²"})
    assert kept.findall(normalize_text(text)) == kept.findall(text.translate(width))


@given(st.lists(st.integers(0, 99), min_size=1, max_size=6), st.data())
@settings(max_examples=400, deadline=None)
def test_no_two_numbers_run_together_in_a_key(numbers: list[int], data: st.DataObject) -> None:
    marks = [
        "，",
        "、",
        "。",
        "；",
        "：",
        ",",
        ":",
        "; ",
        " ",
        "（",
        ") ",
        "~",
        "-",
        "/",
        "<",
        ">",
        "×",
        "%",
        "+",
        "\n",
        "“",
    ]
    text = "".join(f"{number}{data.draw(st.sampled_from(marks))}" for number in numbers)
    assert re.findall(r"\d+", comparison_key(text)) == [str(number) for number in numbers]


def test_trace_names_the_rules_that_changed_a_text() -> None:
    text, changes = trace("20×10<sup>9</sup>／L，  贫血")
    assert text == "20×10⁹/L， 贫血"
    assert [change.rule for change in changes] == ["width", "scripts", "blanks"]
    assert changes[0].before.startswith("20") and changes[-1].after == text


def test_rule_names_are_unique() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("text", ["", " \n\u3000\t", "\ufeff\u200b"], ids=["empty", "blanks", "invisible"])
def test_nothing_stays_nothing(text: str) -> None:
    assert normalize_text(text) == "" and comparison_key(text) == ""


UNITS = {
    "han": "中",
    "digit": "1",
    "blank": " ",
    "comma": "，",
    "dots": "1．",
    "emoji": "👨\u200d⚕️",
    "open-tag": "<b",
    "entity": "&amp;",
    "superscript": "a⁹",
    "numbers": "1 ",
    "parentheses": "( ",
    "joiner": "\u200d",
}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())
def test_much_of_one_thing_takes_linear_time(unit: str) -> None:
    assert grows_linearly(comparison_key, *texts(unit))


def test_markup_nested_beyond_reason_is_left_and_not_chased() -> None:
    def nested(deep: str) -> str:
        return normalize_text(deep + "9" + deep.replace("<", "</"))

    assert set(nested("<sup>" * 10_000)) & {"9", "⁹"}
    assert grows_linearly(nested, *texts("<sup>", 20_000))
