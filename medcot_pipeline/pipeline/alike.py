"""Like is compared with like: both sides were measured with the same engine, versions, precision and device.

A measure says in `made_with.json` what it was made with. It is kept as long as nothing that it is made from changes,
also where a newer one of another model was made with other versions or on another machine. The comparison then has the
older one measured again, and says why.

Belongs here: telling unlike measures, and having the older one made again.
Does not: what a stage compares.
"""

from collections.abc import Callable, Mapping

from medcot_pipeline.pipeline.place import Artifact
from medcot_pipeline.pipeline.run import Host
from medcot_pipeline.pipeline.stage import Stage
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json

MADE_WITH = "made_with.json"
Make = Callable[..., tuple[Artifact, bool]]


def made_alike(
    workspace: Workspace, stage: Stage, inputs: Mapping[str, Artifact], host: Host, make: Make
) -> dict[str, Artifact]:
    """The inputs of a stage, with the older of two measures made again where they cannot be compared.

    Raises:
        MedcotError: they cannot be compared even so: the other one was made with something that is not here.
    """
    inputs = dict(inputs)
    if not stage.compares:
        return inputs
    older, newer = sorted(stage.compares, key=lambda name: inputs[name].manifest.created)
    difference = unlike(inputs[older], inputs[newer])
    if difference:
        fingerprint = inputs[older].manifest.fingerprint
        host.say(f"{older} is measured again, to be comparable with {newer}: {difference}", fingerprint)
        inputs[older], _ = make(workspace, workspace.graph.stage(older), workspace.inputs(older), host, force=True)
        host.made_again(inputs[older])
        if difference := unlike(inputs[older], inputs[newer]):
            raise MedcotError(
                f"{stage.asset}: {older} and {newer} cannot be compared: {difference}.",
                f"Measure both in one place: `medcot sync --force {newer}`.",
            )
    return inputs


def unlike(one: Artifact, other: Artifact) -> str:
    """What two measures were made with that differs, for people; empty where they can be compared."""
    before, after = read_json(one.folder / MADE_WITH), read_json(other.folder / MADE_WITH)
    return ", ".join(
        f"{name} {before.get(name, 'none')} against {after.get(name, 'none')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )
