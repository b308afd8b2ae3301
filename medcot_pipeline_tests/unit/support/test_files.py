import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from medcot_pipeline.support.files import UNFINISHED, write_whole
from medcot_pipeline.support.json_files import read_json, write_json

FULL = """
import resource, sys
from pathlib import Path
from medcot_pipeline.support.files import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_whole(Path(sys.argv[1]), "x" * 2000)
"""


def test_a_file_is_replaced_whole_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.json"
    write_json(path, {"rows": 1})
    write_json(path, {"rows": "二"})
    assert path.read_text(encoding="utf-8") == '{\n "rows": "二"\n}\n'
    assert read_json(path) == {"rows": "二"}
    assert list(path.parent.iterdir()) == [path]


def test_bytes_and_line_ends_are_written_as_they_are(tmp_path: Path) -> None:
    write_whole(tmp_path / "text", "a\r\nb\n")
    write_whole(tmp_path / "bytes", b"\xff\r\n")
    assert (tmp_path / "text").read_bytes() == b"a\r\nb\n"
    assert (tmp_path / "bytes").read_bytes() == b"\xff\r\n"


def test_a_second_name_of_a_file_keeps_the_old_content(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", "old")
    os.link(tmp_path / "file", tmp_path / "copy")
    write_whole(tmp_path / "file", "new")
    assert (tmp_path / "copy").read_text() == "old"


def test_where_the_disk_refuses_the_old_file_stays_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")
    ended = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True)
    assert "OSError: [Errno 27] File too large" in ended.stderr
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


def test_what_a_killed_writer_leaves_is_called_so_that_it_is_found(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")
    code = (
        f"import os\nos.fsync = lambda _: os.kill(os.getpid(), {int(signal.SIGKILL)})\n{FULL.replace('1000', '4000')}"
    )
    assert subprocess.run([sys.executable, "-c", code, path]).returncode == -signal.SIGKILL
    (left,) = tmp_path.glob(UNFINISHED)
    assert sorted(tmp_path.iterdir()) == [left, path]
    assert path.read_text() == "old"


def test_half_a_character_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_json(tmp_path / "file", "\ud83d")
    assert list(tmp_path.iterdir()) == []
