"""Provenance of a run, and its verification."""

import json
import subprocess

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agf.corpus.digests import COLUMNS, FEATURES, write_digests
from agf.errors import UserError
from agf.features.shards import content_digest
from agf.files import write_parquet
from agf.provenance import SUMS, file_digest, provenance_hash, write_provenance, write_sums
from agf.verify import verify_results

IDS = [10, 11, 12]


def write_shard(path, feature, changed=None):
    """Write the features of three tracks; of track `changed` another value than the digest's."""
    rows = []
    for track_id in IDS:
        if feature == "essentia":
            values = {"rhythm.bpm": 120.0 + track_id, "tonal.key": 0.1}
        else:
            values = {"n_frames": 2, feature: bytes([track_id, 1, 2, 3])}
        digest = content_digest(values)
        if track_id == changed:
            values |= {"rhythm.bpm": 1.0} if feature == "essentia" else {feature: bytes(4)}
        rows.append({"track_id": track_id, "key": f"key{track_id}", "digest": digest, **values})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


DIGESTS = (*COLUMNS, *FEATURES, "split-random")


@pytest.fixture
def results(tmp_path):
    """A finished run of three tracks with one case and one table."""
    results = tmp_path / "results" / "music"
    corpus = results / "corpus"
    shard = "000-of-001.parquet"
    features = {feature: [results / "features" / feature / shard] for feature in FEATURES}
    for feature, (path,) in features.items():
        write_shard(path, feature)
    table = pd.DataFrame({"track_id": IDS, "artist_id": 1, "genre_top": "Rock"})
    write_parquet(table.assign(genres=[[1]] * 3), corpus / "tracks.parquet")
    write_parquet({"genre_id": [1], "title": ["Rock"]}, corpus / "genres.parquet")
    write_parquet({"track_id": IDS}, corpus / "shards" / shard)
    write_parquet({"track_id": IDS, "part": ["train"] * 3}, results / "splits" / "random.parquet")
    digests = {name: corpus / "digests" / f"{name}.json" for name in DIGESTS}
    split = results / "splits" / "random.parquet"
    write_digests(
        corpus / "tracks.parquet",
        corpus / "genres.parquet",
        {"random": split},
        features,
        digests,
    )
    case = results / "cases" / "stn-g" / "metrics.json"
    case.parent.mkdir(parents=True)
    case.write_text('{"log_loss": 1.0}')
    write_parquet({"seconds": np.ones(2)}, results / "networks" / "stn-g" / "history.parquet")
    provenance = record(results, tmp_path)
    tables = results / "tables"
    tables.mkdir()
    (tables / "table4.md").write_text(f"| stn-g | 1.0 |\n\nProvenance: {provenance['hash']}\n")
    (tables / "metrics.csv").write_text("case,log_loss\nstn-g,1.0\n")
    write_sums([tables / "table4.md", tables / "metrics.csv"], tables / SUMS)
    return results


def record(results, folder, **configuration):
    lock = folder / "requirements.lock"
    lock.write_text("numpy==2.4.6\n")
    files = [
        path for name in ("corpus", "splits", "cases", "networks") for path in walk(results, name)
    ]
    configuration = {
        "split": {"kind": "random", "repeats": 1},
        "seeds": [0],
        "data_dir": "music",
    } | configuration
    out = results / "provenance.json"
    write_provenance(files, results, configuration, {"train_network.py": "ab12"}, lock, out)
    return json.loads(out.read_text())


def walk(results, name):
    return [path for path in (results / name).rglob("*.*") if "shards" not in path.parts]


def test_what_is_recorded(results, tmp_path):
    provenance = json.loads((results / "provenance.json").read_text())
    assert provenance["configuration"]["seeds"] == [0]
    assert provenance["code"] == {"train_network.py": "ab12"}
    assert provenance["lock"] == file_digest(tmp_path / "requirements.lock")
    assert {"python", "torch", "snakemake", "numpy"} <= provenance["versions"].keys()
    assert provenance["hardware"]["cores"] >= 1
    assert provenance["files"]["splits/random.parquet"] == file_digest(
        results / "splits" / "random.parquet"
    )
    assert set(provenance["files"]) >= {f"corpus/digests/{name}.json" for name in DIGESTS}


