"""What must hold of review pages and reviews before they are published.

Belongs here: one function per check, over the files of the artifact and of its inputs; blocking where the next stage
would be wrong.
Does not belong here: repairing anything.
"""

from pathlib import Path

from medcot_pipeline.pipeline.check import Check, Inputs
from medcot_pipeline.support.json_files import read_json

BLIND_FIELDS = ("item", "prompt", "language", "left", "right", "guess")
"""What an item of a review page may hold."""


def review_page_is_blind(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The page does not say which side is which arm, and fetches nothing."""
    return _is_blind(folder)


def second_looks_are_blind(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The same of every page for a second look."""
    pages = [_is_blind(path.parent) for path in folder.glob("second-look-*/review.html")]
    return all(blind for blind, _ in pages), f"{len(pages):,} pages."


def _is_blind(folder: Path) -> tuple[bool, str]:
    """Whether a review page and its pack give away neither arm nor verdict, and the page fetches nothing."""
    page = (folder / "review.html").read_text(encoding="utf-8")
    pack = read_json(folder / "pack.json")
    fields = {name for item in pack["items"] for name in item} | set(pack)
    told = sorted(fields - {"pack", "look", "reviewer", "items", *BLIND_FIELDS})
    fetched = [mark for mark in ('src="http', 'href="http', "connect-src") if mark in page]
    said = f"It contains {', '.join(told + fetched)}." if told or fetched else "It reveals nothing about the arms."
    return not told and not fetched, said


def reviews_are_complete(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Every reviewer gave every verdict, second looks included, or there is no review yet."""
    reviewers = read_json(folder / "human.json")["reviewers"]
    missing = sum(each["missing"] for each in reviewers)
    looks = [each["second_look"] for each in reviewers if each["second_look"]]
    again = sum(look["items"] - len(look["verdicts"]) for look in looks)
    given = sum(len(each["verdicts"]) for each in reviewers)
    said = f"{len(reviewers):,} reviewers, {given:,} verdicts; {missing:,} missing, {again:,} second looks open."
    return not missing and not again, said if reviewers else "No review yet: open it with `medcot review`."


HUMAN_REVIEW = (
    Check("reviews_are_complete", "Is every verdict given?", reviews_are_complete, blocking=False),
    Check("second_looks_are_blind", "Do second looks hide all verdicts?", second_looks_are_blind),
)
REVIEW_PACK = (Check("review_page_is_blind", "Is the review page blind?", review_page_is_blind),)
