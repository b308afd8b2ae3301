"""Who takes over, over reports and over a store of adapters."""

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from medcot_pipeline.artifacts import ArtifactStore, Manifest
from medcot_pipeline.artifacts.prune import find_unneeded, prune
from medcot_pipeline.definitions import build_defs
from medcot_pipeline.orchestration.assets import FORCE_TAG
from medcot_pipeline.orchestration.instance.status import status_of
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.figures import Estimate, Interval
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.report.decision import Decision
from medcot_pipeline.records.report.estimates import Preference
from medcot_pipeline.records.report.following import Rates
from medcot_pipeline.records.report.report import IncumbentSection, Report
from medcot_pipeline.records.verdicts import Verdict
from medcot_pipeline.release.decision import Evidence, decide
from medcot_pipeline.release.promoted import Promoted
from medcot_pipeline.release.record import Adapter
from medcot_pipeline.settings import EndpointSettings, PromotionSettings, ReportSettings
from medcot_pipeline.support.errors import MedcotError, Unreadable
from medcot_pipeline.terminal.screen import Screen
from medcot_pipeline.terminal.status import status_lines
from medcot_pipeline_tests.support import planning
from medcot_pipeline_tests.support.artifacts import publish
from medcot_pipeline_tests.support.planning import ALL, change, identity_of, make, plan, status
from medcot_pipeline_tests.unit.evaluation.report import test_report

workspace = planning.workspace
PROMOTE: dict[str, Any] = {"promote": True, "requirements": [], "reasons": []}
HOLD: dict[str, Any] = {"promote": False, "requirements": [], "reasons": []}


def interval(value: float, width: float = 0.05) -> dict[str, float]:
    return {"value": value, "low": value - width, "high": value + width}


def report(
    *,
    ratio: float = 0.8,
    net: float | None = 0.1,
    rules: float = 0.0,
    answered: float = 0.0,
    logits: float = 2.0,
    beside: IncumbentSection | None = None,
) -> Report:
    """A report with these figures where a decision looks."""
    whole = test_report.report(
        perplexity=test_report.perplexity(ratio=interval(ratio), max_logit_difference=logits),
        incumbent=beside,
        **({} if net is None else {"judge": test_report.JUDGED}),
    )
    following = whole.instruction_following
    preference, rates = following.preference, with_rules(following.rates, rules, answered)
    if net is not None:
        preference = preference.model_copy(update={"judge": with_net(preference.judge, net)})
    following = following.model_copy(update={"preference": preference, "rates": rates})
    whole = whole.model_copy(update={"instruction_following": following})
    return whole.model_copy(update={"decision": decided(whole, beside is not None, PromotionSettings())})


def against(ratio: float) -> IncumbentSection:
    """What a report says of an incumbent over which tuned stands at this ratio."""
    measured = test_report.incumbent(judge=test_report.JUDGED)
    assert measured.preference and measured.rates
    return measured.model_copy(
        update={
            "perplexity": measured.perplexity.model_copy(update={"ratio": Interval(**interval(ratio))}),
            "preference": with_net(measured.preference, 0.0),
            "rates": with_rules(measured.rates, 0.0),
        }
    )


def with_net(preference: Preference, net: float) -> Preference:
    return preference.model_copy(update={"net": Estimate(**interval(net))})


def with_rules(rates: Rates, change: float, answered: float = 0.0) -> Rates:
    found = {"strict": (rates.strict, change), "answered": (rates.answered, answered)}
    return rates.model_copy(
        update={
            name: rate.model_copy(update={"absolute": Estimate(**interval(value)), "n": 40})
            for name, (rate, value) in found.items()
        }
    )


def decided(report: Report, incumbent: bool, settings: PromotionSettings) -> Decision:
    """What the report's figures decide."""
    figures = report.perplexity, report.instruction_following, report.incumbent
    return decide(Evidence(*figures, incumbent=incumbent, least_n=report.least_n), settings)


def said(decision: Decision) -> tuple[str, ...]:
    return tuple(reason.en for reason in decision.reasons)


SETTINGS = PromotionSettings()
MEASURES = ("tuned_perplexity", "tuned_answers", "tuned_exams")


def test_an_adapter_that_beats_the_base_is_promoted() -> None:
    decision = decided(report(), incumbent=False, settings=SETTINGS)
    assert (decision.promote, decision.reasons) == (True, ())
    assert [each.against for each in decision.requirements] == ["base"] * 4


