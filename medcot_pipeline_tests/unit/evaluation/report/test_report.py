import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from medcot_pipeline.evaluation.answers.figures import answer_figures
from medcot_pipeline.evaluation.answers.paired import check_answers
from medcot_pipeline.evaluation.answers.safety.triage import advised_actions
from medcot_pipeline.evaluation.judging.gates import GATES, gates
from medcot_pipeline.evaluation.report.build import build_report
from medcot_pipeline.evaluation.report.incumbent import incumbent_section
from medcot_pipeline.evaluation.report.measured import Answered, Measured
from medcot_pipeline.evaluation.report.page import code, number, points, render_report
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.exams import Exams
from medcot_pipeline.records.figures import ByArm, Interval
from medcot_pipeline.records.judgement import Judged, NotJudged, PaidCalls
from medcot_pipeline.records.perplexity import IncumbentPerplexity, PerplexityFigures
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.report.following import SecondLookDone
from medcot_pipeline.records.report.provenance import Provenance, TrainingSummary
from medcot_pipeline.records.report.report import IncumbentSection, Report
from medcot_pipeline.records.review import HumanReviews
from medcot_pipeline.records.rubrics.graded import NotGraded
from medcot_pipeline.records.verdicts import Verdict
from medcot_pipeline.settings import PromotionSettings, ReportSettings

ATTACK = "<script>alert('模型')</script><think>再想想</think><img src=https://example.org/x.png onerror=alert(1)>"
VERDICTS: list[Verdict] = [Verdict(f"p{i}", "tuned" if i < 4 else "base", ATTACK) for i in range(6)]
JUDGED: dict[str, Any] = {
    "status": "judged",
    "model": "judge-1",
    "served": ["judge-1-2026"],
    "family": "qwen",
    "verdicts": [vars(verdict) for verdict in VERDICTS],
    "gates": gates(
        dict.fromkeys(GATES, (10, 10))
        | {"flip_rate": (1, 10), "first_position_share": (5, 10), "invalid_rate": (0, 10)}
    ),
    "calls": {"answered": 12, "failed": 0, "invalid": 0, "repaired": 0},
    "errors": {},
    "tokens": {"prompt": 900, "completion": 90},
}
SCORE: dict[str, Any] = {"n": 40, "base_pass": 20, "tuned_pass": 24, "base_only": 1, "tuned_only": 5, "mcnemar_p": 0.22}
ANSWERED: dict[str, Any] = {
    "answers": 120,
    "right": 60,
    "truncated": 17,
    "unparsed": 0,
    "accuracy": {"value": 0.5, "low": 0.41, "high": 0.59},
    "finished_accuracy": {"value": 60 / 103, "low": 0.48, "high": 0.68},
}
EXAMINED: dict[str, Any] = {
    "status": "measured",
    "scores": [
        {
            "exam": ATTACK,
            "items": "all",
            **SCORE,
            "samples": 3,
            "base": {**ANSWERED, "unparsed": 3, "majority": {"value": 0.5, "low": 0.35, "high": 0.65}},
            "tuned": ANSWERED,
            "difference": {"value": 0.1, "low": -0.02, "high": 0.22},
        }
    ],
    "kept_order": [f"{ATTACK}: 2 of its questions keep the order of their options, first #3."],
}
SCHEMA = Report.model_json_schema()
SETTINGS = ReportSettings(bootstrap_resamples=200, least_n=1)
"""Six prompts are few: what a report says where they suffice."""
ROSE = {"value": 1.2, "low": 1.1, "high": 1.3}
COMPARED = {"base": ROSE, "tuned": ROSE, "ratio": ROSE}
POINT = {"value": 0.6, "low": None, "high": None}


def reviewer(outcomes: dict[str, str], **changed: Any) -> dict[str, Any]:
    """What human.json says of one reviewer."""
    verdicts = [vars(Verdict(prompt, outcome, "")) for prompt, outcome in outcomes.items()]  # type: ignore[arg-type]
    told = {"reviewer": "王医生", "qualification": ATTACK, "verdicts": verdicts, "missing": 0, "minutes": 31.5}
    guesses = {"right": 1, "wrong": 2, "unknown": 7}
    return {**told, "repeated": [["tuned", "tie"]], "guesses": guesses, "second_look": None, **changed}


