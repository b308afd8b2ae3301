"""Compose the demonstration rows of ``medical_o1_sample.json``.

The rows have the shape of a medical reasoning set (Question, Complex_CoT, Response), in Chinese and English. Every row
is put together from the tables beside this file:

* ``conditions_zh.json`` and ``conditions_en.json``: findings, tests, treatments and their reasons by condition;
* ``phrases.json``: the sentence frames of each language;
* ``pairs.json``: hand-written near-miss pairs and rows in a mixture of languages.

After composing, a fixed number of rows is given the blemishes of collected data (see ``PLAN`` and ``README.md``), and
the rows are shuffled. The same tables and seed always give the same bytes::

    python data/sample/compose_sample.py
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
SEED: Final = 20_260_401
INTENTS: Final = ("diagnosis", "test", "treatment", "complication", "mechanism")
LETTERS: Final = "ABCDE"

# How many rows of each language are composed, are short, and carry each planted blemish.
PLAN: Final[dict[str, dict[str, int]]] = {
    "zh": {
        "rows": 340,
        "short": 50,
        "duplicate_whole_row": 4,
        "duplicate_question": 8,
        "duplicate_width_variant": 6,
        "same_vignette": 12,
        "options": 51,
        "options_full_width_dot": 15,
        "answer_letter_conflict": 3,
        "superscript_tag": 5,
        "subscript_tag": 2,
        "line_break_tag": 2,
        "lost_exponent": 3,
        "needs_image": 3,
        "ocr_digit": 3,
        "ideographic_blank": 12,
        "nbsp_blank": 3,
        "ascii_comma": 14,
        "full_width_decimal": 8,
        "kangxi_radical": 2,
        "shared_stem": 4,
        "trailing_spaces": 17,
        "zero_width": 1,
        "byte_order_mark": 1,
        "think_literal": 1,
        "truncated_reasoning": 1,
    },
    "en": {
        "rows": 260,
        "short": 112,
        "duplicate_whole_row": 3,
        "duplicate_question": 6,
        "duplicate_width_variant": 3,
        "same_vignette": 8,
        "superscript_tag": 1,
        "lost_exponent": 1,
        "needs_image": 1,
        "nbsp_blank": 3,
        "trailing_spaces": 26,
        "control_token": 1,
    },
}
# A composed question must stay below this similarity to every other composed question of its language.
QUESTION_SIMILARITY_LIMIT: Final = {"zh": 0.50, "en": 0.50}
QUESTION_LENGTH: Final = {"zh": (50, 92), "en": (150, 296)}
# Lengths of reasoning and response; the last pair bounds both together for short rows.
REASONING_LENGTH: Final = {"zh": (250, 520), "en": (700, 2000)}
RESPONSE_LENGTH: Final = {"zh": (90, 250), "en": (200, 600)}
SHORT_LENGTH: Final = {"zh": (80, 219), "en": (560, 1290)}
DUPLICATE_DISTANCE: Final = 60


@dataclass(frozen=True)
class Finding:
    """Something a vignette reports, and what a reader should make of it."""

    text: str
    meaning: str


@dataclass(frozen=True)
class Vignette:
    """One patient: the condition's entry with every number drawn and every word settled."""

    language: str
    condition: dict[str, Any]
    words: dict[str, str]
    history: tuple[Finding, ...]
    signs: tuple[Finding, ...]
    labs: tuple[Finding, ...]

    @property
    def shown(self) -> list[Finding]:
        """The findings in the order in which the reasoning takes them up."""
        return [*self.signs, *self.labs, *self.history]


@dataclass
class Row:
    """One composed row, with what the planting needs to know about it."""

    language: str
    stem: str
    ask: str
    reasoning: str
    response: str
    family: int
    intent: str = ""
    letter: str = ""
    options: str = ""
    vignette: Vignette | None = None
    marks: set[str] = field(default_factory=set)

    @property
    def question(self) -> str:
        """Stem, question and options, as the row shows them."""
        gap = " " if self.language == "en" and self.stem else ""
        return f"{self.stem}{gap}{self.ask}{self.options}"

    def fields(self) -> dict[str, str]:
        """The three fields that are written."""
        return {"Question": self.question, "Complex_CoT": self.reasoning, "Response": self.response}


