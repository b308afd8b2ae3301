"""Exam files: multiple-choice questions with their options and their key.

A key is letters, never letters fished out of a text: `Dry Heat` would be D and H.

Belongs here: the forms of CMExam, CMB, MedQA and CMMLU, told by the names of their fields, what makes an item one that
cannot be scored, and which of a file's questions are asked.
Does not belong here: taking a file apart (corpus/overlap/benchmark_files.py), asking and scoring (asking.py).
"""

import dataclasses
import hashlib
import heapq
import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medcot_pipeline.corpus.normalize.letters import LETTERS
from medcot_pipeline.corpus.normalize.options import split_options
from medcot_pipeline.corpus.overlap.benchmark_files import Item, read_items
from medcot_pipeline.settings import Settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.folders import files_in
from medcot_pipeline.support.row_files import FORMATS, file_format

FORMS = (
    "question, options (text, an object or a list; CMB: option; CMMLU: a field for each letter) and answer, letters "
    "such as C or A,D (MedQA: answer_idx)"
)
_KEY = re.compile(r"[\s(（\[]*([A-Z](?:[\s、,，;；/|+&和]*[A-Z])*)[\s)）\].。、,，]*")
_OPTION_LINE = re.compile(r"^\s*[(（]?([A-Z])(?:[)）.．、:：\s]|(?=[^\x00-\x7f]))", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class ExamQuestion:
    """One item of an exam.

    Attributes:
        options: the text shown; empty where the options stand in the question.
        answer: letters of the key, sorted.
        order: the file's letters in the order in which the options are shown; empty where that is the file's own.
    """

    exam: str
    id: str
    question: str
    options: str
    answer: str
    order: str = ""


class Exam(NamedTuple):
    """Questions of a file, in its order, and in a sentence how many items are left out and why; empty where none is."""

    questions: list[ExamQuestion]
    left_out: str


def exam_files(settings: Settings, root: Path) -> list[Path]:
    """The exams that are set, sorted by name; none without a folder."""
    folder = settings.exams.folder
    return [path for path in files_in(root / folder) if file_format(path)] if folder else []


def require_exams(folder: Path, files: Sequence[Path]) -> None:
    """Raises MedcotError where the folder that is set has no exam in it, or lm-eval is not installed."""
    if not files:
        raise MedcotError(
            f"MEDCOT_EXAMS__FOLDER={folder}: no {', '.join(FORMATS)} file in it.",
            f"Put the exams there, with {FORMS}, or unset MEDCOT_EXAMS__FOLDER.",
        )
    if importlib.util.find_spec("lm_eval") is None:
        raise MedcotError(
            "MEDCOT_EXAMS__FOLDER is set, but lm-eval is not installed.",
            "Install the extra: pip install 'medcot-pipeline[bench]', or unset MEDCOT_EXAMS__FOLDER.",
        )


def read_exam(path: Path, limit: int, seed: int) -> Exam:
    """A sample of the questions of a file, in any of the forms.

    The file is read item by item, and no more than the sample is held. The same seed gives the same sample, and that of
    a larger limit holds that of a smaller one.

    Args:
        path: the file.
        limit: questions of the sample; all where the file has no more.
        seed: of the sample.

    Raises:
        MedcotError: the file cannot be read, or none of its items is a question with options and a key.
    """
    left_out: list[str] = []
    drawn = heapq.nsmallest(limit, _questions(path, seed, left_out))
    if not drawn:
        raise MedcotError(
            f"{path}{f', {left_out[0]}' if left_out else ': no question in it.'}", f"An item has {FORMS}."
        )
    note = f"{path.name}: {len(left_out):,} of its items left out, first {left_out[0]}" if left_out else ""
    return Exam([question for _, _, question in sorted(drawn, key=lambda each: each[1])], note)


def _questions(path: Path, seed: int, left_out: list[str]) -> Iterator[tuple[bytes, int, ExamQuestion]]:
    """Every question with the lot that it draws and its number in the file; why others are none goes to `left_out`."""
    for number, item in enumerate(read_items(path), start=1):
        try:
            question = _question(path.name, number, item)
        except _Unusable as problem:
            left_out.append(f"{item.where}: {problem}")
        else:
            lot = hashlib.sha256(f"{seed} {path.name} {number}".encode(errors="surrogatepass")).digest()
            yield lot, number, question


def option_texts(question: ExamQuestion) -> dict[str, str]:
    """The texts of the options by letter; empty where they cannot be taken apart."""
    if not question.options:
        return split_options(question.question).options
    found, by_line = split_options(f"\n{question.options}").options, _by_line(question.options)
    return found if len(found) >= len(by_line) else by_line  # letters may be missing between others


class _Unusable(Exception):
    """Why an item cannot be asked or scored, as a sentence."""


def _question(exam: str, number: int, item: Item) -> ExamQuestion:
    if item.problem:
        raise _Unusable(f"{item.problem}.")
    question = _given(item, "question")
    if not isinstance(question, str) or not question.strip():
        raise _Unusable(f"no text in a field question (fields: {', '.join(item.fields)}).")
    shown, letters = _options(item, question)
    if len(letters) < 2 or not set(letters) <= set(LETTERS):
        found = ", ".join(letters) or f"none, fields: {', '.join(item.fields)}"
        raise _Unusable(f"not two options or more, A to H ({found}).")
    return ExamQuestion(exam, f"#{number}", question, shown, _key(item, letters))


def _given(item: Item, name: str) -> Any:
    """The value of a field, None where it is absent."""
    try:
        return item.field(name)
    except (KeyError, ValueError):
        return None


def _options(item: Item, question: str) -> tuple[str, dict[str, str]]:
    """The options as they are shown, and the text of each by its letter; both empty where there are none."""
    for name in ("options", "option", "choices"):
        options = _given(item, name)
        if isinstance(options, str) and options.strip():
            shown = options.replace("\\n", "\n")
            return shown, split_options(f"\n{shown}").options or _by_line(shown)
        if isinstance(options, dict):
            return _with_texts(options)
        if isinstance(options, list) and all(isinstance(option, dict) for option in options):
            return _with_texts({option.get("key"): option.get("value") for option in options})
        if isinstance(options, list):
            return _with_texts(dict(zip(LETTERS, options, strict=False)) if len(options) <= len(LETTERS) else {})
    by_letter = {letter: item.fields[letter] for letter in LETTERS if letter in item.fields}
    if by_letter:
        return _with_texts(by_letter)
    return "", split_options(question).options


def _by_line(shown: str) -> dict[str, str]:
    """The rest of a line by the letter that begins it."""
    return {match[1]: shown[match.end() :].partition("\n")[0].strip() for match in _OPTION_LINE.finditer(shown)}


def _with_texts(options: dict[Any, Any]) -> tuple[str, dict[str, str]]:
    """The options as they are shown and by letter; an option that is empty or null is none."""
    texts = {str(letter).strip(): text for letter, text in options.items() if isinstance(text, str | int | float)}
    kept = {letter: str(text).strip() for letter, text in texts.items() if str(text).strip()}
    return rendered(kept), kept


def rendered(texts: dict[str, str]) -> str:
    """`A. text`, a line each."""
    return "\n".join(f"{letter}. {text}" for letter, text in texts.items())


def _key(item: Item, letters: dict[str, str]) -> str:
    """The letters of the key, sorted: of `answer_idx` where it is given, else of `answer`."""
    answer, index = _given(item, "answer"), _given(item, "answer_idx")
    given = answer if index in (None, "") else index
    match = _KEY.fullmatch(given) if isinstance(given, str) else None
    key = set(re.findall("[A-Z]", match[1])) if match else set()
    if not key or not key <= set(letters):
        raise _Unusable(f"the answer {given!r} is no letter of its options ({', '.join(letters)}).")
    meant = {letter for letter, text in letters.items() if text == answer}
    if meant and not meant & key:
        raise _Unusable(f"answer_idx is {given!r}, but the answer {answer!r} is option {', '.join(sorted(meant))}.")
    return "".join(sorted(key))
