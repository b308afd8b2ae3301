"""Errors written for the person who must act.

Belongs here: the one base class that commands turn into a single line.
Does not: errors that mean a defect of this project (those keep their traceback).
"""


class MedcotError(Exception):
    """Something outside the code is wrong: the message names the file, row or setting, the value, and the way out."""

    def __init__(self, problem: str, way_out: str = "") -> None:
        """Args: problem: what is wrong, with the value seen. way_out: what to do about it, a sentence or nothing."""
        super().__init__(f"{problem} {way_out}".strip())
