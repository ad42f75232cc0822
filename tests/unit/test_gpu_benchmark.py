"""The benchmark of the GPU, rehearsed on the CPU: a GPU is too rare to look for typos on."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_of_the_gpu_runs_through_and_writes_nothing():
    results = ROOT / "benchmarks" / "results"
    before = {path: path.read_bytes() for path in results.iterdir()}
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "gpu.py", "--rehearse"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split()[0] for line in done.stdout.splitlines() if "'ours'" in line]
    assert rows == ["network_step_gpu", "transfer_gpu", "networks_gpu", "grid_gpu"]
    assert {path: path.read_bytes() for path in results.iterdir()} == before
