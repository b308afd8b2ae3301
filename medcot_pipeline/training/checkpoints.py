"""Checkpoints: which of them are whole and this run's own.

The trainer writes a checkpoint's files one after another; a kill leaves half of them. A mark with every file's sha256
is written last, so that what has a mark is whole, and what has none is thrown away.

Belongs here: marking, verifying and choosing checkpoints.
Does not belong here: what is in one (the trainer's own files).
"""

import shutil
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts import sha256_file
from medcot_pipeline.support.errors import NOT_THERE, MedcotError, reading
from medcot_pipeline.support.json_files import read_json, write_json
from medcot_pipeline.support.progress import Say

MARK = "whole.json"
STATE = "trainer_state.json"


def mark_whole(checkpoint: Path, fingerprint: str) -> None:
    """Note that a checkpoint is whole, and which run's it is; to be called once all its files are written."""
    files = {path.name: sha256_file(path) for path in sorted(checkpoint.iterdir()) if path.name != MARK}
    write_json(checkpoint / MARK, {"fingerprint": fingerprint, "files": files})


def newest_whole(work: Path, fingerprint: str, say: Say) -> Path | None:
    """The checkpoint to resume from; half-written and damaged ones are removed, which is said.

    A checkpoint whose best predecessor is gone is passed over too, since the best one is what is published.

    Raises:
        MedcotError: a checkpoint belongs to another run, or cannot be read right now; it stays.
    """
    whole: dict[str, Path] = {}
    for checkpoint in sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name.rsplit("-", 1)[1])):
        problem = _problem(checkpoint, fingerprint)
        if problem is None:
            whole[checkpoint.name] = checkpoint
        else:
            say(f"{checkpoint.name} {problem}: it is not used")
            shutil.rmtree(checkpoint)
    for checkpoint in reversed(whole.values()):
        best = read_json(checkpoint / STATE).get("best_model_checkpoint")
        if best is None or Path(best).name in whole:
            return checkpoint
    return None


def _problem(checkpoint: Path, fingerprint: str) -> str | None:
    mark = checkpoint / MARK
    try:
        with reading(mark):
            recorded: dict[str, Any] = read_json(mark)
        files = dict(recorded["files"])
        owner = str(recorded["fingerprint"])
    except NOT_THERE:
        return "is half written"
    except (ValueError, TypeError, KeyError):
        return f"is damaged ({MARK})"
    if owner != fingerprint:
        raise MedcotError(
            f"{checkpoint} belongs to another run: fingerprint {owner[:12]}, not {fingerprint[:12]}.",
            "Move it away, then run `medcot sync` again.",
        )
    for name, digest in files.items():
        try:
            with reading(checkpoint / name):
                whole = sha256_file(checkpoint / name) == digest
        except NOT_THERE:
            whole = False
        if not whole:
            return f"is damaged ({name})"
    return None
