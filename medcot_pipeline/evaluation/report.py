"""The evaluation report: its content as one JSON object, and the page rendered from that object alone.

Belongs here: which figures stand in the report, which status each claim has, which transcripts are shown, the
sentences that say what was not measured and what the figures cannot carry.
Does not: measuring (perplexity, answers, judge), intervals and tests (statistics.py), layout (templates/).
"""

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medcot_pipeline.evaluation.perplexity_figures import definition_rows
from medcot_pipeline.evaluation.records import ARMS, Answer, Arm, Prompt, Verdict
from medcot_pipeline.evaluation.rules import MEANINGS, compare, paired_checks, rule_table
from medcot_pipeline.evaluation.statistics import SCORES, net_preference, pass_rate_uplift
from medcot_pipeline.settings.models import ReportSettings

SCHEMA_VERSION = 1
SMALL_MODEL = 1_000_000_000
"""Parameters below which the report says what a model of this size cannot show."""
ADVISED_ROWS = 500
HISTOGRAM_BINS = 20
NO_JUDGE: Mapping[str, Any] = {
    "model": "",
    "verdicts": [],
    "flip_rate": None,
    "first_position_share": None,
    "invalid_rate": None,
    "calls": {},
    "tokens": {},
}
NO_HUMAN: Mapping[str, Any] = {"reviewers": [], "verdicts": [], "missing": 0}
TEMPLATES = Path(__file__).parent / "templates"


def build_report(
    *,
    profile: str,
    perplexity: Mapping[str, Any],
    prompts: Sequence[Prompt],
    answers: Sequence[Answer],
    answer_seconds: Mapping[Arm, float],
    judge: Mapping[str, Any],
    human: Mapping[str, Any],
    training: Mapping[str, Any],
    provenance: Mapping[str, Any],
    settings: ReportSettings,
) -> dict[str, Any]:
    """The content of report.json (templates/report.schema.json).

    Perplexity and instruction following are computed apart, from different inputs: neither figure is derived from
    the other.

    Args:
        profile: name of the settings profile.
        perplexity: both arms on held-out rows; `examples` holds per-row NLL sums in nats.
        prompts: the frozen prompts.
        answers: both arms' answers to them.
        answer_seconds: how long each arm took for all of them, seconds.
        judge: AI verdicts, or status "not configured".
        human: blind human verdicts, or status "none yet".
        training: curves, cost and size of the training run; seconds, tokens, parameters.
        provenance: artifacts with hashes, packages, commit, settings, sources, seeds.
        settings: transcripts shown, resamples and seed of the intervals.

    Raises:
        MedcotError: a prompt carries an unknown rule.
    """
    judge, human = {**NO_JUDGE, **judge}, {**NO_HUMAN, **human}
    verdicts = {"judge": _verdicts(judge), "human": _verdicts(human)}
    following = _instruction_following(prompts, answers, judge, human, verdicts, settings)
    measured = {**perplexity, "relative_drop": 1.0 - perplexity["ratio"]["value"], "status": "measured"}
    measured["histogram"] = _histogram(perplexity["examples"])
    measured["table"] = definition_rows(perplexity)
    return {
        "schema_version": SCHEMA_VERSION,
        "profile": profile,
        "summary_zh": _summary_zh(measured, following),
        "warnings": _warnings(measured, training),
        "perplexity": measured,
        "instruction_following": following,
        "rules": [{**row, "meaning": MEANINGS[row["rule"]]} for row in rule_table(prompts, answers)],
        "transcripts": _transcripts(prompts, answers, verdicts, settings),
        "training": dict(training),
        "cost": _cost(training, answers, answer_seconds, judge),
        "not_measured": _not_measured(following, judge, human),
        "limits": _limits(measured, following, training),
        "provenance": dict(provenance),
    }


