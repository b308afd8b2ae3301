"""All human reviews together: first looks, what they dispute with the judge, second looks.

Belongs here: which prompts are disputed, who looks again, both looks side by side.
Does not belong here: one review's file (review_file.py), pages (pack.py), preference and agreement
(evaluation/statistics/).
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.evaluation.people.pack import build_second_look
from medcot_pipeline.evaluation.people.review_file import HumanReview, contradiction, join_review, load_review, merge
from medcot_pipeline.evaluation.statistics.adjudicated import TwoLooks
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.figures import ByArm
from medcot_pipeline.records.review import HumanReviews, Key, Pack, Reviewer, SecondLook
from medcot_pipeline.records.verdicts import Outcome, Verdict
from medcot_pipeline.support.errors import MedcotError


@dataclasses.dataclass(frozen=True)
class HumanOutcome:
    """The content of human.json, the second looks that are open or done with their keys, and files that do not count.

    `passed_over` are files of packs of earlier answers or disputes; `without_agreements` are second looks of an earlier
    release, which showed disputes alone and would draw the adjudicated preference to the judge's side.
    """

    record: HumanReviews
    second_looks: list[tuple[Pack, Key]]
    passed_over: list[Path]
    without_agreements: list[Path]


def join_reviews(
    files: Sequence[Path], pack: Pack, key: Key, judge: Mapping[str, Verdict], earlier: Collection[str] = ()
) -> HumanOutcome:
    """Check and join every review file; each complete first look that differs from the judge gets a second look.

    Several files of one reviewer (two browsers, or one served and one exported) are one review.

    Args:
        files: of first and second looks, in any order.
        pack: what was shown at first.
        key: its key.
        judge: the AI judge's verdict by prompt, empty where there is no judge.
        earlier: packs that were shown of earlier answers; their reviews say nothing of these, and are passed over.

    Raises:
        MedcotError: a file is not what the page saved for one of the packs, or two of the same reviewer contradict
            each other.
    """
    loaded = {path: load_review(path) for path in files}
    first = _one_each({path: review for path, review in loaded.items() if review["pack"] == key.pack}, [key])
    looks, former = dict[str, tuple[Pack, Key]](), set[str]()
    for review in first:
        differing, same = disputed_and_agreed(review, judge)
        if differing:
            looks[review.reviewer] = build_second_look(pack, key, differing, same, review.reviewer)
            former.add(build_second_look(pack, key, differing, (), review.reviewer)[0].pack)
    keys = [key, *(second_key for _, second_key in looks.values())]
    former -= {each.pack for each in keys}
    others = set(earlier) - former - {each.pack for each in keys}
    without_agreements = [path for path, review in loaded.items() if review["pack"] in former]
    passed_over = [path for path, review in loaded.items() if review["pack"] in others]
    aside = {*passed_over, *without_agreements}
    further = {path: review for path, review in loaded.items() if review["pack"] != key.pack and path not in aside}
    second = _one_each(further, keys)
    again = {review.reviewer: review for review in second}
    reviewers = []
    for review in first:
        look = looks.get(review.reviewer)
        reviewers.append(_record(review, _second(look[0], again.get(review.reviewer)) if look else None))
    base, tuned = ({prompt for review in first for prompt in review.unsafe.of(arm)} for arm in ARMS)
    record = HumanReviews(
        status="reviewed" if first else "none yet",
        reviewers=tuple(reviewers),
        unsafe=ByArm[tuple[str, ...]](base=tuple(sorted(base)), tuned=tuple(sorted(tuned))),
    )
    return HumanOutcome(record, list(looks.values()), passed_over, without_agreements)


def disputed_and_agreed(review: HumanReview | Reviewer, judge: Mapping[str, Verdict]) -> tuple[set[str], set[str]]:
    """Prompts on which a reviewer and the judge give different verdicts, and those on which they give one.

    Prompts without a valid verdict of the judge are neither, and none is either before the first look is complete: its
    second look's pack would change with every further verdict.
    """
    if review.missing:
        return set(), set()
    valid = {prompt: settled(verdict.outcome) for prompt, verdict in judge.items() if verdict.outcome != "invalid"}
    said = {each.prompt_id: each.outcome for each in review.verdicts if each.prompt_id in valid}
    agreed = {prompt for prompt, outcome in said.items() if valid[prompt] == outcome}
    return said.keys() - agreed, agreed


def two_looks(human: HumanReviews, judge: Mapping[str, Verdict]) -> tuple[list[TwoLooks], int]:
    """Both looks of every reviewer who is done with them, beside the judge's valid verdicts.

    Returns:
        One for each reviewer whose first look is complete and whose second look is, or is not needed; and how many
        items of second looks are still open.
    """
    done, still_open = [], 0
    for reviewer in human.reviewers:
        differing, same = disputed_and_agreed(reviewer, judge)
        look = reviewer.second_look
        given = look.verdicts if look and differing else ()
        if differing and (look is None or len(given) < look.items):
            still_open += look.items - len(given) if look else len(differing)
        elif differing or same:
            first = {each.prompt_id: each.outcome for each in reviewer.verdicts if each.prompt_id in differing | same}
            second = {each.prompt_id: each.outcome for each in given}
            done.append(TwoLooks(first, second, frozenset(differing)))
    return done, still_open


def settled(outcome: Outcome) -> Outcome:
    """The outcome in the classes that people have: inconsistent between orders is no preference."""
    return "tie" if outcome == "inconsistent" else outcome


def _record(review: HumanReview, second_look: SecondLook | None) -> Reviewer:
    return Reviewer(
        reviewer=review.reviewer,
        qualification=review.qualification,
        verdicts=review.verdicts,
        missing=review.missing,
        repeated=review.repeated,
        guesses=review.guesses,
        minutes=round(review.seconds / 60, 1),
        second_look=second_look,
    )


def _second(pack: Pack, review: HumanReview | None) -> SecondLook:
    return SecondLook(pack=pack.pack, items=len(pack.items), verdicts=review.verdicts if review else ())


def _one_each(reviews: Mapping[Path, dict[str, Any]], keys: Sequence[Key]) -> list[HumanReview]:
    """One review for each reviewer, so that nobody is counted twice."""
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path, review in reviews.items():
        reviewer = join_review(review, keys, path).reviewer
        if reviewer in found:
            other, before = found[reviewer]
            item = contradiction(before, review)
            if item is not None:
                raise MedcotError(
                    f"{path}: {reviewer} judged item {item} differently in {other.name}.",
                    "Keep one of the two files in the folder; two people need two names.",
                )
            review = merge(before, review)
        found[reviewer] = path, review
    return [join_review(review, keys, path) for path, review in found.values()]