def human(*reviewers: dict[str, Any]) -> dict[str, Any]:
    status = "reviewed" if reviewers else "none yet"
    return {"status": status, "reviewers": list(reviewers), "unsafe": {"base": ["p1"], "tuned": []}}


DISSENT = {f"p{i}": "tie" if i else "tuned" for i in range(6)}
OPEN = {"items": 5, "pack": "a" * 64, "verdicts": []}
AGAIN = [vars(Verdict(f"p{i}", "tuned")) for i in range(6)]
SETTLED = {**OPEN, "items": 6, "verdicts": AGAIN}
REVIEWED = human(reviewer(DISSENT))
SILENT_ON_ONE = {**JUDGED, "verdicts": [*JUDGED["verdicts"][:5], vars(Verdict("p5", "invalid"))]}
AGREED = human(reviewer({verdict.prompt_id: verdict.outcome for verdict in VERDICTS}))


def perplexity(**changes: Any) -> dict[str, Any]:
    examples = [
        {"row_id": f"r{i}", "language": "zh", "question": ATTACK, "base_nll": 16.3, "tuned_nll": 8.0 + i, "tokens": 10}
        for i in range(9)
    ]
    measured = {
        "rows": 9,
        "left_out": 2,
        "base": {"value": 5.1, "low": 4.9, "high": 5.3},
        "tuned": {"value": 3.1, "low": 3.0, "high": 3.2},
        "ratio": {"value": 3.1 / 5.1, "low": 0.60, "high": 0.62},
        "groups": 8,
        "languages": {"zh": {"rows": 9, "groups": 8, **COMPARED, "content": COMPARED}},
        "content": COMPARED,
        "marks_share": {"tokens": ROSE, "gain": {"value": None, "low": None, "high": None}},
        "segments": dict.fromkeys(("reasoning", "answer"), COMPARED),
        "bits_per_byte": COMPARED,
        "definitions": {
            "full_text": COMPARED,
            "macro": COMPARED,
            "trainer_style": {"base": {"value": 5.2}, "tuned": {"value": 3.2}},
        },
        "general": {"passages": 40, **COMPARED, "languages": {}},
        "overfitting": None,
        "shared_runs": {
            "least_chars": 40,
            "rows": 0,
            "of": 9,
            "languages": {"zh": {"rows": 0, "of": 9}},
            "ratio_with": {},
            "ratio_without": ROSE,
        },
        "share_improved": {"value": 1.0, "low": 0.7, "high": 1.0},
        "left_out_by_language": {"en": {"rows": 0, "of": 3}, "zh": {"rows": 2, "of": 8}},
        "training_left_out_by_language": {"zh": {"rows": 5, "of": 60}},
        "max_logit_difference": 2.5,
        "examples": examples,
    }
    return {**measured, **changes}


def training(**changes: Any) -> dict[str, Any]:
    curve = [[1, 2.0], [2, 1.5], [3, 1.2]]
    ran = {"loss": curve, "learning_rate": curve, "grad_norm": curve, "validation": [[3, 1.3]], "tokens": 24_981}
    size = {"seconds": 214.3, "rows": 71, "model": "SmolLM2-135M-Instruct", "parameters": 134_515_008}
    return {**ran, **size, "adapter_parameters": 2_442_240, "device": "cpu", **changes}


def report(**changes: Any) -> Report:
    prompts = changes.get("prompts", [Prompt(f"p{i}", "zh", "consultation", ATTACK, i == 0) for i in range(6)])
    answers = [Answer(p.id, "base", ATTACK * 9, "", False, False, 64) for p in prompts]
    answers += [Answer(p.id, "tuned", "想。", f"建议就医。{ATTACK}", True, True, 32) for p in prompts]
    artifact = {"asset": "qlora_adapter", "fingerprint": "f" * 64, "content_hash": "c" * 64, "code_version": "1"}
    provenance = {
        "artifacts": [artifact],
        "packages": {"torch": "2.11.0"},
        "git_commit": "e4b5a7b",
        "settings": {"source": {"kind": "sample", "note": ATTACK}},
        "sources": {"raw_medical_o1": "https://example.org/data"},
        "seeds": {"answers": 11},
    }
    given = changes.get("answers", answers)
    checks = check_answers(prompts, given)
    answered = Answered(
        prompts=prompts,
        answers=given,
        checks=checks,
        actions=advised_actions(prompts, given),
        figures=answer_figures(prompts, given, checks, "model"),
        seconds={"base": 12.0, "tuned": 6.0},
    )
    measured = Measured(
        perplexity=PerplexityFigures.model_validate(changes.get("perplexity", perplexity())),
        answered=answered,
        judge=judged(changes["judge"]) if "judge" in changes else NotJudged(),
        second=judged(changes["second"]) if "second" in changes else None,
        paid=PaidCalls(asked=8, cached=4, seconds=3.5) if "judge" in changes else None,
        human=HumanReviews.model_validate(changes.get("human", human())),
        exams=Exams.model_validate(changes.get("exams", {})),
        rubrics=changes.get("rubrics", NotGraded()),
        has_incumbent="incumbent" in changes,
        incumbent=changes.get("incumbent"),
        training=TrainingSummary.model_validate(changes.get("training", training())),
        provenance=Provenance.model_validate(changes.get("provenance", provenance)),
    )
    return build_report(
        changes.get("profile", "demo"), measured, changes.get("settings", SETTINGS), PromotionSettings()
    )


