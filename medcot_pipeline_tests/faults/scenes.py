"""Operations on a data folder that a kill, or pruning, may meet anywhere: `python -m ... WAY SCENE FOLDER`.

`killed`: the operation is killed before each of its changes on disk, and gone on from in two ways: mending, then the
operation again; pruning, then the operation again. `pruned`: it is stopped before each of its changes, and goes on
when somebody has pruned meanwhile. Prints the changes, and what was wrong, as JSON. The artifacts are small and made
up; everything else is real.

Belongs here: the operations, and what must hold after every kill.
Does not belong here: how a process is killed (kills.py).
"""

import dataclasses
import functools
import itertools
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts import ArtifactStore, Identity, Manifest
from medcot_pipeline.artifacts.leftovers import clear_leftovers
from medcot_pipeline.artifacts.prune import prune
from medcot_pipeline.release.promoted import ADAPTER, DECISION, PROMOTION, Promoted
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.faults.kills import Signalled, run_until
from medcot_pipeline_tests.faults.watcher import damage
from medcot_pipeline_tests.support import artifacts


def open_store(root: Path) -> ArtifactStore:
    return ArtifactStore(root, root.parent)


def publish(
    root: Path, asset: str, settings: Mapping[str, Any], files: Mapping[str, str], *, force: bool = False
) -> Manifest:
    """Publish an artifact, which becomes current; one that is there already is used again."""
    return artifacts.publish(open_store(root), Identity(asset, "1", settings, {}, {}), files, force=force)


def train(root: Path, rate: float, weights: str = "", *, force: bool = False) -> Manifest:
    """An adapter, which becomes current."""
    files = {"weights.txt": weights or f"weights at {rate}", "more/config.txt": "rank 8", "aside/log.txt": "trained"}
    return publish(root, ADAPTER, {"rate": rate}, files, force=force)


def promote(root: Path, rate: float) -> None:
    """Decide on an adapter, publish the decision, and carry it out, as the asset `promotion` does."""
    promoted, candidate = Promoted(root), train(root, rate)
    promoted.catch_up(open_store(root))
    foreseen = promoted.foresee(candidate, promoted.against(candidate.content_hash), promote=True)
    decision = {**foreseen, "promote": True, "requirements": [], "reasons": []}
    manifest = publish(root, PROMOTION, {"rate": rate}, {DECISION: json.dumps(decision)})
    published = open_store(root).folder(PROMOTION, manifest.fingerprint) / DECISION
    assert promoted.settle(open_store(root), json.loads(published.read_text())) is None


def promote_all(root: Path, *rates: float) -> None:
    for rate in rates:
        promote(root, rate)


def roll_back(root: Path) -> None:
    Promoted(root).roll_back(open_store(root))


def make_again(root: Path) -> None:
    """The promoted adapter's recipe, with other content."""
    train(root, 0.2, weights="weights of another run", force=True)


def promote_and_damage(root: Path) -> None:
    promote_all(root, 0.1, 0.2)
    (root / "current" / ADAPTER / "weights.txt").write_text("flipped")


def mend(root: Path) -> None:
    """What `medcot doctor` does about the data folder."""
    Promoted(root).catch_up(open_store(root))
    clear_leftovers(open_store(root))


def promote_as_before(root: Path) -> None:
    """What an earlier version left: links into `artifacts/`, and lines without contents."""
    first, second = train(root, 0.1).fingerprint, train(root, 0.2).fingerprint
    (root / "promoted").mkdir()
    for name, fingerprint in ((ADAPTER, second), (f"{ADAPTER}.previous", first)):
        (root / "promoted" / name).symlink_to(Path("..") / "artifacts" / ADAPTER / fingerprint)
    lines = ({"adapter": first, "predecessor": None}, {"adapter": second, "predecessor": first})
    record = [json.dumps({"time": "", "event": "promoted", **line, "decision": {}}) for line in lines]
    (root / "promoted" / "decisions.jsonl").write_text("\n".join(record) + "\n")


