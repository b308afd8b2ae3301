"""What a reviewer sends back: checked against the key, and joined to arms.

Belongs here: reading, checking, sealing and merging one review.
Does not belong here: what reviewers are shown (pack.py), what all reviews add up to (joined.py).
"""

import dataclasses
import json
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.records.arms import ARMS, Arm
from medcot_pipeline.records.figures import ByArm
from medcot_pipeline.records.review import Guesses, Key, Look, Side
from medcot_pipeline.records.verdicts import Outcome, Verdict
from medcot_pipeline.settings import Settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.folders import files_in

LARGEST_REVIEW = 16 * 2**20
"""Bytes of a verdict file; four times what the review server takes."""
SIDES = ("left", "right")
CHOICES = (*SIDES, "tie")
GUESSES = (*SIDES, "unknown")
SEALED = ("pack", "reviewer", "qualification", "verdicts")
HALVES = re.compile("[\ud800-\udfff]")
"""Half of a character, which no file can keep."""
CONTROLS = re.compile("[\x00-\x1f\x7f\u2028\u2029]")
LONGEST_NAME = 180
"""Bytes of a reviewer's name in a file's; 60 characters of Chinese. A file's whole name has at most 255."""
MOST = 2**53 - 1
"""The largest whole number that the page can count to."""
SAVED_BY_PAGE = "Save it from the review page, and leave it as it is."


@dataclasses.dataclass(frozen=True)
class HumanReview:
    """One person's look at one pack, joined to arms.

    Attributes:
        path: the file.
        reviewer: who; `qualification` as they gave it.
        look: 1, or 2 for disputed prompts seen again.
        verdicts: by prompt, repeats left out; the reason is the reviewer's comment.
        missing: items without a verdict.
        unsafe: prompts whose answer was marked as unsafe, by arm.
        repeated: first and second outcome of the prompts that were shown twice.
        guesses: which side the further trained model wrote.
        seconds: time that the items were in view.
    """

    path: Path
    reviewer: str
    qualification: str
    look: Look
    verdicts: tuple[Verdict, ...]
    missing: int
    unsafe: ByArm[tuple[str, ...]]
    repeated: tuple[tuple[Outcome, Outcome], ...]
    guesses: Guesses
    seconds: float


def review_files(settings: Settings, data: Path) -> list[Path]:
    """Verdict files that people saved, sorted by name.

    Raises:
        MedcotError: one is larger than any review.
    """
    files = [path for path in files_in(data / settings.review.folder) if path.suffix == ".json"]
    for path in files:
        size = path.stat().st_size
        if size > LARGEST_REVIEW:
            raise MedcotError(
                f"{path}: {size:,} bytes, more than any review has ({LARGEST_REVIEW:,}).", "Move it away."
            )
    return files


def load_review(path: Path) -> dict[str, Any]:
    """A file that the page saved, with its fields and its checksum right.

    Raises:
        MedcotError: no such file, not a review, or changed after it was saved.
    """
    if not path.is_file():
        raise MedcotError(f"{path}: no such review.", SAVED_BY_PAGE)
    try:
        review = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise MedcotError(f"{path}: not JSON ({error}).", SAVED_BY_PAGE) from error
    except RecursionError as error:
        raise MedcotError(f"{path}: nested too deeply for a review.", SAVED_BY_PAGE) from error
    _check_fields(review, path)
    return dict(review)


