"""Code versions of the pure stages, held against what they make of a few rows.

`golden_stages.json` has, for every pure stage, the code version and the sha256 of its output on the rows below. When a
stage makes something else of the same rows, raise its code version where the stage is defined, or artifacts of the old
code would be used again. Then write the file anew:

    python -m medcot_pipeline_tests.unit.test_code_versions
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.artifacts import canonical_json, sha256_text
from medcot_pipeline.corpus.dedup.duplicates import find_near_duplicates
from medcot_pipeline.corpus.normalize.table import normalize_rows
from medcot_pipeline.corpus.splits.assign import assign_splits
from medcot_pipeline.datasets.sft import build_sft_dataset
from medcot_pipeline.settings import DedupSettings, NormalizeSettings, SftSettings, SplitSettings
from medcot_pipeline.table import GRAPH

GOLDEN = Path(__file__).with_name("golden_stages.json")
REWRITE = "python -m medcot_pipeline_tests.unit.test_code_versions"
DECIMALS = 6
"""Of similarities: the last digits may differ between machines."""

THOUGHT = "嗯，先看年龄和症状。\n\n发热、咳嗽，首先想到感染，再看血象。"
RAW = [
    ("男，32岁，发热3天，体温３８．５℃。首先查什么？", f"  {THOUGHT} ", "血常规。"),
    ("女，45岁，右上腹痛1天 ,Murphy征(+)。诊断是什么?", f"{THOUGHT}\r\n胆囊区有压痛。", "急性胆囊炎。"),
    ("WBC 15.6×10<sup>9</sup>/L，提示什么？", THOUGHT, "提示细菌感染。"),
    ("血小板3.0×109/L，怎么处理？", THOUGHT, "输注血小板。"),
    ("A 60-year-old man has chest  pain.&nbsp;What is the first test?", "Well, an ECG is quick and safe.", "An ECG."),
    ("如图所示，该患者的诊断是什么？", THOUGHT, "肺炎。"),
    ("空答案怎么办，医生？", THOUGHT, "\u200b"),
    ("下列哪项是甲亢的表现？\nA. 怕热\nB. 怕冷\nC. 便秘\nD. 嗜睡", f"{THOUGHT}怕热是表现。", "A"),
    ("咽痛2天，怎么办？", "<|im_start|>多喝水就好，不用担心。", "多饮水。"),
    ("热？", THOUGHT, "测体温。"),
    ("血压120／80mmHg，正常吗？", "收缩压和舒张压都要看，这个数值在范围里，所以", "正常。"),
    ("What does a low TSH suggest in an adult?", "Low TSH means the thyroid makes too much.", "Hyperthyroidism."),
    ("胸痛1小时&#65292;先查什么？", THOUGHT.encode().decode("latin-1"), "很抱歉，我无法回答。\\n"),
    ("头痛3天，怎么办？", THOUGHT, "None"),
]
CHEST = "男性患者发热咳嗽三天伴胸痛胸片示右下肺大片致密影最可能的诊断是什么"
CLEAN = [
    (CHEST, "细菌性肺炎。"),
    ("小儿腹泻怎样补液", "口服补液盐，少量多次。"),
    (f"请问{CHEST}", "肺炎。"),
    (CHEST.replace("大片致密影", "大片的致密影"), "肺炎，右下。"),
    (CHEST.replace("三天", "五天"), "肺炎，五天。"),
    ("左侧乳腺癌术后患者需要做哪些复查", "每半年一次超声。"),
    ("右侧乳腺癌术后患者需要做哪些复查", "每半年一次检查。"),
    ("血钾2.8mmol/l时心电图有什么改变", "u波出现。"),
    ("血钾8.2mmol/l时心电图有什么改变", "t波高尖。"),
    ("whatisthefirsttestforchestpaininanoldman", "An ECG."),
    ("小儿腹泻怎样补液", "口服补液盐。"),
    ("糖尿病患者如何运动", "餐后快走半小时。"),
]


def normalized() -> list[pl.DataFrame]:
    names = ("row_id", "question", "reasoning", "answer")
    rows = pl.DataFrame([(f"row-{number:02}", *texts) for number, texts in enumerate(RAW)], schema=names, orient="row")
    outcome = normalize_rows(rows, NormalizeSettings())
    return [outcome.rows, outcome.removed]


def clean_rows() -> pl.DataFrame:
    """Rows as normalisation leaves them, written down, so that its version is not that of the stages after it."""
    return pl.DataFrame(
        [
            {
                "row_id": f"row-{number:02}",
                "question": question,
                "reasoning": f"想到{answer}" * (1 + number),
                "answer": answer,
                "key": question,
                "language": "zh",
                "flags": [],
                "group_id": f"group-{number // 2}",
            }
            for number, (question, answer) in enumerate(CLEAN)
        ],
        schema_overrides={"flags": pl.List(pl.String)},
    )


def deduplicated() -> list[pl.DataFrame]:
    outcome = find_near_duplicates(clean_rows().drop("group_id"), DedupSettings())
    return [outcome.kept, outcome.removed, outcome.pairs_to_show]


def split() -> list[pl.DataFrame]:
    return [assign_splits(clean_rows(), SplitSettings(train=0.6, validation=0.2, test=0.2))]


def sft() -> list[pl.DataFrame]:
    dataset = build_sft_dataset(clean_rows(), SftSettings(max_tokens=80), lambda done, total: None)
    return [dataset.rows, dataset.too_long]


STAGES: Mapping[str, Callable[[], list[pl.DataFrame]]] = {
    "normalized_corpus": normalized,
    "deduplicated_corpus": deduplicated,
    "corpus_splits": split,
    "sft_dataset": sft,
}


def digest(frames: list[pl.DataFrame]) -> str:
    """sha256 of the frames' columns, types and rows, floats rounded."""
    rounded = (frame.with_columns(pl.selectors.float().round(DECIMALS)) for frame in frames)
    return sha256_text(
        canonical_json(
            [
                {"columns": {name: str(kind) for name, kind in frame.schema.items()}, "rows": frame.to_dicts()}
                for frame in rounded
            ]
        )
    )