def test_the_hash_tells_other_results_and_not_where_and_when(results, tmp_path):
    first = json.loads((results / "provenance.json").read_text())
    assert provenance_hash(first) == first["hash"]
    write_parquet({"seconds": np.zeros(2)}, results / "networks" / "stn-g" / "history.parquet")
    assert record(results, tmp_path, data_dir="elsewhere")["hash"] == first["hash"]
    assert provenance_hash(first | {"hardware": {}, "commit": "1234567"}) == first["hash"]
    assert record(results, tmp_path, seeds=[1])["hash"] != first["hash"]
    (results / "cases" / "stn-g" / "metrics.json").write_text('{"log_loss": 1.1}')
    assert record(results, tmp_path)["hash"] != first["hash"]
    for name in ("code", "lock", "versions"):
        assert provenance_hash(first | {name: "other"}) != first["hash"]


def test_sums_are_those_of_the_system(results):
    command = ["sha256sum", "--check", "--strict", SUMS]
    done = subprocess.run(command, cwd=results / "tables", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_run_as_it_was_left(results):
    n_files, n_rows, differences = verify_results(results)
    provenance = json.loads((results / "provenance.json").read_text())
    assert n_files == len(provenance["files"]) + 2
    assert n_rows == 3 * 3
    assert differences == []


def append(path):
    path.write_bytes(path.read_bytes() + b" ")


@pytest.mark.parametrize(
    ("path", "spoil", "said"),
    [
        ("cases/stn-g/metrics.json", append, "is not what the run wrote"),
        ("cases/stn-g/metrics.json", lambda path: path.unlink(), "is missing"),
        ("corpus/tracks.parquet", append, "is not what the run wrote"),
        ("tables/metrics.csv", append, "is not what the run wrote"),
        ("tables/SHA256SUMS", lambda path: path.unlink(), "is missing"),
        ("tables/SHA256SUMS", append, "is damaged"),
        ("features/mel/000-of-001.parquet", lambda path: path.unlink(), "cannot be read"),
        (
            "features/mel/000-of-001.parquet",
            lambda path: path.write_bytes(b"PAR1"),
            "cannot be read",
        ),
    ],
)
def test_a_file_that_differs_is_named(results, path, spoil, said):
    spoil(results / path)
    _, _, differences = verify_results(results)
    assert any(str(results / path) in text and said in text for text in differences)
    assert len(differences) <= 2


@pytest.mark.parametrize("feature", FEATURES)
def test_a_row_of_features_that_differs_is_named(results, feature):
    path = results / "features" / feature / "000-of-001.parquet"
    write_shard(path, feature, changed=11)
    assert verify_results(results)[2] == [
        f"{path}: the {feature} of track 11 is not what the run wrote."
    ]


def test_features_of_another_run_are_told(results):
    """Rows that agree with their own digests, but not with those the run summed up."""
    path = results / "features" / "mel" / "000-of-001.parquet"
    table = pq.read_table(path).to_pylist()
    values = {"n_frames": 2, "mel": b"else"}
    table[0] |= {**values, "digest": content_digest(values)}
    pq.write_table(pa.Table.from_pylist(table), path)
    (difference,) = verify_results(results)[2]
    assert "digests/mel.json is of another mel" in difference


def test_a_table_of_another_run_is_told(results):
    table = results / "tables" / "table4.md"
    table.write_text("| stn-g | 0.9 |\n\nProvenance: 1234\n")
    write_sums([table, results / "tables" / "metrics.csv"], results / "tables" / SUMS)
    (difference,) = verify_results(results)[2]
    assert "table4.md carries another provenance" in difference


def test_an_edited_provenance_is_told(results):
    path = results / "provenance.json"
    provenance = json.loads(path.read_text())
    provenance["configuration"]["seeds"] = [7]
    path.write_text(json.dumps(provenance))
    assert any("was edited" in text for text in verify_results(results)[2])


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"hash": "a", "files": {}, "configuration": 3}']
)
def test_no_provenance_and_a_damaged_one_are_refused(results, text):
    path = results / "provenance.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"provenance\.json is damaged"):
        verify_results(results)
    path.unlink()
    with pytest.raises(UserError, match="does not exist: finish the run first"):
        verify_results(results)
