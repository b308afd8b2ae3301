"""The report's tables, flat, for whoever shows them beside the asset.

Belongs here: rows of plain values out of report.json.
Does not: computing figures (build.py), the page (page.py).
"""

from collections.abc import Mapping
from typing import Any

from medcot_pipeline.evaluation.statistics.agreement import COEFFICIENTS
from medcot_pipeline.records.arms import ARMS

Rows = list[dict[str, str | int | float | bool | None]]


def report_tables(report: Mapping[str, Any]) -> dict[str, Rows]:
    """Tables by name: claims, perplexity, verdicts, gates, agreement, pass_rates, rules, cost; empty ones left out."""
    following = report["instruction_following"]
    raters = [
        (f"{reviewer['reviewer']} and {other}", reviewer[name])
        for reviewer in following["reviewers"]
        for name, other in (("with_judge", "the AI judge"), ("with_self", "themselves"))
    ] + [(" and ".join(pair["reviewers"]), pair) for pair in following["between"]]
    tables: dict[str, Rows] = {
        "claims": list(report["claims"]),
        "perplexity": [
            {"definition": row["definition"], **{arm: row[arm]["value"] for arm in ARMS}}
            for row in report["perplexity"]["table"]
        ],
        "verdicts": [
            {"source": name, **_flat(preference)}
            for name, preference in following["preference"].items()
            if preference["n"]
        ],
        "gates": list(following["judge"].get("gates", [])),
        "agreement": [
            {"between": name, "n": pair["n"], **{each: pair[each]["value"] for each in COEFFICIENTS}}
            for name, pair in raters
            if pair["n"]
        ],
        "pass_rates": [{"rate": name, **_flat(rates)} for name, rates in following["rates"].items()],
        "rules": [{key: value for key, value in row.items() if key != "meaning"} for row in report["rules"]],
        "cost": list(report["cost"]["stages"]),
    }
    return {name: rows for name, rows in tables.items() if rows}


def _flat(figures: Mapping[str, Any]) -> dict[str, str | int | float | bool | None]:
    """Figures with their intervals as further columns."""
    flat: dict[str, str | int | float | bool | None] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            flat |= {name: value["value"], f"{name}_low": value["low"], f"{name}_high": value["high"]}
        else:
            flat[name] = value
    return flat
