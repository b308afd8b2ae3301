"""The base model's job in the child process.

Belongs here: its arguments, and calling what gets the model.
Does not: weights and tokenizers (base.py).
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from medcot_pipeline.models.base import prepare_base_model
from medcot_pipeline.models.load import quiet
from medcot_pipeline.settings import BaseModelSettings
from medcot_pipeline.support.progress import Say


class PrepareBase(BaseModel):
    """Which model, and the folders to write into, to keep downloads in, and that relative paths start from."""

    settings: BaseModelSettings
    out: Path
    cache: Path
    root: Path


def prepare(arguments: PrepareBase, say: Say) -> dict[str, Any]:
    """Get the base model and describe it."""
    quiet()
    return prepare_base_model(arguments.settings, arguments.out, arguments.cache, arguments.root, say)
