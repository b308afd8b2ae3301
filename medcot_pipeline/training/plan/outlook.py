"""What the training run would be, for `medcot plan`: lines for people.

Belongs here: which rows and which base are wanted.
Does not: the plan itself (planner.py), what is stale (pipeline/plan.py).
"""

import dataclasses
from pathlib import Path

from medcot_pipeline.compute.gpu_lock import gpu_is_here
from medcot_pipeline.models.base import base_folder
from medcot_pipeline.pipeline.plan import PlanLine, make_plan
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.training.plan.forecast import base_shape, forecast_training


def training_lines(workspace: Workspace) -> list[str]:
    """What the training run would be, for the rows and the base that are wanted: lines for people.

    What is current counts only where it is what the settings ask for, and not of another profile. A base that is not
    there yet has a known shape, or a folder that says it; rows that are not there yet are planned for at their longest.
    """
    settings = workspace.settings
    lines = {line.asset: line for line in make_plan(workspace)}
    sft, base = (_as_wanted(workspace, lines[asset]) for asset in ("sft_dataset", "base_model"))
    shape = base_shape(settings, base_folder(base) if base else _own_folder(workspace))
    if shape is None:
        lacking = [name for name, there in (("sft_dataset", sft), ("base_model", shape)) if there is None]
        return [f"planned once there is {' and '.join(lacking)}"]
    try:
        plan = forecast_training(settings, sft / "rows.parquet" if sft else None, shape, gpu_here=gpu_is_here())
    except MedcotError as error:
        return [str(error)]
    if plan is None:
        return ["no row is short enough"]
    if sft is None:
        return [
            f"{plan.engine} on {plan.device}: {plan.rows_per_step} rows in an optimiser step; how many rows there will "
            f"be is not known yet (sft_dataset: {lines['sft_dataset'].status})",
            f"for rows of {plan.longest_row:,} tokens, the longest that are let in: "
            f"{dataclasses.replace(plan, predicted_seconds=None).lines()[-1]}",
        ]
    return plan.lines()


def _as_wanted(workspace: Workspace, line: PlanLine) -> Path | None:
    """The folder of an artifact that is as the settings want it, whether it is current or not."""
    if line.wanted is None or workspace.store.find(line.asset, line.wanted) is None:
        return None
    return workspace.store.folder(line.asset, line.wanted)


def _own_folder(workspace: Workspace) -> Path | None:
    """The base model's folder where the settings name one."""
    settings = workspace.settings.base_model
    return workspace.root / settings.path if settings.kind == "path" and settings.path else None
