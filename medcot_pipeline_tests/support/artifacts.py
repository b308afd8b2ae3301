"""Artifacts that a test publishes by hand: a few files under an identity, with a check that passes.

Belongs here: publishing through the real store.
Does not belong here: what a stage would make.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from medcot_pipeline.artifacts import ArtifactStore, CheckOutcome, Identity, Manifest
from medcot_pipeline.artifacts.shown import Value
from medcot_pipeline.support.json_files import write_json, write_model

PASSED = [CheckOutcome("made", True, True, "by a test")]


def publish(
    store: ArtifactStore,
    identity: Identity,
    files: Mapping[str, Any] | Callable[[Path], None],
    *,
    force: bool = False,
    select: bool = True,
    **metadata: Value,
) -> Manifest:
    """Publish files under an identity: text as it is, records and anything else as JSON; or what a function writes.

    Where the artifact is published already, nothing is written.
    """

    def fill(folder: Path) -> Mapping[str, Value]:
        if callable(files):
            files(folder)
            return metadata
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                path.write_text(content, encoding="utf-8")
            elif isinstance(content, BaseModel):
                write_model(path, content)
            else:
                write_json(path, content)
        return metadata

    return store.publish(identity, fill, lambda folder: PASSED, force=force, select=select).manifest
