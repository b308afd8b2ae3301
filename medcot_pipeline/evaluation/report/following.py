"""The report's section on instruction following: who prefers which arm, and how far that can be trusted.

Belongs here: putting verdicts of judge and people, agreement, length and pass rates side by side; the section's status.
Does not: the estimates themselves (evaluation/statistics/intervals.py, evaluation/statistics/agreement.py,
evaluation/statistics/length.py), sentences and layout (report*.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from medcot_pipeline.evaluation.answers.rules import compare, paired_checks
from medcot_pipeline.evaluation.people.joined import joint_verdicts, settled
from medcot_pipeline.evaluation.statistics.agreement import agreement, blinding_index
from medcot_pipeline.evaluation.statistics.intervals import net_preference, pass_rate_intervals
from medcot_pipeline.evaluation.statistics.length import length_figures
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.verdicts import Outcome, Verdict
from medcot_pipeline.settings import ReportSettings

SOURCES = ("human", "judge", "joint")
LEAST_KAPPA = 0.4
"""Agreement with a person, Cohen's kappa, below which the judge's verdicts count as not validated."""


def instruction_following(
    prompts: Sequence[Prompt],
    answers: Sequence[Answer],
    judge: Mapping[str, Any],
    human: Mapping[str, Any],
    instructions: Mapping[str, Mapping[str, Any]],
    settings: ReportSettings,
) -> dict[str, Any]:
    """Everything that the report says about instruction following; nothing of it comes from perplexity.

    Args:
        prompts: the frozen prompts.
        answers: of both arms.
        judge: judge.json.
        human: human.json.
        instructions: counts of prompts whose constraints are all kept, `strict` and `loose` (`instruction_rates`).
        settings: resamples and seed of the intervals.

    Returns:
        `status`: `measured` (people, complete), `provisional` (the judge alone, or people not done) or `not measured`;
        `headline`: the source it stands on, `joint` where it covers every verdict of people, else `human`, else
        `judge`; `preference`, `length` and `categories` by source; `judge`, `reviewers`, `between` (agreement of
        reviewers), `unresolved` (disputes), `rates` (pass rates with intervals).
    """
    judged = {each["prompt_id"]: Verdict(**each) for each in judge["verdicts"]}
    joint, unresolved = joint_verdicts(human, judged)
    people = [Verdict(**each) for reviewer in human["reviewers"] for each in reviewer["verdicts"]]
    verdicts = {"human": people, "judge": list(judged.values()), "joint": joint}
    preference = {name: _net(given, settings) for name, given in verdicts.items()}
    reviewers = [_reviewer(reviewer, judged, settings) for reviewer in human["reviewers"]]
    complete = bool(reviewers) and not any(reviewer["missing"] for reviewer in reviewers)
    settled_all = complete and 0 < len(joint) == len(people)  # neither an open dispute, nor a prompt the judge left out
    headline = "joint" if settled_all else next((name for name in ("human", "judge") if preference[name]["n"]), None)
    lengths = {(answer.prompt_id, answer.arm): len(answer.answer) for answer in answers}
    return {
        "status": "not measured" if headline is None else "measured" if complete else "provisional",
        "headline": headline,
        "preference": preference,
        "categories": {name: _by_category(prompts, given, settings) for name, given in verdicts.items() if given},
        "length": {name: length_figures(given, lengths) for name, given in verdicts.items() if given},
        "judge": {**judge, "validated": _validated(reviewers) if judged else None},
        "human": {"status": human["status"], "unsafe": human["unsafe"]},
        "reviewers": reviewers,
        "between": _between(human["reviewers"], settings),
        "unresolved": len(unresolved),
        "rates": pass_rates(prompts, answers, instructions, settings),
    }


def _net(verdicts: Sequence[Verdict], settings: ReportSettings) -> dict[str, Any]:
    return net_preference(verdicts, settings.bootstrap_resamples, settings.seed)


def _by_category(
    prompts: Sequence[Prompt], verdicts: Sequence[Verdict], settings: ReportSettings
) -> list[dict[str, Any]]:
    """Preference within each category of prompts, by name."""
    category = {prompt.id: prompt.category for prompt in prompts}
    names = sorted({category[verdict.prompt_id] for verdict in verdicts})
    return [
        {"category": name, **_net([each for each in verdicts if category[each.prompt_id] == name], settings)}
        for name in names
    ]


def _reviewer(reviewer: Mapping[str, Any], judged: Mapping[str, Verdict], settings: ReportSettings) -> dict[str, Any]:
    """One reviewer: what they gave, how they agree with the judge and with themselves, whether they were blind."""
    look = reviewer["second_look"]
    pairs = [
        (each["outcome"], settled(judged[each["prompt_id"]].outcome))
        for each in reviewer["verdicts"]
        if each["prompt_id"] in judged and judged[each["prompt_id"]].outcome != "invalid"
    ]
    return {
        **{name: reviewer[name] for name in ("reviewer", "qualification", "missing", "minutes", "verdicts")},
        "with_judge": _agreement(pairs, settings),
        "with_self": _agreement([(first, second) for first, second in reviewer["repeated"]], settings),
        "blinding": blinding_index(reviewer["guesses"]),
        "second_look": look and {"prompts": look["items"], "done": len(look["verdicts"])},
    }


def _between(reviewers: Sequence[Mapping[str, Any]], settings: ReportSettings) -> list[dict[str, Any]]:
    """Agreement of every two reviewers."""
    outcomes = [{each["prompt_id"]: each["outcome"] for each in reviewer["verdicts"]} for reviewer in reviewers]
    return [
        {
            "reviewers": [reviewers[one]["reviewer"], reviewers[other]["reviewer"]],
            **_agreement(
                [(outcomes[one][p], outcomes[other][p]) for p in outcomes[one] if p in outcomes[other]], settings
            ),
        }
        for one in range(len(reviewers))
        for other in range(one + 1, len(reviewers))
    ]


def _agreement(pairs: Sequence[tuple[Outcome, Outcome]], settings: ReportSettings) -> dict[str, Any]:
    return agreement(pairs, settings.bootstrap_resamples, settings.seed)


def _validated(reviewers: Sequence[Mapping[str, Any]]) -> bool | None:
    """Whether the judge agrees with every reviewer; None without reviewers. An undefined kappa validates nothing."""
    kappas = [reviewer["with_judge"]["kappa"]["value"] for reviewer in reviewers]
    return all(kappa is not None and kappa >= LEAST_KAPPA for kappa in kappas) if kappas else None


def pass_rates(
    prompts: Sequence[Prompt],
    answers: Sequence[Answer],
    instructions: Mapping[str, Mapping[str, Any]],
    settings: ReportSettings,
) -> dict[str, dict[str, Any]]:
    """Pass rates of both arms with intervals: instructions `strict` and `loose`, and `all_rules`, form included."""
    every = [(all(base.values()), all(tuned.values())) for base, tuned in paired_checks(prompts, answers).values()]
    counted = {**instructions, "all_rules": compare(every)}
    return {name: _rates(counts, settings) for name, counts in counted.items()}


def _rates(counts: Mapping[str, Any], settings: ReportSettings) -> dict[str, Any]:
    names = ("n", "base_pass", "tuned_pass", "base_only", "tuned_only", "mcnemar_p")
    rates = pass_rate_intervals(counts, settings.bootstrap_resamples, settings.seed)
    return {**{name: counts[name] for name in names}, **rates}
