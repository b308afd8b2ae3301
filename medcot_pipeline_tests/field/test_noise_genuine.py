"""The rules for noise over every genuine text; the rows stay in the folder of MEDCOT_REALDATA."""

import json

import polars as pl
import pytest

from medcot_pipeline.corpus.normalize.mojibake import undo, what_is_left
from medcot_pipeline.corpus.normalize.table import normalize_rows
from medcot_pipeline.corpus.normalize.text_rules import RULES
from medcot_pipeline.settings import NormalizeSettings
from medcot_pipeline_tests.support.genuine import FOLDER, genuine_rows_only
from medcot_pipeline_tests.support.noise_rules import RESIDUE

pytestmark = genuine_rows_only


def test_undoing_encodings_and_entities_changes_no_genuine_text() -> None:
    """Staged after field reports: a repair meant for one file changed the others."""
    entities = next(rule for rule in RULES if rule.name == "entities")
    changed = []
    for path in sorted(FOLDER.glob("*.json*")):
        content = path.read_text(encoding="utf-8")
        records = json.loads(content) if path.suffix == ".json" else [json.loads(line) for line in content.splitlines()]
        for number, record in enumerate(records):
            texts = [value for value in record.values() if isinstance(value, str)]
            if any(undo(text) != text or what_is_left(text) or entities.apply(text) != text for text in texts):
                changed.append(f"{path.name} {number}")
    assert not changed


@pytest.mark.parametrize("name", ["medical_o1_zh.json", "medical_o1_en.json"])
def test_no_rule_for_noise_speaks_of_a_genuine_row(name: str) -> None:
    """Staged after field reports: cleaning rules that were made for chats dropped good medical rows."""
    records = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    fields = [(str(n), each["Question"], each["Complex_CoT"], each["Response"]) for n, each in enumerate(records)]
    rows = pl.DataFrame(fields, schema=["row_id", "question", "reasoning", "answer"], orient="row")
    counts = {rule["rule"]: rule["rows"] for rule in normalize_rows(rows, NormalizeSettings()).rules}
    assert {rule: counts[rule] for rule in RESIDUE} == dict.fromkeys(RESIDUE, 0)
