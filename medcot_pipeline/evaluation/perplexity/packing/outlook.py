"""What `medcot plan` says about measuring perplexity, on a machine that may have no GPU.

Belongs here: what is known of rows, base and device without loading a model.
Does not belong here: the plan itself (plan.py), which the stages make again from what they find.
"""

from collections.abc import Mapping
from pathlib import Path

from medcot_pipeline.compute.gpus import gpu_is_here
from medcot_pipeline.evaluation.perplexity.packing.plan import plan_perplexity
from medcot_pipeline.evaluation.perplexity.texts import read_passages
from medcot_pipeline.models.devices import planned_device
from medcot_pipeline.pipeline.plan import PlanLine
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import PerplexitySettings, engine_settings, project_file
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.table_files import read_parquet
from medcot_pipeline.training.plan.outlook import as_wanted, wanted_shape

TEXTS = ("question", "reasoning", "answer")


def perplexity_lines(workspace: Workspace, plan: Mapping[str, PlanLine]) -> list[str]:
    """What measuring either arm will take: lines for people.

    Tokens are taken from characters, as many to a character as rows of the SFT data set have in that language.
    """
    settings, limit = workspace.settings, engine_settings(workspace.settings).max_gpu_memory_gb
    shape = wanted_shape(workspace, plan["base_model"])
    if shape is None:
        return ["not planned yet: needs base_model"]
    there = {asset: as_wanted(workspace, plan[asset]) for asset in ("corpus_splits", "sft_dataset")}
    try:
        device = planned_device(limit, gpu_here=gpu_is_here())
        made = plan_perplexity(shape, device, settings.perplexity.max_row_tokens, packs=device.packs_rows)
        splits, sft = there["corpus_splits"], there["sft_dataset"]
        if splits is None or sft is None:
            lacking = " and ".join(asset for asset, folder in there.items() if folder is None)
            return [f"{made.line()}; how many tokens is known once there is {lacking}"]
        passages = project_file(settings.perplexity.general_texts, workspace.root)
        tokens = expected_tokens(settings.perplexity, splits / "rows.parquet", sft / "rows.parquet", passages)
    except MedcotError as error:
        return [str(error)]
    return [f"{arm}: {made.line(count)}" for arm, count in tokens.items()]


def expected_tokens(settings: PerplexitySettings, splits: Path, sft: Path, passages: Path) -> Mapping[str, int]:
    """About how many tokens each stage measures: the adapter's own rows count twice, with it and without.

    Args:
        settings: which rows.
        splits: `rows.parquet` of the splits.
        sft: `rows.parquet` of the SFT data set, with `tokens`.
        passages: the general texts.

    Raises:
        MedcotError: the passages cannot be read.
    """
    import polars as pl

    chars = pl.sum_horizontal(pl.col(name).str.len_chars() for name in TEXTS)
    learned = read_parquet(sft, columns=["language", "tokens", *TEXTS])
    rates = learned.group_by("language").agg(rate=pl.col("tokens").sum() / chars.sum())
    held_out = read_parquet(splits, columns=["row_id", "split", "language", *TEXTS]).filter(split="test")
    sized = held_out.join(rates, on="language", how="left").select(
        "row_id", tokens=(chars * pl.col("rate").fill_null(1.0)).cast(pl.Int64)
    )
    fitting = sized.filter(pl.col("tokens") <= settings.max_row_tokens).sort("row_id")
    measured = fitting.head(settings.max_rows or fitting.height)
    rate_of = dict(rates.iter_rows())
    general = sum(len(each.text) * rate_of.get(each.language, 1.0) for each in read_passages(passages))
    base = int(measured["tokens"].sum() + general)
    mean = learned.filter(pl.col("tokens") <= settings.max_row_tokens).select(pl.col("tokens").mean()).item() or 0.0
    return {"base_perplexity": base, "tuned_perplexity": base + int(2 * settings.train_rows * mean)}
