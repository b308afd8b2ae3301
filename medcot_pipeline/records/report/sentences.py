"""Sentences of a report.

Belongs here: their types.
Does not belong here: wording (evaluation/report/words/).
"""

from typing import Annotated

from pydantic import Field

from medcot_pipeline.records.figures import RecordModel

Sentence = Annotated[str, Field(min_length=1)]


class Bilingual(RecordModel):
    """The same said in English and in Chinese."""

    en: Sentence
    zh: Sentence
