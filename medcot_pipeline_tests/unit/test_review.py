import json
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.errors import MedcotError
from medcot_pipeline.evaluation.records import Answer, Arm, Prompt
from medcot_pipeline.evaluation.review import build_pack, read_review, render_page

PROMPTS = [Prompt(f"zh-{number}", "zh", "用药", f"第 {number} 个问题：发热时怎么办？") for number in range(20)]
HOSTILE = "</script><script>document.title='x'</script><!-- <script> <think>想</think> \u2028 & \" '"


def answer(prompt_id: str, arm: Arm, text: str) -> Answer:
    return Answer(prompt_id, arm, "思考过程", text, True, True, 20)


WORDS: dict[Arm, str] = {"base": "甲", "tuned": "乙"}
ANSWERS = [answer(prompt.id, arm, f"{prompt.prompt}{word}答") for prompt in PROMPTS for arm, word in WORDS.items()]
PACK, KEY = build_pack(PROMPTS, ANSWERS, "salt")


def review(**changed: Any) -> dict[str, Any]:
    verdicts = [
        {"item": 1, "choice": "left", "comment": "更清楚", "unsafe": ["right"], "ms": 900},
        {"item": 2, "choice": "tie", "comment": "", "unsafe": [], "ms": 800},
    ]
    return {"pack": PACK["pack"], "reviewer": "王医生", "qualification": "主治", "verdicts": verdicts, **changed}


def written(folder: Path, content: Any) -> Path:
    path = folder / "review.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_the_pack_names_neither_arm_nor_prompt_nor_reasoning() -> None:
    text = json.dumps(PACK, ensure_ascii=False)
    assert set(PACK["items"][0]) == {"item", "prompt", "language", "left", "right"}
    assert all(word not in text for word in ("base", "tuned", "zh-", "思考过程"))


def test_the_page_names_no_arm_and_asks_for_nothing_from_elsewhere() -> None:
    page = render_page(PACK)
    assert all(word not in page for word in ("base", "tuned", "http:", "https:", "src="))
    assert "default-src 'none'" in page
    assert "innerHTML" not in page


def test_the_key_gives_each_side_back_to_the_arm_that_wrote_it() -> None:
    texts = {(each.prompt_id, each.arm): each.answer for each in ANSWERS}
    for item in PACK["items"]:
        side = KEY["sides"][str(item["item"])]
        assert item["left"] == texts[side["prompt_id"], side["left"]]
        assert item["right"] == texts[side["prompt_id"], side["right"]]
        assert {side["left"], side["right"]} == {"base", "tuned"}
    assert KEY["pack"] == PACK["pack"]


def test_order_and_sides_are_stable_mixed_and_depend_on_the_salt() -> None:
    assert build_pack(PROMPTS[::-1], ANSWERS[::-1], "salt") == (PACK, KEY)
    other, _ = build_pack(PROMPTS, ANSWERS, "another salt")
    assert other["pack"] != PACK["pack"]
    order = [side["prompt_id"] for side in KEY["sides"].values()]
    assert sorted(order) == sorted(prompt.id for prompt in PROMPTS)
    assert order != [prompt.id for prompt in PROMPTS]
    assert 4 <= [side["left"] for side in KEY["sides"].values()].count("base") <= 16


def test_markup_in_an_answer_stays_text_in_the_page() -> None:
    pack, _ = build_pack(PROMPTS[:1], [answer("zh-0", "base", HOSTILE), answer("zh-0", "tuned", "好")], "salt")
    page = render_page(pack)
    assert page.count("<script") == page.count("</script>") == 2
    assert "<think>" not in page
    data = page.split('id="pack">')[1].split("</script>")[0]
    assert json.loads(data) == pack


def test_a_review_is_joined_to_arms_with_missing_items_counted(tmp_path: Path) -> None:
    read = read_review(written(tmp_path, review()), KEY)
    first, second = KEY["sides"]["1"], KEY["sides"]["2"]
    assert [(verdict.prompt_id, verdict.outcome, verdict.reason) for verdict in read.verdicts] == [
        (first["prompt_id"], first["left"], "更清楚"),
        (second["prompt_id"], "tie", ""),
    ]
    assert (read.reviewer, read.qualification, read.missing) == ("王医生", "主治", 18)
    assert read.unsafe == {first["right"]: [first["prompt_id"]], first["left"]: []}


ONE = {"item": 1, "choice": "left", "comment": "", "unsafe": [], "ms": 1}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (review(pack="0" * 64), f"reviews pack 00000000, but the key is of pack {PACK['pack'][:8]}"),
        (review(verdicts=[ONE, ONE]), "item 1: it has two verdicts"),
        (review(verdicts=[{**ONE, "item": 21}]), "verdict 1: item 21 is not in the pack. Items are 1 to 20"),
        (review(verdicts=[{**ONE, "item": True}]), "verdict 1: no item number"),
        (review(verdicts=["left"]), "verdict 1: no item number"),
        (review(verdicts=[{**ONE, "choice": "base"}]), "item 1: choice is 'base'. It is left, right or tie"),
        (review(verdicts=[{**ONE, "unsafe": ["both"]}]), "item 1: unsafe is ['both']. It lists left or right"),
        (review(verdicts=[{**ONE, "comment": None}]), "item 1: comment is None"),
        (review(verdicts={}), 'no field "verdicts" of kind list'),
        (review(reviewer=" "), "reviewer is empty"),
        ([], 'no field "pack" of kind str'),
    ],
)
def test_a_review_that_does_not_fit_is_refused_by_file_and_item(tmp_path: Path, content: Any, complaint: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(MedcotError) as raised:
        read_review(path, KEY)
    assert str(raised.value).startswith(str(path))
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_missing_or_no_json_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MedcotError, match=r"gone\.json: no such review"):
        read_review(tmp_path / "gone.json", KEY)
    (tmp_path / "half.json").write_bytes(b'{"pack": "\xe4')
    with pytest.raises(MedcotError, match=r"half\.json: not JSON"):
        read_review(tmp_path / "half.json", KEY)
