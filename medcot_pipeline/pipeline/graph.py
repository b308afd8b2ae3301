"""All stages in their order, and the incumbent that a candidate is held against.

Belongs here: finding stages by name, what comes after what.
Does not belong here: which stages there are (table.py).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from medcot_pipeline.pipeline.place import Artifact, Place
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.support.errors import MedcotError, nearest

FindIncumbent = Callable[[Place, Mapping[str, Artifact], bool], Artifact | None]
"""The artifact that stands against the candidate among the inputs of a stage, or among what those were made from; where
the last argument is true, one of which a file is damaged is refused."""


def no_incumbent(place: Place, inputs: Mapping[str, Artifact], whole: bool) -> None:
    """The incumbent of a pipeline that promotes nothing: none."""


@dataclasses.dataclass(frozen=True)
class Graph:
    """Stages, each after its inputs."""

    stages: tuple[Stage, ...]
    incumbent: FindIncumbent = no_incumbent

    def __post_init__(self) -> None:
        """Raises ValueError: a name appears twice, or a stage stands before one of its inputs."""
        known: set[str] = set()
        for stage in self.stages:
            missing = set(stage.inputs) - known
            if missing or stage.asset in known:
                raise ValueError(
                    f"{stage.asset}: {', '.join(sorted(missing)) or 'it'} comes after it, or is listed twice"
                )
            known.add(stage.asset)

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of all assets, each after its inputs."""
        return tuple(stage.asset for stage in self.stages)

    def stage(self, asset: str) -> Stage:
        """The stage of an asset.

        Raises:
            MedcotError: no asset has that name.
        """
        for stage in self.stages:
            if stage.asset == asset:
                return stage
        raise MedcotError(f"{asset}: no such asset{nearest(asset, self.assets)}.", f"Assets: {', '.join(self.assets)}.")

    def downstream(self, assets: set[str]) -> set[str]:
        """The assets and everything after them."""
        result = set(assets)
        for stage in self.stages:
            if result & set(stage.inputs):
                result.add(stage.asset)
        return result

    def in_order(self, assets: Sequence[str] | set[str]) -> list[str]:
        """Some assets, each after its inputs."""
        return [asset for asset in self.assets if asset in assets]
