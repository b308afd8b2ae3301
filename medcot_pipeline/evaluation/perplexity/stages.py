"""How likely held-out answers are to base and tuned model.

Belongs here: the stages that measure one model each, and the one that compares them.
Does not belong here: measuring (measure.py), perplexities and intervals (figures.py).
"""

import polars as pl

from medcot_pipeline.artifacts import FileLink, Table
from medcot_pipeline.evaluation.perplexity import checks
from medcot_pipeline.evaluation.perplexity.compare import both_arms, largest_difference
from medcot_pipeline.evaluation.perplexity.figures import Beside, incumbent_figures, perplexity_figures
from medcot_pipeline.evaluation.perplexity.job import (
    BASE_ON_TRAINING,
    EXAMPLES,
    TOKENS,
    TRAINING,
    MeasuredAdapter,
    MeasurePerplexity,
    measure_perplexity,
)
from medcot_pipeline.evaluation.perplexity.rows import held_out_numbers
from medcot_pipeline.evaluation.perplexity.shared_runs import LEAST_CHARS, shared_runs
from medcot_pipeline.evaluation.perplexity.table import definition_rows
from medcot_pipeline.pipeline.alike import MADE_WITH
from medcot_pipeline.pipeline.place import Place
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import OutsideFile, Stage
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.figures import RowsOf
from medcot_pipeline.records.perplexity import IncumbentPerplexity, TrainingRows
from medcot_pipeline.settings import engine_settings, project_file
from medcot_pipeline.support import charts
from medcot_pipeline.support.json_files import read_json, read_model, write_json, write_model
from medcot_pipeline.support.table_files import read_parquet

GROUP = "evaluation"
HELD_OUT = "held_out.parquet"
"""`row_id` and `question` of the held-out rows."""
MEASURED_BY = ("perplexity.max_rows", "perplexity.max_row_tokens")
LEFT_OUT = "left_out.json"
SHARED = "shared_runs.parquet"


def base_perplexity(run: Run) -> None:
    """How well the base model predicts held-out rows and general passages, measured once for all adapters.

    Also lists the held-out rows that share long stretches of text with training rows.
    """
    shared = shared_runs(read_parquet(run.input("corpus_splits") / "rows.parquet"))
    shared.write_parquet(run.path / SHARED)
    long = pl.col("longest") >= LEAST_CHARS
    of_language = shared.group_by("language").agg(long.sum().alias("with shared runs"), pl.len().alias("held-out rows"))
    run.describe(shared_runs=Table(of_language.sort("language").to_dicts()))
    _measure(run, None)


def tuned_perplexity(run: Run) -> None:
    """How well the base model with the adapter predicts the same texts.

    Also measures both models on rows that the adapter learned from.
    """
    adapter, sft = run.inputs["qlora_adapter"], run.inputs["sft_dataset"]
    trained_on = adapter.manifest.inputs.get("sft_dataset") == sft.content_hash
    told = MeasuredAdapter(
        folder=adapter.folder, settings=dict(adapter.manifest.settings), sft=sft.folder if trained_on else None
    )
    _measure(run, told)
    rows = read_model(run.path / TRAINING, TrainingRows)
    run.describe(rows_learned="not known" if rows.learned is None else rows.learned)


def _measure(run: Run, adapter: MeasuredAdapter | None) -> None:
    settings, splits = run.settings.perplexity, run.input("corpus_splits") / "rows.parquet"
    arguments = MeasurePerplexity(
        settings=settings,
        inference=engine_settings(run.settings),
        base_model=run.input("base_model"),
        adapter=adapter,
        hashes=run.place.store.hashes.memory,
        splits=splits,
        passages=project_file(settings.general_texts, run.root),
        out=run.path,
    )
    measured = run.job(measure_perplexity, arguments)
    write_json(run.path / MADE_WITH, measured["made_with"])
    write_json(run.path / LEFT_OUT, measured["left_out"])
    read_parquet(splits).filter(split="test").select("row_id", "question").write_parquet(run.path / HELD_OUT)
    examples = read_parquet(run.path / EXAMPLES)
    run.describe(
        texts=Table(examples.group_by("set").agg(pl.col("row_id").n_unique().alias("texts")).sort("set").to_dicts()),
        left_out=Table([{"language": name, **each} for name, each in measured["left_out"].items()]),
        made_with=Table([measured["made_with"]]),
        examples=FileLink(EXAMPLES),
        **held_out_numbers(examples),
    )


