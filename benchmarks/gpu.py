"""Networks and transfer MLPs on one GPU: a step, eight at once, and the whole grid of the paper.

    python benchmarks/gpu.py                 on a machine with a GPU: four rows, about five minutes
    python benchmarks/gpu.py --rehearse      the same on a CPU with next to no data, nothing written

Data of the paper's size are drawn on the device: 25,000 spectrograms of 30 s, 1.45 million windows.
What is timed is what the workflow runs, index tables and reading of losses included:
agf.networks.training.task_trainer and agf.transfer.mlp.mlp_trainer. Start CUDA's Multi-Process
Service before, or not: the script says which.
"""

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections import Counter

import measure
import numpy as np
import torch
from torch import nn

from agf.errors import UserError
from agf.networks.crops import Scaler, cut, standardise
from agf.networks.data import TrainingData
from agf.networks.device import autocast, lend_device, set_precision, training_bytes
from agf.networks.mels import Mels
from agf.networks.model import build_network, describe_networks
from agf.networks.training import task_adam, task_trainer
from agf.networks.updates import updates_per_epoch
from agf.tasks import all_cases, network_by_name
from agf.transfer.embedding import WINDOWS_AT_A_TIME, window_starts
from agf.transfer.mlp import build_mlp, mlp_trainer

N_GENRES, N_TOPICS, N_BANDS, CROP_FRAMES, SEED = 16, 40, 128, 43, 0
MINUTES_TARGET = 45

PAPER = {
    "tracks": 25_000,
    "training_tracks": 21_250,
    "frames": 1292,
    "batch_size": 64,
    "hidden_units": 1024,
    "network_epochs": 200,
    "transfer_epochs": 50,
    "slots": 8,
    "rounds": 9,
    "seconds": 8.0,
}
"""Corpus and schedule of the paper, and for how long each thing is measured."""

REHEARSAL = PAPER | {
    "tracks": 40,
    "training_tracks": 34,
    "frames": 130,
    "batch_size": 4,
    "hidden_units": 8,
    "slots": 2,
    "rounds": 2,
    "seconds": 0.01,
}

NETWORK_SETTINGS = {
    "batch_size": 64,
    "learning_rate": 1e-3,
    "weight_decay": 2e-5,
    "crop_frames": CROP_FRAMES,
    "precision": "tf32",
    "bn_momentum": 0.1,
    "top_db": 80.0,
}
TRANSFER_SETTINGS = {
    "batch_size": 64,
    "learning_rate": 1e-3,
    "windows_per_track_per_epoch": None,
    "precision": "tf32",
}

PREDICTED = {
    "network_step_gpu": (
        "graph 0.45 ms: 14.7 GFLOP are 0.15 ms at 100 TFLOP/s of TF32, and about 1.2 GB of "
        "activations read and written are 0.3 ms at 4 TB/s; eager 1.5 ms: some 250 launches of "
        "6 us; ratio 3.3"
    ),
    "networks_gpu": "1.5: one network keeps less than half of the GPU's multiprocessors busy",
    "transfer_gpu": (
        "five tasks: graph 0.06 ms, some 25 kernels of 2 us each and 40 MB of weights, moments and "
        "gradients; eager 0.5 ms; ratio 8"
    ),
    "grid_gpu": "35 minutes: 5.6 million updates at 0.3 ms, a million of MLPs at 0.02 ms, the rest",
}


def make_data(size, device):
    """Draw spectrograms and targets of the training tracks on the device."""
    torch.manual_seed(SEED)
    n, frames = size["training_tracks"], size["frames"]
    shape = (size["tracks"] * frames, N_BANDS)
    levels = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    mels = Mels(
        levels,
        np.arange(n) * frames,
        np.full(n, frames),
        torch.zeros(n, device=device),
        np.zeros((n, 32), np.uint8),
    )
    scaler = Scaler(torch.full((N_BANDS,), -40.0), torch.full((N_BANDS,), 23.0)).to(device)
    targets = {
        "g": nn.functional.one_hot(torch.arange(n) % N_GENRES, N_GENRES).float().to(device),
        "s": torch.softmax(torch.randn(n, N_TOPICS), 1).to(device),
    }
    rows = {task: np.arange(n) for task in targets}
    return TrainingData(mels, scaler, targets, rows, [f"genre {i}" for i in range(N_GENRES)])


