"""Devices: who computes where, how precisely, and whether it fits."""

import subprocess
import sys
import textwrap
import threading
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from agf.errors import UserError
from agf.networks import device as device_module
from agf.networks.device import (
    autocast,
    bytes_for_data,
    lend_device,
    resolve_precision,
    training_bytes,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_without_a_gpu_jobs_compute_on_one_cpu_thread(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with lend_device(1) as first, lend_device(1) as second:
        assert first == second == CPU
        assert torch.get_num_threads() == 1


def test_jobs_spread_over_the_gpus_and_wait_when_all_places_are_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(device_module, "POLL_SECONDS", 0.01)
    lease = device_module._lease
    names = ["GPU-a", "GPU-b"]
    held = [lease(names, 2, tmp_path) for _ in range(4)]
    assert [place.__enter__() for place in held] == [0, 1, 0, 1]

    found = []

    def fifth():
        with lease(names, 2, tmp_path) as index:
            found.append(index)

    waiting = threading.Thread(target=fifth)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    assert not found
    held[3].__exit__(None, None, None)
    waiting.join(10)
    assert found == [1]
    for place in held[:3]:
        place.__exit__(None, None, None)


def test_each_job_computes_on_the_gpu_it_was_lent(tmp_path, monkeypatch):
    """CUDA as jobs see it, without one: two devices, known by their UUIDs on the whole machine."""
    chosen = []
    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_properties": lambda index: SimpleNamespace(uuid=f"GPU-{index}"),
        "get_device_name": lambda device: "stand-in",
        "set_device": chosen.append,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(device_module.tempfile, "gettempdir", lambda: str(tmp_path))
    with lend_device(1) as first, lend_device(1) as second:
        assert {str(first), str(second)} == {"cuda:0", "cuda:1"}
    assert chosen == [first, second]
    (folder,) = tmp_path.iterdir()
    assert {file.name for file in folder.iterdir()} == {"GPU-0.0.lock", "GPU-1.0.lock"}
    with lend_device(1) as third:
        assert str(third) == "cuda:0"


def test_a_killed_job_gives_its_place_back(tmp_path):
    script = """
        import sys, time
        from agf.networks.device import _lease
        from pathlib import Path
        with _lease(["GPU-a"], 1, Path(sys.argv[1])) as index:
            print(index, flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout.readline() == "0\n"
        job.kill()
    with device_module._lease(["GPU-a"], 1, tmp_path) as index:
        assert index == 0


def test_auto_is_bf16_only_where_the_cpu_has_it(monkeypatch):
    assert resolve_precision("auto", CUDA) == "tf32"
    for capabilities, expected in (
        ({"avx2": True}, "fp32"),
        ({"avx512_bf16": False, "amx_bf16": False}, "fp32"),
        ({"avx512_bf16": True}, "bf16"),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert resolve_precision("auto", CPU) == expected
    assert [resolve_precision(name, CPU) for name in ("fp32", "tf32", "bf16")] == [
        "fp32",
        "tf32",
        "bf16",
    ]
    with pytest.raises(UserError, match=r"networks\.precision is 'fp16'; set it to one of auto"):
        resolve_precision("fp16", CPU)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("bf16", torch.bfloat16), ("fp32", torch.float32), ("tf32", torch.float32)],
)
def test_products_are_computed_in_the_precision_asked_for(precision, dtype):
    with autocast(precision, CPU):
        assert nn.Linear(4, 4)(torch.ones(2, 4)).dtype == dtype


def test_a_share_of_the_memory_is_what_a_job_may_take(monkeypatch):
    assert bytes_for_data(CPU, 10**15, 8, "Training stn-g") == float("inf")
    share = device_module._share
    # 95 % of 100 GB for four jobs, less what the job itself needs.
    assert share(100e9, 100e9, 3.75e9, 4, "") == pytest.approx(20e9)
    # Less than the share is free.
    assert share(10e9, 100e9, 3e9, 4, "") == pytest.approx(7e9)
    with pytest.raises(UserError, match=r"Training stn-g needs 12\.0 GB.* to 7 or less"):
        share(100e9, 100e9, 12e9, 8, "Training stn-g")
    with pytest.raises(UserError, match="use a larger GPU"):
        share(8e9, 8e9, 12e9, 1, "Training stn-g")


def test_bytes_of_a_training_by_hand():
    """One dense layer keeps its input for the gradient of its weight, and nothing else."""
    model = nn.Linear(10, 5, bias=False)
    x = torch.empty(8, 10, device="meta")
    assert training_bytes(model, lambda model, x: model(x), x) == 4 * 50 * 4 + 1.5 * 8 * 10 * 4
    assert model.weight.device == CPU
