"""Finding the audio files of a folder, without opening one.

This module is imported whenever the workflow is read, so it needs the standard library alone.
"""

import errno
import hashlib
import heapq
import os
from collections import Counter
from typing import NamedTuple

from agf.errors import UserError

AUDIO_SUFFIXES = (".mp3", ".ogg", ".opus", ".flac", ".wav", ".m4a")
"""Suffixes, in lower case, of the files taken for audio."""


DRIVE_ERRORS = {
    errno.ENOENT,
    errno.EIO,
    errno.ESTALE,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.ETIMEDOUT,
}
"""Errors that tell of the drive, not of the file; a parser may meet others in a broken file."""


class AudioFile(NamedTuple):
    """One audio file as the file system knows it."""

    path: str
    size: int
    mtime_ns: int


def find_audio(folder):
    """List every audio file below a folder.

    Parameters
    ----------
    folder : str or pathlib.Path
        The folder to search, with all folders in it. Symbolic links to files and folders are
        followed; a folder that several ways lead to is searched once, by its own path where that
        is below `folder`, else by the first link to it in order of paths.

    Returns
    -------
    files : list of AudioFile
        Regular files whose suffix, in whatever case, is in :data:`AUDIO_SUFFIXES`, sorted by path.
        ``path`` is relative to `folder` with ``/`` between its parts and has surrogates where a
        name is not valid UTF-8 (PEP 383); ``size`` is in bytes, ``mtime_ns`` in nanoseconds.
    others : collections.Counter
        How many entries were left out, by suffix in lower case (``""`` for none), or as
        ``"hidden"`` (files and folders whose name begins with a dot; what is in such a folder is
        not counted), ``"broken link"`` and ``"not a file"`` (a named pipe, for example).

    Raises
    ------
    UserError
        Where a folder anywhere in the tree, or a file's entry in it, cannot be read.
    """
    root = os.fspath(folder)
    files, others, visited = [], Counter(), set()
    # Links wait until all real folders are done: a new link then never changes the path of a file
    # that was found before. The heap makes their order that of their paths, not the disk's.
    folders, linked = [("", root)], []
    while folders or linked:
        prefix, place = folders.pop() if folders else heapq.heappop(linked)
        try:
            status = os.stat(place)
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(place) as entries:
                for entry in entries:
                    _sort_in(entry, prefix, files, others, folders, linked)
        except OSError as error:
            raise UserError(
                f"{printable(error.filename or place)} cannot be read: {error.strerror}; check the "
                "path and the permissions."
            ) from error
    files.sort()
    return files, others


def audio_fingerprint(folder):
    """Return a hash of the name, size and modification time of every audio file below `folder`.

    It says whether a scan could find anything new, be it that a file may now be read; no file is
    opened.

    Raises
    ------
    UserError
        Where a folder cannot be read.
    """
    digest = hashlib.sha256()
    for file in find_audio(folder)[0]:
        closed = "" if os.access(os.path.join(folder, file.path), os.R_OK) else "closed\0"
        line = f"{file.path}\0{file.size}\0{file.mtime_ns}\0{closed}"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def files_of_part(folder, part):
    """List the audio files of one part of a folder.

    Parameters
    ----------
    folder : str or pathlib.Path
        The music.
    part : str
        ``003-of-016``. A hash of a file's path below `folder` decides on its part, so that new
        files leave the parts of others as they are.

    Returns
    -------
    list of AudioFile
        Sorted by path.
    """
    number, _, n_parts = part.partition("-of-")
    return [
        file
        for file in find_audio(folder)[0]
        if int(_digest(file.path), 16) % int(n_parts) == int(number)
    ]


def fingerprint_of_part(folder, part):
    """Return a hash of the paths, sizes and times of a part's files; none is opened."""
    return _digest("\n".join(map(repr, files_of_part(folder, part))))


def lost_file(path, error):
    """Return the error to raise on a file that was there, and now cannot be read.

    A track must not be rejected for good because a drive went away under a run. A file that the
    user may not read is another matter: there the answer does not change by itself.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    error : OSError or str
        Why it cannot be read.

    Returns
    -------
    UserError
    """
    reason = error.strerror if isinstance(error, OSError) else error
    return UserError(
        f"{printable(path)} was there when its folder was listed and cannot be read now "
        f"({reason}): see that its drive is mounted, then run again; to go on without the file, "
        "remove it and run snakemake --forcerun scan_corpus."
    )


def printable(path):
    """Return `path` as text that every file takes: bytes that are no UTF-8 become ``\\xe9``.

    Parameters
    ----------
    path : str or pathlib.Path
        A path as the file system gave it, with surrogates for such bytes.
    """
    raw = os.fspath(path).encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace")


def suffix_of(path):
    """Return the suffix of a file's name in lower case, with its dot; empty where it has none."""
    return os.path.splitext(path)[1].lower()


def _sort_in(entry, prefix, files, others, folders, linked):
    """Put one entry of a folder where it belongs; only audio files and links cost a stat."""
    name = entry.name
    if name.startswith("."):
        others["hidden"] += 1
        return
    if entry.is_symlink() and not _leads_somewhere(entry):
        others["broken link"] += 1
    elif entry.is_dir():
        below = (f"{prefix}{name}/", entry.path)
        if entry.is_symlink():
            heapq.heappush(linked, below)
        else:
            folders.append(below)
    elif not entry.is_file():
        others["not a file"] += 1
    elif (suffix := suffix_of(name)) not in AUDIO_SUFFIXES:
        others[suffix] += 1
    else:
        status = entry.stat()
        files.append(AudioFile(prefix + name, status.st_size, status.st_mtime_ns))


def _leads_somewhere(link):
    try:
        link.stat()
    except OSError:
        return False
    return True


def _digest(text):
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
