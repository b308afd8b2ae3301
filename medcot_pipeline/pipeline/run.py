"""One asset being made: what its stage's function works with.

Belongs here: inputs, the folder to write into, what people see, and the child process that loads a model.
Does not belong here: what any stage computes, publishing (make.py), or Dagster.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from medcot_pipeline.artifacts import Identity, Picture
from medcot_pipeline.artifacts.manifest import ASIDE
from medcot_pipeline.artifacts.shown import Value
from medcot_pipeline.compute.gpus import GpusAsked
from medcot_pipeline.compute.launch import Launch, launch_of
from medcot_pipeline.pipeline.place import Artifact, Place
from medcot_pipeline.settings import Settings
from medcot_pipeline.support.progress import Progress, Say

Arguments = TypeVar("Arguments", bound=BaseModel)


def place_of(asset: str, assets: Sequence[str]) -> str:
    """Where an asset stands among all: `(7/21) qlora_adapter:`."""
    return f"({assets.index(asset) + 1}/{len(assets)}) {asset}:"


class Host(Protocol):
    """Who makes assets: Dagster, or a test."""

    @property
    def name(self) -> str:
        """How others call this process while they wait for it."""

    def say(self, line: str, fingerprint: str) -> None:
        """Show a line on the page and in the terminal; it belongs to the artifact of that fingerprint."""

    def launch(self, asset: str, launch: Launch) -> dict[str, Any]:
        """Run a job in a child process and return its result.

        Raises:
            MedcotError: the child says what is wrong, ends without a result, or is killed.
        """

    def made_again(self, artifact: Artifact) -> None:
        """Note that another asset than the one that was asked for was made again."""


@dataclasses.dataclass
class Run:
    """One asset being made.

    Attributes:
        place: settings, folders and store.
        assets: names of all assets, each after its inputs.
        identity: what it is made from.
        path: folder to write into.
        inputs: artifacts of the upstream assets.
        incumbent: the promoted adapter that the candidate is held against, where the stage holds it against one.
        forced: whether a person asked to make it again.
        host: who makes it.
        over_incumbent: what an upstream stage makes of the incumbent: the folder of that artifact, made where it is not
            there yet; None without an incumbent.
    """

    place: Place
    assets: Sequence[str]
    identity: Identity
    path: Path
    inputs: Mapping[str, Artifact]
    incumbent: Artifact | None
    forced: bool
    host: Host
    over_incumbent: Callable[[str], Path | None]
    metadata: dict[str, Value] = dataclasses.field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The profile's settings."""
        return self.place.settings

    @property
    def root(self) -> Path:
        """The project folder, from which relative paths of settings start."""
        return self.place.root

    @property
    def work(self) -> Path:
        """A folder for this fingerprint alone that outlives a killed run, for checkpoints and finished answers."""
        return self.place.store.work(self.identity.asset, self.identity.fingerprint)

    def input(self, asset: str) -> Path:
        """Folder of an upstream artifact."""
        return self.inputs[asset].folder

    def say(self, line: str) -> None:
        """Show a line on the page and in the terminal."""
        self.host.say(f"{place_of(self.identity.asset, self.assets)} {line}", self.identity.fingerprint)

    def progress(self, what: str) -> Progress:
        """Progress lines for a piece of work."""
        return Progress(what, self.say)

    def describe(self, **values: Value | None) -> None:
        """Add what a person should see beside the artifact; what is None is not known, and left out.

        Numbers become plots over time on the Dagster page.
        """
        self.metadata.update({name: value for name, value in values.items() if value is not None})

    def aside(self, name: str) -> Path:
        """Path for a file that carries no meaning (picture, log, timing); its folder exists."""
        path = self.path / ASIDE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def picture(self, name: str) -> Path:
        """Where a chart of that name goes; it is shown beside the artifact."""
        path = self.aside(f"{name}.png")
        self.describe(**{name: Picture(path.relative_to(self.path).as_posix())})
        return path

    def job(
        self,
        function: Callable[[Arguments, Say], dict[str, Any]],
        arguments: Arguments,
        gpus: GpusAsked = 1,
    ) -> dict[str, Any]:
        """Run a function in a child process, which alone loads models, and return its result.

        Args:
            function: of a module, found there by its name.
            arguments: what it is called with; a pydantic model.
            gpus: on how many it runs, as set; the child process then runs it in a rank for each.

        Raises:
            MedcotError: more GPUs are asked for than are visible; the child says what is wrong, ends without a result,
                or is killed.
        """
        asset, data = self.identity.asset, self.place.data
        place, holder = place_of(asset, self.assets), f"{asset} of {self.host.name} in {data}"
        launch = launch_of(asset, function, arguments, place=place, holder=holder, data=data, gpus=gpus)
        return self.host.launch(asset, launch)
