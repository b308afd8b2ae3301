"""A pass over the graph: what Dagster holds for stale, and one run over chosen assets.

Belongs here: running assets in this process, and the one line that says why a run failed.
Does not: choosing by fingerprint (pipeline/plan.py).
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.event_log.base import AssetRecord

from medcot_pipeline.orchestration.automation.job import PIPELINE_JOB
from medcot_pipeline.orchestration.instance.home import MODULE
from medcot_pipeline.orchestration.publication import FORCE_TAG
from medcot_pipeline.support.errors import MedcotError, causes


def stale_for_dagster(instance: dg.DagsterInstance, definitions: dg.Definitions) -> set[str]:
    """Assets that the web page shows as stale or missing; Dagster looks one step back, not further."""
    graph = definitions.resolve_asset_graph()
    keys, context = graph.materializable_asset_keys, LoadingContextForTest(instance)
    AssetRecord.blocking_get_many(context, keys)  # in one question to the storage; the resolver asks for each by itself
    resolver = CachingStaleStatusResolver(instance, graph, context)
    return {key.to_user_string() for key in keys if resolver.get_status(key) != StaleStatus.FRESH}


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


def find_problem(error: BaseException | None) -> MedcotError | None:
    """The `MedcotError` among an exception and its causes."""
    return next((each for each in causes(error) if isinstance(each, MedcotError)), None)
