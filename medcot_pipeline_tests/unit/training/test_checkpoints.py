from pathlib import Path

import pytest

from medcot_pipeline.support.errors import MedcotError, Unreadable
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline.training.checkpoints import MARK, STATE, mark_whole, newest_whole

OURS = "a" * 64


def checkpoint(work: Path, step: int, *, best: int | None = None, marked: bool = True, whose: str = OURS) -> Path:
    folder = work / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(bytes([step] * 100))
    write_json(folder / STATE, {"best_model_checkpoint": str(work / f"checkpoint-{best}") if best else None})
    if marked:
        mark_whole(folder, whose)
    return folder


def test_the_newest_whole_one_is_taken_by_number_not_by_name(tmp_path: Path) -> None:
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 10)
    assert newest_whole(tmp_path, OURS, print) == newest


def test_a_half_written_one_is_thrown_away_with_a_word(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path, 2)
    half = checkpoint(tmp_path, 4, marked=False)
    said: list[str] = []
    assert newest_whole(tmp_path, OURS, said.append) == whole
    assert said == ["checkpoint-4 is half written: it is not used"]
    assert not half.exists()


def test_a_flipped_byte_is_named_and_the_one_before_is_taken(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path, 2)
    damaged = checkpoint(tmp_path, 4)
    (damaged / "adapter_model.safetensors").write_bytes(bytes([5] + [4] * 99))
    said: list[str] = []
    assert newest_whole(tmp_path, OURS, said.append) == whole
    assert said == ["checkpoint-4 is damaged (adapter_model.safetensors): it is not used"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"fingerprint": "a", "files": 3}'])
def test_one_whose_mark_is_no_mark_is_named_and_the_one_before_is_taken(tmp_path: Path, text: str) -> None:
    whole = checkpoint(tmp_path, 2)
    (checkpoint(tmp_path, 4) / MARK).write_text(text)
    said: list[str] = []
    assert newest_whole(tmp_path, OURS, said.append) == whole
    assert said == [f"checkpoint-4 is damaged ({MARK}): it is not used"]


@pytest.mark.parametrize("name", [MARK, "adapter_model.safetensors"])
def test_one_that_cannot_be_read_for_the_moment_stays_and_is_named(tmp_path: Path, name: str) -> None:
    folder = checkpoint(tmp_path, 4)
    kept = (folder / name).rename(tmp_path / "kept")
    (folder / name).symlink_to(folder / name)
    with pytest.raises(Unreadable, match=f"checkpoint-4/{name}: cannot be read right now "):
        newest_whole(tmp_path, OURS, print)
    kept.replace(folder / name)
    assert newest_whole(tmp_path, OURS, print) == folder


def test_one_whose_best_predecessor_is_damaged_is_passed_over(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path, 2)
    best = checkpoint(tmp_path, 4)
    checkpoint(tmp_path, 6, best=4)
    (best / MARK).unlink()
    assert newest_whole(tmp_path, OURS, print) == whole


def test_another_runs_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path, 2, whose="b" * 64)
    with pytest.raises(MedcotError, match="checkpoint-2 belongs to another run: fingerprint bbbbbbbbbbbb"):
        newest_whole(tmp_path, OURS, print)


def test_without_any_training_begins_anew(tmp_path: Path) -> None:
    assert newest_whole(tmp_path / "none", OURS, print) is None
