"""All spectrograms in one file."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agf.errors import UserError
from agf.files import write_parquet
from agf.networks.mels import pack_mels, read_mels

LENGTHS = {10: 60, 11: 45, 12: 100, 13: 43, 14: 80}


def write_shard(path, spectrograms):
    """Write a mel shard from {track_id: uint8 array (frames, bands)}, its maxima the track ids."""
    ids = list(spectrograms)
    table = {
        "track_id": np.array(ids, np.int64),
        "digest": [f"{track_id:064x}" for track_id in ids],
        "n_frames": np.array([len(spectrograms[i]) for i in ids], np.int32),
        "max_db": np.array(ids, np.float32),
        "mel": pa.array([spectrograms[i].tobytes() for i in ids], pa.large_binary()),
    }
    pq.write_table(pa.table(table), path, row_group_size=2)


@pytest.fixture
def corpus(tmp_path):
    """Five tracks of unequal length in two shards; 11 is not among the tracks kept."""
    rng = np.random.default_rng(0)
    levels = {i: rng.integers(0, 256, (n, 128), dtype=np.uint8) for i, n in LENGTHS.items()}
    shards = [tmp_path / "000-of-002.parquet", tmp_path / "001-of-002.parquet"]
    write_shard(shards[0], {i: levels[i] for i in (12, 10)})
    write_shard(shards[1], {i: levels[i] for i in (11, 13, 14)})
    tracks = tmp_path / "tracks.parquet"
    write_parquet({"track_id": np.array([10, 12, 13, 14])}, tracks)
    return shards, tracks, levels


def test_tracks_come_in_the_order_asked_for(corpus, tmp_path):
    shards, tracks, levels = corpus
    pack_mels(shards, tracks, tmp_path / "mels.safetensors")
    wanted = [13, 10, 12]
    mels = read_mels(tmp_path / "mels.safetensors", wanted, 43)
    assert len(mels.frames) == 60 + 100 + 43 + 80
    assert mels.lengths.tolist() == [43, 60, 100]
    assert mels.max_db.tolist() == wanted
    for i, track_id in enumerate(wanted):
        found = mels.frames[mels.offsets[i] : mels.offsets[i] + mels.lengths[i]].numpy()
        np.testing.assert_array_equal(found, levels[track_id])
        assert mels.digests[i].tobytes().hex() == f"{track_id:064x}"


def test_short_and_missing_tracks_are_refused(corpus, tmp_path):
    shards, tracks, _ = corpus
    packed = tmp_path / "mels.safetensors"
    pack_mels(shards, tracks, packed)
    with pytest.raises(UserError, match="Track 13 has 43 frames, but a crop takes 44"):
        read_mels(packed, [12, 13], 44)
    for absent in (9, 11, 99):
        with pytest.raises(UserError, match=f"lacks track {absent};"):
            read_mels(packed, [12, absent], 43)
    write_parquet({"track_id": np.array([10, 99])}, tracks)
    with pytest.raises(UserError, match="Track 99 is in none of the mel shards"):
        pack_mels(shards, tracks, packed)


def test_spectrograms_of_different_bands_are_refused(corpus, tmp_path):
    shards, tracks, levels = corpus
    write_shard(shards[1], {13: levels[13], 14: levels[14].reshape(80 * 2, 64)})
    with pytest.raises(UserError, match="track 14 has 64 bands, others have 128"):
        pack_mels(shards, tracks, tmp_path / "mels.safetensors")
    assert not list(tmp_path.glob("*mels*"))
