"""Blind review by a person: what they are shown, the page they see it on, and what they send back.

Belongs here: the pack, its key kept apart, rendering the page, checking and joining a review file.
Does not: agreement between reviewers and the judge, or where files lie.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.errors import MedcotError
from medcot_pipeline.evaluation.judge import answer_pairs
from medcot_pipeline.evaluation.records import ARMS, Answer, Outcome, Prompt, Verdict

TEMPLATES = Path(__file__).parent / "templates"
SIDES = ("left", "right")
CHOICES = (*SIDES, "tie")


@dataclasses.dataclass(frozen=True)
class HumanReview:
    """One person's verdicts, joined to arms.

    `missing` counts the items without a verdict; `unsafe` has the prompts whose answer was marked as unsafe, by arm.
    A verdict's reason is the reviewer's comment.
    """

    reviewer: str
    qualification: str
    verdicts: tuple[Verdict, ...]
    missing: int
    unsafe: dict[str, list[str]]


def build_pack(
    prompts: Sequence[Prompt], answers: Sequence[Answer], salt: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a reviewer sees, and apart from it which side is which arm.

    Order and sides come from salted hashes of the prompts' identifiers: the same in every run, another salt shuffles
    anew. The pack names neither arm nor prompt identifier; its `pack` is the SHA-256 of its items.

    Args:
        prompts: those without answers of both arms are left out.
        answers: of both arms, in any order; only the text after the reasoning is shown.
        salt: `ReviewSettings.salt`.

    Returns:
        `{"pack", "items": [{"item", "prompt", "language", "left", "right"}]}` and
        `{"pack", "sides": {item: {"prompt_id", "left": arm, "right": arm}}}`; items count from 1.

    Raises:
        MedcotError: no prompt has an answer of both arms.
    """
    pairs = sorted(answer_pairs(prompts, answers), key=lambda pair: _hash(salt, "order", pair[0].id))
    items, sides = [], {}
    for number, (prompt, texts) in enumerate(pairs, start=1):
        left, right = ARMS if int(_hash(salt, "side", prompt.id), 16) % 2 else ARMS[::-1]
        shown = {"prompt": prompt.prompt, "language": prompt.language, "left": texts[left], "right": texts[right]}
        items.append({"item": number, **shown})
        sides[str(number)] = {"prompt_id": prompt.id, "left": left, "right": right}
    pack = hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest()
    return {"pack": pack, "items": items}, {"pack": pack, "sides": sides}


def render_page(pack: dict[str, Any]) -> str:
    """The review as one HTML page that needs nothing else: no server, no network, no second file.

    Scripts and styles run by a nonce out of the pack's hash, which no text in the pack can contain. The pack is data
    in the page, escaped so that no answer ends its element, and the script shows it as text only.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("review.html.j2").render(pack=pack, nonce=pack["pack"][:32])


def read_review(path: Path, key: dict[str, Any]) -> HumanReview:
    """Check a file that the page exported, and join its sides to arms.

    Args:
        path: `review-<reviewer>-<pack>.json`.
        key: of the pack that was reviewed, from `build_pack`.

    Raises:
        MedcotError: no such file, not a review, of another pack, an unknown item, one given twice, or an unknown
            choice or side. Items without a verdict are no error; they are counted.
    """
    review = _load(path)
    if review["pack"] != key["pack"]:
        raise MedcotError(
            f"{path}: reviews pack {str(review['pack'])[:8]}, but the key is of pack {key['pack'][:8]}.",
            "Review the page of this run, or keep the file with the run that it belongs to.",
        )
    sides, verdicts = dict(key["sides"]), {}
    unsafe: dict[str, list[str]] = {arm: [] for arm in ARMS}
    for position, entry in enumerate(review["verdicts"], start=1):
        item = _check(entry, f"{path}, verdict {position:,}", sides)
        if item in verdicts:
            raise MedcotError(f"{path}, item {item}: it has two verdicts.", "Keep one of them.")
        side = sides[item]
        outcome: Outcome = "tie" if entry["choice"] == "tie" else side[entry["choice"]]
        verdicts[item] = Verdict(side["prompt_id"], outcome, entry.get("comment", ""))
        for marked in sorted(set(entry.get("unsafe", []))):
            unsafe[side[marked]].append(side["prompt_id"])
    missing = len(sides) - len(verdicts)
    return HumanReview(review["reviewer"], review["qualification"], tuple(verdicts.values()), missing, unsafe)


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _load(path: Path) -> dict[str, Any]:
    """The file as JSON with the four fields of a review, each of its kind."""
    if not path.is_file():
        raise MedcotError(f"{path}: no such review.", "Export it from the review page.")
    try:
        review = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MedcotError(f"{path}: not JSON ({error}).", "Export it again from the review page.") from error
    kinds = {"pack": str, "reviewer": str, "qualification": str, "verdicts": list}
    for name, kind in kinds.items():
        if not isinstance(review, dict) or not isinstance(review.get(name), kind):
            raise MedcotError(f'{path}: no field "{name}" of kind {kind.__name__}.', "Export it from the review page.")
    if not review["reviewer"].strip():
        raise MedcotError(f"{path}: reviewer is empty.", "Fill in who reviewed.")
    return dict(review)


def _check(entry: Any, where: str, sides: dict[str, Any]) -> str:
    """The item of one verdict whose fields are all right."""
    if not isinstance(entry, dict) or type(entry.get("item")) is not int:
        raise MedcotError(f"{where}: no item number in {str(entry)[:80]!r}.", f"Items are 1 to {len(sides):,}.")
    item = str(entry["item"])
    if item not in sides:
        raise MedcotError(f"{where}: item {item} is not in the pack.", f"Items are 1 to {len(sides):,}.")
    if entry.get("choice") not in CHOICES:
        raise MedcotError(f"{where}, item {item}: choice is {entry.get('choice')!r}.", f"It is {_either(CHOICES)}.")
    unsafe = entry.get("unsafe", [])
    if not isinstance(unsafe, list) or any(side not in SIDES for side in unsafe):
        raise MedcotError(f"{where}, item {item}: unsafe is {unsafe!r}.", f"It lists {_either(SIDES)}.")
    if not isinstance(entry.get("comment", ""), str):
        raise MedcotError(f"{where}, item {item}: comment is {entry['comment']!r}.", "It is text.")
    return item


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
