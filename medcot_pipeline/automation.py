"""Jobs, and the schedule for retraining.

Belongs here: what starts a pass over the graph, and when.
Does not: what is stale (planning.py), or what an asset does.
"""

import dagster as dg

PIPELINE_JOB = "medcot"

JOBS = [
    dg.define_asset_job(
        PIPELINE_JOB,
        selection=dg.AssetSelection.all(),
        description="The whole chain; what is published already is used again.",
    )
]
