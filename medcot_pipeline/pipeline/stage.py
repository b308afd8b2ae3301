"""What a stage is: everything that the pipeline knows of one asset.

Belongs here: a stage's name, identity, checks and function, and the files from outside that it reads.
Does not belong here: any stage (the rooms), their order (graph.py).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from medcot_pipeline.artifacts import Identity
from medcot_pipeline.pipeline.check import Check
from medcot_pipeline.pipeline.place import Artifact, Place
from medcot_pipeline.pipeline.run import Run
from medcot_pipeline.settings import Settings, recorded


@dataclasses.dataclass(frozen=True)
class OutsideFile:
    """A file that no stage made and that an artifact depends on.

    Attributes:
        kind: what it is, such as `source file`; sensors watch files by their kind.
        path: where it lies; one that does not exist is no part of the identity, and refused by the stage that reads it.
        name: tells it from others of its kind; empty where there is one alone.
    """

    kind: str
    path: Path
    name: str = ""

    @property
    def key(self) -> str:
        """Its name in manifests and plans."""
        return f"{self.kind} {self.name}".rstrip()


def _no_files(place: Place) -> Sequence[OutsideFile]:
    return ()


@dataclasses.dataclass(frozen=True)
class Stage:
    """One asset.

    Attributes:
        asset: asset key.
        group: where it stands on the Dagster page.
        code_version: raised by hand when the same inputs give other outputs.
        make: writes the artifact into `run.path`; called only where the artifact is not published yet.
        checks: what must hold of it before it is published.
        inputs: upstream assets.
        settings: sections or fields that change the output, by name; what is marked NOT_IDENTITY is left out.
        files: files from outside that it reads.
        loads_model: whether it needs the GPU.
        compares: inputs that were measured, each of one model; they are compared only where engine, versions, precision
            and device were the same.
        meets_incumbent: whether it holds the candidate against the incumbent too.
        afterwards: what it does to the outside, once its artifact is published or found published before.
        kinds: what it is made with, as badges on the Dagster page; one to three.
    """

    asset: str
    group: str
    code_version: str
    make: Callable[[Run], None]
    checks: tuple[Check, ...]
    inputs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    files: Callable[[Place], Sequence[OutsideFile]] = _no_files
    loads_model: bool = False
    compares: tuple[str, ...] = ()
    meets_incumbent: Callable[[Settings], bool] = lambda settings: False
    afterwards: Callable[[Place, Artifact, bool], None] | None = None
    kinds: tuple[str, ...] = ("python",)

    def identity(self, settings: Settings, inputs: Mapping[str, str], external: Mapping[str, str]) -> Identity:
        """Everything the artifact depends on.

        Args:
            settings: the profile's.
            inputs: content hash of every upstream artifact, by asset.
            external: content hash of everything else, by name.
        """
        return Identity(self.asset, self.code_version, recorded(settings, *self.settings), dict(inputs), dict(external))
