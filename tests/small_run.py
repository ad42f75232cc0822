"""A run's results in small, made by the stages' own functions, with networks nobody has trained."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch

from agf.evaluation.metrics import evaluate_predictions
from agf.features.mel_shards import extract_mel_shard
from agf.files import write_json, write_parquet
from agf.networks.crops import fit_scaler, load_scaler
from agf.networks.mels import pack_mels
from agf.networks.model import build_network, save_weights
from agf.provenance import file_digest, provenance_hash
from agf.tasks import case_by_name, network_by_name
from agf.transfer.embedding import embed_tracks
from agf.transfer.mlp import train_transfer

RATE = 22050
SPECTROGRAM = {"sample_rate": RATE, "n_fft": 1024, "hop_length": 512, "n_mels": 128, "top_db": 80.0}
EXCERPT = {"max_duration": 4.0, "offset": "middle"}
TRANSFER = {
    "epochs": 30,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "hidden_units": 32,
    "precision": "fp32",
    "windows_per_track_per_epoch": None,
    "fit_rows": "train",
}
GENRES = ["Folk", "Hip-Hop", "Old-Time / Historic"]
N_TOPICS = 5
CASES = ("stn-gs", "mtn-gs", "wstn-2")
TRACKS = {
    # Sample rate, channels, seconds and suffix; every second track is for evaluation.
    1: (44100, 2, 3.2, "wav"),
    2: (44100, 2, 3.2, "wav"),
    3: (22050, 1, 2.7, "flac"),
    4: (22050, 1, 2.7, "flac"),
    5: (48000, 2, 3.0, "mp3"),
    6: (48000, 2, 3.0, "mp3"),
    7: (22050, 2, 9.0, "ogg"),
    8: (22050, 2, 9.0, "ogg"),
    9: (16000, 1, 2.5, "wav"),
    10: (16000, 1, 2.5, "wav"),
    11: (44100, 2, 6.3, "mp3"),
    12: (44100, 2, 6.3, "mp3"),
}


def music(track_id, rate, channels, seconds):
    """Return notes over noise; the genre decides on their rhythm, the track on their pitch."""
    rng = np.random.default_rng(track_id)
    t = np.arange(int(rate * seconds)) / rate
    beat = np.exp(-(t % (0.2 + 0.25 * (track_id % 3))) * 6)
    pitch = 110 * 2 ** (track_id / 12 + np.floor(2 * t) % 5 / 3)
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / rate) * beat
    noise = rng.normal(size=(len(t), channels)) * (0.002 + 0.02 * (track_id % 3))
    return (0.4 * tone[:, None] * np.linspace(1, 0.6, channels) + noise).astype(np.float32)


def write_small_run(folder):
    """Write ``folder/audio`` and ``folder/results`` with three cases; return the results."""
    results, audio = folder / "results" / "small", folder / "audio"
    audio.mkdir(parents=True)
    ids = np.array(list(TRACKS))
    paths = [f"{i:06d}.{TRACKS[i][3]}" for i in ids]
    for i, path in zip(ids, paths, strict=True):
        rate, channels, seconds, _ = TRACKS[i]
        soundfile.write(audio / path, music(i, rate, channels, seconds), rate)
    genre_top = np.array(GENRES)[ids % 3]
    artists = np.where(ids // 2 == 3, None, [f"Artist {i // 2}" for i in ids])
    tracks = {
        "track_id": ids,
        "path": paths,
        "artist_id": ids // 2,
        "artist": artists,
        "genre_top": genre_top,
    }
    write_parquet(tracks, results / "corpus" / "tracks.parquet")
    part = np.where(ids % 2 == 0, "evaluation", "train")
    write_parquet({"track_id": ids, "part": part}, results / "splits" / "random.parquet")
    _write_topics(results)
    _write_features(results, audio, ids, paths)
    for name in ("stn-g", "stn-s", "mtn-gs", "wstn-2"):
        _write_network(results, name)
    for name in CASES:
        _write_case(results, name)
    _write_provenance(results)
    return results


def _write_topics(results):
    """Artist i belongs to topic i by 0.6 and to the others by 0.1; artist 5 has no topics."""
    topics = np.full((6, N_TOPICS), 0.1) + 0.5 * np.eye(6, N_TOPICS)
    topics[5] = np.nan
    columns = {"artist_id": np.arange(6), "n_tracks": np.ones(6, int)}
    columns |= {f"topic_{topic:02d}": topics[:, topic] for topic in range(N_TOPICS)}
    write_parquet(columns, results / "targets" / "random" / "s.parquet")


def _write_features(results, audio, ids, paths):
    sha256 = [hashlib.sha256((audio / path).read_bytes()).hexdigest() for path in paths]
    duration = np.full(len(ids), np.nan)
    manifest = pd.DataFrame({"track_id": ids, "path": paths, "sha256": sha256})
    write_parquet(manifest.assign(duration=duration), results / "manifest.parquet")
    shard, rejected = results / "mel.parquet", results / "mel.rejected.parquet"
    settings = {**SPECTROGRAM, **EXCERPT, "min_seconds": 2.0}
    extract_mel_shard(results / "manifest.parquet", audio, shard, rejected, settings, "code")
    pack_mels([shard], results / "corpus" / "tracks.parquet", results / "mels.safetensors")
    fit_scaler(
        results / "mels.safetensors",
        results / "splits" / "random.parquet",
        results / "networks" / "random" / "scaler.parquet",
        SPECTROGRAM,
    )


def _write_network(results, name):
    torch.manual_seed(len(name))
    network, n_outputs = network_by_name(name), {"g": len(GENRES), "s": N_TOPICS}
    model = build_network(network, {task: n_outputs[task] for task in network.tasks}, 0.1)
    scaler = load_scaler(results / "networks" / "random" / "scaler.parquet")
    metadata = {
        "network": name,
        "tasks": network.tasks,
        "n_outputs": {task: n_outputs[task] for task in network.tasks},
        "genres": GENRES,
        "scaler": {part: values.tolist() for part, values in scaler._asdict().items()},
        "settings": {"crop_frames": 43, "top_db": 80.0, "precision": "fp32"},
        "seed": 0,
    }
    save_weights(model, _network(results, name), metadata)


def _network(results, name):
    return results / "networks" / "random" / "seed0" / name / "weights.safetensors"


def _write_case(results, name):
    case = case_by_name(name)
    tracks = results / "corpus" / "tracks.parquet"
    embeddings = {network: results / f"{network}.safetensors" for network in case.networks}
    for network, out in embeddings.items():
        mels = results / "mels.safetensors"
        embed_tracks(_network(results, network), mels, tracks, out, {"hop_frames": 21})
    folder = results / "cases" / "random" / "seed0" / name
    folder.mkdir(parents=True)
    train_transfer(
        case,
        embeddings,
        tracks,
        results / "splits" / "random.parquet",
        {"predictions": folder / "predictions.parquet", "mlp": folder / "mlp.safetensors"},
        TRANSFER,
        0,
    )
    metrics = evaluate_predictions(pd.read_parquet(folder / "predictions.parquet"))
    write_json(metrics, folder / "metrics.json")


def _write_provenance(results):
    files = sorted(
        path
        for part in ("networks", "cases", "targets")
        for path in Path(results, part).rglob("*.*")
    )
    provenance = {
        "configuration": {
            "corpus": "small",
            "source": "folder",
            "data_dir": str(results.parents[1]),
            "spectrogram": SPECTROGRAM,
            "seeds": [0],
            "split": {"kind": "random", "repeats": 1},
            "study": {"subset": None},
            "transfer": {"hop_frames": 21, "fit_rows": ["train", "all"]},
            "agf": {
                "fit_on": "train",
                "dictionary": "kmeans",
                "dictionary_size": {"m": 16, "d": 16, "e": 4},
                "groups": "lda",
                "n_topics": N_TOPICS,
            },
            **EXCERPT,
        },
        "versions": {"torch": torch.__version__},
        "files": {path.relative_to(results).as_posix(): file_digest(path) for path in files},
    }
    write_json({"hash": provenance_hash(provenance), **provenance}, results / "provenance.json")
