"""Questions as a task of lm-eval, which puts them and collects what was written, and a model of lm-eval's that writes.

Belongs here: everything that knows lm-eval.
Does not belong here: writing (inference/), how a question is put, what an answer is worth (asking.py).
"""

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from medcot_pipeline.inference.requests import Request, Sampling, WrittenText, request_seed
from medcot_pipeline.settings import ExamSettings

Write = Callable[[Sequence[Request]], Sequence[WrittenText]]


class PutQuestion(NamedTuple):
    """A question as it is put: its name among all, its text, its key."""

    name: str
    text: str
    key: str


def ask_through_lm_eval(
    questions: Sequence[PutQuestion], tokenizer: Any, settings: ExamSettings, longest: int, write: Write
) -> list[list[WrittenText]]:
    """What is written for each question, `settings.samples` times.

    lm-eval's own cache stays off: its key knows the question, not the model, and would make all models equal.

    Args:
        questions: names differ.
        tokenizer: of the model; its chat template and its tokens.
        settings: sampling, samples and the seed.
        longest: most tokens of an answer.
        write: writes requests, in their order.
    """
    os.environ["DISABLE_MULTIPROC"] = "1"  # its bootstrap would fork a process that already uses the GPU
    from lm_eval import simple_evaluate

    model = lm_eval_model([question.name for question in questions], tokenizer, settings.seed, write)
    outcome = simple_evaluate(
        model=model,
        tasks=[_task(questions, settings, longest)],
        apply_chat_template=True,
        use_cache=None,
        bootstrap_iters=0,
        verbosity="ERROR",
    )
    by_question = {sample["doc_id"]: sample["resps"][0] for sample in outcome["samples"]["exams"]}
    return [
        [dataclasses.replace(model.written[place, number], text=text) for number, text in enumerate(by_question[place])]
        for place in range(len(questions))
    ]


def lm_eval_model(names: Sequence[str], tokenizer: Any, seed: int, write: Write) -> Any:
    """A model of lm-eval's whose texts are written elsewhere.

    Args:
        names: of the questions, in the order of the task's documents.
        tokenizer: of the model.
        seed: that the seed of every request is made from, with the question's name and the number of its sample.
        write: writes requests, in their order.

    Returns:
        An `lm_eval.api.model.LM`; `written` has by place and number of sample what was written.
    """
    from lm_eval.api.model import LM

    class RequestingModel(LM):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.written: dict[tuple[int, int], WrittenText] = {}

        @property
        def tokenizer_name(self) -> str:
            return str(tokenizer.name_or_path).replace("/", "__")

        def chat_template(self, chat_template: bool | str = False) -> str:
            return str(tokenizer.chat_template)

        def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
            return str(
                tokenizer.apply_chat_template(chat_history, tokenize=False, add_generation_prompt=add_generation_prompt)
            )

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            numbers = Counter[int]()
            asked, places = list[Request](), list[tuple[int, int]]()
            for instance in requests:  # one for each sample, all samples of a question the same
                place, (prompt, options) = instance.doc_id, instance.args
                name = f"{names[place]} {numbers[place]}"
                sampling = Sampling(options["temperature"], options["top_p"]) if options["do_sample"] else Sampling()
                ids = tuple(tokenizer.encode(prompt, add_special_tokens=False))
                asked.append(Request(name, ids, sampling, request_seed(seed, name), options["max_gen_toks"]))
                places.append((place, numbers[place]))
                numbers[place] += 1
            written = write(asked)
            self.written = dict(zip(places, written, strict=True))
            return [each.text for each in written]

        # lm-eval demands the two below of every model and calls them for tasks of other kinds alone: `_task` is
        # `generate_until`. A likelihood of a letter would be that of one within the reasoning.
        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            raise TypeError("this model writes; an exam's task must be generate_until, not loglikelihood")

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            raise TypeError("this model writes; an exam's task must be generate_until, not loglikelihood_rolling")

    return RequestingModel()


def _task(questions: Sequence[PutQuestion], settings: ExamSettings, longest: int) -> Any:
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    rows = Dataset.from_list([{"text": question.text, "answer": question.key} for question in questions])
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
            "process_results": lambda doc, results: {"acc": 0.0},  # scored in asking.py, from the samples
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
            "generation_kwargs": {"until": [], "max_gen_toks": longest, **sampling},
        }
    )
