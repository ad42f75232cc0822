"""Artist Group Factors of one task: features of tracks in, topics of artists out.

Source: Kim, Won, Serra and Liem (WWW'18), section 3.2 and Figure 1: dictionary, artist
bag-of-words, LDA. Only tracks of the split's training part are read into any of them, unless
``fit_on`` is ``all``.
"""

import logging
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

from agf.corpus.tracks import read_part
from agf.errors import UserError
from agf.features.mfcc import delta_mfcc
from agf.features.reading import read_essentia, read_frames
from agf.files import replacing, write_json, write_parquet, write_text
from agf.keyed_random import generator
from agf.progress import progress
from agf.targets.bag_of_words import artists_with_words, count_per_track, count_words
from agf.targets.dictionary import (
    draw_frames,
    find_words,
    frames_per_track,
    learn_dictionary,
    most_vectors,
)
from agf.targets.genre_counts import genre_words
from agf.targets.normalisation import quantile_normalise, standard_scaling
from agf.targets.topics import fit_groups, rank_words
from agf.tasks import ALL_TASKS, WORDS_OF

logger = logging.getLogger(__name__)

TOP_WORDS = 10
"""Words listed for each topic."""


class FittedTracks(NamedTuple):
    """The tracks of a split that Artist Group Factors are fitted on, and their artists.

    Attributes
    ----------
    track_ids : np.ndarray of int64, shape (n_tracks,)
        Rising.
    artist_rows : np.ndarray of int64, shape (n_tracks,)
        Position of each track's artist in `artist_ids`.
    artist_ids : np.ndarray of int64, shape (n_artists,)
        Rising.
    genre_lists : list of list of int
        Genre labels of each track.
    """

    track_ids: np.ndarray
    artist_rows: np.ndarray
    artist_ids: np.ndarray
    genre_lists: list


