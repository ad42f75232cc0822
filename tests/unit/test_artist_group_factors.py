"""Artist Group Factors from made feature files, whose artists fall into two groups."""

import json
import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from agf.errors import UserError
from agf.features.essentia import descriptor_names
from agf.targets.artist_group_factors import fit_artist_group_factors
from agf.targets.dictionary import assign_words

N_ARTISTS = 10
TRACKS_PER_ARTIST = 4
N_FRAMES = 60
GENRE_IDS = [3, 10, 20, 30, 40]
SETTINGS = {
    "fit_on": "train",
    "dictionary": "kmeans",
    "groups": "lda",
    "dictionary_size": {"m": 16, "d": 16, "e": 8},
    "n_topics": 2,
    "dictionary_frames": 500,
    "dictionary_iterations": 10,
    "mfcc_scaling": "none",
    "n_quantiles": 1000,
    "lda_iterations": 30,
}


def artist_group(artist_id):
    return artist_id % 2


@pytest.fixture
def corpus(tmp_path):
    """Files of ten artists, 100 to 109, with four tracks each, the last of them not trained on."""
    draw = np.random.default_rng(0)
    rows, parts, mfcc = [], [], []
    for artist_id in range(100, 100 + N_ARTISTS):
        group = artist_group(artist_id)
        for number in range(TRACKS_PER_ARTIST):
            track_id = 10 * artist_id + number
            genres = [[10, 20], [30, 40]][group] if number < 2 else []
            rows.append({"track_id": track_id, "artist_id": artist_id, "genres": genres})
            part = "train" if number < 3 else ["evaluation", "unused"][artist_id % 3 == 0]
            parts.append({"track_id": track_id, "part": part})
            # Groups differ in level and in how much a frame differs from the one before.
            frames = draw.normal([-50, 50][group], [1, 20][group], (N_FRAMES, 5))
            mfcc.append(
                {
                    "track_id": track_id,
                    "key": "k",
                    "n_frames": N_FRAMES,
                    "mfcc": frames.astype(np.float16).tobytes(),
                }
            )
    pd.DataFrame(rows).to_parquet(tmp_path / "tracks.parquet")
    pd.DataFrame(parts).to_parquet(tmp_path / "split.parquet")
    pd.DataFrame(
        {"genre_id": GENRE_IDS, "title": ["Blues", "Rock", "Punk", "Jazz", "Bop"]}
    ).to_parquet(tmp_path / "genres.parquet")
    for shard in range(2):
        write_mfcc(tmp_path / f"mfcc-{shard}.parquet", mfcc[shard::2])
    return tmp_path