def promote_and_remove(root: Path) -> None:
    """A person removed the link, to start over."""
    promote_all(root, 0.1, 0.2)
    (root / "promoted" / ADAPTER).unlink()


def promote_and_litter(root: Path) -> None:
    """Three promotions, artifacts that nobody needs any more, and what was refused."""
    promote_all(root, 0.1, 0.2, 0.3)
    for number in (1, 2):
        publish(root, "sft_dataset", {"number": number}, {"rows.txt": "rows", "more/rows.txt": "rows"})
    for name in ("rejected/sft_dataset/a", "damaged/sft_dataset/b", "damaged/current/c"):
        (root / name).mkdir(parents=True)
        (root / name / "rows.txt").write_text("rows")


def clean_up(root: Path) -> None:
    prune(open_store(root))


def train_another(root: Path) -> None:
    train(root, 0.3)


def make_damaged_again(root: Path) -> None:
    train(root, 0.2, weights="weights of another run")


@dataclasses.dataclass(frozen=True)
class Scene:
    """An operation, and which weights are promoted, and which ones to go back to, before and after it."""

    prepare: Callable[[Path], None]
    operate: Callable[[Path], None]
    promoted: tuple[str | None, str | None]
    goes_back_to: str | None
    repeatable: bool = True
    """Whether carrying it out twice comes to the same as once."""
    changes: int = 10
    """It makes at least so many on disk."""


FIRST, SECOND, THIRD = (f"weights at {rate}" for rate in (0.1, 0.2, 0.3))
SCENES = {
    "publish": Scene(lambda root: promote_all(root, 0.1, 0.2), train_another, (SECOND, SECOND), FIRST),
    "promote the first": Scene(lambda root: None, lambda root: promote(root, 0.1), (None, FIRST), None, changes=40),
    "promote": Scene(
        lambda root: promote(root, 0.1), lambda root: promote(root, 0.2), (FIRST, SECOND), FIRST, changes=40
    ),
    "roll back": Scene(lambda root: promote_all(root, 0.1, 0.2), roll_back, (SECOND, FIRST), None, repeatable=False),
    "force": Scene(lambda root: promote_all(root, 0.1, 0.2), make_again, (SECOND, SECOND), FIRST),
    "make a damaged one again": Scene(promote_and_damage, make_damaged_again, (SECOND, SECOND), FIRST),
    "upgrade": Scene(promote_as_before, mend, (SECOND, SECOND), FIRST, changes=30),
    "begin anew": Scene(promote_and_remove, mend, (None, None), None, changes=5),
    "prune": Scene(promote_and_litter, clean_up, (THIRD, THIRD), SECOND, changes=30),
}


def weights(root: Path, link: str) -> str | None:
    """What whoever uses a link reads; None where there is none."""
    path = root / "promoted" / link
    return (path / "weights.txt").read_text() if path.is_symlink() else None


def wrong(root: Path) -> Iterator[str]:
    """What may never be, at no moment: a promoted link that leads to nothing whole."""
    for link in sorted(root.glob("promoted/*")):
        if link.is_symlink() and (problem := damage(link)):
            yield f"{link.name} leads to {link.readlink()}: {problem}"


def wrong_after_a_kill(root: Path, scene: Scene) -> Iterator[str]:
    yield from (found := list(wrong(root)))
    if not found:
        yield from wrong_without_a_decision(root, scene)


def wrong_without_a_decision(root: Path, scene: Scene) -> Iterator[str]:
    """Promoted is what was before, or what the record names."""
    held = weights(root, ADAPTER)
    if held not in scene.promoted:
        yield f"promoted is {held!r}"
    elif held != scene.promoted[0]:
        yield from wrong_record(root)


def wrong_record(root: Path) -> Iterator[str]:
    """The link leads to what the last move on record names."""
    recorded, link = Promoted(root).record.promoted(), root / "promoted" / ADAPTER
    linked = Manifest.read(link).content_hash if link.is_symlink() else None
    if (recorded and recorded.content) != linked:
        yield f"the record names {recorded}, the link {linked}"


