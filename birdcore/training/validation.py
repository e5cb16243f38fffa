"""How good a network is on the recordings that a run held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from birdcore.config import ModelConfig
from birdcore.evaluation.clips import class_average_precision, macro_roc_auc, top1_accuracy
from birdcore.features.mel import MelSpectrogram
from birdcore.features.windows import pool_windows, window_starts
from birdcore.training.sources import TrainingData

__all__ = ["METRICS", "Validation", "recording_logits", "reference_of", "validate"]


METRICS = {"macro_auc": macro_roc_auc, "cmap": class_average_precision, "top1": top1_accuracy}
"""Figures of a validation fold: name → function of reference and estimated, both (num_recordings, num_classes)."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a network says about the recordings that a run held out.

    Parameters
    ----------
    figures : name → value
    labels, logits : shape (num_validation_recordings, num_classes); without a row where nothing was held out
    """

    figures: dict[str, float]
    labels: np.ndarray
    logits: np.ndarray


@torch.inference_mode()
def _window_logits(model: nn.Module, features: MelSpectrogram, mel: np.ndarray, config: ModelConfig) -> np.ndarray:
    """Logits of the reported classes for windows that overlap by half: shape (num_windows, num_classes).

    Parameters
    ----------
    mel : shape (num_frames, n_mels), unscaled
    """
    device = next(model.parameters()).device
    window_frames = config.window_frames
    starts = window_starts(len(mel), window_frames=window_frames, stride=window_frames // 2)
    windows = np.zeros((len(starts), window_frames, mel.shape[1]), dtype=np.float32)
    for window, start in zip(windows, starts, strict=True):
        window[: len(mel[start : start + window_frames])] = mel[start : start + window_frames]
    picture = features.scale(torch.from_numpy(windows).transpose(1, 2).contiguous().to(device))
    return model(picture).clip[:, : config.num_classes].float().cpu().numpy()


def recording_logits(model: nn.Module, features: MelSpectrogram, data: TrainingData, config: ModelConfig) -> np.ndarray:
    """Logits of the validation recordings as :func:`pool_windows` makes them of windows.

    A network trained with cross-entropy is ranked by these same logits, without a softmax, which would make what one
    recording scores for a class depend on what it scores for the others.

    Returns
    -------
    shape (num_validation_recordings, num_classes), in the order of ``data.validation``
    """
    rows = [pool_windows(_window_logits(model, features, mel, config)) for _, mel in data.validation]
    return np.stack(rows) if rows else np.zeros((0, config.num_classes), dtype=np.float32)


def reference_of(data: TrainingData) -> np.ndarray:
    """Labels of the validation recordings: shape (num_validation_recordings, num_classes), 0 or 1."""
    codes = [name.code for name in data.class_names]
    return np.array([[recording.holds(code) for code in codes] for recording, _ in data.validation], dtype=float)


def validate(model: nn.Module, features: MelSpectrogram, data: TrainingData, config: ModelConfig) -> Validation:
    """Recording-level metrics of the validation fold, and the share of bird-free windows that report any class."""
    figures: dict[str, float] = {}
    logits = recording_logits(model, features, data, config)
    labels = reference_of(data).reshape(logits.shape)
    if data.validation:
        field = np.array([recording.kind == "field" for recording, _ in data.validation])
        figures = {
            **{name: metric(labels, logits) for name, metric in METRICS.items()},
            "field_top1": top1_accuracy(labels[field], logits[field]),
        }
    if data.validation_backgrounds:
        best = [_window_logits(model, features, mel, config).max(axis=1) for mel in data.validation_backgrounds]
        figures["false_alarms"] = float((np.concatenate(best) > 0).mean())
    return Validation(figures=figures, labels=labels, logits=logits)