def join_review(review: Any, keys: Sequence[Key], path: Path) -> HumanReview:
    """Check a review against the key of its pack, and join its sides to arms.

    Args:
        review: what the page saved.
        keys: of the packs that can have been reviewed.
        path: where it stands, or is about to stand.

    Raises:
        MedcotError: not a review, changed after it was saved, of another pack or by another reviewer, an unknown item,
            one given twice, or an unknown choice, guess or side. Items without a verdict are no error; they are
            counted.
    """
    _check_fields(review, path)
    key = _key_of(review, keys, path)
    sides, choices, guesses = key.sides, dict[str, str](), Counter[str]()
    unsafe: dict[Arm, list[str]] = {arm: [] for arm in ARMS}
    seconds = 0.0
    for position, entry in enumerate(review["verdicts"], start=1):
        item = _check_entry(entry, f"{path}, verdict {position:,}", sides)
        if item in choices:
            raise MedcotError(f"{path}, item {item}: it has two verdicts.", SAVED_BY_PAGE)
        choices[item] = entry["choice"]
        guess, seconds = entry.get("guess"), seconds + entry.get("ms", 0) / 1000
        if guess:
            found = guess if guess == "unknown" else "right" if sides[item].arm(guess) == "tuned" else "wrong"
            guesses[found] += 1
        for marked in sorted(set(entry.get("unsafe", []))):
            unsafe[sides[item].arm(marked)].append(sides[item].prompt_id)
    comments = {str(entry["item"]): entry.get("comment", "") for entry in review["verdicts"]}
    outcomes = {item: _outcome(sides[item], choice) for item, choice in choices.items()}
    first = {sides[item].prompt_id: item for item in outcomes if not sides[item].repeat}
    again = {sides[item].prompt_id: item for item in outcomes if sides[item].repeat}
    return HumanReview(
        path=path,
        reviewer=review["reviewer"].strip(),
        qualification=review["qualification"].strip(),
        look=key.look,
        verdicts=tuple(Verdict(prompt, outcomes[item], comments[item]) for prompt, item in first.items()),
        missing=len(sides) - len(choices),
        unsafe=ByArm[tuple[str, ...]](**{arm: tuple(sorted(set(prompts))) for arm, prompts in unsafe.items()}),
        repeated=tuple((outcomes[first[prompt]], outcomes[item]) for prompt, item in again.items() if prompt in first),
        guesses=Guesses(**guesses),
        seconds=seconds,
    )


def seal(review: Mapping[str, Any]) -> dict[str, Any]:
    """The review with the checksum that the page gives it: CRC-32 of its JSON, against accidents and edits by hand.

    It is no signature: who wants to forge a review can.
    """
    content = {name: review[name] for name in SEALED}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return {**content, "checksum": f"{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"}


