import hashlib
import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from medcot_pipeline.corpus.normalize.text import comparison_key
from medcot_pipeline.evaluation.answers.figures import answer_figures
from medcot_pipeline.evaluation.answers.paired import check_answers
from medcot_pipeline.evaluation.answers.prompts import (
    asked_prompts,
    prompts_in_training,
    prompts_sha256,
    refuse_trained_prompts,
    strata,
)
from medcot_pipeline.evaluation.answers.rules import check_answer
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.figures import ByArm
from medcot_pipeline.records.prompts import Prompt, PromptSet, read_prompts
from medcot_pipeline.settings import AnswerSettings
from medcot_pipeline.settings.load import project_root
from medcot_pipeline.support.errors import MedcotError

FILE = project_root() / AnswerSettings().prompts
QUESTION = "突发胸痛半小时并向左肩放射，伴大汗淋漓，应该马上做什么检查？"


@pytest.fixture(scope="module")
def frozen() -> list[Prompt]:
    return read_prompts(FILE, AnswerSettings().max_prompts)


def test_the_prompts_are_those_that_were_frozen() -> None:
    page = FILE.with_name("README.md").read_text(encoding="utf-8")
    for file in (FILE, project_root() / AnswerSettings().general):
        assert f"sha256 `{hashlib.sha256(file.read_bytes()).hexdigest()}`" in page, file.name


def test_a_hundred_prompts_are_spread_over_languages_and_categories(frozen: list[Prompt]) -> None:
    table = strata(frozen)
    assert (len(frozen), sum(row.zh for row in table), sum(row.en for row in table)) == (100, 60, 40)
    assert [row.zh + row.en for row in table] == [12, 13, 13, 13, 12, 12, 12, 13]
    assert sum(row.with_constraints for row in table) == 42
    assert sum(row.emergencies for row in table) == 19


def test_every_constraint_of_the_prompts_is_known(frozen: list[Prompt]) -> None:
    for prompt in frozen:
        check_answer(prompt, Answer(prompt.id, "base", "", "答", True, True, 1))
    rules = Counter(constraint["rule"] for prompt in frozen for constraint in prompt.constraints)
    assert rules == {
        "numbered_items": 14,
        "max_chars": 13,
        "must_contain": 11,
        "must_not_contain": 7,
        "json_keys": 2,
        "min_numbered_items": 1,
        "warns_against": 1,
    }


def test_no_prompt_stands_in_the_sample(frozen: list[Prompt]) -> None:
    sample = json.loads((project_root() / "data/sample/medical_o1_sample.json").read_text(encoding="utf-8"))
    assert prompts_in_training(frozen, rows(*(row["Question"] for row in sample)))["confirmed"] == []


def rows(*questions: str, split: str = "train") -> pl.DataFrame:
    keys = [comparison_key(question) for question in questions]
    return pl.DataFrame({"row_id": [str(n) for n in range(len(keys))], "split": split, "key": keys})


def test_a_prompt_in_training_is_named_before_anything_is_generated() -> None:
    prompts = [Prompt("a", "zh", "x", QUESTION), Prompt("b", "zh", "x", "感冒多久好？"), Prompt("c", "zh", "x", "别的")]
    with pytest.raises(MedcotError) as raised:
        refuse_trained_prompts(prompts, rows(f" {QUESTION} ", "感冒多久好"))
    assert str(raised.value).startswith("2 of 3 prompts also appear in the training rows: a, b. Take them out")


@pytest.mark.parametrize("split", ["validation", "test", "excluded"])
def test_a_prompt_in_another_split_was_not_trained_on(split: str) -> None:
    refuse_trained_prompts([Prompt("a", "zh", "x", QUESTION)], rows(QUESTION, split=split))


def test_a_near_copy_is_refused_and_a_longer_question_around_it_is_flagged() -> None:
    near = Prompt("a", "zh", "x", QUESTION.replace("检查", "检查呢"))
    assert prompts_in_training([near], rows(QUESTION)) == {"confirmed": ["a"], "flagged": []}
    longer = rows(f"男性，62岁，高血压病史二十年，吸烟，既往血脂升高未治疗。{QUESTION}已在家中服用药物而不见好转。")
    assert prompts_in_training([Prompt("a", "zh", "x", QUESTION)], longer) == {"confirmed": [], "flagged": ["a"]}


def test_the_hash_of_the_prompts_knows_their_order_and_every_field() -> None:
    one, two = Prompt("a", "zh", "x", "问"), Prompt("b", "zh", "x", "问")
    hashes = [prompts_sha256(given) for given in ([one, two], [two, one], [one], [Prompt("a", "zh", "x", "问", True)])]
    assert len(set(hashes)) == 4


def test_the_same_answer_of_both_arms_and_answers_cut_at_the_limit_are_counted() -> None:
    prompts = [Prompt("a", "zh", "x", "问"), Prompt("b", "zh", "x", "问")]
    answers = [Answer("a", arm, "想", "答", True, arm == "tuned", 3) for arm in ARMS]
    answers += [Answer("b", arm, "想", f"答{arm}", True, True, 3) for arm in ARMS]
    figures = answer_figures(prompts, answers, check_answers(prompts, answers), "model")
    assert (figures.same, figures.prompts, figures.cut) == (1, 2, ByArm[int](base=1, tuned=0))


def further_prompts(folder: Path, **ids: str) -> AnswerSettings:
    """Settings with a file of two prompts for every further set; the second's id is given or made up."""
    paths = {}
    for name in ("vignettes", "emergencies", "general"):
        given = [f"{name}-1", ids.get(name, f"{name}-2")]
        own = {"reference": "today"} if name == "emergencies" else {}
        lines = [{"id": each, "language": "zh", "category": name, "prompt": f"问题 {each}", **own} for each in given]
        paths[name] = folder / f"{name}.jsonl"
        paths[name].write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return AnswerSettings.model_validate({"max_prompts": 1, "max_further": 2, **paths})


def test_every_prompt_is_of_the_set_of_its_file(tmp_path: Path) -> None:
    asked = asked_prompts(further_prompts(tmp_path), project_root())
    assert [prompt.set for prompt in asked] == [
        "instructions",
        *(name for name in ("vignettes", "emergencies", "general") for _ in range(2)),
    ]


def test_an_identifier_in_two_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        MedcotError, match=r"general.jsonl: the id vignettes-1 is taken by a prompt of the set vignettes"
    ):
        asked_prompts(further_prompts(tmp_path, general="vignettes-1"), project_root())


@pytest.mark.parametrize(("name", "reference"), [("general", "today"), ("emergencies", "soon"), ("emergencies", None)])
def test_a_reference_action_is_one_of_three_and_of_emergencies_alone(
    tmp_path: Path, name: PromptSet, reference: str | None
) -> None:
    line = {"id": "1", "language": "zh", "category": "c", "prompt": "问", "reference": reference}
    (tmp_path / "prompts.jsonl").write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(MedcotError, match='field "reference"'):
        read_prompts(tmp_path / "prompts.jsonl", None, name)
