"""The three texts of a row, and what makes one unusable.

Belongs here: the texts with the form that they were read from, and the test of a single one.
Does not belong here: finding them in a record (forms.py, chat_forms.py), changing any text (corpus/normalize/text.py).
"""

from typing import Any, NamedTuple

EXCEL_CELL = 32_767
"""UTF-16 units that a cell of Excel holds; it cuts off what is longer."""


class UnusableRecord(Exception):
    """Why a record cannot be a row."""


class RowTexts(NamedTuple):
    """The three texts of a record, and the form that they were read from."""

    form: str
    question: str
    reasoning: str
    answer: str


def usable_text(what: str, value: Any) -> str:
    """A value that is usable as a text.

    Raises:
        UnusableRecord: it is not text, is empty, is broken, or was cut by Excel.
    """
    if not isinstance(value, str):
        raise UnusableRecord(f"{what} is {type(value).__name__}, not text")
    if not value.strip():
        raise UnusableRecord(f"{what} is empty")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise UnusableRecord(f"{what} holds an unpaired surrogate, which is no text")
    if EXCEL_CELL // 2 <= len(value) <= EXCEL_CELL and len(value.encode("utf-16-le")) == 2 * EXCEL_CELL:
        raise UnusableRecord(
            f"{what} has exactly {EXCEL_CELL:,} characters, the most that Excel keeps: its end was cut off"
        )
    return value
