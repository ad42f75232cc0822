"""Folders of thousands of files, predicted in parts, side by side or on a cluster."""

import os

import pandas as pd

from agf.corpus.audio_files import files_of_part
from agf.files import write_text
from agf.predict.files import Source, predict_files, results_text, write_results
from agf.predict.model import load


def predict_part(model_folder, folder, part, out, skipped, vote, excerpt):
    """Predict the files of one part.

    Parameters
    ----------
    model_folder : str or pathlib.Path
        What ``agf export`` wrote.
    folder, part
        As in :func:`agf.corpus.audio_files.files_of_part`.
    out : str or pathlib.Path
        Parquet: ``id``, the file's path, `folder` included, and one column per genre.
    skipped : str or pathlib.Path
        CSV of all other files: ``path`` and ``reason``.
    vote, excerpt
        As in :func:`agf.predict.files.predict_files`.
    """
    model = load(model_folder)
    paths = [os.path.join(folder, file.path) for file in files_of_part(folder, part)]
    sources = [Source(path, os.path.basename(path)) for path in paths]
    results = predict_files(model, sources, vote, excerpt=excerpt)
    write_results(results.rows, model.genres, "parquet", out)
    frame = pd.DataFrame(results.skipped, columns=["path", "reason"])
    write_text(frame.to_csv(index=False), skipped)


def collect_parts(parts, skipped_parts, out, skipped):
    """Put the predictions of all parts into one CSV, as ``agf predict`` prints it.

    Parameters
    ----------
    parts, skipped_parts : list of str or pathlib.Path
        What :func:`predict_part` wrote.
    out, skipped : str or pathlib.Path
        The CSV files to write, sorted by path.
    """
    frame = pd.concat([pd.read_parquet(path) for path in parts]).sort_values("id")
    genres = list(frame.columns[1:])
    rows = list(zip(frame["id"], frame[genres].to_numpy(), strict=True))
    write_text(results_text(rows, genres, "csv"), out)
    reasons = pd.concat([pd.read_csv(path, dtype=str) for path in skipped_parts])
    write_text(reasons.sort_values("path").to_csv(index=False), skipped)
