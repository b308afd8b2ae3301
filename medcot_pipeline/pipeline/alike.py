"""Like is compared with like: both sides were measured with the same engine, versions, precision and device.

A measure says in `made_with.json` what it was made with. It is kept as long as nothing that it is made from changes,
also where a newer one of another model was made with other versions or on another machine. The comparison then has the
older one measured again, and says why.

Belongs here: telling unlike measures, and having the older one made again.
Does not belong here: what a stage compares.
"""

from collections.abc import Callable, Mapping

from medcot_pipeline.artifacts import Identity
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
        MedcotError: they were measured by different settings, files or inputs; or they cannot be compared even so: the
            other one was made with something that is not here.
    """
    inputs = dict(inputs)
    if not stage.compares:
        return inputs
    older, newer = sorted(stage.compares, key=lambda name: inputs[name].manifest.created)
    _refuse_other_recipes(stage, inputs)
    difference = unlike(inputs[older], inputs[newer])
    if difference:
        before = inputs[older]
        host.say(f"{older} is measured again, to be comparable with {newer}: {difference}", before.manifest.fingerprint)
        inputs[older], _ = make(
            workspace, workspace.graph.stage(older), workspace.inputs(older), host, instead_of=before.content_hash
        )
        host.made_again(inputs[older])
        _refuse_other_recipes(stage, inputs)
        if difference := unlike(inputs[older], inputs[newer]):
            raise MedcotError(
                f"{stage.asset}: {older} and {newer} cannot be compared: {difference}.",
                f"Measure both in one place: `medcot sync --force {newer}`.",
            )
    return inputs


def _refuse_other_recipes(stage: Stage, inputs: Mapping[str, Artifact]) -> None:
    one, other = (inputs[name].manifest.identity for name in stage.compares)
    if difference := recipes_differ(one, other):
        raise MedcotError(
            f"{stage.asset}: {' and '.join(stage.compares)} were not measured under the same conditions: {difference}.",
            "Run `medcot sync`, which rebuilds what is stale.",
        )


def recipes_differ(one: Identity, other: Identity, *, but: str = "") -> str:
    """How the recipes of two measures differ, in words; empty where only the model differs.

    Settings and inputs that only one of them has, such as the adapter, are its own. Of two measures of one asset the
    code version counts too.

    Args:
        one: how one was made.
        other: how the other was made.
        but: an input that may differ.
    """
    found = [
        f"{kind} {name}"
        for kind, left, right in (
            ("setting", one.settings, other.settings),
            ("input", one.inputs, other.inputs),
        )
        for name in sorted({*left} & {*right} - {but})
        if left[name] != right[name]
    ]
    files = sorted({*one.external, *other.external})
    found += [f"file {name}" for name in files if one.external.get(name) != other.external.get(name)]
    if one.asset == other.asset and one.code_version != other.code_version:
        found.append("code version")
    return ", ".join(found)


def unlike(one: Artifact, other: Artifact) -> str:
    """How engine, versions, precision and device of two measures differ, in words; empty if they can be compared."""
    before, after = read_json(one.folder / MADE_WITH), read_json(other.folder / MADE_WITH)
    return ", ".join(
        f"{name} {before.get(name, 'none')} against {after.get(name, 'none')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )
