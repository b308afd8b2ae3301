"""What a pass works with: a place and the graph.

Belongs here: the inputs of a stage as they are now, and the identity that follows.
Does not belong here: making anything (make.py), what is stale (plan.py).
"""

import contextlib
import dataclasses
from collections.abc import Mapping

from medcot_pipeline.artifacts import Identity
from medcot_pipeline.pipeline.graph import Graph
from medcot_pipeline.pipeline.place import Artifact, Place
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.settings import require_utf8
from medcot_pipeline.support.errors import NOT_THERE, MedcotError

INCUMBENT = "incumbent adapter"
"""Name of the incumbent among what an artifact is made from."""


@dataclasses.dataclass(frozen=True)
class Workspace(Place):
    """Where a pass works, and the stages that it works on."""

    graph: Graph

    def inputs(self, asset: str) -> dict[str, Artifact]:
        """The current artifacts of the asset's inputs, each whole and accepted.

        Raises:
            MedcotError: an input was never materialised, or is damaged.
        """
        found = {}
        for upstream in self.graph.stage(asset).inputs:
            artifact = self.current(upstream)
            if artifact is None:
                raise MedcotError(
                    f"{asset} needs {upstream}, which is not materialised.",
                    f"Run `medcot sync`, or `dagster asset materialize --select '*{asset}'`.",
                )
            found[upstream] = artifact
        return found

    def external(self, stage: Stage) -> dict[str, str]:
        """Content hash of every file from outside that a stage reads, by name.

        Raises:
            MedcotError: a name is not UTF-8.
        """
        found = {}
        for file in sorted(stage.files(self), key=lambda each: each.key):
            require_utf8(file.path)
            with contextlib.suppress(*NOT_THERE):
                found[file.key] = self.store.hashes.of(file.path)
        return found

    def incumbent(self, stage: Stage, inputs: Mapping[str, Artifact], *, whole: bool = False) -> Artifact | None:
        """What the stage holds its candidate against; None where it does not, or where nothing is promoted.

        Args:
            stage: whose candidate is among the inputs, or among what those were made from.
            inputs: of the stage.
            whole: refuse one of which a file is damaged; planning leaves that to whoever reads the files.
        """
        return self.graph.incumbent(self, inputs, whole) if stage.meets_incumbent(self.settings) else None

    def identity(self, stage: Stage, inputs: Mapping[str, Artifact]) -> Identity:
        """The identity of a stage's artifact over artifacts of its inputs."""
        external = self.external(stage)
        if incumbent := self.incumbent(stage, inputs):
            external[INCUMBENT] = incumbent.content_hash
        hashes = {name: artifact.content_hash for name, artifact in inputs.items()}
        return stage.identity(self.settings, hashes, external)
