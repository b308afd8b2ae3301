"""The report as a page: rendered from the report's content alone.

Belongs here: rendering, and how figures are written.
Does not belong here: which figures there are (build.py), sentences (words/).
"""

from pathlib import Path

from medcot_pipeline.evaluation.report.words.definitions import DEFINITIONS
from medcot_pipeline.evaluation.statistics.agreement import CLASSES
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.report.report import Report

TEMPLATES = Path(__file__).parent / "templates"


def render_report(report: Report) -> str:
    """The report as one HTML page that loads nothing: no script, no link to fetch; model output is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    environment.filters.update(number=number, percent=percent, points=points, p_value=p_value, size=size, code=code)
    return (
        environment.get_template("report.html.j2")
        .render(report=report, arms=ARMS, classes=CLASSES, definitions=DEFINITIONS)
        .strip()
        + "\n"
    )


def number(value: float | None) -> str:
    """Three significant digits, whole numbers and hundreds in full; a dash for None."""
    if value is None:
        return "–"
    whole = isinstance(value, int) or abs(value) >= 99.95 or value == 0
    return (f"{value:,.0f}" if whole else f"{value:#.3g}").replace("-", "−")


def percent(share: float | None) -> str:
    """A share with one decimal."""
    return "–" if share is None else f"{100 * share:.1f} %".replace("-", "−")


def points(share: float | None) -> str:
    """A signed difference in percentage points."""
    return "–" if share is None else f"{round(100 * share):+d}".replace("+0", "0").replace("-", "−")


def p_value(p: float | None) -> str:
    """Three decimals, or one digit and the power of ten below 0.001."""
    return "–" if p is None else f"{p:.3f}" if p >= 0.001 else f"{p:.0e}".replace("-", "−")


def size(parameters: float) -> str:
    """A count in thousands, millions or billions."""
    scale, unit = next(((s, u) for s, u in ((1e9, "B"), (1e6, "M"), (1e3, "k")) if parameters >= s), (1, ""))
    return f"{parameters / scale:.3g} {unit}".strip()


def code(sentence: str) -> str:
    """A sentence in which whatever stands between backticks is a command."""
    from markupsafe import Markup

    parts = sentence.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))
