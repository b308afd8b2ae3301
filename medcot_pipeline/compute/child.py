"""The child process in which everything that loads a model runs: `python -m medcot_pipeline.compute.child`.

It reads its task through Dagster Pipes, reports progress as log lines, and ends with either a result or one line that
says what is wrong. It dies with its parent.

Belongs here: the protocol and the table of tasks.
Does not: what a task does, or anything of Dagster but `dagster_pipes`.
"""

import ctypes
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dagster_pipes import PipesContext, open_dagster_pipes

from medcot_pipeline.artifacts import FileHashes
from medcot_pipeline.artifacts.store import disk_is_full
from medcot_pipeline.compute.gpu_lock import gpu_lock
from medcot_pipeline.settings import (
    AnswerSettings,
    BaseModelSettings,
    ExamSettings,
    PerplexitySettings,
    TrackingSettings,
    TrainingSettings,
)
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say

Task = Callable[[dict[str, Any], Say], dict[str, Any]]


def base_model(task: dict[str, Any], say: Say) -> dict[str, Any]:
    """Get the base model and describe it."""
    from medcot_pipeline.models.base import prepare_base_model
    from medcot_pipeline.models.load import quiet

    quiet()
    settings = BaseModelSettings(**task["settings"])
    return prepare_base_model(settings, Path(task["out"]), Path(task["cache"]), Path(task["root"]), say)


def train(task: dict[str, Any], say: Say) -> dict[str, Any]:
    """Train the adapter."""
    from medcot_pipeline.training.qlora import TrainingRun
    from medcot_pipeline.training.qlora import train as train_adapter

    run = TrainingRun(
        base=_base(task),
        sft=Path(task["sft"]),
        splits=Path(task["splits"]),
        out=Path(task["out"]),
        work=Path(task["work"]),
        wandb=Path(task["wandb"]),
        fingerprint=task["fingerprint"],
    )
    settings, tracking = TrainingSettings(**task["settings"]), TrackingSettings(**task["tracking"])
    return train_adapter(run, settings, task["max_row_tokens"], tracking, say)


def perplexity(task: dict[str, Any], say: Say) -> dict[str, Any]:
    """Measure both arms on held-out rows, training rows and general passages; the incumbent on the held-out rows."""
    from medcot_pipeline.evaluation.perplexity.measure import measure, read_passages
    from medcot_pipeline.support.table_files import read_parquet

    splits, passages = read_parquet(Path(task["splits"])), read_passages(Path(task["passages"]))
    settings = PerplexitySettings(**task["settings"])
    adapter, incumbent = Path(task["adapter"]), _incumbent(task)
    measured = measure(_base(task).folder, adapter, splits, passages, settings, say, incumbent)
    measured.examples.write_parquet(Path(task["out"]) / "examples.parquet")
    if measured.incumbent is not None:
        measured.incumbent.write_parquet(Path(task["out"]) / "incumbent.parquet")
    return {"left_out": measured.left_out, "max_logit_difference": measured.max_logit_difference}


def answers(task: dict[str, Any], say: Say) -> dict[str, Any]:
    """Generate both arms' answers, and the incumbent's."""
    from medcot_pipeline.evaluation.answers.generation import generate_answers
    from medcot_pipeline.records.prompts import Prompt
    from medcot_pipeline.support.jsonl import read_jsonl, write_jsonl

    prompts = read_jsonl(Path(task["prompts"]), Prompt)
    settings = AnswerSettings(**task["settings"])
    adapter, incumbent, work = Path(task["adapter"]), _incumbent(task), Path(task["work"])
    generated = generate_answers(_base(task).folder, adapter, prompts, settings, work, say, incumbent)
    both = [answer for answer in generated.answers if answer.arm != "incumbent"]
    write_jsonl(Path(task["out"]) / "answers.jsonl", both)
    if incumbent:
        beside = [answer for answer in generated.answers if answer.arm == "incumbent"]
        write_jsonl(Path(task["out"]) / "incumbent.jsonl", beside)
    return {"seconds": generated.seconds}


def exams(task: dict[str, Any], say: Say) -> dict[str, Any]:
    """Ask both arms the exams."""
    from medcot_pipeline.evaluation.exams.asking import ask_exams, exam_scores
    from medcot_pipeline.evaluation.exams.files import read_exam
    from medcot_pipeline.support.jsonl import write_jsonl
    from medcot_pipeline.support.table_files import read_parquet

    settings = ExamSettings(**task["settings"])
    read = [read_exam(Path(path), settings.max_questions) for path in task["files"]]
    questions = [question for exam in read for question in exam.questions]
    left_out = [exam.left_out for exam in read if exam.left_out]
    for sentence in left_out:
        say(sentence)
    given = ask_exams(_base(task).folder, Path(task["adapter"]), questions, settings, say)
    write_jsonl(Path(task["out"]) / "exams.jsonl", given)
    train = read_parquet(Path(task["splits"])).filter(split="train")
    scores = exam_scores(given, questions, train)
    return {"scores": [score.model_dump() for score in scores], "left_out": left_out}


TASKS: dict[str, Task] = {task.__name__: task for task in (base_model, train, perplexity, answers, exams)}


def _incumbent(task: dict[str, Any]) -> Path | None:
    return Path(task["incumbent"]) if task.get("incumbent") else None


def _base(task: dict[str, Any]) -> Any:
    from medcot_pipeline.models.base import open_base_model

    return open_base_model(Path(task["base_model"]), FileHashes(Path(task["hashes"])))


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends, so that no orphan goes on training (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def refuse_to_be_an_orphan(parent: int) -> None:
    """End when the parent was gone before the kernel was asked."""
    if os.getppid() != parent:
        sys.exit("the parent process is gone")


def answer_nobody() -> None:
    """Leave nothing at standard input: what a library asks there must not be answered by `yes |` or a key."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def run(pipes: PipesContext) -> None:
    """Run the task that Pipes names and report its result, or the problem: a parent without either has no success."""
    task, place, lock = pipes.extras["task"], pipes.extras["place"], pipes.extras["lock"]

    def say(line: str) -> None:
        pipes.log.info(f"{place} {line}")

    try:
        with gpu_lock([Path(path) for path in lock["paths"]], lock["holder"], say):
            result = TASKS[task](pipes.extras["arguments"], say)
    except MedcotError as error:
        pipes.report_custom_message({"problem": str(error)})
    except Exception as error:
        pipes.log.error(traceback.format_exc())
        way_out = " Free some space and run `medcot sync` again." if disk_is_full(error) else ""
        detail = f"{error.__class__.__name__}: {' '.join(str(error).split())[:300]}"
        pipes.report_custom_message({"problem": f"{task} failed: {detail}.{way_out}"})
    else:
        pipes.report_custom_message({"result": result})


def main() -> None:
    """Entry point of the child process."""
    die_with_parent()
    answer_nobody()
    warnings.filterwarnings("ignore")
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars of libraries would run through the progress lines
    with open_dagster_pipes() as pipes:
        refuse_to_be_an_orphan(pipes.extras["parent"])
        run(pipes)


if __name__ == "__main__":
    main()
