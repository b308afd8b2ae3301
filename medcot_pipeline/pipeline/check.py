"""Checks: questions about an artifact that are answered before it is published.

Belongs here: what a check is, and running those of a stage.
Does not belong here: any check (the rooms), refusing an artifact (artifacts/store.py).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from medcot_pipeline.artifacts import CheckOutcome

Inputs = Mapping[str, Path]
"""Folders of the upstream artifacts, by asset."""
Test = Callable[[Path, Inputs], tuple[bool, str]]
"""From the artifact's folder and its inputs to a verdict and one sentence for people."""


@dataclasses.dataclass(frozen=True)
class Check:
    """A named question about an artifact; a blocking one that fails keeps it from being published."""

    name: str
    question: str
    test: Test
    blocking: bool = True


def run_checks(checks: Sequence[Check], folder: Path, inputs: Inputs) -> list[CheckOutcome]:
    """Run the checks and return their outcomes, in order."""
    outcomes = []
    for check in checks:
        passed, description = check.test(folder, inputs)
        outcomes.append(CheckOutcome(check.name, passed, check.blocking, description))
    return outcomes
