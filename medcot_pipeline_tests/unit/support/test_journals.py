from pathlib import Path

import pytest

from medcot_pipeline.support.errors import Unreadable
from medcot_pipeline.support.journals import add_line, read_lines


def test_lines_are_read_in_the_order_in_which_they_were_added(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.jsonl"
    for value in ({"text": "发热\u2028\n"}, {"half": "\ud83d"}, 3):
        add_line(path, value)
    assert read_lines(path) == [{"text": "发热\u2028\n"}, {"half": "\ud83d"}, 3]
    assert path.read_bytes().count(b"\n") == 3


def test_where_there_is_no_journal_there_are_no_lines(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "journal.jsonl") == []


@pytest.mark.parametrize("torn", [b'{"a": ', b'{"a": "\xe5\x8f', b"[" * 100_000])
def test_a_torn_line_is_passed_over_and_the_next_begins_behind_it(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    add_line(path, 1)
    with path.open("ab") as file:
        file.write(torn)
    add_line(path, 2)
    assert read_lines(path) == [1, 2]


def test_a_journal_that_cannot_be_read_for_the_moment_is_no_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.symlink_to(path)
    with pytest.raises(Unreadable, match="ELOOP"):
        read_lines(path)
