"""Rows with planted duplicates and near-misses, so that every decision can be marked right or wrong.

The clauses come from the genuine questions where their folder is present (MEDCOT_REALDATA, read at run time, never
stored here), otherwise from a few self-written ones.

Belongs here: clauses, recombination, the planted kinds.
Does not belong here: measuring (corpus.py).
"""

import hashlib
import json
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medcot_pipeline.corpus.dedup.rules.swaps import SWAPS, Swaps

SAME = ("copy", "punctuation", "edit", "reorder")
SHARES = {"copy": 0.04, "punctuation": 0.04, "edit": 0.04, "reorder": 0.04} | dict.fromkeys(SWAPS, 0.02)
ALWAYS_HELD_OUT = {("肝", "肾")}
_SYNONYMS = (
    ("患者", "病人"),
    ("出现", "发生"),
    ("最可能", "最有可能"),
    ("检查", "检测"),
    ("应该", "应"),
    ("如何", "怎样"),
    ("伴有", "伴"),
    ("主要", "首要"),
)
_OWN_BODIES = (
    "患者主诉反复咳嗽3周",
    "体温3℃",
    "左侧胸痛3天",
    "查体见右下肢水肿",
    "血压升高3年",
    "服用青霉素后出现皮疹",
    "肝功能检查正常",
    "心率每分钟3次",
    "女性3岁",
    "尿蛋白阳性",
    "近3个月体重下降",
    "夜间出汗明显",
    "颈部可触及肿块",
    "既往有胃溃疡病史",
)
_OWN_TAILS = (
    "最可能的诊断是什么？",
    "首选的治疗药物是什么？",
    "应首先做哪项检查？",
    "最常见的并发症是什么？",
)


_HAN = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True)
class Planted:
    """Rows as deduplication takes them, and what is true about each.

    `truth` has row_id, base_id (the row it was made from, itself for a base), kind ("base" or a key of SHARES) and
    held_out (whether the substitution pair is one that the rules are not shown).
    """

    rows: pl.DataFrame
    truth: pl.DataFrame


