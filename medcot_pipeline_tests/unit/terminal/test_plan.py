"""The plan as people and as programs read it."""

import json
import re

from medcot_pipeline.pipeline.plan import make_plan
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.terminal.plan import plan_json, plan_lines
from medcot_pipeline.terminal.screen import Screen
from medcot_pipeline_tests.support import planning
from medcot_pipeline_tests.support.planning import ALL, change, make

workspace = planning.workspace


def test_a_script_finds_name_status_and_reasons_of_an_asset_on_one_line(workspace: Workspace) -> None:
    make(workspace, "raw_medical_o1")
    changed = change(workspace, "source", max_reject_rate=0.25)
    lines = list(plan_lines(changed, make_plan(changed), Screen()))
    (raw,) = [line for line in lines if line.startswith("  raw_medical_o1 ")]
    assert re.fullmatch(r"  raw_medical_o1 +stale +setting source\.max_reject_rate: 0\.05 -> 0\.25", raw)
    assert "\x1b" not in "".join(lines)


def test_a_terminal_shows_when_an_asset_was_made_how_long_it_took_and_its_size(workspace: Workspace) -> None:
    make(workspace, "raw_medical_o1")
    _, titles, raw, *_ = plan_lines(workspace, make_plan(workspace), Screen(width=120))
    assert titles.split() == ["Asset", "Status", "Made", "Took", "Size", "Why"]
    assert "  fresh    0 s ago  2 s   1 kB" in raw or "  fresh    1 s ago  2 s   1 kB" in raw


def test_the_json_of_a_plan_has_the_fields_that_help_names(workspace: Workspace) -> None:
    make(workspace, "raw_medical_o1")
    found = json.loads(json.dumps(plan_json(workspace, make_plan(workspace))))
    assert list(found) == ["schema", "profile", "data", "assets", "passed_over", "outlook"]
    assert (found["schema"], found["profile"], found["data"]) == (1, "own", str(workspace.data))
    assert [line["asset"] for line in found["assets"]] == ALL
    raw, normalized, deduplicated, *_ = found["assets"]
    assert list(raw) == ["asset", "status", "reasons", "fingerprint", "made", "seconds", "bytes"]
    assert (raw["status"], raw["reasons"], raw["seconds"]) == ("fresh", [], 1.5)
    assert raw["made"].endswith("+00:00")
    assert raw["bytes"] > 0
    assert normalized["fingerprint"] is not None
    assert deduplicated == {
        "asset": "deduplicated_corpus",
        "status": "missing",
        "reasons": ["waits for normalized_corpus"],
        "fingerprint": None,
        "made": None,
        "seconds": None,
        "bytes": None,
    }
    assert found["outlook"]["perplexity"] == ["not planned yet: needs base_model"]
