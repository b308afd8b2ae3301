"""Files of Weights & Biases' user that cannot be read: training goes on, and nothing of them is shown."""

from pathlib import Path

import pytest

from medcot_pipeline_tests.support.tracked_run import start_alone

SECRET = "geheim-4711"
GARBAGE = b"\xff\xfe[" + SECRET.encode() + b"\x00 = {{\n"
ONE_LINE = f"[default]entity: meproject: {SECRET}base_url: https://api.wandb.ai".encode()
NETRC = f"machine 127.0.0.1 logni me password {SECRET}\n".encode()


@pytest.mark.parametrize(
    ("mode", "name", "content"),
    [
        ("offline", ".config/wandb/settings", GARBAGE),
        ("offline", ".config/wandb/settings", ONE_LINE),
        ("offline", "wandb/settings", GARBAGE),
        ("online", ".netrc", GARBAGE),
        ("online", ".netrc", NETRC),
    ],
    ids=["settings", "settings in one line", "settings of the folder", "netrc", "netrc with a wrong word"],
)
def test_a_broken_file_of_the_user_ends_no_training(tmp_path: Path, mode: str, name: str, content: bytes) -> None:
    """Staged after wandb/wandb#205 and wandb/wandb#26: a settings file in one line, and a netrc that is no netrc."""
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    online = {"WANDB_BASE_URL": "http://127.0.0.1:9"} if mode == "online" else {}
    said = start_alone(tmp_path, mode, **online)
    assert said[-1] in ("trained on tracked", "trained on untracked")
    assert (said[-1] == "trained on untracked") == any("cannot start" in line for line in said[:-1])
    assert SECRET not in "".join(said)
