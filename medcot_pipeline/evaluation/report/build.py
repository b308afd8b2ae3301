"""The evaluation report's content as one JSON object.

Belongs here: which figures stand in the report, which definition each claim has, which transcripts are shown.
Does not: measuring (perplexity, answers, judge), intervals and tests (evaluation/statistics/intervals.py), what is said
of instruction following (following.py), sentences (words.py), layout (page.py, templates/).
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from medcot_pipeline.evaluation.answers.rules import MEANINGS, paired_checks, rule_table
from medcot_pipeline.evaluation.perplexity.figures import definition_rows
from medcot_pipeline.evaluation.report.following import instruction_following
from medcot_pipeline.evaluation.report.words import limits, not_measured, summary_zh, warnings
from medcot_pipeline.evaluation.statistics.intervals import SCORES
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import ARMS, Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import ReportSettings

SCHEMA_VERSION = 3
HISTOGRAM_BINS = 20
AI_JUDGE = "AI judge"


def build_report(
    *,
    profile: str,
    perplexity: Mapping[str, Any],
    incumbent: Mapping[str, Any] | None,
    exams: Mapping[str, Any],
    prompts: Sequence[Prompt],
    answers: Sequence[Answer],
    answer_figures: Mapping[str, Any],
    answer_seconds: Mapping[Arm, float],
    judge: Mapping[str, Any],
    judge_paid: Mapping[str, Any],
    human: Mapping[str, Any],
    training: Mapping[str, Any],
    provenance: Mapping[str, Any],
    settings: ReportSettings,
) -> dict[str, Any]:
    """The content of report.json (templates/report.schema.json).

    Perplexity and instruction following are computed apart, from different inputs: neither figure is derived from
    the other.

    Args:
        profile: name of the settings profile of the pass that writes the report.
        perplexity: both arms on held-out rows; `examples` holds per-row NLL sums in nats.
        incumbent: tuned against the promoted adapter (incumbent.py), or None where there is none to compare with.
        exams: exams.json: scores of both arms, or status "not measured".
        prompts: the frozen prompts.
        answers: both arms' answers to them.
        answer_figures: figures over them (evaluation/answers/figures.py).
        answer_seconds: how long each arm took for all of them, seconds.
        judge: judge.json: AI verdicts and gates, or status "not configured".
        judge_paid: `asked` and `cached` calls and `seconds` of the run that judged; empty without a judge.
        human: human.json: blind human verdicts, or status "none yet".
        training: curves, cost and size of the training run; seconds, tokens, parameters.
        provenance: artifacts with hashes, packages, commit, settings, sources, seeds.
        settings: transcripts shown, prices, resamples and seed of the intervals.

    Raises:
        MedcotError: a prompt carries an unknown rule.
    """
    following = instruction_following(prompts, answers, judge, human, answer_figures["instructions"], settings)
    void = perplexity["max_logit_difference"] == 0
    drop = None if void else 1.0 - perplexity["ratio"]["value"]  # of an adapter without effect nothing is claimed
    measured = {**perplexity, "relative_drop": drop, "status": "adapter without effect" if void else "measured"}
    measured["histogram"] = _histogram(perplexity["examples"])
    measured["table"] = definition_rows(perplexity)
    return {
        "schema_version": SCHEMA_VERSION,
        "profile": profile,
        "summary_zh": summary_zh(measured, following),
        "warnings": warnings(measured, following, answer_figures, training),
        "claims": _claims(measured, following),
        "perplexity": measured,
        "instruction_following": following,
        "incumbent": None if incumbent is None else dict(incumbent),
        "answers": {
            name: answer_figures[name] for name in ("backend", "prompts", "prompts_sha256", "strata", "cut", "same")
        },
        "exams": dict(exams),
        "rules": [{**row, "meaning": MEANINGS[row["rule"]]} for row in rule_table(prompts, answers)],
        "safety_queue": answer_figures["safety_queue"],
        "transcripts": _transcripts(prompts, answers, judge, human, settings),
        "training": dict(training),
        "cost": _cost(training, answers, answer_seconds, judge, judge_paid, settings),
        "not_measured": not_measured(measured, exams, following, incumbent),
        "limits": limits(measured, following, answer_figures, training),
        "provenance": dict(provenance),
    }


def _claims(perplexity: Mapping[str, Any], following: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every figure that "so many % better" can mean, each with its definition; none is derived from another."""
    source = following["headline"] or "judge"
    whose = {"human": "people", "judge": "the AI judge", "joint": "people and judge together"}[source]
    preference, rates = following["preference"][source], following["rates"]["strict"]
    length = following["length"].get(source, {"win_rate": None, "controlled": {"value": None}})
    ratio = perplexity["ratio"]
    drop = {"value": 1 - ratio["value"], "low": 1 - ratio["high"], "high": 1 - ratio["low"]}
    if perplexity["relative_drop"] is None:
        drop = {"value": None}
    rows: tuple[tuple[str, str, str, Mapping[str, Any]], ...] = (
        ("relative drop of held-out perplexity", "1 − PPL(tuned) / PPL(base)", "%", drop),
        (f"net preference, {whose}", "(wins − losses) / n", "points", preference["net"]),
        (f"win rate, {whose}", "wins / n", "%", {"value": preference["win_rate"]}),
        (f"win rate with half of the ties, {whose}", "(wins + ties / 2) / n", "%", {"value": length["win_rate"]}),
        (
            "the same with length held equal",
            "σ(intercept) of a logit on tanh(Δ length / sd)",
            "%",
            length["controlled"],
        ),
        ("explicit instructions kept, absolute", "p(tuned) − p(base), strict", "points", rates["absolute"]),
        ("explicit instructions kept, relative", "(p(tuned) − p(base)) / p(base), strict", "%", rates["relative"]),
    )
    return [
        {"claim": claim, "formula": formula, "unit": unit, "low": None, "high": None, **figures}
        for claim, formula, unit, figures in rows
    ]


