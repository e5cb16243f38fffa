import dataclasses

import numpy as np
import pytest
import soundfile
import torch

from birdcore.audio.decode import load_audio
from birdcore.audio.treatment import treat
from birdcore.config import MEL_YAMNET, MEL_YAMNET_WIDE
from birdcore.data import feature_cache
from birdcore.data.feature_cache import FeatureCache
from birdcore.data.signal_spans import find_signal_spans
from birdcore.errors import AudioError
from birdcore.features.mel import MelSpectrogram

TREATMENTS = ("remove_speech", "normalize_rms")


@pytest.fixture
def recording(tmp_path):
    time = np.arange(48_000) / 32_000
    path = tmp_path / "song.wav"
    song = 0.02 * np.sin(2 * np.pi * 3000 * time) + 0.001 * np.random.default_rng(0).normal(size=len(time))
    soundfile.write(path, song, 32_000, subtype="FLOAT")
    return path


def test_spectrograms_are_computed_once_and_read_back(recording, tmp_path):
    cache = FeatureCache(MelSpectrogram(MEL_YAMNET_WIDE), root=tmp_path / "cache")
    first = np.array(cache.mel(recording))
    (stored,) = (tmp_path / "cache").rglob("*.npy")
    np.save(stored, first + 1)
    assert np.array_equal(cache.mel(recording), first + 1)


def test_a_full_disk_leaves_nothing_half_written(recording, tmp_path, monkeypatch, caplog):
    def run_full(file, *_, **__):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    cache = FeatureCache(MelSpectrogram(MEL_YAMNET_WIDE), root=tmp_path / "cache")
    monkeypatch.setattr(np, "save", run_full)
    assert cache.mel(recording).shape[1] == 80
    assert "No space left" in caplog.text and list(cache.folder.iterdir()) == []


def test_entries_can_be_read_by_those_who_share_the_cache(recording, tmp_path):
    cache = FeatureCache(MelSpectrogram(MEL_YAMNET_WIDE), root=tmp_path / "cache")
    find_signal_spans(cache.mel(recording), frame_seconds=0.01)
    (tmp_path / "plain").touch()  # as the system's settings have it
    modes = {path.name: path.stat().st_mode for path in [tmp_path / "plain", *cache.folder.iterdir()]}
    assert len(modes) == 3 and len(set(modes.values())) == 1, modes


def test_the_key_without_treatments_is_what_it_was(tmp_path):
    """Folders of existing caches, made before there were treatments."""
    cache = FeatureCache(MelSpectrogram(MEL_YAMNET_WIDE), root=tmp_path)
    assert cache.folder.name == "a623e7f6282d0728"
    scaled_otherwise = dataclasses.replace(MEL_YAMNET_WIDE, level=0.1)
    assert FeatureCache(MelSpectrogram(scaled_otherwise), treatments=(), root=tmp_path).folder == cache.folder


def test_treatments_and_centring_have_entries_of_their_own(tmp_path):
    wide, narrow = MelSpectrogram(MEL_YAMNET_WIDE), MelSpectrogram(MEL_YAMNET)
    centred = MelSpectrogram(dataclasses.replace(MEL_YAMNET, center=True))
    folders = {
        FeatureCache(features, treatments=treatments, root=tmp_path).folder
        for features in (wide, narrow, centred)
        for treatments in ((), TREATMENTS, TREATMENTS[::-1])
    }
    assert len(folders) == 9


def test_recordings_are_treated_before_features(recording, tmp_path):
    features = MelSpectrogram(MEL_YAMNET)
    treated = treat(load_audio(recording, sample_rate=16_000).samples, 16_000, treatments=TREATMENTS)
    cache = FeatureCache(features, treatments=TREATMENTS, root=tmp_path / "cache")
    assert np.array_equal(cache.mel(recording), features.mel(torch.from_numpy(treated)[None])[0].T)


@pytest.mark.parametrize("treatments", [(), TREATMENTS])
def test_a_long_recording_is_done_in_blocks_to_the_same_end(recording, tmp_path, monkeypatch, treatments):
    features = MelSpectrogram(MEL_YAMNET)
    whole = FeatureCache(features, treatments=treatments, root=tmp_path / "a").mel(recording)
    monkeypatch.setattr(feature_cache, "LONG_SECONDS", 0.1)
    streamed = FeatureCache(features, treatments=treatments, root=tmp_path / "b").mel(recording)
    assert streamed.shape == whole.shape and np.allclose(streamed, whole, atol=1e-6)


def test_files_that_cannot_be_decoded_are_left_out_and_named(recording, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"not audio")
    cache = FeatureCache(MelSpectrogram(MEL_YAMNET), root=tmp_path / "cache")
    found, failures = cache.mels([recording, broken])
    assert set(found) == {recording} and set(failures) == {broken} and "broken.wav" in failures[broken]
    with pytest.raises(AudioError):
        cache.mel(broken)


def test_a_recording_that_was_cut_off_is_told_every_time(recording, tmp_path, caplog):
    cut = tmp_path / "cut.wav"
    cut.write_bytes(recording.read_bytes()[: recording.stat().st_size // 2])
    for _ in range(2):  # computed, and read back
        caplog.clear()
        cache = FeatureCache(MelSpectrogram(MEL_YAMNET_WIDE), root=tmp_path / "cache")
        found, failures = cache.mels([recording, cut])
        assert set(found) == {recording, cut}
        assert failures == {}
        assert list(cache.faults) == [cut]
        assert "used as far as it goes: cut.wav: is damaged or was cut off, and could be read only up to" in caplog.text
