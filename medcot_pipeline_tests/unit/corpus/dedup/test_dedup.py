"""Which rows leave, which stay, which stay together."""

import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcot_pipeline.corpus.dedup.duplicates import DedupOutcome, DuplicateRowId, find_near_duplicates
from medcot_pipeline.corpus.dedup.similar.candidates import BANDS, NEIGHBOURS
from medcot_pipeline.settings import DedupSettings
from medcot_pipeline_tests.support.normalized_rows import LONG, rows

SETTINGS = DedupSettings()


def partners(outcome: DedupOutcome) -> dict[str, str]:
    return dict(outcome.removed.select("row_id", "partner_id").iter_rows())


def groups(outcome: DedupOutcome) -> dict[str, str]:
    return dict(outcome.kept.select("row_id", "group_id").iter_rows())


def test_punctuation_width_and_case_do_not_make_another_question() -> None:
    outcome = find_near_duplicates(
        rows("男，45岁，血pH7.47，首选检查是什么？", "男, 45岁,血ＰＨ７.４７,首选检查是什么"), SETTINGS
    )
    assert outcome.removed.select("reason", "similarity").rows() == [("exact", 1.0)]


def test_scattered_misprints_are_removed_and_their_places_named() -> None:
    right = LONG.format(n=62)
    wrong = right.replace("反复咳嗽", "反复咳嗽嗽").replace("近来活动", "近活动")
    outcome = find_near_duplicates(rows(right, wrong), SETTINGS)
    assert partners(outcome) == {"r00001": "r00000"}
    removed = outcome.removed.row(0, named=True)
    assert removed["reason"] == "near_duplicate"
    assert 0.6 <= removed["similarity"] < 1
    assert removed["difference"] == "复咳嗽[→嗽] · 年，近[来→]"


@pytest.mark.parametrize(("one", "other"), [("62", "26"), ("双肺", "右肺"), ("可闻及", "未闻及"), ("诊断", "治疗")])
def test_a_near_miss_stays_and_is_shown_to_a_person_in_one_group_with_its_neighbour(one: str, other: str) -> None:
    question = LONG.format(n=62)
    outcome = find_near_duplicates(rows(question, question.replace(one, other)), SETTINGS)
    assert outcome.kept.height == 2
    assert len(set(groups(outcome).values())) == 1
    assert outcome.pairs_to_show["tier"].to_list() == ["near_miss"]


def test_a_paraphrase_is_grouped_and_never_removed() -> None:
    outcome = find_near_duplicates(
        rows(
            "患者咳嗽咳痰三周伴午后低热盗汗，胸片示右上肺空洞，最可能的诊断是什么？",
            "最可能的诊断是什么？患者午后低热盗汗伴咳嗽咳痰三周，右上肺空洞见于胸片。",
            "妊娠剧吐的孕妇首先应补充哪一种维生素？",
        ),
        SETTINGS,
    )
    group = groups(outcome)
    assert outcome.removed.is_empty()
    assert group["r00000"] == group["r00001"] != group["r00002"]


def test_the_same_stem_with_other_options_is_another_question_of_the_same_group() -> None:
    stem = "关于急性胰腺炎的叙述，下列正确的是"
    outcome = find_near_duplicates(
        rows(
            f"{stem}\nA. 血淀粉酶升高\nB. 禁用吗啡",
            f"{stem}\nA. 病因多为胆石\nB. 常有腹膜炎",
            f"{stem}\nA. 禁用吗啡\nB. 血淀粉酶升高",
        ),
        SETTINGS,
    )
    assert partners(outcome) == {"r00002": "r00000"}
    assert len(set(groups(outcome).values())) == 1


def test_magnesium_and_milligram_are_two_questions_although_their_keys_are_equal() -> None:
    outcome = find_near_duplicates(rows("体内Mg的作用是什么？", "体内mg的作用是什么？"), SETTINGS)
    assert outcome.kept.height == 2


def test_the_best_row_stays_and_not_the_first() -> None:
    question = "脑膜炎的首选检查是什么？"
    outcome = find_near_duplicates(
        rows(
            {"question": question, "reasoning": "长" * 900, "flags": ["lost_exponent"]},
            {"question": question, "reasoning": "短" * 50},
            {"question": question, "reasoning": "中" * 300},
            {"question": question, "reasoning": "中" * 300},
        ),
        SETTINGS,
    )
    assert outcome.kept["row_id"].to_list() == ["r00002"]
    assert set(partners(outcome).values()) == {"r00002"}


def test_a_chain_of_small_changes_does_not_merge_its_ends() -> None:
    one = LONG.format(n=62)
    two = one.replace("反复咳嗽", "反复咳嗽嗽").replace("下肢轻度", "下肢度")
    three = two.replace("近来活动", "近来活").replace("最可能", "最最可能").replace("散在湿", "散湿")
    outcome = find_near_duplicates(
        rows(
            {"question": one, "reasoning": "好" * 30},
            {"question": two, "reasoning": "好" * 20},
            {"question": three, "reasoning": "好" * 10},
        ),
        DedupSettings(edit_similarity=0.94),
    )
    assert partners(outcome) == {"r00001": "r00000"}
    assert len(set(groups(outcome).values())) == 1