def trigrams(text: str) -> frozenset[str]:
    """Character three-grams of a text."""
    return frozenset(text[i : i + 3] for i in range(max(1, len(text) - 2)))


def similarity(left: frozenset[str], right: frozenset[str]) -> float:
    """Jaccard similarity of two sets of three-grams."""
    return len(left & right) / len(left | right)


def draw_numbers(text: str, rng: random.Random) -> str:
    """Replace every ``{low~high}`` or ``{low~high/step}`` by a number from that range, written as finely as ``low``."""

    def drawn(match: re.Match[str]) -> str:
        low, high, step = match.group(1), match.group(2), match.group(3)
        places = len(low.partition(".")[2])
        scale = 10**places
        number = rng.randrange(round(float(low) * scale), round(float(high) * scale) + 1, int(step or 1))
        return f"{number / scale:.{places}f}"

    return re.sub(r"\{([\d.]+)~([\d.]+)(?:/(\d+))?\}", drawn, text)


def swap_sides(text: str, language: str) -> str:
    """Exchange left and right."""
    sides = {"左": "右", "右": "左", "left": "right", "right": "left"}
    pattern = "[左右]" if language == "zh" else r"\b(?:left|right)\b"
    return re.sub(pattern, lambda match: sides[match.group()], text)


def tidy_english(text: str) -> str:
    """Start sentences with a capital letter, and use the singular after the number one."""
    text = re.sub(r"(^|[.?!]\s+|\n\d\. )([a-z])", lambda match: match.group(1) + match.group(2).upper(), text)
    return re.sub(r"(?<![\d.~])\b1 (minute|hour|day|week|month|year)s\b", r"1 \1", text)


def finish(text: str, language: str) -> str:
    """Last corrections of a composed text."""
    text = re.sub(r"\s*\n\n\s*", "\n\n", text)
    if language == "en":
        return tidy_english(text)
    return re.sub("([，。；：？])[，。；]", r"\1", text)


def restates(finding: Finding) -> bool:
    """Whether a finding's meaning names the finding again (written Chinese has no pronoun for it)."""
    return re.match("[一-鿿]{3}", finding.meaning) is not None and finding.meaning[:3] in finding.text


