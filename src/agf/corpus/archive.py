"""The archives of FMA: where they are, and unpacking one, every member held against its sha1.

Source: the archives of Defferrard, Benzi, Vandergheynst and Bresson, "FMA: A Dataset for Music
Analysis", ISMIR 2017: zip files compressed by BZIP2, with a list of checksums inside.
"""

import bz2
import hashlib
import logging
import os
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from agf.errors import UserError
from agf.progress import progress

logger = logging.getLogger(__name__)

ARCHIVES_URL = "https://os.unil.cloud.switch.ch/fma/"

ARCHIVES = {
    "fma_metadata": "sha1:f0df49ffe5f2a6008d7dc83c6915b31835dfe733",
    "fma_small": "sha1:ade154f733639d52e35e32f5593efe5be76c6d70",
    "fma_medium": "sha1:c67b69ea232021025fca9231fc1c7c1a063ab50b",
    "fma_large": "sha1:497109f4dd721066b5ce5e5f250ec604dc78939e",
}
"""Checksums of the dataset's zip archives below :data:`ARCHIVES_URL`."""

CHECKSUMS = "checksums"
"""Name of the list of sha1 below an archive's prefix."""

MAX_CHECKSUM_BYTES = 64 << 20
"""Largest list that is held in memory; that of all of FMA has 6 MB."""

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)

ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Flag bits of a zip member: encrypted, strongly encrypted, its entry in the directory masked."""

NAMED = 20
"""Files that a warning names before it says "and so on"."""

BLOCK_BYTES = 1 << 18

LOCAL_HEADER = struct.Struct("<4s2xH18xHH")
"""Signature, flags, and the lengths of the name and of the extra field before a member's data."""


class _Damaged(Exception):
    """What is wrong with a member's data, as the end of a sentence."""


def unpack(archive, prefix, folder, only=None, threads=2):
    """Unpack a zip archive and check every file of it.

    Files that are there already with the right content are kept, so that an unpacking that was
    killed goes on where it stopped. Each file is written beside its place under a temporary name
    and moved there once its sha1 agrees. Entries for folders make nothing.

    Parameters
    ----------
    archive : str or pathlib.Path
        The zip file; members are stored, deflated or compressed by BZIP2.
    prefix : str
        The folder that holds all members inside the archive, ``fma_medium``.
    folder : str or pathlib.Path
        Where to unpack: ``fma_medium/000/000002.mp3`` becomes ``000/000002.mp3`` below it.
    only : collection of str, optional
        The members to unpack, by their names below `prefix`; all by default.
    threads : int
        Members unpacked at the same time.

    Returns
    -------
    dict of str to int
        Number of files ``unpacked`` and ``kept``.

    Raises
    ------
    UserError
        Before anything is written: where the file is no zip archive, a member's name could lead
        out of `folder` or stands for two files, a member is a link, a device, encrypted or packed
        by another method, `only` or ``checksums`` names a member that is not there, the disk is
        too small, or something that is no plain file is in the way. Later: where a member is
        damaged, does not have its sha1, or cannot be written.
    """
    archive, folder, prefix = Path(archive), Path(folder), prefix.rstrip("/")
    members = _members(archive, prefix)
    sha1 = _checksums(archive, prefix, members)
    wanted = members
    if only is not None:
        absent = sorted(set(only) - set(members))
        if absent:
            raise UserError(
                f"{archive} has no member {prefix}/{absent[0]}: check that it is the right archive."
            )
        wanted = {name: info for name, info in members.items() if name in set(only)}
    _warn_of_unlisted(archive, sorted(set(wanted) - set(sha1)), bool(sha1))
    _check_places(folder, wanted)
    _check_disk(archive, folder, wanted)
    unpack_one = partial(_unpack_member, archive, folder, sha1)
    with ThreadPoolExecutor(threads) as pool:
        done = list(progress(pool.map(unpack_one, wanted.items()), archive.name, len(wanted)))
    counts = {"unpacked": sum(done), "kept": len(done) - sum(done)}
    logger.info("%s: %d files unpacked, %d kept", archive.name, *counts.values())
    return counts


