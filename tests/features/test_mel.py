import dataclasses

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from birdcore.config import (
    MEL_BIRDNET,
    MEL_PRESETS,
    MEL_S0,
    MEL_S1,
    MEL_S1_MEL_MFCC,
    MEL_S3,
    MEL_YAMNET,
    MEL_YAMNET_WIDE,
)
from birdcore.errors import ShapeError
from birdcore.features.mel import MelSpectrogram, MelStream
from birdcore.features.mel_filters import bass_bank, mel_filters


def song(seconds=2.0, sample_rate=32_000, seed=0):
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    whistle = 0.3 * np.sin(2 * np.pi * (3000 * time + 400 * np.sin(2 * np.pi * 3 * time)))
    return (whistle + 0.02 * generator.normal(size=len(time))).astype(np.float32)


@pytest.mark.parametrize("name", [name for name, config in MEL_PRESETS.items() if config.center and not config.bass])
def test_mel_equals_librosa(name):
    config = MEL_PRESETS[name]
    samples = song()
    expected = librosa.feature.melspectrogram(
        y=samples,
        sr=config.sample_rate,
        n_fft=config.n_fft,
        win_length=config.win_length,
        hop_length=config.hop_length,
        n_mels=config.n_mels,
        fmin=config.fmin,
        fmax=config.fmax,
        power=config.power,
        htk=config.mel_scale == "htk",
        norm=config.norm,
        pad_mode="constant",
    )
    ours = MelSpectrogram(config).mel(torch.from_numpy(samples)[None])[0].numpy()
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() / expected.max() < 1e-5
    heard = expected > expected.max() * 1e-6
    assert (np.abs(ours - expected)[heard] / expected[heard]).max() < 1e-3


def test_bass_and_whole_are_two_spectrograms_of_the_same_moments():
    config, samples = MEL_BIRDNET, song()
    ours = MelSpectrogram(config).mel(torch.from_numpy(samples)[None])[0].numpy()
    for bank, rows in ((bass_bank(config), ours[:96]), (dataclasses.replace(config, bass=None), ours[96:])):
        spectrum = librosa.stft(
            samples,
            n_fft=bank.n_fft,
            win_length=bank.win_length,
            hop_length=bank.hop_length,
            window=np.hanning(bank.win_length + 1)[:-1],
            pad_mode="constant",
        )
        expected = mel_filters(bank) @ np.abs(spectrum)
        assert rows.shape == expected.shape
        assert np.abs(rows - expected).max() / expected.max() < 1e-5


def test_the_picture_of_two_banks_has_a_channel_of_each():
    features = MelSpectrogram(MEL_BIRDNET)
    mel = features.mel(torch.from_numpy(song())[None])
    picture = features.scale(mel)
    assert picture.shape == (1, 2, 96, mel.shape[2])
    levelled = mel / mel.mean()
    assert torch.allclose(picture[:, 0], levelled[:, :96] ** MEL_BIRDNET.bass.root)
    assert torch.allclose(picture[:, 1], levelled[:, 96:] ** MEL_BIRDNET.root)
    assert not features.scale(torch.zeros(1, 192, 9)).any()


def test_db_scaling_equals_librosa():
    samples = song()
    mel = MelSpectrogram(MEL_S0)
    linear = mel.mel(torch.from_numpy(samples)[None])
    expected = librosa.power_to_db(linear[0].numpy(), ref=1.0, amin=1e-10, top_db=None)
    assert np.abs(mel.scale(linear)[0].numpy() - expected).max() < 1e-3