def perplexity_report(run: Run) -> None:
    """Perplexity of the base and the tuned model on the same held-out rows, with 95 % intervals."""
    base, tuned = run.input("base_perplexity"), run.input("tuned_perplexity")
    alone = pl.concat([read_parquet(base / EXAMPLES), read_parquet(tuned / BASE_ON_TRAINING)])
    examples = both_arms(alone, read_parquet(tuned / EXAMPLES))
    beside_examples = Beside(
        questions=dict(read_parquet(base / HELD_OUT).iter_rows()),
        left_out={name: RowsOf(**each) for name, each in read_json(base / LEFT_OUT).items()},
        training=read_model(tuned / TRAINING, TrainingRows),
        shared=read_parquet(base / SHARED),
        max_logit_difference=largest_difference(read_parquet(base / TOKENS), read_parquet(tuned / TOKENS)),
    )
    figures = perplexity_figures(examples, beside_examples)
    examples.write_parquet(run.path / EXAMPLES)
    incumbent = run.over_incumbent("tuned_perplexity")
    if run.incumbent and incumbent:
        beside = incumbent_figures(examples, read_parquet(incumbent / EXAMPLES))
        record = IncumbentPerplexity(adapter=run.incumbent.manifest.fingerprint, **dict(beside))
        write_model(run.path / "incumbent.json", record)
        run.describe(incumbent=beside.incumbent.value, ratio_to_incumbent=beside.ratio.value)
    write_model(run.path / "perplexity.json", figures)
    headline = (("base", figures.base), ("tuned", figures.tuned), ("ratio", figures.ratio))
    charts.bars(
        run.picture("perplexity"),
        f"Perplexity of held-out completions ({figures.rows} rows)",
        {arm: figures.of(arm).value for arm in ARMS},
        y_label="perplexity",
    )
    run.describe(
        base=figures.base.value,
        tuned=figures.tuned.value,
        ratio=figures.ratio.value,
        intervals=Table([{"figure": name, **dict(each)} for name, each in headline]),
        definitions=Table(
            [
                {"definition": row.definition, "base": row.base.value, "tuned": row.tuned.value}
                for row in definition_rows(figures)
            ]
        ),
        rows=figures.rows,
        left_out=figures.left_out,
        share_improved=figures.share_improved.value or 0.0,
        examples=FileLink(EXAMPLES),
    )


def passages(place: Place) -> list[OutsideFile]:
    """The general texts."""
    return [OutsideFile("general texts", project_file(place.settings.perplexity.general_texts, place.root))]


STAGES = (
    Stage(
        "base_perplexity",
        group=GROUP,
        kinds=("pytorch",),
        code_version="2",
        make=base_perplexity,
        checks=checks.MEASURED,
        inputs=("base_model", "corpus_splits"),
        settings=MEASURED_BY,
        files=passages,
        loads_model=True,
    ),
    Stage(
        "tuned_perplexity",
        group=GROUP,
        kinds=("pytorch",),
        code_version="2",
        make=tuned_perplexity,
        checks=checks.MEASURED,
        inputs=("qlora_adapter", "base_model", "corpus_splits", "sft_dataset"),
        settings=(*MEASURED_BY, "perplexity.train_rows", "perplexity.seed"),
        files=passages,
        loads_model=True,
    ),
    Stage(
        "perplexity_report",
        group=GROUP,
        kinds=("python", "polars"),
        code_version="6",
        make=perplexity_report,
        checks=checks.COMPARED,
        inputs=("base_perplexity", "tuned_perplexity"),
        loads_model=True,
        compares=("base_perplexity", "tuned_perplexity"),
        meets_incumbent=lambda settings: True,
    ),
)
