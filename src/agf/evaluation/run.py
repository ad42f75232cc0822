"""Scores and tables of one run, from the files of its stages."""

import json
from pathlib import Path

import pandas as pd

from agf.corpus.selection import describe_selection
from agf.corpus.tracks import genre_titles, read_tracks
from agf.errors import UserError
from agf.evaluation.baselines import (
    COLUMNS,
    baseline_metrics,
    read_baselines,
    track_mfcc_statistics,
)
from agf.evaluation.comparisons import (
    bootstrap_genres,
    comparisons_html,
    comparisons_latex,
    comparisons_markdown,
    write_comparisons,
)
from agf.evaluation.documents import summary_text, write_tables
from agf.evaluation.metrics import evaluate_predictions
from agf.evaluation.metrics_file import average_cases, read_metrics
from agf.evaluation.published import read_published
from agf.files import replacing, write_json, write_text
from agf.networks.model import architecture_rows


def score_predictions(predictions, metrics):
    """Score one case.

    Parameters
    ----------
    predictions : str or pathlib.Path
        ``cases/.../predictions.parquet``.
    metrics : str or pathlib.Path
        ``metrics.json``, to write.
    """
    write_json(evaluate_predictions(pd.read_parquet(predictions)), metrics)


def write_baselines(tracks, splits, mfcc_paths, out, seed):
    """Score the baselines on each split and write ``tables/baselines.csv``.

    Parameters
    ----------
    tracks : str or pathlib.Path
        ``corpus/tracks.parquet``.
    splits : dict of str to str or pathlib.Path
        ``splits/{split}.parquet`` by the split's name.
    mfcc_paths : list of str or pathlib.Path
        ``features/mfcc/{shard}.parquet`` of all shards; read once, whatever the number of splits.
    out : str or pathlib.Path
        The CSV file.
    seed : int
        The run's seed.
    """
    frame = read_tracks(tracks)
    genres = genre_titles(frame)
    statistics = track_mfcc_statistics(mfcc_paths)
    table = pd.concat(
        baseline_metrics(frame, pd.read_parquet(path), statistics, genres, seed).assign(split=split)
        for split, path in splits.items()
    )
    with replacing(out) as temporary:
        table[list(COLUMNS)].to_csv(temporary, index=False)


def write_run_tables(
    metrics, baselines, targets, tracks, published, provenance, out_dir, warnings=()
):
    """Write the paper's tables and figure for one run.

    Parameters
    ----------
    metrics, baselines : str or pathlib.Path
        ``tables/metrics.csv`` and ``tables/baselines.csv``.
    targets : list of str or pathlib.Path
        ``targets/{split}/{task}.json`` of the AGF tasks: their real sizes. Of several splits those
        of the first file of a task are taken.
    tracks : str or pathlib.Path
        ``corpus/tracks.parquet``: its top genres are the outputs of task g.
    published : str or pathlib.Path
        Folder with the published tables.
    provenance : str or pathlib.Path
        ``provenance.json``, whose hash every table carries.
    out_dir : str or pathlib.Path
        Where the tables go.
    warnings : sequence of str
        Sentences at the top of every table and of the figure.
    """
    n_genres = len(genre_titles(read_tracks(tracks)))
    sizes = {"g": {"outputs": n_genres, "words": None}}
    for path in targets:
        summary = json.loads(Path(path).read_text(encoding="utf-8"))
        sizes.setdefault(
            summary["task"], {"outputs": summary["n_topics"], "words": summary["n_words"]}
        )
    write_tables(
        metrics,
        out_dir,
        sizes=sizes,
        layers=architecture_rows(n_genres),
        baselines=read_baselines(baselines),
        published=read_published(published),
        provenance=json.loads(Path(provenance).read_text(encoding="utf-8"))["hash"],
        warnings=warnings,
    )


def write_run_comparisons(metrics, splits, predictions, tracks, provenance, out, seed):
    """Compare the systems of a run or study, and write what is found.

    Parameters
    ----------
    metrics : str or pathlib.Path
        ``tables/metrics.csv``.
    splits : dict of str to path
        ``splits/{split}.parquet`` by split.
    predictions : list of path
        ``predictions.parquet`` of all cases in `metrics`.
    tracks : str or pathlib.Path
        ``corpus/tracks.parquet``.
    provenance : str or pathlib.Path
        ``provenance.json``, whose hash the page carries.
    out : dict of str to path
        Where to write ``comparisons`` and ``bootstrap`` (see
        :func:`agf.evaluation.comparisons.write_comparisons`), ``genres`` (F1 per genre of the case
        with the lowest log loss, in the first split), ``page`` (Markdown), ``latex``
        and ``html``.
    seed : int
        Keys the bootstrap.
    """
    write_comparisons(
        metrics, splits, predictions, tracks, out["comparisons"], out["bootstrap"], seed
    )
    comparisons = pd.read_csv(out["comparisons"])
    digest = json.loads(Path(provenance).read_text(encoding="utf-8"))["hash"]
    write_text(comparisons_markdown(comparisons, digest), out["page"])
    write_text(comparisons_latex(comparisons, digest), out["latex"])
    write_text(comparisons_html(comparisons), out["html"])
    frame = read_metrics(metrics)
    split, run_seed = frame[["split", "seed"]].iloc[0]
    best = best_case(frame)
    artist = read_tracks(tracks).set_index("track_id")["artist_id"]
    path = next(
        path
        for path in map(Path, predictions)
        if path.parts[-4:-1] == (split, f"seed{run_seed}", best)
    )
    genres = bootstrap_genres(path, artist, seed)
    genres.insert(0, "case", best)
    with replacing(out["genres"]) as temporary:
        genres.to_csv(temporary, index=False, float_format="%.6g")


def best_case(metrics):
    """Return the distinct case with the lowest mean log loss.

    Parameters
    ----------
    metrics : pandas.DataFrame
        As :func:`agf.evaluation.metrics_file.read_metrics` returns it.
    """
    cases = average_cases(metrics)
    return cases[cases["alias_of"] == ""].nsmallest(1, "log_loss")["case"].item()


def summarise_run(results):
    """Return the lines that end a run: best cases, baselines, and where everything lies.

    Parameters
    ----------
    results : str or pathlib.Path
        ``results/{corpus}``.

    Raises
    ------
    UserError
        Where the run has no tables yet.
    """
    corpus, tables = Path(results) / "corpus", Path(results) / "tables"
    if not (tables / "metrics.csv").is_file():
        raise UserError(f"{tables / 'metrics.csv'} does not exist: finish the run first.")
    baselines = tables / "baselines.csv"
    selection = describe_selection(corpus / "tracks.parquet", corpus / "rejected.parquet")
    summary = summary_text(
        read_metrics(tables / "metrics.csv"),
        tables,
        read_baselines(baselines) if baselines.is_file() else None,
    )
    return f"{selection}\n{summary}"
