"""What a change reruns: one folder of `rerun/` per case."""

from copy import deepcopy
from pathlib import Path

import pandas as pd
import pytest
import soundfile
import yaml
from tiny_run import TINY, copy_run, planned, run_and_list, snakemake, write_config

from agf.corpus.fma import audio_path

METADATA = "data/tiny/fma_metadata/tracks.csv"
CASES = sorted((Path(__file__).parent / "rerun").glob("*/case.yaml"))


def merged(config, overlay):
    config = deepcopy(config)
    for key, value in overlay.items():
        config[key] = merged(config.get(key, {}), value) if isinstance(value, dict) else value
    return config


def change(folder, case):
    write_config(folder, merged(TINY, case.get("config", {})))
    for edit in case.get("edit", []):
        with open(folder / edit["file"], "a") as file:
            file.write(edit["append"])
    if "edit_track" in case:
        edit_track(folder, 5, case["edit_track"])
    if "add_track" in case:
        add_track(folder, case["add_track"])
    clip = sorted((folder / "data" / "tiny" / "audio").rglob("*.mp3"))[5]
    if case.get("touch_clip"):
        clip.touch()
    if case.get("replace_clip"):
        write_reversed(clip, clip)
    if case.get("remove_clip"):
        clip.unlink()


def write_reversed(source, target):
    samples, rate = soundfile.read(source)
    target.parent.mkdir(exist_ok=True)
    soundfile.write(target, samples[::-1], rate, format="MP3")


def edit_track(folder, row, values):
    """Write other values into one row of tracks.csv; keys like ``track.title``."""
    path = folder / METADATA
    table = pd.read_csv(path, header=[0, 1], index_col=0, dtype=object)
    for column, value in values.items():
        table.loc[table.index[row], tuple(column.split("."))] = value
    table.to_csv(path)


def add_track(folder, track_id):
    """Add a track by the artist of the first row: a row of tracks.csv, and its clip."""
    path = folder / METADATA
    table = pd.read_csv(path, header=[0, 1], index_col=0, dtype=object)
    table.loc[track_id] = table.iloc[0]
    table.to_csv(path)
    audio = folder / "data" / "tiny" / "audio"
    write_reversed(audio / audio_path(table.index[0]), audio / audio_path(track_id))


@pytest.mark.workflow
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_rerun(path, tiny, tmp_path):
    case = yaml.safe_load(path.read_text())
    folder = tmp_path / "copy"
    copy_run(tiny, folder)
    change(folder, case)
    target = [case["target"]] if "target" in case else []
    if not case.get("run"):
        assert planned(snakemake(folder, "--dry-run", *target)) == case["expect"]
        return
    logs = run_and_list(folder, *target)
    assert {rule: len(logs[rule]) for rule in logs} == case["expect"]
    for rule, words in case.get("logs", {}).items():
        log = folder / "results/tiny/logs" / logs[rule][0]
        assert words in log.read_text().splitlines()[-1]


@pytest.mark.workflow
def test_another_genre_reruns_what_depends_on_it(tiny, tmp_path):
    folder = tmp_path / "copy"
    copy_run(tiny, folder)
    # The official split does not depend on genres, so that only what learns or counts them is left.
    write_config(folder, merged(TINY, {"split": {"kind": "fma"}}))
    snakemake(folder, "targets")
    networks = planned(snakemake(folder, "networks", "--dry-run"))["train_network"]
    assert networks == 8
    table = pd.read_csv(folder / METADATA, header=[0, 1], index_col=0)
    genres = table[("track", "genre_top")]
    other = next(row for row in range(24) if genres.iloc[row] != genres.iloc[0])
    columns = [("track", "genre_top"), ("track", "genres")]
    values = {".".join(column): table[column].iloc[other] for column in columns}
    edit_track(folder, 0, values)
    logs = run_and_list(folder, "targets")
    assert set(logs) == {
        "scan_corpus",
        "select_tracks",
        "split_tracks",
        "digest_contents",
        "fit_artist_group_factors",
        "audit_corpus",
    }
    assert [path.stem for path in logs["fit_artist_group_factors"]] == ["s"]
