"""The promotion of an adapter.

Belongs here: the stage of the decision, which is carried out once it is published.
Does not belong here: the requirements (decision.py), links and the record (promoted.py, record.py).
"""

from medcot_pipeline.artifacts import FileLink, Table
from medcot_pipeline.pipeline.place import Artifact, Place
from medcot_pipeline.pipeline.provenance import lineage
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.records.report.decision import Requirement
from medcot_pipeline.records.report.report import Report
from medcot_pipeline.records.report.sentences import Bilingual
from medcot_pipeline.release import checks
from medcot_pipeline.release.promoted import ADAPTER, DECISION, PROMOTION, Promoted
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json, read_model, write_json

ROLLED_BACK = Bilingual(
    en="it was rolled back by hand: `medcot sync --force promotion` promotes it again",
    zh="有人已将它回退：`medcot sync --force promotion` 会再次启用",
)


def promotion(run: Run) -> None:
    """The decision whether the new adapter replaces the promoted one, with every figure behind it."""
    lineage(run)  # refuses the report of another adapter
    candidate, incumbent = run.inputs[ADAPTER].manifest, run.incumbent.manifest if run.incumbent else None
    report = read_model(run.input("eval_report") / "report.json", Report)
    decision = report.decision
    foreseen = Promoted(run.place.data).foresee(candidate, incumbent, decision.promote, again=run.forced)
    event = foreseen["event"]
    if decision.promote and event == "stays candidate":
        decision = decision.model_copy(update={"reasons": (*decision.reasons, ROLLED_BACK)})
    reasons = [reason.en for reason in decision.reasons]
    write_json(run.path / DECISION, {**foreseen, **decision.model_dump(mode="json"), "reasons": reasons})
    for line in (f"{candidate.fingerprint[:12]} {event}", *reasons):
        run.say(line)
    run.describe(
        decision=event,
        adapter=candidate.fingerprint,
        incumbent=incumbent.fingerprint if incumbent else "none",
        requirements_met=sum(each.passed is True for each in decision.requirements),
        requirements_missed=sum(each.passed is False for each in decision.requirements),
        requirements_unmeasured=sum(each.passed is None for each in decision.requirements),
        requirements=Table([_row(each) for each in decision.requirements]),
        reasons="; ".join(reasons) or "every requirement is met",
        decision_file=FileLink(DECISION),
    )


def _row(requirement: Requirement) -> dict[str, str | int | float | bool | None]:
    problem = requirement.problem.en if requirement.problem else ""
    return {**requirement.model_dump(exclude={"problem"}), "problem": problem}


def carry_out(place: Place, decided: Artifact, reused: bool) -> None:
    """Promote the adapter, or not, as the published decision says.

    Raises:
        MedcotError: the decision cannot be carried out any more; one that is found again then moves nothing.
    """
    decision = read_json(decided.folder / DECISION)
    problem = Promoted(place.data).settle(place.store, decision)
    if problem and not reused:
        raise MedcotError(problem, "Run `medcot sync` again.")


STAGES = (
    Stage(
        PROMOTION,
        group="release",
        code_version="4",
        make=promotion,
        checks=checks.PROMOTION,
        inputs=("eval_report", ADAPTER),
        meets_incumbent=lambda settings: True,
        afterwards=carry_out,
    ),
)
