"""Code that a model's folder brings along is never run, whoever answers the question whether it may."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import medcot_pipeline
from medcot_pipeline.models.base import prepare_base_model
from medcot_pipeline.models.load import load_base
from medcot_pipeline.models.origin.sources import make_tiny_model
from medcot_pipeline.settings import BaseModelSettings
from medcot_pipeline.support.errors import MedcotError

CODE = """
from pathlib import Path
Path({marker!r}).write_text("ran")
from transformers import Qwen2Config as C, Qwen2ForCausalLM as M, PreTrainedTokenizerFast as T
"""
PREPARE = """
import sys
from pathlib import Path
from medcot_pipeline.models.base import prepare_base_model
from medcot_pipeline.settings import BaseModelSettings
folder = Path(sys.argv[1])
prepare_base_model(BaseModelSettings(kind="path", path=folder), folder.parent, folder.parent / "cache", folder, print)
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make_tiny_model(BaseModelSettings(kind="tiny_random", tiny_hidden=8, tiny_layers=1), folder)
    return folder


@pytest.fixture
def model(tiny: Path, tmp_path: Path) -> Path:
    """A whole model with code beside it, which leaves `ran` behind when it is run."""
    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    (folder / "own.py").write_text(CODE.format(marker=str(tmp_path / "ran")), encoding="utf-8")
    return folder


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


OWN_MODEL = {"auto_map": {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"}}
OWN_TOKENIZER = {"auto_map": {"AutoTokenizer": [None, "own.T"]}, "tokenizer_class": "OwnTokenizer"}


def prepare_with_yes(folder: Path) -> str:
    """What the command says at the end, with `yes` at its standard input."""
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as yes:
        done = subprocess.run(
            [sys.executable, "-c", PREPARE, str(folder)], stdin=yes.stdout, capture_output=True, text=True, timeout=120
        )
        yes.kill()
    assert not (folder.parent / "ran").exists(), "the folder's code was run"
    return (done.stdout + done.stderr).strip().splitlines()[-1]


def test_a_model_that_needs_code_of_its_own_is_refused_by_name_and_asks_nobody(model: Path) -> None:
    change(model / "config.json", model_type="own", **OWN_MODEL)
    assert prepare_with_yes(model) == (
        f"medcot_pipeline.support.errors.MedcotError: {model / 'config.json'}: needs code of its own (auto_map: own.C, "
        "own.M), which is never run: transformers itself does not know the type 'own'. "
        "Set MEDCOT_BASE_MODEL__PATH to a model that transformers loads without further code."
    )


def test_code_that_is_not_needed_is_not_run(model: Path) -> None:
    change(model / "config.json", **OWN_MODEL)
    change(model / "tokenizer_config.json", **OWN_TOKENIZER)
    (model / "custom_generate").mkdir()
    shutil.copy(model / "own.py", model / "custom_generate" / "generate.py")
    described = prepare_base_model(
        BaseModelSettings(kind="path", path=model), model.parent, model.parent / "cache", model, print
    )
    load_base(model)
    assert described["tokenizer_problems"] == []
    assert not (model.parent / "ran").exists()


def test_a_folder_that_holds_an_adapter_too_is_refused_since_another_base_would_be_loaded(model: Path) -> None:
    (model / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "someone/another"}))
    with pytest.raises(MedcotError) as raised:
        prepare_base_model(BaseModelSettings(kind="path", path=model), model.parent, model.parent, model, print)
    assert str(raised.value).startswith(f"{model / 'adapter_config.json'}: this folder holds an adapter")


def loading_calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the package that makes a library load something out of a model's folder."""
    for path in sorted(Path(medcot_pipeline.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                loads = called.endswith(".from_pretrained") and called != "PeftModel.from_pretrained"
                if loads or called == "Runner":
                    yield f"{path.name}, line {node.lineno}: {called}", node


def test_every_call_that_loads_from_a_folder_refuses_its_code() -> None:
    calls = list(loading_calls())
    assert len(calls) >= 7
    trusting = [
        where
        for where, call in calls
        if not any(each.arg == "trust_remote_code" and ast.unparse(each.value) == "False" for each in call.keywords)
    ]
    assert trusting == []
