"""Base model and adapter.

Belongs here: the two assets of training; both load a model, in a child process.
Does not: weights (models/) or the training loop (training/).
"""

import dagster as dg

from medcot_pipeline import charts
from medcot_pipeline.artifacts import FileLink, Markdown
from medcot_pipeline.assets.publication import asset_options, publish
from medcot_pipeline.json_files import read_json
from medcot_pipeline.stages import Workspace

CURVE_LABELS = {"loss": "nats per token", "learning_rate": "learning rate", "grad_norm": "norm", "epoch": "epoch"}


@dg.asset(**asset_options("base_model"))
def base_model(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    pipes: dg.ResourceParam[dg.PipesSubprocessClient],
) -> dg.MaterializeResult:
    """The pinned base model: where it lies, the sha256 of every file, whether its tokenizer fits the format."""
    with publish(context, workspace) as run:
        if not run.reused:
            arguments = {
                "settings": workspace.settings.base_model.model_dump(mode="json"),
                "cache": str(workspace.store.root / "cache"),
                "root": str(workspace.root),
            }
            model = run.run_worker(pipes, "base_model", arguments)
            run.describe(
                name=model["name"],
                revision=model["revision"],
                parameters=model["parameters"],
                generation_prompt=Markdown(f"```\n{model['generation_prompt']}\n```"),
                files=FileLink("base_model.json"),
            )
    return run.result()


@dg.asset(**asset_options("qlora_adapter"))
def qlora_adapter(
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[Workspace],
    pipes: dg.ResourceParam[dg.PipesSubprocessClient],
) -> dg.MaterializeResult:
    """The PEFT adapter trained on the SFT data set over the base in NF4, with its tokenizer and curves."""
    settings = workspace.settings
    with publish(context, workspace) as run:
        if not run.reused:
            arguments = {
                "settings": settings.training.model_dump(mode="json"),
                "tracking": settings.tracking.model_dump(mode="json"),
                "max_row_tokens": settings.sft.max_tokens,
                "base_model": str(run.input("base_model")),
                "sft": str(run.input("sft_dataset") / "rows.parquet"),
                "splits": str(run.input("corpus_splits") / "rows.parquet"),
                "work": str(run.work),
                "wandb": str(workspace.store.root / "wandb"),
                "name": run.fingerprint[:12],
            }
            summary = run.run_worker(pipes, "train", arguments)
            curves = read_json(run.path / "curves.json")
            for name, label in CURVE_LABELS.items():
                series = {name: curves[name]} | ({"validation": curves["validation"]} if name == "loss" else {})
                charts.line_chart(run.picture(f"train_{name}"), f"train/{name}", series, y_label=label)
            names = ("rows", "tokens", "rows_too_long", "rows_over_budget", "optimizer_steps", "engine", "device")
            run.describe(
                **{name: summary[name] for name in names},
                adapter_parameters=summary["adapter_parameters"],
                final_loss=curves["loss"][-1][1],
                adapter=FileLink("adapter_model.safetensors"),
                training=FileLink("training.json"),
                model_card=FileLink("README.md"),
            )
    return run.result()