def _histogram(examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows by change of NLL per token, tuned - base: about `HISTOGRAM_BINS` equal bins, with 0 on an edge."""
    changes = [(row["tuned_nll"] - row["base_nll"]) / row["tokens"] for row in examples if row["tokens"]]
    width = (max([0.0, *changes]) - min([0.0, *changes])) / HISTOGRAM_BINS or 1.0
    numbers = [math.floor(change / width) for change in changes]
    first = min([0, *numbers])
    last = max([first, -1, *numbers])
    return {
        "unit": "nats per token",
        "edges": [number * width for number in range(first, last + 2)],
        "counts": [numbers.count(number) for number in range(first, last + 1)],
    }


def _transcripts(
    prompts: Sequence[Prompt],
    answers: Sequence[Answer],
    judge: Mapping[str, Any],
    human: Mapping[str, Any],
    settings: ReportSettings,
) -> dict[str, Any]:
    """Prompts where tuned did best, worst, and a seeded draw of the rest; no prompt twice.

    Ranked by verdict (people before judge), then by rules passed, tuned - base, then by answer length, tuned - base.
    """
    checks = paired_checks(prompts, answers)
    found = {(answer.prompt_id, answer.arm): answer for answer in answers}
    people = {reviewer["reviewer"]: reviewer["verdicts"] for reviewer in human["reviewers"]}
    sources = {**people, AI_JUDGE: judge["verdicts"]}
    outcomes = {name: {each["prompt_id"]: each for each in given} for name, given in sources.items()}

    def entry(prompt: Prompt) -> dict[str, Any]:
        passed = dict(zip(ARMS, checks[prompt.id], strict=True))
        given = [{"source": name, **each[prompt.id]} for name, each in outcomes.items() if prompt.id in each]
        return {
            "prompt": {**vars(prompt), "constraints": list(prompt.constraints)},
            "arms": {arm: {**vars(found[prompt.id, arm]), "rules": passed[arm]} for arm in ARMS},
            "verdicts": given,
            "rules_difference": sum(passed["tuned"].values()) - sum(passed["base"].values()),
        }

    def rank(shown: Mapping[str, Any]) -> tuple[int, int, int, str]:
        by_people = [each for each in shown["verdicts"] if each["source"] != AI_JUDGE]
        score = sum(SCORES.get(each["outcome"], 0) for each in by_people or shown["verdicts"])
        longer = len(shown["arms"]["tuned"]["answer"]) - len(shown["arms"]["base"]["answer"])
        return score, shown["rules_difference"], longer, shown["prompt"]["id"]

    ranked = sorted((entry(prompt) for prompt in prompts if prompt.id in checks), key=rank, reverse=True)
    each = min(settings.transcripts, max(1, len(ranked) // 3)) if len(ranked) > 1 else len(ranked)
    best, worst, rest = ranked[:each], ranked[each:][-each:][::-1], ranked[each:-each]
    drawn = random.Random(settings.seed).sample(rest, min(settings.transcripts, len(rest)))
    chosen_by = "verdicts, then rules passed" if any(sources.values()) else "rules passed, then length of the answer"
    return {"chosen_by": chosen_by, "answered": len(ranked), "best": best, "worst": worst, "random": drawn}


def _cost(
    training: Mapping[str, Any],
    answers: Sequence[Answer],
    answer_seconds: Mapping[Arm, float],
    judge: Mapping[str, Any],
    judge_paid: Mapping[str, Any],
    settings: ReportSettings,
) -> dict[str, Any]:
    """Tokens, seconds and tokens per second of training and of each arm's answers; what the judge took for all calls.

    The judge's `price` is that of every token in its verdicts, whichever run asked for them; None without prices.
    """
    rows = [("training", training["tokens"], training["seconds"])]
    for arm in ARMS:
        own = [answer for answer in answers if answer.arm == arm]
        rows.append((f"answers, {arm}", sum(answer.tokens or 0 for answer in own), answer_seconds[arm]))
    stages = [{"stage": s, "tokens": t, "seconds": d, "tokens_per_second": t / d if d else None} for s, t, d in rows]
    counts = {name: judge.get(name, {}) for name in ("calls", "errors", "tokens")}
    return {
        "stages": stages,
        "judge": {**counts, "paid": dict(judge_paid), "price": _price(counts["tokens"], settings)},
    }


def _price(tokens: Mapping[str, int], settings: ReportSettings) -> float | None:
    prompt, completion = settings.judge_prompt_price, settings.judge_completion_price
    if not tokens or prompt is None or completion is None:
        return None
    return (tokens["prompt"] * prompt + tokens["completion"] * completion) / 1_000_000
