"""The demo corpus: its planted model, FMA's layout and the sound itself."""

import hashlib
import json
from ast import literal_eval

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile

from agf.corpus import demo
from agf.corpus.synthesis import SAMPLE_RATE, VOICES, render_clip
from agf.errors import UserError

SETTINGS = {
    "tracks": 160,
    "artists": 32,
    "groups": 8,
    "genres": 4,
    "subgenres": 3,
    "min_seconds": 10,
    "max_seconds": 12,
    "label_noise": 0.15,
}
LARGE = {**SETTINGS, "tracks": 900, "artists": 120}
SMALL = {
    **SETTINGS,
    "tracks": 20,
    "artists": 9,
    "groups": 3,
    "genres": 2,
    "min_seconds": 2,
    "max_seconds": 2.5,
}
STYLE = {
    "duration": 8.0,
    "tempo": 120.0,
    "tonic": 0,
    "scale": "minor",
    "progression": "I-IV",
    "rhythm": "four on the floor",
    "comping": "sustained",
    "kit": "909",
    "chord_voice": "organ",
    "lead_voice": "flute",
    "bass_voice": "sub bass",
    "brightness": 0.0,
    "stereo_width": 0.5,
    "reverb": 0.1,
    "noise_floor": -80.0,
    "loudness": -32.0,
}

# The three header lines of FMA's fma_metadata/tracks.csv.
FMA_HEADER = (
    "," + "album," * 13 + "artist," * 17 + "set,set," + "track," * 19 + "track",
    ",comments,date_created,date_released,engineer,favorites,id,information,listens,producer,tags,"
    "title,tracks,type,active_year_begin,active_year_end,associated_labels,bio,comments,"
    "date_created,favorites,id,latitude,location,longitude,members,name,related_projects,tags,"
    "website,wikipedia_page,split,subset,bit_rate,comments,composer,date_created,date_recorded,"
    "duration,favorites,genre_top,genres,genres_all,information,interest,language_code,license,"
    "listens,lyricist,number,publisher,tags,title",
    "track_id" + "," * 52,
)


@pytest.fixture(scope="module")
def plan():
    return demo.plan_demo(SETTINGS, seed=1)


@pytest.fixture(scope="module")
def large():
    return demo.plan_demo(LARGE, seed=3)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    return demo.write_demo(SMALL, 5, out), out


def test_the_plan_is_a_function_of_settings_and_seed(plan):
    again, other = demo.plan_demo(SETTINGS, seed=1), demo.plan_demo(SETTINGS, seed=2)
    for name in ("genres", "groups", "artists", "albums", "tracks"):
        pd.testing.assert_frame_equal(getattr(plan, name), getattr(again, name))
    assert (
        not plan.tracks["tempo"]
        .reset_index(drop=True)
        .equals(other.tracks["tempo"].reset_index(drop=True))
    )


def test_counts_are_those_asked_for(plan):
    assert len(plan.tracks) == 160
    assert len(plan.artists) == 32
    assert plan.artists["group"].value_counts().to_dict() == dict.fromkeys(range(8), 4)
    assert plan.groups["genre_top"].value_counts().to_dict() == {
        "Hip-Hop": 2,
        "Rock": 2,
        "Electronic": 2,
        "Folk": 2,
    }
    assert (plan.genres["parent"] == 0).sum() == 4
    assert len(plan.genres) == 4 + 4 * 3
    assert plan.tracks["duration"].between(10, 12).all()


def test_every_artist_has_two_tracks_and_an_album(plan):
    per_artist = plan.tracks.groupby("artist_id")
    assert set(per_artist.groups) == set(plan.artists.index)
    assert per_artist.size().min() >= 2
    assert (per_artist["album_id"].nunique() >= 1).all()
    # An album has one artist, and its tracks are numbered from 1.
    assert (plan.tracks.groupby("album_id")["artist_id"].nunique() == 1).all()
    for numbers in plan.tracks.groupby("album_id")["number"]:
        assert list(numbers[1]) == list(range(1, len(numbers[1]) + 1))


def test_every_genre_has_several_artists(plan):
    annotated = plan.tracks["album_id"].map(plan.albums["genre_top"])
    assert plan.tracks.groupby(annotated)["artist_id"].nunique().min() >= 3


def test_artists_borrow_a_small_share_from_another_group(plan):
    assert (plan.artists["group"] != plan.artists["second_group"]).all()
    assert plan.artists["second_share"].between(0.05, 0.25).all()


def test_genre_is_the_groups_but_for_the_noise_on_albums(large):
    albums = large.albums
    group = albums["artist_id"].map(large.artists["group"])
    assert (albums["genre_true"] == group.map(large.groups["genre_top"])).all()
    wrong = albums["genre_true"] != albums["genre_top"]
    assert wrong.mean() == pytest.approx(0.15, abs=0.01)
    clean = demo.plan_demo({**SETTINGS, "label_noise": 0}, seed=1).albums
    assert (clean["genre_true"] == clean["genre_top"]).all()