def found(asset: str) -> dict[str, str]:
    return {"code_version": GRAPH.stage(asset).code_version, "sha256": digest(STAGES[asset]())}


def complaint(asset: str, golden: Mapping[str, Any], now: Mapping[str, str]) -> str:
    """What to do where a stage is not as the golden file has it; empty where it is."""
    if golden == now:
        return ""
    if golden.get("sha256") != now["sha256"] and golden.get("code_version") == now["code_version"]:
        return (
            f"{asset} makes something else of the same rows, and its code version is still {now['code_version']}: "
            f"artifacts of the old code would be used again. Raise the code version of {asset} in "
            f"its room's stages.py, then write {GOLDEN.name} anew: {REWRITE}"
        )
    return f"{GOLDEN.name} has another code version of {asset} than its room's stages.py. Write it anew: {REWRITE}"


def rewrite() -> None:
    text = json.dumps({asset: found(asset) for asset in STAGES}, indent=1)
    GOLDEN.write_text(text + "\n", encoding="utf-8")


@pytest.mark.parametrize("asset", STAGES)
def test_a_stage_whose_output_changed_has_another_code_version(asset: str) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    said = complaint(asset, golden.get(asset, {}), found(asset))
    assert not said, said


@pytest.mark.parametrize("asset", STAGES)
def test_a_stage_makes_the_same_of_the_same_rows(asset: str) -> None:
    assert digest(STAGES[asset]()) == digest(STAGES[asset]())


def test_the_rows_meet_what_normalisation_does() -> None:
    rows, removed = normalized()
    reasons = {"empty_after_normalisation", "needs_image", "chat_tokens", "too_short", "placeholder"}
    assert reasons == set(removed["reason"])
    flags = {"has_options", "lost_exponent", "truncated", "refusal", "literal_escapes"}
    assert set(rows["flags"].explode().drop_nulls()) >= flags
    assert "胸痛1小时，先查什么？" in set(rows["question"]) and rows["reasoning"].str.contains("嗯，先看").sum() > 5


def test_the_rows_meet_what_deduplication_does() -> None:
    kept, removed, review = deduplicated()
    assert set(removed["reason"]) == {"exact", "near_duplicate"}
    assert 1 < kept["group_id"].n_unique() < kept.height
    assert "near_miss" in set(review["tier"])


def test_the_rows_lie_in_every_split() -> None:
    assert set(split()[0]["split"]) == {"train", "validation", "test"}


def test_the_rows_are_short_and_too_long() -> None:
    assert all(frame.height for frame in sft())


def test_a_changed_output_of_the_same_version_asks_to_raise_it() -> None:
    said = complaint("sft_dataset", {"code_version": "1", "sha256": "a"}, {"code_version": "1", "sha256": "b"})
    assert "Raise the code version of sft_dataset in its room's stages.py" in said


@pytest.mark.parametrize("sha256", ["a", "b"])
def test_a_raised_version_asks_to_write_the_file_anew(sha256: str) -> None:
    said = complaint("sft_dataset", {"code_version": "1", "sha256": "a"}, {"code_version": "2", "sha256": sha256})
    assert said.endswith(f"Write it anew: {REWRITE}")


if __name__ == "__main__":
    rewrite()
