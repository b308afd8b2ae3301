"""What must hold of exam answers before they are published.

Belongs here: one function per check, over the files of the artifact; blocking where the next stage would be wrong.
Does not belong here: repairing anything.
"""

from collections import Counter
from pathlib import Path

from medcot_pipeline.evaluation.exams.asking import AskedQuestion, ExamAnswer
from medcot_pipeline.evaluation.exams.job import ANSWERS, QUESTIONS
from medcot_pipeline.pipeline.check import Check, Inputs
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.support.table_files import read_jsonl


def every_question_answered(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """As many answers for every question that was asked."""
    answers = read_jsonl(folder / ANSWERS, ExamAnswer)
    asked = [(each.exam, each.id) for each in read_jsonl(folder / QUESTIONS, AskedQuestion)]
    given = Counter((each.exam, each.id) for each in answers)
    alike = list(given) == asked and len(set(given.values())) <= 1
    return alike, f"{len(answers):,} answers to {len(asked):,} questions."


def same_questions_in_both_arms(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Both models were asked the same questions, with their options in the same order."""
    base, tuned = (read_jsonl(inputs[name] / QUESTIONS, AskedQuestion) for name in ("base_exams", "tuned_exams"))
    status = read_json(folder / "exams.json")["status"]
    return base == tuned, f"{len(base):,} questions to the base, {len(tuned):,} to the tuned model: {status}."


MEASURED = (Check("every_question_answered", "Does every question have an answer?", every_question_answered),)
COMPARED = (
    Check("same_questions_in_both_arms", "Were both arms asked the same questions?", same_questions_in_both_arms),
)
