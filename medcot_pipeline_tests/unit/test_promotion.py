"""Who takes over, over reports and over a store of adapters."""

import dataclasses
import json
from typing import Any

import pytest

from medcot_pipeline.artifacts import Manifest, Promoted
from medcot_pipeline.artifacts.prune import find_unneeded
from medcot_pipeline.errors import MedcotError, Unreadable
from medcot_pipeline.evaluation.promotion import decide
from medcot_pipeline.settings import PromotionSettings
from medcot_pipeline.settings.models import EndpointSettings
from medcot_pipeline.stages import Workspace
from medcot_pipeline_tests.unit import test_planning
from medcot_pipeline_tests.unit.test_planning import ALL, change, make, plan, status

workspace = test_planning.workspace
NOTHING = {"value": None, "low": None, "high": None}
PROMOTE: dict[str, Any] = {"promote": True}
HOLD: dict[str, Any] = {"promote": False}


def interval(value: float, width: float = 0.05) -> dict[str, float]:
    return {"value": value, "low": value - width, "high": value + width}


def report(
    *, ratio: float = 0.8, net: float | None = 0.1, rules: float = 0.0, logits: float = 2.0, **incumbent: Any
) -> dict[str, Any]:
    """As much of a report as is decided on."""
    preference = {"judge": {"net": NOTHING if net is None else interval(net)}}
    return {
        "perplexity": {"ratio": interval(ratio), "max_logit_difference": logits},
        "instruction_following": {
            "headline": None if net is None else "judge",
            "preference": preference,
            "rates": {"all_rules": {"absolute": interval(rules)}},
        },
        "incumbent": incumbent or None,
    }


def against(ratio: float = 0.9, net: float | None = 0.0, rules: float | None = 0.0) -> dict[str, Any]:
    """What a report says of the incumbent."""
    return {
        "perplexity": {"ratio": interval(ratio)},
        "preference": None if net is None else {"net": interval(net)},
        "rates": None if rules is None else {"all_rules": {"absolute": interval(rules)}},
    }


SETTINGS = PromotionSettings()


def test_an_adapter_that_beats_the_base_is_promoted() -> None:
    decision = decide(report(), incumbent=False, settings=SETTINGS)
    assert (decision.promote, decision.reasons) == (True, ())
    assert [each.against for each in decision.requirements] == ["base"] * 3


@pytest.mark.parametrize(
    ("worse", "reason"),
    [
        ({"ratio": 0.96}, "perplexity ratio against the base: 0.960, upper end 1.010, wanted below 1"),
        ({"net": -0.16}, "net preference against the base: -0.160, lower end -0.210, wanted at least -0.2"),
        ({"rules": -0.16}, "pass rate of the rules against the base: -0.160, lower end -0.210, wanted at least -0.2"),
        ({"logits": 0.0}, "the adapter changes nothing"),
    ],
)
def test_an_adapter_that_misses_a_requirement_stays_candidate_and_the_reason_is_named(
    worse: dict[str, float], reason: str
) -> None:
    decision = decide(report(**worse), incumbent=False, settings=SETTINGS)
    assert (decision.promote, decision.reasons) == (False, (reason,))


def test_an_adapter_that_beats_the_base_and_not_the_incumbent_stays_candidate() -> None:
    decision = decide(report(**against(ratio=0.99)), incumbent=True, settings=SETTINGS)
    assert decision.reasons == ("perplexity ratio against the incumbent: 0.990, upper end 1.040, wanted below 1",)
    assert not decision.promote


def test_preference_that_nobody_measured_passes_or_holds_back_as_is_set() -> None:
    unmeasured = report(net=None)
    allowed = decide(unmeasured, incumbent=False, settings=SETTINGS)
    assert allowed.promote
    assert allowed.reasons == (
        "net preference against the base: not measured, which promotion.unmeasured=allow lets pass",
    )
    held = decide(unmeasured, incumbent=False, settings=PromotionSettings(unmeasured="hold"))
    assert (held.promote, held.reasons) == (False, ("net preference against the base: not measured",))


def test_an_incumbent_that_cannot_be_compared_is_not_replaced() -> None:
    decision = decide(report(), incumbent=True, settings=SETTINGS)
    assert not decision.promote
    assert decision.reasons[0] == ("perplexity ratio against the incumbent, which has another base model: not measured")


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

    def decide(self, trained: Workspace, decision: dict[str, Any], *, again: bool = False) -> str:
        """Carry out a decision on the current adapter and publish it; what became of it."""
        candidate = trained.store.current("qlora_adapter")
        assert candidate
        incumbent = self.promoted.against(candidate.content_hash)
        event = self.promoted.settle(candidate, incumbent, decision, again=again)
        make(trained, "promotion", text=json.dumps(decision))
        return event

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
    assert [line["event"] for line in adapters.promoted.record()] == ["promoted", "promoted", "rolled back"]