def wrong_after_the_next_pass(root: Path) -> Iterator[str]:
    """Everything that a link names is whole, the link is where the record has it, and nothing is left half made."""
    yield from (found := list(wrong(root)))
    if not found:
        yield from wrong_record(root)
    for link in sorted(root.glob("current/*")):
        if problem := damage(link):
            yield f"current/{link.name}: {problem}"
    left = [*root.glob("artifacts/*/.*"), *root.glob("promoted/*/.*"), *root.glob("promoted/*.next")]
    yield from (f"{path.relative_to(root)} is left" for path in left)


def wrong_at_the_end(root: Path, scene: Scene) -> Iterator[str]:
    yield from (found := list(wrong_after_the_next_pass(root)))
    if not found:
        ends = weights(root, ADAPTER), weights(root, f"{ADAPTER}.previous")
        if ends != (scene.promoted[1], scene.goes_back_to):
            yield f"promoted is {ends[0]!r}, to go back to {ends[1]!r}"


def copied(base: Path, name: str) -> Path:
    """A copy of a data folder beside it."""
    copy = base.with_name(name)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(base, copy, symlinks=True)
    return copy


def go_on(after_kill: Path, scene: Scene) -> Iterator[str]:
    """Each way to go on after a kill, on a copy of its own."""
    done = not scene.repeatable and weights(after_kill, ADAPTER) == scene.promoted[1]
    again = [] if done else [scene.operate]
    ways = {
        "mended, then again": ([mend, *(again if scene.repeatable else [])], scene.repeatable),
        "pruned, then again": ([clean_up, *again, mend], True),
    }
    for name, (steps, ended) in ways.items():
        root = copied(after_kill, "after")
        try:
            for step in steps:
                step(root)
        except Exception as error:
            yield f"{name}: {error!r}"
            continue
        found = wrong_at_the_end(root, scene) if ended else wrong_after_the_next_pass(root)
        yield from (f"{name}: {each}" for each in found)


def signalled_at_each(scene: Scene, folder: Path, sent: signal.Signals) -> Iterator[tuple[Path, str, Signalled | None]]:
    """The data folder, what happened to it and to whom, for a signal before each change; the last one gets none."""
    base = folder / "base"
    base.mkdir()
    scene.prepare(base)
    for number in itertools.count(1):
        root = copied(base, "signalled")
        signalled = run_until(number, functools.partial(scene.operate, root), sent)
        yield root, f"{number}, {signalled.change}" if signalled else "no signal", signalled
        if signalled is None:
            return


def killed(scene: Scene, folder: Path) -> tuple[list[str], list[str]]:
    """Kill the operation before each of its changes; the changes, and what was wrong."""
    changes, problems = list[str](), list[str]()
    for root, where, signalled in signalled_at_each(scene, folder, signal.SIGKILL):
        problems += [f"{where}: {each}" for each in wrong_after_a_kill(root, scene)]
        if signalled:
            changes.append(signalled.change)
            problems += [f"{where}: {each}" for each in go_on(root, scene)]
        else:
            problems += [f"{where}: {each}" for each in wrong_at_the_end(root, scene)]
    return changes, problems


def pruned(scene: Scene, folder: Path) -> tuple[list[str], list[str]]:
    """Stop the operation before each of its changes, prune, and let it go on; the changes, and what was wrong."""
    changes, problems = list[str](), list[str]()
    for root, where, signalled in signalled_at_each(scene, folder, signal.SIGSTOP):
        if signalled is None:
            continue
        try:
            prune(open_store(root))
            changes.append(f"{signalled.change}, pruning done")
        except MedcotError:
            changes.append(f"{signalled.change}, pruning refused")
        status = signalled.go_on()
        problems += [f"{where}: exit status {status}"] if status else []
        problems += [f"{where}: {each}" for each in wrong_at_the_end(root, scene)]
    return changes, problems


WAYS = {"killed": killed, "pruned": pruned}

if __name__ == "__main__":
    met, found = WAYS[sys.argv[1]](SCENES[sys.argv[2]], Path(sys.argv[3]))
    print(json.dumps({"changes": met, "problems": found}))