def test_rows_with_the_same_long_reasoning_or_answer_share_a_group() -> None:
    reasoning = "先看年龄和病程，再看体征，最后结合化验逐一排除，" * 3
    outcome = find_near_duplicates(
        rows(
            {"question": "甲状腺危象首选什么药？", "reasoning": reasoning},
            {"question": "视网膜脱离的典型症状有哪些？", "reasoning": reasoning.replace("逐一", "逐一一")},
            {"question": "骨盆骨折最易损伤哪个器官？", "answer": "同样的短答案"},
            {"question": "小儿佝偻病的早期表现是什么？", "answer": "同样的短答案"},
        ),
        SETTINGS,
    )
    group = groups(outcome)
    assert group["r00000"] == group["r00001"]
    assert len(set(group.values())) == 3


def test_equal_row_ids_are_an_error() -> None:
    with pytest.raises(DuplicateRowId, match="r1"):
        find_near_duplicates(rows({"question": "甲", "row_id": "r1"}, {"question": "乙", "row_id": "r1"}), SETTINGS)


def test_without_near_duplicates_only_equal_keys_leave() -> None:
    right = LONG.format(n=62)
    wrong = right.replace("反复咳嗽", "反复咳嗽嗽").replace("近来活动", "近活动")
    outcome = find_near_duplicates(rows(right, wrong, right + "？"), DedupSettings(near_duplicates=False))
    assert partners(outcome) == {"r00002": "r00000"}


def test_the_outcome_says_with_which_library_version_seed_and_parameters() -> None:
    made_with = find_near_duplicates(rows("甲", "乙"), SETTINGS).made_with
    assert made_with["library"] == "rensa"
    assert made_with["algorithm_version"] == 2
    assert {"version", "seed", "parameters"} <= set(made_with)


def test_examples_show_both_questions() -> None:
    outcome = find_near_duplicates(rows("何为休克？", "何为休克"), SETTINGS)
    example = outcome.examples(5)[0]
    assert (example["question"], example["kept_question"]) == ("何为休克", "何为休克？")


PARTS = st.sampled_from(
    ["咳嗽", "发热", "3天", "左肺", "右肺", "，", "最可能的诊断", "是什么？", "5mg", "😀", "A. 甲\n"]
)
QUESTIONS = st.lists(st.lists(PARTS, max_size=9).map("".join), max_size=12)


@given(QUESTIONS, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_kept_and_removed_part_the_input_whatever_its_order(questions: list[str], rng: random.Random) -> None:
    table = rows(*questions)
    outcome = find_near_duplicates(table, SETTINGS)
    assert sorted([*outcome.kept["row_id"], *outcome.removed["row_id"]]) == table["row_id"].to_list()
    assert set(outcome.removed["partner_id"]) <= set(outcome.kept["row_id"])
    shuffled = table.sample(fraction=1, shuffle=True, seed=rng.randrange(1000))
    again = find_near_duplicates(shuffled, SETTINGS)
    assert again.kept.equals(outcome.kept)
    assert again.removed.equals(outcome.removed)
    assert again.pairs_to_show.equals(outcome.pairs_to_show)
    assert again.funnel == outcome.funnel


def test_bad_rows_are_handled() -> None:
    megabyte = "癌" * 350_000
    table = rows(
        "", "？？？", "痛", "痛痛", "哈" * 500, "哈" * 501, "😀😃", "😀", "\ufffd", megabyte, megabyte + "痛", "a"
    )
    outcome = find_near_duplicates(table, SETTINGS)
    assert outcome.kept.height + outcome.removed.height == table.height
    empty = outcome.kept.filter(pl.col("key") == "")
    assert empty.height >= 2, "rows without a key are never duplicates"
    assert empty["group_id"].n_unique() == 1
    big = outcome.kept.filter(pl.col("key").str.len_chars() > 300_000)
    assert big.height == 2, "too long for an edit distance: kept, in one group"
    assert big["group_id"].n_unique() == 1


def test_a_difference_between_long_rows_is_not_spelled_out() -> None:
    outcome = find_near_duplicates(rows("癌" * 30_000, "癌" * 30_000 + "？"), SETTINGS)
    assert outcome.removed["difference"].to_list() == ["not shown: 30,000 and 30,001 characters"]


def test_no_rows_at_all() -> None:
    outcome = find_near_duplicates(rows(), SETTINGS)
    assert outcome.kept.is_empty()
    assert "group_id" in outcome.kept.columns


def test_of_ten_thousand_identical_rows_one_stays() -> None:
    outcome = find_near_duplicates(rows(*[LONG.format(n=62)] * 10_000), SETTINGS)
    assert outcome.kept.height == 1
    assert outcome.removed.height == 9_999


def test_rows_that_differ_by_a_number_are_grouped_in_linearly_many_comparisons() -> None:
    outcome = find_near_duplicates(rows(*[LONG.format(n=n) for n in range(1_000, 4_000)]), SETTINGS)
    assert outcome.removed.is_empty()
    assert outcome.kept["group_id"].n_unique() == 1
    compared = next(step["rows"] for step in outcome.funnel if step["step"] == "pairs compared")
    assert compared < 3_000 * BANDS * NEIGHBOURS < 3_000 * 2_999 / 2, "all pairs would be 4.5 million"
    assert outcome.pairs_to_show.height <= 2 * SETTINGS.review_pairs
