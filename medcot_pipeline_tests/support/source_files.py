"""Medical rows as people publish them, and files of them in every format.

Belongs here: the rows, and writing them.
Does not belong here: reading them.
"""

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl

FIELDS = ("Question", "Complex_CoT", "Response")
RECORDS = [
    dict(zip(FIELDS, texts, strict=True))
    for texts in [
        ("男，32岁，发热3天，\n体温38.5℃。首先查什么？", "嗯，先想想。\n\n发热加咳嗽……", "血常规，“首选”。"),
        ("A woman has chest pain, what next?", 'Well, "first" an ECG;\tthen troponin.', "An ECG, within ten minutes."),
        ("  咽痛、流涕2天？ ", "多半是\u2028感冒。\u0085Then rest.\x0b", "休息，多饮水。"),
    ]
]
ROW = RECORDS[0]


def write(path: Path, records: list[Any]) -> Path:
    match path.suffix:
        case ".json":
            path.write_text(json.dumps(records, ensure_ascii=False, indent=1), encoding="utf-8")
        case ".jsonl":
            path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
        case ".csv":
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, FIELDS)
                writer.writeheader()
                writer.writerows(records)
        case ".parquet":
            pl.DataFrame(records).write_parquet(path)
    return path
