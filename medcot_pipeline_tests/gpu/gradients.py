"""The gradients of one optimiser step, by itself, since Unsloth patches what it touches.

    python -m medcot_pipeline_tests.gpu.gradients BASE OUT ENGINE BATCHING CHECKPOINTING [replayed]

Rows and adapter are the same in every call. The step is made twice and the second time counts, so that a recorded
micro-batch has been replayed for others than it was recorded with.
"""

import dataclasses
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

from medcot_pipeline.models.base import BaseModel
from medcot_pipeline.models.devices import this_device
from medcot_pipeline.models.load import load_tokenizer, quiet
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import TrackingSettings, TrainingSettings
from medcot_pipeline.training.engines import choose_engine, trainable_model
from medcot_pipeline.training.plan.choose import plan_training
from medcot_pipeline_tests.gpu.small_run import rows

ROWS = 48


def main() -> None:
    """Make the step, and write the gradients."""
    base, out = map(Path, sys.argv[1:3])
    given: dict[str, Any] = dict(zip(("engine", "batching", "checkpointing"), sys.argv[3:6], strict=True))
    settings = TrainingSettings(
        **given, per_device_train_batch_size=ROWS // 2, gradient_accumulation_steps=2, micro_batch_tokens=4096
    )
    engine = choose_engine(settings, print)
    if engine == "unsloth":
        import unsloth  # noqa: F401
    import torch
    from safetensors.torch import save_file

    from medcot_pipeline.training.run import TrainingRun
    from medcot_pipeline.training.steps.feed import as_step
    from medcot_pipeline.training.trainers import make_trainer

    quiet()
    training = rows(ROWS, 1)
    shape = ModelShape.of_folder(base)
    plan = plan_training(settings, engine, shape, [len(row) for row in training], this_device(None))
    plan = dataclasses.replace(plan, cuda_graph="replayed" in sys.argv)
    model = trainable_model(base, settings, plan)
    tokenizer = load_tokenizer(base)
    with tempfile.TemporaryDirectory() as folder:
        model_of = BaseModel(base, "", "", "path", 0, {}, [], "")
        run = TrainingRun(model_of, base, base, base, Path(folder), Path(folder), "a")
        tracking = TrackingSettings(wandb_mode="disabled")
        trainer = make_trainer(run, settings, tracking, plan, model, tokenizer, training, [], print)
        weights = {name: weight for name, weight in trainer.model.named_parameters() if weight.requires_grad}
        for name, weight in weights.items():
            drawn = torch.randn(weight.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
            weight.data.copy_(drawn / 50)
        for _ in range(2):
            trainer.model.zero_grad()
            trainer.training_step(trainer.model, as_step([trainer.train_dataset[0]]))
        gradients = {name: weight.grad.float().cpu() for name, weight in weights.items()}
    save_file(gradients, out)


if __name__ == "__main__":
    main()
