"""What makes two questions out of one, and what does not."""

import polars as pl
import pytest

from medcot_pipeline.corpus.dedup.rules.contexts import Contexts
from medcot_pipeline.corpus.dedup.rules.guards import case_signature, lexicon, refusal
from medcot_pipeline.corpus.dedup.rules.swaps import SWAPS
from medcot_pipeline.corpus.dedup.similar.edits import changes, difference
from medcot_pipeline.corpus.normalize.text import comparison_key

TEMPLATES = (
    "{}癌的首选检查是什么",
    "慢性{}炎如何治疗",
    "{}区隐痛三月余",
    "右{}切除术后出血",
    "{}功能正常的老人",
    "早期{}病",
)
CORPUS = [template.format(word) for template in TEMPLATES for word in "肝肾肺胃"] + [
    "患者反复咳嗽咳痰十余年",
    "病人反复咳嗽咳痰二十年",
    "反复咳嗽咳痰伴发热",
    "活动后气促明显加重",
    "近来活动后气促",
    "饭后活动后气促",
]


def judged(one: str, other: str, corpus: list[str] | None = None, without: tuple[tuple[str, str], ...] = ()) -> str:
    """The refusal for two questions among the corpus."""
    left, right = comparison_key(one), comparison_key(other)
    keys = sorted({*map(comparison_key, CORPUS if corpus is None else corpus), left, right})
    return refusal(changes(left, right), Contexts(pl.Series(keys)), lexicon((), without))


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("血钾2.8mmol/L", "血钾8.2mmol/L", "number"),
        ("口服5mg", "口服50mg", "number"),
        ("给予氯化钾1g", "给予氯化钾1kg", "number"),
        ("HBsAg(+)", "HBsAg(-)", "number"),
        ("PaO2<60mmHg", "PaO2>60mmHg", "number"),
        ("Ⅱ度烧伤", "Ⅲ度烧伤", "number"),
        ("白细胞10⁹/L", "白细胞10^8/L", "number"),
        ("左肺腺癌", "右肺腺癌", "word"),
        ("血压升高", "血压降低", "word"),
        ("乙肝抗体阳性", "乙肝抗体阴性", "word"),
        ("发热三天", "发热五天", "word"),
        ("服用青霉素后", "服用红霉素后", "word"),
        ("最可能的诊断是什么", "最可能的病因是什么", "word"),
        ("左肺左侧胸腔", "右肺右侧胸腔", "systematic"),
    ],
)
def test_a_changed_number_sign_side_polarity_drug_or_intent_is_another_question(
    one: str, other: str, reason: str
) -> None:
    assert judged(one, other) == reason


@pytest.mark.parametrize("kind", list(SWAPS))
def test_every_listed_pair_is_told_apart_amid_other_misprints(kind: str) -> None:
    for word, other in SWAPS[kind]:
        one = f"患者反复咳嗽咳痰，{word}，近来活动后气促明显加重"
        assert judged(one, one.replace(word, other).replace("咳嗽", "咳嗽嗽")) in ("number", "word", "systematic")


def test_no_word_is_in_two_pairs_of_a_kind_or_of_two() -> None:
    words = [word for pairs in SWAPS.values() for pair in pairs for word in pair]
    assert len(words) == len(set(words))


def test_words_used_alike_are_told_apart_although_no_list_has_them() -> None:
    hidden = (("肝", "肾"),)
    one = "患者反复咳嗽咳痰，肝脏缩小，近来活动后气促明显加重"
    other = one.replace("肝", "肾").replace("咳嗽", "咳嗽嗽")
    assert judged(one, other, without=hidden) == "like words"


