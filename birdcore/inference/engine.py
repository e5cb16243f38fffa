"""What runs the network: ONNX Runtime by default, torch where asked for or where a GPU is."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import warnings
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from birdcore.config import to_dict
from birdcore.errors import ConfigError, WeightsError
from birdcore.files import replacement_path
from birdcore.inference.onnx_session import open_session
from birdcore.models.checkpoint import Weights, check_sha256, load_model
from birdcore.places import cache_root

__all__ = ["Engine", "OnnxEngine", "TorchEngine", "WindowLogits", "example_pictures", "export_network", "make_engine"]

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Largest difference between the probabilities of the exported network and of torch that is accepted."""


class WindowLogits(NamedTuple):
    """Calibrated log-odds of the reported classes for a batch of windows.

    Parameters
    ----------
    clip : shape (batch, num_classes)
    frames : shape (batch, num_classes, num_frames) or None
    bands : shape (batch, num_classes, num_bands, num_frames) or None
    """

    clip: np.ndarray
    frames: np.ndarray | None
    bands: np.ndarray | None


class Engine(Protocol):
    """Anything that turns pictures of shape (batch, height, width) into WindowLogits.

    Safe to call from several threads.
    """

    name: str

    def __call__(self, pictures: np.ndarray) -> WindowLogits: ...


class _Reported(nn.Module):
    """The network cut down to what is reported: no auxiliary classes, no training outputs, calibration applied."""

    def __init__(self, model: nn.Module, weights: Weights) -> None:
        super().__init__()
        self.model = model
        self.num_classes = weights.config.num_classes
        self.temperature = weights.config.temperature
        by_class = torch.tensor(weights.config.class_biases or (0.0,), dtype=torch.float32)
        self.register_buffer("bias", weights.config.bias + by_class, persistent=False)
        self.frame_bias = weights.config.frame_bias

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        output = self.model(picture)
        clip = (output.clip[:, : self.num_classes] - self.bias) / self.temperature
        if output.frames is None:
            return (clip,)
        return clip, output.frames[:, : self.num_classes] - self.frame_bias, output.bands - self.frame_bias


class TorchEngine:
    """The network in torch, on the GPU where there is one."""

    name = "torch"

    def __init__(self, weights: Weights) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = _Reported(load_model(weights), weights).eval().to(self._device)

    def __call__(self, pictures: np.ndarray) -> WindowLogits:
        with torch.inference_mode():
            outputs = self._network(torch.from_numpy(pictures).to(self._device))
        return WindowLogits(*[*(output.float().cpu().numpy() for output in outputs), None, None][:3])


class OnnxEngine:
    """The network in ONNX Runtime, exported once per weights file and checked against torch.

    Attributes
    ----------
    file : the exported network

    Raises
    ------
    WeightsError
        If the exported network does not give torch's probabilities.
    """

    name = "onnx"

    def __init__(self, weights: Weights) -> None:
        sha256 = check_sha256(weights)
        if "engine" in weights.facts:  # a quantised copy is an exported network already
            self.file = weights.file
            self._session = open_session(self.file, name=f"weights {weights.name!r}")
        else:
            self.file = cache_root() / "engines" / f"{_key(weights, sha256)}.onnx"
            self._session = _cached_session(weights, self.file)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, pictures: np.ndarray) -> WindowLogits:
        outputs = self._session.run(None, {self._input: pictures})
        return WindowLogits(*[*outputs, None, None][:3])


def _cached_session(weights: Weights, file: Path) -> Any:
    """A session of the network as it was exported before, or, where that is missing or damaged, is exported now."""
    if file.is_file():
        try:
            return open_session(file)
        except WeightsError as error:
            logger.warning("%s; exporting the network once more", error)
    export_network(load_model(weights), weights, file)
    return open_session(file, name=f"weights {weights.name!r}")


def _key(weights: Weights, sha256: str) -> str:
    """What the exported network depends on: the tensors, and the settings that go into it."""
    settings = json.dumps(to_dict(weights.config), sort_keys=True)
    return hashlib.sha256(f"{sha256}{settings}".encode()).hexdigest()[:32]


def example_pictures(weights: Weights, *, batch: int) -> np.ndarray:
    """Made-up pictures of the shape the network expects, with the spread of real ones.

    Returns
    -------
    shape (batch, height, width), or (batch, num_channels, height, width) with more than one channel
    """
    channels, *size = weights.config.picture_shape
    shape = (channels, *size) if channels > 1 else size
    return np.random.default_rng(0).normal(size=(batch, *shape)).astype(np.float32)


def export_network(model: nn.Module, weights: Weights, file: Path) -> None:
    """Write a network as ONNX; the file appears under its name only after it gave torch's probabilities.

    Parameters
    ----------
    model : the weights' network, or a changed one of the same kind
    weights : their config says what is reported and how the input looks

    Raises
    ------
    WeightsError
        If the exported network does not give torch's probabilities.
    """
    network = _Reported(model, weights).eval()
    example = torch.from_numpy(example_pictures(weights, batch=2))
    names = ["clip", "frames", "bands"][: len(network(example))]
    with replacement_path(file) as part:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # the exporter warns about its own internals
            torch.onnx.export(
                network,
                (example,),
                str(part),
                input_names=["pictures"],
                output_names=names,
                dynamic_axes={name: {0: "batch"} for name in ["pictures", *names]},
                opset_version=17,
                dynamo=False,
            )
        session = open_session(part, name=f"weights {weights.name!r}")
        check = example_pictures(weights, batch=3)
        with torch.inference_mode():
            expected = [torch.sigmoid(output).numpy() for output in network(torch.from_numpy(check))]
        for name, ours, theirs in zip(names, expected, session.run(None, {"pictures": check}), strict=True):
            difference = float(np.abs(ours - 1 / (1 + np.exp(-theirs))).max())
            if not difference <= TOLERANCE:
                raise WeightsError(
                    f"weights {weights.name!r}: the ONNX export differs from torch by {difference:.1e} in {name}; "
                    "use the torch engine"
                )


def make_engine(weights: Weights, kind: str = "auto") -> Engine:
    """An engine for some weights.

    Parameters
    ----------
    kind : "onnx", "torch", or "auto": torch where a GPU is, else ONNX Runtime, else (if the export fails) torch with
        a warning

    Raises
    ------
    ConfigError
        If the kind is unknown.
    WeightsError
        If the weights are damaged.
    """
    is_engine = "engine" in weights.facts and kind == "auto"
    if kind == "torch" or (kind == "auto" and torch.cuda.is_available() and not is_engine):
        return TorchEngine(weights)
    if kind == "onnx" or is_engine:
        return OnnxEngine(weights)
    if kind != "auto":
        raise ConfigError(f"engine {kind!r}: unknown; use auto, onnx or torch")
    try:
        return OnnxEngine(weights)
    except (WeightsError, OSError, RuntimeError) as error:
        logger.warning("ONNX Runtime is not used: %s", error)
        return TorchEngine(weights)