def test_subgenres_tell_the_groups_of_a_genre_apart(large):
    right = large.albums[large.albums["genre_true"] == large.albums["genre_top"]]
    group = right["artist_id"].map(large.artists["group"])
    for title, groups in large.groups.groupby("genre_top"):
        assert groups["subgenre"].nunique() == len(groups), title
    commonest = right["genres"].groupby(group).agg(lambda lists: lists.explode().mode()[0])
    assert commonest.to_dict() == large.groups["subgenre"].to_dict()


def test_a_subgenre_lies_under_the_annotated_genre(large):
    title_of, top_of = large.genres["title"], large.genres["top_level"]
    for _, album in large.albums.iterrows():
        assert {title_of[top_of[genre]] for genre in album["genres"]} == {album["genre_top"]}
        assert set(album["genres_all"]) == {*album["genres"], top_of[album["genres"][0]]}


def test_the_official_split_is_by_artist_and_about_80_10_10(large):
    part = large.tracks["artist_id"].map(large.artists["split"])
    share = part.value_counts(normalize=True)
    assert share["training"] == pytest.approx(0.8, abs=0.04)
    assert share["validation"] == pytest.approx(0.1, abs=0.03)
    assert share["test"] == pytest.approx(0.1, abs=0.03)
    group = large.artists["group"].map(large.groups["genre_top"])
    assert (large.artists["split"].groupby(group).nunique() == 3).all()


def test_every_part_of_the_split_has_every_genre_in_the_smallest_corpus():
    least = {**SETTINGS, "tracks": 24, "artists": 12, "groups": 4}
    plan = demo.plan_demo(least, 0)
    genre = plan.artists["group"].map(plan.groups["genre_top"])
    assert (plan.artists["split"].groupby(genre).nunique() == 3).all()


def test_small_is_balanced_over_genres(plan):
    annotated = plan.tracks["album_id"].map(plan.albums["genre_top"])
    sizes = annotated[plan.tracks["subset"] == "small"].value_counts()
    assert sizes.nunique() == 1
    assert len(sizes) == 4
    assert set(plan.tracks["subset"]) == {"small", "medium"}


def test_tracks_csv_is_fmas(written):
    plan, out = written
    lines = (out / "fma_metadata" / "tracks.csv").read_text().splitlines()
    assert tuple(lines[:3]) == FMA_HEADER
    table = pd.read_csv(out / "fma_metadata" / "tracks.csv", header=[0, 1], index_col=0)
    assert table.shape == (20, 52)
    assert list(table.index) == list(plan.tracks.index)
    assert table["artist", "id"].tolist() == plan.tracks["artist_id"].tolist()
    genres = table["track", "genres"].map(literal_eval)
    assert genres.tolist() == plan.tracks["album_id"].map(plan.albums["genres"]).tolist()
    assert set(table["set", "split"]) == {"training", "validation", "test"}
    parts_of_an_artist = table.groupby(("artist", "id"))[[("set", "split")]].nunique()
    assert (parts_of_an_artist == 1).all(axis=None)
    filled = {column for column in table if table[column].notna().any()}
    assert filled == {
        *(("album", name) for name in ("id", "tags", "title", "tracks", "type")),
        *(("artist", name) for name in ("id", "name", "tags")),
        *(("set", name) for name in ("split", "subset")),
        *(("track", n) for n in ("duration", "genre_top", "genres", "genres_all", "license")),
        *(("track", name) for name in ("number", "tags", "title")),
    }
    assert table[sorted(filled)].notna().all(axis=None)


def test_genres_csv_counts_tracks_as_fma_does(written):
    _, out = written
    genres = pd.read_csv(out / "fma_metadata" / "genres.csv", index_col="genre_id")
    assert list(genres.columns) == ["#tracks", "parent", "title", "top_level"]
    tracks = pd.read_csv(out / "fma_metadata" / "tracks.csv", header=[0, 1], index_col=0)
    lists = tracks["track", "genres_all"].map(literal_eval)
    for genre_id, genre in genres.iterrows():
        assert genre["#tracks"] == sum(genre_id in one for one in lists)
        assert genre["top_level"] == (genre["parent"] or genre_id)


def test_planted_groups_name_every_artist_once(written):
    plan, out = written
    planted = pd.read_csv(out / "planted_groups.csv")
    assert planted["artist_id"].tolist() == plan.artists.index.tolist()
    assert planted["group"].tolist() == plan.artists["group"].tolist()
    assert {"rhythm", "scale", "kit", "tempo", "brightness", "reverb"} <= set(planted)


def test_audio_decodes_to_the_metadatas_duration_without_clipping(written):
    _, out = written
    table = pd.read_csv(out / "fma_metadata" / "tracks.csv", header=[0, 1], index_col=0)
    files = sorted((out / "audio").rglob("*.mp3"))
    assert [int(file.stem) for file in files] == list(table.index)
    assert len({file.parent for file in files}) > 1
    for file in files:
        assert file.parent.name == file.stem[:3]
        sound, rate = soundfile.read(file)
        assert (rate, sound.shape[1]) == (44_100, 2)
        assert len(sound) / rate == pytest.approx(
            table.loc[int(file.stem), ("track", "duration")], abs=0.1
        )
        assert 0.05 < np.abs(sound).max() <= 0.9


