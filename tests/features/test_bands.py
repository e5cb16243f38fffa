import numpy as np
import pytest

from birdcore.config import MEL_BIRDNET, MEL_S0, MEL_YAMNET_WIDE
from birdcore.features.bands import band_edges, joint, row_positions, visible_rows
from birdcore.features.mel_filters import bass_bank, mel_filters


def centres(config):
    """Frequency of each filter's highest bin."""
    return np.fft.rfftfreq(config.n_fft, 1 / config.sample_rate)[mel_filters(config).argmax(axis=1)]


def test_one_bank_is_one_axis():
    assert np.array_equal(visible_rows(MEL_S0), np.arange(128))
    edges = band_edges(MEL_YAMNET_WIDE, 20)
    assert len(edges) == 21 and np.all(np.diff(edges) > 0)
    assert np.allclose(row_positions(MEL_S0), np.linspace(0, 1, 128))
    with pytest.raises(ValueError, match="no bass"):
        joint(MEL_S0)


def test_bass_and_whole_are_joined_to_one_ascending_axis():
    rows = visible_rows(MEL_BIRDNET)
    edges = band_edges(MEL_BIRDNET, len(rows) // 4)
    low, first = joint(MEL_BIRDNET)
    assert len(edges) == low + 24 - first + 1
    assert np.all(np.diff(edges) > 0)
    frequencies = np.concatenate([centres(bass_bank(MEL_BIRDNET)), centres(MEL_BIRDNET)])[rows]
    # A band holds the filters whose centres lie in it; where the banks meet they share 50 Hz.
    for band, members in enumerate(frequencies.reshape(-1, 4)):
        assert edges[band] - 20 <= members.min() and members.max() <= edges[band + 1] + 60


def test_positions_follow_frequency_in_both_banks():
    positions = row_positions(MEL_BIRDNET)
    frequencies = np.concatenate([centres(bass_bank(MEL_BIRDNET)), centres(MEL_BIRDNET)])
    assert positions.min() == 0 and positions.max() == 1
    order = np.argsort(positions)
    assert np.all(np.diff(frequencies[order]) >= -40)  # ties within a bin or two