def fit_artist_group_factors(task, tracks, split, feature_paths, genres, outputs, settings, seed):
    """Fit one task's Artist Group Factors and write all files of ``targets/{split}/{task}``.

    The same inputs, settings and seed give the same bytes.

    Parameters
    ----------
    task : str
        ``m`` MFCC, ``d`` dMFCC, ``e`` Essentia, ``s`` subgenre, or a task beyond the paper's.
    tracks : path
        ``corpus/tracks.parquet``.
    split : path
        ``splits/{split}.parquet``.
    feature_paths : list of path
        The shards of the feature whose words are counted (:data:`agf.tasks.WORDS_OF`); none for s.
    genres : path
        ``corpus/genres.parquet``: the vocabulary of s.
    outputs : dict of str to path
        Where to write: ``targets``, ``bags``, ``dictionary`` (of s: the ``genre_ids`` that its
        words stand for), ``topics``, ``top_words`` and ``summary``.
    settings : dict
        ``fit_on`` (``train``: the tracks of the split's training part; ``all``: those of its
        evaluation part as well, the leak of published practice), ``dictionary`` (``kmeans``,
        ``gmm`` or ``sparse_coding``), ``dictionary_size`` (words by task letter),
        ``dictionary_frames`` (drawn where words are of frames), ``dictionary_iterations``,
        ``mfcc_scaling`` (``none`` or ``standard``; other features are not scaled),
        ``n_quantiles``, ``groups`` (``lda``, ``nmf`` or ``kmeans``), ``n_topics`` and
        ``lda_iterations``.
    seed : int
        The run's seed.

    Raises
    ------
    UserError
        No track to fit on, one without features, an unknown genre, or no artist with a word.
    """
    if task == "g" or task not in ALL_TASKS:
        letters = ", ".join(letter for letter in ALL_TASKS if letter != "g")
        raise UserError(f"Task {task!r} has no artist group factors: use one of {letters}.")
    fitted = read_fitted_tracks(tracks, split, settings["fit_on"])
    summary = {
        "task": task,
        "n_tracks": len(fitted.track_ids),
        "n_artists": len(fitted.artist_ids),
        "fit_on": settings["fit_on"],
        "dictionary": None if task == "s" else settings["dictionary"],
    }
    labels = None
    if task == "s":
        counts, dictionary, labels = _count_subgenres(fitted, genres)
    elif task == "e":
        counts, dictionary, described = _count_essentia(fitted, feature_paths, settings, seed)
        summary |= described
    else:
        counts, dictionary, described = _count_frames(fitted, feature_paths, task, settings, seed)
        summary |= described

    n_tracks = np.bincount(fitted.artist_rows)
    bags = count_per_track(counts, n_tracks)
    worded = artists_with_words(bags)
    wordless = fitted.artist_ids[~worded].tolist()
    if wordless:
        logger.warning(
            "task %s: %d of %d artists have no words, and so no topics: %s",
            task,
            len(wordless),
            len(worded),
            ", ".join(map(str, wordless)),
        )
    if not worded.any():
        raise UserError(f"No artist of {split} has a word of task {task}: leave the task out.")

    n_topics = settings["n_topics"]
    if n_topics >= worded.sum():
        logger.warning(
            "task %s: %d topics for %d artists: a topic is an artist; lower agf.n_topics",
            task,
            n_topics,
            worded.sum(),
        )
    groups = settings["groups"]
    logger.info("task %s: %s of %d artists, %d words", task, groups, worded.sum(), bags.shape[1])
    distributions, components, quality = fit_groups(
        groups, bags[worded], n_topics, settings["lda_iterations"], seed, task
    )
    for name, value in quality.items():
        if value is not None:
            logger.info("task %s: %s %.4g", task, name, value)
    summary |= {
        "n_words": bags.shape[1],
        "n_words_used": int(np.count_nonzero(bags.sum(axis=0))),
        "n_topics": n_topics,
        "groups": groups,
        "lda_iterations": settings["lda_iterations"],
        **quality,
        "artists_without_words": wordless,
    }
    topics = np.full((len(worded), n_topics), np.nan)
    topics[worded] = distributions

    write_parquet(_targets_table(fitted.artist_ids, n_tracks, topics), outputs["targets"])
    write_parquet(_bags_table(fitted.artist_ids, bags), outputs["bags"])
    _write_safetensors(dictionary, outputs["dictionary"])
    _write_safetensors({"components": components}, outputs["topics"])
    _write_top_words(components, labels, outputs["top_words"])
    write_json(summary, outputs["summary"])


def read_fitted_tracks(tracks, split, fit_on):
    """Read which tracks of a split are fitted on, and whose they are.

    Parameters
    ----------
    tracks : path
        ``corpus/tracks.parquet``.
    split : path
        ``splits/{split}.parquet``.
    fit_on : str
        ``train``: the training part; ``all``: training and evaluation part.

    Returns
    -------
    FittedTracks
        By rising track.

    Raises
    ------
    UserError
        A part has no track, or one that the corpus does not have.
    """
    parts = {"train": ["train"], "all": ["train", "evaluation"]}[fit_on]
    track_ids = np.sort(np.concatenate([read_part(split, part) for part in parts]))
    corpus = pq.read_table(tracks, columns=["track_id", "artist_id", "genres"])
    row_of = {track_id: row for row, track_id in enumerate(corpus["track_id"].to_pylist())}
    _refuse_missing(track_ids, row_of, tracks, f"make {split} again from this corpus")
    corpus = corpus.take([row_of[track_id] for track_id in track_ids.tolist()])
    artist_ids, artist_rows = np.unique(corpus["artist_id"].to_numpy(), return_inverse=True)
    return FittedTracks(track_ids, artist_rows, artist_ids, corpus["genres"].to_pylist())


def _refuse_missing(track_ids, present, path, remedy):
    """Raise UserError where a track to fit on is not among the tracks of a file."""
    missing = [track_id for track_id in track_ids.tolist() if track_id not in present]
    if missing:
        raise UserError(
            f"{len(missing)} tracks to fit on, the first of them {missing[0]}, are not in {path}: "
            f"{remedy}."
        )


