"""Predicting many files, and writing what comes out."""

import csv
import io
import json
import os
from pathlib import Path, PurePath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from agf.corpus.audio_files import AUDIO_SUFFIXES, find_audio
from agf.errors import UserError
from agf.features.audio import AudioError
from agf.files import replacing
from agf.predict.track import VOTES, predict_file
from agf.progress import progress

FORMATS = ("csv", "json", "parquet")

CURVE_COLUMNS = 1600
"""Columns of a picture's spectrogram: as many as the picture has dots."""

DECIMALS = 8
"""Of a probability in CSV: the log loss takes none below 1e-8 for what it is."""


class Source(NamedTuple):
    """One file to predict.

    Attributes
    ----------
    path : str
        Where it is.
    name : str
        Where it is below the folder that was named, or its own name.
    """

    path: str
    name: str


class Results(NamedTuple):
    """What became of all files; each is in one of the two.

    Attributes
    ----------
    rows : list of tuple
        For each predicted file its id and its genre probabilities, float64.
    skipped : list of tuple of str
        For each other file its path and the reason.
    """

    rows: list
    skipped: list


def find_sources(paths):
    """List the files to predict.

    Parameters
    ----------
    paths : list of str or pathlib.Path
        Files, of any name, and folders, of which every audio file is taken.

    Returns
    -------
    list of Source
        In the order of `paths`, those of a folder sorted. A file named twice is listed once.

    Raises
    ------
    UserError
        If a folder holds no audio file.
    """
    sources = {}
    for path in map(os.fspath, paths):
        if not os.path.isdir(path):
            sources.setdefault(path, Source(path, os.path.basename(path)))
            continue
        files, _ = find_audio(path)
        if not files:
            endings = ", ".join(AUDIO_SUFFIXES)
            raise UserError(f"{path} holds no audio file ({endings}): name another folder.")
        for file in files:
            whole = os.path.join(path, file.path)
            sources.setdefault(whole, Source(whole, file.path))
    return list(sources.values())


def predict_files(model, sources, vote="mean", ids="path", excerpt=False, curves=None, report=None):
    """Predict files one after the other; what cannot be used is told and left out.

    Parameters
    ----------
    model : agf.predict.Model
        Of :func:`agf.predict.load`.
    sources : list of Source
        Of :func:`find_sources`.
    vote : "mean" or "majority"
        How windows become a track, see :class:`agf.predict.Prediction`.
    ids : "path" or "name"
        What a file is called in the result: its path, or its name without folder and ending, which
        for FMA's clips is the track's number.
    excerpt : bool
        As in :func:`agf.predict.predict_file`.
    curves : str or pathlib.Path, optional
        Folder for a picture of each file.
    report : callable, optional
        Takes the path and the reason of each file that is left out, as it happens.

    Returns
    -------
    Results

    Raises
    ------
    UserError
        If two files would have one id or one picture.
    """
    names = [_id(source, ids) for source in sources]
    _check_distinct(names, sources, "id", "call them by --id path")
    pictures = [None] * len(sources)
    if curves is not None:
        pictures = [Path(curves) / _printable(f"{source.name}.png") for source in sources]
        _check_distinct(pictures, sources, "picture", "predict them one after the other")
    rows, skipped = [], []
    for source, name, picture in progress(
        list(zip(sources, names, pictures, strict=True)), "predict, files"
    ):
        try:
            columns = CURVE_COLUMNS if picture else None
            prediction = predict_file(model, source.path, excerpt, columns)
        except AudioError as error:
            skipped.append((_printable(source.path), str(error)))
            if report:
                report(*skipped[-1])
            continue
        rows.append((name, VOTES[vote](prediction)))
        if picture:
            # matplotlib is slow to import, and only pictures need it.
            from agf.predict.curve import draw_curve

            draw_curve(model, prediction, _printable(source.name), picture)
    return Results(rows, skipped)


def results_text(rows, genres, kind):
    """Return predictions as text.

    Parameters
    ----------
    rows : list of tuple
        Of :class:`Results`.
    genres : list of str
        Titles of the genres.
    kind : "csv" or "json"
        CSV: the challenge's form, ``id`` and one column per genre. JSON: a list of objects with
        ``id`` and ``probabilities``, an object.

    Returns
    -------
    str
    """
    if kind == "json":
        values = [
            {"id": name, "probabilities": dict(zip(genres, map(float, row), strict=True))}
            for name, row in rows
        ]
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["id", *genres])
    for name, row in rows:
        out.writerow([name, *(f"{value:.{DECIMALS}f}" for value in row)])
    return text.getvalue()


def write_results(rows, genres, kind, path):
    """Write predictions to a file, as :func:`results_text` gives them or as ``parquet``.

    Parquet has a column ``id`` and one of float64 per genre.
    """
    with replacing(path) as temporary:
        if kind != "parquet":
            temporary.write_text(results_text(rows, genres, kind), encoding="utf-8", newline="")
            return
        columns = zip(*(row for _, row in rows), strict=True) if rows else [[] for _ in genres]
        arrays = [pa.array([name for name, _ in rows], pa.string())]
        arrays += [pa.array(list(map(float, column)), pa.float64()) for column in columns]
        pq.write_table(pa.table(arrays, ["id", *genres]), temporary, compression="zstd")


def _id(source, ids):
    return _printable(PurePath(source.path).stem if ids == "name" else source.path)


def _printable(name):
    """Return a name as text: bytes of it that are no UTF-8 as ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _check_distinct(names, sources, what, advice):
    seen = {}
    for name, source in zip(names, sources, strict=True):
        if name in seen:
            raise UserError(
                f"{_printable(seen[name].path)} and {_printable(source.path)} would have the same "
                f"{what}: {advice}."
            )
        seen[name] = source
