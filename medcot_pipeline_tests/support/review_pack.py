"""A blind pack of twenty prompts, and reviews of it as the page saves them.

Belongs here: prompts, answers, pack and key; reviews that fit.
Does not belong here: what is made of a review.
"""

import json
from pathlib import Path
from typing import Any

from medcot_pipeline.evaluation.people.pack import build_pack
from medcot_pipeline.evaluation.people.review_file import seal
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.records.review import Key
from medcot_pipeline.records.verdicts import Outcome

PROMPTS = [Prompt(f"zh-{number}", "zh", "用药", f"第 {number} 个问题：发热时怎么办？") for number in range(20)]


def answer(prompt_id: str, arm: Arm, text: str) -> Answer:
    return Answer(prompt_id, arm, "思考过程", text, True, True, 20)


WORDS: dict[Arm, str] = {"base": "甲", "tuned": "乙"}
ANSWERS = [answer(prompt.id, arm, f"{prompt.prompt}{word}答") for prompt in PROMPTS for arm, word in WORDS.items()]
PACK, KEY = build_pack(PROMPTS, ANSWERS, "salt", 4)
ONE = {"item": 1, "choice": "left", "comment": "", "unsafe": [], "guess": None, "ms": 1}


def review(**changed: Any) -> dict[str, Any]:
    """Two verdicts of 24, sealed as the page does."""
    verdicts = [
        {"item": 1, "choice": "left", "comment": "更清楚", "unsafe": ["right"], "guess": None, "ms": 900},
        {"item": 2, "choice": "tie", "comment": "", "unsafe": [], "guess": None, "ms": 800},
    ]
    content = {"pack": PACK.pack, "reviewer": "王医生", "qualification": "主治", "verdicts": verdicts, **changed}
    return seal(content)


def whole(key: Key, outcome: Outcome, reviewer: str = "王医生", **changed: str) -> dict[str, Any]:
    """A review in which every item has the outcome; `changed` gives that of single prompts."""
    verdicts = []
    for item, side in key.sides.items():
        wanted = changed.get(side.prompt_id, outcome)
        choice = "tie" if wanted == "tie" else "left" if side.left == wanted else "right"
        verdicts.append({"item": int(item), "choice": choice, "comment": "", "unsafe": [], "guess": None, "ms": 1})
    return seal({"pack": key.pack, "reviewer": reviewer, "qualification": "", "verdicts": verdicts})


def written(folder: Path, content: Any, name: str = "review.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
