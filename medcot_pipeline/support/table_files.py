"""Tables in files, opened by exactly the name that is given.

polars takes a path for a pattern: `rows[1].parquet` reads `rows1.parquet`, and nothing is found in a folder called
`[llm] data`. An open file has no name that could be taken for anything else.

Belongs here: every reading of a table by polars; a test asserts that no other module does it.
Does not: what a table holds, or rows as people bring them (corpus/sources/source.py).
"""

import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl


def read_parquet(source: Path | bytes, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The table of a Parquet file, or these columns of it.

    Args:
        source: the file, or what it holds.
        columns: columns to read, all by default.

    Raises:
        OSError: the file cannot be opened.
        PolarsError: it is not Parquet.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        return pl.read_parquet(file, columns=None if columns is None else list(columns))
