"""The authors' split: read from their pickle, of which nothing is ever executed."""

import copyreg
import csv
import hashlib
import io
import pickle
import struct
import tracemalloc
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from agf.corpus.paper_split import MAX_BYTES, PAPER_SPLIT_CHECKSUM, read_paper_split
from agf.errors import UserError

FACTS = Path(__file__).parents[3] / "shared" / "facts"


def pickled(parts):
    """Protocol 0 as Python 2 writes a dict of lists of byte texts."""
    lines, memo = ["(dp1"], 1
    for name, tracks in parts:
        lines += [f"S'{name}'", f"p{memo + 1}", f"(lp{memo + 2}"]
        memo += 2
        for track in tracks:
            memo += 1
            lines += [f"S'{track}'", f"p{memo}", "a"]
        lines.append("s")
    return "\n".join([*lines, "."]).replace("a\n", "a").replace("s\n", "s").encode()


GOOD = [("train", ["000010", "000002", "155320"]), ("valid", ["000003", "000141"])]


@pytest.fixture
def read(tmp_path):
    def read_bytes(data):
        path = tmp_path / "fma_labels.split"
        path.write_bytes(data)
        return read_paper_split(path)

    return read_bytes


def test_both_parts_in_the_order_of_the_file(read):
    data = pickled(GOOD)
    assert pickle.loads(data) == dict(GOOD)
    split = read(data)
    assert list(split) == ["train", "evaluation"]
    assert split["train"].dtype == np.int64
    assert split["train"].tolist() == [10, 2, 155320]
    assert split["evaluation"].tolist() == [3, 141]


def test_a_dict_filled_at_once_is_the_same(read):
    split = read(b"(S'train'\n(S'000002'\nlS'valid'\n(S'000003'\nld.")
    assert split["train"].tolist() == [2] and split["evaluation"].tolist() == [3]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([GOOD[0]], "part 'valid' is missing"),
        ([*GOOD, ("test", ["000004"])], "part 'test' beside"),
        ([GOOD[0], GOOD[0], GOOD[1]], "part 'train' is there twice"),
        ([GOOD[0], ("valid", [])], "part 'valid' is missing or not a list"),
        ([GOOD[0], ("valid", ["000003", "000003"])], "track 3 stands in it twice"),
        ([GOOD[0], ("valid", ["000003", "000010"])], "track 10 stands in it twice"),
        ([GOOD[0], ("valid", ["3"])], "part 'valid' has '3' where a six-digit"),
        ([GOOD[0], ("valid", ["00000x"])], "'00000x' where a six-digit"),
        ([GOOD[0], ("valid", ["-00003"])], "'-00003' where a six-digit"),
    ],
)
def test_a_split_that_is_not_one_is_refused_in_one_sentence(read, parts, message):
    with pytest.raises(UserError, match=message) as error:
        read(pickled(parts))
    assert "fma_labels.split" in str(error.value)
    assert "download https://" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a whole pickle"),
        (b"<html>404: Not Found</html>", "not a whole pickle"),
        (pickled(GOOD)[:-1], "not a whole pickle"),
        (pickled(GOOD)[:40], "not a whole pickle"),
        (pickled(GOOD) + b"S'more'\n.", "9 bytes follow the end"),
        (b".", "not one dict"),
        (b"(l.", "not one dict"),
        (b"(dp1\n(.", "not one dict"),
        (b"d.", "no mark"),
        (b"S'train'\na.", "more from the stack"),
        (b"(dS'train'\n(lS'000002'\n(a.", "more from the stack"),
        (b"S'a'\nS'b'\na.", "appends to what is no list"),
        (b"(d(lS'x'\ns.", "key that is no text"),
        (b"(S'train'\nd.", "key of it has no value"),
        (b"(dS'train'\nS'000002'\ns.", "part 'train' is missing or not a list"),
        (b"(dS'train'\n(l(las.", "has a list where a six-digit"),
    ],
    ids=repr,
)
def test_damaged_pickles(read, data, message):
    with pytest.raises(UserError, match=message):
        read(data)


@pytest.mark.parametrize("protocol", range(6))
def test_a_harmless_dict_in_a_foreign_protocol_is_refused(read, protocol):
    with pytest.raises(UserError, match="pickle instruction"):
        read(pickle.dumps(dict(GOOD), protocol))


