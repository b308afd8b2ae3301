"""What must hold of the report before it is published.

Belongs here: one function per check, over the files of the artifact and of its inputs; blocking where the next stage
would be wrong.
Does not belong here: repairing anything.
"""

import math
from pathlib import Path

from medcot_pipeline.pipeline.check import Check, Inputs
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.support.json_files import read_json


def report_is_self_contained(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The page fetches nothing and runs nothing."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    wrong = [mark for mark in ("<script", 'src="http', 'href="http') if mark in page]
    return not wrong, f"{len(page.encode()) / 1024:,.0f} KiB" + (f"; holds {wrong[0]}." if wrong else ".")


def report_has_figures(folder: Path, inputs: Inputs) -> tuple[bool, str]:
    """The headline perplexities are numbers above 1."""
    figures = read_json(folder / "report.json")["perplexity"]
    values = [figures[arm]["value"] for arm in ARMS]
    return all(
        math.isfinite(value) and value > 1 for value in values
    ), f"Perplexity {values[0]:.3f} to {values[1]:.3f}."


EVAL_REPORT = (
    Check("report_has_figures", "Are the headline figures numbers?", report_has_figures),
    Check(
        "report_is_self_contained",
        "Does the page load nothing from elsewhere and run no code?",
        report_is_self_contained,
    ),
)