def _count_subgenres(fitted, genres):
    """Return counts of genre labels, the dictionary's tensors, and the labels' titles."""
    table = pq.read_table(genres, columns=["genre_id", "title"]).sort_by("genre_id")
    genre_ids = table["genre_id"].to_numpy()
    rows, words = genre_words(fitted.track_ids, fitted.genre_lists, genre_ids)
    counts = count_words(
        fitted.artist_rows[rows],
        words,
        np.ones(len(words)),
        len(fitted.artist_ids),
        len(genre_ids),
    )
    return counts, {"genre_ids": genre_ids}, table["title"].to_pylist()


def _count_essentia(fitted, paths, settings, seed):
    """Return counts of Essentia words, the dictionary's tensors, and the summary's part."""
    track_ids, _, matrix = read_essentia(paths)
    present = set(track_ids.tolist())
    _refuse_missing(fitted.track_ids, present, "the Essentia shards", "extract them again")
    matrix = matrix[np.searchsorted(track_ids, fitted.track_ids)]
    vectors, quantiles = quantile_normalise(matrix, settings["n_quantiles"])
    method, n_requested = settings["dictionary"], settings["dictionary_size"]["e"]
    n_drawn = most_vectors(method, n_requested, vectors.shape[1])
    drawn = _draw_tracks(vectors, n_drawn, seed, method)
    dictionary = learn_dictionary(
        method, drawn, n_requested, settings["dictionary_iterations"], seed, "e"
    )
    rows, words, weights, inertia = find_words(method, vectors, dictionary)
    counts = count_words(
        fitted.artist_rows[rows],
        words,
        weights,
        len(fitted.artist_ids),
        min(n_requested, len(drawn)),
    )
    summary = {
        "n_words_requested": n_requested,
        "n_dictionary_vectors": len(drawn),
        "n_vectors": len(vectors),
        "inertia": inertia,
    }
    return counts, dictionary | {"quantiles": quantiles}, summary


def _count_frames(fitted, paths, task, settings, seed):
    """Return counts of words of frames, the dictionary's tensors, and the summary's part."""
    method, n_requested = settings["dictionary"], settings["dictionary_size"][task]
    drawn = _draw_dictionary_frames(fitted, paths, task, settings, seed)
    if not len(drawn):
        raise UserError(f"No track to fit on is long enough for task {task}: leave the task out.")
    mean, scale = np.zeros(drawn.shape[1], np.float32), np.ones(drawn.shape[1], np.float32)
    if WORDS_OF[task] == "mfcc" and settings["mfcc_scaling"] == "standard":
        mean, scale = standard_scaling(drawn)
    logger.info("task %s: dictionary from %d frames", task, len(drawn))
    dictionary = learn_dictionary(
        method,
        (drawn - mean) / scale,
        n_requested,
        settings["dictionary_iterations"],
        seed,
        task,
    )
    artist_of = dict(zip(fitted.track_ids.tolist(), fitted.artist_rows, strict=True))
    shape = (len(fitted.artist_ids), min(n_requested, len(drawn)))
    counts = count_words([], [], [], *shape)
    inertia, n_vectors = 0.0, 0
    for path in progress(paths, f"words of task {task}"):
        frames = dict(_frames_of(path, task, artist_of))
        if not frames:
            continue
        # One batch a shard: faiss reaches its speed only with many vectors at once.
        vectors = (np.concatenate(list(frames.values())) - mean) / scale
        rows, words, weights, shard_inertia = find_words(method, vectors, dictionary)
        artists = np.repeat(
            [artist_of[track_id] for track_id in frames], [len(f) for f in frames.values()]
        )
        counts += count_words(artists[rows], words, weights, *shape)
        inertia += shard_inertia
        n_vectors += len(vectors)
    summary = {
        "n_words_requested": n_requested,
        "n_dictionary_vectors": len(drawn),
        "n_vectors": n_vectors,
        "inertia": inertia,
    }
    return counts, dictionary | {"mean": mean, "scale": scale}, summary


