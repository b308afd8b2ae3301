"""Answers as they were given, and those of an endpoint kept one by one: a killed run asks for the others alone.

Belongs here: the record of both backends, and the journal of answers that came from an endpoint.
Does not: asking (endpoint.py), the journal of what the engine in this process wrote (inference/finished.py).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.support.journals import add_line, read_lines
from medcot_pipeline.support.progress import Say

NAME = "answers.jsonl"


@dataclasses.dataclass(frozen=True)
class Given:
    """Answers in the order of their prompts, the seconds that they took, and what was asked otherwise."""

    answers: list[Answer]
    seconds: float
    changed: tuple[str, ...] = ()


class KeptAnswers:
    """What came from an endpoint, by prompt; each is on disk before its place is given to the next."""

    def __init__(self, work: Path, made_with: Mapping[str, str | None], say: Say) -> None:
        """Open the journal of a folder, or begin it.

        Args:
            work: folder of this fingerprint alone.
            made_with: what else an answer depends on, such as the model's name; what came from something else is
                dropped, so that no answers are mixed.
            say: told what was found.
        """
        self._path, self._say = work / NAME, say
        header = {"made_with": dict(made_with)}
        lines = read_lines(self._path)
        if lines and lines[0] != header:
            say("beginning anew: the answers that came are those of another model")
            self._path.unlink()
            lines = []
        if not lines:
            add_line(self._path, header)
        self._kept = {line["answer"]["prompt_id"]: line for line in lines[1:]}

    def open(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The prompts that are still to be asked."""
        left = [prompt for prompt in prompts if prompt.id not in self._kept]
        if len(left) < len(prompts):
            self._say(f"{len(prompts) - len(left):,} of {len(prompts):,} answers came before")
        return left

    def keep(self, answer: Answer, seconds: float, changed: Sequence[str]) -> None:
        """Keep an answer; on disk when this returns. `changed` says what was asked otherwise for it."""
        line = {"answer": dataclasses.asdict(answer), "seconds": seconds, "changed": list(changed)}
        add_line(self._path, line)
        self._kept[answer.prompt_id] = line

    def collect(self, prompts: Sequence[Prompt]) -> Given:
        """The answers to these prompts, in their order; all must have come."""
        lines = [self._kept[prompt.id] for prompt in prompts]
        changed = {each for line in lines for each in line["changed"]}
        answers = [Answer(**line["answer"]) for line in lines]
        return Given(answers, sum(line["seconds"] for line in lines), tuple(sorted(changed)))
