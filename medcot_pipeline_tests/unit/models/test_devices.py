import pytest

from medcot_pipeline.models.devices import Device, least_of
from medcot_pipeline.support.errors import MedcotError


def test_gpus_of_one_kind_count_by_the_one_with_the_least_free_memory() -> None:
    gpus = [Device("NVIDIA H100", memory, varlen_kernel=True) for memory in (79.0, 61.0, 78.0)]
    assert least_of(gpus) == gpus[1]


def test_gpus_of_two_kinds_do_not_train_together() -> None:
    with pytest.raises(
        MedcotError, match=r"must be of one kind, not NVIDIA A100, NVIDIA H100\. .*CUDA_VISIBLE_DEVICES"
    ):
        least_of([Device(f"NVIDIA {name}", 79.0, varlen_kernel=True) for name in ("H100", "A100")])
