"""Reading the source rows, exactly as they are.

Belongs here: the sample, a file, the public data set at a revision, the rows of all files and their ids.
Does not belong here: formats of files (support/row_files.py), forms of records (forms.py), which revision and which
further files there are (incoming.py), changing any text (corpus/normalize/text.py).
"""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from medcot_pipeline.corpus.sources.forms import fields_for, texts_of
from medcot_pipeline.corpus.sources.texts import UnusableRecord
from medcot_pipeline.settings import SourceSettings, project_file
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.net.hub import fetching
from medcot_pipeline.support.row_files import KNOWN_FORMATS, BrokenRecord, file_format, read_records

SAMPLE = Path("data/sample/medical_o1_sample.json")
HUB_FILES = {
    "zh": "medical_o1_sft_Chinese.json",
    "en": "medical_o1_sft.json",
    "zh_mix": "medical_o1_sft_mix_Chinese.json",
    "en_mix": "medical_o1_sft_mix.json",
}
HUB_SECONDS = 20.0
"""How long the hub may take to say what its newest revision is."""
ROW_SCHEMA = {"row_id": pl.String, "question": pl.String, "reasoning": pl.String, "answer": pl.String}


@dataclasses.dataclass(frozen=True)
class Reject:
    """A row that cannot be used: where it stands, why, and what it held."""

    where: str
    reason: str
    row: str


@dataclasses.dataclass(frozen=True)
class SourceRows:
    """Usable rows (`ROW_SCHEMA`, in the source's order), the rejected ones, and the forms that rows were read from."""

    rows: pl.DataFrame
    rejects: list[Reject]
    forms: tuple[str, ...]


def locate(settings: SourceSettings, root: Path) -> Path:
    """The file that holds the rows, fetched from the hub where that is the source.

    Args:
        settings: the source.
        root: folder that relative paths start from.

    Raises:
        MedcotError: no such file, an unknown format, or the hub cannot be reached.
    """
    if settings.kind == "hub":
        return fetch_from_hub(settings)
    path = local_file(settings, root)
    if not path.is_file():
        raise MedcotError(f"{path}: no such file.", f"Set MEDCOT_SOURCE__PATH to a file: {KNOWN_FORMATS}.")
    if not file_format(path):
        raise MedcotError(f"{path}: unknown format {path.suffix or 'without suffix'}.", f"Known: {KNOWN_FORMATS}.")
    return path


def local_file(settings: SourceSettings, root: Path) -> Path:
    """Where the rows lie when they do not come from the hub, whether there is such a file or not."""
    return project_file(SAMPLE if settings.kind == "sample" else settings.path or SAMPLE, root)


def fetch_from_hub(settings: SourceSettings) -> Path:
    """Download the configuration's file at the pinned revision, or find it in the cache; a broken download resumes.

    Raises:
        MedcotError: no network, or no such data set, revision or file.
    """
    from huggingface_hub import hf_hub_download

    name = HUB_FILES[settings.config]
    with fetching(
        f"{settings.repository} at {settings.revision[:12]}: {name}",
        "Check the network and MEDCOT_SOURCE__REVISION, or download the file elsewhere and set "
        "MEDCOT_SOURCE__KIND=file and MEDCOT_SOURCE__PATH.",
    ):
        return Path(hf_hub_download(settings.repository, name, repo_type="dataset", revision=settings.revision))


def newest_revision(settings: SourceSettings) -> str:
    """The commit that the data set's main branch has at the hub now, 40 hexadecimal digits.

    Raises:
        MedcotError: no network, or no such data set.
    """
    from huggingface_hub import HfApi

    with fetching(
        f"{settings.repository}: its newest revision", "Check the network, or set MEDCOT_SOURCE__FOLLOW_HUB=false."
    ):
        return str(HfApi().dataset_info(settings.repository, timeout=HUB_SECONDS).sha)


def read_rows(path: Path, settings: SourceSettings) -> SourceRows:
    """Read every row of a file; a row that cannot be used becomes a `Reject`.

    Raises:
        MedcotError: the file is not of its format, is not UTF-8, or holds no row.
    """
    return _read_file(path, settings, {}, further=False)


def read_source(path: Path, further: Sequence[Path], settings: SourceSettings) -> tuple[SourceRows, ...]:
    """The rows of the source, and of each further file; row ids are unique over all.

    A further file may have the data set's own field names in the place of the source's. `max_rows` holds for the source
    alone. A reject's `where` names its file too.
    """
    seen: dict[str, int] = {}
    parts = [_read_file(path, settings, seen, further=False)]
    parts += [_read_file(file, settings, seen, further=True) for file in further]
    return tuple(
        dataclasses.replace(
            part, rejects=[Reject(f"{file.name}, {each.where}", each.reason, each.row) for each in part.rejects]
        )
        for file, part in zip([path, *further], parts, strict=True)
    )


def _read_file(path: Path, settings: SourceSettings, seen: dict[str, int], *, further: bool) -> SourceRows:
    """`seen` counts the rows of every file read so far by their content."""
    records = list(itertools.islice(read_records(path), None if further else settings.max_rows))
    if not records:
        raise MedcotError(f"{path}: no rows in it.", "Give a file with at least one row.")
    fields = fields_for((record for _, record in records), settings.fields) if further else settings.fields
    rows: list[tuple[str, str, str, str]] = []
    rejects: list[Reject] = []
    forms: set[str] = set()
    for where, record in records:
        if isinstance(record, BrokenRecord):
            rejects.append(Reject(where, record.problem, record.held[:2000]))
            continue
        try:
            form, question, reasoning, answer = texts_of(record, fields, further=further)
        except UnusableRecord as problem:
            rejects.append(Reject(where, str(problem), json.dumps(record, default=str)[:2000]))
        else:
            forms.add(form)
            rows.append((_row_id(question, reasoning, answer, seen), question, reasoning, answer))
    return SourceRows(pl.DataFrame(rows, schema=ROW_SCHEMA, orient="row"), rejects, tuple(sorted(forms)))


def _row_id(question: str, reasoning: str, answer: str, seen: dict[str, int]) -> str:
    """16 hexadecimal digits of the row's content; a repeated row gets `-2`, `-3`, ... behind them."""
    digest = hashlib.sha256("\0".join((question, reasoning, answer)).encode("utf-8")).hexdigest()[:16]
    seen[digest] = seen.get(digest, 0) + 1
    return digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
