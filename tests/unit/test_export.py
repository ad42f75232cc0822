"""The model folder of a case."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from scipy.stats import binom
from small_run import GENRES, SPECTROGRAM

import agf
from agf.cli import main
from agf.errors import UserError
from agf.export.card import _leaks
from agf.export.folder import export_case
from agf.provenance import file_digest


def read_config(folder):
    return json.loads((folder / "config.json").read_text())


def test_a_folder_holds_every_network_of_the_case_as_it_was_trained(small_run, exported):
    folder, results = exported("stn-gs"), small_run / "results" / "small"
    files = {path.name for path in folder.iterdir()}
    weights = {"stn-g.safetensors", "stn-s.safetensors", "mlp.safetensors"}
    assert files == weights | {"README.md", "config.json", "groups.json", "model.onnx"}
    trained = results / "networks" / "random" / "seed0" / "stn-s" / "weights.safetensors"
    assert (folder / "stn-s.safetensors").read_bytes() == trained.read_bytes()
    one_network = {path.name for path in exported("mtn-gs").iterdir()}
    assert one_network == files - {"stn-g.safetensors", "stn-s.safetensors"} | {
        "mtn-gs.safetensors"
    }


def test_the_configuration_says_how_windows_are_made(small_run, exported):
    config = read_config(exported("stn-gs"))
    assert config["spectrogram"] == SPECTROGRAM
    assert config["window"] == {"frames": 43, "hop_frames": 21}
    assert config["excerpt"] == {"max_duration": 4.0, "offset": "middle"}
    assert config["genres"] == GENRES and config["tasks"] == "gs"
    assert config["trained_on"] == {
        "corpus": "small",
        "split": "random",
        "seed": 0,
        "fit_rows": "train",
        "fit_on": "train",
    }
    assert config["versions"]["exported"]["torch"] == torch.__version__
    provenance = json.loads((small_run / "results" / "small" / "provenance.json").read_text())
    assert config["provenance"] == provenance["hash"]
    scaler = pd.read_parquet(small_run / "results/small/networks/random/scaler.parquet")
    for network in config["networks"]:
        np.testing.assert_allclose(network["scaler"]["std"], scaler["std"], rtol=1e-6)


def test_the_configuration_has_the_digest_of_every_file_that_is_read(exported):
    folder = exported("mtn-gs")
    digests = read_config(folder)["sha256"]
    weights = {"mlp.safetensors", "mtn-gs.safetensors"}
    assert set(digests) == weights | {"groups.json", "model.onnx"}
    assert all(file_digest(folder / name) == digest for name, digest in digests.items())


def test_groups_name_their_artists_and_genres(exported):
    """Shares as the run in small sets them, artist 5 left out; genres counted by hand.

    Artist i has tracks 2 i and 2 i + 1, artist 0 only track 1, and track t the genre t mod 3:
    Hip-Hop; Old-Time, Folk; Hip-Hop, Old-Time; Folk, Hip-Hop; Old-Time, Folk of artists 0 to 4.
    """
    (topics,) = json.loads((exported("mtn-gs") / "groups.json").read_text()).values()
    assert len(topics) == 5
    assert topics[1]["size"] == pytest.approx(0.2)
    names = [name for name, _ in topics[3]["artists"]]
    # Artist 3 has no name.
    assert names == ["artist 3", "Artist 0", "Artist 1", "Artist 2"]
    assert topics[3]["artists"][0][1] == pytest.approx(0.6)
    # 0.1 for each track and 0.5 more for the two of artist 3: 1.9 in all.
    genres = dict(topics[3]["genres"])
    assert list(genres)[2] == "Old-Time / Historic"
    assert genres == pytest.approx(
        {"Folk": 0.8 / 1.9, "Hip-Hop": 0.8 / 1.9, "Old-Time / Historic": 0.3 / 1.9}
    )
    assert json.loads((exported("wstn-2") / "groups.json").read_text()) == {}


def test_the_same_results_give_the_same_bytes(small_run, exported, tmp_path):
    first, second = exported("wstn-2"), tmp_path / "again"
    export_case(small_run / "results" / "small", "wstn-2", second)
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize("case", ["stn-gs", "mtn-gs"])
def test_no_file_holds_a_path_of_the_machine(exported, small_run, case):
    places = [Path(agf.__file__).parents[2], Path(torch.__file__).parents[1], small_run]
    words = [str(place).encode() for place in [*places, Path.home(), tempfile.gettempdir()]]
    for path in exported(case).iterdir():
        content = path.read_bytes()
        assert not [word for word in words if word != b"/" and word in content], path.name


def test_the_card_has_a_header_scores_and_their_intervals(small_run, exported):
    text = (exported("stn-gs") / "README.md").read_text()
    _, header, body = text.split("---\n", 2)
    card = yaml.safe_load(header)
    metrics_path = small_run / "results/small/cases/random/seed0/stn-gs/metrics.json"
    metrics = json.loads(metrics_path.read_text())
    (result,) = card["model-index"][0]["results"]
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values["f1"] == pytest.approx(metrics["macro_f1"], abs=1e-4)
    assert card["license"] == "other" and "music" in card["tags"]
    assert f"| accuracy | {metrics['accuracy']:.4f} |" in body
    for genre in GENRES:
        assert f"| {genre} | {metrics['f1'][genre]:.3f} |" in body
    # Artist 0 has one track, 6 the last; all others have one in each part.
    assert "83% of the evaluation tracks are by artists who have training tracks too" in " ".join(
        body.split()
    )


def test_the_cards_intervals_are_of_a_bootstrap_over_artists(small_run, exported):
    """Six artists with one evaluation track each: resampled accuracy is binomial."""
    path = small_run / "results/small/cases/random/seed0/stn-gs/metrics.json"
    share = json.loads(path.read_text())["accuracy"]
    low, high = binom(6, share).ppf([0.025, 0.975]) / 6
    assert 0 < low < high
    text = (exported("stn-gs") / "README.md").read_text()
    assert f"| accuracy | {share:.4f} | {low:.4f} to {high:.4f} |" in text


@pytest.mark.parametrize("fit_rows", ["train", "all"])
def test_the_card_tells_of_a_leak(fit_rows):
    trained_on = {"fit_rows": fit_rows, "fit_on": None}
    assert ("how well it remembers" in _leaks(trained_on)) == (fit_rows == "all")


@pytest.fixture
def results(small_run, tmp_path):
    """A copy of the results that a test may damage."""
    return shutil.copytree(small_run / "results" / "small", tmp_path / "small")


CASE = "cases/random/seed0/mtn-gs"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--case", "wstn-2-softmax"], "export wstn-2"),
        (["--case", "mtn-sg"], "no case 'mtn-sg'"),
        (["--case", "mtn-gs", "--split", "artist"], "has no split artist, only random"),
        (["--case", "mtn-gs", "--seed", "3"], "has no seed seed3, only seed0"),
        (["--case", "mtn-gse"], "mtn-gse/mlp.safetensors does not exist"),
        (["--case", "mtn-gs", "--out", "{results}"], "is no model folder"),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_sentence(
    results, tmp_path, capsys, arguments, words
):
    arguments = [argument.format(results=results) for argument in arguments]
    assert main(["export", str(results), "--out", str(tmp_path / "out"), *arguments]) == 1
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_alias_is_the_case_that_it_repeats(results, tmp_path, capsys):
    assert main(["export", str(results), "--case", "mtn-g", "--out", str(tmp_path / "out")]) == 1
    assert "seed0/stn-g/mlp.safetensors does not exist" in capsys.readouterr().err


def test_files_of_another_run_are_refused(results, tmp_path):
    shutil.copyfile(
        results / "cases/random/seed0/stn-gs/mlp.safetensors", results / CASE / "mlp.safetensors"
    )
    with pytest.raises(UserError, match=r"is not what .*provenance\.json records"):
        export_case(results, "mtn-gs", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_results_without_provenance_are_refused(results, tmp_path):
    (results / "provenance.json").unlink()
    with pytest.raises(UserError, match=r"provenance\.json does not exist: finish the run first"):
        export_case(results, "mtn-gs", tmp_path / "out")


def test_a_model_folder_is_replaced_as_a_whole(small_run, exported, tmp_path):
    out = shutil.copytree(exported("stn-gs"), tmp_path / "model")
    export_case(small_run / "results" / "small", "wstn-2", out)
    assert sorted(path.name for path in out.glob("*.safetensors")) == [
        "mlp.safetensors",
        "wstn-2.safetensors",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
