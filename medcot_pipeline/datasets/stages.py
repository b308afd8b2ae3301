"""Splits to training rows.

Belongs here: the stage of the SFT data set.
Does not belong here: its formats (sft.py), its card (data_card.py).
"""

import polars as pl

from medcot_pipeline.artifacts import FileLink, Markdown, Table
from medcot_pipeline.datasets import checks
from medcot_pipeline.datasets.data_card import data_card
from medcot_pipeline.datasets.sft import DATASET_NAME, build_sft_dataset
from medcot_pipeline.pipeline.provenance import lineage, recorded_settings, recorded_versions
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.records.corpus import SUMMARY
from medcot_pipeline.support import charts
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.support.table_files import read_parquet


def sft_dataset(run: Run) -> None:
    """The training rows as `<think>` conversations for LLaMA-Factory and TRL, with token lengths and a data card."""
    splits = run.input("corpus_splits")
    rows = read_parquet(splits / "rows.parquet")
    dataset = build_sft_dataset(rows.filter(split="train"), run.settings.sft, run.progress("counting tokens"))
    dataset.write(run.path)
    history = read_json(splits / SUMMARY)
    found = lineage(run)
    settings = recorded_settings(run.identity, found)
    versions = recorded_versions("sft_dataset", found)
    card = data_card(
        source=history["source"],
        funnel=history["funnel"],
        rules=history["rules"],
        rows=pl.concat([dataset.rows, dataset.too_long, rows.filter(pl.col("split") != "train")], how="diagonal"),
        settings={name: settings[name] for name in ("normalize", "dedup", "splits", "sft") if name in settings},
        versions=versions | {name: str(value) for name, value in history["dedup"].items()},
        overlap=history["overlap"],
        nearest=history["nearest"],
    )
    run.aside("data_card.md").write_text(card, encoding="utf-8")
    segments = ("tokens_question", "tokens_reasoning", "tokens_answer")
    charts.histogram(
        run.picture("token_lengths"),
        "Tokens per row (R1-distill tokenizer)",
        {name.removeprefix("tokens_"): dataset.rows[name].to_list() for name in segments},
        x_label="tokens",
    )
    preview = [
        {"input": row["question"][:120], "output": f"<think>\n{row['reasoning'][:120]}…"}
        for row in dataset.rows.head(3).iter_rows(named=True)
    ]
    run.describe(
        rows=dataset.rows.height,
        too_long=dataset.too_long.height,
        tokens=int(dataset.rows["tokens"].sum()),
        preview=Table(preview),
        data_card=Markdown(card),
        med_o1=FileLink(f"{DATASET_NAME}.json"),
        dataset_info=FileLink("dataset_info.json"),
        data_card_file=FileLink("aside/data_card.md"),
    )


STAGES = (
    Stage(
        "sft_dataset",
        group="sft",
        kinds=("python", "polars"),
        code_version="1",
        make=sft_dataset,
        checks=checks.SFT,
        inputs=("corpus_splits",),
        settings=("sft",),
    ),
)