class Composer:
    """Composes the rows of one language."""

    def __init__(self, language: str, rng: random.Random) -> None:
        """Read the tables of a language."""
        self.language = language
        self.rng = rng
        self.conditions: list[dict[str, Any]] = read_table(f"conditions_{language}.json")
        self.phrases: dict[str, Any] = read_table("phrases.json")[language]
        self.seen: list[frozenset[str]] = []
        self.families = 0

    def compose(self, amount: int, short: int) -> list[Row]:
        """Compose rows that differ from one another, ``short`` of them short."""
        subjects = self.subjects(amount)
        brevity = [True] * short + [False] * (amount - short)
        self.rng.shuffle(brevity)
        return [self.distinct_row(*subject, brief) for subject, brief in zip(subjects, brevity, strict=True)]

    def subjects(self, amount: int) -> list[tuple[dict[str, Any], str]]:
        """Pairs of condition and intent: every pair once, then further diagnosis, treatment and test questions."""
        first = [(condition, intent) for condition in self.conditions for intent in INTENTS]
        more = [(c, intent) for intent in ("diagnosis", "treatment", "test", "mechanism") for c in self.conditions]
        chosen = (first + more)[:amount]
        self.rng.shuffle(chosen)
        return chosen

    def distinct_row(self, condition: dict[str, Any], intent: str, brief: bool) -> Row:
        """Draw vignettes until one gives a question of the wanted length that resembles no earlier question."""
        low, high = QUESTION_LENGTH[self.language]
        limit = QUESTION_SIMILARITY_LIMIT[self.language]
        for _ in range(2000):
            vignette = self.vignette(condition, intent)
            stem, ask = self.stem(vignette, intent), self.ask(vignette, intent)
            if not low <= len(stem) + len(ask) <= high:
                continue
            grams = trigrams(stem + ask)
            if all(similarity(grams, other) < limit for other in self.seen):
                break
        else:
            raise RuntimeError(f"the tables hold too little variety for {condition['name']}, {intent}")
        self.seen.append(grams)
        self.families += 1
        row = Row(self.language, stem, ask, "", "", self.families, intent=intent, vignette=vignette)
        self.answer(row, brief)
        return row

    def answer(self, row: Row, brief: bool) -> None:
        """Write reasoning and response of a row, of a length that suits."""
        assert row.vignette is not None
        write = self.brief_answer if brief else self.full_answer
        for _ in range(2000):
            row.reasoning, row.response = write(row)
            if brief:
                low, high = SHORT_LENGTH[self.language]
                if low <= len(row.reasoning) + len(row.response) <= high:
                    row.marks.add("short")
                    return
            else:
                low, high = REASONING_LENGTH[self.language]
                least, most = RESPONSE_LENGTH[self.language]
                if low <= len(row.reasoning) <= high and least <= len(row.response) <= most:
                    return
        raise RuntimeError(f"no answer of the wanted length for {row.vignette.condition['name']}, {row.intent}")

    def vignette(self, condition: dict[str, Any], intent: str) -> Vignette:
        """Draw a patient with this condition."""
        rng = self.rng
        words = self.person(condition)
        mirrored = bool(condition.get("side")) and rng.random() < 0.5

        def settled(text: str) -> str:
            text = draw_numbers(text, rng)
            if mirrored:
                text = swap_sides(text, self.language)
            return re.sub(r"\{(he|him|his|He|His)\}", lambda match: words[match.group(1)], text)

        def findings(kind: str, least: int, most: int) -> tuple[Finding, ...]:
            chosen = rng.sample(condition[kind], rng.randint(least, most))
            return tuple(Finding(settled(text), settled(meaning)) for text, meaning in chosen)

        words["complaint"] = settled(rng.choice(condition["complaints"]))
        words["name"] = condition["name"]
        if self.language == "en":
            words["complaint"] = tidy_english(words["complaint"])
            words["complaint"] = lower_first(words["complaint"])
        history = findings("history", 0, 1)
        # A question about the decisive test should not report its result.
        tested = intent != "test" or bool(condition.get("tcm"))
        signs = findings("signs", 1 if tested else 2, 3)
        labs = findings("labs", 1, 2) if tested else ()
        return Vignette(self.language, condition, words, history, signs, labs)

    def person(self, condition: dict[str, Any]) -> dict[str, str]:
        """Draw age and sex, and the words that follow from them."""
        years = self.rng.randint(*condition["age"])
        unit = condition.get("age_unit", "岁" if self.language == "zh" else "year")
        sex = condition["sex"]
        if self.language == "zh":
            sex = self.rng.choice("男女") if sex == "任" else sex
            if unit == "个月":
                person = f"{sex}婴" if years < 12 else f"{sex}童"
            else:
                person = f"{sex}孩" if years < 14 else f"{sex}性"
            return {"sex": sex, "age": f"{years}{unit}", "person": person}
        young = unit != "year" or years < 18
        if sex in ("any", "child"):
            sex = self.rng.choice(("man", "woman"))
        male = sex in ("man", "boy")
        noun = ("boy" if male else "girl") if young else ("man" if male else "woman")
        article = "an" if years in (8, 11, 18) or 80 <= years < 90 else "a"
        person = f"{article} {years}-{unit}-old {noun}"
        pronouns = ("he", "him", "his") if male else ("she", "her", "her")
        words = dict(zip(("he", "him", "his"), pronouns, strict=True))
        words |= {"He": words["he"].capitalize(), "His": words["his"].capitalize()}
        return words | {"person": person, "Person": person[0].upper() + person[1:]}

    def pick(self, key: str, *keys: str) -> str:
        """Draw a sentence frame."""
        frames: Any = self.phrases[key]
        for inner in keys:
            frames = frames[inner]
        return str(self.rng.choice(frames))

    def stem(self, vignette: Vignette, intent: str) -> str:
        """The part of a question that describes the patient."""
        rng = self.rng
        parts = []
        for kind, findings in (("history", vignette.history), ("signs", vignette.signs), ("labs", vignette.labs)):
            if not findings:
                continue
            frame = self.pick("plain" if vignette.condition.get("tcm") and kind != "history" else kind)
            if self.language == "en":
                items = self.pick("item_join").join(lower_first(finding.text) for finding in findings)
            else:
                items = self.pick("item_join").join(finding.text for finding in findings)
            parts.append(frame.format(items=items))
        rng.shuffle(parts)
        if intent in ("treatment", "complication", "mechanism") and rng.random() < 0.35:
            parts.append(self.pick("known").format(name=vignette.condition["name"]))
        gap = " " if self.language == "en" else ""
        return finish(gap.join([self.pick("intro").format(**vignette.words), *parts]), self.language)

    def ask(self, vignette: Vignette, intent: str) -> str:
        """The question proper."""
        return self.pick("asks", intent).format(ask=vignette.condition["mechanism"][0].rstrip("？"))

    def facts(self, row: Row) -> dict[str, str]:
        """What the sentence frames of an answer may use."""
        assert row.vignette is not None
        condition, words = row.vignette.condition, row.vignette.words
        test, treatment = condition["test"], condition["treatment"]
        other, other_why = self.rng.choice(condition["unlike"])
        if row.intent == "diagnosis":
            answer, why = condition["name"], condition["essence"]
        elif row.intent == "mechanism":
            answer, why = condition["mechanism"][1:]
        else:
            answer, why = condition[row.intent]
        first, second = self.rng.sample(row.vignette.shown, 2)
        care = condition["care"]
        facts = {
            "name": condition["name"],
            "essence": condition["essence"],
            "answer": answer,
            "why": why,
            "other": other,
            "other_why": other_why,
            "test": test[0],
            "test_why": test[1],
            "treatment": treatment[0],
            "care": lower_first(care) if self.language == "en" else care,
            "text1": first.text,
            "meaning1": first.meaning,
            "text2": second.text,
            "meaning2": second.meaning,
            "point1": first.meaning if restates(first) else f"{first.text}，{first.meaning}",
            "point2": second.meaning if restates(second) else f"{second.text}，{second.meaning}",
            "text": first.text,
            "meaning": first.meaning,
        }
        if self.language == "en":
            facts |= {key: lower_first(value) for key, value in facts.items() if key.startswith("text")}
        return words | facts

    def full_answer(self, row: Row) -> tuple[str, str]:
        """Reasoning of several paragraphs, and a response that gives its grounds."""
        assert row.vignette is not None
        vignette, rng = row.vignette, self.rng
        facts = self.facts(row)
        gap = " " if self.language == "en" else ""

        def clue(finding: Finding, frame: str) -> str:
            if restates(finding):
                frame = self.pick("cot_clue_bare")
            text = lower_first(finding.text) if self.language == "en" else finding.text
            return frame.format(text=text, meaning=finding.meaning)

        frames = rng.sample(self.phrases["cot_clue_next"], min(len(self.phrases["cot_clue_next"]), len(vignette.shown)))
        clues = [
            clue(finding, self.pick("cot_clue_first") if place == 0 else frames[place - 1])
            for place, finding in enumerate(vignette.shown)
        ]
        others = rng.sample(vignette.condition["unlike"], rng.choice((1, 2, 2, 3)))
        doubts = [
            frame.format(other=other, why=why)
            for frame, (other, why) in zip(rng.sample(self.phrases["cot_unlike"], len(others)), others, strict=True)
        ]
        paragraphs = [self.pick("cot_open").format(**facts)]
        if len(clues) > 3 and rng.random() < 0.6:
            paragraphs += [gap.join(clues[:2]), gap.join(clues[2:])]
        else:
            paragraphs.append(gap.join(clues))
        paragraphs += [gap.join(doubts)] if rng.random() < 0.6 else doubts
        paragraphs.append(self.pick("cot_essence").format(**facts))
        paragraphs.append(self.pick("cot_step", row.intent).format(**facts))
        paragraphs.append(self.pick("cot_doubt"))
        closing = self.pick("cot_close")
        if row.letter:
            closing = self.pick("cot_option").format(letter=row.letter) + closing
        paragraphs.append(closing)
        if self.language == "zh" and rng.random() < 0.4:
            place = rng.randrange(1, len(paragraphs) - 1)
            paragraphs[place : place + 2] = ["".join(paragraphs[place : place + 2])]

        if row.letter:
            lead = self.pick("response_option").format(letter=row.letter, **facts)
        else:
            lead = self.pick("response_lead", row.intent).format(**facts)
        sentences = [
            lead,
            self.pick("response_support").format(**facts),
            self.pick("response_why", row.intent).format(**facts),
            self.pick("response_care").format(**facts),
        ]
        joint = "\n\n" if rng.random() < 0.5 else (gap or "")
        reasoning = "\n\n".join(part for part in paragraphs if part)
        response = joint.join(part for part in sentences if part)
        return finish(reasoning, self.language), finish(response, self.language)

    def brief_answer(self, row: Row) -> tuple[str, str]:
        """Reasoning of a few sentences, and a response of one or two."""
        facts = self.facts(row)
        facts["step"] = "" if row.intent == "diagnosis" else self.phrases["cot_brief_step"].format(**facts)
        reasoning = self.pick("cot_brief").format(**facts)
        lead = self.pick("response_lead", row.intent).format(**facts)
        why = self.pick("response_why", row.intent).format(**facts)
        if self.language == "en":
            why = f"{self.pick('response_support').format(**facts)} {why}"
        response = self.pick("response_brief").format(lead=lead, why=why)
        return finish(reasoning.strip(), self.language), finish(response.strip(), self.language)

    def with_options(self, row: Row, full_width_dot: bool) -> None:
        """Turn a diagnosis question into one with five options."""
        assert row.vignette is not None
        condition = row.vignette.condition
        names = [condition["name"], *(other for other, _ in condition["unlike"])]
        names.append(self.rng.choice([c["name"] for c in self.conditions if c["name"] not in names]))
        self.rng.shuffle(names)
        row.letter = LETTERS[names.index(condition["name"])]
        dot = "．" if full_width_dot else ". "
        row.options = "".join(f"\n{letter}{dot}{name}" for letter, name in zip(LETTERS, names, strict=True))
        self.answer(row, brief=False)


