"""What is there to review: the packs of the current artifacts.

Belongs here: finding them for `medcot review`, telling earlier ones from unknown ones, and what pruning must leave.
Does not belong here: making packs (pack.py), serving them (server.py).
"""

from pathlib import Path

from medcot_pipeline.evaluation.people.review_file import load_review, review_files
from medcot_pipeline.pipeline.place import Place
from medcot_pipeline.records.review import Key, Pack
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json, read_model, write_json

PACKS = {"review_pack": "key.json", "judgements": "key.json", "human_review": "second-look-*/key.json"}
"""Keys of packs by the asset that holds them; in an earlier release the judgements held the first ones."""
REMEMBERED = "packs-shown.json"
"""In the data folder: the packs that there were when artifacts were last pruned."""


def open_packs(place: Place) -> list[tuple[Pack, Key]]:
    """The current pack with its key, and behind it those of second looks at the same pack.

    Raises:
        MedcotError: there is no pack yet, or it is damaged.
    """
    shown = place.current("review_pack")
    if shown is None:
        raise MedcotError("There is nothing to review: review_pack is not materialised.", "Run `medcot sync` first.")
    packs = [_pack_and_key(shown.folder)]
    reviewed = place.current("human_review")
    if reviewed and reviewed.manifest.inputs.get("review_pack") == shown.content_hash:
        packs += [_pack_and_key(folder) for folder in sorted(reviewed.folder.glob("second-look-*"))]
    return packs


def _pack_and_key(folder: Path) -> tuple[Pack, Key]:
    return read_model(folder / "pack.json", Pack), read_model(folder / "key.json", Key)


def packs_shown(place: Place) -> set[str]:
    """Every pack of first and second looks that a published artifact has, current or not, or had before it went."""
    remembered = place.store.root / REMEMBERED
    pruned = read_json(remembered) if remembered.is_file() else []
    return {*pruned, *(pack for packs in _packs(place).values() for pack in packs)}


def remember_packs(place: Place) -> None:
    """Write down which packs were shown, before pruning: reviews of these pages may still arrive."""
    if shown := packs_shown(place):
        write_json(place.store.root / REMEMBERED, sorted(shown))


def reviewed_artifacts(place: Place) -> set[Path]:
    """Folders of the packs and keys without which a saved review could never be joined again.

    Raises:
        MedcotError: a file in the folder is no review, so that nobody knows what it belongs to.
    """
    files = review_files(place.settings, place.store.root)
    reviewed = {load_review(path)["pack"] for path in files}
    return {folder for folder, packs in _packs(place).items() if packs & reviewed}


def _packs(place: Place) -> dict[Path, set[str]]:
    """The packs of every published artifact that has some, by its folder."""
    store, found = place.store, dict[Path, set[str]]()
    for asset, keys in PACKS.items():
        for folder in sorted((store.root / "artifacts" / asset).glob("[!.]*")):
            if store.find(asset, folder.name):
                found[folder] = {read_json(path)["pack"] for path in folder.glob(keys)}
    return found
