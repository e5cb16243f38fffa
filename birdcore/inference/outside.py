"""From a file to scores, for models that take a waveform: decode, sliding windows, model, pooling.

:class:`OutsidePredictor` is to these models what :class:`birdcore.inference.predictor.Predictor` is to our own, and
what ``Predictor.load`` gives for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from birdcore.audio.decode import open_audio
from birdcore.errors import ConfigError
from birdcore.features.windows import BEST_WINDOWS, pool_windows
from birdcore.frames import samples_to_seconds, seconds_to_samples
from birdcore.inference.embedding import CustomClassifier
from birdcore.inference.waveform_models import open_outside_model
from birdcore.models.checkpoint import Weights, check_sha256
from birdcore.models.classifier_config import ClassifierConfig
from birdcore.models.outside import OutsideConfig
from birdcore.scores import Scores

__all__ = ["BATCH_WINDOWS", "OutsidePredictor", "WaveformModel", "WindowStream"]

BATCH_WINDOWS = 8
"""Windows between two reports of progress; as many are held as waveform."""

BLOCK_SECONDS = 30.0

MANY_CLASSES = 1000
"""With more classes, scores of windows are kept in float16: an hour of 6,522 species is then 31 MB, not 62."""


class WaveformModel(Protocol):
    """Anything that turns windows of waveform into log-odds of classes. Safe to call from several threads."""

    engine: str

    def logits(self, windows: np.ndarray) -> np.ndarray: ...


class WindowStream:
    """Sliding windows of a recording, read from the file as they are asked for; to be iterated once.

    The last window ends with the recording; a recording shorter than a window has a single one, with silence behind.

    Parameters
    ----------
    path : audio file
    sample_rate : Hz, of the windows
    window_samples, stride : length of a window, and from one to the next
    onset, duration : the part to read, in seconds

    Attributes
    ----------
    num_samples : samples read so far; after the iteration, those of the whole part
    num_announced : samples that the file says it has
    fault : a sentence where reading stopped early, else None; known after the iteration
    """

    def __init__(
        self,
        path: str | Path,
        *,
        sample_rate: int,
        window_samples: int,
        stride: int,
        onset: float = 0.0,
        duration: float | None = None,
    ) -> None:
        self._path, self._onset, self._duration = path, onset, duration
        self._sample_rate, self._window, self._stride = sample_rate, window_samples, stride
        self.num_samples = 0
        self.num_announced = 1
        self.fault: str | None = None

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        """Pairs of the first sample of a window, counted from the onset, and the window: shape (window_samples,).

        Raises
        ------
        AudioError
            If the file cannot be read or holds nothing.
        """
        window = self._window
        pending = np.zeros(0, dtype=np.float32)  # samples from `first` on
        first = next_start = 0
        with open_audio(
            self._path,
            sample_rate=self._sample_rate,
            block_seconds=BLOCK_SECONDS,
            onset=self._onset,
            duration=self._duration,
        ) as audio:
            self.num_announced = max(
                1, round((self._duration or audio.info.duration - self._onset) * self._sample_rate)
            )
            for block in audio:
                self.num_samples += len(block)
                pending = np.concatenate([pending, block])
                while len(pending) >= next_start - first + window:
                    pending, first = pending[next_start - first :], next_start
                    yield first, pending[:window]
                    next_start += self._stride
            self.fault = audio.fault
        last = max(0, self.num_samples - window)
        if next_start == 0 or last > first:
            rest = pending[last - first :]
            yield last, np.pad(rest, (0, window - len(rest)))

    def batches(self, size: int) -> Iterator[tuple[list[int], np.ndarray]]:
        """The same, several at a time: first samples, and windows of shape (at most size, window_samples)."""
        starts: list[int] = []
        windows: list[np.ndarray] = []
        for start, window in self:
            starts.append(start)
            windows.append(window)
            if len(windows) == size:
                yield starts, np.stack(windows)
                starts, windows = [], []
        if windows:
            yield starts, np.stack(windows)


class OutsidePredictor:
    """A waveform-in model that is ready to use. Nothing in it changes after loading, so threads may share it.

    Attributes
    ----------
    weights : where it came from, and its facts
    config : what it is
    engine : what runs it
    """

    def __init__(self, weights: Weights, model: WaveformModel) -> None:
        self.weights = weights
        self.config: OutsideConfig | ClassifierConfig = weights.config
        self._model = model

    @property
    def engine(self) -> str:
        """Name of what runs the model."""
        return self._model.engine

    @classmethod
    def load(cls, weights: Weights, *, engine: str = "auto") -> OutsidePredictor:
        """Open a model from outside, or a custom classifier with its base.

        Parameters
        ----------
        weights : found by :func:`birdcore.models.checkpoint.find_weights`
        engine : "auto", or the only one that runs it

        Raises
        ------
        WeightsError
            If the model cannot be used.
        ConfigError
            If another engine is asked for.
        """
        is_classifier = isinstance(weights.config, ClassifierConfig)
        model = CustomClassifier(weights) if is_classifier else open_outside_model(weights)
        if engine not in ("auto", model.engine):
            raise ConfigError(f"engine {engine!r}: {weights.name} runs in {model.engine} only; use auto")
        # Batches and caches tell models apart by their checksum; a folder put together by hand may not state one.
        facts = {**weights.facts, "sha256": weights.facts.get("sha256") or check_sha256(weights)}
        return cls(dataclasses.replace(weights, facts=facts), model)

    def analyze(
        self,
        path: str | Path,
        *,
        overlap: float | None = None,
        onset: float = 0.0,
        duration: float | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Scores:
        """All scores of a recording, or of a part of it; parameters, result and errors as of ``Predictor.analyze``.

        The file is streamed: memory grows with the number of windows only.
        """
        config = self.config
        overlap = config.window_seconds / 2 if overlap is None else overlap
        if not 0 <= overlap < config.window_seconds:
            raise ConfigError(
                f"overlap {overlap} s: must be 0 or more and less than the window of {config.window_seconds:g} s"
            )
        stream = WindowStream(
            path,
            sample_rate=config.sample_rate,
            window_samples=config.window_samples,
            stride=max(1, config.window_samples - seconds_to_samples(overlap, config.sample_rate)),
            onset=onset,
            duration=duration,
        )
        collected = _Collected(config.num_classes)
        for starts, windows in stream.batches(BATCH_WINDOWS):
            collected.add(starts, self._model.logits(windows))
            if progress:
                progress(min(0.99, starts[-1] / stream.num_announced))
        if progress:
            progress(1.0)
        seconds = samples_to_seconds(stream.num_samples, config.sample_rate)
        onsets = np.array([samples_to_seconds(start, config.sample_rate) for start in collected.starts])
        return Scores(
            class_names=config.class_names,
            duration=seconds,
            windows=collected.windows(),
            window_onsets=onsets,
            window_offsets=np.minimum(onsets + config.window_seconds, seconds),
            recording=_sigmoid(pool_windows(collected.best)),
            fault=stream.fault,
        )


class _Collected:
    """Scores of a recording while it is being read: all windows as probabilities, the best ones as log-odds."""

    def __init__(self, num_classes: int) -> None:
        self.starts: list[int] = []
        self.best = np.zeros((0, num_classes), dtype=np.float32)
        self._probabilities: list[np.ndarray] = []
        self._dtype = np.float16 if num_classes > MANY_CLASSES else np.float32

    def add(self, starts: list[int], logits: np.ndarray) -> None:
        """Add windows of shape (batch, num_classes)."""
        self.starts += starts
        self._probabilities.append(_sigmoid(logits).astype(self._dtype))
        # A recording is pooled from its best windows: no others need be kept in full precision.
        both = np.concatenate([self.best, logits])
        self.best = np.sort(both, axis=0)[-BEST_WINDOWS:]

    def windows(self) -> np.ndarray:
        """Probabilities of all windows, shape (num_windows, num_classes); may be asked for once."""
        windows = np.concatenate(self._probabilities)
        self._probabilities = []
        return windows


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-logits))
