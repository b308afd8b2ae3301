"""Small trainings on some ranks of the CPU: `python -m medcot_pipeline_tests.support.small_ranks OUT`.

One process loads the libraries once and forks the ranks of every training, which takes seconds instead of minutes. What
is staged in a training is staged by hooks that PyTorch has for it.

Belongs here: the trainings, and what each rank tells of its own.
Does not belong here: what must hold of them (integration/test_ranks_learn.py).
"""

import dataclasses
import os
import random
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts import sha256_file
from medcot_pipeline.compute.together import Ranks, become, ranks_here
from medcot_pipeline.models.base import BaseModel
from medcot_pipeline.models.devices import Device
from medcot_pipeline.models.load import load_tokenizer, quiet
from medcot_pipeline.models.origin.sources import make_tiny_model
from medcot_pipeline.models.shape import ModelShape
from medcot_pipeline.settings import BaseModelSettings, TrackingSettings, TrainingSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline.training.engines import trainable_model
from medcot_pipeline.training.plan.choose import plan_training
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline_tests.support.forward_passes import before_pass, lose_numbers_of_pass

SETTINGS: dict[str, Any] = {
    "engine": "hf",
    "learning_rate": 1e-2,
    "per_device_train_batch_size": 6,
    "gradient_accumulation_steps": 1,
    "checkpoint_share": 0.5,
}
STEPS = 4


def nothing() -> None:
    """Stage nothing."""


def memory_runs_out_once() -> None:
    """Let the second forward pass of the second rank find no memory."""
    if ranks_here().rank == 1:
        before_pass(lambda number: number == 2, _no_memory)


def memory_never_suffices() -> None:
    """Let every forward pass of the second rank find no memory."""
    if ranks_here().rank == 1:
        before_pass(lambda number: number > 0, _no_memory)


def loss_is_lost() -> None:
    """Let the third forward pass of the second rank give no numbers."""
    if ranks_here().rank == 1:
        lose_numbers_of_pass(3)


def local_labels() -> None:
    """A mutant: each rank divides by its own labels, and the ranks' means are averaged."""
    from medcot_pipeline.training.steps import trainer
    from medcot_pipeline.training.steps.micro_batch import MicroBatch, labels

    whole = trainer.MicroBatchSteps._accumulate

    def mutant(self: Any, model: Any, batches: list[MicroBatch], count: int) -> Any:
        own = labels([row for batch in batches for row in batch.rows])
        return whole(self, model, batches, own * self.ranks.size)

    trainer.MicroBatchSteps._accumulate = mutant  # type: ignore[method-assign]


@dataclasses.dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        ranks: how many.
        settings: beside `SETTINGS`.
        stage: called on each rank before it begins.
        resumes: the training from whose checkpoint in the middle it goes on; empty: it begins.
    """

    ranks: int
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    stage: Callable[[], None] = nothing
    resumes: str = ""


FEW = {"per_device_train_batch_size": 3}
DROPOUT = {"lora_dropout": 0.5}
TRAININGS = {
    "1 rank": Training(1),
    "2 ranks": Training(2),
    "4 ranks": Training(4),
    "2 ranks by local labels": Training(2, stage=local_labels),
    "1 rank, 3 rows": Training(1, FEW),
    "4 ranks, 3 rows": Training(4, FEW),
    "memory runs out once": Training(2, stage=memory_runs_out_once),
    "memory never suffices": Training(2, stage=memory_never_suffices),
    "loss is lost": Training(2, stage=loss_is_lost),
    "dropout": Training(2, DROPOUT),
    "dropout resumed": Training(2, DROPOUT, resumes="dropout"),
}


def small_rows(count: int, seed: int) -> list[TrainingRow]:
    """Rows of 10 to 80 tokens that can be guessed from the one before."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        ids = [draw.randrange(1000)]
        for _ in range(draw.randrange(10, 80)):
            ids.append((ids[-1] * 7 + draw.randrange(3)) % 1000)
        prompt = draw.randrange(1, 9)
        made.append(TrainingRow(ids, [-100] * prompt + ids[prompt:]))
    return made