def _frames_of(path, task, wanted):
    """Yield each wanted track of a shard and its float32 frames, differences of them for d."""
    track_ids, tracks = read_frames([path], WORDS_OF[task])
    for track_id, frames in zip(track_ids, tracks, strict=True):
        if int(track_id) in wanted:
            frames = frames.astype(np.float32)
            yield int(track_id), delta_mfcc(frames) if task == "d" else frames


def _draw_tracks(vectors, n_drawn, seed, method):
    """Draw tracks for the Essentia dictionary, in their order; all where the number is None."""
    if n_drawn is None or len(vectors) <= n_drawn:
        return vectors
    logger.warning("task e: %s from %d of %d tracks", method, n_drawn, len(vectors))
    draw = generator(seed, "dictionary", "e", "tracks")
    return vectors[np.sort(draw.choice(len(vectors), n_drawn, replace=False))]


def _draw_dictionary_frames(fitted, paths, task, settings, seed):
    """Draw the dictionary's frames evenly over the tracks, by rising track."""
    available = {}
    for path in paths:
        table = pq.read_table(path, columns=["track_id", "n_frames"])
        available |= zip(table["track_id"].to_pylist(), table["n_frames"].to_pylist(), strict=True)
    _refuse_missing(
        fitted.track_ids, available, f"the {WORDS_OF[task]} shards", "extract them again"
    )
    n_frames = np.array([available[track_id] for track_id in fitted.track_ids.tolist()])
    if task == "d":
        n_frames = np.maximum(n_frames - 1, 0)
    n_drawn, method = settings["dictionary_frames"], settings["dictionary"]
    most = most_vectors(method, settings["dictionary_size"][task])
    if most is not None and most < min(n_drawn, n_frames.sum()):
        logger.warning("task %s: %s from %d frames at most", task, method, most)
        n_drawn = most
    shares = frames_per_track(n_frames, n_drawn, seed, task)
    share_of = dict(zip(fitted.track_ids.tolist(), shares.tolist(), strict=True))
    drawn = {}
    for path in progress(paths, f"dictionary frames of task {task}"):
        for track_id, frames in _frames_of(path, task, share_of):
            drawn[track_id] = draw_frames(frames, share_of[track_id], seed, task, track_id)
    # By track and not by shard, so that the number of shards changes no word.
    return np.concatenate([drawn[track_id] for track_id in fitted.track_ids.tolist()])


def _targets_table(artist_ids, n_tracks, topics):
    """One row per artist; a row of NaN becomes nulls."""
    columns = {"artist_id": artist_ids, "n_tracks": n_tracks.astype(np.int64)}
    columns |= {
        f"topic_{topic:02d}": pa.array(topics[:, topic], from_pandas=True)
        for topic in range(topics.shape[1])
    }
    return pa.table(columns)


def _bags_table(artist_ids, bags):
    """One row per artist and word that occurs."""
    entries = bags.tocoo()
    return pa.table(
        {
            "artist_id": artist_ids[entries.row],
            "word": entries.col.astype(np.int32),
            "count": entries.data,
        }
    )


def _write_top_words(components, labels, path):
    """Write the most probable words of every topic as CSV."""
    words, weights = rank_words(components, TOP_WORDS)
    n_topics, n_ranks = words.shape
    table = pd.DataFrame(
        {
            "topic": np.repeat(np.arange(n_topics), n_ranks),
            "rank": np.tile(np.arange(1, n_ranks + 1), n_topics),
            "word": words.ravel(),
            "weight": weights.ravel(),
            "label": [labels[word] if labels else "" for word in words.ravel()],
        }
    )
    write_text(table.to_csv(index=False, lineterminator="\n"), path)


def _write_safetensors(tensors, path):
    """Write arrays as one safetensors file."""
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors))
