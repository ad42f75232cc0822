"""Whether the files of a run are still what it wrote."""

import json
import re
import tempfile
from pathlib import Path

import pyarrow as pa

from agf.corpus.digests import COLUMNS, FEATURES, write_digests
from agf.corpus.manifest import current_shards
from agf.errors import UserError
from agf.features.reading import IDENTITY, open_shard
from agf.features.shards import content_digest
from agf.provenance import SUMS, file_digest, provenance_hash
from agf.study import all_splits
from agf.tasks import WORDS_OF


def verify_results(results):
    """Hold the files of a finished run against what it wrote.

    Parameters
    ----------
    results : str or pathlib.Path
        ``results/{corpus}``.

    Returns
    -------
    n_files, n_rows : int
        Files, and rows of features, that were looked at.
    differences : list of str
        One sentence for each file or row that is missing or another.

    Raises
    ------
    UserError
        If the run has no provenance yet.
    """
    results = Path(results)
    path = results / "provenance.json"
    try:
        provenance = json.loads(path.read_text(encoding="utf-8"))
        expected, files = provenance["hash"], dict(provenance["files"])
        splits = all_splits(provenance["configuration"])
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: finish the run first.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and finish the run.") from error
    differences = []
    if provenance_hash(provenance) != expected:
        differences.append(f"{path} was edited: its hash is not that of its content.")
    sums, problems = _read_sums(results / "tables" / SUMS)
    differences += problems
    files |= {f"tables/{name}": digest for name, digest in sums.items()}
    for name, digest in files.items():
        differences += _difference(results / name, digest)
    for table in sorted((results / "tables").glob("*.md")):
        if expected not in table.read_text(encoding="utf-8", errors="replace"):
            differences.append(f"{table} carries another provenance than {path}.")
    extracted = dict.fromkeys([*FEATURES, *WORDS_OF.values()])
    extracted = [name for name in extracted if f"corpus/digests/{name}.json" in files]
    n_rows, found = _verify_rows(results, extracted)
    differences += found
    # Of damaged files nothing can be summed up.
    if not differences:
        differences = _verify_digests(results, splits, extracted)
    return len(files), n_rows, differences


def _difference(path, digest):
    if not path.is_file():
        return [f"{path} is missing."]
    if file_digest(path) != digest:
        return [f"{path} is not what the run wrote."]
    return []


def _read_sums(path):
    """Return digests by name, and what is wrong with the file."""
    if not path.is_file():
        return {}, [f"{path} is missing."]
    sums = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.fullmatch(r"([0-9a-f]{64})  ([^/]+)", line)
        if match is None:
            return sums, [f"{path} is damaged: {line[:80]!r} is no sha256 and name."]
        sums[match[2]] = match[1]
    return sums, []


def _feature_paths(results, extracted):
    shards = current_shards(results / "corpus" / "shards")
    return {
        feature: [results / "features" / feature / f"{shard}.parquet" for shard in shards]
        for feature in extracted
    }


def _verify_rows(results, extracted):
    """Compute the digests of all rows of the features anew; return their number, what differs."""
    n_rows, differences = 0, []
    for feature, paths in _feature_paths(results, extracted).items():
        for path in paths:
            try:
                for row in _rows(path):
                    n_rows += 1
                    identity = {name: row.pop(name) for name in IDENTITY}
                    if content_digest(row) != identity["digest"]:
                        differences.append(
                            f"{path}: the {feature} of track {identity['track_id']} is not what "
                            "the run wrote."
                        )
            except (UserError, OSError, pa.ArrowInvalid) as error:
                differences.append(f"{path} cannot be read ({error}).")
    return n_rows, differences


def _verify_digests(results, splits, extracted):
    """Sum up the files anew; return which of the run's digests are others."""
    corpus = results / "corpus"
    with tempfile.TemporaryDirectory(prefix="agf-") as folder:
        names = [*COLUMNS, *extracted, *(f"split-{split}" for split in splits)]
        anew = {name: Path(folder) / f"{name}.json" for name in names}
        write_digests(
            corpus / "tracks.parquet",
            corpus / "genres.parquet",
            {split: results / "splits" / f"{split}.parquet" for split in splits},
            _feature_paths(results, extracted),
            anew,
        )
        stored = {name: corpus / "digests" / f"{name}.json" for name in names}
        return [
            f"{stored[name]} is of another {name} than the run's files."
            for name, path in anew.items()
            if stored[name].read_bytes() != path.read_bytes()
        ]


def _rows(path):
    """Yield the rows of a shard as dicts, one row group in memory at a time."""
    with open_shard(path) as file:
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group).to_pylist()