def hostile(command):
    """Pickles that run a shell command in a plain unpickler."""
    text = command.encode()
    return {
        "GLOBAL": b"cos\nsystem\n(S'%s'\ntR." % text,
        "INST": b"(S'%s'\nios\nsystem\n." % text,
        "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c%c%s\x85R." % (len(text), text),
        "inside": b"(dS'train'\n(lcos\nsystem\n(S'%s'\ntRas." % text,
        "OBJ": b"(cos\nsystem\nS'%s'\no." % text,
    }


@pytest.mark.parametrize("kind", hostile(""))
def test_no_command_is_run(read, tmp_path, kind):
    trace = tmp_path / "trace"
    data = hostile(f"touch {trace}")[kind]
    pickle.loads(data)
    assert trace.exists(), "this pickle is meant to be dangerous"
    trace.unlink()
    with pytest.raises(UserError, match="pickle instruction"):
        read(data)
    assert not trace.exists()


def test_a_registered_extension_is_not_looked_up(read):
    copyreg.add_extension("collections", "OrderedDict", 240)
    try:
        data = b"\x82\xf0)R."
        assert pickle.loads(data) == OrderedDict()  # from now on in pickle's own cache
        with pytest.raises(UserError, match="EXT1"):
            read(data)
    finally:
        copyreg.remove_extension("collections", "OrderedDict", 240)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"Pnumber 1\n.", "PERSID"),
        (b"S'number 1'\nQ.", "BINPERSID"),
        (b"(dS'train'\n(lI2\nas.", "instruction INT"),
        (b"(dg0\n.", "instruction GET"),
        (b"(dS'a'\nb.", "instruction BUILD"),
    ],
)
def test_other_instructions_are_refused_by_name(read, data, message):
    with pytest.raises(UserError, match=message):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x8b" + struct.pack("<i", 1 << 30) + b"\0.",  # LONG4
        b"X" + struct.pack("<I", 1 << 30) + b"a.",  # BINUNICODE
        b"\x8d" + struct.pack("<Q", 1 << 40) + b"a.",  # BINUNICODE8
        b"\x96" + struct.pack("<Q", 1 << 40) + b"a.",  # BYTEARRAY8
        b"\x95" + struct.pack("<Q", 1 << 40) + b".",  # FRAME
        b"(r" + struct.pack("<I", (1 << 32) - 1) + b".",  # LONG_BINPUT
        b"L" + b"9" * 1_000_000 + b"L\n.",
    ],
    ids=lambda data: repr(data[:6]),
)
def test_claims_of_gigabytes_take_no_memory(read, data):
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="is not the authors' split"):
            read(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6


def test_a_huge_memo_position_is_only_a_number(read):
    data = pickled(GOOD).replace(b"p1\n", b"p4000000000\n", 1)
    assert read(data)["train"].tolist() == [10, 2, 155320]


def test_lists_in_lists_in_lists(read):
    depth = 100_000
    with pytest.raises(UserError, match="has a list where a six-digit"):
        read(b"(dS'train'\n" + b"(l" * depth + b"a" * (depth - 1) + b"s.")
    with pytest.raises(UserError, match="not one dict"):
        read(b"(" * depth + b"l" * depth + b".")


def test_a_file_beyond_the_bound_is_not_read(read):
    with pytest.raises(UserError, match=f"{MAX_BYTES + 1} bytes, more than the {MAX_BYTES}"):
        read(b"(" * (MAX_BYTES + 1))


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.split cannot be read"):
        read_paper_split(tmp_path / "none.split")


def test_the_published_file_against_an_independent_listing():
    if not (FACTS / "fma_labels.split").is_file():
        pytest.skip("the authors' file is not beside this repository")
    data = (FACTS / "fma_labels.split").read_bytes()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == PAPER_SPLIT_CHECKSUM
    split = read_paper_split(FACTS / "fma_labels.split")
    rows = csv.DictReader(io.StringIO((FACTS / "fma_medium_splits.csv").read_text()))
    listed = {int(row["track_id"]): row["paper_split"] for row in rows}
    read = dict.fromkeys(split["train"].tolist(), "train")
    read |= dict.fromkeys(split["evaluation"].tolist(), "valid")
    assert read == listed
    assert (len(split["train"]), len(split["evaluation"]), len(read)) == (21250, 3750, 25000)
