"""What another model makes of a recording, kept along time, for a network to imitate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["TeacherTrack", "reduce_tracks"]

SHORTEST_OVERLAP = 0.5
"""A span that lies in a window with less than this share of itself says more about what is outside."""


@dataclass(frozen=True, kw_only=True)
class TeacherTrack:
    """Embeddings of a recording, one per span of the teacher's window.

    Parameters
    ----------
    embeddings : shape (num_spans, size); span ``i`` begins at ``i * hop_seconds``
    hop_seconds : from one span to the next
    span_seconds : length of a span
    """

    embeddings: np.ndarray
    hop_seconds: float
    span_seconds: float

    def between(self, onset: float, offset: float) -> np.ndarray:
        """Mean embedding of the spans between two times, each by how much of it lies there: shape (size,).

        Where no span lies there by half, the nearest one speaks.
        """
        starts = np.arange(len(self.embeddings)) * self.hop_seconds
        ends = starts + self.span_seconds
        overlap = np.clip(np.minimum(ends, offset) - np.maximum(starts, onset), 0, None) / self.span_seconds
        overlap[overlap < SHORTEST_OVERLAP] = 0.0
        if not overlap.any():
            return self.embeddings[np.abs(starts + ends - onset - offset).argmin()]
        return (overlap @ self.embeddings / overlap.sum()).astype(np.float32)


def reduce_tracks(tracks: Sequence[TeacherTrack], *, size: int) -> list[TeacherTrack]:
    """The same tracks in the directions in which recordings differ most, at a scale that a loss can be read at.

    Each number of the embedding is standardised over all spans, then the principal components are taken. Components
    are divided by the square root of their standard deviation, half-way to whitening: the first few would otherwise be
    all that is learnt, and the last ones are noise. The mean square of the result is 1, so imitating nothing but the
    mean has a mean squared error of 1.

    Parameters
    ----------
    tracks : of the recordings that are trained on, and of no others
    size : components that are kept; fewer where there are not as many
    """
    rows = np.concatenate([track.embeddings for track in tracks]).astype(np.float64)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0).clip(min=1e-6)
    standard = (rows - mean) / deviation
    variances, axes = np.linalg.eigh(standard.T @ standard / len(standard))
    largest = np.argsort(variances)[::-1][:size]
    axes = axes[:, largest] / variances[largest].clip(min=1e-9) ** 0.25
    axes = axes / np.sqrt(np.mean((standard @ axes) ** 2))
    return [
        TeacherTrack(
            embeddings=((track.embeddings - mean) / deviation @ axes).astype(np.float32),
            hop_seconds=track.hop_seconds,
            span_seconds=track.span_seconds,
        )
        for track in tracks
    ]
