"""Files of rubrics: what is refused, and what the shipped ones hold."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.corpus.normalize.text import comparison_key
from medcot_pipeline.evaluation.answers.prompts import prompts_in_training
from medcot_pipeline.evaluation.rubrics.files import AXES, read_rubrics
from medcot_pipeline.evaluation.rubrics.grading import with_rubric
from medcot_pipeline.evaluation.rubrics.replies import stands_in
from medcot_pipeline.evaluation.rubrics.wording import template
from medcot_pipeline.records.prompts import Prompt, of_set, read_prompts
from medcot_pipeline.records.rubrics.rubric import Rubric
from medcot_pipeline.settings import AnswerSettings, RubricSettings
from medcot_pipeline.settings.load import project_root
from medcot_pipeline.support.errors import MedcotError

GOOD: dict[str, Any] = {"id": "c1", "axis": "dose", "points": 5, "criterion": "说明每日上限。"}
FEWEST_FROZEN, FEWEST_VIGNETTES = 60, 24


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "rubrics.jsonl"
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def one(**changed: Any) -> dict[str, Any]:
    return {"prompt_id": "q1", "criteria": [{**GOOD, **changed}]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: not a rubric (not JSON"),
        ('{"prompt_id": "q1", "prompt_id": "q2"}', 'the field "prompt_id" stands in it more than once'),
        ([], 'line 2: field "prompt_id" is null'),
        ({"prompt_id": " ", "criteria": [GOOD]}, 'line 2: field "prompt_id" is " "'),
        ({"prompt_id": "q0", "criteria": [GOOD]}, "line 2: the prompt q0 has a rubric already"),
        ({"prompt_id": "q1"}, 'line 2: prompt q1, field "criteria" is null'),
        ({"prompt_id": "q1", "criteria": []}, 'line 2: prompt q1, field "criteria" is []'),
        ({"prompt_id": "q1", "criteria": [GOOD], "note": 1}, 'line 2: prompt q1, unknown field "note"'),
        ({"prompt_id": "q1", "criteria": [GOOD, GOOD]}, "prompt q1, field \"id\" of two criteria is 'c1'"),
        ({"prompt_id": "q1", "criteria": [7]}, "prompt q1, criterion 1 is 7, not an object"),
        ({"prompt_id": "q1", "criteria": [{"id": "c1"}]}, 'criterion 1 has no field "axis"'),
        (one(weight=1), 'criterion 1 has the unknown field "weight"'),
        (one(axis="doze"), 'field "axis" is "doze" (did you mean dose?)'),
        (one(axis=["dose"]), 'field "axis" is ["dose"]'),
        (one(points=0), 'field "points" is 0'),
        (one(points=11), 'field "points" is 11'),
        (one(points=True), 'field "points" is true'),
        (one(points=2.5), 'field "points" is 2.5'),
        (one(points="5"), 'field "points" is "5"'),
        (one(points=-5), 'field "points" is below 0 in every criterion'),
        (one(id="c 1"), 'field "id" is "c 1"'),
        (one(id=1), 'field "id" is 1'),
        (one(criterion=" "), 'field "criterion" is " "'),
        (one(criterion=None), 'field "criterion" is null'),
        (one(criterion="\ud83d"), 'field "criterion" is'),
    ],
)
def test_a_file_that_is_wrong_is_one_line_with_line_prompt_and_field(tmp_path: Path, line: Any, said: str) -> None:
    path = written(tmp_path, {"prompt_id": "q0", "criteria": [GOOD]}, line)
    with pytest.raises(MedcotError) as raised:
        read_rubrics(path)
    assert str(raised.value).startswith(f"{path}, line 2: ") and said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_file_and_no_rubric_in_it_are_said(tmp_path: Path) -> None:
    with pytest.raises(MedcotError, match=r"no such file of rubrics. Set MEDCOT_RUBRICS__FILE"):
        read_rubrics(tmp_path / "none.jsonl")
    with pytest.raises(MedcotError, match="no rubric in it"):
        read_rubrics(written(tmp_path, ""))


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    root, settings = project_root(), AnswerSettings()
    return [*read_prompts(root / settings.prompts), *read_prompts(root / settings.vignettes, None, "vignettes")]


@pytest.fixture(scope="module")
def rubrics() -> list[Rubric]:
    return read_rubrics(project_root() / RubricSettings().file)


def test_the_shipped_rubrics_are_of_prompts_that_are_asked(prompts: list[Prompt], rubrics: list[Rubric]) -> None:
    pairs = with_rubric(prompts, rubrics)
    assert len(pairs) == len(rubrics)
    counts = Counter((prompt.set, prompt.language) for prompt, _ in pairs)
    assert sum(n for (name, _), n in counts.items() if name == "instructions") >= FEWEST_FROZEN
    assert counts["vignettes", "zh"] + counts["vignettes", "en"] == len(of_set(prompts, "vignettes"))
    assert min(counts.values()) >= FEWEST_VIGNETTES // 2


def test_every_shipped_rubric_has_harm_in_it_and_its_own_language(prompts: list[Prompt], rubrics: list[Rubric]) -> None:
    for prompt, rubric in with_rubric(prompts, rubrics):
        assert 4 <= len(rubric.criteria) <= 7, rubric.prompt_id
        assert any(each.points < 0 for each in rubric.criteria), rubric.prompt_id
        chinese = ["\u4e00" <= char <= "\u9fff" for each in rubric.criteria for char in each.criterion]
        assert (sum(chinese) > len(chinese) / 2) == (prompt.language == "zh"), rubric.prompt_id
    used = Counter(each.axis for rubric in rubrics for each in rubric.criteria)
    assert set(used) == set(AXES)


def test_half_of_the_vignettes_leave_out_what_matters_and_are_graded_by_asking_back(
    prompts: list[Prompt], rubrics: list[Rubric]
) -> None:
    vignettes = of_set(prompts, "vignettes")
    kinds = Counter((prompt.language, prompt.category) for prompt in vignettes)
    assert kinds == dict.fromkeys(((lang, kind) for lang in ("zh", "en") for kind in ("vignette", "underspecified")), 6)
    for prompt, rubric in with_rubric(vignettes, rubrics):
        wanted = [each for each in rubric.criteria if each.points > 0]
        asking = sum(each.points for each in wanted if each.axis == "asking_back")
        if prompt.category == "underspecified":
            assert asking > sum(each.points for each in wanted) / 2, prompt.id


def test_the_vignettes_are_those_that_were_frozen() -> None:
    path = project_root() / AnswerSettings().vignettes
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"sha256 `{sha256}`" in path.with_name("README.md").read_text(encoding="utf-8")


def test_no_vignette_stands_in_the_sample(prompts: list[Prompt]) -> None:
    sample = json.loads((project_root() / "data/sample/medical_o1_sample.json").read_text(encoding="utf-8"))
    keys = [comparison_key(row["Question"]) for row in sample]
    rows = pl.DataFrame({"row_id": [str(n) for n in range(len(keys))], "split": "train", "key": keys})
    assert prompts_in_training(of_set(prompts, "vignettes"), rows) == {"confirmed": [], "flagged": []}


def test_the_answers_that_say_nothing_hold_no_criterion(prompts: list[Prompt], rubrics: list[Rubric]) -> None:
    for prompt, rubric in with_rubric(prompts, rubrics):
        wording = template(prompt.language)
        assert not any(stands_in(each.criterion, wording["neutral"] + wording["order"]) for each in rubric.criteria)
