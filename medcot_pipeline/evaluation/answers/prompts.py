"""Which prompts are asked, and what is known of them: their hash, their strata, and whether training saw them.

Belongs here: the sets that the settings name, figures over prompts.
Does not belong here: reading a file of them (records/), answering them.
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from medcot_pipeline.corpus.normalize.text import comparison_key
from medcot_pipeline.corpus.overlap.benchmark_files import Benchmark
from medcot_pipeline.corpus.overlap.screen import overlapping_items
from medcot_pipeline.records.answer_figures import Stratum
from medcot_pipeline.records.prompts import Prompt, PromptSet, of_set, read_prompts
from medcot_pipeline.settings import AnswerSettings, project_file
from medcot_pipeline.support.errors import MedcotError


def prompt_files(settings: AnswerSettings, root: Path) -> dict[PromptSet, Path]:
    """The file of every set that is asked.

    Args:
        settings: paths as set.
        root: folder that relative paths start from.
    """
    named: dict[PromptSet, Path] = {"instructions": settings.prompts}
    if settings.max_further != 0:
        named |= {"vignettes": settings.vignettes, "emergencies": settings.emergencies, "general": settings.general}
    return {name: project_file(path, root) for name, path in named.items()}


def asked_prompts(settings: AnswerSettings, root: Path) -> list[Prompt]:
    """The prompts of every set that is asked, set by set.

    Raises:
        MedcotError: a file cannot be read as prompts, or an identifier stands in two files.
    """
    found: dict[str, Prompt] = {}
    for name, path in prompt_files(settings, root).items():
        limit = settings.max_prompts if name == "instructions" else settings.max_further
        for prompt in read_prompts(path, limit, name):
            if prompt.id in found:
                raise MedcotError(
                    f"{path}: the id {prompt.id} is taken by a prompt of the set {found[prompt.id].set}.",
                    "Give it another id.",
                )
            found[prompt.id] = prompt
    return list(found.values())


def prompts_sha256(prompts: Sequence[Prompt]) -> str:
    """SHA-256 of the prompts that were asked, in their order."""
    lines = [json.dumps(dataclasses.asdict(prompt), ensure_ascii=False, sort_keys=True) for prompt in prompts]
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


def strata(prompts: Sequence[Prompt]) -> list[Stratum]:
    """Prompts by set and category: in each language, with constraints, and emergencies."""
    counts = Counter((prompt.set, prompt.category, column) for prompt in prompts for column in _columns(prompt))
    columns = ("zh", "en", "with_constraints", "emergencies")
    found = []
    for name in dict.fromkeys(prompt.set for prompt in prompts):
        for category in sorted({prompt.category for prompt in of_set(prompts, name)}):
            within = {column: counts[name, category, column] for column in columns}
            found.append(Stratum(set=name, category=category, **within))
    return found


def _columns(prompt: Prompt) -> list[str]:
    return [
        prompt.language,
        *(["with_constraints"] if prompt.constraints else []),
        *(["emergencies"] if prompt.emergency else []),
    ]


def refuse_trained_prompts(prompts: Sequence[Prompt], rows: pl.DataFrame) -> None:
    """Refuse prompts that training saw, before anything is paid for their answers.

    Raises:
        MedcotError: a prompt stands in a training row; names every such prompt.
    """
    confirmed = prompts_in_training(prompts, rows)["confirmed"]
    if confirmed:
        raise MedcotError(
            f"{len(confirmed):,} of {len(prompts):,} prompts also appear in the training rows: {', '.join(confirmed)}.",
            "Take them out of the file of MEDCOT_ANSWERS__PROMPTS, or give its folder as "
            "MEDCOT_SPLITS__BENCHMARK_DIR, so that such rows leave training.",
        )


def prompts_in_training(prompts: Sequence[Prompt], rows: pl.DataFrame) -> dict[str, list[str]]:
    """Prompts that stand in training rows: `confirmed` the same question, `flagged` only much shared text.

    The screen is that of the benchmarks (corpus/overlap/screen.py), and equal comparison keys whatever their length.

    Args:
        prompts: the frozen prompts.
        rows: `row_id`, `split`, `key`: str; rows of other splits than train are passed over.
    """
    train = rows.filter(split="train")
    keys = set(train["key"])
    confirmed = {prompt.id for prompt in prompts if comparison_key(prompt.prompt) in keys}
    items = Benchmark("prompts", [prompt.id for prompt in prompts], [prompt.prompt for prompt in prompts])
    verdicts = overlapping_items(train, items)
    confirmed |= {prompt for prompt, verdict in verdicts.items() if verdict == "confirmed"}
    return {"confirmed": sorted(confirmed), "flagged": sorted(set(verdicts) - confirmed)}
