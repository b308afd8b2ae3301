"""Question, reasoning and answer are three texts."""

from pathlib import Path

import pytest

from medcot_pipeline.corpus.sources.source import read_rows
from medcot_pipeline.settings import SourceSettings, load_settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.corpus_chain import lines, record


@pytest.mark.parametrize(
    ("variable", "value", "both"),
    [
        ("REASONING", "Response", "MEDCOT_SOURCE__FIELDS__REASONING and MEDCOT_SOURCE__FIELDS__ANSWER"),
        ("ANSWER", "Question", "MEDCOT_SOURCE__FIELDS__QUESTION and MEDCOT_SOURCE__FIELDS__ANSWER"),
    ],
)
def test_two_settings_that_name_one_field_are_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, both: str
) -> None:
    """Staged after field reports: the model learns to answer by its answer."""
    monkeypatch.setenv(f"MEDCOT_SOURCE__FIELDS__{variable}", value)
    with pytest.raises(MedcotError) as raised:
        load_settings("tiny")
    assert f"{both} both name the field {value!r}" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_row_whose_answer_is_its_reasoning_is_rejected_and_counted(tmp_path: Path) -> None:
    """Staged after field reports: an export that filled both columns from one."""
    copied = record(2) | {"Response": f"  {record(2)['Complex_CoT']}\n"}
    (tmp_path / "rows.jsonl").write_text(lines(record(1), copied), encoding="utf-8")
    rows = read_rows(tmp_path / "rows.jsonl", SourceSettings())
    assert [(reject.where, reject.reason) for reject in rows.rejects] == [
        ("line 2", "reasoning and answer are the same text")
    ]
    assert rows.rows.height == 1