def lower_first(text: str) -> str:
    """Begin with a small letter, unless the first word is an abbreviation or a name."""
    keep = text[1:2].isupper() or text[1:2] in ("-", "'") or text.startswith(("Rh-", "Gram ", "Romberg", "PaCO", "I "))
    return text if keep else text[:1].lower() + text[1:]


def read_table(name: str) -> Any:
    """Read one of the tables beside this file."""
    return json.loads((HERE / name).read_text(encoding="utf-8"))


Change = Callable[[Row], None]


def edit(*, stem: Callable[[str], str] | None = None, ask: Callable[[str], str] | None = None) -> Change:
    """A change of the question."""

    def change(row: Row) -> None:
        row.stem = stem(row.stem) if stem else row.stem
        row.ask = ask(row.ask) if ask else row.ask

    return change


def pad_lines(row: Row) -> None:
    """Leave spaces at the end of the reasoning's first paragraphs."""
    row.reasoning = row.reasoning.replace("\n\n", " \n\n", 2)


def plant(name: str, amount: int, rows: Sequence[Row], fits: Callable[[Row], bool], change: Change) -> None:
    """Give a blemish to the first ``amount`` rows that fit and have none yet."""
    free = [row for row in rows if not row.marks - {"short"} and fits(row)][:amount]
    if len(free) < amount:
        raise RuntimeError(f"only {len(free)} rows can take the blemish {name}, {amount} are planned")
    for row in free:
        change(row)
        row.marks.add(name)


