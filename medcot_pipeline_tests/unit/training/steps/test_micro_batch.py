import torch

from medcot_pipeline.chat.encode import IGNORED_LABEL
from medcot_pipeline.training.steps.micro_batch import MicroBatch, labels, tensors
from medcot_pipeline_tests.support.training_rows import rows_of


def test_a_padded_batch_holds_its_rows_on_the_left() -> None:
    rows = rows_of([5, 3])
    made = tensors(MicroBatch(rows, 32, packed=False), 9, attention_mask=True)
    for number, each in enumerate(rows):
        assert made["input_ids"][number, : len(each)].tolist() == each.input_ids
        assert made["labels"][number, : len(each)].tolist() == each.labels
        assert made["attention_mask"][number].sum() == len(each)
    assert set(made["input_ids"][1, 3:].tolist()) == {9}
    assert set(made["labels"][1, 3:].tolist()) == {IGNORED_LABEL}


def test_a_packed_line_tells_where_rows_begin_and_predicts_none_of_their_first_tokens() -> None:
    rows = rows_of([5, 3, 4])
    made = tensors(MicroBatch(rows, 64, packed=True), 9, longest=40)
    assert made["boundaries"].tolist() == [0, 5, 8, 12, 52, 64]
    assert made["boundaries"].dtype == torch.int32
    assert made["position_ids"][0, :13].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 3, 0]
    assert made["input_ids"][0, 5:8].tolist() == rows[1].input_ids
    assert all(made["labels"][0, start] == IGNORED_LABEL for start in (0, 5, 8, 12))
    assert int((made["labels"] != IGNORED_LABEL).sum()) == labels(rows)
