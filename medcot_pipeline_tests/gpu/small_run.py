"""A small training run, by itself: `python -m medcot_pipeline_tests.gpu.small_run OUT NAME=VALUE...`."""

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from medcot_pipeline.models.base import BaseModel
from medcot_pipeline.models.devices import limit_gpu_memory, this_device
from medcot_pipeline.models.load import load_tokenizer
from medcot_pipeline.models.origin.sources import make_tiny_model
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import BaseModelSettings, TrackingSettings, TrainingSettings
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline.training.engines import choose_engine, trainable_model
from medcot_pipeline.training.plan.choose import plan_training
from medcot_pipeline.training.rows import TrainingRow

SETTINGS: dict[str, Any] = {
    "learning_rate": 2e-2,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 2,
    "checkpoint_share": 0.5,
}


def rows(count: int, seed: int) -> list[TrainingRow]:
    """Rows of 100 to 600 tokens whose tokens can be guessed from the one before."""
    draw = random.Random(seed)
    made: list[TrainingRow] = []
    for _ in range(count):
        ids = [draw.randrange(1000)]
        while len(ids) < draw.randrange(100, 600):
            ids.append((ids[-1] * 7 + draw.randrange(3)) % 1000)
        made.append(TrainingRow(ids, [-100] * 20 + ids[20:]))
    return made


def main() -> None:
    """Train, and write the losses."""
    out = Path(sys.argv[1])
    given: dict[str, Any] = dict(argument.split("=") for argument in sys.argv[2:])
    settings = TrainingSettings(**SETTINGS | given)
    engine = choose_engine(settings, print)
    if engine == "unsloth":
        import unsloth  # noqa: F401
    from medcot_pipeline.training.outcome.results import logged_curves
    from medcot_pipeline.training.run import TrainingRun
    from medcot_pipeline.training.trainers import make_trainer

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        make_tiny_model(BaseModelSettings(kind="tiny_random", tiny_hidden=256, tiny_layers=4), base)
        limit_gpu_memory(settings.max_gpu_memory_gb)
        tokenizer = load_tokenizer(base)
        training, validation = rows(20 * 16, 1), rows(24, 2)
        shape = ModelShape.of_folder(base)
        device = this_device(settings.max_gpu_memory_gb)
        plan = plan_training(settings, engine, shape, [len(row) for row in training], device)
        print(*plan.lines(), sep="\n")
        model = trainable_model(base, settings, plan)
        run = TrainingRun(
            BaseModel(base, "", "", "path", 0, {}, [], ""), base, base, out.parent, out.parent, out.parent, "a"
        )
        tracking = TrackingSettings(wandb_mode="disabled")
        trainer = make_trainer(run, settings, tracking, plan, model, tokenizer, training, validation, print)
        trainer.probe(training)
        trainer.train()
    curves = logged_curves(trainer.state.log_history)
    write_json(
        out,
        {"loss": [loss for _, loss in curves["loss"]], "validation": [loss for _, loss in curves["validation"]]}
        | {"budget": trainer.cutting.token_budget},
    )


if __name__ == "__main__":
    main()
