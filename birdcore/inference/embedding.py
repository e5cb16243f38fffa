"""Embeddings: what a model makes of a sound before it names anything, and custom classifiers that stand on them."""

from __future__ import annotations

import threading
from typing import Protocol

import numpy as np
import torch
from torch import nn

from birdcore.config import ModelConfig
from birdcore.errors import WeightsError
from birdcore.features.mel import MelSpectrogram
from birdcore.features.windows import window_starts
from birdcore.inference.waveform_models import open_outside_model
from birdcore.models.checkpoint import Weights, check_sha256, find_weights, load_model, load_state
from birdcore.models.classifier_config import ClassifierConfig
from birdcore.models.embedding_head import EmbeddingHead
from birdcore.models.outside import OutsideConfig
from birdcore.models.registry import naming_layer

__all__ = ["CustomClassifier", "Embedder", "open_embedder", "span_embeddings"]


class Embedder(Protocol):
    """A model that gives an embedding of a window of waveform. Safe to call from several threads.

    Parameters
    ----------
    engine : name of what runs it
    embedding_size : numbers in an embedding
    """

    engine: str
    embedding_size: int

    def embeddings(self, windows: np.ndarray) -> np.ndarray: ...


def open_embedder(weights: Weights) -> Embedder:
    """The model of some weights, for its embedding.

    Of a model from outside that is the tensor its settings name; of our own networks what enters the layer that names
    the species, averaged over time.

    Raises
    ------
    WeightsError
        If the weights are damaged, or no embedding can be had from them.
    """
    if isinstance(weights.config, OutsideConfig):
        return open_outside_model(weights, embedding=True)
    if isinstance(weights.config, ClassifierConfig):
        raise WeightsError(
            f"weights {weights.name!r}: are a custom classifier themselves; build on their base, "
            f"{weights.config.base!r}"
        )
    return _NetworkEmbedder(weights)


class _NetworkEmbedder:
    """One of our networks, cut off before the layer that names the species."""

    engine = "torch"

    def __init__(self, weights: Weights) -> None:
        self._config: ModelConfig = weights.config
        if self._config.treatments:
            raise WeightsError(
                f"weights {weights.name!r}: treat whole recordings ({', '.join(self._config.treatments)}), so single "
                "windows have no embedding; build on other weights"
            )
        self._lock = threading.Lock()  # a hook hears every caller of the network
        self._network = load_model(weights)
        self._features = MelSpectrogram(self._config.features).eval()
        self._layer: nn.Linear | None = None
        if hasattr(self._network, "embed"):  # it is made of an embedding and a head
            noise = np.zeros((1, round(self._config.window_samples)), dtype=np.float32)
            self.embedding_size = self.embeddings(noise).shape[1]
            return
        self._layer = naming_layer(self._network, self._config.num_outputs)
        if self._layer is None:
            raise WeightsError(f"weights {weights.name!r}: {self._config.architecture} has no embedding to build on")
        self.embedding_size = self._layer.in_features

    def embeddings(self, windows: np.ndarray) -> np.ndarray:
        """Shape (batch, window_samples) to (batch, embedding_size), float32."""
        num_frames = round(self._config.window_seconds / self._config.features.frame_seconds)
        with torch.inference_mode():
            mel = self._features.mel(torch.from_numpy(windows))[..., :num_frames]
            embedding = self._embed(self._features.scale(mel))
        while embedding.ndim > 2:  # (batch, time, embedding_size)
            embedding = embedding.mean(dim=1)
        return embedding.float().numpy()

    def _embed(self, pictures: torch.Tensor) -> torch.Tensor:
        if self._layer is None:
            return self._network.embed(pictures)
        caught: list[torch.Tensor] = []
        with self._lock:
            hook = self._layer.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
            try:
                self._network(pictures)
            finally:
                hook.remove()
        return caught[0]


def span_embeddings(embedder: Embedder, spans: np.ndarray, *, base_samples: int) -> np.ndarray:
    """Embeddings of stretches longer than the model's window: the mean over windows that overlap by half.

    Parameters
    ----------
    embedder : the model
    spans : shape (batch, num_samples)
    base_samples : samples in the model's window

    Returns
    -------
    shape (batch, embedding_size)

    Source
    ------
    Averaging frame embeddings over time is how classifiers on YAMNet are published.
    """
    starts = window_starts(spans.shape[1], window_frames=base_samples, stride=max(1, base_samples // 2))
    windows = np.stack([span[start : start + base_samples] for span in spans for start in starts])
    return embedder.embeddings(windows).reshape(len(spans), len(starts), -1).mean(axis=1)


class CustomClassifier:
    """A small network on another model's embedding: a model that takes waveform, like those from outside.

    Parameters
    ----------
    weights : with a ``ClassifierConfig``; the base lies beside them

    Raises
    ------
    WeightsError
        If they are damaged, or the base is missing or is not the one they were made on.
    """

    def __init__(self, weights: Weights) -> None:
        config = weights.config
        assert isinstance(config, ClassifierConfig)
        base = find_weights(weights.path.parent / config.base)
        if check_sha256(base) != config.base_sha256:
            raise WeightsError(
                f"weights {weights.name!r}: were made on another version of {config.base!r} than the one beside them; "
                "make the classifier anew, or put the old version back"
            )
        self._embedder = open_embedder(base)
        self._base_samples = round(config.base_seconds * config.sample_rate)
        self._config = config
        self._head = load_state(weights, EmbeddingHead(config))
        self.engine = self._embedder.engine

    def logits(self, windows: np.ndarray) -> np.ndarray:
        """Log-odds of each class: shape (batch, window_samples) to (batch, num_classes), float32."""
        embedding = span_embeddings(self._embedder, windows, base_samples=self._base_samples)
        with torch.inference_mode():
            logits = self._head(torch.from_numpy(embedding))
            return ((logits - self._config.bias) / self._config.temperature).clamp(-30, 30).numpy()
