"""A data folder with rows of its own, and the corpus assets over it.

Belongs here: rows that are long enough to be kept and unlike one another, a workspace over a folder, making assets.
Does not belong here: what a test brings.
"""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from medcot_pipeline.artifacts import ArtifactStore
from medcot_pipeline.orchestration.assets import asset_of
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import Settings, SourceSettings
from medcot_pipeline.table import GRAPH

COMPLAINTS = (
    "咳嗽伴黄痰",
    "右上腹绞痛",
    "突发胸骨后剧痛",
    "双下肢水肿",
    "反复头晕",
    "夜间盗汗",
    "关节红肿",
    "视物模糊",
)


def texts(number: int) -> tuple[str, str, str]:
    """Question, reasoning and answer of a row."""
    complaint = COMPLAINTS[number % len(COMPLAINTS)]
    return (
        f"{complaint}{number + 2}天，患者{number + 20}岁，首先做什么检查？",
        f"先想到{complaint}的常见原因。\n\n病程{number + 2}天，再看体征。",
        f"先查第{number}项：{complaint}。",
    )


def record(number: int) -> dict[str, str]:
    """The same as the object that the public data set has."""
    return dict(zip(("Question", "Complex_CoT", "Response"), texts(number), strict=True))


def lines(*records: Any) -> str:
    """JSON lines."""
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records)


def workspace_over(source: Path, data: Path, settings: Settings | None = None, **source_settings: Any) -> Workspace:
    """A workspace whose source is that file."""
    own = SourceSettings(kind="file", path=source, **source_settings)
    settings = (settings or Settings()).model_copy(update={"source": own})
    return Workspace("own", settings, data.parent, ArtifactStore(data, data.parent), GRAPH)


def make_raw(workspace: Workspace) -> Path:
    """The raw rows' artifact."""
    return materialise(workspace, "raw_medical_o1")


def make_corpus(workspace: Workspace) -> Path:
    """All four assets of the corpus; the folder of the splits."""
    return materialise(workspace, "raw_medical_o1", "normalized_corpus", "deduplicated_corpus", "corpus_splits")


def materialise(workspace: Workspace, *assets: str) -> Path:
    """Materialise assets as Dagster does; the folder of the last one."""
    resources = {"workspace": workspace, "pipes": dg.PipesSubprocessClient()}
    assert dg.materialize([asset_of(GRAPH.stage(asset)) for asset in assets], resources=resources).success
    return workspace.data / "current" / assets[-1]


def rows_of(artifact: Path) -> list[tuple[str, str, str]]:
    """Question, reasoning and answer of every row of an artifact."""
    with (artifact / "rows.parquet").open("rb") as file:
        return pl.read_parquet(file).select("question", "reasoning", "answer").rows()


def rejects_of(artifact: Path) -> list[tuple[str, str]]:
    """Place and reason of every rejected row."""
    found = [json.loads(line) for line in (artifact / "rejects.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(reject["where"], reject["reason"]) for reject in found]