@pytest.mark.parametrize(
    ("worse", "reason"),
    [
        ({"ratio": 0.96}, "perplexity ratio against the base: 0.960, upper end 1.010, required: below 1"),
        ({"net": -0.16}, "net preference against the base: -0.160, lower end -0.210, required: at least -0.2"),
        (
            {"rules": -0.16},
            "constraints kept, strictly against the base: -0.160, lower end -0.210, required: at least -0.2",
        ),
        (
            {"answered": -0.06},
            "answers that are not empty against the base: -0.060, lower end -0.110, required: at least -0.1",
        ),
        ({"logits": 0.0}, "the adapter changes nothing"),
    ],
)
def test_an_adapter_that_misses_a_requirement_stays_candidate_and_the_reason_is_named(
    worse: dict[str, Any], reason: str
) -> None:
    decision = decided(report(**worse), incumbent=False, settings=SETTINGS)
    assert (decision.promote, said(decision)) == (False, (reason,))


def test_an_adapter_that_beats_the_base_and_not_the_incumbent_stays_candidate() -> None:
    decision = decided(report(beside=against(ratio=0.99)), incumbent=True, settings=SETTINGS)
    assert said(decision) == ("perplexity ratio against the incumbent: 0.990, upper end 1.040, required: below 1",)
    assert not decision.promote


def test_a_ratio_without_an_interval_promotes_nothing() -> None:
    one_row = report()
    point = Interval(value=0.5, low=None, high=None)
    figures = one_row.perplexity.model_copy(update={"ratio": point})
    decision = decided(one_row.model_copy(update={"perplexity": figures}), incumbent=False, settings=SETTINGS)
    assert (decision.promote, said(decision)) == (
        False,
        ("perplexity ratio against the base: too few rows for an interval",),
    )


def test_preference_that_nobody_measured_passes_or_holds_back_as_is_set() -> None:
    unmeasured = report(net=None)
    allowed = decided(unmeasured, incumbent=False, settings=SETTINGS)
    assert allowed.promote
    assert said(allowed) == (
        "net preference against the base: not measured, and promotion.unmeasured=allow lets that pass",
    )
    held = decided(unmeasured, incumbent=False, settings=PromotionSettings(unmeasured="hold"))
    assert (held.promote, said(held)) == (False, ("net preference against the base: not measured",))


def test_an_incumbent_that_cannot_be_compared_is_not_replaced() -> None:
    decision = decided(report(), incumbent=True, settings=SETTINGS)
    assert not decision.promote
    assert said(decision)[0] == ("perplexity ratio against the incumbent, which has another base model: not measured")


HUNDRED = [Prompt(f"p{number}", "zh", "consultation", "发热怎么办？") for number in range(100)]
BOTH_ANSWERED = [
    Answer(each.id, arm, "想。", "多喝水。", True, True, 3) for each in HUNDRED for arm in ("base", "tuned")
]
DEFAULTS = ReportSettings(bootstrap_resamples=200)


def judge(wins: int, losses: int, **changed: Any) -> dict[str, Any]:
    """What judge.json says of a judge whose every gate passes, unless changed."""
    given = [Verdict(f"p{at}", "tuned" if at < wins else "base") for at in range(wins + losses)]
    return {**test_report.JUDGED, "verdicts": [vars(each) for each in given], **changed}


def hundred(**changed: Any) -> Report:
    """A report over a hundred prompts and held-out groups, by the settings that nobody changed."""
    figures = test_report.perplexity(groups=100)
    return test_report.report(prompts=HUNDRED, answers=BOTH_ANSWERED, perplexity=figures, settings=DEFAULTS, **changed)


def missed(found: Report, *, settings: PromotionSettings = SETTINGS) -> dict[str, str]:
    """What is missed against the base, and why."""
    decision = decided(found, incumbent=False, settings=settings)
    assert decision.promote == (not any(each.passed is False for each in decision.requirements))
    return {
        each.figure: each.problem.en if each.problem else "" for each in decision.requirements if each.passed is False
    }


def test_a_review_that_three_of_110_items_were_given_of_does_not_hide_a_judge_that_prefers_the_base() -> None:
    three = test_report.human(test_report.reviewer({"p0": "tuned", "p1": "tuned", "p2": "tuned"}, missing=107))
    found = hundred(judge=judge(35, 65), human=three)
    assert found.instruction_following.headline == "judge"
    assert missed(found) == {"net preference": ""}


