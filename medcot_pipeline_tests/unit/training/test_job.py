from pathlib import Path

import pytest

from medcot_pipeline.models.base import DESCRIPTION, LOCATION
from medcot_pipeline.settings import TrackingSettings, load_settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline.training.job import TrainAdapter, train


def arguments(folder: Path) -> TrainAdapter:
    return TrainAdapter(
        settings=load_settings("rtx4090").training,
        tracking=TrackingSettings(wandb_mode="disabled"),
        max_row_tokens=2048,
        base_model=folder / "base",
        hashes=folder / "hashes.sqlite",
        sft=folder / "rows.parquet",
        splits=folder / "splits.parquet",
        out=folder / "out",
        work=folder / "work",
        wandb=folder / "wandb",
        fingerprint="a" * 64,
    )


def test_a_runs_arguments_come_back_whole_from_json(tmp_path: Path) -> None:
    asked = arguments(tmp_path)
    assert TrainAdapter.model_validate_json(asked.model_dump_json()) == asked


def test_a_base_that_was_tampered_with_is_not_trained_on(tmp_path: Path) -> None:
    (tmp_path / "base" / "aside").mkdir(parents=True)
    write_json(tmp_path / "base" / LOCATION, {"folder": str(tmp_path)})
    (tmp_path / "model.safetensors").write_text("other numbers")
    write_json(tmp_path / "base" / DESCRIPTION, {"files": {"model.safetensors": "0" * 64}})
    with pytest.raises(MedcotError, match=r"model\.safetensors: has changed since the base model was recorded"):
        train(arguments(tmp_path), lambda line: None)
