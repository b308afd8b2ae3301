"""A host that makes assets in a test's own process, and keeps what it was told.

Belongs here: what `pipeline/run.py` asks of a host.
Does not belong here: a child process: stages that load a model are run through Dagster.
"""

import dataclasses
from pathlib import Path
from typing import Any

from medcot_pipeline.compute.launch import Launch
from medcot_pipeline.pipeline.place import Artifact
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.pipeline.workspace import Workspace


@dataclasses.dataclass
class Told:
    """A host that keeps what it was told."""

    lines: list[str] = dataclasses.field(default_factory=list)
    again: list[Artifact] = dataclasses.field(default_factory=list)
    name: str = "a test"

    def say(self, line: str, fingerprint: str) -> None:
        """Keep a line."""
        self.lines.append(line)

    def launch(self, asset: str, launch: Launch) -> dict[str, Any]:
        """No stage here asks for one."""
        raise RuntimeError("no stage of this test runs a child process")

    def made_again(self, artifact: Artifact) -> None:
        """Keep an artifact."""
        self.again.append(artifact)


def run_of(workspace: Workspace, asset: str, folder: Path) -> Run:
    """An asset being made over the current artifacts of its inputs, writing into `folder`; nothing is published."""
    inputs = workspace.inputs(asset)
    identity = workspace.identity(workspace.graph.stage(asset), inputs)
    return Run(workspace, workspace.graph.assets, identity, folder, inputs, None, False, Told(), lambda upstream: None)
