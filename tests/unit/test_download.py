"""Downloads from a server with every fault a server can have."""

import hashlib
import json
import logging
import shutil
import socket
import tracemalloc
from collections import namedtuple

import numpy as np
import pytest
from local_server import file, serving, silence, status

from agf.corpus import download as module
from agf.corpus.download import download
from agf.errors import UserError

CONTENT = np.random.default_rng(0).bytes(100_000)
OTHER = np.random.default_rng(1).bytes(100_000)
SHA1 = "sha1:" + hashlib.sha1(CONTENT).hexdigest()
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
FURTHER_TRIES = 3


@pytest.fixture(autouse=True)
def no_waiting_and_no_proxy(monkeypatch):
    monkeypatch.setattr(module, "WAITS", (0.0,) * FURTHER_TRIES)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "clips.zip"


def ranges(asked):
    return [request.get("Range") for request in asked]


def there(path):
    return sorted(file.name for file in path.parent.iterdir())


def killed_after(path, url, content, **description):
    """Leave behind what a download leaves that was killed after `content` had arrived."""
    path.parent.mkdir(exist_ok=True)
    path.with_name("clips.zip.part").write_bytes(content)
    known = {"url": url, "etag": '"one"', "last_modified": None, "size": 100_000}
    path.with_name("clips.zip.part.json").write_text(json.dumps(known | description))


@pytest.mark.parametrize("checksum", [SHA1, SHA256, SHA256.upper().replace("SHA256", "sha256")])
def test_the_file_arrives(path, checksum, caplog):
    caplog.set_level(logging.INFO)
    with serving(file(CONTENT)) as (url, asked):
        download(url, path, checksum)
    assert path.read_bytes() == CONTENT
    assert there(path) == ["clips.zip"]
    assert ranges(asked) == [None]
    assert asked[0]["Accept-Encoding"] == "identity"
    assert "clips.zip: 0.1 of 0.1 MB, " in caplog.messages[-1]
    assert caplog.messages[-1].endswith("MB/s, 0 s left")


@pytest.mark.parametrize("chunked", [False, True])
def test_an_empty_file(path, chunked):
    with serving(file(b"", chunked=chunked)) as (url, _):
        download(url, path, "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709")
    assert path.read_bytes() == b"" and there(path) == ["clips.zip"]


def test_a_file_that_is_there_is_not_fetched(path):
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    with serving(file(CONTENT)) as (url, asked):
        download(url, path, SHA1)
    assert asked == [] and path.read_bytes() == CONTENT


def test_another_file_in_its_place_is_never_overwritten(path):
    path.parent.mkdir()
    path.write_bytes(OTHER)
    with serving(file(CONTENT)) as (url, asked), pytest.raises(UserError) as error:
        download(url, path, SHA1)
    message = str(error.value)
    assert str(path) in message and "move it away" in message and url in message
    assert hashlib.sha1(OTHER).hexdigest() in message and SHA1[5:] in message
    assert asked == [] and path.read_bytes() == OTHER


def test_a_wrong_checksum_deletes_what_arrived(path):
    with serving(file(OTHER)) as (url, asked), pytest.raises(UserError) as error:
        download(url, path, SHA256)
    message = str(error.value)
    assert url in message and "again" in message and "\n" not in message
    assert hashlib.sha256(OTHER).hexdigest() in message and SHA256[7:] in message
    assert len(asked) == 1 and there(path) == []


@pytest.mark.parametrize("reset", [False, True])
def test_a_dropped_connection_is_resumed(path, reset):
    with serving(file(CONTENT, drop_after=30_000, reset=reset), file(CONTENT)) as (url, asked):
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT and there(path) == ["clips.zip"]
    assert len(asked) == 2
    if not reset:  # a reset may overtake bytes that were sent before it
        assert ranges(asked) == [None, "bytes=30000-"]
        assert asked[1]["If-Range"] == '"one"'


def test_a_connection_that_drops_every_time_gets_there_as_long_as_bytes_come(path):
    with serving(file(CONTENT, drop_after=10_000)) as (url, asked):
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT
    assert ranges(asked) == [None] + [f"bytes={n}-" for n in range(10_000, 100_000, 10_000)]
    assert len(asked) > FURTHER_TRIES


def test_tries_without_a_new_byte_are_counted_in_a_row(path, monkeypatch):
    slept = []
    monkeypatch.setattr(module, "WAITS", (1.0, 2.0, 4.0))
    monkeypatch.setattr(module.time, "sleep", slept.append)
    answers = [
        status(503),
        silence,
        file(CONTENT, drop_after=40_000),
        status(502),
        status(429),
        file(CONTENT, drop_after=5),
        file(CONTENT, drop_after=0),
        file(CONTENT),
    ]
    with serving(*answers) as (url, asked):
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT
    assert slept == [1, 2, 1, 2, 4, 1, 2]
    assert ranges(asked)[-1] == "bytes=40005-"


