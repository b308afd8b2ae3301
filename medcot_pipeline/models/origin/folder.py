"""A model's folder before anything of it is loaded: which of its files count, and whether they are whole.

Belongs here: the files that are hashed, shards against their index, files that were cut or never fetched, and what must
not be loaded at all: pickles, and another model by way of an adapter.
Does not belong here: loading (inspection.py, load.py), getting the folder (sources.py).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.folders import files_in

WANTED_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
COPY_AGAIN = "Copy or download the whole model folder again."


def model_files(folder: Path) -> list[Path]:
    """Configuration, tokenizer and safetensors files of a folder, sorted; none where there is no such folder."""
    return [path for path in files_in(folder) if any(path.match(pattern) for pattern in WANTED_FILES)]


def whole_model_files(folder: Path) -> list[Path]:
    """The files of a folder that can be loaded as it lies there.

    Raises:
        MedcotError: no folder, or one without configuration or safetensors, with a file that is cut, missing or only a
            pointer of git-lfs, or with an adapter in it.
    """
    if not folder.is_dir():
        raise MedcotError(f"{folder}: no such folder.", "Set MEDCOT_BASE_MODEL__PATH to a model's folder.")
    files = model_files(folder)
    if folder / "config.json" not in files:
        raise MedcotError(f"{folder}: no config.json in it.", "MEDCOT_BASE_MODEL__PATH must name a model's folder.")
    for path in files:
        _refuse_pointer(path)
        if path.suffix == ".json":
            read_object(path)
    if folder / "adapter_config.json" in files:
        raise MedcotError(
            f"{folder / 'adapter_config.json'}: this folder holds an adapter, which would be loaded over another base.",
            "Merge it into its base and save the whole model, or move adapter_config.json away.",
        )
    weight_files(folder)
    return files


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that transformers loads from a folder, each held against its own header and the index.

    Raises:
        MedcotError: there are none, one is missing or cut, or a tensor of the index is not where it says.
    """
    if (folder / WEIGHTS).is_file():
        _tensor_names(folder / WEIGHTS)
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        raise _no_weights(folder)
    shards = read_object(folder / INDEX).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(isinstance(name, str) for name in shards.values()):
        raise MedcotError(f"{folder / INDEX}: it has no weight_map of tensors and files.", COPY_AGAIN)
    names = sorted(set(shards.values()))
    for number, name in enumerate(names, start=1):
        path = folder / name
        if Path(name).name != name or path.suffix != ".safetensors":
            raise MedcotError(f"{folder / INDEX}: {name} is not a .safetensors file of this folder.", COPY_AGAIN)
        if not path.is_file():
            raise MedcotError(
                f"{path}: missing; the weights are {len(names)} files, this is number {number}.", COPY_AGAIN
            )
        lacking = {tensor for tensor, file in shards.items() if file == name} - _tensor_names(path)
        if lacking:
            raise MedcotError(
                f"{path}: {len(lacking)} tensors of the index are not in it, such as {min(lacking)}.",
                COPY_AGAIN,
            )
    return [folder / name for name in names]


def read_object(path: Path) -> Mapping[str, Any]:
    """The JSON object that a file of the folder holds.

    Raises:
        MedcotError: it holds none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise MedcotError(f"{path}: not JSON ({error}).", COPY_AGAIN) from error
    if not isinstance(value, dict | list):
        raise MedcotError(f"{path}: not a JSON object but {type(value).__name__}.", COPY_AGAIN)
    return value if isinstance(value, dict) else {}


def own_code(path: Path) -> list[str]:
    """Classes in the folder's own code that a configuration file names, such as `modeling_own.OwnModel`."""
    named = read_object(path).get("auto_map") if path.is_file() else None
    values = named.values() if isinstance(named, dict) else named if isinstance(named, list) else []
    flat = [each for value in values for each in (value if isinstance(value, list) else [value])]
    return sorted({each for each in flat if isinstance(each, str)})


def _no_weights(folder: Path) -> MedcotError:
    there = sorted(path.name for path in folder.iterdir() if path.suffix in (*PICKLES, ".safetensors"))
    seen = f"; there is {', '.join(there[:3])}{' and more' if len(there) > 3 else ''}" if there else ""
    if any(name.endswith(".safetensors") for name in there):
        way_out = f"Shards need their {INDEX} beside them. {COPY_AGAIN}"
    elif there:
        way_out = "Pickles can run code and are never loaded: convert them to safetensors."
    else:
        way_out = COPY_AGAIN
    return MedcotError(f"{folder}: no weights in it ({WEIGHTS} or {INDEX}){seen}.", way_out)


def _refuse_pointer(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise MedcotError(
                f"{path}: only a pointer of git-lfs ({path.stat().st_size:,} bytes), not the file itself.",
                "Run `git lfs pull` in its folder.",
            )


def _tensor_names(path: Path) -> set[str]:
    """Names of the tensors in a safetensors file, whose size is held against its header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as tensors:
            return set(tensors.keys())
    except SafetensorError as error:
        size = path.stat().st_size
        raise MedcotError(f"{path}: cut or damaged, at {size:,} bytes ({error}).", COPY_AGAIN) from error
