import json
from pathlib import Path

import pytest

from medcot_pipeline.evaluation.batches import Batch, BatchRecords, plan_batches
from medcot_pipeline.evaluation.records import Answer, Prompt

PROMPTS = [Prompt(f"p{number}", "zh", "用药", f"问题{number}？") for number in range(5)]
PLAN = plan_batches(PROMPTS, 2)


def written(batch: Batch) -> list[Answer]:
    return [Answer(prompt.id, batch.arm, "想\u2028", "答", True, True, 3) for prompt in batch.prompts]


def test_both_arms_of_a_batch_have_the_same_prompts_and_seed_and_other_batches_another() -> None:
    assert [batch.name for batch in PLAN[:3]] == ["base-0000", "tuned-0000", "base-0001"]
    assert [prompt.id for batch in PLAN for prompt in batch.prompts if batch.arm == "tuned"] == [p.id for p in PROMPTS]
    assert PLAN[0].seed(11) == PLAN[1].seed(11) != PLAN[2].seed(11)
    assert PLAN[0].seed(11) != PLAN[0].seed(12)


def test_a_resumed_plan_has_the_open_batches_alone_and_collects_in_the_order_of_the_plan(tmp_path: Path) -> None:
    said: list[str] = []
    records = BatchRecords(tmp_path / "work", PLAN, {"torch": "2"}, said.append)
    for batch in (PLAN[4], PLAN[1]):
        records.finish(batch, written(batch), 2.0)
    again = BatchRecords(tmp_path / "work", PLAN, {"torch": "2"}, said.append)
    assert [batch.name for batch in again.open] == ["base-0000", "base-0001", "tuned-0001", "tuned-0002"]
    assert said == ["2 of 6 batches were finished before"]
    for batch in again.open:
        again.finish(batch, written(batch), 1.0)
    collected = again.collect()
    assert collected.answers == [answer for batch in PLAN for answer in written(batch)]
    assert collected.seconds == {"base": 4.0, "tuned": 4.0}


@pytest.mark.parametrize("torn", ["", '{"seconds": 1.0, "answ'])
def test_a_batch_that_was_being_written_is_open(tmp_path: Path, torn: str) -> None:
    BatchRecords(tmp_path, PLAN, {}, lambda line: None)
    (tmp_path / ".base-0000.json").write_text(torn, encoding="utf-8")
    assert len(BatchRecords(tmp_path, PLAN, {}, lambda line: None).open) == len(PLAN)


@pytest.mark.parametrize(("plan", "made_with"), [(PLAN, {"torch": "3"}), (plan_batches(PROMPTS, 3), {"torch": "2"})])
def test_records_of_other_versions_or_another_plan_are_not_mixed_in(
    tmp_path: Path, plan: list[Batch], made_with: dict[str, str]
) -> None:
    records = BatchRecords(tmp_path / "work", PLAN, {"torch": "2"}, lambda line: None)
    records.finish(PLAN[0], written(PLAN[0]), 1.0)
    said: list[str] = []
    again = BatchRecords(tmp_path / "work", plan, made_with, said.append)
    assert again.open == plan
    assert said == ["beginning anew: the finished batches were made with other versions or on another device"]
    assert json.loads((tmp_path / "work" / "plan.json").read_text(encoding="utf-8"))["made_with"] == made_with
