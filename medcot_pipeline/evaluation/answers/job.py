"""One model's answers, in the child process.

Belongs here: what it is told, and what it leaves in the artifact's folder.
Does not belong here: generating (generation.py).
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from medcot_pipeline.artifacts import FileHashes
from medcot_pipeline.evaluation.answers.generation import generate_answers
from medcot_pipeline.inference.loaded import LoadedModel
from medcot_pipeline.models.base import open_base_model
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import AnswerSettings, LocalEngineSettings
from medcot_pipeline.support.progress import Say
from medcot_pipeline.support.table_files import read_jsonl, write_jsonl

ANSWERS = "answers.jsonl"
PROMPTS = "prompts.jsonl"


class GenerateAnswers(BaseModel):
    """Which model answers which prompts; no adapter means the base."""

    settings: AnswerSettings
    inference: LocalEngineSettings
    base_model: Path
    adapter: Path | None
    hashes: Path
    out: Path
    work: Path


def generate(arguments: GenerateAnswers, say: Say) -> dict[str, Any]:
    """Generate one model's answers to the prompts that lie in the artifact's folder.

    Returns:
        `seconds`; `made_with`, as `LoadedModel.written_with` has it.
    """
    prompts = read_jsonl(arguments.out / PROMPTS, Prompt)
    base = open_base_model(arguments.base_model, FileHashes(arguments.hashes))
    model = LoadedModel(base.folder, arguments.adapter, arguments.inference, section="MEDCOT_ANSWERS")
    arm: Arm = "tuned" if arguments.adapter else "base"
    made = generate_answers(model, arm, prompts, arguments.settings, arguments.work, say)
    write_jsonl(arguments.out / ANSWERS, made.answers)
    return {"seconds": made.seconds, "made_with": model.written_with()}