def test_three_of_110_items_promote_nothing_by_themselves() -> None:
    three = test_report.human(test_report.reviewer({"p0": "tuned", "p1": "tuned", "p2": "tuned"}, missing=107))
    why = "no headline, as the review of 王医生 is not complete (107 items are missing); no AI judge is configured"
    assert missed(hundred(human=three)) == {"net preference": why}


def test_verdicts_on_fewer_prompts_than_the_least_are_too_few() -> None:
    why = "no headline, as nobody reviewed; the AI judge compared 12 prompts, fewer than 30"
    assert missed(hundred(judge=judge(12, 0))) == {"net preference": why}


def test_verdicts_of_a_judge_that_fails_a_gate_are_no_evidence_against_base_or_incumbent() -> None:
    gates = [{**test_report.JUDGED["gates"][0].model_dump(), "passed": False}, *test_report.JUDGED["gates"][1:]]
    found = hundred(judge=judge(90, 10, gates=gates), incumbent=against(ratio=0.8))
    decision = decided(found, incumbent=True, settings=SETTINGS)
    problems = {
        each.against: each.problem.en
        for each in decision.requirements
        if each.figure == "net preference" and each.problem
    }
    assert problems == {
        "base": "no headline, as nobody reviewed; the AI judge does not pass its gates (flip rate)",
        "incumbent": "no evidence, as the AI judge does not pass its gates (flip rate)",
    }
    assert not decision.promote


def test_few_groups_of_rows_are_too_few_against_base_and_incumbent() -> None:
    found = test_report.report(prompts=HUNDRED, answers=BOTH_ANSWERED, settings=DEFAULTS, incumbent=against(ratio=0.8))
    decision = decided(found, incumbent=True, settings=SETTINGS)
    few = [each for each in decision.requirements if each.figure == "perplexity ratio"]
    assert [(each.against, each.n, each.passed) for each in few] == [("base", 8, False), ("incumbent", 8, False)]
    assert said(decision)[0] == "perplexity ratio against the base: too few: 8 of at least 30"


@pytest.mark.parametrize("least_n", [1, 30])
def test_an_adapter_that_keeps_fewer_instructions_and_leaves_answers_empty_is_not_promoted(least_n: int) -> None:
    """As the demo's: 3 of 6 kept became 1 of 6, 3 of 12 answers became empty, and the block was closed more often."""
    short = ({"rule": "max_chars", "value": 5},)
    prompts = [Prompt(f"p{at}", "zh", "x", "发热怎么办？", constraints=short if at < 6 else ()) for at in range(12)]

    def answered(at: int, keeps: int, filled: int) -> str:
        return "" if at >= filled else "多喝水。" if at < keeps else "多喝水，多休息，必要时就医。"

    answers = [Answer(each.id, "base", "", answered(at, 3, 12), False, True, 3) for at, each in enumerate(prompts)]
    answers += [Answer(each.id, "tuned", "想。", answered(at, 1, 9), True, True, 3) for at, each in enumerate(prompts)]
    settings = ReportSettings(bootstrap_resamples=200, least_n=least_n)
    found = test_report.report(prompts=prompts, answers=answers, settings=settings)
    rates = found.instruction_following.rates
    assert (rates.strict.base_pass, rates.strict.tuned_pass, rates.strict.n) == (3, 1, 6)
    assert (rates.answered.base_pass, rates.answered.tuned_pass, rates.answered.n) == (12, 9, 12)
    decision = decided(found, incumbent=False, settings=SETTINGS)
    assert not decision.promote
    held_back = {each.figure for each in decision.requirements if each.passed is False}
    assert held_back >= {"constraints kept, strictly", "answers that are not empty"}


@dataclasses.dataclass(frozen=True)
class Adapters:
    """A workspace in which everything is published, and adapters of other learning rates beside."""

    workspace: Workspace
    promoted: Promoted

    def train(self, rate: float) -> Workspace:
        """The workspace with that learning rate, its adapter and what follows up to the report published."""
        changed = change(self.workspace, "training", learning_rate=rate)
        make(changed, "qlora_adapter", text=f"weights at {rate}")
        make(changed, *ALL[ALL.index("qlora_adapter") + 1 : ALL.index("promotion")], text=f"figures at {rate}")
        return changed

    def publish(self, trained: Workspace, decision: dict[str, Any], *, again: bool = False) -> dict[str, Any]:
        """Decide on the current adapter and publish that, as the asset does; what is to be carried out."""
        candidate = self.adapter(trained)
        self.promoted.catch_up(trained.store)
        foreseen = self.promoted.foresee(
            candidate, self.promoted.against(candidate.content_hash), decision["promote"], again=again
        )
        decided = {**foreseen, **decision}
        publish(trained.store, identity_of(trained, "promotion"), {"decision.json": decided}, force=True)
        return decided

    def decide(self, trained: Workspace, decision: dict[str, Any], *, again: bool = False) -> str:
        """Decide on the current adapter, publish that and carry it out; what became of it."""
        decided = self.publish(trained, decision, again=again)
        assert self.promoted.settle(trained.store, decided) is None
        return str(decided["event"])

    def adapter(self, trained: Workspace) -> Manifest:
        found = trained.store.current("qlora_adapter")
        assert found
        return found


