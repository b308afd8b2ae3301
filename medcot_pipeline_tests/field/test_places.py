"""File systems without links, locks or capital letters, and a process that may open few files."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from medcot_pipeline.evaluation.people.server import ReviewServer
from medcot_pipeline_tests.support.home import Home
from medcot_pipeline_tests.support.review_pack import KEY, PACK, review

FIRST = ("medcot", "sync", "--only", "raw_medical_o1")
CALLS = {
    "x86_64": {"symlink": [88, 266], "flock": [73]},
    "aarch64": {"symlink": [36], "flock": [32]},
}
"""Numbers of the calls by which links are made and locks are taken."""
REFUSE = """
import ctypes, os, struct, sys

answer, calls, command = int(sys.argv[1]), [int(each) for each in sys.argv[2].split(",")], sys.argv[3:]
program = [(0x20, 0, 0, 0)]  # the number of the call
program += [(0x15, len(calls) - index, 0, call) for index, call in enumerate(calls)]
program += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x50000 | answer)]  # allowed; refused
steps = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
whole = struct.pack("HxxxxxxP", len(program), ctypes.addressof(steps))
libc = ctypes.CDLL(None)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, whole, 0, 0):
    sys.exit(77)
os.execvp(command[0], command)
"""
"""The kernel refuses calls of a command with the error that such a file system gives."""
FEW = """
import os, resource, sys
from medcot_pipeline import cli

sys.argv = ["medcot", "plan"]
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, 4096))
cli.main()
"""


def on_such_a_place(home: Home, call: str, number: int, *command: str) -> subprocess.CompletedProcess[str]:
    calls = CALLS.get(platform.machine())
    if sys.platform != "linux" or calls is None:
        pytest.skip("how calls are refused is written down for Linux on x86_64 and aarch64")
    numbers = ",".join(str(each) for each in calls[call])
    done = home.run(sys.executable, "-c", REFUSE, str(number), numbers, *command)
    if done.returncode == 77:
        pytest.skip("this machine lets no process refuse its own calls")
    return done


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = re.findall(r"^medcot: (.*)", done.stderr, re.MULTILINE)
    return str(line)


@pytest.mark.parametrize("number", [1, 38], ids=["as FAT says it", "as others do"])
def test_a_place_without_symbolic_links_is_named_with_the_way_out(fresh_home: Home, number: int) -> None:
    """Staged after astral-sh/uv#15607 and datalad/datalad#4719: no links on exFAT."""
    said = only_line(on_such_a_place(fresh_home, "symlink", number, *FIRST))
    assert said.startswith(f"{fresh_home.data / 'current'}: no symbolic link can be made there (")
    assert said.endswith("Set MEDCOT_DATA_DIR to a folder on another file system, such as ext4, XFS or APFS.")
    assert list((fresh_home.data / "current").iterdir()) == []


@pytest.mark.parametrize("number", [37, 95], ids=["no locks available", "not supported"])
def test_a_place_without_locks_is_named_with_the_way_out(fresh_home: Home, number: int) -> None:
    """Staged after nipy/nipype#1370: locks on a network file system."""
    said = only_line(on_such_a_place(fresh_home, "flock", number, *FIRST))
    assert said.startswith(f"{fresh_home.folder / 'dagster'}: its file system keeps no locks (")
    assert said.endswith("Set MEDCOT_DATA_DIR and DAGSTER_HOME to folders on a local disk.")


def test_too_few_open_files_is_one_line_that_says_what_to_raise(fresh_home: Home) -> None:
    """Staged after dagster-io/dagster#2021: too many open files, and a database that cannot be opened."""
    said = only_line(fresh_home.run(sys.executable, "-c", FEW))
    assert re.fullmatch(r"Too many open files: here a process may open \d+\. Raise that, `ulimit -n 1024`, .*", said)


def test_a_plan_needs_few_open_files(fresh_home: Home) -> None:
    """Staged after manaakiwhenua/vector2dggs#76: as many open files as there are parts."""
    done = fresh_home.run("sh", "-c", "ulimit -n 32; exec medcot plan")
    assert done.returncode == 0, done.stderr
    assert "raw_medical_o1       missing" in done.stdout


def test_reviewers_whose_names_differ_by_case_alone_have_files_that_do_so_by_more(tmp_path: Path) -> None:
    """Staged after NixOS/nix#119: where case does not count, one of two files replaces the other."""
    with ReviewServer(0, [(PACK, KEY)], tmp_path) as server:
        for session, reviewer in (("0" * 16, "Alice"), ("1" * 16, "alice")):
            server.save("/", session, review(reviewer=reviewer))
    assert len({path.name.casefold() for path in tmp_path.iterdir()}) == 2
