"""The base model as an artifact: what is recorded of it, and opening it again.

Belongs here: the description, with a sha256 for every file, and where the weights lie.
Does not belong here: getting the weights and looking into them (origin/), quantisation, which happens at loading
(load.py).
"""

import dataclasses
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts import FileHashes
from medcot_pipeline.artifacts.hash_memory import MEMORY
from medcot_pipeline.models.origin.folder import whole_model_files
from medcot_pipeline.models.origin.inspection import inspect_model
from medcot_pipeline.models.origin.sources import get_model
from medcot_pipeline.settings import BaseModelSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json, write_json
from medcot_pipeline.support.progress import Say

DESCRIPTION = "base_model.json"
LOCATION = "aside/location.json"


@dataclasses.dataclass(frozen=True)
class BaseModel:
    """A base model that lies ready: its folder, name, and what was recorded of it."""

    folder: Path
    name: str
    revision: str
    kind: str
    parameters: int
    files: dict[str, str]
    tokenizer_problems: list[str]
    generation_prompt: str


def prepare_base_model(settings: BaseModelSettings, out: Path, cache: Path, root: Path, say: Say) -> dict[str, Any]:
    """Get the model and write its description into `out`; weights that are made here are written there too.

    Args:
        settings: which model.
        out: folder of the artifact.
        cache: folder for downloads that can be fetched again.
        root: folder that relative paths start from.
        say: where progress goes.

    Returns:
        The description, as written to `base_model.json`.

    Raises:
        MedcotError: the model cannot be had, has no weights, or has a tokenizer that does not fit the format.
    """
    weights = out / "weights"
    model = get_model(settings, weights, cache, root, say)
    say(f"hashing the files of {model.name}")
    files = whole_model_files(model.folder)
    hashes = FileHashes(cache / MEMORY)
    description = {
        "name": model.name,
        "revision": model.revision,
        "kind": settings.kind,
        "files": {path.name: hashes.of(path) for path in files},
        **inspect_model(model.folder),
    }
    write_json(out / DESCRIPTION, description)
    write_json(out / LOCATION, {"folder": None if model.folder == weights else str(model.folder)})
    return description


def open_base_model(artifact: Path, hashes: FileHashes) -> BaseModel:
    """The base model that an artifact describes, every file held against its sha256.

    Raises:
        MedcotError: the folder is gone, or a file is missing or has changed.
    """
    description = read_json(artifact / DESCRIPTION)
    folder = base_folder(artifact)
    for name, expected in description["files"].items():
        path = folder / name
        if problem := hashes.problem(path, expected):
            raise MedcotError(
                f"{path}: {problem} since the base model was recorded.",
                "Restore the file, or materialise base_model again with `medcot sync --force base_model`.",
            )
    return BaseModel(folder=folder, **description)


def base_folder(artifact: Path) -> Path:
    """Where the weights of an artifact lie: in it, or where they were found."""
    location = read_json(artifact / LOCATION)["folder"]
    return Path(location) if location else artifact / "weights"
