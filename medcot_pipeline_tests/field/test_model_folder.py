"""A base model's folder that is not whole: refused by name, before anything is published or trained.

Staged after sgl-project/sglang#32279 (a missing shard is passed over), microsoft/OmniParser#34 (pointers of git-lfs),
PersuGPT/PersuGPT.github.io#2 (a cut shard) and OpenRLHF/OpenRLHF#613 (no chat template).
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.models.base import prepare_base_model
from medcot_pipeline.models.origin.sources import make_tiny_model
from medcot_pipeline.settings import BaseModelSettings
from medcot_pipeline.support.errors import MedcotError

POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2\n"
)
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in two shards with their index."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("sharded")
    make_tiny_model(BaseModelSettings(kind="tiny_random", tiny_hidden=8, tiny_layers=1), folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="2MB")
    assert {path.name for path in folder.glob("model*")} == {FIRST, SECOND, INDEX}
    return folder


@pytest.fixture
def model(sharded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sharded, tmp_path / "model"))


def prepare(folder: Path) -> dict[str, Any]:
    out = folder.parent / "artifact"
    out.mkdir()
    return prepare_base_model(BaseModelSettings(kind="path", path=folder), out, folder.parent / "cache", folder, print)


def write(name: str, text: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    return spoil


def remove(*names: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return spoil


def cut(name: str, keep: int) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:keep])

    return spoil


def change(name: str, **values: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")

    return spoil


def swap_shards(folder: Path) -> None:
    shutil.copy(folder / FIRST, folder / SECOND)


def one_shard_as_all(folder: Path) -> None:
    (folder / SECOND).rename(folder / "model.safetensors")
    remove(FIRST, INDEX)(folder)


def without_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "one of two shards": (remove(SECOND), f"/{SECOND}: missing; the weights are 2 files, this is number 2."),
    "shards without their index": (
        remove(INDEX),
        f": no weights in it (model.safetensors or {INDEX}); there is {FIRST}, ",
    ),
    "a shard that is another": (swap_shards, "tensors of the index are not in it, such as model."),
    "an index of pickles": (
        change(INDEX, weight_map={"a": "pytorch_model-00001.bin"}),
        f"/{INDEX}: pytorch_model-00001.bin is not a .safetensors file of this folder.",
    ),
    "an index that leads out": (
        change(INDEX, weight_map={"a": "../other.safetensors"}),
        f"/{INDEX}: ../other.safetensors is not a .safetensors file of this folder.",
    ),
    "an empty index": (write(INDEX, "{}"), f"/{INDEX}: it has no weight_map"),
    "weights that are a pointer": (write(FIRST, POINTER), f"/{FIRST}: only a pointer of git-lfs"),
    "a tokenizer that is a pointer": (write("tokenizer.json", POINTER), "/tokenizer.json: only a pointer of git-lfs"),
    "a cut shard": (cut(FIRST, 2000), f"/{FIRST}: cut or damaged, at 2,000 bytes ("),
    "a shard cut in its header": (cut(SECOND, 40), f"/{SECOND}: cut or damaged, at 40 bytes ("),
    "an empty shard": (cut(SECOND, 0), f"/{SECOND}: cut or damaged, at 0 bytes ("),
    "one shard as if it were all": (one_shard_as_all, "of the tensors that config.json asks for are missing, such as "),
    "a cut configuration": (cut("config.json", 100), "/config.json: not JSON ("),
    "a cut tokenizer": (cut("tokenizer.json", 1000), "/tokenizer.json: not JSON ("),
    "a tokenizer with nothing in it": (
        write("tokenizer.json", "{}"),
        ": cannot be loaded as tokenizer_config.json describes it (",
    ),
    "a configuration of another shape": (
        change("config.json", hidden_size=16),
        ": cannot be loaded as config.json describes it (",
    ),
    "an unknown architecture": (change("config.json", model_type="own"), ": cannot be loaded as config.json describes"),
    "no chat template": (without_template, ": its tokenizer has no chat template."),
}


def test_a_model_in_shards_is_taken_with_all_its_parameters(model: Path) -> None:
    from transformers import AutoModelForCausalLM

    assert prepare(model)["parameters"] == AutoModelForCausalLM.from_pretrained(model).num_parameters()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_is_not_whole_is_refused_in_one_line(model: Path, fault: str) -> None:
    spoil, said = FAULTS[fault]
    spoil(model)
    with pytest.raises(MedcotError) as raised:
        prepare(model)
    message = str(raised.value)
    assert message.startswith(str(model))
    assert said in message
    assert "\n" not in message


def test_weights_that_are_not_loaded_are_not_counted(model: Path) -> None:
    """Some publish the same weights a second time, under the name of another program."""
    shutil.copy(model / FIRST, model / "consolidated.safetensors")
    whole = prepare(model)["parameters"]
    from transformers import AutoModelForCausalLM

    assert whole == AutoModelForCausalLM.from_pretrained(model).num_parameters()
