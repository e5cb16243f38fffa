"""Triangular mel filters, straight in Hz as librosa draws them or straight in mel as TensorFlow does."""

from __future__ import annotations

import dataclasses

import librosa
import numpy as np

from birdcore.config import MelConfig
from birdcore.frames import hz_to_mel_htk

__all__ = ["bass_bank", "mel_filters"]


def bass_bank(config: MelConfig) -> MelConfig:
    """The bass of a config as a config of its own."""
    bass = config.bass
    return dataclasses.replace(
        config, n_fft=bass.n_fft, win_length=bass.win_length, fmin=0.0, fmax=bass.fmax, root=bass.root, bass=None
    )


def mel_filters(config: MelConfig) -> np.ndarray:
    """The filter bank that a config asks for.

    Returns
    -------
    shape (n_mels, 1 + n_fft // 2), float32, 0 or more

    Source
    ------
    librosa.filters.mel; for ``mel_scale = "tensorflow"`` tf.signal.linear_to_mel_weight_matrix, whose filters YAMNet was
    trained on: the sides of a filter are straight on the mel axis, so that in Hz they bend by up to 0.5 % of its height.
    """
    if config.mel_scale == "tensorflow":
        return _straight_in_mel(config)
    return librosa.filters.mel(
        sr=config.sample_rate,
        n_fft=config.n_fft,
        n_mels=config.n_mels,
        fmin=config.fmin,
        fmax=config.fmax,
        htk=config.mel_scale == "htk",
        norm=config.norm,
    )


def _straight_in_mel(config: MelConfig) -> np.ndarray:
    bins = hz_to_mel_htk(np.linspace(0.0, config.sample_rate / 2, 1 + config.n_fft // 2))
    edges = np.linspace(hz_to_mel_htk(config.fmin), hz_to_mel_htk(config.fmax), config.n_mels + 2)
    step = edges[1] - edges[0]
    rising, falling = (bins - edges[:-2, None]) / step, (edges[2:, None] - bins) / step
    filters = np.maximum(0.0, np.minimum(rising, falling))
    filters[:, 0] = 0.0  # TensorFlow leaves the constant part out, whatever fmin is
    return filters.astype(np.float32)
