"""What must hold of the corpus after each of its stages, before it is published.

Belongs here: one function per check, over the files of the artifact and of its inputs; blocking where the next stage
would be wrong.
Does not belong here: repairing anything.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from medcot_pipeline.corpus.normalize.text import normalize_text
from medcot_pipeline.corpus.sources.forms import WHAT_IS_READ
from medcot_pipeline.corpus.sources.source import Reject
from medcot_pipeline.corpus.splits.assign import ENOUGH_GROUPS, SPLITS, leaks
from medcot_pipeline.pipeline.check import Check, Inputs, Test
from medcot_pipeline.records.corpus import SUMMARY
from medcot_pipeline.settings import DedupSettings, NoiseActions
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.support.table_files import read_jsonl, read_parquet


def _rows(folder: Path) -> pl.DataFrame:
    return read_parquet(folder / "rows.parquet")


def raw_rows_present(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """At least one row; where there is none, the commonest reason is named."""
    count = _rows(folder).height
    reasons = Counter(reject.reason for reject in read_jsonl(folder / "rejects.jsonl", Reject))
    why = [f" {number:,} cannot be used: {reason}." for reason, number in reasons.most_common(1)]
    return count > 0, f"{count:,} rows." + ("" if count else "".join(why))


def normalized_rows_present(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """At least one row; where there is none, the rule that dropped most is named with its setting."""
    count = _rows(folder).height
    reasons = Counter(read_parquet(folder / "removed.parquet")["reason"].to_list())
    return count > 0, f"{count:,} rows." + ("" if count else _most_dropped_by(reasons))


def _most_dropped_by(dropped: Mapping[str, int]) -> str:
    """A sentence on the noise rule that dropped most rows, and on the setting behind it; empty where none did."""
    if not any(dropped.values()):
        return ""
    rule = max(dropped, key=lambda name: dropped[name])
    what = NoiseActions.model_fields[rule].description
    least = " or the least lengths in MEDCOT_NORMALIZE__MIN_..._CHARS" if rule == "too_short" else ""
    return (
        f" Most rows, {dropped[rule]:,} of {sum(dropped.values()):,}, were dropped by {rule} ({what}): see "
        f"MEDCOT_NORMALIZE__ACTIONS__{rule.upper()}{least}."
    )


def few_rejects(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The share of unusable rows of every file is at most the setting, and no file has only unusable rows."""
    source = read_json(folder / "source.json")
    rejects = read_jsonl(folder / "rejects.jsonl", Reject)
    for file in source["files"]:
        read = file["rows"] + file["rejects"]
        if file["rejects"] > source["max_reject_rate"] * read or not file["rows"]:
            first = next(reject for reject in rejects if reject.where.startswith(f"{file['name']}, "))
            said = f"{first.where}: {first.reason}. {file['rejects']:,} of {read:,} rows cannot be used"
            if not file["rows"]:
                return False, f"{said}. {WHAT_IS_READ}"
            return False, (
                f"{said} ({file['rejects'] / read:.1%}, and MEDCOT_SOURCE__MAX_REJECT_RATE allows "
                f"{source['max_reject_rate']:.1%})."
            )
    return True, f"{len(rejects):,} of {source['rows_read']:,} rows cannot be used."


def unique_row_ids(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """No row id appears twice."""
    rows = _rows(folder)
    twice = rows.height - rows["row_id"].n_unique()
    return twice == 0, f"{twice:,} repeated row ids."


def _partition(upstream: str) -> Test:
    def every_row_kept_or_removed(folder: Path, inputs: Inputs) -> tuple[bool, str]:
        before = _rows(inputs[upstream])["row_id"].sort()
        kept, removed = _rows(folder)["row_id"], read_parquet(folder / "removed.parquet")["row_id"]
        whole = pl.concat([kept, removed]).sort().equals(before)
        return whole, f"{before.len():,} rows came in; {kept.len():,} stay and {removed.len():,} were removed."

    return every_row_kept_or_removed


def normalisation_is_stable(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Normalising the text again changes nothing."""
    rows = _rows(folder)
    changed = [
        row_id
        for row_id, *texts in rows.select("row_id", "question", "reasoning", "answer").iter_rows()
        if any(normalize_text(text) != text for text in texts)
    ]
    return not changed, f"{len(changed):,} rows would change again" + (
        f", the first is {changed[0]}." if changed else "."
    )


def most_rows_kept(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """At most a fifth of the rows was removed by normalisation."""
    kept, removed = _rows(folder).height, read_parquet(folder / "removed.parquet").height
    share = removed / max(kept + removed, 1)
    return share <= 0.2, f"{share:.1%} of the rows were removed."


def unique_keys(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """No two rows ask the same question."""
    rows = _rows(folder)
    twice = rows.height - rows["key"].n_unique()
    return twice == 0, f"{twice:,} questions appear more than once."


def every_row_in_one_split(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """Each group lies in one split."""
    rows = _rows(folder).filter(pl.col("split") != "excluded")
    torn = rows.group_by("group_id").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1).height
    return torn == 0, f"{torn:,} groups are in more than one split."


def splits_not_empty(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """There are rows to train on and rows to test with."""
    rows = _rows(folder)
    counts = dict(rows.group_by("split").len().iter_rows())
    said = ", ".join(f"{name} {counts.get(name, 0):,}" for name in SPLITS) + " rows."
    if all(counts.get(name) for name in SPLITS):
        return True, said
    said += (
        f" They are in {rows['group_id'].n_unique():,} groups of like questions; with {ENOUGH_GROUPS} or more every "
        "split whose share (MEDCOT_SPLITS__TRAIN, __VALIDATION, __TEST) is above 0 has rows."
    )
    removed = read_parquet(inputs["deduplicated_corpus"] / "removed.parquet").height
    rules = read_json(folder / SUMMARY)["rules"]
    dropped = {rule["rule"]: rule["rows"] for rule in rules if rule["action"] == "drop"}
    said += _most_dropped_by(dropped) + (f" {removed:,} rows were duplicates." if removed else "")
    return counts.get("train", 0) > 0 and counts.get("test", 0) > 0, said


def no_leak_across_splits(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """No pair that counts as duplicate lies across splits, by question, reasoning or answer."""
    settings = DedupSettings(**read_json(folder / "dedup_settings.json"))
    rows = _rows(folder).filter(pl.col("split") != "excluded")
    pairs = leaks(rows, settings)
    return pairs.is_empty(), f"{pairs.height:,} duplicate pairs are spread over two splits."


RAW = (
    Check("few_rejects", "Is the share of unusable rows within the limit?", few_rejects),
    Check("rows_present", "Is there a row?", raw_rows_present),
    Check("unique_row_ids", "Is every row id unique?", unique_row_ids),
)
NORMALIZED = (
    Check("every_row_accounted_for", "Was every row either kept or removed?", _partition("raw_medical_o1")),
    Check("rows_present", "Is there a row?", normalized_rows_present),
    Check("normalisation_is_stable", "Does normalising a second time change nothing?", normalisation_is_stable),
    Check("most_rows_kept", "Were at most 20 % of the rows removed?", most_rows_kept, blocking=False),
)
DEDUPLICATED = (
    Check("every_row_accounted_for", "Was every row either kept or removed?", _partition("normalized_corpus")),
    Check("unique_keys", "Does every question appear only once?", unique_keys),
)
SPLIT = (
    Check("one_split_per_group", "Is every group in a single split?", every_row_in_one_split),
    Check("splits_not_empty", "Are there training and test rows?", splits_not_empty),
    Check("no_leak_across_splits", "Are there no duplicates across splits?", no_leak_across_splits),
)
