"""Do artist groups help? The demo corpus with its planted groups, at several rates of label noise.

The true genre of every artist is known there, so a case is scored twice: against the annotated
genres, as on any corpus, wrong labels among them, and against the true ones.
"""

from pathlib import Path

import pandas as pd

from agf.corpus.tracks import read_part, read_tracks
from agf.errors import UserError
from agf.evaluation.documents import write_table
from agf.evaluation.metrics import evaluate_predictions
from agf.evaluation.metrics_file import SCORES
from agf.evaluation.planted_figure import DESCRIPTION, draw_planted
from agf.evaluation.statistics import corrected_t
from agf.files import replacing, write_text

COLUMNS = (
    "label_noise",
    "labels",
    "split",
    "seed",
    "case",
    "log_loss",
    "macro_f1",
    "n_train",
    "n_evaluation",
)
"""Columns of ``scores.csv``."""

BASE = "stn-g"
"""The case without artist groups."""

LABELS = {"annotated": "annotated genres", "true": "true genres"}
"""What a case is scored against."""


def score_twice(predictions, true):
    """Score one case against the annotated and the true genres.

    Parameters
    ----------
    predictions : pandas.DataFrame
        The content of ``predictions.parquet``.
    true : pandas.Series
        True genre by track_id.

    Returns
    -------
    dict of str to dict
        By :data:`LABELS`, ``log_loss`` and ``macro_f1``.

    Raises
    ------
    UserError
        Where a track's true genre is annotated nowhere, so that no case can predict it.
    """
    genres = predictions["track_id"].map(true)
    unknown = sorted(set(genres.dropna()) - set(predictions.columns))
    if unknown or genres.isna().any():
        name = unknown[0] if unknown else "of a track without a planted group"
        raise UserError(
            f"The true genre {name} is annotated nowhere: take less label noise "
            "(planted.label_noise), or more albums (demo.tracks)."
        )
    scored = {"annotated": predictions, "true": predictions.assign(genre_top=genres)}
    metrics = {labels: evaluate_predictions(frame) for labels, frame in scored.items()}
    return {labels: {score: found[score] for score in SCORES} for labels, found in metrics.items()}


def write_scores(runs, results, planted, label_noise, out):
    """Score all cases of one rate of label noise.

    Parameters
    ----------
    runs : list of tuple
        As :func:`agf.study.runs` lists them.
    results : str or pathlib.Path
        ``results/{corpus}`` of that rate's run.
    planted : str or pathlib.Path
        ``planted_groups.csv``.
    label_noise : float
        The rate.
    out : str or pathlib.Path
        The CSV file to write, columns :data:`COLUMNS`.
    """
    results = Path(results)
    artists = read_tracks(results / "corpus" / "tracks.parquet").set_index("track_id")["artist_id"]
    true = artists.map(pd.read_csv(planted, index_col="artist_id")["genre_top"])
    rows = []
    for split, seed, case, folder in runs:
        path = results / "splits" / f"{split}.parquet"
        sizes = {f"n_{part}": len(read_part(path, part)) for part in ("train", "evaluation")}
        predictions = pd.read_parquet(results / folder / "predictions.parquet")
        for labels, scores in score_twice(predictions, true).items():
            row = {"label_noise": label_noise, "labels": labels, "split": split, "seed": seed}
            rows.append(row | {"case": case} | scores | sizes)
    with replacing(out) as temporary:
        pd.DataFrame(rows)[list(COLUMNS)].to_csv(temporary, index=False)


def summarise_planted(scores):
    """Return the mean scores of every case, and how far they are from those of genre alone.

    Parameters
    ----------
    scores : pandas.DataFrame
        Columns :data:`COLUMNS`, of all rates. Seeds are averaged first.

    Returns
    -------
    pandas.DataFrame
        A row per rate, kind of labels and case: `label_noise`, `labels`, `case`, `n_splits`, then
        for each score its mean over splits, `difference_*` (mean minus that of :data:`BASE`; NaN
        for that case itself) and `difference_*_low`, `difference_*_high`: its 95 % interval by the
        corrected resampled t, NaN of a single split.
    """
    cases = list(dict.fromkeys(scores["case"]))
    rows = []
    for (noise, labels), group in scores.groupby(["label_noise", "labels"]):
        ratio = (group["n_evaluation"] / group["n_train"]).mean()
        means = group.groupby(["split", "case"])[list(SCORES)].mean().unstack("case")
        for case in cases:
            row = {"label_noise": noise, "labels": labels, "case": case, "n_splits": len(means)}
            for score in SCORES:
                row[score] = means[score][case].mean()
                test = corrected_t((means[score][case] - means[score][BASE]).to_numpy(), ratio)
                values = (test.mean, test.low, test.high) if case != BASE else (float("nan"),) * 3
                names = (f"difference_{score}{end}" for end in ("", "_low", "_high"))
                row |= dict(zip(names, map(float, values), strict=True))
            rows.append(row)
    return pd.DataFrame(rows)


