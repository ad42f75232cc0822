"""Agreement of artists' topics with groups of artists that are known beforehand.

A corpus whose artists were made in groups tells whether Artist Group Factors find them. Two
questions are asked of the topic distributions: are artists of one group more alike than artists
of two (area under the ROC curve over pairs, AUC), and do clusters of artists match the groups
(adjusted mutual information, AMI; Vinh, Epps and Bailey, JMLR 11, 2010)? Both are set against the
same figures with the groups dealt out at random.
"""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score

from agf.errors import UserError
from agf.files import write_text
from agf.keyed_random import generator, random_key


def score_agreement(topics, planted, seed, permutations=1000):
    """Score topic distributions against planted groups, with a permutation null.

    Parameters
    ----------
    topics : np.ndarray, shape (n_artists, n_topics)
        Topic distribution of each artist; rows sum to 1.
    planted : sequence, shape (n_artists,)
        Group of each artist: two groups or more, one of them with two artists or more.
    seed : int
        The run's seed, for the clustering and the permutations.
    permutations : int
        Random assignments of the groups to the artists.

    Returns
    -------
    dict of str to int or float
        ``n_artists``; ``auc``: probability that a pair of one group has a higher Hellinger
        affinity, ``sum(sqrt(p * q))``, than a pair of two groups, ties counting one half; ``ami``:
        adjusted mutual information of the groups with K-means clusters of ``sqrt(topics)``, as
        many as there are groups; for both, ``*_null_mean``, ``*_null_95`` (95 % quantile) and
        ``*_p`` (share of assignments that score as high, the observed one included).

    Raises
    ------
    UserError
        The artists are all of one group, or each of its own.
    """
    _, groups = np.unique(np.asarray(planted), return_inverse=True)
    n_artists, n_groups = len(groups), int(groups.max()) + 1
    if not 1 < n_groups < n_artists:
        raise UserError(
            f"The {n_artists} artists with topics fall into {n_groups} planted groups: agreement "
            "needs two groups or more, and one of them with two artists or more."
        )
    roots = np.sqrt(topics)
    ranks = _pair_ranks(roots @ roots.T)
    n_clusters = min(n_groups, len(np.unique(roots, axis=0)))
    clusters = KMeans(
        n_clusters, n_init=10, random_state=random_key(seed, "agreement", "clusters") % 2**32
    ).fit_predict(roots)
    draw = generator(seed, "agreement", "permutations")
    shuffled = [draw.permutation(groups) for _ in range(permutations)]
    scores = {"n_artists": n_artists}
    for name, score in (
        ("auc", lambda labels: _pair_auc(ranks, labels)),
        ("ami", lambda labels: adjusted_mutual_info_score(labels, clusters)),
    ):
        observed = score(groups)
        null = np.array([score(labels) for labels in shuffled])
        # A permutation that deals the same groups again must count as high despite rounding.
        n_as_high = np.count_nonzero(null >= observed - 1e-12)
        scores |= {
            name: float(observed),
            f"{name}_null_mean": float(null.mean()),
            f"{name}_null_95": float(np.quantile(null, 0.95)),
            f"{name}_p": float((1 + n_as_high) / (1 + permutations)),
        }
    return scores


def write_agreement(targets, planted, path, seed):
    """Score every task's topics against planted groups and write ``agreement.csv``.

    Parameters
    ----------
    targets : dict of str to path
        ``targets/{split}/{task}.parquet`` by task letter, in the order of the rows to write.
    planted : path
        CSV with ``artist_id`` and ``group``. It may name artists that have no training track.
    path : path
        The CSV to write: ``task`` and the figures of :func:`score_agreement`. Artists without
        topics are left out of a task's row.
    seed : int
        The run's seed.

    Raises
    ------
    UserError
        `planted` lacks a column, names an artist twice, or lacks an artist with topics.
    """
    table = pd.read_csv(planted, dtype={"group": str})
    if not {"artist_id", "group"} <= set(table.columns):
        raise UserError(f"{planted} needs the columns artist_id and group.")
    group_of = table.set_index("artist_id")["group"]
    if not group_of.index.is_unique:
        twice = group_of.index[group_of.index.duplicated()][0]
        raise UserError(f"{planted} names the artist {twice} twice: leave one row for each artist.")
    rows = []
    for task, target in targets.items():
        artists = pq.read_table(target).to_pandas().dropna()
        unplanted = artists.loc[~artists["artist_id"].isin(group_of.index), "artist_id"]
        if len(unplanted):
            raise UserError(f"{planted} has no row for the artist {unplanted.iloc[0]}: add one.")
        topics = artists.filter(regex=r"^topic_\d+$").to_numpy()
        groups = group_of.loc[artists["artist_id"]].to_numpy()
        rows.append({"task": task, **score_agreement(topics, groups, seed)})
    write_text(pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"), path)


def _pair_ranks(affinity):
    """Return a symmetric matrix of the average ranks, from 1, of its off-diagonal pairs."""
    upper = np.triu_indices_from(affinity, k=1)
    ranks = np.zeros_like(affinity)
    # Rounding first: artists with equal topics must tie, whatever the last bit of the product.
    ranks[upper] = rankdata(np.round(affinity[upper], 12))
    return ranks + ranks.T


def _pair_auc(ranks, groups):
    """Area under the ROC curve of same-group against different-group pairs (Mann-Whitney)."""
    members = np.eye(int(groups.max()) + 1)[groups]
    sizes = members.sum(axis=0)
    n_same = (sizes * (sizes - 1)).sum() / 2
    n_different = len(groups) * (len(groups) - 1) / 2 - n_same
    rank_sum = (members * (ranks @ members)).sum() / 2
    return (rank_sum - n_same * (n_same + 1) / 2) / (n_same * n_different)
