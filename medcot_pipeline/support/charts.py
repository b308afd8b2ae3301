"""Charts as PNG files, for metadata and reports. Labels are English: the bundled fonts hold no Chinese.

Belongs here: drawing numbers that were computed elsewhere.
Does not belong here: computing them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLOURS = ("#2f6f8f", "#c8553d", "#588157", "#6d597a")


def line_chart(
    path: Path,
    title: str,
    series: Mapping[str, Sequence[Sequence[float]]],
    *,
    y_label: str,
    x_label: str = "optimiser step",
) -> None:
    """Lines over optimiser steps, or what `x_label` says; each series is a list of [x, y]."""
    figure, axes = _figure(title)
    for colour, (name, points) in zip(COLOURS, series.items(), strict=False):
        if points:
            steps, values = zip(*points, strict=True)
            axes.plot(steps, values, color=colour, label=name, marker="o" if len(points) < 12 else None, markersize=3)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if len(series) > 1:
        axes.legend(frameon=False)
    figure.savefig(path)


def histogram(path: Path, title: str, series: Mapping[str, Sequence[float]], *, x_label: str) -> None:
    """How often values occur; one outline per series."""
    figure, axes = _figure(title)
    for colour, (name, values) in zip(COLOURS, series.items(), strict=False):
        axes.hist(values, bins=40, histtype="stepfilled", alpha=0.45, color=colour, label=name)
    axes.set_xlabel(x_label)
    axes.set_ylabel("rows")
    if len(series) > 1:
        axes.legend(frameon=False)
    figure.savefig(path)


def bars(path: Path, title: str, values: Mapping[str, float], *, y_label: str) -> None:
    """One labelled bar per value."""
    figure, axes = _figure(title)
    drawn = axes.bar(list(values), list(values.values()), color=COLOURS[0], width=0.6)
    axes.bar_label(drawn, fmt="{:,.4g}", padding=2)
    axes.set_ylabel(y_label)
    axes.tick_params(axis="x", labelrotation=20 if len(values) > 4 else 0)
    figure.savefig(path)


def stacked_bars(path: Path, title: str, rows: Mapping[str, Mapping[str, float]], *, x_label: str) -> None:
    """One bar lying on its side per row, its parts one after the other; every row has the same parts."""
    figure, axes = _figure(title)
    start = dict.fromkeys(rows, 0.0)
    for colour, part in zip(COLOURS, next(iter(rows.values())), strict=False):
        drawn = axes.barh(
            list(rows), [row[part] for row in rows.values()], left=list(start.values()), color=colour, label=part
        )
        axes.bar_label(drawn, [f"{row[part]:,}" if row[part] else "" for row in rows.values()], label_type="center")
        start = {name: start[name] + row[part] for name, row in rows.items()}
    axes.set_xlabel(x_label)
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    figure.savefig(path)


def _figure(title: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    return figure, axes
