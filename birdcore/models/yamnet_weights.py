"""YAMNet's published weights: the ``.tflite`` file, the original ``yamnet.h5``, and where both are fetched from.

Either file gives the same list of layers: kernels and biases in order, batch normalisation folded into them. The
weights are Google's, under the Apache License 2.0.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from birdcore.errors import WeightsError
from birdcore.files import file_sha256, replacement_path
from birdcore.models.tflite_file import Layer, read_tflite_layers
from birdcore.places import cache_root

__all__ = [
    "PUBLISHED_FILES",
    "PublishedFile",
    "fetch_yamnet",
    "fold_keras_layers",
    "read_h5_layers",
    "read_yamnet_layers",
]

logger = logging.getLogger(__name__)

KERAS_EPSILON = 1e-4
"""``batchnorm_epsilon`` of YAMNet's published parameters; its batch normalisation has no scale."""

KERAS_CONVOLUTIONS = (
    "layer1/conv",
    *(f"layer{number}/{kind}_conv" for number in range(2, 15) for kind in ("depthwise", "pointwise")),
)

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file of YAMNet's weights as its authors publish it.

    Parameters
    ----------
    name : what it is called here
    url : where it lies
    sha256 : of its content
    """

    name: str
    url: str
    sha256: str


PUBLISHED_FILES = {
    "tflite": PublishedFile(
        name="yamnet.tflite",
        url="https://storage.googleapis.com/mediapipe-models/audio_classifier/yamnet/float32/1/yamnet.tflite",
        sha256="4d8b4a53282dc83ef04e3e7dbc4fbc98082e34e44ed798e16c3a0cdd4c584faf",
    ),
    "h5": PublishedFile(
        name="yamnet.h5",
        url="https://storage.googleapis.com/audioset/yamnet.h5",
        sha256="13c3308955bbfaef262f175ac9c40e47b134573a93984f009220dd7cc12a1744",
    ),
}


def fetch_yamnet(
    kind: Literal["tflite", "h5"] = "tflite",
    *,
    folder: str | Path | None = None,
    url: str | None = None,
    sha256: str | None = None,
) -> Path:
    """YAMNet's weights on this machine, downloaded where they are not here yet.

    Parameters
    ----------
    kind : which of ``PUBLISHED_FILES``
    folder : where the file is kept; ``models/`` of the cache root where None
    url, sha256 : another place and the checksum of what lies there, both or neither

    Returns
    -------
    path of the file, whose checksum is right

    Raises
    ------
    WeightsError
        If the download fails (no network, not found), or is not the file that is meant; nothing is kept of it.
    """
    published = PUBLISHED_FILES[kind]
    if (url is None) != (sha256 is None):
        raise WeightsError(f"{published.name}: a download needs both its url and its sha256; give both or neither")
    url, sha256 = url or published.url, sha256 or published.sha256
    path = Path(folder or cache_root() / "models") / published.name
    if path.is_file() and file_sha256(path) == sha256:
        return path
    logger.info("downloading %s", url)
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            content = response.read()
    # URLError is an OSError; a malformed address is a ValueError; an answer that breaks off is an HTTPException.
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsError(
            f"{published.name}: could not be downloaded from {url} ({reason}); without a network connection, get the "
            f"file elsewhere and give its path (setting yamnet_file), or put it at {path}"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WeightsError(
            f"{published.name}: what {url} gave ({len(content)} bytes, sha256 {found[:12]}…) is not the published file "
            f"({sha256[:12]}…); try again, or get the file elsewhere and give its path (setting yamnet_file)"
        )
    with replacement_path(path) as part:
        part.write_bytes(content)
    return path


def read_yamnet_layers(path: str | Path) -> list[Layer]:
    """Kernels and biases of a published file, told apart by its content: 27 convolutions, then the dense layer.

    Raises
    ------
    WeightsError
        If the file is missing, or is neither of the published kinds, or does not hold YAMNet.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such file; give the path of yamnet.tflite or yamnet.h5 (AudioSet YAMNet, Apache 2.0)"
        )
    with path.open("rb") as file:
        is_h5 = file.read(8) == b"\x89HDF\r\n\x1a\n"
    layers = read_h5_layers(path) if is_h5 else read_tflite_layers(path)
    # The mel filters of some .tflite files are a matrix product too: only the classifier has this many inputs.
    layers = [layer for layer in layers if layer[0].ndim == 4 or layer[0].shape[1] == 1024]
    if [kernel.ndim for kernel, _ in layers] != [4] * len(KERAS_CONVOLUTIONS) + [2]:
        raise WeightsError(
            f"{path.name}: holds {sum(kernel.ndim == 4 for kernel, _ in layers)} convolutions and "
            f"{sum(kernel.ndim == 2 for kernel, _ in layers)} classifiers; YAMNet has {len(KERAS_CONVOLUTIONS)} and 1"
        )
    return layers


