"""Blind review by a person: what they are shown, and the page they see it on.

Belongs here: the packs of both looks, their keys kept apart, rendering the page.
Does not belong here: reading what reviewers send back (review_file.py), serving the page (server.py), agreement, files.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from medcot_pipeline.evaluation.judging.judge import answer_pairs
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import ARMS, Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.review import Key, Look, Pack, PackContent, PackItem, Side

TEMPLATES = Path(__file__).parent / "templates"
LEAST_AGREEMENTS = 10
"""Agreements in a second look, where there are so many: of fewer the share that changes cannot be told.

With 97 of 100 prompts agreed on and no preference, simulated intervals of the adjudicated preference hold 0 in 81 % of
the runs with as many agreements as disputes, and in 99 % with at least ten.
"""


def build_pack(prompts: Sequence[Prompt], answers: Sequence[Answer], salt: str, repeats: int) -> tuple[Pack, Key]:
    """What a reviewer sees at first, and apart from it which side is which arm.

    Order and sides come from salted hashes of the prompts' identifiers: the same in every run, another salt shuffles
    anew. The last items repeat some of the first half with their sides swapped (does the reviewer agree with himself?)
    and ask which side the further trained model wrote (was the review blind?). The pack names neither arm nor prompt
    identifier; its `pack` is the SHA-256 of all else in it.

    Args:
        prompts: those without answers of both arms are left out.
        answers: of both arms, in any order; only the text after the reasoning is shown.
        salt: `ReviewSettings.salt`.
        repeats: items shown a second time, at most half of them.

    Returns:
        The pack, with `look` 1 and no reviewer, and its key; items count from 1.

    Raises:
        MedcotError: no prompt has an answer of both arms.
    """
    pairs = sorted(answer_pairs(prompts, answers), key=lambda pair: _hash(salt, "order", pair[0].id))
    first = [(prompt, texts, _sides(salt, prompt), False) for prompt, texts in pairs]
    again = sorted(first[: len(first) // 2], key=lambda shown: _hash(salt, "repeat", shown[0].id))[:repeats]
    swapped = [(prompt, texts, sides[::-1], True) for prompt, texts, sides, _ in again]
    return _pack([*first, *swapped], look=1, reviewer="")


def build_second_look(
    pack: Pack, key: Key, disputed: Collection[str], agreed: Collection[str], reviewer: str
) -> tuple[Pack, Key]:
    """What a reviewer looks at again: every dispute with the AI judge, and among them a sample of the agreements.

    Blind, and shuffled again. Neither verdict is in the pack, nor the judge's reason, nor which prompts are disputed.

    Args:
        pack: what was shown at first.
        key: its key.
        disputed: prompts on which reviewer and judge differ, not empty.
        agreed: prompts on which they do not.
        reviewer: whose second look it is.

    Returns:
        As `build_pack`, with `look` 2 and the reviewer's name.
    """
    salt, shown = f"{pack.pack} {reviewer}", []
    again = {*disputed, *agreements_to_show(agreed, len(disputed), salt)}
    for item in pack.items:
        side = key.sides[str(item.item)]
        if side.prompt_id in again and not side.repeat:
            prompt = Prompt(side.prompt_id, item.language, "", item.prompt)
            texts: dict[Arm, str] = {side.left: item.left, side.right: item.right}
            shown.append((prompt, texts, _sides(salt, prompt), False))
    return _pack(sorted(shown, key=lambda each: _hash(salt, "order", each[0].id)), look=2, reviewer=reviewer)


def agreements_to_show(agreed: Collection[str], disputed: int, salt: str) -> list[str]:
    """A draw, by the salt, of as many agreements as there are disputes, but at least `LEAST_AGREEMENTS`; all if fewer.

    Args:
        agreed: prompts on which reviewer and judge give one verdict.
        disputed: how many prompts they dispute.
        salt: the first pack and the reviewer.
    """
    return sorted(agreed, key=lambda prompt: _hash(salt, "agreement", prompt))[: max(disputed, LEAST_AGREEMENTS)]


def render_page(pack: Pack, token: str | None = None) -> str:
    """The review as one HTML page that needs nothing else: no server, no network, no second file.

    Scripts and styles run by a nonce out of the pack's hash, which no text in the pack can contain. The pack is data
    in the page, escaped so that no answer ends its element, and the script shows it as text only.

    Args:
        pack: of either look.
        token: where a server keeps the verdicts: what the page shows it with each save, to its own address alone.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    shown = pack.model_dump(mode="json")
    return environment.get_template("review.html.j2").render(pack=shown, nonce=pack.pack[:32], token=token)


def _pack(
    shown: Sequence[tuple[Prompt, Mapping[Arm, str], tuple[Arm, Arm], bool]], look: Look, reviewer: str
) -> tuple[Pack, Key]:
    """The pack and its key of prompts with both texts, (left, right), and whether they repeat an earlier item."""
    items, sides = [], dict[str, Side]()
    for number, (prompt, texts, (left, right), repeat) in enumerate(shown, start=1):
        items.append(
            PackItem(
                item=number,
                prompt=prompt.prompt,
                language=prompt.language,
                left=texts[left],
                right=texts[right],
                guess=repeat,
            )
        )
        sides[str(number)] = Side(prompt_id=prompt.id, left=left, right=right, repeat=repeat)
    content = PackContent(look=look, reviewer=reviewer, items=tuple(items))
    pack = hashlib.sha256(json.dumps(content.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
    return (
        Pack(pack=pack, look=look, reviewer=reviewer, items=content.items),
        Key(pack=pack, look=look, reviewer=reviewer, sides=sides),
    )


def _sides(salt: str, prompt: Prompt) -> tuple[Arm, Arm]:
    return ARMS if int(_hash(salt, "side", prompt.id), 16) % 2 else (ARMS[1], ARMS[0])


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
