"""Messages to a server out of a wording: what is asked, and what follows a reply that says nothing.

Belongs here: the form of a call.
Does not belong here: wordings (the rooms), sending them (inference/endpoint.py).
"""

from collections.abc import Mapping
from string import Template

Messages = list[dict[str, str]]
LONGEST_QUOTE = 4000


def question(wording: Mapping[str, str], **fields: str) -> Messages:
    """The wording's `system`, and its `user` with the fields filled in."""
    user = Template(wording["user"]).substitute(fields)
    return [{"role": "system", "content": wording["system"]}, {"role": "user", "content": user}]


def repair(wording: Mapping[str, str], reply: str, **fields: str) -> Messages:
    """What follows a reply that said nothing; one that rambled is quoted by its beginning."""
    return [
        {"role": "assistant", "content": reply[:LONGEST_QUOTE]},
        {"role": "user", "content": Template(wording["repair"]).substitute(fields)},
    ]
