"""Reading the source rows, exactly as they are.

Belongs here: the sample, files in four formats, the public data set at a revision, what makes a row unusable.
Does not: which revision and which further files there are (incoming.py), changing any text (normalize.py).
"""

import csv
import dataclasses
import hashlib
import io
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from medcot_pipeline.errors import MedcotError
from medcot_pipeline.hub import fetching
from medcot_pipeline.settings import SourceSettings, project_file

SAMPLE = Path("data/sample/medical_o1_sample.json")
HUB_FILES = {
    "zh": "medical_o1_sft_Chinese.json",
    "en": "medical_o1_sft.json",
    "zh_mix": "medical_o1_sft_mix_Chinese.json",
    "en_mix": "medical_o1_sft_mix.json",
}
FORMATS = (".json", ".jsonl", ".csv", ".parquet")
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
    """Usable rows (`ROW_SCHEMA`, in the source's order) and the rejected ones."""

    rows: pl.DataFrame
    rejects: list[Reject]

    @property
    def reject_rate(self) -> float:
        """Share of rejected rows among all."""
        total = self.rows.height + len(self.rejects)
        return len(self.rejects) / total if total else 0.0


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
        raise MedcotError(
            f"{path}: no such file.", "Set MEDCOT_SOURCE__PATH to a .json, .jsonl, .csv or .parquet file."
        )
    if path.suffix.lower() not in FORMATS:
        raise MedcotError(f"{path}: unknown format {path.suffix or 'without suffix'}.", f"Known: {', '.join(FORMATS)}.")
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
    return _read_file(path, settings, settings.max_rows, {})


def read_source(path: Path, further: Sequence[Path], settings: SourceSettings) -> tuple[SourceRows, ...]:
    """The rows of the source, and of each further file as `read_rows` reads them; row ids are unique over all.

    `max_rows` holds for the source alone. A reject's `where` names its file too.
    """
    seen: dict[str, int] = {}
    parts = [_read_file(path, settings, settings.max_rows, seen)]
    parts += [_read_file(file, settings, None, seen) for file in further]
    return tuple(
        SourceRows(part.rows, [Reject(f"{file.name}, {each.where}", each.reason, each.row) for each in part.rejects])
        for file, part in zip([path, *further], parts, strict=True)
    )


def _read_file(path: Path, settings: SourceSettings, limit: int | None, seen: dict[str, int]) -> SourceRows:
    """`seen` counts the rows of every file read so far by their content."""
    names = (settings.fields.question, settings.fields.reasoning, settings.fields.answer)
    rows: list[tuple[str, str, str, str]] = []
    rejects: list[Reject] = []
    for where, record in itertools.islice(_records(path), limit):
        problem = _problem(record, names, settings)
        if problem:
            held = record.line if isinstance(record, _Unreadable) else json.dumps(record, default=str)
            rejects.append(Reject(where, problem, held[:2000]))
        else:
            question, reasoning, answer = (record[name] for name in names)
            rows.append((_row_id(question, reasoning, answer, seen), question, reasoning, answer))
    if not rows and not rejects:
        raise MedcotError(f"{path}: no rows in it.", "Give a file with at least one row.")
    return SourceRows(pl.DataFrame(rows, schema=ROW_SCHEMA, orient="row"), rejects)


def _row_id(question: str, reasoning: str, answer: str, seen: dict[str, int]) -> str:
    """16 hexadecimal digits of the row's content; a repeated row gets `-2`, `-3`, ... behind them."""
    digest = hashlib.sha256("\0".join((question, reasoning, answer)).encode("utf-8")).hexdigest()[:16]
    seen[digest] = seen.get(digest, 0) + 1
    return digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def _problem(record: Any, names: tuple[str, str, str], settings: SourceSettings) -> str | None:
    if not isinstance(record, dict):
        return record.problem if isinstance(record, _Unreadable) else f"not an object but {type(record).__name__}"
    for name, setting in zip(names, ("QUESTION", "REASONING", "ANSWER"), strict=True):
        if name not in record:
            fields = ", ".join(str(key) for key in record).encode("utf-8", "backslashreplace").decode()
            return f'no field "{name}" (fields: {fields}); map it with MEDCOT_SOURCE__FIELDS__{setting}=...'
        value = record[name]
        if not isinstance(value, str):
            return f'field "{name}" is {type(value).__name__}, not text'
        if not value.strip():
            return f'field "{name}" is empty'
        if any("\ud800" <= char <= "\udfff" for char in value):
            return f'field "{name}" holds an unpaired surrogate, which is no text'
    return None


@dataclasses.dataclass(frozen=True)
class _Unreadable:
    """A line that is not JSON."""

    problem: str
    line: str


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """Pairs of place in the file and record."""
    if path.suffix.lower() == ".parquet":
        yield from _parquet_records(path)
        return
    text = _read_text(path)
    if path.suffix.lower() == ".jsonl":
        yield from _json_lines(text)
    elif path.suffix.lower() == ".csv":
        csv.field_size_limit(sys.maxsize)
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        try:
            for row in reader:
                yield (
                    f"line {reader.line_num:,}",
                    {key: value for key, value in row.items() if key and value is not None},
                )
        except csv.Error as error:
            raise MedcotError(
                f"{path}: not CSV ({error}) in the row that begins at line {reader.line_num + 1:,}.",
                "Quotes inside a quoted field are doubled.",
            ) from error
    else:
        for number, record in enumerate(_json_array(path, text), start=1):
            yield f"row {number:,}", record


def _read_text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MedcotError(
            f"{path}, line {line:,}: not UTF-8 (byte {data[error.start]:#04x} at offset {error.start:,}).",
            "Save the file as UTF-8.",
        ) from error


def _json_array(path: Path, text: str) -> list[Any]:
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        raise MedcotError(
            f"{path}, line {error.lineno:,}: not JSON ({error.msg}).",
            "A .json file is one array of rows; name a file with a row per line .jsonl.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise MedcotError(f"{path}: JSON that cannot be read ({_json_problem(error)}).") from error
    if not isinstance(records, list):
        raise MedcotError(f"{path}: a .json file must be an array of rows, not {type(records).__name__}.")
    return records


def _json_problem(error: ValueError | RecursionError) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error).partition(";")[0]


def _json_lines(text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                record = _Unreadable(f"not JSON ({_json_problem(error)}): {line[:80]}", line)
            yield f"line {number:,}", record


def _parquet_records(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise MedcotError(f"{path}: not a Parquet file ({str(error).splitlines()[0][:120]}).") from error
    for number, record in enumerate(frame.iter_rows(named=True), start=1):
        yield f"row {number:,}", record
