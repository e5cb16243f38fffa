"""From a file to scores: decode, treat, mel frames, sliding windows, network, overlap-average."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from birdcore.audio.decode import open_audio
from birdcore.audio.treatment import treat_blocks
from birdcore.config import ModelConfig
from birdcore.errors import AudioError, ConfigError
from birdcore.features.bands import band_edges
from birdcore.features.mel import MelSpectrogram, MelStream
from birdcore.features.windows import pool_windows, window_starts
from birdcore.frames import frames_to_seconds
from birdcore.inference.bands import band_limits
from birdcore.inference.engine import Engine, make_engine
from birdcore.inference.growing import GrowingArray
from birdcore.inference.levels import LevelMeter
from birdcore.inference.outside import OutsidePredictor
from birdcore.models.checkpoint import Weights, find_weights
from birdcore.models.registry import frame_stride, localizes
from birdcore.scores import Scores

__all__ = ["Predictor"]

BATCH_WINDOWS = 8
"""Windows per call of the network: enough to keep two cores busy, few enough that progress moves."""

CLIP_MARGIN = 1.0
"""The log-odds of a frame are at most this far above those of the surest window over it.

The clip head hears a whole window and is calibrated on recordings without birds; a frame that it does not bear out is
seldom a call. On a validation fold of 12 annotated recordings frame F1 stays the same for four runs (0.66 with and
without; 0.64 with a margin of 0), average precision at an overlap of 0.3 goes from 0.575 to 0.587 and at one half from
0.360 to 0.351; of windows without birds 15 in 420 report a species instead of 19, and for the shipped weights 3 in 105
instead of 8.
"""

KEEP_BANDS_SECONDS = 600.0
"""Recordings up to this long keep the whole time-frequency map; longer ones keep the band of each frame and class."""


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0)))


def _limit_frames(frames: np.ndarray, logits: np.ndarray, first_frames: Sequence[int], num_covered: int) -> None:
    """Lower frame scores, in place, to what the windows over them bear out; see ``CLIP_MARGIN``.

    Parameters
    ----------
    frames : shape (num_frames, num_classes), in [0, 1]
    logits : shape (num_windows, num_classes), of the clip head
    first_frames : of each window, ascending
    num_covered : frames that a window covers; the last one covers all that are left
    """
    ceiling = np.zeros_like(frames)
    last_frames = [*(first + num_covered for first in first_frames[:-1]), len(frames)]
    limits = _sigmoid(logits + CLIP_MARGIN).astype(frames.dtype)
    for first, last, limit in zip(first_frames, last_frames, limits, strict=True):
        np.maximum(ceiling[first:last], limit, out=ceiling[first:last])
    np.minimum(frames, ceiling, out=frames)


class _OverlapAverage:
    """Weighted mean, in logit space, of windows that overlap; what no later window can change is given out.

    A frame at a window's edge has half of its context outside, so it counts less than one in the middle.
    """

    def __init__(self, window_frames: int) -> None:
        ramp = np.minimum(np.arange(window_frames), np.arange(window_frames)[::-1]) + 1.0
        self._weight = (ramp / ramp.max()).astype(np.float32)
        self._start = 0
        self._sum: np.ndarray | None = None
        self._total = np.zeros(0, dtype=np.float32)

    def add(self, start: int, logits: np.ndarray) -> np.ndarray:
        """Add a window of shape (..., window_frames) that starts at a frame.

        Give the frames before it, shape (..., n).
        """
        count = start - self._start
        if self._sum is None:
            self._sum = np.zeros((*logits.shape[:-1], 0), dtype=np.float32)
        done = self._sum[..., :count] / self._total[:count]
        missing = count + logits.shape[-1] - self._sum.shape[-1]
        if missing > 0:
            self._sum = np.concatenate([self._sum, np.zeros((*logits.shape[:-1], missing), np.float32)], axis=-1)
            self._total = np.concatenate([self._total, np.zeros(missing, np.float32)])
        self._sum, self._total = self._sum[..., count:].copy(), self._total[count:].copy()
        self._sum[..., : logits.shape[-1]] += logits * self._weight
        self._total[: logits.shape[-1]] += self._weight
        self._start = start
        return done

    def finish(self) -> np.ndarray:
        """The remaining frames."""
        return self._sum / self._total


class _Collected:
    """Scores of a recording while it is being read."""

    def __init__(self, num_classes: int) -> None:
        self.clip = GrowingArray((num_classes,), np.float32)
        self.starts: list[int] = []
        self.frames = GrowingArray((num_classes,), np.float16)
        self.low = GrowingArray((num_classes,), np.float16)
        self.high = GrowingArray((num_classes,), np.float16)
        self.bands: GrowingArray | None = None  # of a short recording, once the number of bands is known


class Predictor:
    """A model that is ready to use. Nothing in it changes after loading, so threads may share it.

    Attributes
    ----------
    weights : where it came from, and its facts
    config : what it is; features and window length come from here and nowhere else
    engine : "onnx" or "torch"
    """

    def __init__(self, weights: Weights, engine: Engine) -> None:
        self.weights = weights
        self.config: ModelConfig = weights.config
        self._engine = engine
        self._features = MelSpectrogram(weights.config.features).eval()
        self._frame_stride = frame_stride(weights.config)

    @property
    def engine(self) -> str:
        """Name of what runs the network."""
        return self._engine.name

    @classmethod
    def load(cls, weights: str | Path, *, engine: str = "auto") -> Predictor | OutsidePredictor:
        """Load weights by name or path; for models from outside and custom classifiers, what offers the same.

        Parameters
        ----------
        engine : "auto", "onnx" or "torch"; see :func:`birdcore.inference.engine.make_engine`

        Raises
        ------
        WeightsError
            If there are no such weights, or they are damaged.
        """
        found = find_weights(weights)
        if not isinstance(found.config, ModelConfig):
            return OutsidePredictor.load(found, engine=engine)
        return cls(found, make_engine(found, engine))

    def analyze(
        self,
        path: str | Path,
        *,
        overlap: float | None = None,
        onset: float = 0.0,
        duration: float | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Scores:
        """All scores of a recording, or of a part of it.

        The file is streamed: memory grows with the number of windows and frames only. It goes through the treatments
        that the network was trained with first; a part of a recording is treated by itself.

        Parameters
        ----------
        path : audio file
        overlap : seconds that successive windows share, 0 or more and less than a window; half a window where None
        onset, duration : the part to analyse, in seconds; times in the result count from onset
        progress : called with the share done, 0 to 1

        Raises
        ------
        AudioError
            If the file cannot be read or holds nothing.
        ConfigError
            If overlap is out of range.
        """
        features = self.config.features
        window = round(self.config.window_seconds / features.frame_seconds)
        overlap = self.config.window_seconds / 2 if overlap is None else overlap
        if not 0 <= overlap < self.config.window_seconds:
            raise ConfigError(
                f"overlap {overlap} s: must be 0 or more and less than the window of {self.config.window_seconds:g} s"
            )
        multiple = self._frame_stride
        stride = max(multiple, round((window - overlap / features.frame_seconds) / multiple) * multiple)

        stream = MelStream(self._features)
        meter = LevelMeter(features, self._frame_stride) if localizes(self.config) else None
        pending = np.zeros((features.num_rows, 0), dtype=np.float32)  # mel frames from `first` on
        first, next_start, num_samples = 0, 0, 0
        batch: list[tuple[int, np.ndarray]] = []
        collected = _Collected(self.config.num_classes)
        averages: dict[str, _OverlapAverage] = {}
        with open_audio(path, sample_rate=features.sample_rate, onset=onset, duration=duration) as audio:
            length = duration or audio.info.duration - onset
            keep_bands = length <= KEEP_BANDS_SECONDS
            announced = max(1.0, length * features.sample_rate)
            for block in treat_blocks(audio, features.sample_rate, treatments=self.config.treatments):
                num_samples += len(block)
                mel = stream.push(block)
                if meter:
                    meter.push(mel)
                pending = np.concatenate([pending, mel], axis=1)
                while pending.shape[1] >= next_start - first + window:
                    pending, first = pending[:, next_start - first :], next_start
                    batch.append((first, pending[:, :window]))
                    next_start += stride
                    if len(batch) == BATCH_WINDOWS:
                        self._run(batch, collected, averages, keep_bands)
                        batch = []
                if progress:
                    progress(min(0.99, num_samples / announced))
            fault = audio.fault
        if num_samples == 0:
            raise AudioError(f"{Path(path).name}: holds no sound in the part asked for")
        mel = stream.finish()
        if meter:
            meter.push(mel)
        pending = np.concatenate([pending, mel], axis=1)
        # A centred frame more than the sound lasts would call for a window of its own.
        total = min(first + pending.shape[1], -(-num_samples // features.hop_length))
        starts = window_starts(total, window_frames=window, stride=stride, multiple=multiple)
        for start in (start for start in starts if start > next_start - stride):  # those before are done
            cut = pending[:, start - first : min(start + window, total) - first]
            batch.append((start, np.pad(cut, ((0, 0), (0, window - cut.shape[1])))))
        if batch:
            self._run(batch, collected, averages, keep_bands)
        if progress:
            progress(1.0)
        return self._scores(collected, averages, meter, num_samples / features.sample_rate, keep_bands, fault)

    def _run(
        self,
        batch: list[tuple[int, np.ndarray]],
        collected: _Collected,
        averages: dict[str, _OverlapAverage],
        keep_bands: bool,
    ) -> None:
        with torch.inference_mode():
            pictures = self._features.scale(torch.from_numpy(np.stack([mel for _, mel in batch]))).numpy()
        logits = self._engine(pictures)
        collected.clip.append(logits.clip)
        collected.starts.extend(start for start, _ in batch)
        if logits.frames is None:
            return
        num_frames = logits.frames.shape[-1]
        if not averages:
            averages.update(frames=_OverlapAverage(num_frames), bands=_OverlapAverage(num_frames))
        for position, (start, _) in enumerate(batch):
            at = start // self._frame_stride
            self._collect(
                averages["frames"].add(at, logits.frames[position]),
                averages["bands"].add(at, logits.bands[position]),
                collected,
                keep_bands,
            )

    def _collect(self, frames: np.ndarray, bands: np.ndarray, collected: _Collected, keep_bands: bool) -> None:
        if frames.shape[-1] == 0:
            return
        collected.frames.append(_sigmoid(frames).T)
        probability = _sigmoid(bands).transpose(2, 1, 0)  # (frames, bands, classes)
        low, high = band_limits(probability, self._band_edges(probability.shape[1]))
        collected.low.append(low)
        collected.high.append(high)
        if keep_bands:
            if collected.bands is None:
                collected.bands = GrowingArray(probability.shape[1:], np.float16)
            collected.bands.append(probability)

    def _band_edges(self, num_bands: int) -> np.ndarray:
        return band_edges(self.config.features, num_bands)

    def _scores(
        self,
        collected: _Collected,
        averages: dict[str, _OverlapAverage],
        meter: LevelMeter | None,
        duration: float,
        keep_bands: bool,
        fault: str | None,
    ) -> Scores:
        logits = collected.clip.rows()
        frame = self.config.features.frame_seconds
        onsets = np.array([frames_to_seconds(start, frame) for start in collected.starts])
        localized = {}
        if averages and meter:
            remaining = averages["bands"].finish()
            self._collect(averages["frames"].finish(), remaining, collected, keep_bands)
            frame_seconds = frame * self._frame_stride
            count = max(1, int(np.ceil(duration / frame_seconds - 1e-9)))  # the last window may reach beyond the end
            frames = collected.frames.rows(count)
            _limit_frames(
                frames,
                logits,
                [start // self._frame_stride for start in collected.starts],
                -(-round(self.config.window_seconds / frame) // self._frame_stride),
            )
            localized = {
                "frames": frames,
                "frame_seconds": frame_seconds,
                "band_low": collected.low.rows(count),
                "band_high": collected.high.rows(count),
                "bands": collected.bands.rows(count) if collected.bands else None,
                "band_edges": self._band_edges(remaining.shape[1]),
                "above_background": meter.finish(count),
                "level_edges": meter.band_edges,
            }
        return Scores(
            class_names=self.config.class_names,
            duration=duration,
            windows=_sigmoid(logits),
            window_onsets=onsets,
            window_offsets=np.minimum(onsets + self.config.window_seconds, duration),
            recording=_sigmoid(pool_windows(logits)),
            fault=fault,
            note=self._note(duration),
            **localized,
        )

    def _note(self, duration: float) -> str | None:
        stack, window = self.config.features.stack, self.config.window_seconds
        if stack == 1 or duration >= window:
            return None
        return (
            f"The recording lasts {duration:.1f} s, and this model looks at {stack} stretches of {window / stack:.1f} s "
            f"at once ({window:.1f} s): the rest was filled up with silence, so its scores are worth less."
        )
