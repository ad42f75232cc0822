"""Whatever tracks.csv and genres.csv hold, the corpus is scanned or the file is named."""

import csv
import io
import shutil

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_fma import ROW, write_tracks

from agf.corpus.fma import audio_path
from agf.corpus.scan import scan_corpus
from agf.errors import UserError

SETTINGS = {
    "source": "fma",
    "subset": "large",
    "duplicates": "reject",
    "min_genre_tracks": 1,
    "shards": 2,
}
N_TRACKS = 6

CELLS = st.text() | st.integers().map(str) | st.floats().map(str)
CELLS |= st.sampled_from(
    ["", "nan", "-1", "0", "1e300", "[21]", "[", "[[21]]", "{}", "Rock", "a\0b"]
)
CELLS |= st.sampled_from(["999999999999999999999", "2", "../../etc/passwd", "\ud800", '"', "\r\n"])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six tracks by three artists in two genres, each with an audio file of its own."""
    folder = tmp_path_factory.mktemp("corpus")
    metadata = folder / "fma_metadata"
    metadata.mkdir()
    rows = [
        ROW
        | {
            "track_id": 2 + track,
            "artist_id": track // 2,
            "artist": f"Artist {track // 2}",
            "genre_top": ("Rock", "Hip-Hop")[track % 2],
        }
        for track in range(N_TRACKS)
    ]
    write_tracks(metadata / "tracks.csv", rows)
    (metadata / "genres.csv").write_text(
        "genre_id,#tracks,parent,title,top_level\n12,9,0,Rock,12\n21,9,0,Hip-Hop,21\n"
    )
    for track in range(N_TRACKS):
        path = folder / "audio" / audio_path(2 + track)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"clip %d" % track)
    return folder


def scan(corpus, folder, **files):
    """Scan with other metadata; return the number of tracks, or the refusal."""
    data = folder / "data"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(corpus, data)
    for name, content in files.items():
        (data / "fma_metadata" / f"{name}.csv").write_bytes(content)
    try:
        scan_corpus(SETTINGS, data, "audio", None, folder / "out", folder / "out" / "cache")
    except UserError as error:
        assert "\n" not in str(error).strip()
        return str(error)
    scanned = pq.read_table(folder / "out" / "scan.parquet").to_pylist()
    candidates = [
        row["track_id"]
        for path in (folder / "out" / "shards").glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    ]
    rejected = [row["track_id"] for row in scanned if row["reason"] is not None]
    # Nothing is lost: every track is a candidate or has a reason, and none is both.
    assert sorted(candidates + rejected) == sorted(row["track_id"] for row in scanned)
    return len(scanned)


def table(corpus, name):
    text = (corpus / "fma_metadata" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.reader(io.StringIO(text)))


def encoded(rows):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


property_test = settings(
    deadline=None,
    derandomize=True,
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_the_corpus_itself_is_scanned(corpus, tmp_path):
    assert scan(corpus, tmp_path / "run") == N_TRACKS


@pytest.mark.parametrize("name", ["tracks", "genres"])
@property_test
@given(data=st.data())
def test_other_cells_are_read_or_the_file_is_named(corpus, tmp_path, name, data):
    rows = table(corpus, name)
    for _ in range(data.draw(st.integers(1, 3))):
        row = data.draw(st.integers(0, len(rows) - 1))
        column = data.draw(st.integers(0, len(rows[row]) - 1))
        rows[row][column] = data.draw(CELLS)
    found = scan(corpus, tmp_path / "run", **{name: encoded(rows)})
    # Without an artist or genre left in it, a corpus is refused by the name of its audio folder.
    assert isinstance(found, int) or ".csv" in found or "audio" in found


@pytest.mark.parametrize("name", ["tracks", "genres"])
@property_test
@given(data=st.data())
def test_rows_and_columns_that_come_and_go(corpus, tmp_path, name, data):
    rows = table(corpus, name)
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()) and rows and rows[0]:
            column = data.draw(st.integers(0, len(rows[0]) - 1))
            rows = [row[:column] + row[column + 1 :] for row in rows]
        elif rows:
            row = data.draw(st.integers(0, len(rows) - 1))
            rows = rows[:row] + rows[row : row + 1] * data.draw(st.integers(0, 2)) + rows[row + 1 :]
    found = scan(corpus, tmp_path / "run", **{name: encoded(rows)})
    assert isinstance(found, int) or ".csv" in found or "audio" in found


@pytest.mark.parametrize("name", ["tracks", "genres"])
@property_test
@given(data=st.data())
def test_bytes_that_are_cut_off_or_changed(corpus, tmp_path, name, data):
    content = bytearray((corpus / "fma_metadata" / f"{name}.csv").read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)))
    found = scan(corpus, tmp_path / "run", **{name: bytes(content[:end])})
    assert isinstance(found, int) or ".csv" in found or "audio" in found
