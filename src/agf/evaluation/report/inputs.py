"""The files that a report is made of: their names, and where a run has them."""

from pathlib import Path

import pandas as pd

from agf.errors import UserError

FILES = {
    "provenance": "provenance.json",
    "audit": "corpus/audit.parquet",
    "tracks": "corpus/tracks.parquet",
    "metrics": "tables/metrics.csv",
    "baselines": "tables/baselines.csv",
    "table1": "tables/table1.csv",
    "table2": "tables/table2.csv",
    "table3": "tables/table3.csv",
    "table4": "tables/table4.csv",
    "table5": "tables/table5.csv",
    "comparisons": "tables/comparisons.csv",
    "bootstrap": "tables/bootstrap.csv",
    "genres": "tables/genres.csv",
    "leakage": "tables/leakage.csv",
    "clusterings": "tables/clusterings.csv",
    "planted": "tables/planted.csv",
    "agreement": "targets/{split}/agreement.csv",
}
"""Name of each single file, and where it lies below ``results/{corpus}``."""

LISTS = {
    "predictions": "cases/{split}/seed{seed}/*/predictions.parquet",
    "histories": "networks/{split}/seed{seed}/*/history.parquet",
    "summaries": "networks/{split}/seed{seed}/*/summary.json",
    "topics": "targets/{split}/[a-z].parquet",
    "top_words": "targets/{split}/[a-z].top_words.csv",
    "benchmarks": "benchmarks/**/*.tsv",
}
"""Name of each list of files, and the pattern they follow."""

REQUIRED = ("provenance", "metrics", "table4")
"""Without these there is nothing to report."""


def find_files(results):
    """Return the files of a run that a report can be made of.

    Parameters
    ----------
    results : str or pathlib.Path
        ``results/{corpus}``.

    Returns
    -------
    dict of str to pathlib.Path or list of pathlib.Path
        As :func:`agf.evaluation.report.write.write_report` takes it. Of several splits and seeds
        the first of ``metrics.csv``.

    Raises
    ------
    UserError
        Where the run has no tables yet.
    """
    results = Path(results)
    files = {"metrics": results / FILES["metrics"]}
    check_files(files, only=("metrics",))
    split, seed = first_run(pd.read_csv(files["metrics"]))
    for name, place in FILES.items():
        path = results / place.format(split=split)
        if path.is_file():
            files[name] = path
    for name, pattern in LISTS.items():
        files[name] = sorted(results.glob(pattern.format(split=split, seed=seed)))
    return files


def check_files(files, only=REQUIRED):
    """Refuse names that a report does not know, and files without which there is none."""
    unknown = [name for name in files if name not in FILES and name not in LISTS]
    if unknown:
        raise UserError(
            f"A report has no file called {unknown[0]!r}; it knows {', '.join([*FILES, *LISTS])}."
        )
    for name in only:
        if name not in files or not Path(files[name]).is_file():
            where = files.get(name, FILES[name])
            raise UserError(f"{where} does not exist: finish the run before its report.")


def first_run(metrics):
    """Return split and seed of the first row of ``metrics.csv``."""
    return metrics["split"].iloc[0], int(metrics["seed"].iloc[0])


def read_csv(files, name):
    """Return a table of the run, None where the run has none or it is empty."""
    if name not in files or not Path(files[name]).is_file():
        return None
    try:
        frame = pd.read_csv(files[name], keep_default_na=True)
    except pd.errors.EmptyDataError:
        return None
    return frame if len(frame) else None


def of_run(paths, split, seed=None):
    """Return those of `paths` that lie in the folder of one split, and of one seed."""
    wanted = {split} if seed is None else {split, f"seed{seed}"}
    return [path for path in map(Path, paths) if wanted <= set(path.parts)]
