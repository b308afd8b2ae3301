"""Small pieces of Markdown: tables, text from outside, bars.

Belongs here: what makes a value safe and readable in a page.
Does not belong here: what a page says (datasets/data_card.py).
"""

import html
import re
from collections.abc import Mapping, Sequence

_ACTIVE = re.compile(r"[\\`*\[\]|~$#!@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)
_LINE_END = re.compile(r"\s*[\n\r\x0b\x0c\x85\u2028\u2029]\s*")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
LONGEST = 160
"""Characters of a text from outside that are shown."""
BAR = 24
"""Characters of the longest bar."""


def plain(text: str) -> str:
    """Text from outside, escaped so that it shows as written: never as markup, HTML, link, formula or table cell."""
    text = _UNPRINTABLE.sub("", _LINE_END.sub(" ⏎ ", text[: LONGEST + 1]))
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return _ACTIVE.sub(lambda match: f"&#{ord(match[0])};", html.escape(text))


def cell(value: object, *, share: bool = False) -> str:
    """A value in a table: numbers with thousands separators, shares (0 to 1) in per cent, None as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:.2%}" if share else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return plain(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """A table with the columns of all rows, in order of appearance; columns named share or ..._share in per cent."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [" | ".join(cell(name.replace("_", " ")) for name in columns), " | ".join("---" for _ in columns)]
    for row in rows:
        lines.append(" | ".join(cell(row.get(name), share=name.split("_")[-1] == "share") for name in columns))
    return "\n".join(f"| {line} |" for line in lines)


def bar(count: int, largest: int) -> str:
    """A bar for a count, `BAR` characters for the largest; at least one for a count above 0."""
    return "█" * max(round(BAR * count / largest), count > 0) if largest else ""


def flatten(values: Mapping[str, object], prefix: str = "") -> list[dict[str, object]]:
    """Rows of name and value for a nested mapping, names joined by dots."""
    rows: list[dict[str, object]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows.extend(flatten(value, f"{prefix}{name}."))
        else:
            rows.append({"name": f"{prefix}{name}", "value": value if isinstance(value, int | float) else str(value)})
    return rows