def test_demo_json_sums_up_the_files(written):
    _, out = written
    described = json.loads((out / "demo.json").read_text())
    assert described["settings"] == SMALL
    assert described["seed"] == 5
    files = [file for file in out.rglob("*") if file.is_file() and file.name != "demo.json"]
    names = sorted(file.relative_to(out).as_posix() for file in files)
    sums = [f"{hashlib.sha256((out / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    assert described["sha256"] == hashlib.sha256("".join(sums).encode()).hexdigest()


def test_a_clip_written_alone_has_the_same_bytes(written, tmp_path):
    plan, out = written
    track_id = plan.tracks.index[7]
    alone = demo.write_clip(demo.plan_demo(SMALL, 5), track_id, tmp_path)
    assert alone == tmp_path / "audio" / demo.audio_path(track_id)
    assert alone.read_bytes() == (out / "audio" / demo.audio_path(track_id)).read_bytes()


def test_audio_path_follows_fma():
    assert demo.audio_path(2) == "000/000002.mp3"
    assert demo.audio_path(155320) == "155/155320.mp3"


@pytest.mark.parametrize("voice", VOICES)
def test_a_voice_is_in_tune(voice):
    frequency, n = 233.08, SAMPLE_RATE
    sound = VOICES[voice](frequency, n, np.random.default_rng(0))
    assert sound.shape == (n,)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(n), 8 * n))
    hertz = np.fft.rfftfreq(8 * n, 1 / SAMPLE_RATE)
    near = (hertz > frequency / 1.1) & (hertz < frequency * 1.1)
    strongest = hertz[near][spectrum[near].argmax()]
    # A detuned pair beats by a few cents; a semitone is 100.
    assert abs(1200 * np.log2(strongest / frequency)) < 13


def test_the_beat_has_the_tempo():
    clip = render_clip({**STYLE, "tempo": 126.0}, 0, 1).mean(axis=1)
    onsets = librosa.onset.onset_strength(y=clip, sr=SAMPLE_RATE)
    tempo = librosa.feature.tempo(onset_envelope=onsets, sr=SAMPLE_RATE)[0]
    assert tempo == pytest.approx(126.0, rel=0.04)


def test_brightness_tilts_the_spectrum_by_its_decibels_per_octave():
    def octave_step(brightness):
        clip = render_clip({**STYLE, "brightness": brightness}, 0, 1)[:, 0]
        power = np.abs(np.fft.rfft(clip)) ** 2
        hertz = np.fft.rfftfreq(len(clip), 1 / SAMPLE_RATE)
        # Two narrow bands, an octave apart.
        low, high = (power[np.abs(hertz / c - 1) < 0.02].sum() for c in (2000.0, 4000.0))
        return 10 * np.log10(high / low)

    assert octave_step(2.0) - octave_step(0.0) == pytest.approx(2.0, abs=0.15)


def test_loudness_is_the_root_mean_square():
    clip = render_clip(STYLE, 0, 1)[SAMPLE_RATE : 7 * SAMPLE_RATE]
    assert 20 * np.log10(np.sqrt((clip**2).mean())) == pytest.approx(-32.0, abs=1.0)


def test_stereo_width_zero_is_mono():
    narrow, wide = (render_clip({**STYLE, "stereo_width": w}, 0, 1) for w in (0.0, 1.0))

    def side(clip):
        return np.sqrt(((clip[:, 0] - clip[:, 1]) ** 2).sum() / (clip.sum(axis=1) ** 2).sum())

    assert side(narrow) < 0.01
    assert side(wide) > 0.1


def test_a_clip_depends_on_seed_and_track():
    short = {**STYLE, "duration": 2.0}
    clip = render_clip(short, 0, 1)
    assert clip.shape == (2 * SAMPLE_RATE, 2)
    assert np.array_equal(clip, render_clip(short, 0, 1))
    assert not np.array_equal(clip, render_clip(short, 0, 2))
    assert not np.array_equal(clip, render_clip(short, 1, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tracks": "many"}, "demo.tracks is 'many': give a whole number"),
        ({"tracks": 160.5}, "demo.tracks is 160.5: give a whole number"),
        ({"genres": 9}, "demo.genres is 9: give at least 2 and at most 8"),
        ({"groups": 3}, "demo.groups is 3: give at least 4"),
        ({"artists": 15}, "demo.artists is 15: give at least 16 and at most 80"),
        ({"artists": 81}, "demo.artists is 81: .* at most 80"),
        ({"min_seconds": 13}, "demo.min_seconds is 13: .* at most 12"),
        ({"label_noise": 1.5}, "demo.label_noise is 1.5"),
        ({"colour": 1}, "demo.colour is unknown"),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        demo.plan_demo({**SETTINGS, **change}, 0)


def test_a_missing_setting_is_named():
    with pytest.raises(UserError, match=r"demo\.artists is None"):
        demo.plan_demo({k: v for k, v in SETTINGS.items() if k != "artists"}, 0)
