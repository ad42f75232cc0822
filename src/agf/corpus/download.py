"""Downloading one large file, resumed where it broke off and held against its checksum."""

import hashlib
import json
import logging
import os
import re
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3

from agf.errors import UserError
from agf.files import write_json

logger = logging.getLogger(__name__)

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Seconds before each further try. After so many that brought no new byte it is over; one that
brings some starts the row anew."""

TIMEOUTS = (15.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes of an open one."""

LOG_SECONDS = 10.0

BLOCK_BYTES = 1 << 18

TRY_AGAIN = (408, 429, 500, 502, 503, 504)
"""Status codes of a server that may answer better in a while."""

CHECKSUM_DIGITS = {"sha1": 40, "sha256": 64}


class _Interrupted(Exception):
    """Why a try brought less than the whole file; another one may bring the rest."""


def download(url, path, checksum):
    """Download a file unless it is there, and check it.

    The bytes go to ``{path}.part``, which becomes `path` once the checksum agrees; what the server
    said about its file is kept in ``{path}.part.json``. A download that was interrupted, or killed,
    goes on from the last byte, unless the server cannot do that or its file is another one by now:
    then it starts anew, and the log says so. Memory does not grow with the file.

    Parameters
    ----------
    url : str
        Address of the file, http or https.
    path : str or pathlib.Path
        The file to write; its folder is made where it is missing.
    checksum : str
        ``sha1:`` or ``sha256:`` and the hexadecimal digest of the whole file.

    Raises
    ------
    UserError
        Where `path` exists with other content (it is never overwritten), the server refuses the
        file, nothing new arrives in ``len(WAITS)`` further tries in a row, the disk is too small,
        or what arrived has another checksum (it is deleted).
    """
    path = Path(path)
    algorithm, expected = _parsed(checksum)
    if urlsplit(url).scheme not in ("http", "https"):
        raise UserError(f"{url} cannot be downloaded: give an address with http:// or https://.")
    part, note = (path.with_name(path.name + ending) for ending in (".part", ".part.json"))
    try:
        if path.exists():
            seen = _digest(path, algorithm).hexdigest()
            if seen != expected:
                raise UserError(
                    f"{path} exists, and its {algorithm} is {seen}, where {expected} is expected: "
                    f"move it away to have {url} downloaded."
                )
            logger.info("%s is there already, with the right %s", path, algorithm)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        seen = _fetch(url, part, note, algorithm)
        if seen != expected:
            part.unlink()
            note.unlink(missing_ok=True)
            raise UserError(
                f"{url} has the {algorithm} {seen}, where {expected} is expected, and was deleted: "
                "download it again, and if that does not help, check the address and the checksum."
            )
        os.replace(part, path)
        note.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{error.filename or part} cannot be read or written: {error.strerror}."
        ) from error


def _parsed(checksum):
    algorithm, _, digest = checksum.partition(":")
    digits = CHECKSUM_DIGITS.get(algorithm)
    if digits is None or not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", digest):
        raise UserError(
            f"The checksum {checksum!r} is neither sha1: and 40 nor sha256: and 64 hexadecimal "
            "digits: correct it."
        )
    return algorithm, digest.lower()


def _digest(path, algorithm):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: _new_digest(algorithm))


def _new_digest(algorithm):
    return hashlib.new(algorithm, usedforsecurity=False)


def _fetch(url, part, note, algorithm):
    """Bring `part` to its full length, in as many tries as that takes; return its digest."""
    known = _known(url, part, note)
    with open(part, "ab") as file:
        if not known:
            file.truncate(0)
        digest, size = _digest(part, algorithm), os.path.getsize(part)
        furthest, waits = size, iter(WAITS)
        while True:
            try:
                with _answer(url, size, known) as response:
                    if size and not _goes_on(response, size, known):
                        logger.info(
                            "%s: the server does not go on after %d bytes, or has another file by "
                            "now: starting anew",
                            part.name,
                            size,
                        )
                        file.truncate(0)
                        digest, size, known = _new_digest(algorithm), 0, {}
                        if response.status_code != 200:
                            continue
                    if response.status_code == 416:
                        return digest.hexdigest()
                    total = _total(response, size)
                    if response.status_code == 200:
                        known = _description(url, response, total)
                        write_json(known, note)
                    _check_disk(url, part, total, size)
                    for block in _logged(_blocks(response), part.stem, size, total):
                        file.write(block)
                        digest.update(block)
                        size += len(block)
                if total is None or size == total:
                    return digest.hexdigest()
                raise _Interrupted(f"the server stops after {size} of {total} bytes")
            except _Interrupted as error:
                if size > furthest:
                    furthest, waits = size, iter(WAITS)
                wait = next(waits, None)
                if wait is None:
                    raise UserError(
                        f"{url} cannot be downloaded ({error}), and {len(WAITS)} further tries "
                        f"brought no new byte: try again later; what has arrived is kept in {part}."
                    ) from error
                logger.warning("%s: %s; trying again in %g s", part.stem, error, wait)
                # What has arrived is safe from a kill while nothing else happens.
                file.flush()
                time.sleep(wait)


