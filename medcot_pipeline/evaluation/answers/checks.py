"""What must hold of answers before they are published.

Belongs here: one function per check, over the files of the artifact and of its inputs; blocking where the next stage
would be wrong.
Does not belong here: repairing anything.
"""

from pathlib import Path

from medcot_pipeline.evaluation.answers.job import ANSWERS, PROMPTS
from medcot_pipeline.evaluation.answers.prompts import prompts_in_training
from medcot_pipeline.pipeline.check import Check, Inputs
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.support.table_files import read_jsonl, read_parquet

SERVED = "served.json"
"""Aside of one model's answers: the models that an endpoint says wrote them."""


def every_prompt_answered(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """One answer for every prompt, in the order of the prompts."""
    prompts = [prompt.id for prompt in read_jsonl(folder / PROMPTS, Prompt)]
    answers = read_jsonl(folder / ANSWERS, Answer)
    return [answer.prompt_id for answer in answers] == prompts, f"{len(answers):,} answers."


def both_arms_answered(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """One answer of each arm for every prompt."""
    prompts = [prompt.id for prompt in read_jsonl(folder / PROMPTS, Prompt)]
    answers = read_jsonl(folder / ANSWERS, Answer)
    expected = sorted((prompt, arm) for prompt in prompts for arm in ARMS)
    return sorted((answer.prompt_id, answer.arm) for answer in answers) == expected, f"{len(answers):,} answers."


def prompts_not_in_training(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """No prompt asks a question that a training row asks; those with much shared text are named."""
    found = prompts_in_training(
        read_jsonl(folder / PROMPTS, Prompt), read_parquet(inputs["corpus_splits"] / "rows.parquet")
    )
    said = f"{len(found['confirmed']):,} prompts appear in the training rows"
    alike = f"; much shared text: {', '.join(found['flagged'])}." if found["flagged"] else "."
    return not found["confirmed"], said + alike


def answers_differ(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The arms wrote something else for some prompt: where they never do, the adapter changes nothing."""
    figures = read_json(folder / "figures.json")
    same, prompts = figures["same"], figures["prompts"]
    return same < prompts, f"Both arms wrote the same for {same:,} of {prompts:,} prompts."


def two_models_answered(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The endpoint did not serve one model for both arms, which would name itself in both and answer both alike."""
    figures = read_json(folder / "figures.json")
    files = [inputs[f"{arm}_answers"] / "aside" / SERVED for arm in ("base", "tuned")]
    named = [read_json(file) if file.exists() else [] for file in files]
    if len(named[0]) != 1 or named[0] != named[1]:
        return True, "No model answers for both arms."
    same, prompts = figures["same"], figures["prompts"]
    said = f"The endpoint says that {named[0][0]} answered for both arms"
    if same < prompts:
        return True, f"{said}; they wrote the same for {same:,} of {prompts:,} prompts."
    return False, f"{said}, and both wrote the same for all {prompts:,} prompts: it serves one model under two names."


def most_answers_finished(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """At most a tenth of the tuned arm's answers ended at the token limit."""
    tuned = [answer for answer in read_jsonl(folder / ANSWERS, Answer) if answer.arm == "tuned"]
    cut = sum(not answer.finished for answer in tuned)
    return cut <= len(tuned) / 10, f"{cut:,} of {len(tuned):,} answers of the tuned arm ended at the token limit."


MEASURED = (
    Check("every_prompt_answered", "Does every prompt have an answer?", every_prompt_answered),
    Check("prompts_not_in_training", "Is every prompt absent from the training rows?", prompts_not_in_training),
)
COMPARED = (
    Check("both_arms_answered", "Did both arms answer every prompt?", both_arms_answered),
    Check("two_models_answered", "Did a different model answer for each arm?", two_models_answered),
    Check("answers_differ", "Does the adapter change any answer?", answers_differ, blocking=False),
    Check("most_answers_finished", "Did the tuned arm finish its answers?", most_answers_finished, blocking=False),
)
