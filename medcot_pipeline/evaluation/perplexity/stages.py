"""How likely held-out answers are to base and tuned model.

Belongs here: the stages that measure one model each, and the one that compares them.
Does not: measuring (measure.py), perplexities and intervals (figures.py).
"""

from pathlib import Path

import polars as pl

from medcot_pipeline.artifacts import FileLink, Table
from medcot_pipeline.evaluation.perplexity import checks
from medcot_pipeline.evaluation.perplexity.compare import both_arms, largest_difference
from medcot_pipeline.evaluation.perplexity.figures import definition_rows, incumbent_figures, perplexity_figures
from medcot_pipeline.evaluation.perplexity.job import EXAMPLES, TOKENS, MeasurePerplexity, measure_perplexity
from medcot_pipeline.pipeline.alike import MADE_WITH
from medcot_pipeline.pipeline.place import Place
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import OutsideFile, Stage
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.perplexity import IncumbentPerplexity
from medcot_pipeline.settings import project_file
from medcot_pipeline.support import charts
from medcot_pipeline.support.json_files import read_json, write_json, write_model
from medcot_pipeline.support.table_files import read_parquet

GROUP = "evaluation"
HELD_OUT = "held_out.parquet"
"""`row_id` and `question` of the held-out rows."""
MEASURED_BY = ("perplexity.max_rows", "perplexity.train_rows", "perplexity.max_row_tokens")
RESAMPLED_BY = ("perplexity.bootstrap_resamples", "perplexity.seed")
"""Settings of the intervals, for which no model is measured again."""


def base_perplexity(run: Run) -> None:
    """Negative log-likelihood of held-out rows, training rows and general passages under the base."""
    _measure(run, None)


def tuned_perplexity(run: Run) -> None:
    """The same under the base with the adapter."""
    _measure(run, run.input("qlora_adapter"))


def _measure(run: Run, adapter: Path | None) -> None:
    settings, splits = run.settings.perplexity, run.input("corpus_splits") / "rows.parquet"
    arguments = MeasurePerplexity(
        settings=settings,
        base_model=run.input("base_model"),
        adapter=adapter,
        hashes=run.place.store.hashes.memory,
        splits=splits,
        passages=project_file(settings.general_texts, run.root),
        out=run.path,
    )
    measured = run.job(measure_perplexity, arguments)
    write_json(run.path / MADE_WITH, measured["made_with"])
    write_json(run.path / "left_out.json", {"left_out": measured["left_out"]})
    read_parquet(splits).filter(split="test").select("row_id", "question").write_parquet(run.path / HELD_OUT)
    examples = read_parquet(run.path / EXAMPLES)
    run.describe(
        texts=Table(examples.group_by("set").agg(pl.col("row_id").n_unique().alias("texts")).sort("set").to_dicts()),
        left_out=measured["left_out"],
        made_with=Table([measured["made_with"]]),
        examples=FileLink(EXAMPLES),
    )


def perplexity_report(run: Run) -> None:
    """Perplexities of base and tuned model on the same rows, with their intervals."""
    settings = run.settings.perplexity
    base, tuned = run.input("base_perplexity"), run.input("tuned_perplexity")
    examples = both_arms(read_parquet(base / EXAMPLES), read_parquet(tuned / EXAMPLES))
    difference = largest_difference(read_parquet(base / TOKENS), read_parquet(tuned / TOKENS))
    left_out = read_json(base / "left_out.json")["left_out"]
    questions = dict(read_parquet(base / HELD_OUT).iter_rows())
    figures = perplexity_figures(examples, questions, settings, left_out=left_out, max_logit_difference=difference)
    examples.write_parquet(run.path / EXAMPLES)
    incumbent = run.over_incumbent("tuned_perplexity")
    if run.incumbent and incumbent:
        beside = incumbent_figures(examples, read_parquet(incumbent / EXAMPLES), settings)
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
        share_improved=figures.share_improved,
        examples=FileLink(EXAMPLES),
    )


def passages(place: Place) -> list[OutsideFile]:
    """The general texts."""
    return [OutsideFile("general texts", project_file(place.settings.perplexity.general_texts, place.root))]


STAGES = (
    Stage(
        "base_perplexity",
        group=GROUP,
        code_version="1",
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
        code_version="1",
        make=tuned_perplexity,
        checks=checks.MEASURED,
        inputs=("qlora_adapter", "base_model", "corpus_splits"),
        settings=MEASURED_BY,
        files=passages,
        loads_model=True,
    ),
    Stage(
        "perplexity_report",
        group=GROUP,
        code_version="5",
        make=perplexity_report,
        checks=checks.COMPARED,
        inputs=("base_perplexity", "tuned_perplexity"),
        settings=RESAMPLED_BY,
        loads_model=True,
        compares=("base_perplexity", "tuned_perplexity"),
        meets_incumbent=lambda settings: True,
    ),
)
