"""Where lines are printed: a terminal with a width and colours, or a pipe or file.

Belongs here: aligned tables, colours, and the age of a time stamp.
Does not belong here: what the tables hold.
"""

import dataclasses
import datetime
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence

import click

from medcot_pipeline.support.progress import age

GAP = "  "
LEAST_WRAPPED = 30
"""Characters that the last column needs before it is worth wrapping."""


@dataclasses.dataclass(frozen=True)
class Screen:
    """Where lines go.

    Attributes:
        width: characters of a line in a terminal; None in a pipe or a file, where no line is wrapped.
        colour: whether colours are shown.
    """

    width: int | None = None
    colour: bool = False

    @classmethod
    def of_stdout(cls) -> "Screen":
        """Standard output as it is now. `NO_COLOR`, set to anything, turns colours off (https://no-color.org)."""
        if not sys.stdout.isatty():
            return cls()
        colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return cls(shutil.get_terminal_size().columns, colour)

    def painted(self, text: str, colour: str | None) -> str:
        """The text in a colour, where colours are shown."""
        return click.style(text, fg=colour) if colour and self.colour else text


def table_lines(
    titles: Sequence[str], rows: Sequence[Sequence[str]], screen: Screen, colours: Mapping[str, str]
) -> list[str]:
    """Rows with aligned columns; a column that is empty in every row is left out.

    A terminal gets the titles, and its last column is wrapped within its place. A pipe or a file gets one line for each
    row and nothing else, so that a script can read it.

    Args:
        titles: one for each column.
        rows: a text for each column.
        screen: where the lines go.
        colours: the colour of a cell, by its text.
    """
    kept = [index for index in range(len(titles)) if any(row[index] for row in rows)]
    cells = [[row[index] for index in kept] for row in rows]
    if screen.width is not None:
        cells.insert(0, [titles[index] for index in kept])
    widths = [max(len(row[column]) for row in cells) for column in range(len(kept))]
    indent = len(GAP) + sum(width + len(GAP) for width in widths[:-1])
    lines = []
    for number, row in enumerate(cells):
        first, *more = wrapped(row[-1], indent, screen)
        title = number == 0 and screen.width is not None
        texts = [
            screen.painted(text, "bright_black" if title else colours.get(text)) + " " * (width - len(text))
            for text, width in zip([*row[:-1], first], widths, strict=True)
        ]
        lines += [GAP + GAP.join(texts).rstrip(), *(" " * indent + text for text in more)]
    return lines


def wrapped(text: str, indent: int, screen: Screen) -> list[str]:
    """The lines of a text that begins behind some characters; one line in a pipe, or where there is hardly any room."""
    room = 0 if screen.width is None else screen.width - indent
    return (textwrap.wrap(text, room, break_on_hyphens=False) or [text]) if room >= LEAST_WRAPPED else [text]


def since(created: str) -> str:
    """How long ago a time was, `3 h ago`; a time that is still to come is now.

    Args:
        created: time in the form of ISO 8601, with its zone.
    """
    return age(max(0.0, time.time() - datetime.datetime.fromisoformat(created).timestamp()))
