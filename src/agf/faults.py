"""Faults of the machine, told in one sentence: full disks, lost drives, closed folders, clocks.

This module is imported whenever the workflow is read and around every job, so it needs the standard
library alone: what other libraries raise is known by its words.
"""

import errno
import os
import re
import tempfile
import time

from agf.errors import UserError

_NETWORK_DRIVE = ("the network drive does not answer", "mount it again")
_NO_PERMISSION = ("permission is denied", "change its owner or permissions (chmod)")

FAULTS = {
    errno.ENOSPC: ("the disk is full", "free some space"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or ask for more"),
    errno.EFBIG: ("no file may be so large here", "raise the limit (ulimit -f)"),
    errno.EROFS: ("the file system is read-only", "make it writable"),
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EIO: ("the disk or network drive fails", "check it (dmesg, mount)"),
    errno.ESTALE: _NETWORK_DRIVE,
    errno.ENOTCONN: _NETWORK_DRIVE,
    errno.EHOSTDOWN: _NETWORK_DRIVE,
    errno.EMFILE: ("too many files are open in this process", "raise the limit (ulimit -n)"),
    errno.ENFILE: ("too many files are open on this machine", "end other programs"),
    errno.ENOMEM: ("memory does not suffice", "run fewer jobs at a time (--cores) or end others"),
}
"""What is wrong and what to do, by error number of the operating system."""

_UNNAMED = ("audio cannot be read or written", "see that the disk has room (df) and works (dmesg)")

LIBSNDFILE_SYSTEM_ERROR = 2
"""``SF_ERR_SYSTEM`` of libsndfile."""

DAMAGE = re.compile("decompression failed|deserialize thrift|^Error while deserializing header")
"""Words of pyarrow and safetensors on content that cannot be: they do not name the file."""

KILLED = re.compile(r"^The process that ran .* died with status -9\.$", re.DOTALL)
"""What :mod:`agf.features.recycled` says of a process that got SIGKILL."""

SPACE = 1 << 20
"""Bytes that must fit on a disk before a run begins: its locks, logs and a job's small files."""

CLOCK_TOLERANCE = 60
"""Seconds by which clocks of machines that share a drive may differ."""


def describe_fault(error, path=None):
    """Return one sentence on a fault of the machine; None where the fault is another.

    Parameters
    ----------
    error : BaseException
        What was raised: by Python, pyarrow, safetensors, torch or soundfile.
    path : str or pathlib.Path, optional
        The file or folder that was written or read. Without it the one that `error` names.

    Returns
    -------
    str or None
        What is wrong, with which file where that is known, and what to do.
    """
    text = " ".join(str(error).split())
    damaged = re.search(r"Could not open Parquet input source '(.+)': (.+)", text)
    if damaged:
        return (
            f"{path or damaged[1]} is damaged ({damaged[2].rstrip('.')}): delete it and run the "
            "workflow again, which makes it anew."
        )
    if DAMAGE.search(text):
        return (
            f"A file that this job reads is damaged ({text}): of a finished run, "
            "agf verify says which; delete it, or else all that the job reads of the results, and "
            "run the workflow again, which makes it anew."
        )
    if KILLED.search(text):
        return (
            "A process that the job had started was killed, as the system does where memory does "
            "not suffice (dmesg says so): run fewer jobs at a time (--cores) or give the job more "
            "memory, then run again: what is done is kept."
        )
    number = _number(error, text)
    # libsndfile keeps to itself which error of the system it met.
    fault = _UNNAMED if _is_of_libsndfile(error) else FAULTS.get(number)
    if fault is None:
        return None
    reason, advice = fault
    path = path or _path(error, text)
    begin = f"{path}: {reason}" if path else reason.capitalize()
    # How much memory was asked for says more than the number alone.
    details = [text or reason] if number in (None, errno.ENOMEM) else [os.strerror(number)]
    details += getattr(error, "__notes__", [])
    return f"{begin} ({', '.join(details)}); {advice}, then run again: what is done is kept."


def _number(error, text):
    """Return the error number of the operating system behind an error; None where there is none."""
    if isinstance(error, MemoryError) or "DefaultCPUAllocator: can't allocate memory" in text:
        return errno.ENOMEM
    if isinstance(error, OSError) and error.errno:
        return error.errno
    # safetensors is written in Rust, whose errors end like this.
    rust = re.search(r"\(os error (\d+)\)", text)
    return int(rust[1]) if rust else None


def _is_of_libsndfile(error):
    return type(error).__name__ == "LibsndfileError" and error.code == LIBSNDFILE_SYSTEM_ERROR


def _path(error, text):
    """Return the file that an error names; None where it names none."""
    named = re.search(r"local file '(.+?)'|at path \"(.+?)\"|opening '(.+?)'", text)
    path = getattr(error, "filename", None) or (named and next(filter(None, named.groups())))
    # What is written stands under a temporary name (agf.files.replacing) until it is whole.
    return path and re.sub(r"(?:^|(?<=/))\.([^/]+)\.\d+$", r"\1", str(path))


def check_writable(folder):
    """Make sure that a folder takes files, and that its disk has room for a few.

    Parameters
    ----------
    folder : str or pathlib.Path
        The folder; made where it is missing.

    Raises
    ------
    UserError
        Where a megabyte cannot be written to it.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(SPACE))
    except OSError as error:
        sentence = describe_fault(error, folder)
        if sentence is None:
            raise
        raise UserError(sentence) from error


def mend_future_dates(folder):
    """Set the dates of files that lie in the future to now, so that their order stays.

    Snakemake goes by the order of dates, and drops what a job made where something the job read is
    dated after it: with a clock that was ahead for a while, that is everything until then.

    Parameters
    ----------
    folder : str or pathlib.Path
        The folder, with all folders below it, for instance ``results/{corpus}``.

    Returns
    -------
    str or None
        One sentence on what was done; None where no date is in the future.

    Raises
    ------
    UserError
        Where a date cannot be set.
    """
    now = time.time_ns()
    late = _late([folder], now)
    if not late:
        return None
    dates = sorted({date for date, _ in late})
    # A microsecond apart; equal ones stay equal.
    mended = {date: now - 1000 * (len(dates) - i) for i, date in enumerate(dates)}
    for date, name in late:
        try:
            os.utime(name, ns=(mended[date], mended[date]), follow_symlinks=False)
        except OSError as error:
            sentence = describe_fault(error, name)
            if sentence is None:
                raise
            raise UserError(sentence) from error
    return (
        f"The dates of {len(late)} files in {folder}, up to {_shown(dates[-1])}, were in the "
        "future and are now's, in their order: the clock was moved, or is wrong. Nothing else "
        "changed."
    )


def describe_future_dates(paths):
    """Return one sentence on files with dates in the future; None where there are none.

    Parameters
    ----------
    paths : iterable of str or pathlib.Path
        Files, and folders with all files below them; what is not there is passed over.

    Returns
    -------
    str or None
        The file of the latest date, and what to do.
    """
    late = _late(paths, time.time_ns())
    if not late:
        return None
    date, name = max(late)
    return (
        f"{name} has a date in the future, {_shown(date)}: until then Snakemake refuses what jobs "
        "make of it; set the clock of this machine or, with touch, the date of the file."
    )


def _late(paths, now):
    """Return date in nanoseconds and name of files from the future, if one is well beyond now."""
    late = [(date, name) for name in _files(paths) if (date := _date(name)) > now]
    return late if late and max(late)[0] > now + CLOCK_TOLERANCE * 10**9 else []


def _files(paths):
    for path in map(os.fspath, paths):
        if os.path.isdir(path):
            for folder, _, names in os.walk(path):
                yield from (os.path.join(folder, name) for name in names)
        else:
            yield path


def _date(name):
    try:
        return os.lstat(name).st_mtime_ns
    except OSError:
        return 0


def _shown(date):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(date / 10**9))