def merge(saved: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """`new` with the verdicts that only `saved` holds, and those that were changed there later; sealed.

    The page writes the time of its last change into each verdict, so that an older state that arrives late, such as
    another tab's, takes nothing back.
    """
    kept: dict[int, Any] = {}
    for entry in [*saved["verdicts"], *new["verdicts"]]:
        before = kept.get(entry["item"])
        if before is None or entry.get("changed", 0) >= before.get("changed", 0):
            kept[entry["item"]] = entry
    return seal({**new, "verdicts": [kept[item] for item in sorted(kept)]})


def contradiction(one: Mapping[str, Any], other: Mapping[str, Any]) -> int | None:
    """The first item on which two reviews of a pack differ in choice or guess; None where they can be merged."""
    said = {entry["item"]: entry for entry in one["verdicts"]}
    for entry in other["verdicts"]:
        before = said.get(entry["item"], entry)
        guesses = {each for each in (before.get("guess"), entry.get("guess")) if each}
        if before["choice"] != entry["choice"] or len(guesses) > 1:
            return int(entry["item"])
    return None


def file_name(review: Mapping[str, Any], session: str) -> str:
    """Where the server saves what a browser sends: `review-<reviewer>-<pack>-<session>.json`."""
    reviewer = re.sub(r"[^\w.-]+", "-", review["reviewer"].strip())[:60]
    reviewer = reviewer.encode()[:LONGEST_NAME].decode(errors="ignore")
    return f"review-{reviewer}-{review['pack'][:8]}-{session}.json"


def _outcome(side: Side, choice: str) -> Outcome:
    return "tie" if choice == "tie" else side.arm(choice)


def _check_fields(review: Any, path: Path) -> None:
    """The fields of a review, each of its kind, and the checksum."""
    kinds = {"pack": str, "reviewer": str, "qualification": str, "verdicts": list, "checksum": str}
    for name, kind in kinds.items():
        if not isinstance(review, dict) or not isinstance(review.get(name), kind):
            raise MedcotError(f'{path}: no field "{name}" of kind {kind.__name__}.', SAVED_BY_PAGE)
    if not review["reviewer"].strip():
        raise MedcotError(f"{path}: reviewer is empty.", "Fill in who reviewed.")
    for name in ("reviewer", "qualification"):
        if CONTROLS.search(review[name]):
            raise MedcotError(f"{path}: {name} is {review[name][:80]!r}.", "It is one line without control characters.")
    for position, entry in enumerate(review["verdicts"], start=1):
        if not _is_flat(entry):
            raise MedcotError(f"{path}, verdict {position:,}: a value in it holds further values.", SAVED_BY_PAGE)
    sealed = seal(review)
    if sealed["checksum"] != review["checksum"]:
        raise MedcotError(f"{path}: changed after it was saved (its checksum does not fit).", SAVED_BY_PAGE)
    if half := HALVES.search(json.dumps(sealed, ensure_ascii=False)):
        raise MedcotError(
            f"{path}: it holds half of a character (U+{ord(half[0]):04X}).",
            "Delete it on the review page, and save again.",
        )


def _is_flat(entry: Any) -> bool:
    """Whether a verdict holds single values, or lists of them: nothing in which a reader could get lost."""
    values = entry.values() if isinstance(entry, dict) else [entry]
    return not any(
        isinstance(each, list | dict) for value in values for each in (value if isinstance(value, list) else [value])
    )


def _key_of(review: Mapping[str, Any], keys: Sequence[Key], path: Path) -> Key:
    """The key of the pack that was reviewed."""
    key = next((key for key in keys if key.pack == review["pack"]), None)
    if key is None:
        packs = ", ".join(key.pack[:8] for key in keys)
        raise MedcotError(
            f"{path}: reviews pack {review['pack'][:8]}, but this run's are {packs}.",
            "Review the page of this run, and move the file to the run that it belongs to.",
        )
    if key.reviewer not in ("", review["reviewer"].strip()):
        raise MedcotError(
            f"{path}: {review['reviewer'].strip()} answered the second look of {key.reviewer}.",
            "Each reviewer takes the second look at their own verdicts.",
        )
    return key


def _check_entry(entry: Any, where: str, sides: Mapping[str, Side]) -> str:
    """The item of one verdict whose fields are all right."""
    if not isinstance(entry, dict) or type(entry.get("item")) is not int:
        raise MedcotError(f"{where}: no item number in {_brief(entry)}.", f"Items are 1 to {len(sides):,}.")
    item = str(entry["item"])
    if item not in sides:
        raise MedcotError(f"{where}: item {item[:20]} is not in the pack.", f"Items are 1 to {len(sides):,}.")
    where = f"{where}, item {item}"
    if entry.get("choice") not in CHOICES:
        raise MedcotError(f"{where}: choice is {_brief(entry.get('choice'))}.", f"It is {_either(CHOICES)}.")
    if entry.get("guess") not in (None, *GUESSES):
        raise MedcotError(f"{where}: guess is {_brief(entry['guess'])}.", f"It is {_either(GUESSES)}.")
    unsafe = entry.get("unsafe", [])
    if not isinstance(unsafe, list) or any(side not in SIDES for side in unsafe):
        raise MedcotError(f"{where}: unsafe is {_brief(unsafe)}.", f"It lists {_either(SIDES)}.")
    if not isinstance(entry.get("comment", ""), str):
        raise MedcotError(f"{where}: comment is {_brief(entry['comment'])}.", "It is text.")
    for name in ("ms", "changed"):
        value = entry.get(name, 0)
        if type(value) is not int or not 0 <= value <= MOST:
            raise MedcotError(f"{where}: {name} is {_brief(value)}.", "It is a number of milliseconds.")
    return item


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
