import os
import re
import shutil
import struct
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birdcore.audio import decode
from birdcore.audio.decode import AUDIO_SUFFIXES, load_audio, open_audio, probe_audio
from birdcore.errors import AudioError, ConfigError

property_test = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def wav(tmp_path):
    """A function that writes samples as a WAV file and gives its path."""

    def write(samples, sample_rate=8000, *, subtype="FLOAT", name="owl.wav"):
        path = tmp_path / name
        soundfile.write(path, np.asarray(samples), sample_rate, format="WAV", subtype=subtype)
        return path

    return write


@pytest.fixture(scope="module")
def songs(tmp_path_factory, make_song, write_with_ffmpeg):
    """Six seconds of song in each container: name → (path, the samples that were written, their rate)."""
    folder = tmp_path_factory.mktemp("songs")
    written = {}
    for name, container, subtype, sample_rate in [
        ("song.wav", "WAV", "PCM_16", 44_100),
        ("song.rf64", "RF64", "PCM_16", 44_100),
        ("song.w64", "W64", "PCM_24", 44_100),
        ("song.aiff", "AIFF", "PCM_16", 44_100),
        ("song.flac", "FLAC", "PCM_16", 44_100),
        ("song.ogg", "OGG", "VORBIS", 44_100),
        ("song.opus", "OGG", "OPUS", 48_000),
        ("song.mp3", "MP3", "MPEG_LAYER_III", 44_100),
    ]:
        samples = make_song(6, sample_rate)
        soundfile.write(folder / name, samples, sample_rate, format=container, subtype=subtype)
        written[name] = (folder / name, samples, sample_rate)
    for name, codec, container, sample_rate, options in [
        ("aac.m4a", "aac", "ipod", 44_100, {"movflags": "faststart"}),
        ("alac.m4a", "alac", "ipod", 44_100, {}),
        ("song.mp4", "aac", "mp4", 48_000, {}),
        ("song.aac", "aac", "adts", 44_100, {}),
        ("song.wma", "wmav2", "asf", 44_100, {}),
        ("song.webm", "libopus", "webm", 48_000, {}),
        ("live.webm", "libopus", "webm", 48_000, {"live": "1"}),
        ("song.mka", "flac", "matroska", 44_100, {}),
    ]:
        samples = make_song(6, sample_rate)
        path = write_with_ffmpeg(folder / name, samples, sample_rate, codec=codec, container=container, options=options)
        written[name] = (path, samples, sample_rate)
    return written


SONGS = [
    *("song.wav", "song.rf64", "song.w64", "song.aiff", "song.flac", "song.ogg", "song.opus", "song.mp3"),
    *("aac.m4a", "alac.m4a", "song.mp4", "song.aac", "song.wma", "song.webm", "live.webm", "song.mka"),
]
# These state no delay of their encoder (1024 samples), or have it only to the millisecond.
MISPLACED = {"song.aac": 1024, "song.wma": -2048}


# Formats


@pytest.mark.parametrize("name", SONGS)
def test_every_format_gives_back_the_song(name, songs):
    path, samples, sample_rate = songs[name]
    info = probe_audio(path)
    assert (info.path, info.sample_rate, info.channels) == (path, sample_rate, 1)
    assert info.duration == pytest.approx(6, abs=0.1)
    sound = load_audio(path, sample_rate=sample_rate)
    assert sound.samples.dtype == np.float32
    assert sound.sample_rate == sample_rate
    assert sound.fault is None
    assert len(sound.samples) / sample_rate == pytest.approx(6, abs=0.1)
    shift = MISPLACED.get(name, 0)
    read, expected = sound.samples[max(0, shift) :], samples[max(0, -shift) :]
    length = min(len(read), len(expected))
    assert np.abs(read[:length] - expected[:length]).max() < 0.05


def test_every_format_is_among_the_endings_that_folders_are_searched_for(songs):
    assert set(SONGS) == set(songs)
    assert {path.suffix for path, _, _ in songs.values()} <= AUDIO_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in AUDIO_SUFFIXES)


