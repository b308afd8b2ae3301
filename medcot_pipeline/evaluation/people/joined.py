"""All human reviews together: first looks, what they dispute with the judge, second looks, joint verdicts.

Belongs here: which prompts are disputed, who looks again, what people and judge come to together.
Does not: one review's file (review_file.py), pages (pack.py), preference and agreement (evaluation/statistics/).
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.evaluation.people.pack import build_second_look
from medcot_pipeline.evaluation.people.review_file import HumanReview, contradiction, join_review, load_review, merge
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.figures import ByArm
from medcot_pipeline.records.review import HumanReviews, Key, Pack, Reviewer, SecondLook
from medcot_pipeline.records.verdicts import Outcome, Verdict
from medcot_pipeline.support.errors import MedcotError


@dataclasses.dataclass(frozen=True)
class HumanOutcome:
    """The content of human.json, the second looks that are open or done with their keys, and files of earlier packs."""

    record: HumanReviews
    second_looks: list[tuple[Pack, Key]]
    passed_over: list[Path]


def join_reviews(
    files: Sequence[Path], pack: Pack, key: Key, judge: Mapping[str, Verdict], earlier: Collection[str] = ()
) -> HumanOutcome:
    """Check and join every review file; each complete first look that differs from the judge gets a second look.

    Files of one reviewer, such as those of two browsers, or one that was served and exported, are one review.

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
    looks = {
        review.reviewer: build_second_look(pack, key, prompts, review.reviewer)
        for review in first
        if (prompts := disputed(review, judge))
    }
    keys = [key, *(second_key for _, second_key in looks.values())]
    others = set(earlier) - {each.pack for each in keys}
    passed_over = [path for path, review in loaded.items() if review["pack"] in others]
    further = {
        path: review for path, review in loaded.items() if review["pack"] != key.pack and path not in passed_over
    }
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
    return HumanOutcome(record, list(looks.values()), passed_over)


def disputed(review: HumanReview, judge: Mapping[str, Verdict]) -> set[str]:
    """Prompts on which a reviewer and the judge give different verdicts.

    Prompts without a valid verdict of the judge are not disputed, and none is before the first look is complete: its
    pack would change with every further verdict.
    """
    if review.missing:
        return set()
    valid = {prompt: settled(verdict.outcome) for prompt, verdict in judge.items() if verdict.outcome != "invalid"}
    return {
        verdict.prompt_id
        for verdict in review.verdicts
        if valid.get(verdict.prompt_id, verdict.outcome) != verdict.outcome
    }


def joint_verdicts(human: HumanReviews, judge: Mapping[str, Verdict]) -> tuple[list[Verdict], list[tuple[str, str]]]:
    """What people and judge come to: their verdict where they agree, the second look's where they did not.

    Returns:
        Verdicts, one for each reviewer and prompt, and (reviewer, prompt) of those still open. Only prompts with a
        valid verdict of the judge count.
    """
    joint, unresolved = [], []
    for reviewer in human.reviewers:
        look = reviewer.second_look
        second = {verdict.prompt_id: verdict for verdict in (look.verdicts if look else ())}
        for verdict in reviewer.verdicts:
            said = judge.get(verdict.prompt_id)
            if said is None or said.outcome == "invalid":
                continue
            if settled(said.outcome) == verdict.outcome:
                joint.append(verdict)
            elif verdict.prompt_id in second:
                joint.append(second[verdict.prompt_id])
            else:
                unresolved.append((reviewer.reviewer, verdict.prompt_id))
    return joint, unresolved


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
                    f"{path}: {reviewer} judged item {item} otherwise in {other.name}.",
                    "Keep one of the two files in the folder; two people need two names.",
                )
            review = merge(before, review)
        found[reviewer] = path, review
    return [join_review(review, keys, path) for path, review in found.values()]
