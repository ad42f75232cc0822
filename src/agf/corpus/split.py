"""Dividing the tracks into a training part and an evaluation part."""

import logging

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from agf.errors import UserError
from agf.keyed_random import random_key

logger = logging.getLogger(__name__)

CANDIDATES = 500
"""Group splits drawn, of which the one nearest to a stratified split is taken."""

OFFICIAL_PARTS = {"training": "train", "test": "evaluation", "validation": "unused"}
"""FMA's official parts: trained on ``training`` and scored on ``test``, as its baselines are."""


def split_tracks(tracks, kind, evaluation_fraction, seed, listed=None):
    """Divide tracks into parts.

    Parameters
    ----------
    tracks : pandas.DataFrame
        ``corpus/tracks.parquet``.
    kind : str
        ``random``: stratified by top genre (the paper's section 4). ``artist``, ``album``: no
        artist or album in both parts, genres balanced as far as that allows. ``fma``: the
        official split; its validation part is not used, because nothing is tuned on it. ``paper``:
        the parts of `listed`; tracks it does not name are not used.
    evaluation_fraction : float
        Share of the tracks to evaluate on (the paper: 0.15); ``fma`` and ``paper`` ignore it.
    seed : int
        The run's seed.
    listed : dict of str to numpy.ndarray, optional
        The authors' split, as :func:`agf.corpus.paper_split.read_paper_split` returns it.

    Returns
    -------
    pandas.DataFrame
        ``track_id`` and ``part`` (``train``, ``evaluation`` or ``unused``), in the order of
        `tracks`.

    Raises
    ------
    UserError
        Where a genre would have no training track, or the metadata has no official split.
    """
    genre = tracks.genre_top.to_numpy()
    if kind == "random":
        part = _stratified(genre, evaluation_fraction, seed)
    elif kind == "artist":
        part = _by_group(tracks.artist_id.to_numpy(), genre, evaluation_fraction, seed, kind)
    elif kind == "album":
        # A track without an album is an album of its own.
        album = tracks.album_id.fillna(-1).to_numpy()
        group = np.where(album < 0, -1 - tracks.track_id.to_numpy(), album)
        part = _by_group(group, genre, evaluation_fraction, seed, kind)
    elif kind == "fma":
        part = tracks.official_split.map(OFFICIAL_PARTS).to_numpy()
        if pd.isna(part).any():
            track = tracks.track_id[pd.isna(part)].iloc[0]
            raise UserError(
                f"Track {track} has no official split in tracks.csv: set split.kind to random, "
                "artist or album, or fill the column set.split."
            )
    elif kind == "paper":
        part = _listed(tracks.track_id.to_numpy(), listed)
    else:
        raise ValueError(f"unknown kind of split {kind!r}")
    for name in ("train", "evaluation"):
        if name not in part:
            raise UserError(f"The split {kind} has no {name} track: take another split.kind.")
    bare = sorted(set(genre) - set(genre[part == "train"]))
    if bare:
        raise UserError(
            f"The genre {bare[0]!r} has no training track in the split {kind}: give it more "
            "tracks or artists, leave it out, or take another split.kind."
        )
    absent = sorted(set(genre) - set(genre[part == "evaluation"]))
    if absent:
        logger.warning("split %s: no evaluation track of %s", kind, ", ".join(absent))
    names, counts = np.unique(part.astype(str), return_counts=True)
    sizes = ", ".join(f"{count} {name}" for name, count in zip(names, counts, strict=True))
    logger.info("split %s: %s", kind, sizes)
    return pd.DataFrame({"track_id": tracks.track_id.to_numpy(), "part": part})


def _listed(track_id, listed):
    part = np.full(len(track_id), "unused", dtype=object)
    for name, ids in listed.items():
        part[np.isin(track_id, ids)] = name
        absent = len(ids) - np.count_nonzero(part == name)
        if absent:
            logger.warning("split paper: %d of its %s tracks are not in the corpus", absent, name)
    if (part == "unused").all():
        raise UserError(
            "No track of the corpus is in the authors' split, which is of fma_medium: take another "
            "split.kind."
        )
    return part


def _stratified(genre, fraction, seed):
    names, counts = np.unique(genre, return_counts=True)
    if counts.min() < 2:
        raise UserError(
            f"The genre {names[counts.argmin()]!r} has a single track, too few for a stratified "
            "split: give it a second one or leave it out."
        )
    if round(fraction * len(genre)) < len(names):
        raise UserError(
            f"split.evaluation_fraction {fraction} of {len(genre)} tracks is less than one track "
            f"for each of the {len(names)} genres: raise it."
        )
    state = random_key(seed, "split", "random") % 2**32
    _, evaluation = train_test_split(
        np.arange(len(genre)), test_size=fraction, stratify=genre, random_state=state
    )
    part = np.full(len(genre), "train", dtype=object)
    part[evaluation] = "evaluation"
    return part


def _by_group(group, genre, fraction, seed, kind):
    if len(np.unique(group)) < 2:
        raise UserError(f"The split {kind} needs two {kind}s at least; there is one.")
    names, code = np.unique(genre, return_inverse=True)
    total = np.bincount(code)
    wanted = fraction * total
    state = random_key(seed, "split", kind) % 2**32
    draws = GroupShuffleSplit(n_splits=CANDIDATES, test_size=fraction, random_state=state)

    def misfit(evaluation):
        count = np.bincount(code[evaluation], minlength=len(names))
        bare = np.sum(count == total) * len(genre) + np.sum(count == 0)
        return bare, np.abs(count - wanted).sum()

    best = min((test for _, test in draws.split(code, groups=group)), key=misfit)
    part = np.full(len(genre), "train", dtype=object)
    part[best] = "evaluation"
    return part
