"""Predicting clips with the ONNX of a whole system: decode + mel against the networks behind them.

python benchmarks/predict.py --clips FOLDER [--number 20] [--rounds 5]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from measure import interleave, peak_memory, record, require_one_thread, spread
from mel import SETTINGS, choose_clips

from agf.errors import UserError
from agf.export.onnx_file import write_onnx
from agf.export.system import WholeSystem
from agf.networks.crops import Scaler
from agf.networks.model import build_network
from agf.predict.model import BATCH, Model, open_onnx
from agf.predict.spectrogram import open_spectrogram
from agf.predict.track import predict_file
from agf.tasks import case_by_name, network_by_name
from agf.transfer.mlp import build_mlp

CASES = ("stn-g", "mtn-gsedm")
BATCHES = (1, 8, 16, 32, 64, 128)
N_GENRES, N_TOPICS, HIDDEN = 16, 40, 1024
WINDOW = {"frames": 43, "hop_frames": 21}
TARGET = 0.95
PACKAGES = ("numpy", "onnxruntime", "scipy", "soundfile", "torch")

PREDICTED = (
    "0.2x: 25 ms for decode + mel, and 59 windows of 78 MFLOP, 4.6 GFLOP, are 90 ms at 50 GFLOP/s "
    "of one core, for a case of one network; 0.06x with the five branches of mtn-gsedm"
)


def build_system(name):
    """Return the whole system of a case of the paper's size, with fresh weights."""
    torch.manual_seed(0)
    case = case_by_name(name)
    outputs = {task: N_GENRES if task == "g" else N_TOPICS for task in "gsedm"}
    models, scalers = {}, {}
    for network in dict.fromkeys(case.networks):
        tasks = network_by_name(network).tasks
        n_outputs = {task: outputs[task] for task in tasks}
        models[network] = build_network(network_by_name(network), n_outputs, 0.1)
        scalers[network] = Scaler(torch.full((128,), -30.0), torch.full((128,), 20.0))
    mlp = build_mlp(256 * len(case.tasks), HIDDEN, N_GENRES)
    return WholeSystem(case.tasks, case.networks, models, scalers, mlp).eval()


def as_model(path):
    """Return an ONNX file as what :func:`agf.predict.load` would return."""
    config = {"genres": list(range(N_GENRES)), "spectrogram": SETTINGS, "window": WINDOW}
    return Model(config, open_onnx(path, 1))


def predict_clips(path, clips, batch):
    """Predict clips with an ONNX file."""
    model = as_model(path)
    for clip in clips:
        predict_file(model, clip, batch=batch)


def features(clips):
    """Decode clips and compute their spectrograms, as a prediction does, and no more."""
    for clip in clips:
        with open_spectrogram(clip, SETTINGS, WINDOW["frames"]):
            pass


def main():
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", required=True, help="folder with mp3 clips of 30 s")
    parser.add_argument("--number", type=int, default=20, help="clips [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5, help="rounds [%(default)s]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agf-predict-") as folder:
        try:
            require_one_thread()
            clips = choose_clips(arguments.clips, arguments.number)
        except UserError as error:
            sys.exit(str(error))
        files = {case: Path(folder) / f"{case}.onnx" for case in CASES}
        for case, path in files.items():
            write_onnx(build_system(case), SETTINGS["n_mels"], WINDOW["frames"], path)
        alternatives = {"decode + mel alone": lambda: features(clips)}
        for case, path in files.items():
            for batch in BATCHES if case == "stn-g" else (BATCH,):
                alternatives[f"{case}, {batch} windows at once"] = lambda path=path, batch=batch: (
                    predict_clips(path, clips, batch)
                )
        seconds = interleave(alternatives, arguments.rounds)
        _, megabytes = peak_memory(predict_clips, files["mtn-gsedm"], clips[:2], BATCH)
    per_clip = {
        label: spread(np.multiply(values, 1e3 / len(clips))) for label, values in seconds.items()
    }
    alone = np.array(seconds["decode + mel alone"])
    shares = {label: spread(alone / values) for label, values in seconds.items()}
    ours = {case: f"{case}, {BATCH} windows at once" for case in CASES}
    best = min(BATCHES, key=lambda n: per_clip[f"stn-g, {n} windows at once"]["median"])
    record(
        "predict",
        ours=f"`predict_file`, {BATCH} windows at once, onnxruntime, one thread",
        alternative="decode + mel of the same clips, and no more",
        unit="ms per clip of 30 s",
        measured={ours["stn-g"]: per_clip.pop(ours["stn-g"]), **per_clip},
        ratio=shares[ours["stn-g"]],
        reached=shares[ours["stn-g"]]["median"] >= TARGET,
        predicted=PREDICTED,
        remark=(
            f"{len(clips)} clips, {arguments.rounds} rounds, the paper's sizes and hop, fresh "
            f"weights. The speed-up is the share of decode + mel in the whole: "
            f"{shares[ours['stn-g']]['median']:.2f} for one network, "
            f"{shares[ours['mtn-gsedm']]['median']:.2f} for five branches. The networks are the "
            "bottleneck and batching cannot change that: a clip's windows overlap by half, so "
            "that every second of sound goes through 160 MFLOP a branch, while decode + mel were "
            f"made fast. By the medians {best} windows at once were the fastest with one network; "
            f"{BATCH} are the default, for their memory."
        ),
        megabytes=megabytes,
        packages=PACKAGES,
        details={"clips": len(clips), "rounds": arguments.rounds, "shares": shares},
    )


if __name__ == "__main__":
    main()
