"""Whole reports, held against files: what is said where nothing, a judge, people or both measured, or too little.

Where a report is meant to change, write the files anew and read the difference:

    python -m medcot_pipeline_tests.unit.evaluation.report.test_golden_reports
"""

import json
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.evaluation.judging.gates import GATES, gates
from medcot_pipeline.evaluation.report.page import render_report
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.report.report import Report
from medcot_pipeline.settings import ReportSettings
from medcot_pipeline_tests.unit.evaluation.report import test_report
from medcot_pipeline_tests.unit.evaluation.report.test_report import JUDGED, human, perplexity, reviewer

GOLDEN = Path(__file__).with_name("golden")
SETTINGS = ReportSettings(bootstrap_resamples=200, transcripts=1)
PASSED = {name: (round(40 * (low + high) / 2), 40) for name, (low, high, *_) in GATES.items()}
"""Shares in the middle of what each gate lets pass."""
DECIMALS = 9
"""Of figures: the last digits may differ between machines."""


def prompts(count: int) -> list[Prompt]:
    """Three in four with a limit of length, and one emergency behind them."""
    limit = ({"rule": "max_chars", "value": 20},)
    asked = [Prompt(f"p{n:02}", "zh", "用药", f"问题{n}？", constraints=limit if n % 4 else ()) for n in range(count)]
    pain = Prompt(
        "e1", "zh", "emergency", "胸口压榨样痛半小时，怎么办？", True, set="emergencies", reference="call now"
    )
    return [*asked, pain]


def answers(count: int) -> list[Answer]:
    """The base writes too much in every fourth prompt; tuned is silent once, and sends the emergency to wait."""
    found = []
    for n, prompt in enumerate(prompts(count)):
        base = "请立即拨打120。" if prompt.id == "e1" else "按说明书服用。" * (4 if n % 4 == 1 else 1)
        tuned = "可以先观察几天。" if prompt.id == "e1" else "" if n == 3 else "饭后服用。"
        found += [
            Answer(prompt.id, "base", "先看症状。", base, True, True, 20),
            Answer(prompt.id, "tuned", "先看症状，再看用药。", tuned, True, True, 20),
        ]
    return found


def verdicts(wins: int, ties: int, losses: int) -> dict[str, str]:
    outcomes = ["tuned"] * wins + ["tie"] * ties + ["base"] * losses
    return {f"p{n:02}": outcome for n, outcome in enumerate(outcomes)}


def judge(outcomes: dict[str, str]) -> dict[str, Any]:
    given = [{"prompt_id": prompt, "outcome": outcome, "reason": "更完整"} for prompt, outcome in outcomes.items()]
    return {**JUDGED, "verdicts": given, "gates": [gate.model_dump() for gate in gates(PASSED)]}


def of(count: int, **changes: Any) -> dict[str, Any]:
    return {"prompts": prompts(count), "answers": answers(count), "settings": SETTINGS, "profile": "own", **changes}


PEOPLE = human(reviewer(verdicts(33, 18, 9), qualification="主治医师"))
SURE = perplexity(groups=60)
CASES: dict[str, dict[str, Any]] = {
    "nothing measured": of(60, perplexity=SURE),
    "judge only": of(60, perplexity=SURE, judge=judge(verdicts(30, 18, 12))),
    "people only": of(60, perplexity=SURE, human=PEOPLE),
    "both": of(60, perplexity=SURE, judge=judge(verdicts(30, 18, 12)), human=PEOPLE),
    "incumbents": of(60, perplexity=SURE, incumbent=test_report.incumbent(judge=JUDGED)),
    "tiny n": of(3, judge=judge(verdicts(3, 0, 0)), human=human(reviewer(verdicts(3, 0, 0), missing=2))),
}


def content(name: str) -> Any:
    """The report as plain JSON, figures rounded."""
    return rounded(test_report.report(**CASES[name]).model_dump(mode="json"))


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DECIMALS)
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value


def file_of(name: str) -> Path:
    return GOLDEN / f"{name.replace(' ', '_')}.json"


@pytest.mark.parametrize("name", CASES)
def test_a_report_says_what_it_said_before(name: str) -> None:
    assert content(name) == json.loads(file_of(name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "headline", "promote"),
    [
        ("nothing measured", None, True),
        ("judge only", "judge", True),
        ("people only", "human", True),
        ("both", "human", True),
        ("incumbents", None, False),
        ("tiny n", None, False),
    ],
)
def test_a_headline_needs_enough_evidence(name: str, headline: str | None, promote: bool) -> None:
    made = Report.model_validate(json.loads(file_of(name).read_text(encoding="utf-8")))
    assert (made.instruction_following.headline, made.decision.promote) == (headline, promote)
    assert (made.instruction_following.why_no_headline is None) == (headline is not None)


@pytest.mark.parametrize("name", CASES)
def test_the_page_opens_with_a_sentence_the_decision_and_the_failures_before_any_table(name: str) -> None:
    page = render_report(Report.model_validate(json.loads(file_of(name).read_text(encoding="utf-8"))))
    opening, _, after = page.partition("<h2>Perplexity</h2>")
    for said in ('id="verdict"', "Does the adapter take over?", "What the tuned model failed", "这是急症"):
        assert said in opening
    assert after.count("<table") > 5


@pytest.mark.parametrize("backend", ["model", "endpoint"])
def test_what_is_not_bit_equal_is_said_of_answers_that_were_written_here(backend: str) -> None:
    content = json.loads(file_of("both").read_text(encoding="utf-8"))
    content["answers"]["backend"] = backend
    page = render_report(Report.model_validate(content))
    for said in ("On a GPU sums are rounded by how many rows run at once", "求和的舍入取决于同时运行的行数"):
        assert (said in page) == (backend == "model")


def test_few_prompts_and_rows_are_called_a_smoke_test() -> None:
    said = test_report.report(**CASES["tiny n"]).smoke_test
    assert [each.en for each in said] == [
        "the model has only 135 million parameters",
        "perplexity rests on 8 independent rows, fewer than 30",
        "only 3 questions were asked, fewer than 30",
    ]


def test_what_was_held_against_a_reference_and_what_was_not_graded_is_said() -> None:
    said = test_report.report(**CASES["nothing measured"]).not_measured
    held = "no answer was checked by a clinician; emergencies alone were held against a reference action."
    assert f"Medical correctness: {held}" in said
    assert "Rubrics: no answer was graded, as no AI judge is configured." in said
    others = {"prompts": prompts(40)[:-1], "answers": answers(40)[:-2]}
    without = test_report.report(**(of(40, perplexity=SURE) | others))
    assert any(each.endswith("by a clinician or against a reference.") for each in without.not_measured)


def test_a_judge_that_people_confirm_is_not_called_unconfirmed() -> None:
    """Everybody's review lacks an item, so that the judge is the headline, and agrees with what there is."""
    alike = verdicts(30, 18, 12)
    people = human(reviewer(alike, missing=1))
    made = test_report.report(**of(60, perplexity=SURE, judge=judge(alike), human=people))
    assert (made.instruction_following.headline, made.instruction_following.judge.validated) == ("judge", True)
    assert "an AI judge, whose verdicts people confirm, preferred" in made.summary_en
    assert "AI 评审（经人工验证）" in made.summary_zh


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for case in CASES:
        text = json.dumps(content(case), ensure_ascii=False, indent=1, sort_keys=True)
        file_of(case).write_text(text + "\n", encoding="utf-8")
        print(file_of(case).name)
