"""Predicting new music with a model folder."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from small_run import CASES, GENRES, RATE, TRACKS, music

from agf.cli import main
from agf.corpus.audio_files import files_of_part, fingerprint_of_part
from agf.errors import UserError
from agf.features.audio import AudioError
from agf.predict import Prediction, load, predict_file
from agf.predict.files import find_sources, predict_files
from agf.predict.parts import collect_parts, predict_part

PREDICT = Path(__file__).parents[2] / "workflow" / "rules" / "predict.smk"


def audio_of(small_run, track_id):
    return small_run / "audio" / f"{track_id:06d}.{TRACKS[track_id][3]}"


@pytest.fixture(scope="module")
def model(exported):
    return load(exported("stn-gs"))


@pytest.mark.parametrize("backend", ["onnx", "torch"])
@pytest.mark.parametrize("case", CASES)
def test_corpus_tracks_are_predicted_as_the_run_predicted_them(small_run, exported, case, backend):
    """Within 1e-4: the run rounds features to half precision on their way to the MLP."""
    model = load(exported(case), backend)
    path = small_run / "results/small/cases/random/seed0" / case / "predictions.parquet"
    predictions = pd.read_parquet(path).set_index("track_id")
    for track_id, row in predictions.iterrows():
        found = predict_file(model, audio_of(small_run, track_id), excerpt=True).mean()
        np.testing.assert_allclose(found, row[GENRES].astype(float), rtol=0, atol=1e-4)
    assert np.ptp(predictions[GENRES].to_numpy(), axis=0).min() > 0.1


def test_without_excerpt_the_whole_file_is_heard(small_run, model):
    # 9 s at 22,050 Hz and hop 512 are 388 frames: 17 windows; 4 s are 173 frames: 7 windows.
    path = audio_of(small_run, 8)
    assert len(predict_file(model, path).windows) == 17
    assert len(predict_file(model, path, excerpt=True).windows) == 7


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_the_size_of_a_batch_changes_nothing(small_run, model, batch):
    path = audio_of(small_run, 8)
    found = predict_file(model, path, batch=batch).windows
    np.testing.assert_allclose(found, predict_file(model, path).windows, rtol=0, atol=1e-6)


def test_stereo_of_equal_channels_is_mono(tmp_path, model):
    y = music(3, RATE, 1, 5)
    soundfile.write(tmp_path / "mono.wav", y, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "stereo.wav", np.tile(y, 2), RATE, subtype="FLOAT")
    mono, stereo = (predict_file(model, tmp_path / f"{name}.wav") for name in ("mono", "stereo"))
    np.testing.assert_array_equal(mono.windows, stereo.windows)


def test_another_sample_rate_is_the_same_music(tmp_path, model):
    """Resampled from 88.2 kHz, all but the highest band is the same sound."""
    y = music(6, 4 * RATE, 1, 5)
    soundfile.write(tmp_path / "high.wav", y, 4 * RATE, subtype="FLOAT")
    high = predict_file(model, tmp_path / "high.wav")
    assert high.duration == pytest.approx(5, abs=0.03)
    from agf.features.audio import decode

    soundfile.write(tmp_path / "low.wav", decode(tmp_path / "high.wav", RATE), RATE, "FLOAT")
    low = predict_file(model, tmp_path / "low.wav")
    np.testing.assert_allclose(high.windows, low.windows, rtol=0, atol=1e-6)


def test_a_file_needs_one_window(tmp_path, model):
    # 43 frames centred on multiples of 512 samples: the last is centred on sample 42 * 512.
    soundfile.write(tmp_path / "long.wav", music(1, RATE, 1, 2)[: 42 * 512], RATE)
    assert len(predict_file(model, tmp_path / "long.wav").windows) == 1
    soundfile.write(tmp_path / "short.wav", music(1, RATE, 1, 2)[: 42 * 512 - 1], RATE)
    with pytest.raises(AudioError, match="too short"):
        predict_file(model, tmp_path / "short.wav")


def test_mean_and_majority_by_hand():
    windows = np.array([[0.6, 0.4, 0.0], [0.5, 0.5, 0.0], [0.0, 0.1, 0.9]], np.float32)
    prediction = Prediction(windows, np.zeros(3), 1.0, None, {})
    np.testing.assert_allclose(prediction.mean(), [1.1 / 3, 1 / 3, 0.3], atol=1e-7)
    np.testing.assert_allclose(prediction.majority(), [2 / 3, 0, 1 / 3])


def run(capsys, *arguments):
    code = main(["predict", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_csv_json_parquet_and_python_say_the_same(small_run, exported, tmp_path, capsys, model):
    audio, arguments = small_run / "audio", ["--model", exported("stn-gs"), "--excerpt"]
    code, out, err = run(capsys, audio, *arguments)
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["id"] for row in rows] == [str(audio_of(small_run, i)) for i in TRACKS]
    assert list(rows[0]) == ["id", *GENRES]
    found = np.array([[float(row[genre]) for genre in GENRES] for row in rows])
    expected = [predict_file(model, audio_of(small_run, i), excerpt=True).mean() for i in TRACKS]
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-9)
    for kind in ("json", "parquet"):
        path = tmp_path / f"out.{kind}"
        code, out, _ = run(capsys, audio, *arguments, "--format", kind, "--out", path)
        assert (code, out) == (0, "")
        if kind == "parquet":
            frame = pd.read_parquet(path)
        else:
            values = json.loads(path.read_text())
            frame = pd.DataFrame([{"id": v["id"], **v["probabilities"]} for v in values])
        assert frame["id"].tolist() == [row["id"] for row in rows]
        np.testing.assert_array_equal(frame[GENRES], expected)


def test_broken_files_are_told_and_left_out(small_run, exported, tmp_path, capsys):
    folder = tmp_path / "music"
    folder.mkdir()
    shutil.copy(audio_of(small_run, 6), folder / "good.mp3")
    whole = audio_of(small_run, 12).read_bytes()
    (folder / "cut.mp3").write_bytes(whole[: len(whole) // 3])
    (folder / "empty.wav").touch()
    (folder / "text.flac").write_text("no audio " * 100)
    soundfile.write(folder / "short.wav", music(1, RATE, 1, 0.5), RATE)
    (folder / "notes.txt").write_text("not looked at")
    code, out, err = run(capsys, folder, tmp_path / "nix.mp3", "--model", exported("stn-gs"))
    assert code == 3
    assert [row.split(",")[0] for row in out.splitlines()[1:]] == [str(folder / "good.mp3")]
    lines = err.splitlines()
    reasons = [("cut", "truncated"), ("empty", "unreadable"), ("short", "too short")]
    reasons += [("text", "unreadable"), ("nix", "missing")]
    for line, (name, reason) in zip(lines, reasons, strict=False):
        assert name in line and f": {reason}" in line
    assert lines[5:] == ["agf: 1 of 6 files predicted, 5 skipped"]


def test_odd_names_come_through(small_run, exported, tmp_path, capsys):
    names = ['a, "b".wav', "Ü ♫.wav", "two\nlines.wav", "$x_1$.wav", "-n.wav", "deep/er/x.WAV"]
    source = audio_of(small_run, 10)
    for name in names:
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)
    shutil.copy(source, os.fsencode(tmp_path / "music") + b"/\xff.wav")
    curves = tmp_path / "curves"
    arguments = [tmp_path / "music", "--model", exported("stn-gs"), "--curve", curves]
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    ids = [row["id"].removeprefix(f"{tmp_path}/music/") for row in csv.DictReader(io.StringIO(out))]
    assert sorted(ids) == sorted([*names, "\\xff.wav"])
    drawn = {str(path.relative_to(curves)) for path in curves.rglob("*.png")}
    assert drawn == {f"{name}.png" for name in [*names, "\\xff.wav"]}
    assert (curves / "Ü ♫.wav.png").read_bytes().startswith(b"\x89PNG")
    for kind in ("json", "parquet"):
        path = tmp_path / kind
        code, _, err = run(capsys, *arguments[:3], "--format", kind, "--out", path)
        assert (code, err) == (0, "") and path.stat().st_size > 0


def test_parts_together_are_the_whole(small_run, exported, tmp_path, capsys):
    folder = shutil.copytree(small_run / "audio", tmp_path / "music")
    (folder / "broken.mp3").write_text("no audio")
    names = ["000-of-003", "001-of-003", "002-of-003"]
    assert sum(len(files_of_part(folder, name)) for name in names) == len(TRACKS) + 1
    assert min(len(files_of_part(folder, name)) for name in names) > 0
    parts = [(tmp_path / f"{name}.parquet", tmp_path / f"{name}.csv") for name in names]
    for name, (out, skipped) in zip(names, parts, strict=True):
        predict_part(exported("stn-gs"), folder, name, out, skipped, "mean", False)
    out, skipped = tmp_path / "predictions.csv", tmp_path / "skipped.csv"
    collect_parts(*zip(*parts, strict=True), out, skipped)
    _, printed, _ = run(capsys, folder, "--model", exported("stn-gs"))
    assert out.read_text() == printed
    rows = list(csv.DictReader(skipped.open()))
    assert [row["path"] for row in rows] == [str(folder / "broken.mp3")]
    assert rows[0]["reason"].startswith("unreadable")


@pytest.mark.workflow
def test_a_folder_is_predicted_by_snakemake(small_run, exported, tmp_path, capsys):
    shutil.copytree(small_run / "audio", tmp_path / "music")

    def snakemake(model):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--snakefile", PREDICT]
        command += ["--config", f"model={model}", "music=music", "parts=2"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    code, output = snakemake(exported("stn-gs"))
    assert code == 0, output
    _, printed, _ = run(capsys, tmp_path / "music", "--model", exported("stn-gs"))
    found = (tmp_path / "predictions" / "predictions.csv").read_text()
    assert found == printed.replace(f"{tmp_path}/", "")
    assert (tmp_path / "predictions" / "skipped.csv").read_text() == "path,reason\n"
    assert "Nothing to be done" in snakemake(exported("stn-gs"))[1]
    code, output = snakemake("nowhere")
    assert code == 1 and "nowhere is no folder that `agf export` wrote" in output
    shutil.rmtree(tmp_path / "music")
    for sentence in ("music cannot be read", "music holds no audio file"):
        code, output = snakemake(exported("stn-gs"))
        assert code == 1 and sentence in output and "Traceback" not in output
        (tmp_path / "music").mkdir(exist_ok=True)


def test_a_new_file_changes_its_own_part_alone(small_run, tmp_path):
    folder = shutil.copytree(small_run / "audio", tmp_path / "music")
    names = [f"{number:03d}-of-004" for number in range(4)]
    before = [fingerprint_of_part(folder, name) for name in names]
    assert before == [fingerprint_of_part(folder, name) for name in names]
    (folder / "new.wav").touch()
    after = [fingerprint_of_part(folder, name) for name in names]
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_majority_vote_on_the_command_line(small_run, exported, capsys, model):
    path = audio_of(small_run, 8)
    _, out, _ = run(capsys, path, "--model", exported("stn-gs"), "--vote", "majority")
    votes = predict_file(model, path).windows.argmax(1)
    expected = [f"{(votes == genre).mean():.8f}" for genre in range(3)]
    assert out.splitlines()[1].split(",")[1:] == expected


def test_a_file_is_called_by_its_name_where_asked_for(small_run, model):
    sources = find_sources([small_run / "audio"])[:2]
    results = predict_files(model, sources, ids="name")
    assert [name for name, _ in results.rows] == ["000001", "000002"]


def test_a_file_named_twice_is_predicted_once(small_run):
    audio = small_run / "audio"
    sources = find_sources([audio_of(small_run, 3), audio, audio_of(small_run, 3)])
    assert len(sources) == len(TRACKS)
    assert sources[0].path == str(audio_of(small_run, 3))


def test_files_that_would_have_one_name_or_one_picture_are_refused(small_run, tmp_path, model):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(audio_of(small_run, 1), tmp_path / folder / "x.wav")
    sources = find_sources([tmp_path / "a", tmp_path / "b"])
    assert len(predict_files(model, sources).rows) == 2
    with pytest.raises(UserError, match="would have the same id"):
        predict_files(model, sources, ids="name")
    with pytest.raises(UserError, match="would have the same picture"):
        predict_files(model, sources, curves=tmp_path / "curves")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{audio}", "--model", "nowhere"], "nowhere/config.json does not exist"),
        (["{empty}", "--model", "{model}"], "holds no audio file"),
        (["{audio}", "--model", "{model}", "--format", "parquet"], "give --out"),
        (["{audio}", "--model", "{model}", "--threads", "0"], "give 1 or more"),
    ],
)
def test_a_mistake_is_one_sentence(small_run, exported, tmp_path, capsys, arguments, words):
    names = {"audio": small_run / "audio", "empty": tmp_path, "model": exported("stn-gs")}
    code, out, err = run(capsys, *(argument.format(**names) for argument in arguments))
    assert (code, out) == (1, "")
    assert words in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("backend", "file"), [("onnx", "model.onnx"), ("torch", "mlp.safetensors")]
)
def test_a_changed_model_is_refused(exported, tmp_path, backend, file):
    folder = shutil.copytree(exported("mtn-gs"), tmp_path / "model")
    with open(folder / file, "ab") as out:
        out.write(b"x")
    with pytest.raises(UserError, match=f"{file} is not what was exported"):
        load(folder, backend)
    (folder / file).unlink()
    with pytest.raises(UserError, match=f"{file} is missing"):
        load(folder, backend)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"format": "another"}))
    with pytest.raises(UserError, match="is of format 'another'"):
        load(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(UserError, match="is damaged or of something else"):
        load(folder)


def test_onnx_needs_no_torch_and_reports_to_nobody(small_run, exported):
    program = """
import os, sys
import agf.predict
model = agf.predict.load(sys.argv[1])
print(agf.predict.predict_file(model, sys.argv[2]).mean().sum().round(6))
heavy = {"torch", "pandas", "sklearn", "matplotlib", "librosa", "onnx", "snakemake"}
print(sorted(heavy & set(sys.modules)), os.environ["ORT_DISABLE_TELEMETRY"])
"""
    command = [sys.executable, "-c", program, exported("stn-gs"), audio_of(small_run, 6)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["1.0", "[] 1"], done.stderr
