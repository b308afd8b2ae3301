"""What is there to review: the packs of the current artifacts.

Belongs here: finding them for `medcot review`, and telling earlier ones from unknown ones.
Does not: making packs (evaluation/review.py), serving them (evaluation/review_server.py).
"""

from medcot_pipeline.errors import MedcotError
from medcot_pipeline.evaluation.review import Key, Pack
from medcot_pipeline.json_files import read_json
from medcot_pipeline.stages import Workspace


def open_packs(workspace: Workspace) -> list[tuple[Pack, Key]]:
    """The pack of the current judgements with its key, and behind it those of second looks at the same pack.

    Raises:
        MedcotError: there are no judgements yet, or they are damaged.
    """
    judged = workspace.store.current("judgements")
    if judged is None:
        raise MedcotError("There is nothing to review: judgements is not materialised.", "Run `medcot sync` first.")
    current = workspace.store.root / "current"
    packs = [(read_json(current / "judgements" / "pack.json"), read_json(current / "judgements" / "key.json"))]
    reviewed = workspace.store.current("human_review")
    if reviewed and reviewed.inputs["judgements"] == judged.content_hash:
        for folder in sorted((current / "human_review").glob("second-look-*")):
            packs.append((read_json(folder / "pack.json"), read_json(folder / "key.json")))
    return packs


def packs_shown(workspace: Workspace) -> set[str]:
    """Every pack of first and second looks that a published artifact has, whether it is still current or not."""
    artifacts = workspace.store.root / "artifacts"
    keys = [*artifacts.glob("judgements/*/key.json"), *artifacts.glob("human_review/*/second-look-*/key.json")]
    return {read_json(path)["pack"] for path in keys}
