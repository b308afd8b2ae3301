"""The one job that every pass is a run of, or of a part of it.

Belongs here: its name and its selection.
Does not belong here: when it runs (triggers.py).
"""

import dagster as dg

PIPELINE_JOB = "medcot"

JOB = dg.define_asset_job(
    PIPELINE_JOB,
    selection=dg.AssetSelection.all(),
    description="The whole chain; what is published already is used again.",
)