@pytest.fixture
def adapters(workspace: Workspace) -> Adapters:
    make(workspace, *ALL[: ALL.index("promotion")])
    return Adapters(workspace, Promoted(workspace.store.root))


def test_a_promotion_leaves_everything_fresh(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    assert adapters.decide(first, PROMOTE) == "promoted"
    assert status(first) == {}
    second = adapters.train(0.2)
    assert status(second) == {"stale": ["promotion"]}
    assert adapters.decide(second, PROMOTE) == "promoted"
    assert adapters.promoted.fingerprint == adapters.adapter(second).fingerprint
    assert status(second) == {}, "it stands against its predecessor, as before"


def test_an_adapter_that_stays_candidate_leaves_the_incumbent_and_everything_fresh(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    incumbent = adapters.adapter(first).fingerprint
    second = adapters.train(0.2)
    assert adapters.decide(second, HOLD) == "stays candidate"
    assert adapters.promoted.fingerprint == incumbent
    assert status(second) == {}


def test_the_incumbent_is_part_of_what_the_evaluation_is_made_from(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    incumbent = adapters.adapter(first).content_hash
    second = change(adapters.workspace, "training", learning_rate=0.2)
    make(second, "qlora_adapter", text="weights at 0.2")
    lines = plan(second)
    named = [asset for asset in ALL if "file incumbent adapter is new" in lines[asset].reasons]
    assert named == []
    make(second, "tuned_perplexity", "tuned_answers", text="figures at 0.2")
    lines = plan(second)
    named = [asset for asset in ALL if "file incumbent adapter is new" in lines[asset].reasons]
    assert named == ["perplexity_report", "model_answers"]
    make(second, "perplexity_report")
    made = second.store.current("perplexity_report")
    assert made and made.external["incumbent adapter"] == incumbent


def test_an_endpoint_is_not_asked_for_the_incumbent(adapters: Adapters) -> None:
    adapters.decide(adapters.train(0.1), PROMOTE)
    second = adapters.train(0.2)
    served = {"base_url": "http://127.0.0.1:9/v1", "base_model": "base", "tuned_model": "tuned"}
    asked = change(second, "answers", backend="endpoint", endpoint=EndpointSettings(**served))
    make(asked, "model_answers")
    made = asked.store.current("model_answers")
    assert made and "incumbent adapter" not in made.external


def test_after_a_change_of_base_the_promoted_adapter_is_met_and_not_replaced(adapters: Adapters) -> None:
    """Comparisons do not meet it, since they cannot measure it on this base; the decision does."""
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    (first.root / "model" / "model.safetensors").write_text("another base")
    for text, asset in (("another base", "base_model"), ("weights on it", "qlora_adapter")):
        make(first, asset, text=text)
    make(first, *ALL[ALL.index("qlora_adapter") + 1 : ALL.index("promotion")], text="figures on it")
    compares, decides = first.graph.stage("perplexity_report"), first.graph.stage("promotion")
    promoted = adapters.promoted.adapter
    assert promoted
    assert first.incumbent(compares, first.inputs("perplexity_report")) is None
    met = first.incumbent(decides, first.inputs("promotion"), whole=True)
    assert met and met.content_hash == promoted.content


def test_an_adapter_of_another_base_model_is_not_compared_on_this_one(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    made = adapters.adapter(first)
    assert adapters.promoted.against("another adapter", made.inputs["base_model"]) == made
    assert adapters.promoted.against("another adapter", "another base") is None
    assert adapters.promoted.against("another adapter") == made, "but it is there, and is not passed over"


def test_a_rollback_goes_back_to_the_predecessor_and_holds(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    before = adapters.adapter(first).fingerprint
    second = adapters.train(0.2)
    adapters.decide(second, PROMOTE)
    after = adapters.adapter(second).fingerprint
    assert adapters.promoted.roll_back(second.store) == (after, before)
    assert adapters.promoted.fingerprint == before
    assert status(second) == {}, "nothing is to be decided again"
    assert [line["event"] for line in adapters.promoted.record.lines()] == ["promoted", "promoted", "rolled back"]


def test_an_adapter_that_was_rolled_back_is_promoted_again_by_a_person_alone(adapters: Adapters) -> None:
    adapters.decide(adapters.train(0.1), PROMOTE)
    second = adapters.train(0.2)
    adapters.decide(second, PROMOTE)
    _, before = adapters.promoted.roll_back(second.store)
    assert adapters.decide(second, PROMOTE) == "stays candidate", "new verdicts do not undo a rollback"
    assert adapters.promoted.fingerprint == before
    assert adapters.decide(second, PROMOTE, again=True) == "promoted"
    again = Adapter.of(adapters.adapter(second))
    predecessor = adapters.promoted.record.predecessor(again)
    assert predecessor and predecessor.fingerprint == before
    assert not adapters.promoted.record.was_rolled_back(again)


def test_without_a_predecessor_a_rollback_is_one_line_and_moves_nothing(adapters: Adapters) -> None:
    with pytest.raises(MedcotError, match=r"^No adapter is promoted: there is nothing to roll back\.$"):
        adapters.promoted.roll_back(adapters.workspace.store)
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    only = adapters.adapter(first).fingerprint
    with pytest.raises(MedcotError, match=rf"^The promoted adapter {only[:12]} has no predecessor: there is nothing"):
        adapters.promoted.roll_back(first.store)
    assert adapters.promoted.fingerprint == only


def test_a_damaged_predecessor_is_one_line_and_moves_nothing(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    folder = first.store.root / "promoted" / "adapters" / adapters.adapter(first).content_hash
    second = adapters.train(0.2)
    adapters.decide(second, PROMOTE)
    (folder / "rows.txt").write_text("flipped")
    with pytest.raises(MedcotError) as raised:
        adapters.promoted.roll_back(second.store)
    assert str(raised.value).startswith(f"{folder}: the adapter to go back to is missing or damaged (")
    assert adapters.promoted.fingerprint == adapters.adapter(second).fingerprint


def test_a_promoted_adapter_that_cannot_be_read_for_the_moment_still_is_the_incumbent(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    manifest = first.store.root / "promoted" / "adapters" / adapters.adapter(first).content_hash / "manifest.json"
    candidate = adapters.adapter(adapters.train(0.2))
    kept = manifest.rename(manifest.with_name("kept"))
    manifest.symlink_to(manifest)
    with pytest.raises(Unreadable):
        adapters.promoted.against(candidate.content_hash)
    with pytest.raises(Unreadable):
        prune(adapters.workspace.store)
    kept.replace(manifest)
    assert adapters.promoted.against(candidate.content_hash) == Manifest.read(manifest.parent)


def test_an_adapter_that_is_promoted_is_not_taken_back_by_a_decision(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    assert adapters.decide(first, HOLD) == "stays promoted"
    assert adapters.promoted.fingerprint == adapters.adapter(first).fingerprint


def test_a_decision_that_was_published_and_not_carried_out_is_carried_out_once(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    incumbent = adapters.adapter(first)
    second = adapters.train(0.2)
    decided = adapters.publish(second, PROMOTE)
    candidate = adapters.adapter(second)
    assert adapters.promoted.fingerprint == incumbent.fingerprint, "the process was killed in between"
    assert adapters.promoted.catch_up(second.store) == [
        f"promotion: {candidate.fingerprint[:12]} promoted, as decided; the record now says so"
    ]
    assert weights(second.store) == "weights at 0.2"
    assert adapters.promoted.catch_up(second.store) == []
    assert adapters.promoted.settle(second.store, decided) is None
    assert [line["event"] for line in adapters.promoted.record.lines()] == ["promoted", "promoted"]
    assert adapters.promoted.against(candidate.content_hash) == incumbent


def test_a_decision_that_is_found_again_after_a_rollback_moves_nothing(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    second = adapters.train(0.2)
    decided = adapters.publish(second, PROMOTE)
    adapters.promoted.settle(second.store, decided)
    adapters.promoted.roll_back(second.store)
    adapters.promoted.settle(second.store, decided)
    assert adapters.promoted.catch_up(second.store) == []
    assert weights(second.store) == "weights at 0.1"


def test_a_decision_that_another_promotion_overtook_is_not_carried_out_even_if_that_was_rolled_back(
    adapters: Adapters,
) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    overtaken = adapters.publish(adapters.train(0.3), PROMOTE)
    (first.store.root / "current" / "promotion").unlink()  # its pass was killed here, and another began
    second = adapters.train(0.2)
    adapters.decide(second, PROMOTE)
    adapters.promoted.roll_back(second.store)
    problem = adapters.promoted.settle(second.store, overtaken)
    assert problem and "was promoted while" in problem
    assert weights(second.store) == "weights at 0.1"


def test_a_decision_over_another_incumbent_than_the_promoted_one_moves_nothing(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    compared = adapters.adapter(first)
    second, third = adapters.train(0.2), adapters.train(0.3)
    slow = adapters.adapter(third)
    make(second, "qlora_adapter")
    adapters.decide(second, PROMOTE)
    with pytest.raises(MedcotError, match="was promoted while"):
        adapters.promoted.foresee(slow, compared, True)
    assert adapters.promoted.fingerprint == adapters.adapter(second).fingerprint


def test_a_torn_line_of_the_record_costs_that_line_alone(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    record = first.store.root / "promoted" / "decisions.jsonl"
    record.write_bytes(record.read_bytes() + b'{"event": "promo')
    adapters.decide(first, HOLD)
    assert [line["event"] for line in adapters.promoted.record.lines()] == ["promoted", "stays promoted"]


def weights(store: ArtifactStore) -> str:
    """What is in the promoted adapter, as whoever uses the link reads it."""
    return (store.root / "promoted" / "qlora_adapter" / "rows.txt").read_text()


def make_again(trained: Workspace, text: str, *, force: bool) -> None:
    """Publish the current adapter's recipe once more, with other content."""
    publish(trained.store, identity_of(trained, "qlora_adapter"), {"rows.txt": text}, force=force)
    assert (trained.store.root / "current" / "qlora_adapter" / "rows.txt").read_text() == text


def test_an_adapter_that_is_made_again_by_force_does_not_replace_the_promoted_one(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    make_again(first, "weights of another run", force=True)
    assert weights(first.store) == "weights at 0.1"
    lines = status_lines(status_of(first, dg.DagsterInstance.ephemeral()), Screen())
    (shown,) = [line for line in lines if line.startswith("  qlora_adapter ")]
    assert shown.endswith("  promoted is an earlier make")
    assert status(first)["stale"][:2] == ["tuned_perplexity", "tuned_answers"], "the new one is a candidate"


def test_a_damaged_adapter_that_is_made_again_does_not_replace_the_promoted_one(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    (first.store.root / "current" / "qlora_adapter" / "rows.txt").write_text("flipped")
    make_again(first, "weights of another run", force=False)
    assert weights(first.store) == "weights at 0.1"


def test_a_decision_that_cannot_be_published_promotes_nothing(adapters: Adapters) -> None:
    trained = adapters.train(0.1)
    without_a_number = report().model_dump(mode="json")
    without_a_number["decision"]["requirements"][0]["value"] = math.nan
    publish(trained.store, identity_of(trained, "eval_report"), {"report.json": without_a_number}, force=True)
    job = build_defs(workspace=trained).resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(asset_selection=[dg.AssetKey("promotion")], raise_on_error=False)
    assert not done.success
    assert trained.store.current("promotion") is None
    assert adapters.promoted.fingerprint is None
    assert adapters.promoted.record.lines() == []


def as_an_earlier_version_left_it(adapters: Adapters, *rates: float) -> list[Manifest]:
    """Adapters that took over one after another: links into `artifacts/`, lines without contents; the adapters."""
    made, folder = [], adapters.workspace.store.root / "promoted"
    folder.mkdir()
    for rate in rates:
        made.append(adapters.adapter(adapters.train(rate)))
        before = made[-2].fingerprint if made[1:] else None
        line: dict[str, Any] = {
            "event": "promoted",
            "adapter": made[-1].fingerprint,
            "predecessor": before,
            "decision": {},
        }
        with (folder / "decisions.jsonl").open("a") as record:
            record.write(f"{json.dumps(line)}\n")
    for name, manifest in zip(("qlora_adapter", "qlora_adapter.previous"), made[::-1], strict=False):
        (folder / name).symlink_to(Path("..") / "artifacts" / "qlora_adapter" / manifest.fingerprint)
    return made


def test_what_an_earlier_version_promoted_is_found_in_place_and_kept_by_content_from_the_next_pass_on(
    adapters: Adapters,
) -> None:
    first, second = as_an_earlier_version_left_it(adapters, 0.1, 0.2)
    store = adapters.workspace.store
    record = (store.root / "promoted" / "decisions.jsonl").read_bytes()
    assert adapters.promoted.against(second.content_hash) == first
    assert adapters.promoted.against("another adapter") == second
    (line, *_) = adapters.promoted.catch_up(store)
    assert line.startswith("promoted/qlora_adapter: copied to promoted/adapters/")
    for name, manifest in (("qlora_adapter", second), ("qlora_adapter.previous", first)):
        assert (store.root / "promoted" / name).readlink() == Path("adapters") / manifest.content_hash
    assert (store.root / "promoted" / "decisions.jsonl").read_bytes().startswith(record), "lines are only added"
    assert adapters.promoted.against(second.content_hash) == first
    assert adapters.promoted.catch_up(store) == []
    assert adapters.promoted.roll_back(store) == (second.fingerprint, first.fingerprint)
    assert weights(store) == "weights at 0.1"


def test_an_adapter_that_an_earlier_version_promoted_can_be_gone_back_from_however_long_the_row(
    adapters: Adapters,
) -> None:
    first, second, third = as_an_earlier_version_left_it(adapters, 0.1, 0.2, 0.3)
    store = adapters.workspace.store
    assert adapters.promoted.roll_back(store) == (third.fingerprint, second.fingerprint)
    assert adapters.promoted.record.was_rolled_back(Adapter.of(third))
    assert adapters.promoted.roll_back(store) == (second.fingerprint, first.fingerprint)
    assert weights(store) == "weights at 0.1"


def test_a_pass_that_makes_the_promoted_adapter_of_an_earlier_version_again_keeps_it_first(adapters: Adapters) -> None:
    (promoted,) = as_an_earlier_version_left_it(adapters, 0.1)
    store = adapters.workspace.store
    job = build_defs(workspace=adapters.workspace).resolve_implicit_global_asset_job_def()
    job.execute_in_process(
        asset_selection=[dg.AssetKey("qlora_adapter")], tags={FORCE_TAG: "qlora_adapter"}, raise_on_error=False
    )
    assert (store.root / "promoted" / "qlora_adapter").readlink() == Path("adapters") / promoted.content_hash
    assert weights(store) == "weights at 0.1"


def test_who_removes_the_link_begins_anew(adapters: Adapters) -> None:
    adapters.decide(adapters.train(0.1), PROMOTE)
    link = adapters.workspace.store.root / "promoted" / "qlora_adapter"
    link.unlink()
    assert adapters.promoted.fingerprint is None
    assert adapters.promoted.against("another adapter") is None
    second = adapters.train(0.2)
    assert adapters.decide(second, PROMOTE) == "promoted"
    assert [line["event"] for line in adapters.promoted.record.lines()] == ["promoted", "removed", "promoted"]
    assert adapters.promoted.record.predecessor(Adapter.of(adapters.adapter(second))) is None


def test_a_link_that_was_moved_by_hand_is_moved_back_to_what_the_record_names(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    before = adapters.adapter(first)
    second = adapters.train(0.2)
    adapters.decide(second, PROMOTE)
    link = second.store.root / "promoted" / "qlora_adapter"
    link.unlink()
    link.symlink_to(Path("adapters") / before.content_hash)
    assert adapters.promoted.fingerprint == adapters.adapter(second).fingerprint
    adapters.promoted.catch_up(second.store)
    assert weights(second.store) == "weights at 0.2"


def test_a_folder_in_the_place_of_the_link_is_set_aside(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    link = first.store.root / "promoted" / "qlora_adapter"
    link.unlink()
    link.mkdir()
    (link / "mine.txt").write_text("somebody's own file")
    adapters.promoted.catch_up(first.store)
    assert weights(first.store) == "weights at 0.1"
    (kept,) = first.store.root.glob("damaged/*/*/mine.txt")
    assert kept.read_text() == "somebody's own file"


def test_a_damaged_promoted_adapter_is_named_with_the_ways_out_and_nothing_is_measured_against_another(
    adapters: Adapters,
) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    copy = first.store.root / "promoted" / "adapters" / adapters.adapter(first).content_hash
    fingerprint = adapters.adapter(first).fingerprint
    second = adapters.train(0.2)
    (copy / "rows.txt").write_text("flipped")
    job = build_defs(workspace=second).resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(asset_selection=[dg.AssetKey("promotion")], raise_on_error=False)
    (failure,) = [event for event in done.all_events if event.is_step_failure]
    assert failure.step_failure_data.error and failure.step_failure_data.error.cause
    message = failure.step_failure_data.error.cause.message
    assert f"{copy}: adapter {fingerprint[:12]}, which is promoted or was before, is missing or damaged (" in message
    assert "Restore it from a backup, go back with `medcot rollback`, or remove " in message
    (said,) = adapters.promoted.problems(second.store)
    assert said.startswith(f"{copy}: adapter {fingerprint[:12]}, ")
    (copy / "manifest.json").unlink()
    with pytest.raises(MedcotError, match="is missing or damaged"):
        adapters.promoted.against("another adapter")


def test_a_copy_that_is_gone_is_made_again_of_the_same_content_alone(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    copy = first.store.root / "promoted" / "adapters" / adapters.adapter(first).content_hash
    shutil.rmtree(copy)
    adapters.promoted.catch_up(first.store)
    assert weights(first.store) == "weights at 0.1"
    shutil.rmtree(copy)
    make_again(first, "weights of another run", force=True)
    adapters.promoted.catch_up(first.store)
    assert not copy.exists()
    (said,) = adapters.promoted.problems(first.store)
    assert said.startswith(f"{copy}: adapter ")
    with pytest.raises(MedcotError, match="is missing or damaged"):
        adapters.promoted.against("another adapter")


def test_the_asset_publishes_the_decision_and_then_promotes(adapters: Adapters) -> None:
    trained = adapters.train(0.1)
    publish(trained.store, identity_of(trained, "eval_report"), {"report.json": report()}, force=True)
    job = build_defs(workspace=trained).resolve_implicit_global_asset_job_def()
    for _ in range(2):
        assert job.execute_in_process(asset_selection=[dg.AssetKey("promotion")]).success
    published = trained.store.current("promotion")
    assert published
    (line,) = adapters.promoted.record.lines()
    assert line["adapter_content"] == adapters.adapter(trained).content_hash
    assert [each["passed"] for each in line["decision"]["requirements"]] == [True] * 4
    assert weights(trained.store) == "weights at 0.1"
    assert status(trained) == {}


def test_pruning_lists_and_deletes_copies_that_are_neither_promoted_nor_gone_back_to(adapters: Adapters) -> None:
    contents = []
    for rate in (0.1, 0.2, 0.3):
        trained = adapters.train(rate)
        adapters.decide(trained, PROMOTE)
        contents.append(adapters.adapter(trained).content_hash)
    store = adapters.workspace.store
    copies = [each.path for each in prune(store) if each.path.parts[0] == "promoted"]
    assert copies == [Path("promoted") / "adapters" / contents[0]]
    assert {path.name for path in (store.root / "promoted" / "adapters").iterdir()} == set(contents[1:])
    adapters.promoted.roll_back(store)
    assert weights(store) == "weights at 0.2"


def test_pruning_keeps_the_promoted_adapter_and_its_predecessor(adapters: Adapters) -> None:
    kept = []
    for rate in (0.1, 0.2):
        trained = adapters.train(rate)
        adapters.decide(trained, PROMOTE)
        kept.append(adapters.adapter(trained).fingerprint)
    last = adapters.train(0.3)
    adapters.decide(last, HOLD)
    gone = {each.path.name for each in find_unneeded(last.store) if each.path.parent.name == "qlora_adapter"}
    assert not gone & {*kept, adapters.adapter(last).fingerprint}


def test_pruning_keeps_the_measures_of_what_is_promoted_and_what_they_were_made_from(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    measures = [each for each in (first.store.current(asset) for asset in MEASURES) if each]
    splits = first.store.current("corpus_splits")
    assert len(measures) == len(MEASURES) and splits
    other = change(adapters.workspace, "splits", salt="another")
    make(other, "corpus_splits", text="another split")
    make(other, *ALL[ALL.index("sft_dataset") : ALL.index("promotion")], text="of another split")
    unmeasured = change(other, "training", learning_rate=0.3)
    make(unmeasured, "qlora_adapter", text="neither promoted nor current")
    make(unmeasured, *MEASURES, text="of neither")
    gone = [unmeasured.store.current(asset) for asset in MEASURES]
    make(other, "qlora_adapter", *MEASURES, text="never written")
    deleted = {each.path.name for each in prune(other.store, adapters.promoted.kept)}
    assert deleted >= {each.fingerprint for each in gone if each}
    for measure in [*measures, splits]:
        assert other.store.find(measure.asset, measure.fingerprint) == measure
