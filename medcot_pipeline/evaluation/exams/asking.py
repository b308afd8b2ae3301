"""Multiple-choice exams of medical knowledge, asked of one model through lm-eval.

Belongs here: how a question is put, and what is kept of an answer.
Does not: exam files (files.py), generation itself (lm-eval), which letters a text chooses (corpus/normalize/chosen.py),
scores (scores.py), overlap of training rows with the exams (corpus/overlap/screen.py).

Exams are scored by what a model writes, not by the likelihood of a letter: behind a prompt that ends in `<think>`, a
likelihood would be that of a letter within the reasoning.
"""

import dataclasses
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.chat import THINK_OPEN, render_prompt, split_written
from medcot_pipeline.corpus.normalize.chosen import ANY, chosen_letters
from medcot_pipeline.corpus.overlap.benchmark_files import Benchmark
from medcot_pipeline.corpus.overlap.screen import overlapping_items
from medcot_pipeline.evaluation.exams.files import ExamQuestion, option_texts
from medcot_pipeline.inference.writing import end_tokens
from medcot_pipeline.models.arms import load_arm
from medcot_pipeline.models.load import load_tokenizer, quiet
from medcot_pipeline.settings import ExamSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Progress, Say

_HAN = re.compile(r"[\u4e00-\u9fff]")
_CUT_OFF = "\ue000"
"""Put behind a text that ended without an end token: of an answer lm-eval hands on the text alone."""


@dataclasses.dataclass(frozen=True)
class ExamAnswer:
    """What one model wrote for one item, once.

    Attributes:
        chosen: letters, sorted; None where none can be read, which counts as wrong.
        finished: whether it ended by an end token, and not at the token limit.
        sample: number of the answer among those to the item, from 0.
    """

    exam: str
    id: str
    text: str
    chosen: str | None
    right: bool
    finished: bool
    sample: int = 0


@dataclasses.dataclass(frozen=True)
class AskedQuestion:
    """An item that was asked.

    Attributes:
        overlaps: whether training rows hold it.
        order: the file's letters in the order in which its options were shown; empty where that is the file's own.
    """

    exam: str
    id: str
    overlaps: bool
    order: str = ""


def ask_exams(
    base: Path, adapter: Path | None, questions: Sequence[ExamQuestion], settings: ExamSettings, say: Say
) -> list[ExamAnswer]:
    """One model's answers to every question, in the questions' order, those to one question together.

    lm-eval's own cache stays off: its key knows the question, not the model, and would make all models equal.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter; None asks the base.
        questions: the items, in order.
        settings: sampling and lengths.
        say: where progress goes.

    Raises:
        MedcotError: a question alone is longer than what the model can hold.
    """
    os.environ["DISABLE_MULTIPROC"] = "1"  # its bootstrap would fork a process that already uses the GPU
    from lm_eval import simple_evaluate

    quiet()
    tokenizer = load_tokenizer(base)
    opened = render_prompt(tokenizer, "").endswith(THINK_OPEN)
    total = len(questions) * settings.samples
    ends = set(end_tokens(base, tokenizer))
    runner = _runner(load_arm(base, adapter), tokenizer, ends, settings, total, Progress("exams", say))
    room = _room(runner, tokenizer, questions)
    if room < settings.max_new_tokens:
        say(f"exams: behind the longest question the model holds {room:,} tokens: no answer is longer")
    outcome = simple_evaluate(
        model=runner,
        tasks=[_task(questions, settings, min(room, settings.max_new_tokens))],
        apply_chat_template=True,
        use_cache=None,
        bootstrap_iters=0,
        torch_random_seed=settings.seed,
        verbosity="ERROR",
    )
    by_question = {sample["doc_id"]: sample["resps"][0] for sample in outcome["samples"]["exams"]}
    return [
        _answer(question, written, number, opened)
        for place, question in enumerate(questions)
        for number, written in enumerate(by_question[place])
    ]