def judged(record: dict[str, Any]) -> Judged:
    """What judge.json says."""
    return Judged.model_validate(record)


RATIO = Interval(value=0.9, low=0.8, high=0.95)


def incumbent(
    *, answered: bool = True, judge: dict[str, Any] | None = None, ratio: Interval = RATIO
) -> IncumbentSection:
    """What the report says of an incumbent that finishes half of its answers."""
    short = ({"rule": "max_chars", "value": 50},)
    prompts = [Prompt(f"p{i}", "zh", "consultation", ATTACK, constraints=short) for i in range(6)]
    beside = [Answer(p.id, "incumbent", "想。", "建议就医。", True, i < 3, 32) for i, p in enumerate(prompts)]
    tuned = [Answer(p.id, "tuned", "想。", "建议就医。", True, True, 32) for p in prompts]
    checks = check_answers(prompts, [*tuned, *(beside if answered else [])])
    rose = Interval(**ROSE)
    measured = IncumbentPerplexity(adapter="a" * 64, incumbent=rose, tuned=rose, ratio=ratio)
    verdicts = judged(judge) if judge else None
    return incumbent_section(measured, checks, verdicts)


class Page(HTMLParser):
    """Tags with their attributes, and the text of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


VARIANTS: dict[str, dict[str, Any]] = {
    "nobody compared": {},
    "judged": {"judge": JUDGED},
    "judged, all invalid": {"judge": {**JUDGED, "verdicts": [{"prompt_id": "p0", "outcome": "invalid", "reason": ""}]}},
    "reviewed": {"judge": JUDGED, "human": REVIEWED},
    "reviewed by two": {"judge": JUDGED, "human": human(reviewer(DISSENT), reviewer(DISSENT, reviewer="李医生"))},
    "one prompt": {"prompts": [Prompt("p0", "en", "x", "?", constraints=({"rule": "max_chars", "value": 9},))]},
    "perplexity rose": {"perplexity": perplexity(ratio=ROSE, examples=[])},
    "examined": {"exams": EXAMINED},
    "one row, without an interval": {
        "perplexity": perplexity(base=POINT, tuned=POINT, ratio=POINT, content={**COMPARED, "ratio": POINT}),
        "incumbent": incumbent(ratio=Interval(**POINT)),
    },
    "an adapter without effect": {"perplexity": perplexity(max_logit_difference=0.0)},
    "an incumbent": {"incumbent": incumbent(judge=JUDGED)},
    "an incumbent, perplexity alone": {"incumbent": incumbent(answered=False)},
    "no curves": {"training": training(loss=[], validation=[], seconds=0.0)},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_report_fits_the_schema_and_renders(name: str) -> None:
    made = report(**VARIANTS[name])
    Draft202012Validator.check_schema(SCHEMA)
    written = json.loads(json.dumps(made.model_dump(mode="json"), allow_nan=False))
    Draft202012Validator(SCHEMA).validate(written)
    assert Report.model_validate(written) == made
    assert render_report(made).startswith("<!doctype html>")


@pytest.mark.parametrize("part", [[], ["perplexity", "base"], ["transcripts", "best", 0, "prompt"], ["provenance"]])
def test_an_unknown_field_fits_neither_the_schema_nor_the_model(part: list[str | int]) -> None:
    written = report().model_dump(mode="json")
    within: Any = written
    for name in part:
        within = within[name]
    within["extra"] = 1
    assert not Draft202012Validator(SCHEMA).is_valid(written)
    with pytest.raises(ValidationError, match="extra"):
        Report.model_validate(written)


@pytest.mark.parametrize("name", VARIANTS)
def test_model_output_is_text_and_nothing_is_fetched(name: str) -> None:
    html = render_report(report(**VARIANTS[name]))
    page = Page(html)
    assert not {"script", "think", "img", "link", "iframe", "object", "image"} & {tag for tag, _ in page.tags}
    values = [(key, value or "") for _, attributes in page.tags for key, value in attributes.items()]
    assert not [pair for pair in values if pair[0].startswith("on") or pair[0] in ("src", "href") or "http" in pair[1]]
    assert not re.search(r"url\(|@import", html)
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_what_the_model_wrote_can_be_read() -> None:
    page = Page(render_report(report(judge=JUDGED)))
    assert page.text.count("<script>alert('模型')</script><think>再想想</think>") > 18


@pytest.mark.parametrize(
    ("changes", "status", "headline"),
    [
        ({}, "not measured", None),
        ({"judge": JUDGED}, "provisional", "judge"),
        ({"judge": JUDGED, "human": AGREED}, "measured", "human"),
        ({"judge": JUDGED, "human": human(reviewer(DISSENT, second_look=OPEN))}, "measured", "human"),
        ({"judge": JUDGED, "human": human(reviewer(DISSENT, second_look=SETTLED))}, "measured", "human"),
        ({"human": REVIEWED}, "measured", "human"),
        ({"judge": SILENT_ON_ONE, "human": AGREED}, "measured", "human"),
        ({"judge": JUDGED, "human": human(reviewer(DISSENT, missing=3))}, "provisional", "judge"),
        ({"human": human(reviewer(DISSENT, missing=3))}, "provisional", None),
        ({"judge": VARIANTS["judged, all invalid"]["judge"]}, "not measured", None),
    ],
)
def test_the_status_says_who_compared(changes: dict[str, Any], status: str, headline: str | None) -> None:
    made = report(**changes)
    assert made.perplexity.status == "measured"
    assert (made.instruction_following.status, made.instruction_following.headline) == (status, headline)


def test_people_judge_and_adjudicated_stand_side_by_side() -> None:
    made = report(judge=JUDGED, human=human(reviewer(DISSENT, second_look=SETTLED))).instruction_following
    net = {name: given.net.value for name, given in made.preference}
    assert net == {"human": pytest.approx(1 / 6), "judge": pytest.approx(2 / 6), "adjudicated": pytest.approx(1.0)}
    assert made.unresolved == 0
    assert made.reviewers[0].second_look == SecondLookDone(prompts=6, done=6)
    assert made.reviewers[0].with_judge.table == ((0, 0, 0), (2, 0, 3), (0, 0, 1))
    assert made.reviewers[0].blinding.value.value == pytest.approx(-0.1)


def many(**changed: Any) -> dict[str, Any]:
    """A hundred prompts that both arms answered, for a report by the settings that nobody changed."""
    prompts = [Prompt(f"p{i}", "zh", "consultation", "发热怎么办？") for i in range(100)]
    answers = [Answer(p.id, arm, "想。", "多喝水。", True, True, 3) for p in prompts for arm in ARMS]
    return {"prompts": prompts, "answers": answers, "settings": ReportSettings(bootstrap_resamples=200), **changed}


def outcomes(tuned: int, base: int, tie: int = 0) -> dict[str, str]:
    said = ["tuned"] * tuned + ["base"] * base + ["tie"] * tie
    return {f"p{at}": outcome for at, outcome in enumerate(said)}


def judge(tuned: int, base: int, **changed: Any) -> dict[str, Any]:
    verdicts = [vars(Verdict(prompt, each)) for prompt, each in outcomes(tuned, base).items()]  # type: ignore[arg-type]
    return {**JUDGED, "verdicts": verdicts, **changed}


FAILING = [{**JUDGED["gates"][0].model_dump(), "passed": False}, *JUDGED["gates"][1:]]
THREE = human(reviewer(outcomes(3, 0), missing=107))
NOBODY, NO_JUDGE = "nobody reviewed", "no AI judge is configured"


@pytest.mark.parametrize(
    ("changes", "headline", "net", "why"),
    [
        ({"judge": judge(35, 65), "human": THREE}, "judge", -0.3, None),
        ({"human": THREE}, None, None, f"the review of 王医生 is not complete (107 items are missing); {NO_JUDGE}."),
        ({"judge": judge(35, 65), "human": human(reviewer(outcomes(50, 30, 20)))}, "human", 0.2, None),
        (
            {"human": human(reviewer(outcomes(50, 30, 20)), reviewer(outcomes(3, 0), missing=107, reviewer="李医生"))},
            "human",
            0.2,
            None,
        ),
        (
            {"human": human(reviewer(outcomes(12, 0)))},
            None,
            None,
            f"people compared 12 prompts, fewer than 30; {NO_JUDGE}.",
        ),
        (
            {"human": human(*(reviewer(outcomes(12, 0), reviewer=f"R{at}") for at in range(5)))},
            None,
            None,
            f"people compared 12 prompts, fewer than 30; {NO_JUDGE}.",
        ),
        ({"judge": judge(29, 0)}, None, None, f"{NOBODY}; the AI judge compared 29 prompts, fewer than 30."),
        ({"judge": judge(30, 0)}, "judge", 1.0, None),
        (
            {"judge": judge(90, 10, gates=FAILING)},
            None,
            None,
            f"{NOBODY}; the AI judge does not pass its gates (flip rate).",
        ),
        ({"judge": judge(35, 65), "human": human(reviewer(outcomes(12, 0)))}, "judge", -0.3, None),
        ({}, None, None, f"{NOBODY}; {NO_JUDGE}."),
    ],
)
def test_the_headline_is_the_peoples_first_look_else_a_judge_that_nothing_speaks_against_else_none(
    changes: dict[str, Any], headline: str | None, net: float | None, why: str | None
) -> None:
    made = report(**many(**changes))
    found = made.instruction_following
    assert found.headline == headline
    assert (found.why_no_headline and found.why_no_headline.en) == why
    claims = {claim.formula: claim.value for claim in made.claims}
    assert claims["(wins − losses) / n"] == (None if net is None else pytest.approx(net))
    if why:
        assert why in Page(render_report(made)).text or found.status == "not measured"


def test_a_judge_that_people_contradict_on_part_of_the_prompts_is_no_headline() -> None:
    other = {f"p{at}": "base" if at % 2 else "tuned" for at in range(40)}
    found = report(**many(judge=judge(90, 10), human=human(reviewer(other, missing=70)))).instruction_following
    assert (found.headline, found.judge.validated) == (None, False)
    assert found.why_no_headline and "people do not confirm the AI judge: kappa" in found.why_no_headline.en


@pytest.mark.parametrize(
    ("people", "validated", "said"),
    [
        ({}, None, "nobody gave a verdict beside the judge"),
        (outcomes(1, 1), None, "with 王医生 on 2 prompts"),
        (outcomes(29, 0), None, "with 王医生 on 29 prompts"),
        ({f"p{at}": "tuned" if at < 50 else "base" for at in range(35, 65)}, True, "kappa 1.00 (95 % 0.8"),
        ({f"p{at}": "tuned" if at < 50 else "base" for at in range(100)}, True, "kappa 1.00 (95 % 0.9"),
        ({f"p{at}": "tuned" if at < 50 and at % 4 else "base" for at in range(100)}, True, "kappa 0.74"),
        ({f"p{at}": "tuned" if at % 3 else "base" for at in range(100)}, False, "on 100 prompts"),
        ({f"p{at}": "tuned" for at in range(50)}, False, "kappa is not defined with 王医生 on 50 prompts"),
    ],
)
def test_a_judge_is_validated_by_the_lower_end_of_kappa_on_30_prompts(
    people: dict[str, str], validated: bool | None, said: str
) -> None:
    made = report(**many(judge=judge(50, 50), human=human(reviewer(people)) if people else human()))
    section = made.instruction_following.judge
    assert section.status == "judged" and section.validated is validated
    assert said in section.validation.en
    assert section.validation.en.endswith("(wanted: a lower end of at least 0.4 on at least 30 prompts)")
    text = Page(render_report(made)).text
    assert ("AI judge, not validated" in text) is (validated is False)
    assert ("AI judge, provisional" in text) is (validated is None)
    assert any(section.validation.en in warning for warning in made.warnings) is (validated is False)


def test_a_judge_without_a_valid_verdict_is_not_called_no_judge() -> None:
    text = Page(render_report(report(**VARIANTS["judged, all invalid"]))).text
    assert "the AI judge gave no valid verdict" in text
    assert "Verdicts by source" not in text and "Is it length?" not in text


def test_a_failed_gate_and_its_value_are_said_first() -> None:
    said = report(judge={**JUDGED, "gates": gates(dict.fromkeys(("flip_rate", "canary_padded"), (6, 10)))}).warnings
    assert said == (
        "The AI judge does not pass its gates, so its verdicts are weak evidence: flip rate 60% of 10, "
        "95 % 31% to 83%, at most 15% required: its verdicts depend on the order of the answers; canary padded 60% of "
        "10, 95 % 31% to 83%, at least 90% required: it prefers the longer text, though it says nothing more.",
    )


def test_a_judge_that_was_served_by_another_model_is_named() -> None:
    assert (
        "Can the AI judge be trusted? judge-1 (served by judge-1-2026)"
        in Page(render_report(report(judge=JUDGED))).text
    )


def test_calls_that_were_refused_are_counted_with_what_asks_them_again() -> None:
    made = report(judge={**JUDGED, "calls": {**JUDGED["calls"], "failed": 3}, "errors": {"HTTP 400": 3}})
    assert "3 calls were refused (3 HTTP 400); `medcot sync --force judgements`" in made.not_measured[1]
    assert "HTTP 400 3" in Page(render_report(made)).text


@pytest.mark.parametrize("uncounted", [None, 0], ids=["null", "0, by an older version"])
def test_answers_whose_tokens_nobody_counted_have_no_number_of_tokens(uncounted: int | None) -> None:
    prompts = [Prompt(f"p{number}", "zh", "consultation", "？") for number in range(2)]
    answers = [
        Answer(prompt.id, arm, "想。", "建议就医。", True, True, uncounted if arm == "tuned" else 9)
        for prompt in prompts
        for arm in ARMS
    ]
    made = report(prompts=prompts, answers=answers)
    tokens = {row.stage: (row.tokens, row.tokens_per_second is None) for row in made.cost.stages}
    assert tokens["answers, base"] == (18, False)
    assert tokens["answers, tuned"] == (None, True)
    text = Page(render_report(made)).text
    assert "tokens not counted" in text and " 0 tokens" not in text
    assert "A dash: the endpoint did not count the tokens of every answer." in text


def test_the_incumbent_stands_beside_tuned_with_what_was_measured() -> None:
    beside = incumbent(judge=JUDGED)
    assert beside.rates and beside.preference
    rates = beside.rates.strict
    assert (rates.base.value, rates.tuned.value) == (0.5, 1.0)
    assert beside.preference.net.value == pytest.approx(2 / 6)
    made = report(incumbent=beside)
    assert not [gap for gap in made.not_measured if "incumbent" in gap]
    text = Page(render_report(made)).text
    assert "Against the incumbent" in text and "ratio 0.900" in text


def test_what_was_not_measured_against_the_incumbent_is_named() -> None:
    gaps = [gap for gap in report(incumbent=incumbent(answered=False)).not_measured if "incumbent" in gap]
    assert [gap.partition(":")[0] for gap in gaps] == [
        "Rules against the incumbent",
        "Preference against the incumbent",
    ]


def test_the_figures_of_both_arms_do_not_depend_on_an_incumbent() -> None:
    alone, beside = report(judge=JUDGED), report(judge=JUDGED, incumbent=incumbent(judge=JUDGED))
    differing = {name for name, part in alone if part != getattr(beside, name)}
    assert differing == {"incumbent", "decision"}


def test_the_price_of_the_verdicts_follows_from_their_tokens() -> None:
    prices = ReportSettings(bootstrap_resamples=200, least_n=1, judge_prompt_price=2.5, judge_completion_price=10)
    made = report(judge=JUDGED, settings=prices)
    assert made.cost.judge.price == pytest.approx((900 * 2.5 + 90 * 10) / 1e6)
    assert "Price of the verdicts: 0.00315." in Page(render_report(made)).text
    assert report(settings=prices).cost.judge.price is None
    assert report(judge=JUDGED).cost.judge.price is None


def test_a_taste_for_length_shows() -> None:
    lengths = report(judge=JUDGED).instruction_following.length["judge"]
    assert lengths.longer_wins.value == pytest.approx(4 / 6)
    assert lengths.mean_base == 0
    assert report(judge=JUDGED).warnings == (), "four of six is no taste"


def test_a_taste_beyond_chance_is_said_first() -> None:
    always = {**JUDGED, "verdicts": [vars(Verdict(verdict.prompt_id, "tuned")) for verdict in VERDICTS]}
    assert report(judge=always).warnings == (
        "Verdicts follow length: the longer answer won 100.0 % of 6 decided verdicts (p 0.031); length and verdict "
        "cannot be told apart.",
    )


def test_two_meanings_of_the_same_percentage_stand_apart_with_their_definitions() -> None:
    claims = {claim.formula: claim for claim in report(judge=JUDGED).claims}
    assert claims["1 − PPL(tuned) / PPL(base)"].value == pytest.approx(0.392, abs=0.0005)
    assert claims["(wins − losses) / n"].value == pytest.approx(2 / 6)
    assert claims["(p(tuned) − p(base)) / p(base), strict"].value is None
    text = Page(render_report(report(judge=JUDGED))).text
    assert all(formula in text for formula in claims)


def test_the_gap_is_named_where_nobody_compared() -> None:
    gaps = " ".join(report().not_measured)
    assert "Human preference" in gaps
    assert "MEDCOT_JUDGE__BASE_URL" in gaps
    assert "哪个模型的回答更好尚无结论：没有人盲评" in report().summary_zh
    assert "answers are better: nobody reviewed" in report().summary_en
    assert "Human preference" not in " ".join(report(human=AGREED).not_measured)


def test_items_that_a_reviewer_left_out_are_counted_under_their_name() -> None:
    gaps = report(human=human(reviewer(DISSENT, missing=3))).not_measured
    assert gaps[0] == "Human preference on 3 items: the review of 王医生 is not complete."


def test_answers_cut_at_the_token_limit_are_counted_and_pass_as_finished_nowhere() -> None:
    made = report()
    said = "Answers that ended at the token limit: 6 of base and 0 of tuned. They were judged as they stand, never as "
    assert f"{said}finished." in made.limits
    finished = next(row for row in made.rules if row.rule == "finished")
    assert (finished.base_pass, finished.tuned_pass, made.answers.cut) == (0, 6, ByArm[int](base=6, tuned=0))


def test_an_adapter_without_effect_is_said_first() -> None:
    made = report(perplexity=perplexity(max_logit_difference=0.0))
    assert "The adapter changes nothing" in made.warnings[0]
    assert "The adapter changes nothing: no improvement is claimed" in Page(render_report(made)).text
    assert report().warnings == ()


def test_an_adapter_without_effect_is_not_reported_as_0_percent_improvement() -> None:
    made = report(perplexity=perplexity(max_logit_difference=0.0, ratio={"value": 1.0, "low": 1.0, "high": 1.0}))
    assert (made.perplexity.relative_drop, made.perplexity.status) == (None, "adapter without effect")
    assert made.claims[0].value is None
    assert "适配器不起作用" in made.summary_zh
    assert "0.0 %" not in Page(render_report(made)).text.partition("Instruction following")[0]


def test_commands_and_figures_read_as_such() -> None:
    assert "<code>medcot review</code>" in render_report(report())
    assert code("`<b>` is text") == "<code>&lt;b&gt;</code> is text"
    shown = [number(value) for value in (3.1, 6.0, 0.52, 99.9, 12_345.6, -0.5, 0.0, 7, None)]
    assert [points(share) for share in (0.39, -0.2, 0.001, -0.004, None)] == ["+39", "−20", "0", "0", "–"]
    assert shown == ["3.10", "6.00", "0.520", "99.9", "12,346", "−0.500", "0", "7", "–"]


def test_exams_show_their_intervals_and_what_was_cut_off() -> None:
    page = render_report(report(exams=EXAMINED))
    shown = page[page.index("<h2>Examinations</h2>") :].partition("<h2>For people")[0]
    said = re.sub(r"<[^>]+>", " ", shown)
    for figure in (
        "41.0 % to 59.0 %",
        "35.0 % to 65.0 %",
        "48.0 % to 68.0 %",
        "majority votes",
        "17",
        "keep the order",
    ):
        assert figure in said


def test_exams_that_were_not_run_are_named_as_such() -> None:
    assert "MEDCOT_EXAMS__FOLDER" in " ".join(report().not_measured)
    assert "MEDCOT_EXAMS__FOLDER" not in " ".join(report(exams=EXAMINED).not_measured)


def test_random_weights_write_meaningless_text() -> None:
    assert "meaningless" in report(training=training(model="tiny_random (Qwen2)")).warnings[0]


def test_a_small_model_says_what_it_cannot_show() -> None:
    small = next(limit for limit in report().limits if limit.startswith("A model of 135 M parameters can show"))
    assert "cannot show medical correctness" in small
    assert not [limit for limit in report(training=training(parameters=7.6e9)).limits if "A model of" in limit]
    assert "Not for clinical use" in report(training=training(parameters=7.6e9)).limits[0]


def test_the_perplexity_figure_is_not_the_instruction_following_figure() -> None:
    """5.1 to 3.1 is a drop of 39.2 %: the same number as the reference's uplift, and another thing."""
    better, worse = report(judge=JUDGED), report(judge=JUDGED, perplexity=perplexity(ratio=ROSE))
    assert better.perplexity.relative_drop == pytest.approx(0.392, abs=0.0005)
    assert better.instruction_following == worse.instruction_following
    assert better.instruction_following.preference.judge.net.value == pytest.approx(2 / 6)
    nobody = Page(render_report(report())).text
    assert nobody.count("39.2") == 5, "perplexity's headline, claim and both summaries, and the reference's drop"