def write_mfcc(path, rows):
    schema = pa.schema(
        [
            ("track_id", pa.int64()),
            ("key", pa.string()),
            ("n_frames", pa.int32()),
            ("mfcc", pa.large_binary()),
        ]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def write_essentia(corpus, untrained_value=None):
    """Write two shards of descriptors; optionally one value for tracks that are not trained on."""
    draw = np.random.default_rng(1)
    track_ids = pd.read_parquet(corpus / "tracks.parquet")["track_id"].to_numpy()
    groups = artist_group(track_ids // 10)
    values = draw.normal(3 * groups[:, None], 1, (len(track_ids), len(descriptor_names())))
    values[:, :50] *= 1e15
    if untrained_value is not None:
        values[track_ids % 10 == 3] = untrained_value
    for shard in range(2):
        columns = dict(zip(descriptor_names(), values[shard::2].T, strict=True))
        table = pa.table({"track_id": track_ids[shard::2]} | columns)
        pq.write_table(table, corpus / f"essentia-{shard}.parquet")


def fit(corpus, task, folder="out", seed=0, **settings):
    """Fit one task and return the paths of what was written."""
    kind = {"m": "mfcc", "d": "mfcc", "e": "essentia", "s": "none"}[task]
    names = {
        "targets": f"{task}.parquet",
        "bags": f"{task}.bags.parquet",
        "topics": f"{task}.topics.safetensors",
        "top_words": f"{task}.top_words.csv",
        "summary": f"{task}.json",
        "dictionary": f"{task}.dictionary.safetensors",
    }
    outputs = {output: corpus / folder / name for output, name in names.items()}
    fit_artist_group_factors(
        task,
        corpus / "tracks.parquet",
        corpus / "split.parquet",
        sorted(corpus.glob(f"{kind}-*.parquet")),
        corpus / "genres.parquet",
        outputs,
        SETTINGS | settings,
        seed,
    )
    return outputs


def read_bags(path, n_words):
    table = pd.read_parquet(path)
    bags = np.zeros((N_ARTISTS, n_words))
    bags[table["artist_id"] - 100, table["word"]] = table["count"]
    return bags


def assert_topics_tell_the_group(path):
    """Every artist's topics sum to 1, and the strongest one tells the artist's group."""
    artists = pd.read_parquet(path)
    assert list(artists.columns) == ["artist_id", "n_tracks", "topic_00", "topic_01"]
    assert artists["artist_id"].tolist() == list(range(100, 110))
    assert (artists["n_tracks"] == 3).all()
    topics = artists[["topic_00", "topic_01"]].to_numpy()
    np.testing.assert_allclose(topics.sum(axis=1), 1, atol=1e-12)
    best = topics.argmax(axis=1)
    assert (best == best[0]).tolist() == [artist_group(a) == 0 for a in artists["artist_id"]]


@pytest.mark.parametrize("task", ["m", "d", "s"])
def test_topics_find_the_groups_of_artists(corpus, task):
    assert_topics_tell_the_group(fit(corpus, task)["targets"])


def test_essentia_words_are_words_of_tracks(corpus):
    write_essentia(corpus)
    outputs = fit(corpus, "e")
    assert_topics_tell_the_group(outputs["targets"])
    np.testing.assert_allclose(read_bags(outputs["bags"], 8).sum(axis=1), 1)
    dictionary = load_file(outputs["dictionary"])
    assert dictionary["centroids"].shape == (8, 4374)
    # Values of 1e15 and of 1 weigh the same once they are normal scores.
    assert np.abs(dictionary["centroids"]).max() < 5.3
    # Thirty training tracks are fewer than 1,000 quantiles.
    assert dictionary["quantiles"].shape == (30, 4374)


@pytest.mark.parametrize(("task", "frames"), [("m", N_FRAMES), ("d", N_FRAMES - 1)])
def test_bags_are_counts_per_track(corpus, task, frames):
    outputs = fit(corpus, task)
    bags = read_bags(outputs["bags"], SETTINGS["dictionary_size"][task])
    np.testing.assert_allclose(bags.sum(axis=1), frames)
    np.testing.assert_allclose(bags * 3, np.round(bags * 3), atol=1e-12)


def test_bag_of_one_artist_by_the_dictionary_on_disk(corpus):
    """Frames of artist 103, scaled and assigned by hand with what the dictionary file holds."""
    outputs = fit(corpus, "m", mfcc_scaling="standard")
    dictionary = load_file(outputs["dictionary"])
    assert {name: tensor.shape for name, tensor in dictionary.items()} == {
        "centroids": (16, 5),
        "mean": (5,),
        "scale": (5,),
    }
    frames = np.concatenate(
        [
            np.frombuffer(row["mfcc"], np.float16).reshape(-1, 5)
            for path in corpus.glob("mfcc-*.parquet")
            for row in pq.read_table(path).to_pylist()
            if row["track_id"] in (1030, 1031, 1032)
        ]
    )
    vectors = (frames - dictionary["mean"]) / dictionary["scale"]
    squared = ((vectors[:, None] - dictionary["centroids"]) ** 2).sum(axis=2)
    expected = np.bincount(squared.argmin(axis=1), minlength=16) / 3
    np.testing.assert_allclose(read_bags(outputs["bags"], 16)[3], expected)


def test_subgenre_bags_and_labels(corpus):
    """Two of an artist's three training tracks carry two labels each."""
    outputs = fit(corpus, "s")
    bags = read_bags(outputs["bags"], len(GENRE_IDS))
    np.testing.assert_allclose(bags[0], [0, 2 / 3, 2 / 3, 0, 0])
    np.testing.assert_allclose(bags[1], [0, 0, 0, 2 / 3, 2 / 3])
    top = pd.read_csv(outputs["top_words"])
    assert list(top.columns) == ["topic", "rank", "word", "weight", "label"]
    best = {frozenset(rows["label"][:2]) for _, rows in top.groupby("topic")}
    assert best == {frozenset({"Rock", "Punk"}), frozenset({"Jazz", "Bop"})}
    np.testing.assert_allclose(top.groupby("topic")["weight"].sum(), 1)
    assert load_file(outputs["topics"])["components"].shape == (2, 5)
    assert load_file(outputs["dictionary"])["genre_ids"].tolist() == GENRE_IDS


def test_summary_holds_sizes_and_inertia(corpus):
    outputs = fit(corpus, "m", mfcc_scaling="none")
    summary = json.loads(outputs["summary"].read_text())
    assert summary["n_tracks"] == 30
    assert summary["n_artists"] == 10
    assert summary["n_vectors"] == 30 * N_FRAMES
    assert summary["n_dictionary_vectors"] == 500
    assert summary["n_words"] == summary["n_words_requested"] == 16
    assert summary["artists_without_words"] == []
    assert summary["perplexity"] > 1
    centroids = load_file(outputs["dictionary"])["centroids"]
    frames = [
        np.frombuffer(row["mfcc"], np.float16).reshape(-1, 5)
        for path in corpus.glob("mfcc-*.parquet")
        for row in pq.read_table(path).to_pylist()
        if row["track_id"] % 10 < 3
    ]
    _, inertia = assign_words(np.concatenate(frames), centroids)
    assert summary["inertia"] == pytest.approx(inertia, rel=1e-5)


@pytest.mark.parametrize("task", ["m", "d", "s"])
def test_same_call_gives_the_same_bytes(corpus, task):
    first, again = fit(corpus, task, "first"), fit(corpus, task, "again")
    for name, path in first.items():
        assert path.read_bytes() == again[name].read_bytes(), name
    other = fit(corpus, task, "other", seed=1)
    assert first["topics"].read_bytes() != other["topics"].read_bytes()


@pytest.mark.parametrize("task", ["m", "d"])
def test_number_of_shards_changes_nothing(corpus, task):
    two = fit(corpus, task, "two")
    paths = sorted(corpus.glob("mfcc-*.parquet"))
    rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
    write_mfcc(paths[0], rows)
    paths[1].unlink()
    one = fit(corpus, task, "one")
    for name in ("targets", "bags", "dictionary", "topics", "top_words"):
        assert two[name].read_bytes() == one[name].read_bytes(), name


@pytest.mark.parametrize("task", ["m", "d", "e", "s"])
def test_only_training_tracks_matter(corpus, task):
    """Each artist's last track is not trained on; all of its features and labels are changed."""
    if task == "e":
        write_essentia(corpus)
    before = fit(corpus, task, "before")
    for path in corpus.glob("mfcc-*.parquet"):
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            if row["track_id"] % 10 == 3:
                row["mfcc"] = np.full((N_FRAMES, 5), 999, np.float16).tobytes()
        write_mfcc(path, rows)
    if task == "e":
        write_essentia(corpus, untrained_value=1e18)
    tracks = pd.read_parquet(corpus / "tracks.parquet")
    tracks["genres"] = [
        [3] if track_id % 10 == 3 else list(genres)
        for track_id, genres in zip(tracks["track_id"], tracks["genres"], strict=True)
    ]
    tracks.to_parquet(corpus / "tracks.parquet")
    after = fit(corpus, task, "after")
    for name, path in before.items():
        assert path.read_bytes() == after[name].read_bytes(), name


def test_artist_without_words_has_no_topics_and_is_named(corpus, caplog):
    tracks = pd.read_parquet(corpus / "tracks.parquet")
    tracks["genres"] = [
        [] if artist_id == 104 else list(genres)
        for artist_id, genres in zip(tracks["artist_id"], tracks["genres"], strict=True)
    ]
    tracks.to_parquet(corpus / "tracks.parquet")
    with caplog.at_level(logging.WARNING):
        outputs = fit(corpus, "s")
    assert "1 of 10 artists have no words, and so no topics: 104" in caplog.text
    assert json.loads(outputs["summary"].read_text())["artists_without_words"] == [104]
    topics = pq.read_table(outputs["targets"]).select(["topic_00", "topic_01"])
    assert [column.null_count for column in topics.columns] == [1, 1]
    assert topics.slice(4, 1).to_pylist() == [{"topic_00": None, "topic_01": None}]


def test_all_frames_where_fewer_than_asked_for(corpus):
    """A track has one difference fewer than frames."""
    summary = json.loads(fit(corpus, "d", dictionary_frames=10**6)["summary"].read_text())
    assert summary["n_dictionary_vectors"] == summary["n_vectors"] == 30 * (N_FRAMES - 1)


def test_fewer_frames_than_words(corpus, caplog):
    with caplog.at_level(logging.WARNING):
        outputs = fit(corpus, "m", dictionary_frames=10)
    assert "16 words asked for" in caplog.text
    summary = json.loads(outputs["summary"].read_text())
    assert (summary["n_words_requested"], summary["n_words"]) == (16, 10)
    assert load_file(outputs["topics"])["components"].shape == (2, 10)


def test_artist_without_training_track_is_left_out(corpus):
    split = pd.read_parquet(corpus / "split.parquet")
    split.loc[split["track_id"] // 10 == 107, "part"] = "unused"
    split.to_parquet(corpus / "split.parquet")
    assert 107 not in pd.read_parquet(fit(corpus, "s")["targets"])["artist_id"].tolist()


def test_split_without_training_tracks(corpus):
    pd.DataFrame({"track_id": [1000], "part": ["evaluation"]}).to_parquet(corpus / "split.parquet")
    with pytest.raises(UserError, match=r"split\.parquet has no track whose part is train"):
        fit(corpus, "m")


@pytest.mark.parametrize(("task", "file"), [("m", "mfcc"), ("e", "essentia")])
def test_training_track_without_features(corpus, task, file):
    if task == "e":
        write_essentia(corpus)
    (corpus / f"{file}-1.parquet").unlink()
    with pytest.raises(UserError, match="10 tracks to fit on, the first of them 1001"):
        fit(corpus, task)


def test_split_of_another_corpus(corpus):
    split = pd.DataFrame({"track_id": [1000, 7], "part": "train"})
    split.to_parquet(corpus / "split.parquet")
    with pytest.raises(UserError, match="the first of them 7, are not in"):
        fit(corpus, "s")


def test_genre_is_no_agf_task(corpus):
    with pytest.raises(UserError, match="'g' has no artist group factors"):
        fit_artist_group_factors("g", None, None, [], None, {}, SETTINGS, 0)


@pytest.mark.parametrize("task", ["m", "e"])
@pytest.mark.parametrize("dictionary", ["gmm", "sparse_coding"])
def test_other_dictionaries_find_the_groups_of_artists(corpus, task, dictionary):
    if task == "e":
        write_essentia(corpus)
    settings = {"dictionary": dictionary, "groups": "kmeans", "mfcc_scaling": "standard"}
    outputs = fit(corpus, task, **settings)
    again = fit(corpus, task, "again", **settings)
    # The descriptors of the two groups are mirror images of each other, which atoms cannot tell.
    if (task, dictionary) != ("e", "sparse_coding"):
        assert_topics_tell_the_group(outputs["targets"])
    for name, path in outputs.items():
        assert path.read_bytes() == again[name].read_bytes(), name
    tensors = set(load_file(outputs["dictionary"]))
    own = {"gmm": {"centroids", "variances", "proportions"}, "sparse_coding": {"atoms", "centre"}}
    assert tensors == own[dictionary] | ({"quantiles"} if task == "e" else {"mean", "scale"})
    summary = json.loads(outputs["summary"].read_text())
    assert summary["dictionary"] == dictionary
    assert summary["n_words"] == SETTINGS["dictionary_size"][task]
    assert summary["inertia"] > 0


@pytest.mark.parametrize("task", ["m", "s"])
@pytest.mark.parametrize("groups", ["nmf", "kmeans"])
def test_other_groupings_find_the_groups_of_artists(corpus, task, groups):
    outputs = fit(corpus, task, groups=groups)
    assert_topics_tell_the_group(outputs["targets"])
    again = fit(corpus, task, "again", groups=groups)
    for name, path in outputs.items():
        assert path.read_bytes() == again[name].read_bytes(), name
    top = pd.read_csv(outputs["top_words"])
    assert list(top.columns) == ["topic", "rank", "word", "weight", "label"]
    if task == "s":
        best = {frozenset(rows["label"][:2]) for _, rows in top.groupby("topic")}
        assert best == {frozenset({"Rock", "Punk"}), frozenset({"Jazz", "Bop"})}


def test_summary_tells_methods_and_what_is_measured_of_each(corpus):
    def summary(task, **settings):
        return json.loads(fit(corpus, task, **settings)["summary"].read_text())

    measures = ("perplexity", "nmf_relative_error", "group_inertia")
    for groups, measure in zip(("lda", "nmf", "kmeans"), measures, strict=True):
        found = summary("s", groups=groups)
        assert (found["groups"], found["fit_on"], found["dictionary"]) == (groups, "train", None)
        assert [name for name in measures if found[name] is not None] == [measure]
    assert summary("m")["dictionary"] == "kmeans"
    assert summary("s", fit_on="all")["fit_on"] == "all"


@pytest.mark.parametrize("dictionary", ["gmm", "sparse_coding"])
@pytest.mark.parametrize(("task", "n_words", "most"), [("m", 2, 512), ("e", 2, 7)])
def test_vectors_a_dictionary_is_learnt_from_are_bounded_and_the_bound_is_told(
    corpus, caplog, monkeypatch, dictionary, task, n_words, most
):
    if task == "e":
        write_essentia(corpus)
        monkeypatch.setattr("agf.targets.dictionary._FIT_CELLS", 7 * 4374)
    sizes = {"dictionary_size": {task: n_words}, "dictionary_frames": 10**6}
    with caplog.at_level(logging.WARNING):
        outputs = fit(corpus, task, dictionary=dictionary, **sizes)
    summary = json.loads(outputs["summary"].read_text())
    assert summary["n_dictionary_vectors"] == most
    assert summary["n_vectors"] == {"m": 30 * N_FRAMES, "e": 30}[task]
    assert f"{dictionary} from {most} " in caplog.text


def change_last_tracks_genre(corpus, rest):
    """Give the label 3 to the last tracks of artists whose number leaves `rest` or not, by 3."""
    tracks = pd.read_parquet(corpus / "tracks.parquet")
    changed = (tracks["track_id"] % 10 == 3) & ((tracks["artist_id"] % 3 == 0) == rest)
    tracks["genres"] = [
        [3] if change else list(genres)
        for change, genres in zip(changed, tracks["genres"], strict=True)
    ]
    tracks.to_parquet(corpus / "tracks.parquet")


def test_all_is_training_and_evaluation_part_without_the_unused(corpus):
    """Of artists whose number divides by 3 the last track is unused, else it is evaluated."""
    before = fit(corpus, "s", "before", fit_on="all")
    artists = pd.read_parquet(before["targets"])
    assert artists["n_tracks"].tolist() == [4 - (a % 3 == 0) for a in range(100, 110)]
    # Four labels on four tracks, or on three.
    np.testing.assert_allclose(read_bags(before["bags"], 5)[1], [0, 0, 0, 0.5, 0.5])
    np.testing.assert_allclose(read_bags(before["bags"], 5)[2], [0, 2 / 3, 2 / 3, 0, 0])
    change_last_tracks_genre(corpus, rest=True)
    unused = fit(corpus, "s", "unused", fit_on="all")
    assert unused["targets"].read_bytes() == before["targets"].read_bytes()
    change_last_tracks_genre(corpus, rest=False)
    evaluated = fit(corpus, "s", "evaluated", fit_on="all")
    assert evaluated["targets"].read_bytes() != before["targets"].read_bytes()
    np.testing.assert_allclose(read_bags(evaluated["bags"], 5)[1], [0.25, 0, 0, 0.5, 0.5])


@pytest.mark.parametrize("task", ["m", "d", "e"])
def test_dictionary_and_topics_of_all_depend_on_the_evaluation_part(corpus, task):
    if task == "e":
        write_essentia(corpus)
    train, leaky = fit(corpus, task, "train"), fit(corpus, task, "all", fit_on="all")
    for name in ("targets", "bags", "dictionary", "topics"):
        assert train[name].read_bytes() != leaky[name].read_bytes(), name
    summary = json.loads(leaky["summary"].read_text())
    n_evaluated = sum(artist % 3 != 0 for artist in range(100, 110))
    assert summary["n_tracks"] == 30 + n_evaluated
    split = pd.read_parquet(corpus / "split.parquet")
    split.loc[split["part"] == "evaluation", "part"] = "train"
    split.to_parquet(corpus / "split.parquet")
    trained = fit(corpus, task, "trained")
    for name in ("targets", "bags", "dictionary", "topics"):
        assert trained[name].read_bytes() == leaky[name].read_bytes(), name
