"""A run within a run: the whole workflow once more, in a folder of its own, from one job."""

import filecmp
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from agf.corpus.demo import plan_demo, write_metadata
from agf.errors import UserError
from agf.files import write_text

logger = logging.getLogger(__name__)


def prepare_noisy_run(folder, config, audio, features):
    """Lay out a folder in which the workflow runs on the demo corpus with other annotations.

    Label noise changes annotations alone. So the clips are those of the run around this one, and
    the features begin as copies of its: their rows, whose keys know nothing of labels, are kept.

    Parameters
    ----------
    folder : str or pathlib.Path
        The folder; what an earlier run has made in it stays.
    config : dict
        From :func:`agf.study.noisy_config`.
    audio : str or pathlib.Path
        The clips of the demo corpus of the same seed, to which a link is made.
    features : dict of str to str or pathlib.Path
        Files of features by their path below ``results/{corpus}``.

    Notes
    -----
    ``data/`` gets FMA's tables and ``planted_groups.csv``. A file whose content is the same is left
    as it is, so that a second run finds nothing to do.
    """
    folder = Path(folder)
    data = folder / config["data_dir"]
    data.mkdir(parents=True, exist_ok=True)
    link = data / config["audio_dir"]
    link.unlink(missing_ok=True)
    # Relative: the project may be moved.
    link.symlink_to(os.path.relpath(audio, link.parent))
    with TemporaryDirectory(dir=folder) as fresh:
        for path in write_metadata(plan_demo(config["demo"], config["seeds"][0]), fresh):
            target = data / path.relative_to(fresh)
            if not (target.is_file() and filecmp.cmp(path, target, shallow=False)):
                target.parent.mkdir(exist_ok=True)
                os.replace(path, target)
    for name, source in features.items():
        target = folder / "results" / config["corpus"] / name
        if not target.is_file() or target.stat().st_mtime < os.stat(source).st_mtime:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    write_text(yaml.safe_dump(config, allow_unicode=True), folder / "config.yaml")


def run_workflow(folder, project, targets, cores, python=sys.executable):
    """Run the workflow in another folder, and log what it says.

    Parameters
    ----------
    folder : str or pathlib.Path
        With the ``config.yaml`` of that run. The run may go on there after an earlier one.
    project : str or pathlib.Path
        Where the Snakefile is.
    targets : list of str
        The files to make, relative to `folder`.
    cores : int
        Cores of that run.
    python : str
        The Python interpreter that has Snakemake.

    Raises
    ------
    UserError
        Where the run fails.
    """
    command = [python, "-m", "snakemake", *targets, "--snakefile", f"{project}/Snakefile"]
    command += ["--directory", str(folder), "--cores", str(cores)]
    # Whatever profile the run around this one has: here everything runs within one job. No lock:
    # that of a run that was killed would stay; those of the jobs and of the results do not.
    command += [
        "--profile",
        "none",
        "--workflow-profile",
        f"{project}/profiles/default",
        "--nolock",
    ]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout:
            logger.info("| %s", line.rstrip())
    if process.returncode:
        raise UserError(
            f"The run in {folder} failed with status {process.returncode}; what went wrong stands "
            "above in this log."
        )
