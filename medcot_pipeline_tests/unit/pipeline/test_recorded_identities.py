"""Fingerprints that were recorded by an earlier release: what was made then is fresh now.

`recorded_identities.json` has, for a few sets of settings and files from outside, the identity of every asset whose
work has not changed since. A difference means that every user's artifacts of that asset are made again: raise the
stage's code version if that is wanted, and take the asset out of the record.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.artifacts import ArtifactStore, sha256_text
from medcot_pipeline.pipeline.workspace import Workspace
from medcot_pipeline.settings import load_settings
from medcot_pipeline.table import GRAPH

RECORDED: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("recorded_identities.json").read_text(encoding="utf-8")
)
CASES = [pytest.param(case, asset, id=f"{case['name']}: {asset}") for case in RECORDED for asset in case["identities"]]


@pytest.mark.parametrize(("case", "asset"), CASES)
def test_what_an_earlier_release_made_has_the_same_fingerprint(
    case: dict[str, Any], asset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {"data/sample/medical_o1_sample.json": "[]", **case["files"]}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name, value in case["environment"].items():
        monkeypatch.setenv(name, value)
    settings, data = load_settings(case["profile"]), tmp_path / "data"
    workspace = Workspace(case["profile"], settings, tmp_path, ArtifactStore(data, tmp_path), GRAPH)
    stage = GRAPH.stage(asset)
    inputs = {name: sha256_text(name) for name in stage.inputs}
    identity = stage.identity(settings, inputs, workspace.external(stage))
    recorded = case["identities"][asset]
    assert identity.code_version == recorded["code_version"]
    assert dict(identity.settings) == recorded["settings"]
    assert sorted(identity.external) == recorded["external"]
    assert identity.fingerprint == recorded["fingerprint"]
