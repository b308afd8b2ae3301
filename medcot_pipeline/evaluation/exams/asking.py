"""Multiple-choice exams of medical knowledge, asked of one model through lm-eval.

Belongs here: how a question is put, reading the chosen letters out of an answer, scores.
Does not: exam files (files.py), generation itself (lm-eval), overlap of training rows with the exams
(corpus/overlap/screen.py).

Exams are scored by what a model writes, not by the likelihood of a letter: behind a prompt that ends in `<think>`, a
likelihood would be that of a letter within the reasoning.
"""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.chat import THINK_OPEN, render_prompt, split_written
from medcot_pipeline.corpus.overlap.benchmark_files import Benchmark
from medcot_pipeline.corpus.overlap.screen import overlapping_items
from medcot_pipeline.evaluation.answers.paired import compare
from medcot_pipeline.evaluation.exams.files import ExamQuestion
from medcot_pipeline.models.arms import load_arm
from medcot_pipeline.models.load import load_tokenizer, quiet
from medcot_pipeline.records.exams import ExamScore, Items
from medcot_pipeline.settings import ExamSettings
from medcot_pipeline.support.progress import Progress, Say

_HAN = re.compile(r"[\u4e00-\u9fff]")
_LETTERS = r"([A-H](?:[、,，\s]{0,2}[A-H])*)(?![A-Za-z])"
_SAID = re.compile(rf"(?:答案|[Aa]nswer)(?:应?[是为选]|\s+is)?[\s:：“\"*(（]*{_LETTERS}")
_CHOSEN = re.compile(rf"选[\s:：“\"*(（]*{_LETTERS}")
_STANDING = re.compile(rf"(?<![A-Za-z]){_LETTERS}(?!\s[a-z])")  # no article, as in "A patient"


@dataclasses.dataclass(frozen=True)
class ExamAnswer:
    """What one model wrote for one item; `chosen` is None where no letter can be read, which counts as wrong."""

    exam: str
    id: str
    text: str
    chosen: str | None
    right: bool


@dataclasses.dataclass(frozen=True)
class AskedQuestion:
    """An item that was asked; `overlaps` says that training rows hold it."""

    exam: str
    id: str
    overlaps: bool


def ask_exams(
    base: Path, adapter: Path | None, questions: Sequence[ExamQuestion], settings: ExamSettings, say: Say
) -> list[ExamAnswer]:
    """One model's answers to every question.

    lm-eval's own cache stays off: its key knows the question, not the model, and would make all models equal.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter; None asks the base.
        questions: the items, in order.
        settings: sampling and lengths.
        say: where progress goes.
    """
    os.environ["DISABLE_MULTIPROC"] = "1"  # its bootstrap would fork a process that already uses the GPU
    from lm_eval import simple_evaluate

    quiet()
    tokenizer = load_tokenizer(base)
    opened = render_prompt(tokenizer, "").endswith(THINK_OPEN)
    runner = _runner(load_arm(base, adapter), tokenizer, settings, len(questions), Progress("exams", say))
    outcome = simple_evaluate(
        model=runner,
        tasks=[_task(questions, settings)],
        apply_chat_template=True,
        use_cache=None,
        bootstrap_iters=0,
        torch_random_seed=settings.seed,
        verbosity="ERROR",
    )
    answers = []
    for sample in outcome["samples"]["exams"]:
        question = questions[sample["doc_id"]]
        text = sample["resps"][0][0]
        chosen = chosen_letters(split_written(text, opened_by_prompt=opened).answer)
        answers.append(ExamAnswer(question.exam, question.id, text, chosen, chosen == question.answer))
    return answers


def _task(questions: Sequence[ExamQuestion], settings: ExamSettings) -> Any:
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
            "doc_to_text": "{{text}}",
            "doc_to_target": "{{answer}}",
            "process_results": lambda doc, results: {"acc": 0.0},  # scored here, from the samples
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
            "generation_kwargs": {"until": [], "max_gen_toks": settings.max_new_tokens, **sampling},
        }
    )


def _runner(model: Any, tokenizer: Any, settings: ExamSettings, total: int, progress: Progress) -> Any:
    """lm-eval's runner over the loaded model, which keeps `</think>` in the text and tells how far it is."""
    from lm_eval.models.huggingface import HFLM

    class Runner(HFLM):  # type: ignore[misc]
        done = 0

        def tok_decode(self, tokens: Any, skip_special_tokens: bool = True) -> Any:
            return super().tok_decode(tokens, skip_special_tokens=False)

        def _model_generate(self, context: Any, *args: Any, **options: Any) -> Any:
            written = super()._model_generate(context, *args, **options)
            self.done += len(context)
            progress(self.done, total, "questions")
            return written

    return Runner(pretrained=model, tokenizer=tokenizer, batch_size=settings.batch_size, trust_remote_code=False)


def put(question: ExamQuestion) -> str:
    """The question as it is asked, in its own language."""
    last_line = (
        "请选出正确答案，并在最后一行写“答案：”和选项字母。"
        if _HAN.search(question.question)
        else 'Choose the right answer, and end with a line "Answer:" and the letter.'
    )
    shown = "\n".join(part for part in (question.question, question.options) if part)
    return f"{shown}\n\n{last_line}"


def chosen_letters(answer: str) -> str | None:
    """The letters that an answer settles on: the last called the answer, else the last chosen, else the last alone."""
    found = _SAID.findall(answer) or _CHOSEN.findall(answer) or _STANDING.findall(answer)
    return "".join(sorted(set(re.findall("[A-H]", found[-1])))) if found else None


def exam_scores(
    base: Sequence[ExamAnswer], tuned: Sequence[ExamAnswer], questions: Sequence[AskedQuestion]
) -> list[ExamScore]:
    """Right answers of both arms by exam, over all items and over those that training rows do not hold.

    Args:
        base: the base's answers to all questions.
        tuned: the tuned model's.
        questions: the items asked, and whether training rows hold them.
    """
    of_base, of_tuned = ({(each.exam, each.id): each for each in answers} for answers in (base, tuned))
    rows = []
    for exam in sorted({question.exam for question in questions}):
        items = [question for question in questions if question.exam == exam]
        which: dict[Items, list[AskedQuestion]] = {
            "all": items,
            "without overlap": [item for item in items if not item.overlaps],
        }
        for name, some in which.items():
            pairs = [(of_base[exam, item.id], of_tuned[exam, item.id]) for item in some]
            rows.append(
                ExamScore(
                    exam=exam,
                    items=name,
                    **dict(compare([(one.right, other.right) for one, other in pairs])),
                    base_unparsed=sum(one.chosen is None for one, _ in pairs),
                    tuned_unparsed=sum(other.chosen is None for _, other in pairs),
                )
            )
    return rows


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
