import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from birdcore.audio.decode import load_audio, probe_audio
from birdcore.audio.encode import encode_preview, encode_wav
from birdcore.errors import AudioError, ShapeError

waveforms = arrays(np.float32, st.integers(1, 300), elements=st.floats(-1, 1, width=32))


@settings(max_examples=50, deadline=None)
@given(waveforms)
def test_what_is_written_as_wav_reads_back_to_16_bits(samples):
    read, sample_rate = soundfile.read(io.BytesIO(encode_wav(samples, 22_050)), dtype="float32")
    assert sample_rate == 22_050
    assert np.abs(read - samples).max() <= 1 / 32768


@settings(max_examples=50, deadline=None)
@given(waveforms)
def test_encoding_again_what_was_decoded_changes_nothing(samples):
    encoded = encode_wav(samples, 8000)
    read, _ = soundfile.read(io.BytesIO(encoded), dtype="float32")
    assert encode_wav(read, 8000) == encoded


def test_what_is_too_loud_is_clipped_and_does_not_wrap():
    read, _ = soundfile.read(io.BytesIO(encode_wav([3.0, -3.0, 1.0, -1.0], 8000)))
    assert np.allclose(read, [1, -1, 1, -1], atol=1e-4)


@pytest.mark.parametrize("sample_rate", [8000, 22_050, 32_000, 48_000])
def test_a_preview_is_lossless_flac_that_starts_on_the_first_sample(make_song, sample_rate):
    samples = make_song(2, sample_rate)
    encoded, mime = encode_preview(samples, sample_rate)
    assert mime == "audio/flac"
    assert encoded[:4] == b"fLaC"
    assert len(encoded) < len(encode_wav(samples, sample_rate))
    read, read_rate = soundfile.read(io.BytesIO(encoded), dtype="float32")
    assert read_rate == sample_rate
    assert np.abs(read - samples).max() <= 1 / 32768


def test_a_preview_of_ultrasound_comes_at_a_rate_that_browsers_play(make_song):
    read, sample_rate = soundfile.read(io.BytesIO(encode_preview(make_song(1, 384_000), 384_000)[0]))
    assert sample_rate == 48_000
    assert len(read) == 48_000


def test_a_preview_of_five_minutes_is_written_whole():
    samples = np.tile(np.sin(np.arange(8000) * 0.5).astype(np.float32) * 0.1, 300)
    assert len(soundfile.read(io.BytesIO(encode_preview(samples, 8000)[0]))[0]) == len(samples)


def test_a_written_file_is_a_recording(tmp_path, make_song):
    samples = make_song(1, 16_000)
    (tmp_path / "song.wav").write_bytes(encode_wav(samples, 16_000))
    assert probe_audio(tmp_path / "song.wav").format == "wav/pcm_16"
    assert np.abs(load_audio(tmp_path / "song.wav", sample_rate=16_000).samples - samples).max() <= 1 / 32768


@pytest.mark.parametrize("encode", [encode_wav, encode_preview])
def test_what_is_no_waveform_is_refused(encode):
    with pytest.raises(ShapeError, match="mix the channels down"):
        encode(np.zeros((2, 10)), 8000)
    with pytest.raises(AudioError, match="NaN or infinite"):
        encode(np.full(10, np.nan), 8000)
