import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from medcot_pipeline.records.exams import ArmScore, Exams, ExamScore
from medcot_pipeline.records.figures import ByArm, Estimate, Interval
from medcot_pipeline.records.judgement import Judged, JudgeRecord, NotJudged, failed_gates, read_judge
from medcot_pipeline.records.review import Guesses
from medcot_pipeline.records.verdicts import Verdict
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json, read_model, write_model

QUARTER = Estimate(value=0.25, low=0.05, high=0.7)
SCORE = ExamScore(
    exam="CMB",
    items="all",
    n=4,
    base_pass=1,
    tuned_pass=2,
    base_only=0,
    tuned_only=1,
    mcnemar_p=1.0,
    samples=1,
    base=ArmScore(answers=4, right=1, truncated=1, unparsed=1, accuracy=QUARTER, finished_accuracy=Estimate()),
    tuned=ArmScore(answers=4, right=2, truncated=0, unparsed=1, accuracy=Estimate(), finished_accuracy=QUARTER),
    difference=Estimate(value=0.25, low=-0.3, high=0.6),
)
JUDGED: dict[str, Any] = {
    "status": "judged",
    "model": "judge-1",
    "family": "qwen",
    "verdicts": [{"prompt_id": "a", "outcome": "tie", "reason": "一样"}],
    "gates": [],
    "calls": {"answered": 2, "invalid": 0, "repaired": 0, "failed": 0},
    "tokens": {"prompt": 9, "completion": 1},
}


def written(folder: Path, content: Any, name: str = "judge.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_record_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    made = Exams(status="measured", scores=(SCORE,), left_out=("考试.jsonl: 1 of its items left out",))
    write_model(tmp_path / "new" / "exams.json", made)
    assert read_model(tmp_path / "new" / "exams.json", Exams) == made


def test_labels_of_a_row_stand_before_its_counts() -> None:
    assert list(SCORE.model_dump())[:3] == ["exam", "items", "n"]


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Guesses(), "right", 1)  # noqa: B010 - a type checker refuses the plain form


@pytest.mark.parametrize("kept", [{}, {"served": ["judge-1"], "errors": {"HTTP 400": 1}}])
def test_a_judges_record_is_read_whether_an_older_version_wrote_every_field_or_not(
    tmp_path: Path, kept: dict[str, Any]
) -> None:
    found = read_judge(written(tmp_path, {**JUDGED, **kept}))
    assert isinstance(found, Judged)
    assert found.verdicts == (Verdict("a", "tie", "一样"),)
    assert (list(found.served), found.errors) == (kept.get("served", []), kept.get("errors", {}))


def test_gates_of_older_versions_are_read_and_held_against_their_limits(tmp_path: Path) -> None:
    """They have no interval, no least n and no reason."""
    gate = {"gate": "retest", "meaning": "…", "value": 0.5, "n": 20, "low": 0.9, "high": 1.0, "passed": False}
    others = [{**gate, "gate": "flip_rate", "passed": True}, {**gate, "gate": "canary", "value": None, "n": 0}]
    others[1]["passed"] = None
    found = read_judge(written(tmp_path, {**JUDGED, "gates": [gate, *others]}))
    assert isinstance(found, Judged)
    assert [each.gate for each in failed_gates(found)] == ["retest", "canary"]
    assert failed_gates(found)[0].said() == "retest 50% of 20, at least 90% required"
    assert found.gates[0].row()["interval_low"] is None


def test_no_judge_is_a_record_without_verdicts(tmp_path: Path) -> None:
    nobody: JudgeRecord = NotJudged()
    write_model(tmp_path / "judge.json", nobody)
    assert read_json(tmp_path / "judge.json") == {"status": "not configured", "verdicts": []}
    assert read_judge(tmp_path / "judge.json") == nobody


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({**JUDGED, "calls": {**JUDGED["calls"], "failed": -1}}, "calls.failed"),
        ({**JUDGED, "verdicts": [{"prompt_id": "a", "outcome": "best"}]}, "verdicts.0.outcome"),
        ({**JUDGED, "verdicts": [{"prompt_id": "a", "outcome": "tie", "score": 1}]}, "verdicts.0.score"),
        ({**JUDGED, "note": "by hand"}, "note"),
        ({"status": "perhaps"}, "status"),
        ([], "not in the form that this version writes"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line_that_names_file_and_field(
    tmp_path: Path, content: Any, complaint: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(MedcotError) as raised:
        read_judge(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_torn_file_is_one_line_too(tmp_path: Path) -> None:
    (tmp_path / "exams.json").write_text('{"status": "measu')
    with pytest.raises(MedcotError, match=r"exams\.json: .*not JSON"):
        read_model(tmp_path / "exams.json", Exams)


def test_the_incumbent_is_no_arm_of_a_pair() -> None:
    pair = ByArm[Interval](base=Interval(value=2.0, low=1.0, high=3.0), tuned=Interval(value=1.0, low=1.0, high=1.0))
    assert (pair.of("base").value, pair.of("tuned").value) == (2.0, 1.0)
    with pytest.raises(KeyError, match="incumbent"):
        pair.of("incumbent")