def test_giving_up_keeps_what_has_arrived(path):
    with serving(file(CONTENT, drop_after=40_000), status(503)) as (url, asked):
        with pytest.raises(UserError, match=r"3 further tries brought no .*\.part\.$") as e:
            download(url, path, SHA1)
        assert "503" in str(e.value) and url in str(e.value)
        assert ranges(asked) == [None] + ["bytes=40000-"] * FURTHER_TRIES
    assert there(path) == ["clips.zip.part", "clips.zip.part.json"]
    assert path.with_name("clips.zip.part").read_bytes() == CONTENT[:40_000]


def test_503_twice_and_then_the_file(path):
    with serving(status(503), status(503), file(CONTENT)) as (url, asked):
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT and ranges(asked) == [None, None, None]


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 416, 204, 501])
def test_a_refusal_is_one_sentence_at_once(path, code):
    with serving(status(code)) as (url, asked):
        with pytest.raises(UserError, match=f"the server answers {code} .*: check the address"):
            download(url, path, SHA1)
        assert len(asked) == 1


def test_nobody_listens(path):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/a.zip"
        with pytest.raises(UserError, match="3 further tries brought no new byte") as error:
            download(url, path, SHA1)
    message = str(error.value)
    assert message.count(url) == 1 and "Connection refused), and" in message
    assert "\n" not in message and "Max retries" not in message


def test_a_connection_that_falls_silent(path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUTS", (10.0, 0.5))
    with serving(file(CONTENT, drop_after=20_000, stall=True), file(CONTENT)) as (url, asked):
        download(url, path, SHA1)
        assert path.read_bytes() == CONTENT
        assert ranges(asked)[:2] == [None, "bytes=20000-"]


@pytest.mark.parametrize("drop_after", [30_000, None])
def test_a_server_without_ranges_sends_all_again(path, drop_after, caplog):
    caplog.set_level(logging.INFO)
    with serving(file(CONTENT, ranges=False)) as (url, asked):
        killed_after(path, url, CONTENT[:50_000])
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT
    assert ranges(asked) == ["bytes=50000-"]
    assert any("starting anew" in line for line in caplog.messages)


def test_a_server_without_ranges_that_always_drops_is_given_up(path):
    with serving(file(CONTENT, ranges=False, drop_after=30_000)) as (url, asked):
        with pytest.raises(UserError, match="3 further tries brought no new byte"):
            download(url, path, SHA1)
        assert len(asked) == 1 + FURTHER_TRIES


@pytest.mark.parametrize("if_range", [True, False])
@pytest.mark.parametrize("old", [OTHER, OTHER + b"longer"])
def test_a_file_that_changed_since_is_fetched_anew(path, old, if_range, caplog):
    caplog.set_level(logging.INFO)
    first = file(old, etag='"old"', drop_after=60_000)
    with serving(first, file(CONTENT, etag='"new"', if_range=if_range)) as (url, asked):
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT
    assert asked[1]["If-Range"] == '"old"'
    assert ranges(asked) == [None, "bytes=60000-"] + [None] * (not if_range)
    assert any("starting anew" in line for line in caplog.messages)


def test_a_change_is_seen_by_its_length_where_the_server_has_no_etag(path):
    first = file(OTHER + b"longer", etag=None, drop_after=60_000)
    with serving(first, file(CONTENT, etag=None)) as (url, asked):
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT
    assert ranges(asked) == [None, "bytes=60000-", None]
    assert "If-Range" not in asked[1]


def test_a_weak_etag_gives_way_to_the_date(path):
    date = "Sat, 01 Apr 2017 00:00:00 GMT"
    fields = {"etag": 'W/"one"', "modified": date}
    with serving(file(CONTENT, drop_after=10, **fields), file(CONTENT, **fields)) as (url, asked):
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT
    assert asked[1]["If-Range"] == date and asked[1]["Range"] == "bytes=10-"


def test_a_killed_download_goes_on(path):
    with serving(file(CONTENT)) as (url, asked):
        killed_after(path, url, CONTENT[:70_000])
        download(url, path, SHA256)
    assert path.read_bytes() == CONTENT and there(path) == ["clips.zip"]
    assert ranges(asked) == ["bytes=70000-"]


def test_a_server_that_sends_less_than_the_range(path):
    with serving(file(CONTENT, at_most=20_000)) as (url, asked):
        killed_after(path, url, CONTENT[:50_000])
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT
    assert ranges(asked) == ["bytes=50000-", "bytes=70000-", "bytes=90000-"]


def test_a_part_that_is_complete_needs_no_byte(path):
    with serving(file(CONTENT)) as (url, asked):
        killed_after(path, url, CONTENT)
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT and ranges(asked) == ["bytes=100000-"]


@pytest.mark.parametrize("size", [None, 100_007])
def test_a_part_longer_than_the_file_is_fetched_anew(path, size):
    with serving(file(CONTENT)) as (url, asked):
        killed_after(path, url, CONTENT + b"surplus", size=size)
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT and ranges(asked) == ["bytes=100007-", None]


def test_damage_in_a_part_is_found_by_the_checksum(path):
    with serving(file(CONTENT)) as (url, _):
        killed_after(path, url, OTHER[:70_000])
        with pytest.raises(UserError, match=f"{SHA1[5:]} is expected, and was deleted"):
            download(url, path, SHA1)
        assert there(path) == []
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("note", [None, "", "[]", "{", '{"url": "http://elsewhere/a.zip"}'])
def test_a_part_of_unknown_origin_is_not_trusted(path, note, caplog):
    caplog.set_level(logging.INFO)
    with serving(file(CONTENT)) as (url, asked):
        killed_after(path, url, OTHER[:70_000])
        if note is None:
            path.with_name("clips.zip.part.json").unlink()
        else:
            path.with_name("clips.zip.part.json").write_text(note)
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT and ranges(asked) == [None]
    assert any("starting anew" in line for line in caplog.messages)


def test_a_length_that_claims_too_much(path):
    with serving(file(CONTENT, claimed=150_000), file(CONTENT)) as (url, asked):
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT
    assert ranges(asked) == [None, "bytes=100000-"]


def test_a_length_that_claims_too_little(path):
    with serving(file(CONTENT, claimed=99_999)) as (url, _):
        with pytest.raises(UserError, match="is expected, and was deleted"):
            download(url, path, SHA1)
        assert there(path) == []


@pytest.mark.parametrize("drop_after", [None, 20_000])
def test_a_file_of_unknown_length(path, drop_after):
    first = file(CONTENT, chunked=True, drop_after=drop_after)
    with serving(first, file(CONTENT)) as (url, asked):
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT
    assert len(asked) == (1 if drop_after is None else 2)


def test_a_disk_that_is_too_small(path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    with serving(file(CONTENT)) as (url, _):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 0, 99_999))
        with pytest.raises(UserError, match=r"GB more in .*, where 0\.00 GB are free") as error:
            download(url, path, SHA1)
        assert str(path.parent) in str(error.value)
        assert path.with_name("clips.zip.part").stat().st_size == 0
        # Of a file that is half there, the other half needs room.
        killed_after(path, url, CONTENT[:50_000])
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 0, 50_000))
        download(url, path, SHA1)
    assert path.read_bytes() == CONTENT


