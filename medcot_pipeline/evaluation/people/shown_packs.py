"""What is there to review: the packs of the current artifacts.

Belongs here: finding them for `medcot review`, telling earlier ones from unknown ones, and what pruning must leave.
Does not: making packs (evaluation/people/pack.py), serving them (evaluation/people/server.py).
"""

from pathlib import Path

from medcot_pipeline.evaluation.people.review_file import load_review
from medcot_pipeline.records.review import Key, Pack
from medcot_pipeline.stages import Workspace, review_files
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json, read_model, replace_json

REMEMBERED = "packs-shown.json"
"""In the data folder: the packs that there were when artifacts were last pruned."""


def open_packs(workspace: Workspace) -> list[tuple[Pack, Key]]:
    """The pack of the current judgements with its key, and behind it those of second looks at the same pack.

    Raises:
        MedcotError: there are no judgements yet, or they are damaged.
    """
    judged = workspace.store.current("judgements")
    if judged is None:
        raise MedcotError("There is nothing to review: judgements is not materialised.", "Run `medcot sync` first.")
    current = workspace.store.root / "current"
    packs = [_pack_and_key(current / "judgements")]
    reviewed = workspace.store.current("human_review")
    if reviewed and reviewed.inputs["judgements"] == judged.content_hash:
        for folder in sorted((current / "human_review").glob("second-look-*")):
            packs.append(_pack_and_key(folder))
    return packs


def _pack_and_key(folder: Path) -> tuple[Pack, Key]:
    return read_model(folder / "pack.json", Pack), read_model(folder / "key.json", Key)


def packs_shown(workspace: Workspace) -> set[str]:
    """Every pack of first and second looks that a published artifact has, current or not, or had before it went."""
    remembered = workspace.store.root / REMEMBERED
    pruned = read_json(remembered) if remembered.is_file() else []
    return {*pruned, *(pack for packs in _packs(workspace).values() for pack in packs)}


def remember_packs(workspace: Workspace) -> None:
    """Write down which packs were shown, before pruning: pages that were given out come back as reviews later."""
    if shown := packs_shown(workspace):
        replace_json(workspace.store.root / REMEMBERED, sorted(shown))


def reviewed_artifacts(workspace: Workspace) -> set[Path]:
    """Folders of the packs and keys without which a saved review could never be joined again.

    Raises:
        MedcotError: a file in the folder is no review, so that nobody knows what it belongs to.
    """
    files = review_files(workspace.settings, workspace.store.root)
    reviewed = {load_review(path)["pack"] for path in files}
    return {folder for folder, packs in _packs(workspace).items() if packs & reviewed}


def _packs(workspace: Workspace) -> dict[Path, set[str]]:
    """The packs of every published artifact that has some, by its folder."""
    store, found = workspace.store, dict[Path, set[str]]()
    for asset, keys in (("judgements", "key.json"), ("human_review", "second-look-*/key.json")):
        for folder in sorted((store.root / "artifacts" / asset).glob("[!.]*")):
            if store.find(asset, folder.name):
                found[folder] = {read_json(path)["pack"] for path in folder.glob(keys)}
    return found
