"""Time of asking an exam file of 200 questions, of both arms: the path of `evaluation/exams/` with random 7B weights.

    python -m benchmarks.exams                    both arms on one GPU, each in a process of its own, as in the pipeline
    python -m benchmarks.exams --collect          lm-eval's part alone, without a GPU: its time, its requests
    python -m benchmarks.exams --rehearse         everything with a tiny model, 12 questions and short answers, on a CPU

Where lm-eval is installed an arm is `ask_exams` as it is: lm-eval puts the questions of CMExam and collects the texts,
the engine writes, letters are read and scored. Where it is not, as on a GPU host without a package registry, the
requests that `--collect` kept are written by `write_requests`, which is all that `ask_exams` leaves to the GPU.

Random weights end nowhere: an answer is ended at a length drawn as in benchmarks.generation (median 700 tokens), here
with one of 4,096, which the engine does not know beforehand.

Belongs here: running, timing, printing, the JSON file.
Does not belong here: what is measured (medcot_pipeline.evaluation.exams, medcot_pipeline.inference).
"""

import argparse
import dataclasses
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.generation import SHRINK, EndingEngine, lora, make_model, peak_gib, reasoning_lengths
from benchmarks.gpu import add_options, chinese_rows, run_arms, say
from medcot_pipeline.inference import opening
from medcot_pipeline.inference.finished import NAME
from medcot_pipeline.inference.loaded import LoadedModel
from medcot_pipeline.inference.requests import Request, Sampling, WrittenText
from medcot_pipeline.inference.writing import write_requests
from medcot_pipeline.models.devices import device
from medcot_pipeline.models.load import load_base, load_tokenizer, quiet
from medcot_pipeline.settings import ExamSettings, LocalEngineSettings
from medcot_pipeline.support.json_files import read_json, write_json

ARMS = ("base", "tuned")
LONGEST = 4096


class ExamEngine(EndingEngine):
    """Ends every answer at its length."""

    made: "ExamEngine"

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        ExamEngine.made = self


def exam_settings(options: argparse.Namespace) -> ExamSettings:
    """As a user has them, but for the number of questions, and short answers in a rehearsal."""
    return ExamSettings(
        folder=options.exam.parent,
        max_questions=options.questions,
        max_new_tokens=LONGEST // (SHRINK if options.rehearse else 1),
    )


def collect(options: argparse.Namespace) -> None:
    """Let lm-eval put the questions, keep its requests, and say how long its part takes without any writing."""
    from medcot_pipeline.evaluation.exams.asking import put
    from medcot_pipeline.evaluation.exams.files import read_exam
    from medcot_pipeline.evaluation.exams.lm_eval_task import PutQuestion, ask_through_lm_eval

    settings, tokenizer = exam_settings(options), load_tokenizer(options.model)
    questions = read_exam(options.exam, settings.max_questions, settings.seed).questions
    kept: list[Request] = []

    def keep(requests: Sequence[Request]) -> list[WrittenText]:
        kept.extend(requests)
        return [WrittenText(request.id, "", finished=True, tokens=0) for request in requests]

    started = time.monotonic()
    asked = [PutQuestion(f"{each.exam} {each.id}", put(each), each.answer) for each in questions]
    ask_through_lm_eval(asked, tokenizer, settings, settings.max_new_tokens, keep)
    seconds = time.monotonic() - started
    write_json(options.requests, [dataclasses.asdict(request) for request in kept])
    print(f"lm-eval, importing and collecting {len(kept)} requests: {seconds:.1f} s, no GPU", flush=True)


def kept_requests(path: Path) -> list[Request]:
    """The requests that `collect` kept."""
    return [
        Request(**each | {"prompt_ids": tuple(each["prompt_ids"]), "sampling": Sampling(**each["sampling"])})
        for each in read_json(path)
    ]


def make_adapter(model: str, adapter: str) -> None:
    """Write LoRA of rank 8 on all linear modules, none of it zero."""
    lora(load_base(Path(model))).save_pretrained(adapter)