@pytest.mark.parametrize("name", SONGS)
@pytest.mark.parametrize("sample_rate", [32_000, 44_100])
def test_a_part_equals_the_same_part_of_the_whole(name, sample_rate, songs):
    path, _, _ = songs[name]
    whole = load_audio(path, sample_rate=sample_rate).samples
    for onset, duration in [(0.0, 1.0), (0.731, 0.5), (2.718, 1.5), (4.9, 0.3)]:
        part = load_audio(path, sample_rate=sample_rate, onset=onset, duration=duration).samples
        assert len(part) == round(duration * sample_rate)
        start = round(onset * sample_rate)
        # WebM and WMA keep times in milliseconds.
        slack = sample_rate // 1000 + 1 if name in ("song.webm", "live.webm", "song.wma") else 0
        errors = [
            np.abs(part - whole[start + shift : start + shift + len(part)]).max()
            for shift in range(-min(slack, start), slack + 1)
        ]
        assert min(errors) < (0.1 if slack else 1e-4)  # half a sample off, at 2 kHz


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_sample_format_has_the_same_scale(subtype, wav, make_song):
    song = make_song(0.5, 8000)
    sound = load_audio(wav(song, subtype=subtype), sample_rate=8000)
    assert np.abs(sound.samples - song).max() < (0.01 if subtype == "PCM_U8" else 1e-4)
    assert probe_audio(wav(song, subtype=subtype)).format == f"wav/{subtype.lower()}"


@pytest.mark.parametrize("source_rate", [8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000, 250_000, 384_000])
def test_every_sample_rate_is_brought_to_the_one_asked_for(source_rate, wav):
    time = np.arange(source_rate) / source_rate
    path = wav(0.5 * np.sin(2 * np.pi * 1000 * time), source_rate)
    samples = load_audio(path, sample_rate=32_000).samples
    assert len(samples) == 32_000
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(32_000) / 32_000)
    assert np.abs(samples - expected)[1000:-1000].max() < 1e-3


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 16])
def test_channels_are_mixed_by_their_mean(channels, wav):
    samples = np.random.default_rng(0).uniform(-1, 1, (4000, channels)).astype(np.float32)
    path = wav(samples)
    assert probe_audio(path).channels == channels
    assert np.allclose(load_audio(path, sample_rate=8000).samples, samples.mean(axis=1), atol=1e-6)


def test_the_content_and_not_the_ending_decides(songs, tmp_path):
    for name in SONGS:
        for ending in (".wav", ".raw", ".txt", ""):
            path = tmp_path / f"renamed{ending}"
            shutil.copy(songs[name][0], path)
            assert len(load_audio(path, sample_rate=8000, duration=0.5).samples) == 4000


def test_names_of_all_scripts_are_opened(wav, make_song):
    assert load_audio(wav(make_song(0.2, 8000), name="Ж 鳥 é 'x' %d: #1.wav"), sample_rate=8000).fault is None


def test_a_codec_in_wav_that_only_one_decoder_knows_is_read(tmp_path, make_song, write_with_ffmpeg):
    song = make_song(2, 44_100)
    path = write_with_ffmpeg(tmp_path / "mp3.wav", song, 44_100, codec="libmp3lame", container="wav")
    sound = load_audio(path, sample_rate=44_100)
    assert len(sound.samples) == pytest.approx(2 * 44_100, abs=5000)
    assert np.abs(sound.samples).max() == pytest.approx(0.4, abs=0.05)


