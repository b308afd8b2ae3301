"""Which texts of a record are its question, its reasoning and its answer.

A record has them in three fields, which `source.fields` names; or, where not all three are there, in one of the forms
of chat data: `messages`, `conversations`, `instruction` with `output`, `prompt` with `completion`.

Belongs here: recognising the form, the three fields, and `<think>` around a reasoning.
Does not belong here: taking chat data apart (chat_forms.py), what makes a text unusable (texts.py), reading files
(support/row_files.py), changing any text (corpus/normalize/text.py).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from medcot_pipeline.corpus.sources.chat_forms import FORMS
from medcot_pipeline.corpus.sources.texts import RowTexts, UnusableRecord, usable_text
from medcot_pipeline.settings import FieldNames
from medcot_pipeline.support.errors import printable

THREE_FIELDS = "fields"
WHAT_IS_READ = (
    "A readable record has the three fields, messages, conversations, instruction and output, or prompt and "
    "completion: see docs/inputs.md."
)


def texts_of(record: Any, fields: FieldNames, *, further: bool = False) -> RowTexts:
    """The texts of a record.

    Args:
        record: any JSON value.
        fields: names of the three fields.
        further: the record is of a file beside the source, for which no setting names fields.

    Raises:
        UnusableRecord: it lacks one of the three texts, or holds more than three texts can express.
    """
    if not isinstance(record, Mapping):
        raise UnusableRecord(f"not an object but {type(record).__name__}")
    if not set(_names(fields)) <= set(record):
        for form, (needed, read) in FORMS.items():
            if all(record.get(name) is not None for name in needed):
                return _checked(read(form, record))
    for setting, name in fields:
        if name not in record:
            known = printable(", ".join(map(str, record)))
            way_out = f"rename it to {name}" if further else f"map it with MEDCOT_SOURCE__FIELDS__{setting.upper()}=..."
            raise UnusableRecord(f'no field "{name}" (fields: {known}); {way_out}')
    return _checked(RowTexts(THREE_FIELDS, *(usable_text(f'field "{name}"', record[name]) for name in _names(fields))))


def fields_for(records: Iterable[Any], fields: FieldNames) -> FieldNames:
    """Names of the three fields in a file beside the source: the source's, or the data set's own.

    The data set's own count where no record has a field that only the source's names know, and some record has all
    three.
    """
    standard, found = FieldNames(), [set(record) for record in records if isinstance(record, Mapping)]
    known = set(_names(standard))
    if any(names & (set(_names(fields)) - known) for names in found):
        return fields
    return standard if any(known <= names for names in found) else fields


def unwrap_thought(reasoning: str) -> str:
    """The reasoning without `<think>` and `</think>` where they stand around all of it, and nowhere within it."""
    match = _WRAPPED.fullmatch(reasoning)
    return match[1] if match else reasoning


_WRAPPED = re.compile(r"\s*<think>((?:(?!</?think>).)*)</think>\s*", re.DOTALL)


def _names(fields: FieldNames) -> tuple[str, str, str]:
    return fields.question, fields.reasoning, fields.answer


def _checked(texts: RowTexts) -> RowTexts:
    if texts.reasoning.strip() == texts.answer.strip():
        raise UnusableRecord("reasoning and answer are the same text")
    return texts
