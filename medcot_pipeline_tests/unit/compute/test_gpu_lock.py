import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from medcot_pipeline.compute.gpu_lock import gpu_lock, hold_gpus, lock_paths, see_only
from medcot_pipeline.compute.gpus import Gpu, gpu_is_here, gpus, gpus_to_use, named
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.locks import alone, hold, hold_device, holder_of, share

HOLD = """
import os, sys, time
from pathlib import Path
from medcot_pipeline.support.locks import hold, hold_device

os.chdir(sys.argv[1])
os.setgroups([]) if os.geteuid() == 0 else None
os.setuid(int(sys.argv[3]))
path = Path("lock")
with hold_device(path, "it", print) if sys.argv[2] == "device" else hold(path, "it", "qlora_adapter in /data", print):
    print("held", flush=True)
    time.sleep(60)
"""
ANOTHER_USER = 65534 if os.geteuid() == 0 else os.geteuid()
INFORMATION = "Model: \t\t {model}\nIRQ:   \t\t 255\nGPU UUID: \t {uuid}\nBus Type: \t PCIe\nDevice Minor: \t {minor}\n"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a process that holds the lock `lock`, by its file or as a device, as a user."""
    with ExitStack() as started:

        def begin(kind: str, user: int = os.geteuid()) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-c", HOLD, str(tmp_path), kind, str(user)], stdout=subprocess.PIPE, text=True
            )
            started.enter_context(process)
            started.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            return process

        yield begin


def waits_for(process: "subprocess.Popen[str]", held: ExitStack, take: Callable[..., object]) -> list[str]:
    """What is said while the lock of a process is waited for, which is killed then."""
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        os.kill(process.pid, signal.SIGKILL)

    held.enter_context(take(say))  # type: ignore[arg-type]
    return said


def test_the_second_waits_says_for_whom_and_gets_it_when_the_first_is_killed(tmp_path: Path, start: Start) -> None:
    holder = start("file")
    with ExitStack() as held:
        said = waits_for(holder, held, lambda say: gpu_lock([tmp_path / "lock"], "another", say))
    assert said == [f"waiting for the GPU, which is held by qlora_adapter in /data, process {holder.pid}"]


def test_a_free_lock_is_taken_without_a_word(tmp_path: Path) -> None:
    with gpu_lock([tmp_path / "deep" / "lock"], "me", pytest.fail):
        assert "me, process" in (tmp_path / "deep" / "lock").read_text(encoding="utf-8")
    assert (tmp_path / "deep" / "lock").read_text(encoding="utf-8") == ""


def test_without_a_gpu_the_lock_is_the_data_folders(tmp_path: Path) -> None:
    if gpu_is_here():
        pytest.skip("there is a GPU here")
    assert lock_paths(tmp_path) == [tmp_path / "cache" / "gpu.lock"]


@pytest.mark.parametrize("kind", ["file", "device"])
def test_another_user_who_holds_the_lock_is_waited_for_and_named(tmp_path: Path, start: Start, kind: str) -> None:
    """Root's file, which the other user may only read."""
    lock = tmp_path / "lock"
    lock.write_text("a run that was killed, process 1", encoding="utf-8")
    lock.chmod(0o644)
    tmp_path.chmod(0o755)
    holder = start(kind, ANOTHER_USER)
    by_kernel = holder_of(lock)
    with ExitStack() as held:
        said = waits_for(holder, held, lambda say: hold_device(lock, "it", say))
    assert by_kernel is not None
    assert f"process {holder.pid}" in by_kernel
    assert said[0].startswith(f"waiting for it, which is held by process {holder.pid} of ")
    assert sys.executable in said[0]


