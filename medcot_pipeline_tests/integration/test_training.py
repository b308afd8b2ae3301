"""Training runs in the profile `tiny`, in this process, over the rows and the base of the chain."""

from pathlib import Path
from typing import Any

import pytest
import torch

from medcot_pipeline.artifacts import FileHashes
from medcot_pipeline.models.base import open_base_model
from medcot_pipeline.models.devices import Device
from medcot_pipeline.models.load import load_tokenizer
from medcot_pipeline.models.shape import base_shape
from medcot_pipeline.settings import TrackingSettings, TrainingSettings, load_settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.training.checkpoints import newest_whole
from medcot_pipeline.training.engines import trainable_model
from medcot_pipeline.training.plan.choose import plan_training
from medcot_pipeline.training.qlora import train
from medcot_pipeline.training.rows import TrainingRow
from medcot_pipeline.training.run import TrainingRun
from medcot_pipeline.training.steps.feed import as_step
from medcot_pipeline.training.trainers import make_trainer
from medcot_pipeline_tests.gpu.small_run import rows
from medcot_pipeline_tests.support.home import Home

TINY = load_settings("tiny").training
UNTRACKED = TrackingSettings(wandb_mode="disabled")


@pytest.fixture
def run(chain: Home, tmp_path: Path) -> TrainingRun:
    """A run over the chain's artifacts with folders of its own."""
    return TrainingRun(
        base=open_base_model(chain.current("base_model"), FileHashes(tmp_path / "hashes.sqlite")),
        sft=chain.current("sft_dataset") / "rows.parquet",
        splits=chain.current("corpus_splits") / "rows.parquet",
        out=tmp_path / "out",
        work=tmp_path / "work",
        wandb=tmp_path / "wandb",
        fingerprint="a" * 64,
    )


def settings(**changes: Any) -> TrainingSettings:
    return TrainingSettings(**TINY.model_dump() | changes)


def trainer_of(
    run: TrainingRun, chosen: TrainingSettings, training: list[TrainingRow], validation: list[TrainingRow]
) -> Any:
    shape = base_shape(load_settings("tiny").base_model, run.base.folder)
    assert shape is not None
    plan = plan_training(chosen, "hf", shape, [len(row) for row in training], Device("CPU", None, False))
    model, tokenizer = trainable_model(run.base.folder, chosen, plan), load_tokenizer(run.base.folder)
    return make_trainer(run, chosen, UNTRACKED, plan, model, tokenizer, training, validation, print)


def test_a_row_that_is_too_long_fails_the_run_where_that_is_set(run: TrainingRun) -> None:
    with pytest.raises(MedcotError, match=r"training rows have more than 300 tokens.*TOO_LONG=drop"):
        train(run, settings(too_long="fail", max_row_tokens=300), 2048, UNTRACKED, print)


def test_a_loss_that_is_not_a_number_stops_the_run_and_the_last_good_checkpoint_stays(run: TrainingRun) -> None:
    from transformers import TrainerCallback

    class Poison(TrainerCallback):  # type: ignore[misc]
        """A weight that is lost after the third optimiser step."""

        def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            if state.global_step == 3:
                next(weight for weight in model.parameters() if weight.requires_grad).data.fill_(float("nan"))

    trainer = trainer_of(run, settings(checkpoint_steps=1), rows(24, 1), rows(2, 2))
    trainer.add_callback(Poison())
    with pytest.raises(MedcotError, match="The loss at optimiser step 4 is not a number"):
        trainer.train()
    newest = newest_whole(run.work, run.fingerprint, print)
    assert newest is not None
    assert newest.name == "checkpoint-3"


@pytest.mark.parametrize("checkpointing", ["all", "offloaded"])
def test_packed_rows_that_are_computed_again_see_themselves_alone(run: TrainingRun, checkpointing: str) -> None:
    gradients = []
    for kind in ("none", checkpointing):
        chosen = settings(batching="packed", checkpointing=kind, micro_batch_tokens=1024)
        trainer = trainer_of(run, chosen, rows(6, 1), [])
        trainer.training_step(trainer.model, as_step([trainer.train_dataset[0]]))
        gradients.append(
            {name: weight.grad for name, weight in trainer.model.named_parameters() if weight.requires_grad}
        )
    once, again = gradients
    assert any(gradient.any() for gradient in once.values())
    for name, gradient in once.items():
        torch.testing.assert_close(again[name], gradient, msg=name)
