"""The promotion of an adapter, and the incumbent that it is held against.

Belongs here: the asset of the decision, which is carried out once it is published, and finding the incumbent whole.
Does not: the requirements (release/decision.py), links and records (release/promoted.py).
"""

import dataclasses

import dagster as dg

from medcot_pipeline.artifacts import FileLink, Manifest, Table
from medcot_pipeline.evaluation.report.schema import Report
from medcot_pipeline.orchestration.publication import FORCE_TAG, AssetRun, asset_options, publish
from medcot_pipeline.pipeline.provenance import inputs_of, lineage
from medcot_pipeline.release.decision import decide
from medcot_pipeline.release.promoted import ADAPTER, DECISION, PROMOTION, Promoted
from medcot_pipeline.release.record import Adapter
from medcot_pipeline.stages import INCUMBENT, Workspace
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json, read_model, write_json

ROLLED_BACK = "a person went back from it: `medcot sync --force promotion` promotes it again"


@dg.asset(**asset_options("promotion"))
def promotion(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult:
    """Whether the adapter takes over as the promoted one, with every figure that the decision rests on."""
    promoted = Promoted(workspace.store.root)
    with publish(context, workspace) as run:
        if not run.reused:
            lineage(workspace, PROMOTION, inputs_of(run))  # refuses the report of another adapter
            candidate, incumbent = Manifest.read(run.input(ADAPTER)), find_incumbent(run)
            report = read_model(run.input("eval_report") / "report.json", Report)
            decision = decide(report, incumbent is not None, workspace.settings.promotion)
            forced = context.run.tags.get(FORCE_TAG) == "promotion"
            foreseen = promoted.foresee(candidate, incumbent, decision.promote, again=forced)
            event = foreseen["event"]
            if decision.promote and event == "stays candidate":
                decision = dataclasses.replace(decision, reasons=(*decision.reasons, ROLLED_BACK))
            write_json(run.path / DECISION, {**foreseen, **decision.record()})
            for line in (f"{candidate.fingerprint[:12]} {event}", *decision.reasons):
                run.say(line)
            run.describe(
                decision=event,
                adapter=candidate.fingerprint,
                incumbent=incumbent.fingerprint if incumbent else "none",
                requirements=Table([dataclasses.asdict(each) for each in decision.requirements]),
                reasons="; ".join(decision.reasons) or "every requirement is met",
                decision_file=FileLink(DECISION),
            )
        decided = read_json(run.path / DECISION)
    problem = promoted.settle(workspace.store, decided)
    if problem and not run.reused:  # one that is found again moves nothing
        raise MedcotError(problem, "Run `medcot sync` again.")
    return run.result()


def find_incumbent(run: AssetRun) -> Manifest | None:
    """The adapter that the run's identity names as incumbent, whole; None where it names none.

    Raises:
        MedcotError: it is damaged, or another one was promoted since the run began.
    """
    store, inputs = run.workspace.store, run.identity.inputs
    promoted = Promoted(store.root)
    found = promoted.against(inputs[ADAPTER], inputs.get("base_model"))
    if (found and found.content_hash) != run.identity.external.get(INCUMBENT):
        raise MedcotError("Another adapter was promoted since this run began.", "Run `medcot sync` again.")
    if found and (problem := store.damage(promoted.folder(Adapter.of(found)))):
        raise promoted.damaged(Adapter.of(found), problem)
    return found