def test_a_lock_of_root_that_another_user_meets_is_waited_for(tmp_path: Path, start: Start) -> None:
    lock = tmp_path / "lock"
    tmp_path.chmod(0o755)
    with hold(lock, "it", "root's run", pytest.fail):
        lock.chmod(0o644)
        waiting = subprocess.Popen(
            [sys.executable, "-u", "-c", HOLD, str(tmp_path), "file", str(ANOTHER_USER)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert waiting.stdout is not None
        assert waiting.stdout.readline().startswith("waiting for it, which is held by root's run, process")
    assert waiting.stdout.readline() == "held\n"
    waiting.kill()
    waiting.communicate()


@pytest.mark.parametrize("take", [lambda path: hold(path, "it", "me", print), share, alone])
def test_a_link_in_the_place_of_a_lock_leads_to_no_other_file(tmp_path: Path, take: Callable[..., object]) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text("whose content stays", encoding="utf-8")
    foreign.chmod(0o640)
    (tmp_path / "lock").symlink_to(foreign)
    with (
        pytest.raises(MedcotError, match="a link, a folder or a pipe is in the place of a lock file"),
        ExitStack() as it,
    ):
        it.enter_context(take(tmp_path / "lock"))  # type: ignore[arg-type]
    assert foreign.read_text(encoding="utf-8") == "whose content stays"
    assert foreign.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "folder"])
def test_something_else_in_the_place_of_a_lock_is_named_and_waited_for_by_nobody(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "lock")
    with pytest.raises(MedcotError, match=r"/lock: a link, a folder or a pipe"), alone(tmp_path / "lock"):
        pass


@pytest.fixture
def machine(tmp_path: Path) -> tuple[Path, Path]:
    """Two GPUs of one model as the driver shows them; the first on the bus is the second by its device file."""
    driver, devices = tmp_path / "gpus", tmp_path / "dev"
    devices.mkdir()
    for place, uuid, minor in (("0000:3b:00.0", "GPU-aaaa1111", 1), ("0000:af:00.0", "GPU-aabb2222", 0)):
        (driver / place).mkdir(parents=True)
        text = INFORMATION.format(model="NVIDIA H100", uuid=uuid, minor=minor)
        (driver / place / "information").write_text(text, encoding="utf-8")
        (devices / f"nvidia{minor}").touch()
    (devices / "nvidiactl").touch()
    return driver, devices


def locks(found: list[Gpu], variable: str | None, order: str = "") -> list[str]:
    """Names of the files that are locked for all GPUs which a process sees."""
    return sorted({path.name for gpu in named(found, variable, order) for path in gpu.locks})


@pytest.mark.parametrize(
    ("variable", "locked"),
    [
        (None, ["nvidia0", "nvidia1"]),
        ("0", ["nvidia1"]),
        ("0,1", ["nvidia0", "nvidia1"]),
        ("1", ["nvidia0"]),
        ("GPU-aabb", ["nvidia0"]),
        ("GPU-aaaa1111,GPU-aabb2222", ["nvidia0", "nvidia1"]),
        ("MIG-1234", ["nvidia0", "nvidia1"]),
        ("", []),
        ("-1,0", []),
        ("0,7,1", ["nvidia1"]),
        ("GPU-aa", []),
    ],
)
def test_the_locks_are_those_of_the_gpus_that_the_process_sees(
    machine: tuple[Path, Path], variable: str | None, locked: list[str]
) -> None:
    assert locks(gpus(*machine), variable) == locked


def test_numbers_among_gpus_of_several_models_mean_all_unless_cuda_numbers_them_by_place(
    machine: tuple[Path, Path],
) -> None:
    information = next(machine[0].glob("0000:af*/information"))
    information.write_text(information.read_text(encoding="utf-8").replace("H100", "T4"), encoding="utf-8")
    found = gpus(*machine)
    assert locks(found, "1") == ["nvidia0", "nvidia1"]
    assert locks(found, "1", "PCI_BUS_ID") == ["nvidia0"]


def test_gpus_that_the_driver_does_not_describe_are_locked_by_their_device_files(machine: tuple[Path, Path]) -> None:
    assert [gpu.device.name for gpu in gpus(machine[0] / "nothing", machine[1])] == ["nvidia0", "nvidia1"]