def _members(archive, prefix):
    """Return {name below the prefix: ZipInfo} of all files, once every entry has been checked."""
    try:
        with open(archive, "rb") as file:
            start = file.read(4)
        with zipfile.ZipFile(archive) as file:
            entries = file.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, EOFError) as error:
        what = "is cut short or damaged" if start == b"PK\3\4" else "is not a zip archive"
        raise UserError(f"{archive} {what}: delete it and download it again.") from error
    except OSError as error:
        raise UserError(f"{archive} cannot be read: {error.strerror or error}.") from error
    members, spellings, folders = {}, {}, set()
    for info in entries:
        reason = _refusal(info, prefix)
        name = info.filename.removeprefix(f"{prefix}/")
        # On the file systems of macOS and Windows two names that differ by case, or by the way an
        # accent is encoded, are one file: the second would silently replace the first.
        spelling = _spelling(name.rstrip("/"))
        if reason is None and spelling in spellings and not info.is_dir():
            other = spellings[spelling]
            twice = "twice" if other == name else f"beside {other!r}, the same but for its case"
            reason = f"is there {twice}"
        if reason is not None:
            raise UserError(
                f"{archive} is not unpacked, because its member {info.orig_filename!r} {reason}: "
                "download the archive again from a source you trust."
            )
        parents = _spelling(name).split("/")[:-1]
        folders.update("/".join(parents[:depth]) for depth in range(1, len(parents) + 1))
        if not info.is_dir():
            members[name] = info
            spellings[spelling] = name
    both = [name for spelling, name in spellings.items() if spelling in folders]
    if both:
        raise UserError(
            f"{archive} is not unpacked, because its member {prefix + '/' + both[0]!r} is both a "
            "file and a folder: download the archive again from a source you trust."
        )
    return members


