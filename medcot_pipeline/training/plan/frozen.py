"""The plan of a run that was begun, kept beside its checkpoints.

What is free of a GPU's memory differs from start to start, and so would the plan: micro-batches of another size add the
same gradients in another order, which is another rounding. A resumed run therefore goes on by the plan it began with,
as long as that was made for this device, this engine and these settings.

Belongs here: keeping the plan, and whether it still holds.
Does not belong here: making one (choose.py).
"""

import dataclasses
from pathlib import Path
from typing import Any

from medcot_pipeline.models.devices import Device
from medcot_pipeline.settings import TrainingSettings
from medcot_pipeline.support.json_files import read_json, write_json
from medcot_pipeline.support.progress import Say
from medcot_pipeline.training.plan.training_plan import Engine, TrainingPlan, describe, plan_of

NAME = "plan.json"
SETTINGS = ("max_gpu_memory_gb", "micro_batch_tokens", "checkpointing")
"""What a person may change between two starts of one run: it is not part of the adapter's identity."""


@dataclasses.dataclass(frozen=True)
class FrozenPlan:
    """What a plan was made for: settings by name, the engine, the device's name."""

    made_for: dict[str, Any]

    @classmethod
    def of(cls, settings: TrainingSettings, engine: Engine, device: Device) -> "FrozenPlan":
        """What a plan would be made for now."""
        chosen = settings.model_dump(mode="json", include=set(SETTINGS))
        return cls({**chosen, "engine": engine, "device": device.name})

    def write(self, work: Path, plan: TrainingPlan) -> None:
        """Keep the plan of a run that begins."""
        work.mkdir(parents=True, exist_ok=True)
        write_json(work / NAME, {"made_for": self.made_for, "plan": describe(plan)})

    def read(self, work: Path, say: Say) -> TrainingPlan | None:
        """The plan that the run began with; None where it is missing or was made for something else, which is said."""
        try:
            kept = read_json(work / NAME)
            plan = plan_of(kept["plan"])
            before = dict(kept["made_for"])
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            say(f"{work / NAME} is missing or incomplete: the run is planned again")
            return None
        changed = [name for name, value in self.made_for.items() if before.get(name) != value]
        if changed:
            what = ", ".join(f"{name} was {before.get(name)}, is {self.made_for[name]}" for name in changed)
            say(f"planned again ({what}): every step keeps its rows, in other micro-batches")
            return None
        return plan