def read_out(summary):
    """Say in words what came out, for each kind of labels.

    Parameters
    ----------
    summary : pandas.DataFrame
        From :func:`summarise_planted`.

    Returns
    -------
    list of str
        How often a case with artist groups has a lower or higher log loss than genre alone, and
        how often the interval of the difference leaves out zero.
    """
    name = "difference_log_loss"
    sentences = []
    for labels, title in LABELS.items():
        rows = summary[(summary["labels"] == labels) & summary[name].notna()]
        sentences.append(
            f"Against the {title}, {(rows[name] < 0).sum()} of {len(rows)} differences in log loss "
            f"are in favour of artist groups, {(rows[f'{name}_high'] < 0).sum()} of them with an "
            f"interval that leaves out zero; {(rows[name] > 0).sum()} are against, "
            f"{(rows[f'{name}_low'] > 0).sum()} of them with such an interval."
        )
    return sentences


def write_planted(paths, stem, epochs, warnings=()):
    """Write table and figure of all rates.

    Parameters
    ----------
    paths : list of str or pathlib.Path
        ``scores.csv`` of every rate.
    stem : str or pathlib.Path
        To which ``.csv``, ``.md``, ``.tex``, ``.png`` and ``.svg`` are added.
    epochs : int
        Training epochs per task, which the page names.
    warnings : sequence of str
        Put at the top of page and figure.
    """
    stem = Path(stem)
    summary = summarise_planted(pd.concat(map(pd.read_csv, paths), ignore_index=True))
    n_splits = summary["n_splits"].max()
    sentences = [
        "Differences are those from stn-g, genre alone"
        + (
            ", in brackets the 95 % interval by the corrected resampled t test, one by one: of "
            "many such intervals some leave out zero by chance."
            if n_splits > 1
            else "; one split does not tell how far chance alone moves them."
        ),
        *read_out(summary),
        f"Networks learn {epochs} epochs per task: one of N tasks trains N times as long as stn-g, "
        "as in the paper.",
        "Without label noise both kinds of labels are the same.",
    ]
    title = "Genre alone and with artist groups, by label noise, on the demo corpus"
    _, page, *_ = write_table(stem, summary, title, sentences, warnings, shown=_shown(summary))
    png, svg = stem.with_suffix(".png"), stem.with_suffix(".svg")
    # An image in the table's LaTeX would be one more file to find.
    text = page.read_text(encoding="utf-8")
    write_text(f"{text}\n![{DESCRIPTION}]({png.name})\n", page)
    draw_planted(summary, png, svg, warnings)


def _shown(summary):
    """Return what a page takes of the summary: differences with their intervals in one column."""
    names = {"label_noise": "label noise", "n_splits": "splits"}
    names |= {"log_loss": "log loss", "macro_f1": "macro F1"}
    shown = summary[["label_noise", "labels", "case", "n_splits"]].copy()
    # As text: a best value over all rates, that of the least noise, would say nothing.
    shown["label_noise"] = [f"{noise:g}" for noise in summary["label_noise"]]
    for score in SCORES:
        shown[score] = summary[score]
        columns = (summary[f"difference_{score}{end}"] for end in ("", "_low", "_high"))
        shown[f"{names[score]} minus g"] = [_signed(*row) for row in zip(*columns, strict=True)]
    return shown.rename(columns=names)


def _signed(value, low, high):
    if pd.isna(value):
        return ""
    return f"{value:+.4f}" + ("" if pd.isna(low) else f" ({low:+.4f} to {high:+.4f})")
