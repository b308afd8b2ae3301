"""What must hold of each stage's output before it is published.

Belongs here: one function per check, over the files of the artifact and of its inputs; blocking where the next stage
would be wrong.
Does not: repairing anything, or Dagster (the specs are made from this table in orchestration/publication.py).
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from medcot_pipeline.artifacts import CheckOutcome
from medcot_pipeline.corpus.normalize.text import normalize_text
from medcot_pipeline.corpus.sources.forms import WHAT_IS_READ
from medcot_pipeline.corpus.sources.source import Reject
from medcot_pipeline.corpus.splits.assign import ENOUGH_GROUPS, SPLITS, leaks
from medcot_pipeline.datasets.data_card import SUMMARY
from medcot_pipeline.datasets.sft import DATASET_NAME, format_problems
from medcot_pipeline.evaluation.answers.prompts import prompts_in_training
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import DedupSettings
from medcot_pipeline.settings.models import NoiseActions
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.support.table_files import read_jsonl, read_parquet

BLIND_FIELDS = ("item", "prompt", "language", "left", "right", "guess")
"""What an item of a review page may hold."""
Inputs = Mapping[str, Path]
Test = Callable[[Path, Inputs], tuple[bool, str]]


@dataclasses.dataclass(frozen=True)
class Check:
    """A named question about an artifact; the test answers with a verdict and one sentence."""

    name: str
    question: str
    test: Test
    blocking: bool = True


def run_checks(asset: str, inputs: Inputs) -> Callable[[Path], Sequence[CheckOutcome]]:
    """The checks of an asset as the store calls them: on the folder, before publication."""

    def run(folder: Path) -> list[CheckOutcome]:
        outcomes = []
        for check in CHECKS[asset]:
            passed, description = check.test(folder, inputs)
            outcomes.append(CheckOutcome(check.name, passed, check.blocking, description))
        return outcomes

    return run


def _rows(folder: Path) -> pl.DataFrame:
    return read_parquet(folder / "rows.parquet")


def raw_rows_present(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """At least one row; where there is none, the commonest reason is named."""
    count = _rows(folder).height
    reasons = Counter(reject.reason for reject in read_jsonl(folder / "rejects.jsonl", Reject))
    why = [f" {number:,} cannot be used: {reason}." for reason, number in reasons.most_common(1)]
    return count > 0, f"{count:,} rows." + ("" if count else "".join(why))


def normalized_rows_present(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """At least one row; where there is none, the rule that dropped most is named with its setting."""
    count = _rows(folder).height
    reasons = Counter(read_parquet(folder / "removed.parquet")["reason"].to_list())
    return count > 0, f"{count:,} rows." + ("" if count else _most_dropped_by(reasons))


def _most_dropped_by(dropped: Mapping[str, int]) -> str:
    """A sentence on the noise rule that dropped most rows, and on the setting behind it; empty where none did."""
    if not any(dropped.values()):
        return ""
    rule = max(dropped, key=lambda name: dropped[name])
    what = NoiseActions.model_fields[rule].description
    least = " or the least lengths in MEDCOT_NORMALIZE__MIN_..._CHARS" if rule == "too_short" else ""
    return (
        f" Most rows, {dropped[rule]:,} of {sum(dropped.values()):,}, were dropped by {rule} ({what}): see "
        f"MEDCOT_NORMALIZE__ACTIONS__{rule.upper()}{least}."
    )


def few_rejects(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The share of unusable rows of every file is at most the setting, and no file has unusable rows alone."""
    source = read_json(folder / "source.json")
    rejects = read_jsonl(folder / "rejects.jsonl", Reject)
    for file in source["files"]:
        read = file["rows"] + file["rejects"]
        if file["rejects"] > source["max_reject_rate"] * read or not file["rows"]:
            first = next(reject for reject in rejects if reject.where.startswith(f"{file['name']}, "))
            said = f"{first.where}: {first.reason}. {file['rejects']:,} of {read:,} rows cannot be used"
            if not file["rows"]:
                return False, f"{said}. {WHAT_IS_READ}"
            return False, (
                f"{said} ({file['rejects'] / read:.1%}, at most {source['max_reject_rate']:.1%} by "
                "MEDCOT_SOURCE__MAX_REJECT_RATE)."
            )
    return True, f"{len(rejects):,} of {source['rows_read']:,} rows cannot be used."


