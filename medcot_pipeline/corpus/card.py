"""The data card: what the corpus is, in Markdown."""

from typing import Any

import polars as pl


def data_card(
    *,
    source: dict[str, Any],
    funnel: list[dict[str, Any]],
    rules: list[dict[str, Any]],
    rows: pl.DataFrame,
    settings: dict[str, Any],
    versions: dict[str, str],
    overlap: list[dict[str, Any]],
) -> str:
    """The card of a corpus."""
    return f"# Data card\n\n{rows.height:,} rows.\n"
