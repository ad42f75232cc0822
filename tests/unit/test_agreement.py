"""Agreement of topics with planted groups: perfect, random and by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from agf.errors import UserError
from agf.targets.agreement import score_agreement, write_agreement


def test_perfect_topics():
    groups = np.repeat(["a", "b", "c"], 6)
    topics = np.eye(3)[np.repeat([2, 0, 1], 6)]
    scores = score_agreement(topics, groups, seed=0, permutations=200)
    assert scores["n_artists"] == 18
    assert scores["auc"] == 1.0
    assert scores["ami"] == pytest.approx(1.0)
    assert scores["auc_p"] == scores["ami_p"] == pytest.approx(1 / 201)
    assert abs(scores["auc_null_mean"] - 0.5) < 0.05
    assert abs(scores["ami_null_mean"]) < 0.05
    assert scores["auc_null_95"] < 0.7


def test_random_topics():
    draw = np.random.default_rng(1)
    scores = score_agreement(
        draw.dirichlet(np.ones(10), 60), draw.integers(0, 4, 60), seed=0, permutations=200
    )
    assert abs(scores["auc"] - 0.5) < 0.05
    assert abs(scores["ami"]) < 0.1
    assert scores["auc_p"] > 0.05
    assert scores["ami_p"] > 0.05


def test_p_is_uniform_where_topics_know_nothing():
    draw = np.random.default_rng(2)
    p = [
        score_agreement(draw.dirichlet(np.ones(5), 24), np.repeat([0, 1, 2], 8), seed, 19)["auc_p"]
        for seed in range(20)
    ]
    assert 0.3 < np.mean(p) < 0.7


def test_auc_equals_scikit_learn_over_pairs():
    draw = np.random.default_rng(3)
    topics, groups = draw.dirichlet(np.ones(4), 15), draw.integers(0, 3, 15)
    topics[4] = topics[9]
    first, second = np.triu_indices(15, k=1)
    affinity = np.sqrt(topics[first] * topics[second]).sum(axis=1)
    expected = roc_auc_score(groups[first] == groups[second], affinity)
    assert score_agreement(topics, groups, 0, 5)["auc"] == pytest.approx(expected, abs=1e-12)


def test_equal_topics_tell_nothing():
    scores = score_agreement(np.full((10, 4), 0.25), np.repeat([0, 1], 5), 0, 20)
    assert scores["auc"] == 0.5
    assert scores["auc_p"] == 1.0
    assert scores["ami"] == 0.0
    assert scores["ami_p"] == 1.0


@pytest.mark.parametrize("groups", [[0, 0, 0], [0, 1, 2]])
def test_groups_that_make_no_pairs(groups):
    with pytest.raises(UserError, match="planted groups"):
        score_agreement(np.eye(3), groups, 0, 5)


def write_targets(path, topics):
    columns = {f"topic_{i:02d}": column for i, column in enumerate(np.transpose(topics))}
    pd.DataFrame({"artist_id": np.arange(len(topics)) + 10, "n_tracks": 1} | columns).to_parquet(
        path
    )


def test_table_leaves_out_artists_without_topics(tmp_path):
    topics = np.eye(2)[[0, 0, 0, 1, 1, 1]]
    write_targets(tmp_path / "m.parquet", topics)
    topics[5] = np.nan
    write_targets(tmp_path / "e.parquet", topics)
    planted = tmp_path / "planted.csv"
    planted.write_text("artist_id,group\n99,z\n10,x\n11,x\n12,x\n13,y\n14,y\n15,y\n")
    targets = {task: tmp_path / f"{task}.parquet" for task in "me"}
    write_agreement(targets, planted, tmp_path / "agreement.csv", seed=0)
    table = pd.read_csv(tmp_path / "agreement.csv")
    assert ",".join(table.columns) == (
        "task,n_artists,auc,auc_null_mean,auc_null_95,auc_p,ami,ami_null_mean,ami_null_95,ami_p"
    )
    assert table["task"].tolist() == ["m", "e"]
    assert table["n_artists"].tolist() == [6, 5]
    assert table["auc"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("artist_id,group\n10,x\n11,y\n", "no row for the artist 12"),
        ("artist_id,group\n10,x\n10,y\n11,x\n12,x\n", "the artist 10 twice"),
        ("artist,group\n10,x\n", "needs the columns"),
    ],
)
def test_planted_file_that_does_not_fit(tmp_path, text, message):
    write_targets(tmp_path / "m.parquet", np.eye(3))
    (tmp_path / "planted.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        write_agreement(
            {"m": tmp_path / "m.parquet"}, tmp_path / "planted.csv", tmp_path / "out.csv", 0
        )