def test_two_words_of_the_corpus_are_told_apart_although_no_list_has_them() -> None:
    corpus = [
        *CORPUS,
        "柴油中毒如何处理",
        "柴油烧伤",
        "遇柴油起火",
        "汽油中毒",
        "丙酮中毒",
        "丙酮吸入后头痛",
        "误服丙酮",
    ]
    one = "患者反复咳嗽咳痰，误服柴油半日，近来活动后气促明显加重"
    assert judged(one, one.replace("柴油", "丙酮").replace("咳痰", "咳痰痰"), corpus) == "like words"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("患者无发热，活动后气促明显加重", "患者发热，活动后气促明显明加重"),
        ("患者出现发热，活动后气促明显加重", "患者未出现发热，活动后气促明显明加重"),
    ],
)
def test_a_negation_that_comes_or_goes_is_another_question(one: str, other: str) -> None:
    assert judged(one, other) == "negation"


def test_an_only_substitution_is_never_taken_for_a_misprint() -> None:
    assert judged("患者反复咳嗽咳痰十余年", "患者反复咳喇咳痰十余年") == "only change"


def test_substitutions_alone_need_to_look_like_misprints() -> None:
    one = "患者反复咳嗽咳痰十余年，近来活动后气促明显加重"
    assert judged(one, one.replace("咳嗽", "咳喇").replace("气促", "气从")) == ""
    assert judged(one, one.replace("十余年", "十余载").replace("明显加重", "明显加剧"), []) == "only substitutions"


@pytest.mark.parametrize(
    "other",
    [
        "患者反复咳嗽咳痰的十余年",  # a function word
        "患者反复复咳嗽咳痰十余年",  # a doubled character
        "患者反复咳嗽窗咳痰十余年",  # an addition that no other text has, where others have what was there
        "患者反咳嗽咳痰了十余年",  # a loss of the same kind, and a function word
    ],
)
def test_misprints_and_function_words_do_not_make_another_question(other: str) -> None:
    assert judged("患者反复咳嗽咳痰十余年", other) == ""


def test_without_a_corpus_to_judge_by_an_addition_is_kept() -> None:
    assert judged("幽门梗阻的首选检查", "门梗阻的首选检查", []) == "only change"


def test_more_pairs_can_be_listed() -> None:
    one = "患者反复咳嗽咳痰，丙酮半日，近来活动后气促明显加重"
    other = one.replace("丙酮", "柴油").replace("咳痰", "咳痰痰")
    left, right = comparison_key(one), comparison_key(other)
    found = changes(left, right)
    assert refusal(found, Contexts(pl.Series([left, right])), lexicon((("丙酮", "柴油"),))) == "word"


def test_a_character_is_like_another_by_the_contexts_they_share() -> None:
    contexts = Contexts(pl.Series(sorted(CORPUS)))
    alike = contexts.exchangeable("肝", "肾", "前", "后")
    assert alike == 1.0
    assert contexts.exchangeable("肝", "肾", "右", "切") == pytest.approx(5 / 6)
    assert contexts.exchangeable("肝", "咳", "前", "后") == 0.0
    assert contexts.exchangeable("肝", "龘", "前", "后") == 0.0


def test_neighbours_are_counted_once_per_text() -> None:
    contexts = Contexts(pl.Series(["咳痰咳痰咳痰", "咳痰", "痰"]))
    assert contexts.seen("咳", "痰") == 2
    assert contexts.seen("痰", "咳") == 1
    assert contexts.seen("\n", "咳") == 2
    assert contexts.seen("龘", "咳") == 0


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("左肺腺癌", "右肺腺癌", "[左→右]"),
        ("患者左肺腺癌", "患者肺腺癌", "患者[左→]"),
        ("一二三四五六", "一二X三四五Y六", "一二[→X] · 三四五[→Y]"),
        ("a" * 10 + "b" * 60, "a" * 10, f"aaa[{'b' * 39}…→]"),
    ],
)
def test_a_difference_shows_what_became_what(one: str, other: str, shown: str) -> None:
    assert difference(one, other) == shown


@pytest.mark.parametrize(
    ("question", "tokens"),
    [("补充Mg和K", "Mg"), ("5mg", ""), ("0.1M的HCl", "M"), ("HbA1c", ""), ("MCV", ""), ("", "")],
)
def test_only_letters_whose_case_is_a_meaning_count(question: str, tokens: str) -> None:
    assert pl.select(case_signature(pl.lit(question)))[0, 0] == tokens
