"""Getting the base model as a job of a child process.

Belongs here: what the job is given, and the call it makes.
Does not belong here: the work (base.py), the child process (compute/).
"""

from pathlib import Path
from typing import Any

import pydantic

from medcot_pipeline.models.base import prepare_base_model
from medcot_pipeline.models.load import quiet
from medcot_pipeline.settings import BaseModelSettings
from medcot_pipeline.support.progress import Say


class PrepareBase(pydantic.BaseModel):
    """Arguments of the job that gets a base model; see `prepare_base_model`."""

    settings: BaseModelSettings
    out: Path
    cache: Path
    root: Path


def prepare(arguments: PrepareBase, say: Say) -> dict[str, Any]:
    """Get the base model and describe it. Raises as `prepare_base_model` does."""
    quiet()
    return prepare_base_model(arguments.settings, arguments.out, arguments.cache, arguments.root, say)