def train(base: Path, tokenizer: Any, folder: Path, training: Training) -> dict[str, Any]:
    """Train as one of the ranks of this process; what the rank saw."""
    from medcot_pipeline.training.run import TrainingRun
    from medcot_pipeline.training.trainers import make_trainer

    quiet()
    training.stage()
    settings = TrainingSettings(**SETTINGS | training.settings)
    rows = small_rows(STEPS * settings.per_device_train_batch_size, 1)
    device = Device("CPU", None, varlen_kernel=False)
    lengths = [len(row) for row in rows]
    plan = plan_training(settings, "hf", ModelShape.of_folder(base), lengths, device, training.ranks)
    said: list[str] = []
    work = folder / "work"
    run = TrainingRun(BaseModel(base, "", "", "path", 0, {}, [], ""), base, base, folder, work, folder, "a" * 64)
    model = trainable_model(base, settings, plan)
    untracked = TrackingSettings(wandb_mode="disabled")
    trainer = make_trainer(run, settings, untracked, plan, model, tokenizer, rows, small_rows(5, 2), said.append)
    ranks_here().join()
    problem = ""
    try:
        from_checkpoint = folder.parent / training.resumes / "work" / f"checkpoint-{STEPS // 2}"
        trainer.train(resume_from_checkpoint=str(from_checkpoint) if training.resumes else None)
    except MedcotError as error:
        problem = str(error)
    trainer.model.save_pretrained(folder / f"adapter-{ranks_here().rank}")
    log = trainer.state.log_history
    return {
        "problem": problem,
        "said": said,
        "loss": [entry["loss"] for entry in log if "loss" in entry],
        "validation": [entry["eval_loss"] for entry in log if "eval_loss" in entry],
        "budget": trainer.cutting.token_budget,
        "best": trainer.state.best_model_checkpoint,
        "adapter": sha256_file(folder / f"adapter-{ranks_here().rank}" / "adapter_model.safetensors"),
    }


def make_base(folder: Path) -> dict[str, Any]:
    """Write the base model, in a process of its own: one that has computed must not be forked."""
    make_tiny_model(BaseModelSettings(kind="tiny_random", tiny_hidden=32, tiny_layers=1), folder)
    return {}


def fork(count: int, folder: Path, work: Callable[[], dict[str, Any]]) -> None:
    """Do some work in so many ranks, each of which writes what it returns."""
    folder.mkdir(parents=True)
    children = []
    for rank in range(count):
        child = os.fork()
        if child == 0:
            try:
                become(Ranks(rank, count, folder / "values"))
                write_json(folder / f"rank-{rank}.json", work())
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        children.append(child)
    failed = [status for child in children if (status := os.waitpid(child, 0)[1])]
    if failed:
        sys.exit(f"{folder.name}: {len(failed)} of {count} ranks failed")


def _no_memory() -> None:
    import torch

    raise torch.OutOfMemoryError("staged")


def main() -> None:
    """Run every training; each rank's part goes into a folder of its training."""
    # Loaded once, before the first rank is forked.
    import bitsandbytes  # noqa: F401
    import datasets  # noqa: F401
    import peft  # noqa: F401
    from transformers import EarlyStoppingCallback, Qwen2ForCausalLM  # noqa: F401
    from trl import SFTConfig, SFTTrainer  # noqa: F401

    out = Path(sys.argv[1])
    base = out / "base"
    fork(1, out / "made", lambda: make_base(base))
    tokenizer = load_tokenizer(base)
    for name, training in TRAININGS.items():
        folder = out / name
        fork(training.ranks, folder, partial(train, base, tokenizer, folder, training))


if __name__ == "__main__":
    main()