def test_a_device_is_locked_by_its_own_file_which_is_neither_read_nor_changed() -> None:
    """Any character device will do: the kernel locks them all alike."""
    device = Path("/dev/full")
    seen = [sys.executable, "-c", f"from medcot_pipeline.support.locks import *; print(holder_of(Path('{device}')))"]
    with gpu_lock([device], "me", pytest.fail):
        held = subprocess.run(seen, capture_output=True, text=True, check=True).stdout
    assert held.startswith(f"process {os.getpid()} of ")
    assert subprocess.run(seen, capture_output=True, text=True, check=True).stdout == "None\n"


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        (None, ["GPU-aaaa1111", "GPU-aabb2222"]),
        ("1,0", ["GPU-aabb2222", "GPU-aaaa1111"]),
        ("GPU-aabb", ["GPU-aabb2222"]),
        ("MIG-1234,MIG-5678", ["MIG-1234", "MIG-5678"]),
        ("", []),
    ],
)
def test_a_gpu_is_named_by_its_uuid_where_it_is_known(
    machine: tuple[Path, Path], variable: str | None, names: list[str]
) -> None:
    assert [gpu.name for gpu in named(gpus(*machine), variable, "")] == names


def test_gpus_that_nothing_describes_are_named_by_number_and_each_is_locked_by_all(machine: tuple[Path, Path]) -> None:
    found = named(gpus(machine[0] / "nothing", machine[1]), None, "")
    assert [gpu.name for gpu in found] == ["0", "1"]
    assert all([path.name for path in gpu.locks] == ["nvidia0", "nvidia1"] for gpu in found)


def test_a_job_gets_the_gpus_that_are_asked_for() -> None:
    assert [gpus_to_use(asked, 4) for asked in (1, 2, 4, "auto")] == [1, 2, 4, 4]
    assert [gpus_to_use(asked, 0) for asked in (1, "auto")] == [1, 1]


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (0, "MEDCOT_COMPUTE__GPUS=3, but no GPU is visible here. Set it to 1 or auto"),
        (1, "MEDCOT_COMPUTE__GPUS=3, but 1 GPU is visible here. Set it to 1 or auto"),
        (2, "MEDCOT_COMPUTE__GPUS=3, but 2 GPUs are visible here. Set it to 2 or auto"),
    ],
)
def test_more_gpus_than_are_visible_are_refused_with_the_number_seen(seen: int, said: str) -> None:
    with pytest.raises(MedcotError, match=f"^{said}"):
        gpus_to_use(3, seen)


@pytest.fixture
def devices(machine: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The device files of two GPUs that this process sees."""
    monkeypatch.setattr("medcot_pipeline.compute.gpus.DRIVER", machine[0])
    monkeypatch.setattr("medcot_pipeline.compute.gpus.DEVICES", machine[1])
    for variable in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(variable, raising=False)
    return machine[1]


def test_a_job_for_one_gpu_takes_one_that_is_free_and_leaves_the_others(tmp_path: Path, devices: Path) -> None:
    with (
        hold_gpus(tmp_path, 1, "the first", pytest.fail) as first,
        hold_gpus(tmp_path, 1, "another", pytest.fail) as it,
    ):
        assert (first, it) == (["GPU-aaaa1111"], ["GPU-aabb2222"])
        assert all(map(holder_of, lock_paths(tmp_path)))
    assert not any(map(holder_of, lock_paths(tmp_path)))


def test_a_job_for_two_gpus_waits_for_the_one_that_is_held(tmp_path: Path, devices: Path) -> None:
    held = ExitStack()
    held.enter_context(hold(devices / "nvidia1", "it", "another job", pytest.fail))
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        held.close()

    with hold_gpus(tmp_path, 2, "me", say) as names:
        assert names == ["GPU-aabb2222", "GPU-aaaa1111"]
    assert said == [f"waiting for the GPU, which is held by another job, process {os.getpid()}"]


def test_what_is_not_used_is_hidden(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    see_only(["GPU-aaaa1111", "GPU-aabb2222"])
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    see_only(["GPU-aabb2222"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-aabb2222"
