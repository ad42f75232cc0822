"""What a run was made of and by.

The tables of a run carry the hash of its provenance, so that a table on somebody's desk can be told
from one made of other data, settings, code or libraries.
"""

import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path

from agf.files import write_json, write_text
from agf.machine import describe_commit, describe_hardware

PACKAGES = (
    "essentia",
    "faiss-cpu",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "scikit-learn",
    "scipy",
    "snakemake",
    "soundfile",
    "soxr",
    "torch",
)
"""Distributions whose versions can change a result."""

NOT_HASHED = ("hash", "hardware", "commit")
"""Entries that may differ between two runs whose results are the same."""

TIMED = "history.parquet"
"""Files of this name hold times, which no two runs have in common."""

SUMS = "SHA256SUMS"


def write_provenance(files, results, configuration, code, lock, out):
    """Write what a run was made of and by.

    Parameters
    ----------
    files : list of str or pathlib.Path
        Files of the run, all below `results`, whose content is noted.
    results : str or pathlib.Path
        ``results/{corpus}``.
    configuration : dict
        The merged configuration, the seed among it.
    code : dict of str to str
        Hash of the code behind each script of the workflow.
    lock : str or pathlib.Path
        ``requirements.lock``.
    out : str or pathlib.Path
        ``provenance.json``: ``configuration``, ``code``, ``lock`` (sha256), ``versions``,
        ``files`` (sha256 by path below `results`), ``hardware``, ``commit`` and ``hash``, see
        :func:`provenance_hash`.
    """
    results = Path(results)
    paths = sorted(Path(path) for path in files)
    provenance = {
        "configuration": configuration,
        "code": code,
        "lock": file_digest(lock),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "files": {path.relative_to(results).as_posix(): file_digest(path) for path in paths},
        "hardware": describe_hardware(),
        "commit": describe_commit(Path(lock).resolve().parent),
    }
    write_json({"hash": provenance_hash(provenance), **provenance}, out)


def provenance_hash(provenance):
    """Return a sha256 over a provenance.

    Hardware, commit, the folder of the music and the times of trainings are left out: two runs that
    are the same may differ in them. What the music is stands in the digests of ``corpus``.

    Parameters
    ----------
    provenance : dict
        With or without a ``hash``.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    hashed = {name: value for name, value in provenance.items() if name not in NOT_HASHED}
    hashed["configuration"] = {**hashed["configuration"], "data_dir": None}
    hashed["files"] = {
        path: digest for path, digest in hashed["files"].items() if not path.endswith(TIMED)
    }
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()


def write_sums(paths, out):
    """Write the sha256 of files beside them, in the format of ``sha256sum``."""
    lines = [f"{file_digest(path)}  {Path(path).name}\n" for path in sorted(map(str, paths))]
    write_text("".join(lines), out)


def file_digest(path):
    """Return the sha256 of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