def _known(url, part, note):
    """Return what the server said of the file that `part` is the beginning of, or {}."""
    if not part.exists():
        return {}
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        known = None
    if not isinstance(known, dict) or known.get("url") != url:
        logger.info("%s: nothing says that it began as %s: starting anew", part, url)
        return {}
    return known


def _answer(url, size, known):
    """Ask for what follows the first `size` bytes; return an answer that can be used."""
    # Compressed on the way, the length and the positions would be those of other bytes.
    headers = {"Accept-Encoding": "identity"}
    if size:
        headers["Range"] = f"bytes={size}-"
        etag = known.get("etag")
        # A weak ETag cannot vouch for bytes and is not allowed here (RFC 9110, 13.1.5).
        validator = etag if etag and not etag.startswith("W/") else known.get("last_modified")
        if validator:
            headers["If-Range"] = validator
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUTS)
    except requests.Timeout as error:
        raise _Interrupted("no answer in time") from error
    except requests.ConnectionError as error:
        raise _Interrupted(_brief(error)) from error
    except requests.RequestException as error:
        raise UserError(f"{url} cannot be downloaded: {_brief(error)}.") from error
    code = response.status_code
    if code in ((200, 206, 416) if size else (200,)):
        return response
    response.close()
    answered = f"the server answers {code} {response.reason or ''}".rstrip()
    if code in TRY_AGAIN:
        raise _Interrupted(answered)
    raise UserError(f"{url} cannot be downloaded, {answered}: check the address.")


def _goes_on(response, size, known):
    """Whether an answer continues the `size` bytes that are there, or says that they are all."""
    if response.status_code == 200:
        return False
    pattern = r"bytes \*/(\d+)" if response.status_code == 416 else rf"bytes {size}-\d+/(\d+|\*)"
    match = re.fullmatch(pattern, response.headers.get("Content-Range", ""))
    if match is None:
        return False
    if response.status_code == 416:
        return int(match[1]) == size
    # A server may pass over If-Range and send the middle of a file that is another one by now.
    same_length = match[1] == "*" or known.get("size") in (None, int(match[1]))
    return same_length and response.headers.get("ETag") in (None, known.get("etag"))


def _total(response, size):
    """Return the length of the whole file in bytes, or None where the server does not say."""
    # What a server sends of a range may be less than was asked for: its end is not the file's.
    of_range = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if of_range is not None:
        return int(of_range[1])
    length = response.headers.get("Content-Length", "")
    return size + int(length) if length.isdecimal() else None


def _description(url, response, total):
    return {
        "url": url,
        "etag": response.headers.get("ETag"),
        "last_modified": response.headers.get("Last-Modified"),
        "size": total,
    }


def _check_disk(url, part, total, size):
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - size > free:
        raise UserError(
            f"{url} takes {(total - size) / 1e9:.2f} GB more in {part.parent}, where "
            f"{free / 1e9:.2f} GB are free: make room or choose another folder."
        )


def _blocks(response):
    """Yield the body as it arrives, so that nothing that arrived is lost when it breaks off."""
    try:
        while block := response.raw.read1(BLOCK_BYTES, decode_content=False):
            yield block
    except urllib3.exceptions.HTTPError as error:
        raise _Interrupted(_brief(error)) from error


def _logged(blocks, what, size, total):
    """Yield from `blocks` and log how far the file is."""
    start = last = time.monotonic()
    begin = size
    of = "" if total is None else f" of {total / 1e6:.1f}"
    logger.info("%s: %.1f%s MB are there", what, size / 1e6, of)
    for block in blocks:
        yield block
        size += len(block)
        now = time.monotonic()
        if now - last >= LOG_SECONDS or size == total:
            last = now
            rate = (size - begin) / max(now - start, 1e-9)
            left = "" if total is None else f", {(total - size) / rate:.0f} s left"
            logger.info("%s: %.1f%s MB, %.1f MB/s%s", what, size / 1e6, of, rate / 1e6, left)


def _brief(error):
    """Return what went wrong, without the errors of requests and urllib3 that it is wrapped in."""
    if error.args and isinstance(error.args[0], Exception):
        return _brief(error.args[0])
    cause = getattr(error, "reason", None)
    if isinstance(cause, Exception):
        return _brief(cause)
    text = error.args[0] if error.args and isinstance(error.args[0], str) else error
    return " ".join(str(text).split()).rstrip(".")
