"""One model's answers to the frozen prompts.

Belongs here: a prompt as a request, and what was written as an answer, whoever writes.
Does not belong here: writing (inference/), judging an answer.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from medcot_pipeline.chat import opens_thinking, split_written
from medcot_pipeline.inference.requests import Request, Sampling, WrittenText, request_seed
from medcot_pipeline.inference.served.model import ServedModel
from medcot_pipeline.inference.writing import Writer, write_requests
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import AnswerSettings
from medcot_pipeline.support.progress import Say


@dataclasses.dataclass(frozen=True)
class Given:
    """Answers in the order of their prompts.

    Attributes:
        seconds: that writing them took.
        changed: what an endpoint was asked otherwise than wanted, sorted.
        served: models that an endpoint says wrote them, sorted.
    """

    answers: list[Answer]
    seconds: float
    changed: tuple[str, ...] = ()
    served: tuple[str, ...] = ()


def generate_answers(
    writer: Writer, arm: Arm, prompts: Sequence[Prompt], settings: AnswerSettings, work: Path, say: Say
) -> Given:
    """Answers of one model; those that a killed run finished are read from `work`, not written again.

    Args:
        writer: the model.
        arm: which of those compared it is.
        prompts: prompts to answer.
        settings: sampling and lengths.
        work: folder for the finished answers of this fingerprint alone.
        say: where progress goes.

    Raises:
        MedcotError: the model cannot write them; what it wrote before is kept.
    """
    written = write_requests(writer, answer_requests(prompts, settings), work, say, what="answers")
    opened = opens_thinking(writer.generation_prompt)
    return Given(
        [_answer(prompt, arm, each, opened=opened) for prompt, each in zip(prompts, written.texts, strict=True)],
        written.seconds,
        changed=tuple(sorted({said for each in written.texts for said in each.asked_otherwise})),
        served=tuple(sorted({each.served for each in written.texts if each.served})),
    )


def served_model(settings: AnswerSettings, arm: Arm, generation_prompt: str) -> ServedModel:
    """The model of an arm at the endpoint, base or tuned; both arms come from one endpoint."""
    return ServedModel(
        settings.endpoint, "base" if arm == "base" else "tuned", generation_prompt, section="MEDCOT_ANSWERS"
    )


def answer_requests(prompts: Sequence[Prompt], settings: AnswerSettings) -> list[Request]:
    """What a model is asked: the seed of a prompt is the same in every arm, whatever other prompts there are."""
    sampling = Sampling(settings.temperature, settings.top_p)
    return [
        Request(
            id=prompt.id,
            prompt_ids=(),
            sampling=sampling,
            seed=request_seed(settings.seed, prompt.id),
            max_tokens=settings.max_new_tokens,
            message=prompt.prompt,
        )
        for prompt in prompts
    ]


def _answer(prompt: Prompt, arm: Arm, written: WrittenText, *, opened: bool) -> Answer:
    text = split_written(written.text, opened_by_prompt=opened)
    return Answer(
        prompt_id=prompt.id,
        arm=arm,
        reasoning=text.reasoning,
        answer=text.answer,
        closed=text.closed,
        finished=written.finished,
        tokens=written.tokens,
    )
