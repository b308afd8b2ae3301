"""A pass over the graph: what Dagster does not know yet, and one run over chosen assets.

Belongs here: running assets in this process, and the one line that says why a run failed.
Does not belong here: choosing by fingerprint (pipeline/plan.py).
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.errors import DagsterExecutionInterruptedError

from medcot_pipeline.orchestration.assets import DATA_VERSION_TAG, FORCE_TAG, code_version
from medcot_pipeline.orchestration.automation.job import PIPELINE_JOB
from medcot_pipeline.orchestration.console import end_live_line
from medcot_pipeline.orchestration.instance.home import MODULE
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.support.errors import MedcotError, causes

CODE_VERSION_TAG = "dagster/code_version"
INPUT_VERSION_TAG = "dagster/input_data_version/"


def unknown_to_dagster(instance: dg.DagsterInstance, workspace: Workspace) -> set[str]:
    """Assets whose last materialisation in Dagster is not the current artifact, so that the page shows them as stale.

    Such is a data folder from elsewhere, or one that another Dagster home brought up to date: a pass over those assets
    finds them published, and lets Dagster know.
    """
    return {asset for asset in workspace.graph.assets if not _is_known(instance, workspace, asset)}


def _is_known(instance: dg.DagsterInstance, workspace: Workspace, asset: str) -> bool:
    """Whether Dagster has the current artifact by its content, its inputs' content, code version and settings."""
    current = workspace.current(asset)
    if current is None:
        return True  # whether it is to be made, the plan says
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    tags = (event.asset_materialization.tags or {}) if event and event.asset_materialization else {}
    known = {INPUT_VERSION_TAG + name: content for name, content in current.manifest.inputs.items()}
    known |= {DATA_VERSION_TAG: current.content_hash, CODE_VERSION_TAG: code_version(asset, workspace)}
    return all(tags.get(name) == value for name, value in known.items())


def run_assets(instance: dg.DagsterInstance, assets: Sequence[str], force: str | None = None) -> None:
    """Materialise assets in one run, in this process.

    Args:
        instance: the Dagster instance that records the run.
        assets: asset keys.
        force: an asset to make again although it is published.

    Raises:
        MedcotError: a step failed because something outside the code is wrong.
        Exception: whatever else a step raised.
    """
    job = ReconstructableRepository.for_module(MODULE, "defs").get_reconstructable_job(PIPELINE_JOB)
    try:
        dg.execute_job(
            job,
            instance=instance,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            run_config={"loggers": {"console": {}}},
            tags={FORCE_TAG: force} if force else {},
            raise_on_error=True,
        )
    except DagsterExecutionInterruptedError as error:
        raise MedcotError("Interrupted.", "`medcot sync` goes on from here.") from error
    except Exception as error:
        problem = find_problem(error)
        if problem is None:
            raise
        raise MedcotError(str(problem)) from error
    finally:
        end_live_line()


def find_problem(error: BaseException | None) -> MedcotError | None:
    """The `MedcotError` among an exception and its causes."""
    return next((each for each in causes(error) if isinstance(each, MedcotError)), None)