def test_redirections_are_followed(path):
    with serving(file(CONTENT)) as (target, _):
        with serving(status(302, Location=target)) as (url, asked):
            download(url, path, SHA1)
        assert path.read_bytes() == CONTENT and len(asked) == 1


@pytest.mark.parametrize("location", ["/data/clips.zip", "file:///etc/passwd"])
def test_redirections_that_lead_nowhere(path, location):
    with serving(status(302, Location=location)) as (url, _):
        with pytest.raises(UserError, match=f"{url} cannot be downloaded: ") as error:
            download(url, path, SHA1)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("url", ["ftp://host/a.zip", "file:///etc/passwd", "a.zip", ""])
def test_other_protocols(path, url):
    with pytest.raises(UserError, match="http:// or https://"):
        download(url, path, SHA1)


@pytest.mark.parametrize("checksum", ["", "sha1", "sha1:123", "md5:" + "0" * 32, SHA1 + "0"])
def test_a_checksum_that_is_none(path, checksum):
    with serving(file(CONTENT)) as (url, asked):
        with pytest.raises(UserError, match=r"^The checksum .* correct it\.$"):
            download(url, path, checksum)
        assert asked == []


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "a file").write_text("")
    with serving(file(CONTENT)) as (url, _):
        with pytest.raises(UserError, match=r"a file.* cannot be read or written: "):
            download(url, tmp_path / "a file" / "clips.zip", SHA1)
        with pytest.raises(UserError, match="cannot be read or written: Is a directory"):
            download(url, tmp_path, SHA1)


def test_memory_does_not_grow_with_the_file(path):
    content = bytes(40_000_000)
    checksum = "sha1:" + hashlib.sha1(content).hexdigest()
    with serving(file(content, drop_after=20_000_000)) as (url, _):
        tracemalloc.start()
        try:
            download(url, path, checksum)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert path.stat().st_size == len(content)
    assert peak < 45_000_000  # the server, in this process, cuts two bodies of up to 40 MB