def full_width(text: str, characters: str) -> str:
    """Write these ASCII characters full-width."""
    return text.translate({ord(char): ord(char) + 0xFEE0 for char in characters})


def subscript_tags(text: str) -> str:
    """Write subscript digits as tags."""
    return re.sub("[₀-₉]", lambda match: f"<sub>{ord(match.group()) - ord('₀')}</sub>", text)


def in_stem(*patterns: str) -> Callable[[Row], bool]:
    """Whether a row's stem holds every pattern."""
    return lambda row: all(re.search(pattern, row.stem) for pattern in patterns)


def copies(composer: Composer, rows: list[Row], plan: dict[str, int]) -> list[Row]:
    """Further rows that repeat a question, or ask another thing about the same patient."""
    plain = [row for row in rows if not row.marks]
    composer.rng.shuffle(plain)
    source = iter(plain)
    added: list[Row] = []

    def add(row: Row, copy: Row, name: str) -> None:
        row.marks.add("origin")
        copy.marks = {name}
        added.append(copy)

    for _ in range(plan["duplicate_whole_row"]):
        row = next(source)
        add(row, replace(row), "duplicate_whole_row")
    for _ in range(plan["duplicate_question"]):
        row = next(source)
        copy = replace(row)
        composer.answer(copy, brief=False)
        add(row, copy, "duplicate_question")
    for number in range(plan["duplicate_width_variant"]):
        row = next(source)
        copy = replace(row)
        composer.answer(copy, brief=False)
        if composer.language == "zh":
            if number % 2:
                copy.stem = re.sub(r"(?<=[\u4e00-\u9fff])(?=\d)|(?<=\d)(?=[\u4e00-\u9fff])", " ", copy.stem)
                copy.ask = copy.ask.replace("？", "?")
            else:
                copy.stem = full_width(copy.stem, "0123456789")
        else:
            copy.stem = copy.stem.replace(". ", ".  ")
            copy.ask = copy.ask.replace("?", " ?")
        add(row, copy, "duplicate_width_variant")
    wanted = plan["same_vignette"]
    while wanted:
        row = next(source)
        if row.intent not in ("diagnosis", "test"):
            continue
        copy = replace(row, intent="treatment" if row.intent == "diagnosis" else "complication")
        assert copy.vignette is not None
        copy.ask = composer.ask(copy.vignette, copy.intent)
        composer.answer(copy, brief=False)
        add(row, copy, "same_vignette")
        wanted -= 1
    return added


