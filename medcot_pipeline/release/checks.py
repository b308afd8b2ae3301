"""What must hold of a decision before it is published.

Belongs here: one function per check, over the files of the artifact and of its inputs; blocking where the next stage
would be wrong.
Does not belong here: repairing anything.
"""

from pathlib import Path

from medcot_pipeline.pipeline.check import Check, Inputs
from medcot_pipeline.support.json_files import read_json


def decision_follows(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """No adapter is promoted that misses a requirement."""
    decision = read_json(folder / "decision.json")
    missed = sum(each["passed"] is False for each in decision["requirements"])
    count = len(decision["requirements"])
    return not (decision["promote"] and missed), f"{missed:,} of {count:,} requirements are not met."


def adapter_takes_over(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The adapter meets every requirement, and takes over or has taken over."""
    decision = read_json(folder / "decision.json")
    return decision["promote"] and decision["event"] != "stays candidate", "; ".join(
        (f"It {decision['event']}", *decision["reasons"])
    ) + "."


PROMOTION = (
    Check("decision_follows", "Was no adapter promoted that misses a requirement?", decision_follows),
    Check("adapter_takes_over", "Does the adapter take over?", adapter_takes_over, blocking=False),
)