def test_an_mp3_of_variable_bitrate_without_a_tag_is_read_to_its_end(tmp_path):
    path = tmp_path / "untagged.mp3"
    samples = np.random.default_rng(0).normal(0, 0.05, 44_100 * 20)
    samples[: 44_100 * 10] *= np.linspace(0, 1, 44_100 * 10) ** 4
    soundfile.write(path, samples, 44_100, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5)
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"\xff\xfb", 100) :])
    assert probe_audio(path).duration == pytest.approx(20, abs=0.1)
    sound = load_audio(path, sample_rate=44_100)
    assert len(sound.samples) / 44_100 == pytest.approx(20, abs=0.1)
    assert sound.fault is None
    part = load_audio(path, sample_rate=44_100, onset=17.3, duration=1.0).samples
    start = round(17.3 * 44_100)
    assert np.abs(part - sound.samples[start : start + 44_100]).max() < 1e-4


# Streaming


@property_test
@given(
    source_rate=st.sampled_from([8000, 11_025, 22_050, 32_000, 44_100, 44_101, 48_000, 96_000]),
    sample_rate=st.sampled_from([8000, 16_000, 22_050, 32_000, 48_000]),
    num_samples=st.integers(1000, 60_000),
    block_seconds=st.floats(0.001, 2.0),
)
def test_blocks_join_to_the_whole_file_resampled_at_once(source_rate, sample_rate, num_samples, block_seconds, wav):
    samples = np.random.default_rng(num_samples).uniform(-0.5, 0.5, num_samples).astype(np.float32)
    path = wav(samples, source_rate)
    blocks = list(open_audio(path, sample_rate=sample_rate, block_seconds=block_seconds))
    expected = soxr.resample(samples, source_rate, sample_rate)
    streamed = np.concatenate(blocks)
    assert len(streamed) == len(expected)
    assert np.abs(streamed - np.clip(expected, -1, 1)).max() < 1e-4
    length = max(1, round(block_seconds * sample_rate))
    assert {len(block) for block in blocks[:-1]} <= {length}
    assert 0 < len(blocks[-1]) <= length


@property_test
@given(
    source_rate=st.sampled_from([8000, 22_050, 44_100, 44_101, 48_000]),
    sample_rate=st.sampled_from([8000, 16_000, 32_000, 48_000]),
    onset=st.floats(0, 1.9),
    duration=st.floats(0.001, 3),
)
def test_any_part_equals_the_same_part_of_the_whole(source_rate, sample_rate, onset, duration, wav):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * source_rate).astype(np.float32)
    path = wav(samples, source_rate)
    whole = load_audio(path, sample_rate=sample_rate).samples
    part = load_audio(path, sample_rate=sample_rate, onset=onset, duration=duration).samples
    start = round(onset * sample_rate)
    assert np.abs(part - whole[start : start + max(1, round(duration * sample_rate))]).max() < 1e-4
    assert len(part) == min(max(1, round(duration * sample_rate)), len(whole) - start)


def test_a_long_file_is_never_held_in_memory(wav):
    path = wav(np.tile(np.sin(np.arange(8000) * 0.3).astype(np.float32) * 0.5, 300), subtype="PCM_16")
    tracemalloc.start()
    try:
        with open_audio(path, sample_rate=16_000, block_seconds=5) as stream:
            num_samples = sum(len(block) for block in stream)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert num_samples == 300 * 16_000
    assert peak < 3_000_000  # all of it would be 19 MB


def test_leaving_a_stream_closes_the_file(wav, make_song):
    with open_audio(wav(make_song(2, 8000)), sample_rate=8000, block_seconds=0.5) as stream:
        assert len(next(stream)) == 4000
    assert list(stream) == []


# Damaged files


@pytest.mark.parametrize("name", ["song.wav", "song.rf64", "song.w64", "song.aiff", "song.flac", "song.mp3"])
def test_a_file_cut_in_half_is_read_up_to_there_and_says_what_is_missing(name, songs, tmp_path):
    path, _, sample_rate = songs[name]
    whole = load_audio(path, sample_rate=sample_rate).samples
    cut = tmp_path / name
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    sound = load_audio(cut, sample_rate=sample_rate)
    reached = len(sound.samples) / sample_rate
    assert 1.5 < reached < 4.5
    assert sound.fault == (
        f"{name}: is damaged or was cut off, and could be read only up to {reached:.1f} s of the announced 6.0 s; "
        "if there should be more, copy or upload it again"
    )
    sound_part = sound.samples[: round((reached - 0.1) * sample_rate)]
    assert np.abs(sound_part - whole[: len(sound_part)]).max() < 1e-3