def blemish_chinese(composer: Composer, rows: list[Row], plan: dict[str, int]) -> None:
    """Plant the blemishes of the Chinese rows."""
    rng = composer.rng
    order = list(rows)
    rng.shuffle(order)
    long = [row for row in order if "short" not in row.marks]
    diagnosis = [row for row in long if row.intent == "diagnosis" and not row.marks]
    for number, row in enumerate(diagnosis[: plan["options"]]):
        wide = number < plan["options_full_width_dot"]
        composer.with_options(row, wide)
        row.marks |= {"options", "options_full_width_dot"} if wide else {"options"}
    if len(diagnosis) < plan["options"]:
        raise RuntimeError("too few diagnosis questions for the planned options")
    narrow = [row for row in diagnosis[: plan["options"]] if "options_full_width_dot" not in row.marks]
    for row in narrow[: plan["answer_letter_conflict"]]:
        wrong = rng.choice(LETTERS.replace(row.letter, ""))
        row.reasoning = re.sub(rf"(选项里我选|应该选|看一遍选项，){row.letter}", rf"\g<1>{wrong}", row.reasoning)
        row.marks.add("answer_letter_conflict")

    def takes(name: str, fits: Callable[[Row], bool], change: Change, rows: Sequence[Row] = order) -> None:
        plant(name, plan[name], rows, fits, change)

    def sub(pattern: str, new: str) -> Callable[[str], str]:
        return lambda text: re.sub(pattern, new, text)

    def cut(row: Row) -> None:
        row.reasoning = row.reasoning[: len(row.reasoning) * 3 // 5].rstrip("。，\n")

    def open_tag(row: Row) -> None:
        row.reasoning = f"<think>{row.reasoning}"

    radicals = str.maketrans({"大": "\u2f24", "水": "\u2f54", "用": "\u2f64", "血": "\u2f8e"})
    takes("ocr_digit", in_stem(r"10mmHg|0mmHg"), edit(stem=sub(r"(\d)0mmHg", r"\1Ommhg")))
    takes("subscript_tag", in_stem("[₀-₉]"), edit(stem=subscript_tags))
    takes("superscript_tag", in_stem("×10⁹"), edit(stem=sub("×10⁹", "×10<sup>9</sup>")))
    takes("lost_exponent", in_stem("×10⁹/L"), edit(stem=sub("×10⁹/L", "×109/L")))
    takes("line_break_tag", in_stem("。.+。"), edit(stem=lambda text: text.replace("。", "。<br>", 1)))
    takes("full_width_decimal", in_stem(r"\d\.\d"), edit(stem=sub(r"(?<=\d)\.(?=\d)", "．")))
    takes("kangxi_radical", in_stem("[大水].*[用血]|[用血].*[大水]"), edit(stem=lambda text: text.translate(radicals)))
    takes("ascii_comma", in_stem("[一-鿿]，[一-鿿].*，"), edit(stem=sub("(?<=[一-鿿])，(?=[一-鿿])", ",")))
    pictures = iter(("心电图如图所示。", "影像如图。", "\n[img=case_0417.png]\n"))
    takes("needs_image", lambda row: True, lambda row: edit(stem=lambda text: text + next(pictures))(row))
    takes("shared_stem", lambda row: True, edit(stem=lambda text: f"题干：{text}", ask=lambda text: f"81.{text}"))
    blanks = composer.phrases["blank"]

    def ideographic(row: Row) -> None:
        row.ask = blanks[row.intent]

    def nbsp(row: Row) -> None:
        row.ask = blanks[row.intent].replace("\u3000\u3000", "\u00a0\u00a0\u00a0")

    takes("ideographic_blank", lambda row: row.intent in blanks, ideographic)
    takes("nbsp_blank", lambda row: row.intent in blanks, nbsp)
    takes("zero_width", lambda row: "，" in row.stem, edit(stem=lambda text: text.replace("，", "，\u200b", 1)))
    takes("byte_order_mark", lambda row: True, edit(stem=lambda text: f"\ufeff{text}"))
    takes("trailing_spaces", lambda row: row.reasoning.count("\n\n") > 1, pad_lines, long)
    takes("think_literal", lambda row: True, open_tag, long)
    takes("truncated_reasoning", lambda row: True, cut, long)


def blemish_english(composer: Composer, rows: list[Row], plan: dict[str, int]) -> None:
    """Plant the blemishes of the English rows."""
    order = list(rows)
    composer.rng.shuffle(order)
    long = [row for row in order if "short" not in row.marks]

    def takes(name: str, fits: Callable[[Row], bool], change: Change, rows: Sequence[Row] = order) -> None:
        plant(name, plan[name], rows, fits, change)

    def close_turn(row: Row) -> None:
        row.reasoning = f"{row.reasoning}<|im_end|>"

    def picture(text: str) -> str:
        return f"{text} The tracing is shown in the figure. [img=case_0098.png]"

    def spaced(text: str) -> str:
        return re.sub(r"(?<=\d) (?=[a-zA-Zµ])", "\u00a0", text)

    takes("superscript_tag", in_stem("10⁹"), edit(stem=lambda text: text.replace("10⁹", "10<sup>9</sup>")))
    takes("lost_exponent", in_stem("10⁹/L"), edit(stem=lambda text: text.replace("10⁹/L", "109/L")))
    takes("needs_image", lambda row: True, edit(stem=picture))
    takes("nbsp_blank", in_stem(r"\d [a-zA-Zµ]"), edit(stem=spaced))
    takes("control_token", lambda row: True, close_turn, long)
    takes("trailing_spaces", lambda row: row.reasoning.count("\n\n") > 1, pad_lines, long)


def written_rows(language: str, composer: Composer) -> list[Row]:
    """The hand-written rows of a language: near-miss pairs, and rows in a mixture of languages."""
    tables = read_table("pairs.json")
    rows: list[Row] = []
    groups = [(f"near_miss_{pair['kind']}", pair["rows"]) for pair in tables[f"near_miss_{language}"]]
    groups += [("mostly_english", [entry]) for entry in tables.get(f"mostly_english_{language}", [])]
    for mark, entries in groups:
        composer.families += 1
        for entry in entries:
            row = Row(language, "", entry["Question"], entry["Complex_CoT"], entry["Response"], composer.families)
            row.marks.add(mark)
            rows.append(row)
    return rows


def spread(rows: list[Row], rng: random.Random) -> None:
    """Shuffle, then move copies until rows of one family lie far apart."""
    rng.shuffle(rows)
    for _ in range(1000):
        last: dict[tuple[str, int], int] = {}
        close = []
        for place, row in enumerate(rows):
            key = (row.language, row.family)
            if key in last and place - last[key] < DUPLICATE_DISTANCE:
                close.append(place)
            last[key] = place
        if not close:
            return
        for place in close:
            other = rng.randrange(len(rows))
            rows[place], rows[other] = rows[other], rows[place]
    raise RuntimeError("copies could not be spread out")


def compose() -> list[Row]:
    """Compose, blemish and order all rows."""
    everything: list[Row] = []
    for language in ("zh", "en"):
        plan = PLAN[language]
        composer = Composer(language, random.Random(f"{SEED}-{language}"))
        written = written_rows(language, composer)
        copied = sum(plan[name] for name in plan if name.startswith("duplicate_") or name == "same_vignette")
        rows = composer.compose(plan["rows"] - len(written) - copied, plan["short"])
        added = copies(composer, rows, plan)
        (blemish_chinese if language == "zh" else blemish_english)(composer, rows, plan)
        everything += [*rows, *added, *written]
    spread(everything, random.Random(SEED))
    return everything


def counts(rows: Iterable[Row]) -> dict[str, Counter[str]]:
    """How many rows of each language carry each mark."""
    table: dict[str, Counter[str]] = {"zh": Counter(), "en": Counter()}
    for row in rows:
        table[row.language].update(row.marks)
        table[row.language]["rows"] += 1
    return table


def main() -> None:
    """Write the sample, and print what was planted."""
    parser = argparse.ArgumentParser(description="Compose the demonstration rows.")
    parser.add_argument("--output", type=Path, default=HERE / "medical_o1_sample.json")
    output: Path = parser.parse_args().output
    rows = compose()
    text = json.dumps([row.fields() for row in rows], ensure_ascii=False, indent=1)
    output.write_text(f"{text}\n", encoding="utf-8", newline="\n")
    table = counts(rows)
    for name in sorted(set(table["zh"]) | set(table["en"])):
        print(f"{name:26}{table['zh'][name]:5}{table['en'][name]:5}")


if __name__ == "__main__":
    main()