def render_report(report: Mapping[str, Any]) -> str:
    """The report as one HTML page that loads nothing: no script, no link to fetch; model output is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    environment.filters.update(number=_number, percent=_percent, points=_points, p_value=_p_value, size=_size)
    return environment.get_template("report.html.j2").render(report=report, arms=ARMS).strip() + "\n"


def _verdicts(source: Mapping[str, Any]) -> list[Verdict]:
    return [Verdict(**verdict) for verdict in source["verdicts"]]


def _instruction_following(
    prompts: Sequence[Prompt],
    answers: Sequence[Answer],
    judge: Mapping[str, Any],
    human: Mapping[str, Any],
    verdicts: Mapping[str, Sequence[Verdict]],
    settings: ReportSettings,
) -> dict[str, Any]:
    """Preference by source, and the pass rate over all rules; the headline is the human's where there is one."""
    preference = {
        name: net_preference(given, settings.bootstrap_resamples, settings.seed) for name, given in verdicts.items()
    }
    headline = next((name for name in ("human", "judge") if preference[name]["n"]), None)
    complete = headline == "human" and not human["missing"]
    passes = compare([(all(a.values()), all(b.values())) for a, b in paired_checks(prompts, answers).values()])
    return {
        "status": "measured" if complete else "provisional" if headline else "not measured",
        "headline": headline,
        "judge": {**judge, "preference": preference["judge"]},
        "human": {**human, "preference": preference["human"]},
        "all_rules": {**passes, **pass_rate_uplift(passes["base_pass"], passes["tuned_pass"], passes["n"])},
    }


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
    verdicts: Mapping[str, Sequence[Verdict]],
    settings: ReportSettings,
) -> dict[str, Any]:
    """Prompts where tuned did best, worst, and a seeded draw of the rest; no prompt twice.

    Ranked by verdict (human before judge), then by rules passed, tuned - base, then by answer length, tuned - base.
    """
    checks = paired_checks(prompts, answers)
    found = {(answer.prompt_id, answer.arm): answer for answer in answers}
    outcomes = {name: {v.prompt_id: v for v in given} for name, given in verdicts.items()}

    def entry(prompt: Prompt) -> dict[str, Any]:
        both = {arm: found[prompt.id, arm] for arm in ARMS}
        passed = dict(zip(ARMS, checks[prompt.id], strict=True))
        given = {name: outcomes[name].get(prompt.id) for name in ("judge", "human")}
        return {
            "prompt": {**vars(prompt), "constraints": list(prompt.constraints)},
            "arms": {arm: {**vars(both[arm]), "rules": passed[arm]} for arm in ARMS},
            "verdicts": {name: {"outcome": v.outcome, "reason": v.reason} for name, v in given.items() if v},
            "rules_difference": sum(passed["tuned"].values()) - sum(passed["base"].values()),
        }

    def rank(shown: Mapping[str, Any]) -> tuple[int, int, int, str]:
        given = shown["verdicts"].get("human") or shown["verdicts"].get("judge") or {"outcome": "tie"}
        lengths = {arm: len(shown["arms"][arm]["answer"]) for arm in ARMS}
        longer = lengths["tuned"] - lengths["base"]
        return SCORES.get(given["outcome"], 0), shown["rules_difference"], longer, shown["prompt"]["id"]

    ranked = sorted((entry(prompt) for prompt in prompts if prompt.id in checks), key=rank, reverse=True)
    each = min(settings.transcripts, max(1, len(ranked) // 3)) if len(ranked) > 1 else len(ranked)
    best, worst, rest = ranked[:each], ranked[each:][-each:][::-1], ranked[each:-each]
    drawn = random.Random(settings.seed).sample(rest, min(settings.transcripts, len(rest)))
    chosen_by = "verdicts, then rules passed" if any(verdicts.values()) else "rules passed, then length of the answer"
    return {"chosen_by": chosen_by, "answered": len(ranked), "best": best, "worst": worst, "random": drawn}


def _cost(
    training: Mapping[str, Any],
    answers: Sequence[Answer],
    answer_seconds: Mapping[Arm, float],
    judge: Mapping[str, Any],
) -> dict[str, Any]:
    """Tokens, seconds and tokens per second of training and of each arm's answers; the judge's calls and tokens."""
    rows = [("training", training["tokens"], training["seconds"])]
    for arm in ARMS:
        own = [answer for answer in answers if answer.arm == arm]
        rows.append((f"answers, {arm}", sum(answer.tokens for answer in own), answer_seconds[arm]))
    stages = [{"stage": s, "tokens": t, "seconds": d, "tokens_per_second": t / d if d else None} for s, t, d in rows]
    return {"stages": stages, "judge_calls": judge["calls"], "judge_tokens": judge["tokens"]}


def _summary_zh(perplexity: Mapping[str, Any], following: Mapping[str, Any]) -> str:
    """The verdict in one Chinese line."""
    base, tuned = (_number(perplexity[arm]["value"]) for arm in ARMS)
    drop = perplexity["relative_drop"]
    change = f"{'下降' if drop >= 0 else '上升'} {100 * abs(drop):.1f}%"
    if following["headline"] is None:
        return f"留出集困惑度 {base} → {tuned}（{change}）；指令遵循：未测量。"
    judge = {"human": "人工盲评", "judge": "AI 评审"}[following["headline"]]
    net = following[following["headline"]]["preference"]["net"]
    interval = f"{_points(net['value'])} 个百分点，95% 区间 {_points(net['low'])} 至 {_points(net['high'])}"
    provisional = "，暂定" if following["status"] == "provisional" else ""
    return f"留出集困惑度 {base} → {tuned}（{change}）；指令遵循净偏好 {interval}（{judge}{provisional}）。"


def _warnings(perplexity: Mapping[str, Any], training: Mapping[str, Any]) -> list[str]:
    """What makes the figures below void or nearly so."""
    found = []
    if perplexity["max_logit_difference"] == 0:
        found.append(
            "The adapter changes nothing: the largest difference between the arms' logits is 0. "
            "Base and tuned are the same model, and any difference below is sampling."
        )
    if "tiny_random" in training["model"]:
        found.append(
            "The base model's weights are random: the text that either arm writes is meaningless. "
            "Only the chain itself and the direction of perplexity can be read from this run."
        )
    return found


def _not_measured(following: Mapping[str, Any], judge: Mapping[str, Any], human: Mapping[str, Any]) -> list[str]:
    """Gaps, each with what would fill it."""
    gaps = []
    if not following["human"]["preference"]["n"]:
        gaps.append("Human preference: no blind review was imported. The page is review.html of the asset judgements.")
    elif human["missing"]:
        gaps.append(f"Human preference on {human['missing']:,} prompts: the review is not complete.")
    if not following["judge"]["preference"]["n"]:
        missing = "no judge is configured" if judge["status"] == "not configured" else "no valid verdict came back"
        gaps.append(f"AI preference: {missing}. Set MEDCOT_JUDGE__BASE_URL and MEDCOT_JUDGE__MODEL.")
    gaps.append("Medical correctness: no answer was checked by a clinician or against a reference.")
    gaps.append("Safety: missed emergencies, unsafe doses and needless refusals were not counted.")
    gaps.append("Public examinations (CMB, CMExam, MedQA) and general ability lost by tuning were not run.")
    return gaps


def _limits(perplexity: Mapping[str, Any], following: Mapping[str, Any], training: Mapping[str, Any]) -> list[str]:
    """What the figures cannot carry, for this model and this amount of evidence."""
    limits = ["Research software. Not for clinical use: no text in this report is medical advice."]
    if training["parameters"] < SMALL_MODEL:
        limits.append(
            f"A model of {_size(training['parameters'])} parameters can show that the chain works, that perplexity on "
            "held-out rows falls and that the format is learnt. It cannot show medical correctness, nor instruction "
            "following at a useful quality."
        )
    limits.append(
        "Lower perplexity means that the held-out rows are less surprising. It does not mean that answers are right, "
        "and it says nothing about instruction following."
    )
    limits.append("One training run with one seed: intervals cover the choice of rows or prompts, not another run.")
    if perplexity["rows"] < ADVISED_ROWS:
        limits.append(f"Perplexity rests on {perplexity['rows']:,} rows; {ADVISED_ROWS} or more are advised.")
    if perplexity["left_out"]:
        limits.append(f"{perplexity['left_out']:,} held-out rows were longer than the limit and left out, never cut.")
    if following["all_rules"]["n"]:
        limits.append("The p-values of the rules are not corrected for the number of rules.")
    if following["headline"] == "judge":
        limits.append("The AI judge's verdicts are not validated by a human: it may favour length, order or a family.")
    return limits


def _number(value: float | None) -> str:
    """Three significant digits, whole numbers and thousands in full; a dash for None."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.3g}".replace("-", "−")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %".replace("-", "−")


def _points(share: float | None) -> str:
    """A signed difference in percentage points."""
    return "–" if share is None else f"{100 * share:+.0f}".replace("-", "−")


def _p_value(p: float | None) -> str:
    return "–" if p is None else f"{p:.3f}" if p >= 0.001 else f"{p:.0e}".replace("-", "−")


def _size(parameters: float) -> str:
    """A count in thousands, millions or billions."""
    scale, unit = next(((s, u) for s, u in ((1e9, "B"), (1e6, "M"), (1e3, "k")) if parameters >= s), (1, ""))
    return f"{parameters / scale:.3g} {unit}".strip()
