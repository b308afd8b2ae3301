"""What people are shown and what they said: the contents of pack.json, key.json and human.json.

Belongs here: their fields.
Does not belong here: making packs and joining reviews (evaluation/people/), the file that a review page saves, which
keeps whatever the page wrote under its checksum (evaluation/people/review_file.py).
"""

from typing import Literal

from medcot_pipeline.records.figures import ByArm, Count, RecordModel
from medcot_pipeline.records.verdicts import Outcome, Verdict

Look = Literal[1, 2]
"""The first at all prompts, or the second at those in dispute and a sample of the others."""
Shown = Literal["base", "tuned"]


class PackItem(RecordModel):
    """A prompt with two answers; `guess` says that the reviewer is asked which side is the further trained model."""

    item: int
    prompt: str
    language: str
    left: str
    right: str
    guess: bool


class PackContent(RecordModel):
    """What a reviewer sees; `reviewer` is whose second look it is, and empty for the first."""

    look: Look
    reviewer: str
    items: tuple[PackItem, ...]


class _OfPack(RecordModel):
    pack: str


class Pack(PackContent, _OfPack):
    """The same under its name, the SHA-256 of all else in it."""


class Side(RecordModel):
    """Which prompt an item shows, and which arm stands on which side."""

    prompt_id: str
    left: Shown
    right: Shown
    repeat: bool

    def arm(self, side: str) -> Shown:
        """The arm on the `left` or the `right`."""
        return self.left if side == "left" else self.right


class Key(RecordModel):
    """The sides of a pack, by the item's number as text."""

    pack: str
    look: Look
    reviewer: str
    sides: dict[str, Side]


class Guesses(RecordModel):
    """How often a reviewer told the sides apart when asked."""

    right: Count = 0
    wrong: Count = 0
    unknown: Count = 0


class SecondLook(RecordModel):
    """What one reviewer looks at again, disputes and agreements: how many items, and the verdicts given so far."""

    pack: str
    items: Count
    verdicts: tuple[Verdict, ...]


class Reviewer(RecordModel):
    """One reviewer's first look. `repeated` has both outcomes of prompts that were shown twice."""

    reviewer: str
    qualification: str
    verdicts: tuple[Verdict, ...]
    missing: Count
    repeated: tuple[tuple[Outcome, Outcome], ...]
    guesses: Guesses
    minutes: float
    second_look: SecondLook | None


class HumanReviews(RecordModel):
    """All reviews together; `unsafe` has the prompts whose answer a reviewer marked, by arm."""

    status: Literal["none yet", "reviewed"]
    reviewers: tuple[Reviewer, ...]
    unsafe: ByArm[tuple[str, ...]]
