"""When a recording holds signal and when noise: extracted once, and stored beside its cached spectrogram.

The rule is that of :mod:`birdcore.audio.extraction`, applied to mel spectrograms, of which training has one anyway.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from birdcore.audio.extraction import (
    DILATION_FRAMES,
    HOP_LENGTH,
    NOISE_THRESHOLD,
    SIGNAL_THRESHOLD,
    signal_mask,
    signal_spans,
)
from birdcore.audio.spans import complement_spans
from birdcore.files import write_text
from birdcore.frames import frames_to_seconds

__all__ = ["SignalSpans", "find_signal_spans", "mask_signal"]

logger = logging.getLogger(__name__)

DILATION_SECONDS = DILATION_FRAMES * HOP_LENGTH / 22_050
"""Published as 15 frames at 22,050 Hz and hop 512; signal spans grow by half of it to each side."""

PIECE_FRAMES = 60_000
"""Longer spectrograms are masked in pieces of this length (10 minutes at a hop of 10 ms), each with its own medians:
memory stays bounded, and a morning's noise is not judged by the evening's."""

RULE = "median 3 and 2.5, opening and dilation 4x4, spans dilated by 0.35 s"
"""What the stored spans were made by; others are made anew."""


@dataclass(frozen=True, kw_only=True)
class SignalSpans:
    """Parts of a recording.

    Parameters
    ----------
    signal, noise : sorted (onset, offset) in seconds; the two never overlap, and what neither covers is undecided
    """

    signal: tuple[tuple[float, float], ...]
    noise: tuple[tuple[float, float], ...]


def mask_signal(mel: np.ndarray, *, threshold: float = SIGNAL_THRESHOLD) -> np.ndarray:
    """Cells that stand out of their band and their moment.

    Parameters
    ----------
    mel : shape (num_frames, n_mels), unscaled; may be memory-mapped

    Returns
    -------
    shape (num_frames, n_mels), bool
    """
    if len(mel) <= PIECE_FRAMES:
        return signal_mask(np.asarray(mel).T, threshold=threshold).T
    pieces = range(0, len(mel), PIECE_FRAMES)
    return np.concatenate(
        [signal_mask(np.asarray(mel[start : start + PIECE_FRAMES]).T, threshold=threshold).T for start in pieces]
    )


def find_signal_spans(mel: np.ndarray, *, frame_seconds: float) -> SignalSpans:
    """Spans of signal and noise of a recording, read from beside its cached spectrogram or made and stored there.

    A cached spectrogram ``NAME.npy`` has them as ``NAME.signal.json``. Where nothing can be written they are made each
    time.

    Parameters
    ----------
    mel : shape (num_frames, n_mels), of the whole recording, unscaled
    frame_seconds : seconds from one frame to the next
    """
    stored = Path(mel.filename).with_suffix(".signal.json") if isinstance(mel, np.memmap) and mel.filename else None
    facts = {"rule": RULE, "num_frames": len(mel), "frame_seconds": frame_seconds}
    if stored is not None and (found := _read(stored, facts)) is not None:
        return found
    mask = mask_signal(mel)
    nearly = mask_signal(mel, threshold=NOISE_THRESHOLD) | mask
    dilation = max(1, round(DILATION_SECONDS / frame_seconds))
    duration = frames_to_seconds(len(mel), frame_seconds)
    spans = SignalSpans(
        signal=tuple(signal_spans(mask.T, frame_seconds=frame_seconds, dilation_frames=dilation)),
        noise=tuple(
            complement_spans(
                signal_spans(nearly.T, frame_seconds=frame_seconds, dilation_frames=dilation), duration=duration
            )
        ),
    )
    if stored is not None:
        _write(stored, facts | {"signal": spans.signal, "noise": spans.noise})
    return spans


def _read(path: Path, facts: dict[str, object]) -> SignalSpans | None:
    """The spans stored in a file; None where there is none, it is damaged, or was made otherwise."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if {key: content.get(key) for key in facts} != facts:
            return None
        return SignalSpans(
            signal=tuple((float(a), float(b)) for a, b in content["signal"]),
            noise=tuple((float(a), float(b)) for a, b in content["noise"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(path: Path, content: dict[str, object]) -> None:
    try:
        write_text(path, json.dumps(content))
    except OSError as error:
        logger.debug("%s: signal spans are not stored (%s)", path.name, error)
