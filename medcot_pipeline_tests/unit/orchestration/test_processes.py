import dataclasses
import subprocess
import sys
from collections.abc import Iterator

import pytest

from medcot_pipeline.orchestration.instance.processes import Process, exists
from medcot_pipeline_tests.support.live_process import SAY_WHO


@pytest.fixture
def other() -> Iterator[tuple["subprocess.Popen[str]", Process]]:
    """Another live process, as it names itself."""
    with subprocess.Popen(
        [sys.executable, "-c", SAY_WHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, Process.from_tag(process.stdout.readline())
        process.kill()


def test_a_process_that_runs_is_alive(other: tuple["subprocess.Popen[str]", Process]) -> None:
    process, named = other
    assert named.pid == process.pid
    assert named.state() == "alive"
    assert Process.own().state() == "alive"


def test_a_killed_process_is_dead_before_and_after_its_parent_takes_note(
    other: tuple["subprocess.Popen[str]", Process],
) -> None:
    process, named = other
    process.kill()
    while exists(process.pid):
        pass
    assert named.state() == "dead", "a zombie works on nothing any more"
    process.wait()
    assert named.state() == "dead"


def test_another_process_with_the_same_number_is_not_it() -> None:
    own = Process.own()
    assert dataclasses.replace(own, started=own.started - 1).state() == "dead"


def test_after_another_start_of_the_machine_it_is_dead() -> None:
    assert dataclasses.replace(Process.own(), boot="00000000-0000-0000-0000-000000000000").state() == "dead"


@pytest.mark.parametrize(
    "process",
    [
        dataclasses.replace(Process.own(), host="another machine", boot="another"),
        dataclasses.replace(Process.own(), namespace="pid:[1]"),
    ],
)
def test_of_another_machine_or_container_nothing_is_known(process: Process) -> None:
    assert process.state() == "elsewhere"


def test_a_tag_names_the_same_process_again() -> None:
    assert Process.from_tag(Process.own().to_tag()) == Process.own()


def test_two_processes_differ(other: tuple["subprocess.Popen[str]", Process]) -> None:
    assert other[1] != Process.own()
