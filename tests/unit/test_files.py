"""A half-written file is never taken for whole."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from agf.files import replacing, write_json, write_parquet


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed_and_a_living_ones_is_not(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path = tmp_path / "[a].json"
    left = tmp_path / f".[a].json.{ended.pid}"
    living = tmp_path / f".[a].json.{os.getppid()}"
    other = tmp_path / f".a.json.{ended.pid}"
    for name in (left, living, other):
        name.write_text("half")
    write_json({"x": 1}, path)
    assert sorted(tmp_path.iterdir()) == sorted([path, living, other])


def test_folders_are_made_and_files_replaced(tmp_path):
    path = tmp_path / "b" / "c.json"
    write_json({"x": 1}, path)
    write_json({"x": 2}, path)
    assert json.loads(path.read_text()) == {"x": 2}
    assert list(path.parent.iterdir()) == [path]


def test_json_refuses_what_json_has_not(tmp_path):
    with pytest.raises(ValueError):
        write_json({"x": float("nan")}, tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_parquet_of_a_frame_and_of_a_dict_are_the_same(tmp_path):
    write_parquet({"track_id": [3, 1]}, tmp_path / "a.parquet")
    write_parquet(pd.DataFrame({"track_id": [3, 1]}, index=[7, 8]), tmp_path / "b.parquet")
    for name in ("a", "b"):
        frame = pd.read_parquet(tmp_path / f"{name}.parquet")
        assert frame.track_id.tolist() == [3, 1]