@pytest.mark.parametrize("num_samples", [1, 399, 400, 559, 560, 16_000])
def test_frames_without_centring_are_tensorflows(num_samples):
    """``tf.signal.stft(frame_length=400, frame_step=160, fft_length=512)``, written out."""
    samples = song(1.0, sample_rate=16_000)[:num_samples]
    starts = range(0, max(1, num_samples - 400 + 1), 160)
    padded = np.pad(samples, (0, max(0, 400 - num_samples)))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    spectrum = np.abs(np.fft.rfft(np.stack([padded[start : start + 400] * window for start in starts]), n=512)).T
    features = MelSpectrogram(MEL_YAMNET)
    ours = features.mel(torch.from_numpy(samples)[None])[0].numpy()
    assert ours.shape == (64, len(starts))
    assert np.allclose(ours, features.filters.numpy() @ spectrum, atol=1e-4)


@pytest.mark.parametrize(
    "config",
    [dataclasses.replace(MEL_S0, picture="mfcc", n_mfcc=20), MEL_PRESETS["s1_mfcc"]],
    ids=["db", "s1"],
)
def test_cepstrum_equals_librosa(config):
    samples = torch.from_numpy(song())[None]
    whole = dataclasses.replace(config, picture="mel", resize=None)
    mel = MelSpectrogram(whole)(samples)[0].numpy()
    expected = librosa.feature.mfcc(S=mel.astype(np.float64), n_mfcc=config.n_mfcc)
    ours = MelSpectrogram(dataclasses.replace(config, resize=None))(samples)[0].numpy()
    assert ours.shape == expected.shape == (config.n_mfcc, 201 if config is not MEL_PRESETS["s1_mfcc"] else 126)
    assert np.abs(ours - expected).max() <= 1e-5 * np.abs(expected).max()


def test_cepstrum_in_decibels_equals_librosas_from_the_waveform():
    config = dataclasses.replace(MEL_S0, picture="mfcc", n_mfcc=20)
    samples = song()
    power = librosa.feature.melspectrogram(
        y=samples, sr=32_000, n_fft=1024, hop_length=320, n_mels=128, fmin=0.0, fmax=16_000.0, pad_mode="constant"
    )
    expected = librosa.feature.mfcc(S=librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None), n_mfcc=20)
    ours = MelSpectrogram(config)(torch.from_numpy(samples)[None])[0].numpy()
    assert np.abs(ours - expected).max() <= 1e-5 * np.abs(expected).max()


def test_mel_and_cepstrum_are_two_channels_of_one_size():
    samples = torch.from_numpy(song())[None]
    both = MelSpectrogram(MEL_S1_MEL_MFCC)(samples)
    assert both.shape == (1, 2, 256, 256)
    assert torch.allclose(both[:, 0], MelSpectrogram(MEL_S1)(samples), atol=1e-6)
    full = dataclasses.replace(MEL_S1_MEL_MFCC, resize=None, n_mfcc=128)
    only = MelSpectrogram(dataclasses.replace(full, picture="mfcc"))(samples)
    assert torch.equal(MelSpectrogram(full)(samples)[:, 1], only)


def test_stacked_spectrograms_are_consecutive_pieces_of_the_window():
    mel = torch.rand(2, 128, 3210)
    whole = MelSpectrogram(dataclasses.replace(MEL_S3, stack=1)).scale(mel)
    stacked = MelSpectrogram(MEL_S3).scale(mel)
    assert stacked.shape == (2, 10, 128, 321)
    for index in range(10):
        assert torch.equal(stacked[:, index], whole[:, :, 321 * index : 321 * (index + 1)])


def test_a_window_that_does_not_divide_is_filled_up_with_silence():
    features = MelSpectrogram(dataclasses.replace(MEL_S3, normalization="none"))
    stacked = features.scale(torch.ones(1, 128, 14))
    assert stacked.shape == (1, 10, 128, 2)
    assert (stacked[0, :7] > 0).all() and (stacked[0, 7:] == 0).all()


