"""Base model and adapter.

Belongs here: the two assets of training; both load a model, in a child process.
Does not: weights (models/) or the training loop (training/).
"""

import dagster as dg

from medcot_pipeline.artifacts import FileLink, Markdown
from medcot_pipeline.orchestration.publication import AssetRun, asset_options, publish
from medcot_pipeline.stages import Workspace
from medcot_pipeline.support import charts
from medcot_pipeline.training.plan.training_plan import TrainingPlan

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
                "fingerprint": run.fingerprint,
            }
            summary = run.run_worker(pipes, "train", arguments)
            draw_curves(run, summary["curves"])
            names = ("rows", "tokens", "rows_too_long", "rows_over_budget", "optimizer_steps", "engine", "device")
            run.describe(
                **{name: summary[name] for name in names},
                plan=Markdown("\n\n".join(TrainingPlan(**summary["plan"]).lines())),
                adapter_parameters=summary["adapter_parameters"],
                final_loss=summary["curves"]["loss"][-1][1],
                best_checkpoint_step=summary["best_checkpoint_step"] or "last",
                adapter=FileLink("adapter_model.safetensors"),
                training=FileLink("aside/training.json"),
                model_card=FileLink("README.md"),
            )
    return run.result()


def draw_curves(run: AssetRun, curves: dict[str, list[list[float]]]) -> None:
    """The five charts of a training run."""
    for name, label in CURVE_LABELS.items():
        series = {name: curves[name]} | ({"validation": curves["validation"]} if name == "loss" else {})
        charts.line_chart(run.picture(f"train_{name}"), f"train/{name}", series, y_label=label)
    steps = [[seconds / 60, step] for step, seconds in curves["seconds"]]
    charts.line_chart(
        run.picture("train_global_step"), "train/global_step", {"step": steps}, x_label="minutes", y_label="step"
    )