def test_transcripts_show_wins_and_losses_and_no_prompt_twice() -> None:
    shown = report(judge=JUDGED).transcripts
    groups = [[entry.prompt.id for entry in group] for group in (shown.best, shown.worst, shown.random)]
    assert len({name for group in groups for name in group}) == sum(map(len, groups)) == 6
    assert {each.outcome for entry in shown.best for each in entry.verdicts} == {"tuned"}
    assert {each.outcome for entry in shown.worst for each in entry.verdicts} == {"base"}
    assert report(judge=JUDGED).transcripts == shown


def test_the_histogram_counts_every_row_and_has_an_edge_at_zero() -> None:
    histogram = report().perplexity.histogram
    assert sum(histogram.counts) == 9
    assert 0.0 in histogram.edges
    assert len(histogram.edges) == len(histogram.counts) + 1


def test_provenance_and_cost_reach_the_page() -> None:
    text = Page(render_report(report(judge=JUDGED))).text
    for said in ("f" * 64, "c" * 64, "e4b5a7b", "2.11.0", "24,981", "answered 12", "cached 4"):
        assert said in text
    assert "not kept any more" not in text


def test_an_artifact_that_is_not_kept_any_more_is_shown_with_what_is_known_of_it() -> None:
    gone = {"asset": "corpus_splits", "fingerprint": "", "content_hash": "c" * 64, "code_version": "", "git_commit": ""}
    provenance = {**report().provenance.model_dump(), "artifacts": [gone]}
    shown = report(provenance=provenance)
    Draft202012Validator(SCHEMA).validate(shown.model_dump(mode="json"))
    assert f"corpus_splitsnot kept any more{'c' * 64}" in Page(render_report(shown)).text


def test_what_the_verdicts_cost_reaches_the_page() -> None:
    stages = {row.stage: row for row in report().cost.stages}
    assert stages["answers, base"].tokens_per_second == pytest.approx(32.0)


def test_a_rule_that_the_base_cannot_pass_by_design_compares_nothing() -> None:
    """The block that tuning teaches: no p-value, no rate, and no prompt is shown as a win of tuned for it."""
    prompts = [Prompt(f"p{i}", "zh", "consultation", "发热怎么办？") for i in range(12)]
    answers = [Answer(p.id, "base", "", "多喝水。", False, True, 3) for p in prompts]
    answers += [Answer(p.id, "tuned", "想。", "多喝水。", True, True, 3) for p in prompts]
    made = report(prompts=prompts, answers=answers)
    closed = next(row for row in made.rules if row.rule == "think_closed")
    assert (closed.tuned_pass, closed.base_pass, closed.compared, closed.mcnemar_p) == (12, 0, False, None)
    assert all(row.compared for row in made.rules if row.rule != "think_closed")
    assert {shown.rules_difference for shown in made.transcripts.best} == {0}
    assert set(dict(made.instruction_following.rates)) == {"strict", "loose", "answered"}
    assert "format learnt, not compared" in Page(render_report(made)).text