def unique_row_ids(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """No row id stands twice."""
    rows = _rows(folder)
    twice = rows.height - rows["row_id"].n_unique()
    return twice == 0, f"{twice:,} repeated row ids."


def _partition(upstream: str) -> Test:
    def every_row_kept_or_removed(folder: Path, inputs: Inputs) -> tuple[bool, str]:
        before = _rows(inputs[upstream])["row_id"].sort()
        kept, removed = _rows(folder)["row_id"], read_parquet(folder / "removed.parquet")["row_id"]
        whole = pl.concat([kept, removed]).sort().equals(before)
        return whole, f"{before.len():,} rows came in; {kept.len():,} stay and {removed.len():,} were removed."

    return every_row_kept_or_removed


def normalisation_is_stable(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Normalising the text again changes nothing."""
    rows = _rows(folder)
    changed = [
        row_id
        for row_id, *texts in rows.select("row_id", "question", "reasoning", "answer").iter_rows()
        if any(normalize_text(text) != text for text in texts)
    ]
    return not changed, f"{len(changed):,} rows would change again" + (f", {changed[0]} first." if changed else ".")


def most_rows_kept(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """At most a fifth of the rows was removed by normalisation."""
    kept, removed = _rows(folder).height, read_parquet(folder / "removed.parquet").height
    share = removed / max(kept + removed, 1)
    return share <= 0.2, f"{share:.1%} of the rows were removed."


def unique_keys(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """No two rows ask the same question."""
    rows = _rows(folder)
    twice = rows.height - rows["key"].n_unique()
    return twice == 0, f"{twice:,} questions stand more than once."


def every_row_in_one_split(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Each group lies in one split."""
    rows = _rows(folder).filter(pl.col("split") != "excluded")
    torn = rows.group_by("group_id").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1).height
    return torn == 0, f"{torn:,} groups lie in more than one split."


def splits_not_empty(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """There are rows to train on and rows to test with."""
    rows = _rows(folder)
    counts = dict(rows.group_by("split").len().iter_rows())
    said = ", ".join(f"{name} {counts.get(name, 0):,}" for name in SPLITS) + " rows."
    if all(counts.get(name) for name in SPLITS):
        return True, said
    said += (
        f" They are in {rows['group_id'].n_unique():,} groups of like questions; with {ENOUGH_GROUPS} or more every "
        "split whose share (MEDCOT_SPLITS__TRAIN, __VALIDATION, __TEST) is above 0 has rows."
    )
    removed = read_parquet(inputs["deduplicated_corpus"] / "removed.parquet").height
    rules = read_json(folder / SUMMARY)["rules"]
    dropped = {rule["rule"]: rule["rows"] for rule in rules if rule["action"] == "drop"}
    said += _most_dropped_by(dropped) + (f" {removed:,} rows were duplicates." if removed else "")
    return counts.get("train", 0) > 0 and counts.get("test", 0) > 0, said


def no_leak_across_splits(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """No pair that counts as duplicate lies across splits, by question, reasoning or answer."""
    settings = DedupSettings(**read_json(folder / "dedup_settings.json"))
    rows = _rows(folder).filter(pl.col("split") != "excluded")
    pairs = leaks(rows, settings)
    return pairs.is_empty(), f"{pairs.height:,} duplicate pairs lie across splits."


def sft_format(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Every record is exactly its row in the `<think>` format: no reasoning is lost."""
    problems = format_problems(read_json(folder / f"{DATASET_NAME}.json"), _rows(folder))
    return not problems, f"{len(problems):,} records differ from their rows" + (
        f": {problems[0]}." if problems else "."
    )


def sft_has_training_rows_only(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The records are the training split's rows, less those that are too long."""
    split = _rows(inputs["corpus_splits"]).filter(split="train")["row_id"].sort()
    here = pl.concat([_rows(folder)["row_id"], read_parquet(folder / "too_long.parquet")["row_id"]]).sort()
    return here.equals(split), f"{here.len():,} rows for {split.len():,} of the training split."


def few_rows_too_long(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """At most 2 % of the training rows are longer than the maximum."""
    too_long = read_parquet(folder / "too_long.parquet").height
    share = too_long / max(too_long + _rows(folder).height, 1)
    return share <= 0.02, f"{too_long:,} rows are longer than the maximum ({share:.1%})."


def tokenizer_fits(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Text comes back whole from the tokens, and the prompt is the tokenizer's own generation prompt."""
    problems = read_json(folder / "base_model.json")["tokenizer_problems"]
    return not problems, f"{'; '.join(problems) if problems else 'the tokenizer fits the format'}."


def has_weights(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """There are safetensors with parameters."""
    model = read_json(folder / "base_model.json")
    named = [name for name in model["files"] if name.endswith(".safetensors")]
    return bool(named) and model["parameters"] > 0, f"{model['parameters']:,} parameters in {len(named)} files."


def adapter_changes_something(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Some weight of the adapter's second factor is not zero."""
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", framework="np") as tensors:
        names = [name for name in tensors.keys() if "lora_B" in name]  # noqa: SIM118 - not a dict
        largest = max((float(abs(tensors.get_tensor(name)).max()) for name in names), default=0.0)
    return math.isfinite(largest) and largest > 0, f"Largest weight of lora_B: {largest:.3g}."


def loss_fell(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The loss of the last steps is below that of the first."""
    loss = [value for _, value in read_json(folder / "curves.json")["loss"]]
    few = max(1, len(loss) // 5)
    first, last = sum(loss[:few]) / few, sum(loss[-few:]) / few
    return last < first, f"Loss {first:.3f} over the first {few} steps, {last:.3f} over the last."


def likelihoods_are_whole(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Both arms measured the same rows and tokens, and every figure is a number."""
    examples = read_parquet(folder / "examples.parquet")
    columns = ["row_id", "segment", "tokens"]
    base, tuned = (examples.filter(arm=arm).select(columns).sort(columns) for arm in ARMS)
    same = base.equals(tuned) and base.height > 0
    finite = bool(examples["nll"].is_finite().all())
    return same and finite, f"{base.height // 2:,} rows in both arms; {'all' if finite else 'not all'} finite."


def arms_differ(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The adapter changes the likelihood of some token."""
    difference = read_json(folder / "perplexity.json")["max_logit_difference"]
    return difference > 0, f"Largest change of a token's log-likelihood: {difference:.3g} nats."


def both_arms_answered(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """One answer of each arm for every prompt."""
    prompts = [prompt.id for prompt in read_jsonl(folder / "prompts.jsonl", Prompt)]
    answers = read_jsonl(folder / "answers.jsonl", Answer)
    expected = sorted((prompt, arm) for prompt in prompts for arm in ARMS)
    return sorted((answer.prompt_id, answer.arm) for answer in answers) == expected, f"{len(answers):,} answers."


def prompts_not_in_training(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """No prompt asks a question that a training row asks; those with much text in common are named."""
    found = prompts_in_training(read_jsonl(folder / "prompts.jsonl", Prompt), _rows(inputs["corpus_splits"]))
    said = f"{len(found['confirmed']):,} prompts stand in the training rows"
    alike = f"; much text in common: {', '.join(found['flagged'])}." if found["flagged"] else "."
    return not found["confirmed"], said + alike


def answers_differ(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The arms wrote something else for some prompt: where they never do, the adapter changes nothing."""
    figures = read_json(folder / "figures.json")
    same, prompts = figures["same"], figures["prompts"]
    return same < prompts, f"Both arms wrote the same for {same:,} of {prompts:,} prompts."


def most_answers_finished(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """At most a tenth of the tuned arm's answers ended at the token limit."""
    tuned = [answer for answer in read_jsonl(folder / "answers.jsonl", Answer) if answer.arm == "tuned"]
    cut = sum(not answer.finished for answer in tuned)
    return cut <= len(tuned) / 10, f"{cut:,} of {len(tuned):,} answers of the tuned arm ended at the token limit."


def review_page_is_blind(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The page holds no side mapping and no address to fetch."""
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
    said = f"It holds {', '.join(told + fetched)}." if told or fetched else "It says nothing of the arms."
    return not told and not fetched, said


def judge_passes_its_gates(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The judge holds its verdicts, sees through the probes and answers, or there is no judge."""
    judge = read_json(folder / "judge.json")
    if judge["status"] != "judged":
        return True, "No AI judge is configured."
    gates = [gate for gate in judge["gates"] if gate["passed"] is False]
    failed = [f"{gate['gate']} {gate['value']:.0%} of {gate['n']:,}" for gate in gates]
    refused = judge["calls"]["failed"]
    again = f" {refused:,} calls were refused: `medcot sync --force judgements` asks them again."
    said = f"Failed: {', '.join(failed)}." if failed else "Every gate passed."
    return not failed and not refused, said + (again if refused else "")


def reviews_are_complete(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Every reviewer gave every verdict, second looks included, or there is no review yet."""
    reviewers = read_json(folder / "human.json")["reviewers"]
    missing = sum(each["missing"] for each in reviewers)
    looks = [each["second_look"] for each in reviewers if each["second_look"]]
    again = sum(look["items"] - len(look["verdicts"]) for look in looks)
    given = sum(len(each["verdicts"]) for each in reviewers)
    said = f"{len(reviewers):,} reviewers, {given:,} verdicts; {missing:,} missing, {again:,} second looks open."
    return not missing and not again, said if reviewers else "No review yet: open it with `medcot review`."


def report_is_self_contained(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The page fetches nothing and runs nothing."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    wrong = [mark for mark in ("<script", 'src="http', 'href="http') if mark in page]
    return not wrong, f"{len(page.encode()) / 1024:,.0f} KiB" + (f"; holds {wrong[0]}." if wrong else ".")


def report_has_figures(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The headline perplexities are numbers above 1."""
    figures = read_json(folder / "report.json")["perplexity"]
    values = [figures[arm]["value"] for arm in ARMS]
    return all(
        math.isfinite(value) and value > 1 for value in values
    ), f"Perplexity {values[0]:.3f} to {values[1]:.3f}."


def decision_follows(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """No adapter is promoted that misses a requirement."""
    decision = read_json(folder / "decision.json")
    missed = sum(each["passed"] is False for each in decision["requirements"])
    count = len(decision["requirements"])
    return not (decision["promote"] and missed), f"{missed:,} of {count:,} requirements are missed."


def adapter_takes_over(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The adapter meets every requirement, and takes over or has taken over."""
    decision = read_json(folder / "decision.json")
    return decision["promote"] and decision["event"] != "stays candidate", "; ".join(
        (f"It {decision['event']}", *decision["reasons"])
    ) + "."


CHECKS: Mapping[str, tuple[Check, ...]] = {
    "raw_medical_o1": (
        Check("few_rejects", "Is the share of unusable rows within the setting?", few_rejects),
        Check("rows_present", "Is there a row?", raw_rows_present),
        Check("unique_row_ids", "Is every row id unique?", unique_row_ids),
    ),
    "normalized_corpus": (
        Check("every_row_accounted_for", "Is every row kept or removed?", _partition("raw_medical_o1")),
        Check("rows_present", "Is there a row?", normalized_rows_present),
        Check("normalisation_is_stable", "Would normalising again change nothing?", normalisation_is_stable),
        Check("most_rows_kept", "Were at most 20 % removed?", most_rows_kept, blocking=False),
    ),
    "deduplicated_corpus": (
        Check("every_row_accounted_for", "Is every row kept or removed?", _partition("normalized_corpus")),
        Check("unique_keys", "Does every question stand once?", unique_keys),
    ),
    "corpus_splits": (
        Check("one_split_per_group", "Does each group lie in one split?", every_row_in_one_split),
        Check("splits_not_empty", "Are there training and test rows?", splits_not_empty),
        Check("no_leak_across_splits", "Are there no duplicates across splits?", no_leak_across_splits),
    ),
    "sft_dataset": (
        Check("sft_format", "Is every record <think> reasoning </think> answer?", sft_format),
        Check("training_rows_only", "Are the records the training split's?", sft_has_training_rows_only),
        Check("few_rows_too_long", "Are at most 2 % of the rows too long?", few_rows_too_long, blocking=False),
    ),
    "base_model": (
        Check("tokenizer_fits", "Does the tokenizer fit the format?", tokenizer_fits),
        Check("has_weights", "Are there weights?", has_weights),
    ),
    "qlora_adapter": (
        Check("adapter_changes_something", "Is the adapter not zero?", adapter_changes_something),
        Check("loss_fell", "Did the loss fall?", loss_fell, blocking=False),
    ),
    "perplexity_report": (
        Check("likelihoods_are_whole", "Were both arms measured on the same rows?", likelihoods_are_whole),
        Check("arms_differ", "Does the adapter change anything?", arms_differ, blocking=False),
    ),
    "model_answers": (
        Check("both_arms_answered", "Did both arms answer every prompt?", both_arms_answered),
        Check("prompts_not_in_training", "Is no prompt among the training rows?", prompts_not_in_training),
        Check("answers_differ", "Does the adapter change any answer?", answers_differ, blocking=False),
        Check("most_answers_finished", "Did the tuned arm finish its answers?", most_answers_finished, blocking=False),
    ),
    "judgements": (
        Check("review_page_is_blind", "Is the review page blind?", review_page_is_blind),
        Check("judge_passes_its_gates", "Can the judge be trusted?", judge_passes_its_gates, blocking=False),
    ),
    "human_review": (
        Check("reviews_are_complete", "Is every verdict given?", reviews_are_complete, blocking=False),
        Check("second_looks_are_blind", "Do second looks show no verdict?", second_looks_are_blind),
    ),
    "eval_report": (
        Check("report_has_figures", "Are the headline figures numbers?", report_has_figures),
        Check("report_is_self_contained", "Does the page fetch and run nothing?", report_is_self_contained),
    ),
    "promotion": (
        Check("decision_follows", "Is nothing promoted that misses a requirement?", decision_follows),
        Check("adapter_takes_over", "Does the adapter take over?", adapter_takes_over, blocking=False),
    ),
}
