"""Where a report's figures come from.

Belongs here: collecting manifests, versions and the training's summary for the report.
Does not: how the report shows them.
"""

import itertools
import platform
from pathlib import Path
from typing import Any

from medcot_pipeline.artifacts.manifest import git_commit, package_versions
from medcot_pipeline.json_files import read_json
from medcot_pipeline.stages import STAGES, Workspace


def provenance(workspace: Workspace) -> dict[str, Any]:
    """Hashes of every artifact that a report rests on, versions, commit, settings (without secrets) and seeds."""
    before = itertools.takewhile(lambda stage: stage.asset != "eval_report", STAGES)
    manifests = [workspace.store.current(stage.asset) for stage in before]
    settings = workspace.settings
    source = workspace.store.root / "current" / "raw_medical_o1" / "source.json"
    return {
        "artifacts": [
            {
                "asset": manifest.asset,
                "fingerprint": manifest.fingerprint,
                "content_hash": manifest.content_hash,
                "code_version": manifest.code_version,
            }
            for manifest in manifests
            if manifest is not None
        ],
        "packages": {"python": platform.python_version(), **package_versions()},
        "git_commit": git_commit(workspace.root),
        "settings": settings.model_dump(
            mode="json", exclude={"judge": {"api_key"}, "answers": {"endpoint": {"api_key"}}, "automation": True}
        ),
        "sources": read_json(source) if source.is_file() else {},
        "seeds": {
            "training": settings.training.seed,
            "perplexity": settings.perplexity.seed,
            "answers": settings.answers.seed,
            "report": settings.report.seed,
        },
    }


def training_summary(adapter: Path) -> dict[str, Any]:
    """What the report says of the training run."""
    summary, curves = read_json(adapter / "aside" / "training.json"), read_json(adapter / "curves.json")
    return {
        **{name: curves[name] for name in ("loss", "learning_rate", "grad_norm", "validation")},
        "tokens": summary["tokens"],
        "rows": summary["rows"],
        "seconds": summary["seconds"]["train"],
        "model": summary["base"]["name"],
        "parameters": summary["base"]["parameters"],
        "adapter_parameters": summary["adapter_parameters"],
        "device": summary["device"],
    }
