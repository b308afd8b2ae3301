"""Asking one model the exams, in the child process.

Belongs here: what it is told, and what it leaves in the artifact's folder.
Does not: asking (asking.py), reading exams (files.py).
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from medcot_pipeline.artifacts import FileHashes
from medcot_pipeline.evaluation.exams.asking import ask_exams, asked_questions
from medcot_pipeline.evaluation.exams.files import read_exam
from medcot_pipeline.models.arms import made_with
from medcot_pipeline.models.base import open_base_model
from medcot_pipeline.settings import ExamSettings
from medcot_pipeline.support.progress import Say
from medcot_pipeline.support.table_files import read_parquet, write_jsonl

ANSWERS = "answers.jsonl"
QUESTIONS = "questions.jsonl"


class AskExams(BaseModel):
    """Which model is asked, and which files; no adapter means the base."""

    settings: ExamSettings
    base_model: Path
    adapter: Path | None
    hashes: Path
    splits: Path
    files: list[Path]
    out: Path


def ask(arguments: AskExams, say: Say) -> dict[str, Any]:
    """Ask one model the exams.

    Returns:
        `left_out`, a sentence for each file with items that cannot be scored; `made_with` of models/arms.py.
    """
    read = [read_exam(path, arguments.settings.max_questions) for path in arguments.files]
    questions = [question for exam in read for question in exam.questions]
    left_out = [exam.left_out for exam in read if exam.left_out]
    for sentence in left_out:
        say(sentence)
    base = open_base_model(arguments.base_model, FileHashes(arguments.hashes))
    answers = ask_exams(base.folder, arguments.adapter, questions, arguments.settings, say)
    train = read_parquet(arguments.splits).filter(split="train")
    write_jsonl(arguments.out / ANSWERS, answers)
    write_jsonl(arguments.out / QUESTIONS, asked_questions(questions, train))
    return {"left_out": left_out, "made_with": {**made_with(), "lm_eval": version("lm_eval")}}