def _answer(question: ExamQuestion, written: str, number: int, opened: bool) -> ExamAnswer:
    text = written.removesuffix(_CUT_OFF)
    answer = split_written(text, opened_by_prompt=opened).answer
    chosen = chosen_letters(answer, option_texts(question) or ANY) or None
    return ExamAnswer(question.exam, question.id, text, chosen, chosen == question.answer, text == written, number)


def _room(runner: Any, tokenizer: Any, questions: Sequence[ExamQuestion]) -> int:
    """Tokens that the model can still hold behind the longest question: lm-eval would cut the question, not the answer.

    Raises:
        MedcotError: it holds nothing behind a question.
    """
    lengths = [len(runner.tok_encode(render_prompt(tokenizer, put(question)))) for question in questions]
    room = int(runner.max_length) - max(lengths)
    if room < 1:
        longest = questions[lengths.index(max(lengths))]
        raise MedcotError(
            f"{longest.exam}, {longest.id}: {max(lengths):,} tokens, but the base model holds {runner.max_length:,}.",
            "Take the question out of the file, or choose another base model.",
        )
    return room


def _task(questions: Sequence[ExamQuestion], settings: ExamSettings, longest: int) -> Any:
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    rows = Dataset.from_list([{"text": put(question), "answer": question.answer} for question in questions])
    sampling: dict[str, Any] = {"do_sample": False}
    if settings.temperature > 0:
        sampling = {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p}
    return ConfigurableTask(
        config={
            "task": "exams",
            "custom_dataset": lambda **_: {"test": rows},
            "test_split": "test",
            "output_type": "generate_until",
            "repeats": settings.samples,
            "doc_to_text": "{{text}}",
            "doc_to_target": "{{answer}}",
            "process_results": lambda doc, results: {"acc": 0.0},  # scored here, from the samples
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
            "generation_kwargs": {"until": [], "max_gen_toks": longest, **sampling},
        }
    )


def _runner(model: Any, tokenizer: Any, ends: set[int], settings: ExamSettings, total: int, progress: Progress) -> Any:
    """lm-eval's runner over the loaded model: it keeps `</think>`, marks what is cut off, and tells how far it is."""
    from lm_eval.models.huggingface import HFLM

    class Runner(HFLM):  # type: ignore[misc]
        done = 0

        def tok_decode(self, tokens: Any, skip_special_tokens: bool = True) -> Any:
            if isinstance(tokens, int):
                return super().tok_decode(tokens, skip_special_tokens=False)
            written, finished = until_end(tokens, ends)
            return super().tok_decode(written, skip_special_tokens=False) + ("" if finished else _CUT_OFF)

        def _model_generate(self, context: Any, *args: Any, **options: Any) -> Any:
            written = super()._model_generate(context, *args, **options)
            self.done += len(context)
            progress(self.done, total, "answers")
            return written

    return Runner(pretrained=model, tokenizer=tokenizer, batch_size=settings.batch_size, trust_remote_code=False)


def until_end(tokens: Sequence[int], ends: Collection[int]) -> tuple[list[int], bool]:
    """The tokens before the first end token, and whether there is one; what follows it fills up the batch."""
    end = next((place for place, token in enumerate(tokens) if token in ends), None)
    return list(tokens[:end]), end is not None


def put(question: ExamQuestion) -> str:
    """The question as it is asked, in its own language."""
    last_line = (
        "请选出正确答案，并在最后一行写“答案：”和选项字母。"
        if _HAN.search(question.question)
        else 'Choose the right answer, and end with a line "Answer:" and the letter.'
    )
    shown = "\n".join(part for part in (question.question, question.options) if part)
    return f"{shown}\n\n{last_line}"


def asked_questions(questions: Sequence[ExamQuestion], train: pl.DataFrame) -> list[AskedQuestion]:
    """The items asked, each with whether training rows hold it.

    Args:
        questions: the items.
        train: `row_id`, `split`, `key`: str; the training rows.
    """
    found = []
    for exam in dict.fromkeys(question.exam for question in questions):
        items = [question for question in questions if question.exam == exam]
        seen = overlapping_items(train, Benchmark(exam, [i.id for i in items], [i.question for i in items]))
        found += [AskedQuestion(exam, item.id, item.id in seen) for item in items]
    return found