def run_arm(arm: str, options: argparse.Namespace) -> dict[str, Any]:
    """One arm in this process."""
    import torch

    quiet()
    started = time.monotonic()
    requests, tokenizer = kept_requests(options.requests), load_tokenizer(options.model)
    shrink = SHRINK if options.rehearse else 1
    lengths = reasoning_lengths(chinese_rows(options.rows), tokenizer, len(requests), LONGEST, shrink)
    ExamEngine.lengths = dict(zip((request.id for request in requests), lengths, strict=True))
    opening.LocalEngine = ExamEngine  # the one place where an engine of this process is made
    adapter = options.model / "lora" if arm == "tuned" else None
    engine = LocalEngineSettings(max_gpu_memory_gb=options.limit_gb)
    model = LoadedModel(options.model, adapter, engine, section="MEDCOT_EXAMS")
    prepared = time.monotonic() - started
    through = importlib.util.find_spec("lm_eval") is not None and not options.requests_only
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        started = time.monotonic()
        if through:
            from medcot_pipeline.evaluation.exams.asking import ask_exams
            from medcot_pipeline.evaluation.exams.files import read_exam

            settings = exam_settings(options)
            questions = read_exam(options.exam, settings.max_questions, settings.seed).questions
            answers = ask_exams(model, questions, settings, work, say)
            assert len(answers) == len(requests)
        else:
            write_requests(model, requests, work, say, what=arm)
        whole = time.monotonic() - started
        lines = [json.loads(line) for line in (work / NAME).read_text().splitlines()[1:]]
    tokens, writing = sum(line["written"]["tokens"] for line in lines), sum(line["seconds"] for line in lines)
    assert tokens == sum(lengths), (tokens, sum(lengths))
    runner = ExamEngine.made.runner
    return {
        "arm": arm,
        "questions": len(requests),
        "tokens": tokens,
        "longest": max(lengths),
        "rows": runner.plan.rows,
        "whole_seconds": round(whole, 1),
        "writing_seconds": round(writing, 1),
        "record_seconds": round(runner.record_seconds, 1),
        "prepared_seconds": round(prepared, 1),
        "tokens_per_second": round(tokens / (writing - runner.record_seconds), 1),
        "peak_gib": peak_gib(),
        "through_lm_eval": through,
        "device": torch.cuda.get_device_name(0) if device() == "cuda" else "CPU",
        "torch": torch.__version__,
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    """One line for each arm, as Markdown."""
    first = results[0]
    how = "through lm-eval" if first["through_lm_eval"] else "requests that lm-eval collected beforehand"
    lines = [
        f"{first['device']}, PyTorch {first['torch']}; {first['questions']} questions, {how}; "
        f"{first['tokens']:,} tokens for each model, longest {first['longest']:,}",
        "",
        "| arm | rows | tokens/s | writing | of it recording | loading, collecting, scoring | whole | peak |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in results:
        peak = "" if each["peak_gib"] is None else f"{each['peak_gib']:.1f} GiB"
        beside = each["whole_seconds"] - each["writing_seconds"]
        lines.append(
            f"| {each['arm']} | {each['rows']} | {each['tokens_per_second']:,.0f} | {each['writing_seconds']:.1f} s | "
            f"{each['record_seconds']:.1f} s | {beside:.1f} s | {each['whole_seconds']:.1f} s | {peak} |"
        )
    if len(results) == len(ARMS):
        lines += ["", f"both arms: {sum(each['whole_seconds'] for each in results):.1f} s"]
    return "\n".join(lines)


def main() -> None:
    """Collect the requests where that was not done, run both arms, and print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--requests", type=Path, default=Path("build/benchmarks/exam-requests.json"))
    parser.add_argument("--requests-only", action="store_true", help="write the kept requests though lm-eval is there")
    parser.add_argument("--collect", action="store_true", help="collect the requests, and stop")
    parser.add_argument("--rehearse", action="store_true", help="a tiny model, 12 questions, answers of a 64th")
    parser.add_argument("--one", choices=ARMS, help=argparse.SUPPRESS)
    add_options(parser, "exams")
    options = parser.parse_args()
    options.exam = options.rows / "cmexam_val_half.jsonl"
    if options.rehearse:
        options.questions = 12
        options.model, options.requests = (
            path.with_name(f"tiny{path.suffix}") for path in (options.model, options.requests)
        )
    if options.one:
        write_json(options.out, run_arm(options.one, options))
        return
    if options.collect and not options.rehearse:  # the tokenizer alone, where no GPU makes the weights
        from medcot_pipeline.chat.r1_tokenizer import r1_distill_tokenizer

        r1_distill_tokenizer().save_pretrained(options.model)
    else:
        make_model(options.model, tiny=options.rehearse)
    if options.collect or not options.requests.is_file():
        collect(options)
    if options.collect:
        return
    if not (options.model / "lora").is_dir():
        make = "import sys; from benchmarks.exams import make_adapter; make_adapter(*sys.argv[1:])"
        subprocess.run([sys.executable, "-c", make, str(options.model), str(options.model / "lora")], check=True)
    run_arms("exams", {arm: [*sys.argv[1:], "--one", arm] for arm in ARMS}, options.out, table)


if __name__ == "__main__":
    main()
