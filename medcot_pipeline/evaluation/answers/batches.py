"""The frozen plan of which prompts are answered together, and the records of the batches that are finished.

Belongs here: batches, their seeds, and resuming a plan to the same records as without a kill.
Does not: writing answers (generation.py, endpoint.py).
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.support.files import write_whole
from medcot_pipeline.support.progress import Say

PLAN = "plan.json"


@dataclasses.dataclass(frozen=True)
class Generated:
    """Answers in the order of the plan, the seconds that they took, and what was asked otherwise."""

    answers: list[Answer]
    seconds: float
    changed: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Batch:
    """Prompts that are answered together; a sampled answer depends on its batch, so the plan is part of the result."""

    arm: Arm
    number: int
    prompts: tuple[Prompt, ...]

    @property
    def name(self) -> str:
        """What tells it from the others of a plan."""
        return f"{self.arm}-{self.number:04d}"

    def seed(self, run_seed: int) -> int:
        """The same seed for the same batch of every arm."""
        digest = hashlib.sha256(f"{run_seed}\0{self.number}".encode()).hexdigest()
        return int(digest[:8], 16)


def plan_batches(prompts: Sequence[Prompt], size: int, arm: Arm) -> list[Batch]:
    """The frozen plan: prompts in file order, `size` at a time."""
    starts = range(0, len(prompts), size)
    return [Batch(arm, number, tuple(prompts[start : start + size])) for number, start in enumerate(starts)]


class BatchRecords:
    """One file per finished batch, written once and never changed; a killed run goes on behind them."""

    def __init__(self, work: Path, plan: Sequence[Batch], made_with: Mapping[str, str | None], say: Say) -> None:
        """Freeze the plan, or find it frozen.

        Args:
            work: folder of the records, of this fingerprint alone.
            plan: every batch.
            made_with: what else a record depends on, such as versions and device; records made with something else
                are not continued but begun anew, so that no answers are mixed.
            say: told what was found.
        """
        self._work, self._plan = work, plan
        batches = [[batch.name, [prompt.id for prompt in batch.prompts]] for batch in plan]
        frozen = json.dumps({"batches": batches, "made_with": dict(made_with)}, ensure_ascii=False, sort_keys=True)
        found = work / PLAN
        if found.is_file() and found.read_text(encoding="utf-8") != frozen:
            say("beginning anew: the finished batches were made with other versions or on another device")
            shutil.rmtree(work)
        if not found.is_file():
            write_whole(found, frozen)
        self.open = [batch for batch in plan if not self._path(batch).is_file()]
        if len(self.open) < len(plan):
            say(f"{len(plan) - len(self.open)} of {len(plan)} batches were finished before")

    def finish(self, batch: Batch, answers: Sequence[Answer], seconds: float, changed: Sequence[str] = ()) -> None:
        """Keep a finished batch; on disk, whole, when this returns. `changed` says what was asked otherwise for it."""
        record = {
            "seconds": seconds,
            "answers": [dataclasses.asdict(answer) for answer in answers],
            "changed": list(changed),
        }
        write_whole(self._path(batch), json.dumps(record, ensure_ascii=False))

    def collect(self) -> Generated:
        """The records of every batch, in the order of the plan."""
        answers: list[Answer] = []
        seconds = 0.0
        changed: set[str] = set()
        for batch in self._plan:
            record = json.loads(self._path(batch).read_text(encoding="utf-8"))
            # Older versions kept null where an endpoint did not count the tokens.
            answers += [Answer(**{**answer, "tokens": answer["tokens"] or 0}) for answer in record["answers"]]
            seconds += record["seconds"]
            changed |= set(record.get("changed", ()))
        return Generated(answers, seconds, tuple(sorted(changed)))

    def _path(self, batch: Batch) -> Path:
        return self._work / f"{batch.name}.json"