@pytest.mark.parametrize("name", MEL_PRESETS)
@pytest.mark.parametrize("num_frames", [1, 97, 216])
def test_a_config_knows_the_shape_of_its_pictures(name, num_frames):
    config = MEL_PRESETS[name]
    picture = MelSpectrogram(config).scale(torch.rand(3, config.num_rows, num_frames))
    channels, *size = config.picture_shape(num_frames)
    assert picture.shape == ((3, channels, *size) if channels > 1 else (3, *size))


def test_s1_picture_is_between_zero_and_one_and_has_its_size():
    picture = MelSpectrogram(MEL_S1)(torch.from_numpy(song(5.0))[None])
    assert picture.shape == (1, 256, 256)
    assert picture.min() >= 0 and picture.max() <= 1


@pytest.mark.parametrize("name", MEL_PRESETS)
@pytest.mark.parametrize(
    "samples",
    [np.zeros(32_000), np.ones(32_000), np.sign(song(1.0)), np.zeros(1)],
    ids=["silence", "dc", "clipped", "one"],
)
def test_degenerate_sound_gives_finite_features(name, samples):
    picture = MelSpectrogram(MEL_PRESETS[name])(torch.from_numpy(samples.astype(np.float32))[None])
    assert torch.isfinite(picture).all()


def test_batch_of_many_is_bit_equal_to_batches_of_one():
    batch = torch.from_numpy(np.stack([song(seed=seed) for seed in range(3)]))
    mel = MelSpectrogram(MEL_YAMNET_WIDE)
    together = mel(batch)
    for row, waveform in zip(together, batch, strict=True):
        assert torch.equal(row, mel(waveform[None])[0])


def test_level_normalization_makes_loud_and_quiet_alike():
    mel = MelSpectrogram(MEL_YAMNET_WIDE)
    waveform = torch.from_numpy(song())[None]
    assert torch.allclose(mel(waveform), mel(waveform * 0.05), atol=1e-4)


def test_wide_front_end_is_yamnets_below_7500_hz():
    """Same bands, bins and hop as YAMNet's own front end at 16 kHz: 25 ms window, 64 HTK bands, magnitude."""
    wide = MEL_YAMNET_WIDE
    yamnet = dataclasses.replace(
        wide, sample_rate=16_000, n_fft=512, win_length=400, hop_length=160, n_mels=64, fmax=7500.0
    )
    time = np.arange(32_000) / 32_000
    samples = np.sin(2 * np.pi * (1000 * time + 1000 * time**2)).astype(
        np.float32
    )  # a sweep from 1 to 3 kHz, decimated exactly
    low = MelSpectrogram(yamnet).mel(torch.from_numpy(samples[::2].copy())[None])[0]
    high = MelSpectrogram(wide).mel(torch.from_numpy(samples)[None])[0, :64] / 2  # twice the samples in the same window
    correlation = np.corrcoef(low[:, 3:-3].ravel(), high[:, 3 : low.shape[1] - 3].ravel())[0, 1]
    assert correlation > 0.999


@pytest.mark.parametrize("config", [MEL_YAMNET_WIDE, MEL_YAMNET], ids=["centred", "not centred"])
@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(0, 9000) | st.integers(0, 300), min_size=1, max_size=6))
def test_streamed_frames_are_those_of_the_whole_sound(config, lengths):
    samples = song(2.0)[: sum(lengths) or 1]
    features = MelSpectrogram(config)
    stream = MelStream(features)
    parts, start = [], 0
    for length in lengths:
        parts.append(stream.push(samples[start : start + length]))
        start += length
    parts += [stream.push(samples[start:]), stream.finish()]
    whole = features.mel(torch.from_numpy(samples)[None])[0].numpy()
    streamed = np.concatenate(parts, axis=1)
    assert streamed.shape == whole.shape
    assert np.abs(streamed - whole).max() <= 1e-5 * max(1.0, whole.max())


def test_empty_waveform_is_refused():
    with pytest.raises(ShapeError, match="expected \\(batch, num_samples\\)"):
        MelSpectrogram(MEL_S0)(torch.zeros(1, 0))