def read_h5_layers(path: str | Path) -> list[Layer]:
    """Kernels and biases of the original ``yamnet.h5`` (float32, Keras), batch normalisation folded in, in order.

    Raises
    ------
    WeightsError
        If the package h5py is missing, the file cannot be read, or a layer is missing from it.
    """
    path = Path(path)
    try:
        h5py = importlib.import_module("h5py")  # no requirement: the .tflite gives the same network without it
    except ImportError as error:
        raise WeightsError(
            f"{path.name}: reading it needs the package h5py (pip install h5py); yamnet.tflite is read without it"
        ) from error
    arrays: dict[str, np.ndarray] = {}

    def collect(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = np.asarray(item[()])

    try:
        with h5py.File(path, "r") as file:
            file.visititems(collect)
    except OSError as error:
        raise WeightsError(f"{path.name}: not an HDF5 file that can be read (is the download complete?)") from error
    return fold_keras_layers(arrays, source=path.name)


def fold_keras_layers(arrays: Mapping[str, np.ndarray], *, source: str) -> list[Layer]:
    """YAMNet's layers from Keras's arrays, each convolution with the batch normalisation after it folded in.

    ``kernel / sqrt(variance + epsilon)`` and ``beta - mean / sqrt(variance + epsilon)``.

    Parameters
    ----------
    arrays : dataset name → values, as Keras saves weights: ``<layer>/<layer>/kernel:0`` with the layers
        ``layer1/conv``, ``layer2/depthwise_conv``, ``layer2/pointwise_conv``, … ``layer14/pointwise_conv``, each with
        ``<layer>/bn``, and a dense layer of any name
    source : what to call them in errors

    Raises
    ------
    WeightsError
        If an array is missing.
    """
    # Every layer's name stands twice, once as the group and once in the variable's name, and the group of a model
    # saved whole stands before both: only the second naming is the same in all of them.
    by_variable = {}
    for name, values in arrays.items():
        matched = re.search(r"((?:layer\d+/(?:conv|depthwise_conv|pointwise_conv)(?:/bn)?|[^/]+)/[^/]+?)(?::0)?$", name)
        by_variable[matched[1]] = np.asarray(values, dtype=np.float32)

    def array(name: str) -> np.ndarray:
        if name not in by_variable:
            raise WeightsError(f"{source}: holds no {name!r}; is it the published yamnet.h5?")
        return by_variable[name]

    layers: list[Layer] = []
    for layer in KERAS_CONVOLUTIONS:
        kernel = array(f"{layer}/{'depthwise_kernel' if 'depthwise' in layer else 'kernel'}")
        gain = 1.0 / np.sqrt(array(f"{layer}/bn/moving_variance") + np.float32(KERAS_EPSILON))
        bias = array(f"{layer}/bn/beta") - array(f"{layer}/bn/moving_mean") * gain
        # Keras: (height, width, inputs, outputs), depthwise (height, width, channels, 1); the gain is per output.
        axis = 2 if "depthwise" in layer else 3
        folded = kernel * gain.reshape([-1 if position == axis else 1 for position in range(4)])
        layers.append((folded.transpose(3, 0, 1, 2), bias))
    dense = [name for name, values in by_variable.items() if name.endswith("/kernel") and values.ndim == 2]
    if len(dense) != 1:
        raise WeightsError(f"{source}: holds {len(dense)} dense layers, expected 1; is it the published yamnet.h5?")
    layers.append((array(dense[0]).T, array(dense[0].removesuffix("kernel") + "bias")))
    return layers
