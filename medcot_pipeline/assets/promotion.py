"""The promotion of an adapter, and the incumbent that it is held against.

Belongs here: the asset of the decision, and finding the incumbent whole.
Does not: the requirements (evaluation/promotion.py), links and records (artifacts/promoted.py).
"""

import dataclasses

import dagster as dg

from medcot_pipeline.artifacts import FileLink, Manifest, Promoted, Table
from medcot_pipeline.artifacts.promoted import ADAPTER
from medcot_pipeline.assets.publication import FORCE_TAG, AssetRun, asset_options, publish
from medcot_pipeline.errors import MedcotError
from medcot_pipeline.evaluation.promotion import decide
from medcot_pipeline.json_files import read_json, write_json
from medcot_pipeline.stages import INCUMBENT, Workspace

ROLLED_BACK = "a person went back from it: `medcot sync --force promotion` promotes it again"


@dg.asset(**asset_options("promotion"))
def promotion(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult:
    """Whether the adapter takes over as the promoted one, with every figure that the decision rests on."""
    with publish(context, workspace) as run:
        if not run.reused:
            candidate, incumbent = Manifest.read(run.input(ADAPTER)), find_incumbent(run)
            report = read_json(run.input("eval_report") / "report.json")
            decision = decide(report, incumbent is not None, workspace.settings.promotion)
            forced = context.run.tags.get(FORCE_TAG) == "promotion"
            event = Promoted(workspace.store.root).settle(candidate, incumbent, decision.record(), again=forced)
            if decision.promote and event == "stays candidate":
                decision = dataclasses.replace(decision, reasons=(*decision.reasons, ROLLED_BACK))
            compared = incumbent.fingerprint if incumbent else None
            outcome = {"event": event, "adapter": candidate.fingerprint, "incumbent": compared, **decision.record()}
            write_json(run.path / "decision.json", outcome)
            for line in (f"{candidate.fingerprint[:12]} {event}", *decision.reasons):
                run.say(line)
            run.describe(
                decision=event,
                adapter=candidate.fingerprint,
                incumbent=compared or "none",
                requirements=Table(outcome["requirements"]),
                reasons="; ".join(decision.reasons) or "every requirement is met",
                decision_file=FileLink("decision.json"),
            )
    return run.result()


def find_incumbent(run: AssetRun) -> Manifest | None:
    """The adapter that the run's identity names as incumbent, whole; None where it names none.

    Raises:
        MedcotError: it is damaged, or another one was promoted since the run began.
    """
    store, inputs = run.workspace.store, run.identity.inputs
    found = Promoted(store.root).against(inputs[ADAPTER], inputs.get("base_model"))
    if (found and found.content_hash) != run.identity.external.get(INCUMBENT):
        raise MedcotError("Another adapter was promoted since this run began.", "Run `medcot sync` again.")
    if found and store.find(ADAPTER, found.fingerprint) is None:
        raise MedcotError(
            f"The incumbent adapter {found.fingerprint[:12]} was damaged; it is set aside below "
            f"{store.root / 'damaged'}.",
            "Restore it from a backup, or go back with `medcot rollback`; the next `medcot sync` otherwise holds the "
            "adapter against the base alone.",
        )
    return found