def make_network(name, data, device):
    """Build one of the networks with fresh weights."""
    network = network_by_name(name)
    torch.manual_seed(SEED)
    n_outputs = {task: data.targets[task].shape[1] for task in network.tasks}
    model = build_network(network, n_outputs, NETWORK_SETTINGS["bn_momentum"])
    return network, model.to(device, memory_format=torch.channels_last).train()


def our_network(name, data, device, precision="tf32"):
    """Return a function that trains one epoch of a network's first task as the workflow does."""
    network, model = make_network(name, data, device)
    task, settings = network.tasks[0], {**NETWORK_SETTINGS, "precision": precision}
    optimiser = task_adam(model, task, settings, device)
    train_epoch = task_trainer(network, model, task, optimiser, data, settings)
    epochs = iter(range(10**9))
    return lambda: len(train_epoch(next(epochs), SEED))


def plain_network(name, data, device, n_updates):
    """Return a function that trains for some updates in the obvious way, data on the device."""
    network, model = make_network(name, data, device)
    model = model.to(memory_format=torch.contiguous_format)
    task = network.tasks[0]
    optimiser = torch.optim.Adam(model.parameters(), lr=NETWORK_SETTINGS["learning_rate"])
    n, frames = len(data.rows[task]), int(data.mels.lengths[0])

    def train():
        for _ in range(n_updates):
            rows = torch.randint(n, (NETWORK_SETTINGS["batch_size"],), device=device)
            first = rows * frames + torch.randint(
                frames - CROP_FRAMES + 1, rows.shape, device=device
            )
            levels = cut(data.mels.frames, first, CROP_FRAMES)
            x = standardise(levels, data.mels.max_db[rows], data.scaler, 80.0)
            loss = nn.functional.cross_entropy(model(x, task), data.targets[task][rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        synchronise(device)
        return n_updates

    return train


def make_features(n_tasks, size, device):
    """Draw features, and return them with the track and label of every window."""
    torch.manual_seed(SEED)
    per_track = len(window_starts(size["frames"]))
    track = np.repeat(np.arange(size["tracks"]), per_track)
    shape = (len(track), 256)
    features = [
        torch.randn(shape, dtype=torch.float16, device=device)
        if device.type == "cuda"
        else torch.randn(shape).half()
        for _ in range(n_tasks)
    ]
    rows = np.flatnonzero(track < size["training_tracks"])
    return features, track, rows, track % N_GENRES


def our_mlp(n_tasks, size, device):
    """Return a function that trains one epoch of a transfer MLP as the workflow does."""
    features, track, rows, labels = make_features(n_tasks, size, device)
    mlp = build_mlp(256 * n_tasks, size["hidden_units"], N_GENRES).to(device)
    train_epoch = mlp_trainer(
        mlp, features, track, rows, labels, TRANSFER_SETTINGS, (SEED, "stn-g"), True
    )
    epochs = iter(range(10**9))
    return lambda: len(train_epoch(next(epochs)))


def plain_mlp(n_tasks, size, device, n_updates):
    """Return a function that trains an MLP for some updates in the obvious way."""
    features, _, rows, labels = make_features(n_tasks, size, device)
    mlp = build_mlp(256 * n_tasks, size["hidden_units"], N_GENRES).to(device)
    optimiser = torch.optim.Adam(mlp.parameters(), lr=TRANSFER_SETTINGS["learning_rate"])
    rows, labels = torch.from_numpy(rows).to(device), torch.from_numpy(labels).to(device)

    def train():
        order = rows[torch.randperm(len(rows), device=device)]
        batches = order.split(TRANSFER_SETTINGS["batch_size"])[:n_updates]
        for batch in batches:
            x = torch.cat([feature[batch] for feature in features], 1).float()
            loss = nn.functional.cross_entropy(mlp(x), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        synchronise(device)
        return len(batches)

    return train


def embed_windows(name, size, data, device):
    """Return a function that embeds some windows as the workflow does, without the file."""
    network, model = make_network(name, data, device)
    model.eval()
    n = min(WINDOWS_AT_A_TIME[device.type], size["training_tracks"])
    first = torch.from_numpy(data.mels.offsets[:n]).to(device)

    def embed():
        with torch.inference_mode(), autocast("tf32", device):
            levels = cut(data.mels.frames, first, CROP_FRAMES)
            x = standardise(levels, data.mels.max_db[:n], data.scaler, 80.0)
            model.embed(x, network.tasks[0]).to("cpu", torch.float16)
        return n

    return embed


def synchronise(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def rate(work, seconds):
    """Return how much `work` gets done in a second, over at least so many seconds."""
    work()
    done, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        done += work()
    return done / elapsed


def compare(ours, plain, rounds):
    """Time two kinds of training in turns; return milliseconds a step of each and their ratio."""
    counts = {}

    def counting(label, work):
        def run():
            counts[label] = work()

        return run

    seconds = measure.interleave(
        {label: counting(label, work) for label, work in (("ours", ours), ("plain", plain))},
        rounds,
        warmup=2,
    )
    steps = {
        label: [1e3 * value / counts[label] for value in values]
        for label, values in seconds.items()
    }
    ratio = [plain / ours for ours, plain in zip(steps["ours"], steps["plain"], strict=True)]
    return {label: measure.spread(values) for label, values in steps.items()}, ratio


def kinds_of_work(size, data, device):
    """Return what the grid is made of, by name: functions that make one piece of work of each."""
    work = {"stn": lambda: our_network("stn-g", data, device)}
    for n in range(2, 6):
        work[f"wstn-{n}"] = lambda n=n: our_network(f"wstn-{n}", data, device)
    for n in range(1, 6):
        work[f"mlp-{n}"] = lambda n=n: our_mlp(n, size, device)
    work["embedding"] = lambda: embed_windows("stn-g", size, data, device)
    return work


def grid_worker(size, barrier, queue):
    """Measure every kind of work in this process, at the same time as in all others."""
    NETWORK_SETTINGS["batch_size"] = size["batch_size"]
    with lend_device(size["slots"]) as device:
        set_precision("tf32", device)
        data = make_data(size, device)
        rates = {}
        for name, make in kinds_of_work(size, data, device).items():
            work = make()
            work()
            barrier.wait()
            rates[name] = rate(work, size["seconds"])
            barrier.wait()
            del work
            if device.type == "cuda":
                torch.cuda.empty_cache()
    queue.put(rates)


def measure_grid(size, n_processes):
    """Return the summed rate of each kind of work in several processes on one GPU."""
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(n_processes), context.Queue()
    jobs = [
        context.Process(target=grid_worker, args=(size, barrier, queue)) for _ in range(n_processes)
    ]
    for job in jobs:
        job.start()
    try:
        found = [queue.get(timeout=400) for _ in jobs]
    finally:
        for job in jobs:
            job.join(10)
            job.kill()
    return {name: sum(rates[name] for rates in found) for name in found[0]}


def paper_schedule(size):
    """Return how much of each kind of work the paper's grid is: updates, and windows to embed."""
    n_outputs = dict.fromkeys("sedm", N_TOPICS) | {"g": N_GENRES}
    rows = describe_networks(
        size["network_epochs"], size["training_tracks"], NETWORK_SETTINGS["batch_size"], n_outputs
    )
    amounts = Counter()
    per_track = len(window_starts(size["frames"]))
    for row in rows:
        # An MTN trains one branch with the shared layer in a step, which is an STN.
        amounts[row["network"] if row["network"].startswith("wstn") else "stn"] += row["updates"]
        amounts["embedding"] += size["tracks"] * per_track * len(row["tasks"])
    n_windows = size["training_tracks"] * per_track
    steps = size["transfer_epochs"] * updates_per_epoch(n_windows, TRANSFER_SETTINGS["batch_size"])
    for case in all_cases():
        if case.alias_of is None:
            # The wide networks' features are at most 577 wide: as two tasks, or three.
            n_tasks = len(case.tasks) if case.kind != "wstn" else 3
            amounts[f"mlp-{n_tasks}"] += steps
    return dict(amounts)


def minutes(amounts, rates):
    """Return the minutes each kind of work takes."""
    return {name: amount / rates[name] / 60 for name, amount in amounts.items()}


def profile_step(data, device):
    """Return the number of kernels in one eager step and the time they take together."""
    _, model = make_network("stn-g", data, device)
    optimiser = task_adam(model, "g", NETWORK_SETTINGS, device)
    rows = torch.arange(min(64, len(data.rows["g"])), device=device)

    def step():
        levels = cut(data.mels.frames, rows * int(data.mels.lengths[0]), CROP_FRAMES)
        x = standardise(levels, data.mels.max_db[rows], data.scaler, 80.0)
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x, "g"), data.targets["g"][rows]).backward()
        optimiser.step()
        synchronise(device)

    for _ in range(3):
        step()
    kind = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[kind.CPU, kind.CUDA]) as profile:
        step()
    events = [event for event in profile.events() if event.device_type.name == "CUDA"]
    totals = Counter()
    for event in events:
        totals[event.name[:80]] += event.device_time_total / 1e3
    return {
        "kernels": len(events),
        "kernel_ms": sum(totals.values()),
        "longest": dict(totals.most_common(12)),
    }


def copy_bandwidth(device):
    """Return the bytes a second that a large copy on the device reads and writes."""
    source = torch.empty(1 << 31, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy_rate = rate(lambda: (target.copy_(source), synchronise(device), 1)[2], 0.5)
    return 2 * source.nbytes * copy_rate


def measure_memory(data, device):
    """Return the peak of the memory reserved for one training, and what was expected of it."""
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    our_network("stn-g", data, device)()
    peak = torch.cuda.max_memory_reserved() - before
    model = build_network(network_by_name("stn-g"), {"g": N_GENRES}, 0.1)
    batch = torch.empty(64, 1, N_BANDS, CROP_FRAMES, device="meta")
    return {
        "reserved_megabytes": peak / 1e6,
        "expected_megabytes": training_bytes(model, lambda m, x: m(x, "g"), batch) / 1e6,
    }


def mps_runs():
    """Return whether the control daemon of the Multi-Process Service answers."""
    if shutil.which("nvidia-cuda-mps-control") is None:
        return False
    done = subprocess.run(
        ["nvidia-cuda-mps-control"], input="get_server_list\n", capture_output=True, text=True
    )
    return done.returncode == 0 and "Cannot find" not in done.stdout + done.stderr


def main():
    """Measure the rows of the GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, without a result")
    rehearse = parser.parse_args().rehearse
    size = REHEARSAL if rehearse else PAPER
    NETWORK_SETTINGS["batch_size"] = size["batch_size"]
    if rehearse:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif not torch.cuda.is_available():
        parser.error("torch sees no GPU; --rehearse runs the script on a CPU")
    record = (lambda name, **row: print(name, row)) if rehearse else measure.record
    packages = ("torch", "numpy")
    mps = f"MPS {'running' if mps_runs() else 'not running'}"

    single = {}
    with lend_device(1) as device:
        set_precision("tf32", device)
        data = make_data(size, device)
        n_updates = updates_per_epoch(size["training_tracks"], size["batch_size"])
        steps, ratio = compare(
            our_network("stn-g", data, device),
            plain_network("stn-g", data, device, n_updates),
            size["rounds"],
        )
        details = {"frames_gigabytes": data.mels.frames.nbytes / 1e9}
        for precision in ("fp32", "bf16"):
            set_precision(precision, device)
            work = our_network("stn-g", data, device, precision)
            details[f"{precision}_ms"] = 1e3 / rate(work, size["seconds"] / 4)
        set_precision("tf32", device)
        if not rehearse:
            details |= profile_step(data, device) | measure_memory(data, device)
            details["copy_bytes_per_second"] = copy_bandwidth(device)
        record(
            "network_step_gpu",
            ours="one CUDA graph, TF32, channels last, fused Adam",
            alternative="eager loop, TF32 convolutions (torch's default), torch's default Adam",
            unit="ms per step of 64 crops",
            measured=steps,
            ratio=measure.spread(ratio),
            reached=measure.spread(ratio)["median"] >= 3,
            predicted=PREDICTED["network_step_gpu"],
            megabytes=details.get("reserved_megabytes"),
            packages=packages,
            details=details,
        )
        ratios = {}
        for n_tasks in (1, 5):
            steps, ratio = compare(
                our_mlp(n_tasks, size, device),
                plain_mlp(n_tasks, size, device, 2000),
                size["rounds"],
            )
            ratios[n_tasks] = (steps, ratio)
            if not rehearse:
                torch.cuda.empty_cache()
        steps, ratio = ratios[5]
        record(
            "transfer_gpu",
            ours="one CUDA graph, TF32, fused Adam, five tasks",
            alternative="eager loop, features on the GPU",
            unit="ms per step of 64 windows",
            measured=steps,
            ratio=measure.spread(ratio),
            reached=measure.spread(ratio)["median"] >= 5,
            predicted=PREDICTED["transfer_gpu"],
            packages=packages,
            details={"one task": ratios[1][0], "one task ratio": measure.spread(ratios[1][1])},
        )
        plain_rates = {
            "stn": rate(plain_network("stn-g", data, device, n_updates), size["seconds"] / 4),
            "embedding": rate(embed_windows("stn-g", size, data, device), size["seconds"] / 4),
        }
        for n in range(2, 6):
            work = plain_network(f"wstn-{n}", data, device, n_updates)
            plain_rates[f"wstn-{n}"] = rate(work, size["seconds"] / 4)
        for n in range(1, 6):
            plain_rates[f"mlp-{n}"] = rate(plain_mlp(n, size, device, 2000), size["seconds"] / 4)
        del data
    if not rehearse:
        torch.cuda.empty_cache()

    single = measure_grid(size, 1)
    shared = measure_grid(size, size["slots"])
    record(
        "networks_gpu",
        ours=f"{size['slots']} processes with a network each, {mps}",
        alternative="one process",
        unit="steps/s of all together",
        measured={
            "ours": measure.spread([shared["stn"]]),
            "one after another": measure.spread([single["stn"]]),
        },
        ratio=measure.spread([shared["stn"] / single["stn"]]),
        reached=shared["stn"] / single["stn"] >= 1.4,
        predicted=PREDICTED["networks_gpu"],
        packages=packages,
        details={"single": single, "shared": shared},
    )
    amounts = paper_schedule(size)
    ours, plain = minutes(amounts, shared), minutes(amounts, plain_rates)
    record(
        "grid_gpu",
        ours=f"{size['slots']} at a time, CUDA graphs, {mps}",
        alternative="eager, one at a time",
        unit="minutes, projected from the rates",
        measured={
            "ours": measure.spread([sum(ours.values())]),
            "plain": measure.spread([sum(plain.values())]),
        },
        ratio=measure.spread([sum(plain.values()) / sum(ours.values())]),
        reached=sum(ours.values()) <= MINUTES_TARGET,
        predicted=PREDICTED["grid_gpu"],
        remark=(
            "Projected, not run. Start of the jobs, re-estimation of batch norm and writing of "
            "files are not in it."
        ),
        packages=packages,
        details={"amounts": amounts, "minutes": ours, "plain minutes": plain},
    )


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