def held_out_swaps() -> dict[str, Swaps]:
    """A third of the pairs of each kind, chosen by the sha256 of the pair."""
    chosen = {}
    for kind, pairs in SWAPS.items():
        ordered = sorted(
            pairs, key=lambda pair: (pair not in ALWAYS_HELD_OUT, hashlib.sha256("/".join(pair).encode()).digest())
        )
        chosen[kind] = tuple(ordered[: (len(pairs) + 2) // 3])
    return chosen


def plant(n: int, key: Callable[[str], str], seed: int = 7, reasoning_chars: int = 0) -> Planted:
    """About `n` rows: bases, and the planted kinds in the shares of SHARES, each from a base of its own.

    Args:
        n: rows wanted.
        key: the comparison key of a question.
        seed: of the generator.
        reasoning_chars: characters of reasoning and answer for each row together, 0 for question columns only.
    """
    rng = random.Random(seed)
    bases = _bases(round(n / (1 + sum(SHARES.values()))), rng)
    order = rng.sample(range(len(bases)), len(bases))
    alphabet = "".join(_HAN.findall("".join(bases[:2000])))
    records = [(f"b{number:07d}", f"b{number:07d}", "base", False, text) for number, text in enumerate(bases)]
    hidden = held_out_swaps()
    at = 0
    for kind, share in SHARES.items():
        wanted, made = round(share * len(bases)), 0
        while made < wanted and at < len(order):
            number, at = order[at], at + 1
            changed = _variant(kind, bases[number], alphabet, hidden, rng)
            if changed is None or (changed[0] == bases[number] and kind != "copy"):
                continue
            made += 1
            records.append((f"{kind[0]}{kind[-1]}{number:07d}", f"b{number:07d}", kind, changed[1], changed[0]))
        order, at = order[at:] + order[:0], 0
    rng.shuffle(records)
    frame = pl.DataFrame(records, schema=["row_id", "base_id", "kind", "held_out", "question"], orient="row")
    fillers = _fillers(bases, len(records), reasoning_chars, rng)
    rows = frame.select(
        "row_id",
        "question",
        pl.Series("reasoning", [text[: len(text) * 3 // 4] for text in fillers], dtype=pl.String),
        pl.Series("answer", [text[len(text) * 3 // 4 :] for text in fillers], dtype=pl.String),
        pl.Series("key", [key(text) for text in frame["question"]], dtype=pl.String),
        pl.lit("zh").alias("language"),
        pl.Series("flags", [[] for _ in records], dtype=pl.List(pl.String)),
    )
    return Planted(rows, frame.drop("question"))


def genuine_questions() -> list[str]:
    """Distinct question stems of the genuine files, in ascending order; none where the folder is absent."""
    folder = Path(os.environ.get("MEDCOT_REALDATA", Path(__file__).parents[2] / "shared" / "data"))
    found: set[str] = set()
    for path in sorted(folder.glob("*.json*")) if folder.is_dir() else []:
        if path.name == "medical_o1_en.json":
            continue
        text = path.read_text(encoding="utf-8")
        rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
        for row in rows:
            question = row.get("Question") or row.get("prompt") or row.get("question") or ""
            found.add(re.split(r"\n\s*A\s*[.．、]", question)[0].strip())
    return sorted(text for text in found if 12 <= len(text) <= 150 and "\n" not in text)


def _bases(n: int, rng: random.Random) -> list[str]:
    """Genuine questions as they are, then clauses of them recombined, with other digits."""
    genuine = genuine_questions()
    bodies, tails = _clauses(genuine) if genuine else (list(_OWN_BODIES), list(_OWN_TAILS))
    bases = rng.sample(genuine, min(n, len(genuine)))
    while len(bases) < n:
        wanted = max(18.0, rng.gauss(36, 16))
        parts: list[str] = []
        while sum(map(len, parts)) < wanted:
            parts.append(re.sub(r"[1-9]", lambda _: rng.choice("123456789"), rng.choice(bodies)))
        bases.append("，".join(parts) + "，" + rng.choice(tails))
    return bases


def _clauses(questions: list[str]) -> tuple[list[str], list[str]]:
    bodies: set[str] = set()
    tails: set[str] = set()
    for question in questions:
        *some, last = [part for part in re.split(r"[，。；,;]", question) if part.strip()] or [""]
        bodies.update(part.strip() for part in some if 4 <= len(part) <= 40)
        if 6 <= len(last) <= 30:
            tails.add(last.strip())
    return sorted(bodies), sorted(tails)


def _fillers(bases: list[str], n: int, chars: int, rng: random.Random) -> list[str]:
    if not chars:
        return [""] * n
    pool = "。".join(bases[:20_000])
    fillers = []
    for _ in range(n):
        parts: list[str] = []
        while sum(map(len, parts)) < chars:
            start = rng.randrange(max(1, len(pool) - 80))
            parts.append(pool[start : start + rng.randint(20, 80)])
        fillers.append("，".join(parts)[:chars])
    return fillers


def _variant(
    kind: str, text: str, alphabet: str, hidden: dict[str, Swaps], rng: random.Random
) -> tuple[str, bool] | None:
    """The changed text and whether the change is a held-out one; nothing where the kind does not apply to the text."""
    if kind == "copy":
        return text, False
    if kind == "punctuation":
        return _punctuation(text, rng), False
    if kind == "edit":
        return _edited(text, alphabet, rng), False
    if kind == "reorder":
        return _reordered(text, rng), False
    return _swapped(text, kind, hidden[kind], rng)


def _punctuation(text: str, rng: random.Random) -> str:
    """Marks, widths and blanks changed; a full stop before a digit stays, as `.5` would be another number."""
    if rng.random() < 0.5:
        text = re.sub("。(?![0-9０-９])", ".", text.replace("，", ",").replace("；", ";"))
    text = text.rstrip("？?。.") + rng.choice(["？", "?", "。", "", " ？"])
    if rng.random() < 0.3:
        text = re.sub(r"[0-9]", lambda match: chr(ord(match[0]) + 0xFEE0), text)
    gaps = [m.end() for m in re.finditer(r"[，。；,;]", text)]
    return text if not gaps else text[: gaps[0]] + " " + text[gaps[0] :]


def _edited(text: str, alphabet: str, rng: random.Random) -> str:
    """Five edits in a hundred characters: a Han character replaced, lost or added at a random place, a third each.

    Digits, signs and Latin letters are left alone: an edit of those is a near-miss, not a misprint.
    """
    chars = list(text)
    places = [place for place, char in enumerate(chars) if _HAN.match(char)]
    edits = min(len(places), max(1, round(0.05 * len(chars))))
    for place in sorted(rng.sample(places, edits), reverse=True):
        change = rng.randrange(3)
        chars[place : place + (change != 2)] = [] if change == 1 else [rng.choice(alphabet)]
    return "".join(chars)


def _reordered(text: str, rng: random.Random) -> str:
    *body, tail = re.split(r"[，,]", text)
    rng.shuffle(body)
    text = "，".join([*body, tail])
    for word, other in _SYNONYMS:
        text = text.replace(word, other)
    return text


def _swapped(text: str, kind: str, hidden: Swaps, rng: random.Random) -> tuple[str, bool] | None:
    choices = [(a, b, (a, b) in hidden) for a, b in SWAPS[kind]]
    choices = [(a, b, out) for a, b, out in choices if a in text] + [(b, a, out) for a, b, out in choices if b in text]
    digits = [m.start() for m in re.finditer(r"\d", text)] if kind == "number" else []
    if digits and (not choices or rng.random() < 0.6):
        place = rng.choice(digits)
        return text[:place] + rng.choice([d for d in "123456789" if d != text[place]]) + text[place + 1 :], False
    if not choices:
        return None
    some = [choice for choice in choices if choice[2]]
    word, other, out = rng.choice(some if some and rng.random() < 0.5 else choices)
    if rng.random() < 0.5:
        return text.replace(word, other), out
    place = rng.choice([m.start() for m in re.finditer(re.escape(word), text)])
    return text[:place] + other + text[place + len(word) :], out
