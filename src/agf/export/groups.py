"""The artist groups of a case: who and what the topics of its networks stand for."""

import numpy as np
import pandas as pd

from agf.evaluation.report.groups import TOP_ARTISTS, TOP_GENRES, artists_by_id, topic_genres


def describe_groups(targets, tracks):
    """Name the artists and genres that are typical of each topic of the AGF tasks.

    Parameters
    ----------
    targets : dict of str to pathlib.Path
        For each AGF task, ``targets/{agf}/{task}.parquet``.
    tracks : pandas.DataFrame
        ``corpus/tracks.parquet``.

    Returns
    -------
    dict of str to list of dict
        For each task its topics in their order: ``size``, the mean of their probability over the
        artists; ``artists``, those who belong to it most, and ``genres``, the most frequent ones of
        its artists' tracks, both as lists of name and share.
    """
    names, genres = artists_by_id(tracks)
    return {task: _topics(pd.read_parquet(path), names, genres) for task, path in targets.items()}


def _topics(target, names, genres):
    columns = [name for name in target if name.startswith("topic_")]
    # The topics of an artist without a word are null.
    target = target.dropna(subset=columns)
    shares = target[columns].to_numpy(float)
    labels = [names.get(artist, f"artist {artist}") for artist in target["artist_id"]]
    mixtures = topic_genres(shares, genres.reindex(target["artist_id"], fill_value=0).to_numpy())
    return [
        {
            "size": float(of_artists.mean()),
            "artists": _leading(labels, of_artists, TOP_ARTISTS),
            "genres": _leading(genres.columns, mixture, TOP_GENRES),
        }
        for of_artists, mixture in zip(shares.T, mixtures, strict=True)
    ]


def _leading(names, shares, n):
    order = np.argsort(-shares, kind="stable")[:n]
    return [[names[i], float(shares[i])] for i in order if shares[i] > 0]
