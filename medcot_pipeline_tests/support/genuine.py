"""Where genuine rows are: they are read in their folder and never copied into the project.

Belongs here: the folder, and the mark of tests that need it.
Does not belong here: what a test does with the rows.
"""

import os
from pathlib import Path

import pytest

from medcot_pipeline.settings.load import project_root

FOLDER = Path(os.environ.get("MEDCOT_REALDATA") or project_root().parent / "shared" / "data")

genuine_rows_only = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"genuine rows are not here: {FOLDER} is absent (set MEDCOT_REALDATA)"
)