@pytest.mark.parametrize("name", ["song.ogg", "song.opus", "song.aac", "aac.m4a", "song.webm"])
def test_a_cut_file_of_the_other_kinds_says_so_too(name, songs, tmp_path):
    path, _, sample_rate = songs[name]
    cut = tmp_path / name
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    sound = load_audio(cut, sample_rate=sample_rate)
    assert 1 < len(sound.samples) / sample_rate < 5
    assert f"{name}: is damaged or was cut off, and could be read only up to" in sound.fault


@pytest.mark.parametrize("name", ["song.ogg", "song.opus"])
def test_what_follows_a_hole_in_an_ogg_file_keeps_its_times_and_the_hole_is_told(name, tmp_path):
    sample_rate = 48_000
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, sample_rate * 8).astype(np.float32)
    path = tmp_path / f"whole_{name}"
    soundfile.write(path, noise, sample_rate, format="OGG", subtype="OPUS" if name.endswith("opus") else "VORBIS")
    whole = load_audio(path, sample_rate=32_000).samples
    content = path.read_bytes()
    damaged = tmp_path / name
    middle = len(content) // 2
    damaged.write_bytes(content[:middle] + bytes(len(content) // 8) + content[middle + len(content) // 8 :])
    sound = load_audio(damaged, sample_rate=32_000)
    assert len(sound.samples) == pytest.approx(len(whole), abs=32)
    assert probe_audio(damaged).duration == pytest.approx(8, abs=0.01)
    told = re.fullmatch(
        rf"{re.escape(name)}: is damaged, and lacks (\d\.\d) s from (\d\.\d) s on, taken as silence; "
        "if there should be more, copy or upload it again",
        sound.fault,
    )
    lacking, onset = float(told[1]), float(told[2])
    assert 0.8 < lacking < 3.5
    assert 2.5 < onset < 4.2
    silent = sound.samples[round((onset + 0.1) * 32_000) : round((onset + lacking - 0.2) * 32_000)]
    assert not silent.any()
    for begin, end in [(0.0, onset - 0.1), (onset + lacking + 0.2, 7.9)]:
        error = sound.samples[round(begin * 32_000) : round(end * 32_000)]
        error = error - whole[round(begin * 32_000) : round(end * 32_000)]
        assert np.abs(error).mean() < 0.01
    for begin in (0.5, onset + 0.3, onset + lacking - 0.1, 7.0):
        part = load_audio(damaged, sample_rate=32_000, onset=begin, duration=0.5)
        start = round(begin * 32_000)
        assert np.abs(part.samples - sound.samples[start : start + 16_000]).max() < 1e-3
        assert (part.fault is None) == (begin in (0.5, 7.0))


@pytest.mark.parametrize("name", ["song.ogg", "song.opus"])
def test_all_recordings_of_a_chained_ogg_file_are_read(name, songs, tmp_path):
    path, _, sample_rate = songs[name]
    once = load_audio(path, sample_rate=sample_rate).samples
    chain = tmp_path / name
    chain.write_bytes(path.read_bytes() * 3)
    sound = load_audio(chain, sample_rate=sample_rate)
    assert sound.fault is None
    assert len(sound.samples) / sample_rate == pytest.approx(18, abs=0.15)
    assert probe_audio(chain).duration == pytest.approx(18, abs=0.1)
    shifts = range(-sample_rate // 50, sample_rate // 20)
    half = len(once) // 2
    errors = [np.abs(sound.samples[6 * sample_rate + s :][:half] - once[:half]).mean() for s in shifts]
    assert min(errors) < 1e-3
    part = load_audio(chain, sample_rate=sample_rate, onset=13.0, duration=1.0).samples
    assert np.abs(part - sound.samples[13 * sample_rate : 14 * sample_rate]).max() < 1e-4


def test_a_part_before_the_fault_is_without_fault(songs, tmp_path):
    path, _, _ = songs["song.flac"]
    cut = tmp_path / "cut.flac"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert load_audio(cut, sample_rate=32_000, onset=0.5, duration=1.0).fault is None
    with pytest.raises(AudioError, match=r"cut\.flac: ends at .* s, too early for even one sample at 32000 Hz from 5"):
        load_audio(cut, sample_rate=32_000, onset=5.0)


@pytest.mark.parametrize(
    ("riff_size", "data_size"),
    [(0, 0), (36, 0), (8, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0, 0xFFFFFFFF), (0x7FFFFFFF, 0x7FFFFFFF), (0xFFFFFFFF, 0)],
)
def test_a_wav_file_whose_recorder_died_is_read_to_its_end(riff_size, data_size, wav, make_song):
    song = make_song(2, 8000)
    path = wav(song, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    data = content.index(b"data")
    content[4:8] = struct.pack("<I", riff_size)
    content[data + 4 : data + 8] = struct.pack("<I", data_size)
    path.write_bytes(content)
    sound = load_audio(path, sample_rate=8000)
    assert np.abs(sound.samples - song).max() < 1e-4
    assert sound.fault is None
    assert probe_audio(path).duration == 2.0


def test_a_flac_file_without_its_length_is_read_to_its_end(songs, tmp_path):
    content = bytearray(songs["song.flac"][0].read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path = tmp_path / "piped.flac"
    path.write_bytes(content)
    assert probe_audio(path).duration == pytest.approx(6, abs=0.01)
    assert len(load_audio(path, sample_rate=44_100).samples) == 6 * 44_100


@property_test
@given(name=st.sampled_from(SONGS), share=st.floats(0, 1))
def test_any_beginning_of_a_file_is_read_or_refused_in_words(name, share, songs, tmp_path):
    content = songs[name][0].read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(content[: round(len(content) * share)])
    try:
        probe_audio(path)
        sound = load_audio(path, sample_rate=8000)
    except AudioError as error:
        assert str(error).startswith("cut: ")
    else:
        # A live WebM states no length: what is cut off of it nobody can tell from a short recording.
        assert len(sound.samples) >= 0.1 * 8000 or name == "live.webm"
        assert np.isfinite(sound.samples).all()


@property_test
@given(
    head=st.sampled_from(
        [
            *(b"", b"RIFF\0\0\1\0WAVE", b"fLaC", b"OggS", b"ID3\4\0\0\0\0\0\0", b"\xff\xfb\x90\x64"),
            *(b"\x1a\x45\xdf\xa3", b"\0\0\0\x18ftypM4A ", b"FORM\0\0\1\0AIFF", b"\xff\xf1\x50\x80"),
        ]
    ),
    rest=st.binary(max_size=3000),
)
def test_noise_that_begins_like_audio_is_read_or_refused_in_words(head, rest, tmp_path):
    path = tmp_path / "noise"
    path.write_bytes(head + rest)
    try:
        sound = load_audio(path, sample_rate=8000)
    except AudioError as error:
        assert str(error).startswith("noise: ")
    else:
        assert np.isfinite(sound.samples).all()


# Refusals


def header_only(wav, **_):
    path = wav(np.zeros(8000), subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:44])
    return path


def zero_length(wav, **_):
    return wav(np.zeros(0), subtype="PCM_16")


def cut_beyond_use(wav, **_):
    path = wav(np.zeros(8000), subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:500])
    return path


def cut_header(wav, **_):
    path = wav(np.zeros(8000), subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:20])
    return path


def moov_missing(songs, tmp_path, **_):
    content = songs["alac.m4a"][0].read_bytes()
    path = tmp_path / "owl.m4a"
    path.write_bytes(content[: len(content) // 2])
    return path


def empty(tmp_path, **_):
    path = tmp_path / "owl.mp3"
    path.write_bytes(b"")
    return path


def text(tmp_path, **_):
    path = tmp_path / "owl.wav"
    path.write_text("species,onset,offset\n")
    return path


def image(tmp_path, **_):
    path = tmp_path / "owl.wav"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return path


def missing(tmp_path, **_):
    return tmp_path / "owl.wav"


def folder(tmp_path, **_):
    return tmp_path


def pipe(tmp_path, **_):
    os.mkfifo(tmp_path / "owl.wav")
    return tmp_path / "owl.wav"


REFUSALS = [
    (header_only, "owl.wav: has a header but no sound in it; record, copy or export it again"),
    (zero_length, "owl.wav: has a header but no sound in it; record, copy or export it again"),
    (
        cut_beyond_use,
        "owl.wav: is damaged or was cut off, and only 0.03 s of it could be read, too little to analyse; "
        "copy or upload it again",
    ),
    (
        cut_header,
        "owl.wav: cannot be decoded (damaged, cut off, or not what it claims to be); copy or export it again",
    ),
    (
        moov_missing,
        "owl.m4a: cannot be decoded (damaged, cut off, or not what it claims to be); copy or export it again",
    ),
    (empty, "owl.mp3: is empty (0 bytes); copy, download or upload it again"),
    (
        text,
        "owl.wav: holds text, not sound that can be read; expected WAV, FLAC, Ogg, MP3, AIFF, M4A, AAC, WMA or WebM",
    ),
    (
        image,
        "owl.wav: holds a PNG image, not sound that can be read; "
        "expected WAV, FLAC, Ogg, MP3, AIFF, M4A, AAC, WMA or WebM",
    ),
    (missing, "owl.wav: there is no such file; check the path"),
    (folder, "{name}: is a folder, not a recording; name a file in it"),
    (pipe, "owl.wav: is a pipe or a device, not a recording; save the sound to a file first"),
]


@pytest.mark.parametrize(("make", "message"), REFUSALS, ids=[make.__name__ for make, _ in REFUSALS])
def test_what_cannot_be_used_is_refused_in_one_sentence_that_names_file_fault_and_remedy(
    make, message, wav, songs, tmp_path
):
    path = make(wav=wav, songs=songs, tmp_path=tmp_path)
    for read in (probe_audio, lambda path: load_audio(path, sample_rate=8000)):
        with pytest.raises(AudioError) as refusal:
            read(path)
        assert str(refusal.value) == message.format(name=path.name)
        assert str(tmp_path.parent) not in str(refusal.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_nan_and_infinite_samples_are_refused_with_their_place(value, channels, wav):
    samples = np.zeros((80_000, channels), dtype=np.float32)
    samples[60_000] = value
    samples[60_000, -1] = -value
    with pytest.raises(
        AudioError,
        match=r"^owl\.wav: holds NaN or infinite samples, the first at about [67]\.\d s; export it again, best as 16",
    ):
        load_audio(wav(samples), sample_rate=16_000)


@pytest.mark.parametrize("sample_rate", [1, 7, 4000, 768_000, 2_000_000_000])
def test_a_sample_rate_that_no_recorder_has_is_refused(sample_rate, wav):
    path = wav(np.zeros(8000), subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", sample_rate)
    path.write_bytes(content)
    for read in (probe_audio, lambda path: load_audio(path, sample_rate=32_000)):
        with pytest.raises(
            AudioError,
            match=rf"^owl\.wav: has a sample rate of {sample_rate:,} Hz, expected 8,000 to 384,000 Hz; correct the rate",
        ):
            read(path)


def test_a_sample_rate_a_little_outside_is_read(wav, make_song):
    for sample_rate in (7350, 400_000):
        assert load_audio(wav(make_song(0.5, sample_rate), sample_rate), sample_rate=32_000).fault is None


def test_the_part_before_a_nan_is_read(wav):
    samples = np.zeros(80_000, dtype=np.float32)
    samples[60_000] = np.nan
    assert len(load_audio(wav(samples), sample_rate=8000, duration=3).samples) == 24_000


def test_integers_stored_as_float_are_refused(wav, make_song):
    with pytest.raises(AudioError, match=r"owl\.wav: samples reach 13\d+ at about 0\.0 s, expected \[-1, 1\]"):
        load_audio(wav(make_song(1, 8000) * 32768), sample_rate=8000)


def test_a_file_that_may_not_be_read_is_refused(wav, make_song, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(decode, "identify_container", refuse)
    with pytest.raises(AudioError, match=r"owl\.wav: cannot be opened \(Permission denied\); check who may read it"):
        probe_audio(wav(make_song(1, 8000)))


def test_an_onset_beyond_the_end_is_refused(wav, make_song):
    with pytest.raises(AudioError, match=r"owl\.wav: ends at 2\.0 s, so nothing can be read from 2\.5 s on"):
        open_audio(wav(make_song(2, 8000)), sample_rate=8000, onset=2.5)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"sample_rate": 0}, "sample_rate 0: must be at least 1 Hz"),
        ({"block_seconds": 0}, "block_seconds 0: must be above 0"),
        ({"onset": -1.0}, r"onset -1\.0 s: must be 0 or later"),
        ({"onset": np.nan}, "onset nan s: must be 0 or later"),
        ({"duration": 0.0}, r"duration 0\.0 s: must be above 0, or None"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(request_, message, wav, make_song):
    with pytest.raises(ConfigError, match=message):
        open_audio(wav(make_song(1, 8000)), **{"sample_rate": 8000, **request_})


# Levels


@pytest.mark.parametrize("source_rate", [8000, 48_000])
@pytest.mark.parametrize(
    "samples",
    [np.zeros(9600), np.full(9600, 0.7), np.sign(np.sin(np.arange(9600) * 0.2)), np.full(9600, 3.0)],
    ids=["silence", "constant", "clipped", "too loud"],
)
def test_the_extremes_stay_finite_and_in_range(samples, source_rate, wav):
    sound = load_audio(wav(samples, source_rate), sample_rate=32_000)
    assert np.isfinite(sound.samples).all()
    assert np.abs(sound.samples).max() <= 1
    assert sound.samples.any() == samples.any()


def test_one_sample_is_a_recording(wav):
    assert load_audio(wav([0.5]), sample_rate=8000).samples.tolist() == [0.5]
    assert np.isfinite(load_audio(wav([0.5]), sample_rate=32_000).samples).all()


def test_a_recording_too_short_for_the_rate_asked_for_is_refused(wav):
    with pytest.raises(AudioError, match=r"owl\.wav: ends at 0\.000 s, too early for even one sample at 8000 Hz"):
        load_audio(wav([0.5], 384_000), sample_rate=8000)


def test_what_is_too_loud_is_clipped_and_not_scaled(wav):
    samples = np.array([0.5, 1.5, -2.0, 0.25], dtype=np.float32)
    assert load_audio(wav(samples), sample_rate=8000).samples.tolist() == [0.5, 1.0, -1.0, 0.25]


# Real recordings


def test_real_recordings_are_as_their_table_says(shared_data):
    table = pd.read_csv(shared_data / "manifest.csv")
    chosen = table.iloc[::20]
    assert len(chosen) > 15
    for row in chosen.itertuples():
        info = probe_audio(shared_data / row.path)
        assert (info.sample_rate, info.channels, info.format) == (32_000, 1, "ogg/vorbis")
        assert info.duration == pytest.approx(row.duration_s, abs=0.01)
        sound = load_audio(shared_data / row.path, sample_rate=32_000, duration=2.0)
        assert sound.fault is None
        assert np.abs(sound.samples).max() > 0.001
