"""Multiple-choice exams of medical knowledge, asked of one model through lm-eval.

Exams are scored by what a model writes, not by the likelihood of a letter: behind a prompt that ends in `<think>`, a
likelihood would be that of a letter within the reasoning.

Belongs here: how a question is put, and what is kept of an answer.
Does not belong here: exam files (files.py), lm-eval (lm_eval_task.py), writing (inference/), which letters a text
chooses (corpus/normalize/chosen.py), scores (scores.py), overlap of training rows with the exams
(corpus/overlap/screen.py).
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from medcot_pipeline.chat import encode_prompt, opens_thinking, split_written
from medcot_pipeline.corpus.normalize.chosen import ANY, chosen_letters
from medcot_pipeline.corpus.overlap.benchmark_files import Benchmark
from medcot_pipeline.corpus.overlap.screen import overlapping_items
from medcot_pipeline.evaluation.exams.files import ExamQuestion, option_texts
from medcot_pipeline.evaluation.exams.lm_eval_task import PutQuestion, ask_through_lm_eval
from medcot_pipeline.inference.loaded import LoadedModel
from medcot_pipeline.inference.requests import Request, WrittenText
from medcot_pipeline.inference.writing import write_requests
from medcot_pipeline.settings import ExamSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.progress import Say

_HAN = re.compile(r"[\u4e00-\u9fff]")


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
    model: LoadedModel, questions: Sequence[ExamQuestion], settings: ExamSettings, work: Path, say: Say
) -> list[ExamAnswer]:
    """One model's answers to every question, in the questions' order, those to one question together.

    Args:
        model: that is asked.
        questions: the items, in order.
        settings: sampling and lengths.
        work: folder for the finished answers of this fingerprint alone.
        say: where progress goes.

    Raises:
        MedcotError: a question alone is longer than what the model can hold.
    """
    opened = opens_thinking(model.generation_prompt)
    room = _room(model, questions)
    if room < settings.max_new_tokens:
        say(f"exams: after the longest question the model has room for {room:,} tokens: no answer can be longer")

    def write(requests: Sequence[Request]) -> Sequence[WrittenText]:
        return write_requests(model, requests, work, say, what="exams").texts

    put_questions = [PutQuestion(f"{each.exam} {each.id}", put(each), each.answer) for each in questions]
    written = ask_through_lm_eval(put_questions, model.tokenizer, settings, min(room, settings.max_new_tokens), write)
    return [
        exam_answer(question, each, number, opened=opened)
        for question, texts in zip(questions, written, strict=True)
        for number, each in enumerate(texts)
    ]


def exam_answer(question: ExamQuestion, written: WrittenText, number: int, *, opened: bool) -> ExamAnswer:
    """What a text chooses; `opened` says whether the prompt had opened the thinking block."""
    answer = split_written(written.text, opened_by_prompt=opened).answer
    chosen = chosen_letters(answer, option_texts(question) or ANY) or None
    right = chosen == question.answer
    return ExamAnswer(question.exam, question.id, written.text, chosen, right, written.finished, number)


def _room(model: LoadedModel, questions: Sequence[ExamQuestion]) -> int:
    """Tokens that the model can still hold behind the longest question.

    Raises:
        MedcotError: it holds nothing behind a question.
    """
    held = model.positions
    lengths = [len(encode_prompt(model.tokenizer, put(question))) for question in questions]
    room = held - max(lengths)
    if room < 1:
        longest = questions[lengths.index(max(lengths))]
        raise MedcotError(
            f"{longest.exam}, {longest.id}: {max(lengths):,} tokens, but the base model holds {held:,}.",
            "Take the question out of the file, or choose another base model.",
        )
    return room


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
