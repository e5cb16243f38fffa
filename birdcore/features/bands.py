"""The bands that a localizing network answers for: which rows of the mel spectrogram they are, and their edges in Hz."""

from __future__ import annotations

import numpy as np

from birdcore.config import MelConfig
from birdcore.features.mel_filters import bass_bank
from birdcore.frames import hz_to_mel_htk, mel_band_edges

__all__ = ["ROWS_PER_BAND", "band_edges", "joint", "row_positions", "visible_rows"]

ROWS_PER_BAND = 4
"""Mel filters in a band, where there are two banks of them."""

JOINT_HZ = 950.0
"""Below, the bass tells frequencies apart; above, the whole does, and both see the same."""


def joint(config: MelConfig) -> tuple[int, int]:
    """Where the two banks are joined: bands of the bass that are used (the lowest), and of the whole that are not.

    Raises
    ------
    ValueError
        If the config has no bass.
    """
    if config.bass is None:
        raise ValueError("joint: the features have no bass")
    bass, whole = _bank_edges(bass_bank(config)), _bank_edges(config)
    first = int(np.argmax(whole >= JOINT_HZ))
    return int(np.argmin(np.abs(bass - whole[first]))), first


def _bank_edges(config: MelConfig, num_bands: int | None = None) -> np.ndarray:
    return mel_band_edges(
        num_bands=num_bands or config.n_mels // ROWS_PER_BAND,
        n_mels=config.n_mels,
        fmin=config.fmin,
        fmax=config.fmax,
        mel_scale=config.mel_scale,
    )


def band_edges(config: MelConfig, num_bands: int) -> np.ndarray:
    """Edges of the bands.

    Parameters
    ----------
    num_bands : of the network; with a bass as many as :func:`visible_rows` makes

    Returns
    -------
    shape (num_bands + 1,), Hz, ascending
    """
    if config.bass is None:
        return _bank_edges(config, num_bands)
    low, first = joint(config)
    return np.concatenate([_bank_edges(bass_bank(config))[:low], _bank_edges(config)[first:]])


def visible_rows(config: MelConfig) -> np.ndarray:
    """Numbers of the rows of a mel spectrogram that make one frequency axis, lowest first.

    All of them; with a bass, its rows up to where the rows of the whole take over.
    """
    if config.bass is None:
        return np.arange(config.n_mels)
    low, first = joint(config)
    return np.concatenate(
        [np.arange(low * ROWS_PER_BAND), np.arange(config.n_mels + first * ROWS_PER_BAND, config.num_rows)]
    )


def row_positions(config: MelConfig) -> np.ndarray:
    """Where each row of a mel spectrogram lies on the mel axis, from 0 (the lowest row) to 1: shape (num_rows,)."""
    if config.bass is None:
        return np.linspace(0.0, 1.0, config.n_mels)
    bass = bass_bank(config)
    centres = [_bank_edges(bank, bank.n_mels) for bank in (bass, config)]
    middles = hz_to_mel_htk(np.concatenate([(edges[:-1] + edges[1:]) / 2 for edges in centres]))
    return (middles - middles.min()) / (middles.max() - middles.min())
