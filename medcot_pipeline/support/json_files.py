"""JSON files as this project writes them: UTF-8, readable, a line feed at the end.

Belongs here: writing and reading one value or record.
Does not belong here: how a file comes on disk (files.py), JSON lines (table_files.py), canonical JSON for hashes
(artifacts/identity.py).
"""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.files import write_whole

M = TypeVar("M", bound=BaseModel)


def write_json(path: Path, value: object) -> None:
    """Write a value in one step, as `write_whole` does; the folder is made where it is missing."""
    write_whole(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Read a value."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_model(path: Path, model: BaseModel) -> None:
    """Write a record; the folder is made where it is missing."""
    write_json(path, model.model_dump(mode="json"))


def read_model(path: Path, kind: type[M]) -> M:
    """Read a record.

    Raises:
        MedcotError: the file is not JSON, or its fields are not those of the record.
    """
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        problem = f'"{place}": {first["msg"]}' if place else first["msg"]
    except ValueError as error:
        problem = f"not JSON ({error})"
    raise MedcotError(f"{path}: not in the form that this version writes: {problem}.", "Rebuild it with `medcot sync`.")
