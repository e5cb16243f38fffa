"""Learning from another model: a network imitates what a teacher makes of the training recordings.

A few hundred labelled recordings say little; the embedding of a model that has heard many thousands says, for every
second, which sounds are alike. The teacher listens to the training recordings once, its embeddings are kept in the
cache, and the network learns to tell the embedding from its own features while it learns everything else. The layer it
does that with is gone after training, and nothing of the teacher is in the weights.

Source
------
Romero et al. (2015), "FitNets: hints for thin deep nets".
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from birdcore.audio.decode import open_audio
from birdcore.data.teacher import TeacherTrack, reduce_tracks
from birdcore.data.windows import TrainingSource
from birdcore.errors import RunError, WeightsError
from birdcore.files import file_sha256
from birdcore.inference.embedding import Embedder, open_embedder
from birdcore.models.checkpoint import Weights, find_weights
from birdcore.models.output import ModelOutput
from birdcore.models.registry import naming_layer
from birdcore.places import cache_root
from birdcore.training.run_directory import replace_atomically
from birdcore.training.sources import TrainingData

__all__ = ["Student", "Teacher", "imitation_loss", "learn_from"]

logger = logging.getLogger(__name__)

TEACHER_SIZE = 256
"""Directions of the teacher's embedding that are imitated. Of BirdNET's 1,024 they hold 82 % of the standardised
variance over 6,051 spans of training recordings."""

SPANS_PER_BATCH = 16


class Teacher:
    """A model that listens to training recordings.

    Parameters
    ----------
    weights : of a model that has an embedding
    """

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._embedder: Embedder | None = None  # opened for the first recording that is not in the cache
        self._folder = cache_root() / "teacher" / file_sha256(weights.file)[:16]

    def track(self, path: Path) -> TeacherTrack:
        """What the teacher makes of a recording, from the cache where it has heard it before.

        Returns
        -------
        a track of embeddings, shape (num_spans, embedding_size), float16, every half of the teacher's window

        Raises
        ------
        AudioError
            If the file cannot be decoded.
        WeightsError
            If the model is damaged, or has no embedding.
        """
        stored = self._folder / f"{file_sha256(path)[:32]}.npy"
        try:
            embeddings = np.load(stored, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            embeddings = self._listen(path)
            self._store(stored, embeddings)
        span = self.weights.config.window_seconds
        return TeacherTrack(embeddings=embeddings, hop_seconds=span / 2, span_seconds=span)

    def _listen(self, path: Path) -> np.ndarray:
        if self._embedder is None:
            self._embedder = open_embedder(self.weights)
        config = self.weights.config
        rate = config.sample_rate if self.weights.is_outside else config.features.sample_rate
        length = round(config.window_seconds * rate)
        hop = length // 2
        found, spans, rest = [], [], np.zeros(0, dtype=np.float32)
        with open_audio(path, sample_rate=rate) as stream:
            for block in stream:
                rest = np.concatenate([rest, block])
                while len(rest) >= length:
                    spans.append(rest[:length])
                    rest = rest[hop:]
                while len(spans) >= SPANS_PER_BATCH:
                    found.append(self._embedder.embeddings(np.stack(spans[:SPANS_PER_BATCH])))
                    spans = spans[SPANS_PER_BATCH:]
        # The end counts where it holds something new: more than the half that overlaps the last span.
        if len(rest) > hop or not (spans or found):
            spans.append(np.pad(rest[:length], (0, max(0, length - len(rest)))))
        if spans:
            found.append(self._embedder.embeddings(np.stack(spans)))
        return np.concatenate(found).astype(np.float16)

    def _store(self, stored: Path, embeddings: np.ndarray) -> None:
        def write(temporary: Path) -> None:
            # A file, not its name: NumPy adds .npy to names.
            with temporary.open("wb") as file:
                np.save(file, embeddings, allow_pickle=False)

        try:
            stored.parent.mkdir(parents=True, exist_ok=True)
            replace_atomically(stored, write)
        except OSError as error:
            logger.warning("%s: what the teacher heard cannot be kept (%s)", stored.parent, error)


def learn_from(name: str, data: TrainingData) -> TrainingData:
    """Give the sources of a run what its teacher makes of them; its record names the teacher and its licence.

    Only recordings that are trained on are listened to. Where the teacher is not there, or its folder is not complete,
    the run goes on without, and its record says so.

    Parameters
    ----------
    name : name or folder of the teacher's weights
    data : what the run trains on

    Raises
    ------
    WeightsError
        If the teacher's model is damaged, or has no embedding.
    """
    try:
        teacher = Teacher(find_weights(name))
    except WeightsError as error:
        logger.warning(
            "teacher = %r: %s. Trained without a teacher; python -m birdcore models add … puts one there", name, error
        )
        return dataclasses.replace(data, provenance={**data.provenance, "teacher": f"none ({name} could not be used)"})
    groups = {kind: getattr(data, kind) for kind in ("weak", "auxiliary_sources", "strong", "backgrounds")}
    paths = list(dict.fromkeys(s.path for sources in groups.values() for s in sources if s.path is not None))
    logger.info("teacher %s listens to %d recordings, or remembers them", name, len(paths))
    tracks = dict(zip(paths, reduce_tracks([teacher.track(p) for p in paths], size=TEACHER_SIZE), strict=True))

    def taught(sources: list[TrainingSource]) -> list[TrainingSource]:
        return [dataclasses.replace(source, teacher=tracks.get(source.path)) for source in sources]

    return dataclasses.replace(
        data,
        **{kind: taught(sources) for kind, sources in groups.items()},
        provenance={**data.provenance, "teacher": _describe(teacher.weights)},
    )


def _describe(weights: Weights) -> str:
    facts = weights.facts
    licence = f", {facts['licence']}" if facts.get("licence") else ""
    return f"{weights.name}: {facts.get('summary', 'no summary')}{licence}".rstrip(".")


class Student(nn.Module):
    """A network and the layer that tells the teacher's embedding from what the network makes of a window.

    Parameters
    ----------
    network : any network whose species are named by a linear layer with ``num_outputs`` outputs
    num_outputs : of the network
    size : numbers in the teacher's embedding

    Raises
    ------
    RunError
        If the network has no such layer.
    """

    def __init__(self, network: nn.Module, *, num_outputs: int, size: int) -> None:
        super().__init__()
        layer = naming_layer(network, num_outputs)
        if layer is None:
            raise RunError(
                "teacher: this network names species by no linear layer, so it cannot imitate; use teacher = ''"
            )
        self.network = network
        self.imitation = nn.Linear(layer.in_features, size)
        self._heard: list[Tensor] = []
        layer.register_forward_pre_hook(lambda _, inputs: self._heard.append(inputs[0]))

    def forward(self, picture: Tensor) -> tuple[ModelOutput, Tensor]:
        """What the network says of pictures, and what it takes the teacher to say: shape (batch, size)."""
        output = self.network(picture)
        features = self._heard.pop()
        self._heard.clear()
        while features.ndim > 2:  # (batch, time, features)
            features = features.mean(dim=1)
        return output, self.imitation(features)


def imitation_loss(estimate: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error over the windows that the teacher has heard, 1 for imitating its mean only.

    Parameters
    ----------
    estimate, target : shape (batch, size)
    weight : shape (batch,), 0 where the teacher has not heard the window as it is
    """
    return ((estimate - target).square().mean(dim=1) * weight).sum() / weight.sum().clamp(min=1.0)
