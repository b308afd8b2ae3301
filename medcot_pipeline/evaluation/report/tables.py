"""The report's tables, flat, for whoever shows them beside the asset.

Belongs here: rows of plain values out of report.json.
Does not belong here: computing figures (build.py), the page (page.py).
"""

from collections.abc import Iterable
from typing import Any

from medcot_pipeline.records.figures import Estimate
from medcot_pipeline.records.report.estimates import Agreement, Preference
from medcot_pipeline.records.report.report import Report

Row = dict[str, str | int | float | bool | None]


def report_tables(report: Report) -> dict[str, list[Row]]:
    """Tables by name: claims, perplexity, verdicts, gates, agreement, pass_rates, rules, cost; empty ones left out."""
    following = report.instruction_following
    raters: list[tuple[str, Agreement]] = []
    for reviewer in following.reviewers:
        raters.append((f"{reviewer.reviewer} and the AI judge", reviewer.with_judge))
        raters.append((f"{reviewer.reviewer} and themselves", reviewer.with_self))
    raters += [(" and ".join(pair.reviewers), pair) for pair in following.between]
    judge = following.judge
    tables: dict[str, list[Row]] = {
        "claims": [claim.model_dump() for claim in report.claims],
        "perplexity": [
            {"definition": row.definition, "base": row.base.value, "tuned": row.tuned.value}
            for row in report.perplexity.table
        ],
        "verdicts": [
            {"source": name, **_flat((field, getattr(given, field)) for field in Preference.model_fields)}
            for name, given in following.preference
            if given.n
        ],
        "gates": [gate.row() for gate in judge.gates] if judge.status == "judged" else [],
        "agreement": [
            {"between": name, "n": pair.n, **{each: found.value for each, found in pair.coefficients().items()}}
            for name, pair in raters
            if pair.n
        ],
        "pass_rates": [{"rate": name, **_flat(rates)} for name, rates in following.rates],
        "rules": [row.model_dump(exclude={"meaning"}) for row in report.rules],
        "cost": [stage.model_dump() for stage in report.cost.stages],
    }
    return {name: rows for name, rows in tables.items() if rows}


def _flat(figures: Iterable[tuple[str, Any]]) -> Row:
    """Figures with their intervals as further columns."""
    flat: Row = {}
    for name, value in figures:
        if isinstance(value, Estimate):
            flat |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        else:
            flat[name] = value
    return flat