def test_an_adapter_that_was_rolled_back_is_promoted_again_by_a_person_alone(adapters: Adapters) -> None:
    adapters.decide(adapters.train(0.1), PROMOTE)
    second = adapters.train(0.2)
    adapters.decide(second, PROMOTE)
    _, before = adapters.promoted.roll_back(second.store)
    assert adapters.decide(second, PROMOTE) == "stays candidate", "new verdicts do not undo a rollback"
    assert adapters.promoted.fingerprint == before
    assert adapters.decide(second, PROMOTE, again=True) == "promoted"
    assert adapters.promoted.predecessor(adapters.adapter(second).fingerprint) == before
    assert not adapters.promoted.was_rolled_back(adapters.adapter(second).fingerprint)


def test_without_a_predecessor_a_rollback_is_one_line_and_moves_nothing(adapters: Adapters) -> None:
    with pytest.raises(MedcotError, match=r"^No adapter is promoted: there is nothing to go back from\.$"):
        adapters.promoted.roll_back(adapters.workspace.store)
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    only = adapters.adapter(first).fingerprint
    with pytest.raises(MedcotError, match=rf"^The promoted adapter {only[:12]} took over from none: there is nothing"):
        adapters.promoted.roll_back(first.store)
    assert adapters.promoted.fingerprint == only


def test_a_damaged_predecessor_is_one_line_and_moves_nothing(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    folder = first.store.folder("qlora_adapter", adapters.adapter(first).fingerprint)
    second = adapters.train(0.2)
    adapters.decide(second, PROMOTE)
    (folder / "rows.txt").write_text("flipped")
    with pytest.raises(MedcotError) as raised:
        adapters.promoted.roll_back(second.store)
    assert str(raised.value).startswith(f"{folder}: the adapter to go back to is missing or damaged; ")
    assert adapters.promoted.fingerprint == adapters.adapter(second).fingerprint


def test_a_promoted_adapter_that_cannot_be_read_for_the_moment_still_is_the_incumbent(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    manifest = first.store.folder("qlora_adapter", adapters.adapter(first).fingerprint) / "manifest.json"
    candidate = adapters.adapter(adapters.train(0.2))
    kept = manifest.rename(manifest.with_name("kept"))
    manifest.symlink_to(manifest)
    with pytest.raises(Unreadable):
        adapters.promoted.against(candidate.content_hash)
    with pytest.raises(Unreadable):
        adapters.promoted.settle(candidate, None, PROMOTE)
    kept.replace(manifest)
    assert adapters.promoted.against(candidate.content_hash) == Manifest.read(manifest.parent)


def test_an_adapter_that_is_promoted_is_not_taken_back_by_a_decision(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    assert adapters.decide(first, HOLD) == "stays promoted"
    assert adapters.promoted.fingerprint == adapters.adapter(first).fingerprint


def test_a_decision_that_was_carried_out_and_not_published_is_carried_out_once(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    incumbent = adapters.adapter(first)
    candidate = adapters.adapter(adapters.train(0.2))
    assert adapters.promoted.settle(candidate, incumbent, PROMOTE) == "promoted"
    again = adapters.promoted.against(candidate.content_hash)
    assert adapters.promoted.settle(candidate, again, PROMOTE) == "stays promoted", "the process was killed in between"
    assert adapters.promoted.predecessor(candidate.fingerprint) == incumbent.fingerprint


def test_a_decision_over_another_incumbent_than_the_promoted_one_moves_nothing(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    compared = adapters.adapter(first)
    second, third = adapters.train(0.2), adapters.train(0.3)
    slow = adapters.adapter(third)
    make(second, "qlora_adapter")
    adapters.decide(second, PROMOTE)
    with pytest.raises(MedcotError, match="was promoted while"):
        adapters.promoted.settle(slow, compared, PROMOTE)
    assert adapters.promoted.fingerprint == adapters.adapter(second).fingerprint


def test_a_torn_line_of_the_record_costs_that_line_alone(adapters: Adapters) -> None:
    first = adapters.train(0.1)
    adapters.decide(first, PROMOTE)
    record = first.store.root / "promoted" / "decisions.jsonl"
    record.write_bytes(record.read_bytes() + b'{"event": "promo')
    adapters.decide(first, HOLD)
    assert [line["event"] for line in adapters.promoted.record()] == ["promoted", "stays promoted"]


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