def _refusal(info, prefix):
    """Return why an entry of the archive must not be unpacked, or None."""
    name = info.orig_filename
    parts = name.removesuffix("/").split("/")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if "\\" in name or ":" in name:
        return "has a backslash or a colon in its name"
    if not name.isprintable():
        return "has a name with a character that cannot be printed"
    if name != info.filename:  # later versions of zipfile read a second name from an extra field
        return f"has the name {info.filename!r} as well"
    if name.startswith("/"):
        return "has an absolute name"
    if any(part in ("", ".", "..") for part in parts):
        return "has an empty part, '.' or '..' in its name"
    if parts[0] != prefix or (len(parts) == 1 and not info.is_dir()):
        return f"is not below {prefix}/"
    if kind and kind != (stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        return "is a link, a device or another thing that is no plain file"
    if info.is_dir() and info.file_size:
        return "is a folder that has content"
    if info.flag_bits & ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in METHODS:
        return f"is packed by the method {info.compress_type}, which is none of {METHODS}"
    return None


def _spelling(name):
    return unicodedata.normalize("NFC", name).casefold()


def _checksums(archive, prefix, members):
    """Return {member: sha1}, with that of the list itself as it is in the archive."""
    if CHECKSUMS not in members:
        return {}
    info = members[CHECKSUMS]
    if info.file_size > MAX_CHECKSUM_BYTES:
        raise UserError(
            f"{archive}: its list {info.filename} claims {info.file_size} bytes, more than any "
            "list of FMA: download the archive again."
        )
    try:
        content = b"".join(_content(archive, info))
    except _Damaged as error:
        raise _damaged(archive, info, error) from error
    found = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        match = re.fullmatch(r"([0-9a-fA-F]{40})\s+\*?(.+)", line)
        if match is None and line.strip():
            raise UserError(
                f"{archive}: line {number} of {info.filename}, {line[:60]!r}, is not a sha1 and a "
                "name: download the archive again."
            )
        if match is None:
            continue
        below = match[2].removeprefix(f"{prefix}/")
        name = below if below in members else match[2]
        if name not in members:
            raise UserError(
                f"{archive} lacks {name}, which line {number} of its {info.filename} names: "
                "delete the archive and download it again."
            )
        if found.setdefault(name, match[1].lower()) != match[1].lower():
            raise UserError(
                f"{archive}: {info.filename} has two different checksums of {name}: download the "
                "archive again."
            )
    # A list cannot hold its own sha1; one that names itself was begun before it was filled.
    return found | {CHECKSUMS: _sha1(content).hexdigest()}


def _warn_of_unlisted(archive, names, has_list):
    if not has_list:
        logger.warning(
            "%s has no list %s: its files are checked by their CRC only", archive, CHECKSUMS
        )
    elif names:
        logger.warning(
            "%s: %d files have no line in %s and are checked by their CRC only: %s%s",
            archive,
            len(names),
            CHECKSUMS,
            ", ".join(names[:NAMED]),
            "" if len(names) <= NAMED else " and so on",
        )


def _check_places(folder, names):
    """Refuse whatever lies below `folder` where a file or its folders are to be written."""
    # The folder itself may be a link, to a larger disk say; what is below it belongs to us alone.
    below = {Path(name) for name in names}
    parents = {parent for path in below for parent in path.parents if parent != Path(".")}
    for path in sorted(parents | below):
        try:
            mode = os.lstat(folder / path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UserError(f"{folder / path} cannot be read: {error.strerror}.") from error
        plain = stat.S_ISDIR(mode) if path in parents else stat.S_ISREG(mode)
        if not plain:
            kind = "folder" if path in parents else "plain file"
            raise UserError(
                f"{folder / path} is in the way, because it is a link or not a {kind}: move it "
                "away and unpack again."
            )


def _check_disk(archive, folder, wanted):
    """Refuse where the files that are not there yet need more bytes than the disk has."""
    needed = sum(
        info.file_size for name, info in wanted.items() if _size(folder / name) != info.file_size
    )
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise UserError(
            f"Unpacking {archive} takes {needed / 1e9:.2f} GB more in {folder}, where "
            f"{free / 1e9:.2f} GB are free: make room or unpack elsewhere."
        )


def _size(path):
    try:
        return path.stat().st_size
    except OSError:
        return None


def _unpack_member(archive, folder, sha1, member):
    """Write one file unless it is there; return whether it was written."""
    name, info = member
    path = folder / name
    try:
        if _is_there(path, info, sha1.get(name)):
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        # One name for all attempts, so that the next one removes what a killed one left; opened
        # anew ("x"), so that no link of this name is ever written through.
        temporary = path.with_name(f".{path.name}.unpacking")
        temporary.unlink(missing_ok=True)
        try:
            digest = _sha1()
            with open(temporary, "xb") as file:
                for block in _content(archive, info):
                    file.write(block)
                    digest.update(block)
            if digest.hexdigest() != sha1.get(name, digest.hexdigest()):
                raise _Damaged(
                    f"its sha1 is {digest.hexdigest()}, where {CHECKSUMS} says {sha1[name]}"
                )
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except _Damaged as error:
        raise _damaged(archive, info, error) from error
    except OSError as error:
        raise UserError(
            f"{info.filename} of {archive} cannot be unpacked to {path}: {error.strerror}."
        ) from error
    return True


def _damaged(archive, info, error):
    return UserError(
        f"{archive}: its member {info.filename} is damaged, {error}: delete the archive and "
        "download it again."
    )


def _is_there(path, info, sha1):
    """Whether a file has a member's content: by sha1, or by CRC where the archive has no sha1."""
    if _size(path) != info.file_size:
        return False
    with open(path, "rb") as file:
        if sha1 is not None:
            return hashlib.file_digest(file, _sha1).hexdigest() == sha1
        crc = 0
        while block := file.read(BLOCK_BYTES):
            crc = zlib.crc32(block, crc)
        return crc == info.CRC


def _sha1(content=b""):
    return hashlib.sha1(content, usedforsecurity=False)


def _content(archive, info):
    """Yield a member's content in blocks; raise at the end where size or CRC do not agree."""
    size = crc = 0
    with open(archive, "rb") as file:
        _seek_data(file, info)
        for block in _decompressed(file, info):
            size += len(block)
            crc = zlib.crc32(block, crc)
            if size > info.file_size:
                raise _Damaged(f"it unpacks to more than the {info.file_size} bytes it declares")
            yield block
    if size < info.file_size:
        raise _Damaged(f"it unpacks to {size} of the {info.file_size} bytes it declares")
    if crc != info.CRC:
        raise _Damaged(f"its CRC is {crc:08x}, where the archive says {info.CRC:08x}")


def _seek_data(file, info):
    """Go to the first byte of a member's data, past its local header."""
    file.seek(info.header_offset)
    header = file.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size:
        raise _Damaged("the archive ends before it")
    signature, flags, name_length, extra_length = LOCAL_HEADER.unpack(header)
    name = file.read(name_length).decode("utf-8" if flags & 0x800 else "cp437", "replace")
    if signature != b"PK\3\4" or name != info.orig_filename:
        raise _Damaged("its place in the archive holds something else")
    file.seek(extra_length, os.SEEK_CUR)


def _decompressed(file, info):
    # zipfile's own reader cuts off in silence what goes beyond the declared size, and hands a
    # bzip2 block to the decompressor without a bound: a few bytes can become gigabytes of memory.
    unread = info.compress_size

    def read():
        nonlocal unread
        block = file.read(min(unread, BLOCK_BYTES))
        unread -= len(block)
        return block

    if info.compress_type == zipfile.ZIP_STORED:
        while block := read():
            yield block
        return
    try:
        if info.compress_type == zipfile.ZIP_BZIP2:
            decompressor = bz2.BZ2Decompressor()
            while not decompressor.eof:
                packed = read() if decompressor.needs_input else b""
                if decompressor.needs_input and not packed:
                    raise _Damaged("its compressed data end too early")
                yield decompressor.decompress(packed, BLOCK_BYTES)
        else:
            decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
            while not decompressor.eof:
                packed = decompressor.unconsumed_tail or read()
                block = decompressor.decompress(packed, BLOCK_BYTES)
                # Without input there may still be output that did not fit the last block.
                if not packed and not block and not decompressor.eof:
                    raise _Damaged("its compressed data end too early")
                yield block
    except (zlib.error, OSError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _Damaged("its compressed data cannot be read") from error
