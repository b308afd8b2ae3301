"""Asking one model the exams, in the child process.

Belongs here: what it is told, and what it leaves in the artifact's folder.
Does not belong here: asking (asking.py), reading exams (files.py).
"""

import dataclasses
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from medcot_pipeline.artifacts import FileHashes
from medcot_pipeline.evaluation.exams.asking import ask_exams, asked_questions
from medcot_pipeline.evaluation.exams.files import read_exam
from medcot_pipeline.evaluation.exams.shuffled import Shown, shuffle_options
from medcot_pipeline.inference.loaded import LoadedModel
from medcot_pipeline.models.base import open_base_model
from medcot_pipeline.settings import ExamSettings, LocalEngineSettings
from medcot_pipeline.support.progress import Say
from medcot_pipeline.support.table_files import read_parquet, write_jsonl

ANSWERS = "answers.jsonl"
QUESTIONS = "questions.jsonl"


class AskExams(BaseModel):
    """Which model is asked, and which files; no adapter means the base."""

    settings: ExamSettings
    inference: LocalEngineSettings
    base_model: Path
    adapter: Path | None
    hashes: Path
    splits: Path
    files: list[Path]
    out: Path
    work: Path


def ask(arguments: AskExams, say: Say) -> dict[str, Any]:
    """Ask one model the exams.

    Returns:
        `left_out`, a sentence for each file with items that cannot be scored; `kept_order`, one for each with questions
        whose options are not shuffled though that is set; `made_with`, as `LoadedModel.written_with` has it.
    """
    settings = arguments.settings
    read = [read_exam(path, settings.max_questions, settings.seed) for path in arguments.files]
    questions = [question for exam in read for question in exam.questions]
    left_out = [exam.left_out for exam in read if exam.left_out]
    shown = shuffle_options(questions, settings.seed) if settings.shuffle_options else Shown(questions, [])
    for sentence in (*left_out, *shown.kept_order):
        say(sentence)
    base = open_base_model(arguments.base_model, FileHashes(arguments.hashes))
    model = LoadedModel(base.folder, arguments.adapter, arguments.inference, section="MEDCOT_EXAMS")
    answers = ask_exams(model, shown.questions, settings, arguments.work, say)
    asked = asked_questions(questions, read_parquet(arguments.splits).filter(split="train"))
    write_jsonl(arguments.out / ANSWERS, answers)
    write_jsonl(
        arguments.out / QUESTIONS,
        [
            dataclasses.replace(each, order=as_shown.order)
            for each, as_shown in zip(asked, shown.questions, strict=True)
        ],
    )
    return {
        "left_out": left_out,
        "kept_order": shown.kept_order,
        "made_with": {**model.written_with(), "lm_eval": version("lm_eval")},
    }
