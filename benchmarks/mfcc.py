"""MFCC from the stored mel spectrograms of a shard against librosa's from the audio.

python benchmarks/mfcc.py --clips FOLDER [--number 60] [--rounds 15]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import librosa
import numpy as np
from measure import interleave, peak_memory, record, require_one_thread, spread
from mel import SETTINGS, choose_clips, write_mel_shard

from agf.errors import UserError
from agf.features.mfcc_shards import extract_mfcc_shard
from agf.features.reading import read_frames

MFCC = {"n_mfcc": 25, "top_db": SETTINGS["top_db"]}
OURS, LIBROSA = "a shard from the mel shard", "librosa"
TIMES_AS_FAST = 20.0
PACKAGES = ("librosa", "numpy", "pyarrow", "scipy", "soundfile")

PREDICTED = (
    "50x: 1 ms a clip, of which 8 MFLOP of cosines are 0.2 ms, four passes over 0.7 MB of dB 0.3 "
    "ms, to half precision and the digest 0.2 ms and Parquet 0.2 ms, against 51 ms, as no audio is "
    "decoded and nothing transformed"
)


def librosa_mfcc(path):
    """Return librosa's MFCC of a clip, shape (n_mfcc, n_frames)."""
    y = librosa.load(path, sr=SETTINGS["sample_rate"], mono=True)[0]
    return librosa.feature.mfcc(
        y=y,
        sr=SETTINGS["sample_rate"],
        n_mfcc=MFCC["n_mfcc"],
        n_fft=SETTINGS["n_fft"],
        hop_length=SETTINGS["hop_length"],
        n_mels=SETTINGS["n_mels"],
    )


def main():
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", required=True, help="folder with mp3 clips of 30 s")
    parser.add_argument("--number", type=int, default=60, help="clips of the shard [%(default)s]")
    parser.add_argument("--rounds", type=int, default=15, help="rounds [%(default)s]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agf-mfcc-") as folder:
        out = Path(folder) / "mfcc.parquet"
        try:
            require_one_thread()
            clips = choose_clips(arguments.clips, arguments.number)
            mel, _ = write_mel_shard(clips, Path(folder))
        except UserError as error:
            sys.exit(str(error))

        def run_ours():
            out.unlink(missing_ok=True)  # rows that are there would be kept, not computed
            extract_mfcc_shard(mel, out, MFCC, "benchmark")

        def run_librosa():
            for clip in clips:
                librosa_mfcc(clip)

        seconds = interleave({OURS: run_ours, LIBROSA: run_librosa}, arguments.rounds)
        out.unlink()
        _, megabytes = peak_memory(extract_mfcc_shard, mel, out, MFCC, "benchmark")
        stored = read_frames([out], "mfcc")[1]
        expected = [librosa_mfcc(clip).T for clip in clips]
    errors = np.concatenate([(a - b).ravel() for a, b in zip(stored, expected, strict=True)])
    rms, deviation = np.sqrt(np.mean(errors**2)), np.std(np.concatenate(expected), axis=0).mean()
    per_clip = {
        label: spread(np.multiply(values, 1e3 / len(clips))) for label, values in seconds.items()
    }
    ratio = spread(np.divide(seconds[LIBROSA], seconds[OURS]))
    record(
        "mfcc",
        ours="`extract_mfcc_shard`: Parquet to Parquet, with keys and digests",
        alternative="`librosa.load` and `librosa.feature.mfcc`, nothing written",
        unit="ms per clip of 30 s",
        measured=per_clip,
        ratio=ratio,
        reached=ratio["median"] >= TIMES_AS_FAST,
        predicted=PREDICTED,
        remark=(
            f"A shard of {len(clips)} clips, {arguments.rounds} rounds. The spectrograms are there "
            "already, because the networks need them; making them is the row above. Ours took "
            f"{per_clip[OURS]['median']:.2f} ms where 1 ms was expected. The eight bits of the "
            f"stored spectrograms and the sixteen of the MFCC make an error of {rms:.2f} (root "
            f"mean square) where a coefficient varies by {deviation:.1f} on average."
        ),
        megabytes=megabytes,
        packages=PACKAGES,
        details={
            "clips": len(clips),
            "rounds": arguments.rounds,
            "rms_error": float(rms),
            "largest_error": float(np.abs(errors).max()),
            "mean_standard_deviation": float(deviation),
        },
    )


if __name__ == "__main__":
    main()
