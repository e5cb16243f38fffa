"""What a network knows before its first step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from birdcore.config import ClassName, TrainConfig
from birdcore.errors import RunError, WeightsError
from birdcore.models.birdnet import BirdnetTrunk, load_birdnet_names, load_birdnet_trunk
from birdcore.models.checkpoint import find_weights, load_model
from birdcore.models.imagenet import load_imagenet_weights
from birdcore.models.labels import read_labels
from birdcore.models.registry import naming_layer
from birdcore.models.yamnet import YamnetTrunk, load_yamnet_trunk
from birdcore.models.yamnet_weights import fetch_yamnet

__all__ = ["SHIPPED", "expect_rarely", "initialize"]

SHIPPED = {YamnetTrunk: "crnn_yamnet", BirdnetTrunk: "crnn"}
"""Names of the weights that have such a trunk and come with birdcore."""


def initialize(model: nn.Module, config: TrainConfig, *, data_root: Path, outputs: Sequence[ClassName] = ()) -> str:
    """Fill a fresh network with pretrained weights where the run asks for them; a sentence says what happened.

    Parameters
    ----------
    model : filled in place
    config : ``init`` and what belongs to it; paths are relative to the data folder
    data_root : the data folder
    outputs : what the network's outputs are called, where pretrained weights may know some of them

    Raises
    ------
    RunError
        If there are no such weights for the network.
    WeightsError
        If a named file does not fit it.
    """
    if config.architecture == "embedding_mlp" and config.init != config.options.get("trunk", "crnn"):
        raise RunError(
            f"init = {config.init!r}: the trunk of embedding_mlp never learns, so it must be the pretrained one that "
            f"its option trunk names; use init = {config.options.get('trunk', 'crnn')!r}"
        )
    if config.init in ("yamnet", "birdnet", "crnn"):
        trunk = getattr(model, "trunk", None)
        if trunk is None or (isinstance(trunk, BirdnetTrunk) != (config.init == "birdnet") and config.init != "crnn"):
            raise RunError(f"init = {config.init!r}: {config.architecture} has no such trunk; use init = 'scratch'")
        return _fill_trunk(model, trunk, config, data_root=data_root, outputs=outputs)
    if config.init == "imagenet":
        return load_imagenet_weights(model, data_root / config.imagenet_file if config.imagenet_file else None)
    return "random weights"


def _fill_trunk(
    model: nn.Module,
    trunk: YamnetTrunk | BirdnetTrunk,
    config: TrainConfig,
    *,
    data_root: Path,
    outputs: Sequence[ClassName],
) -> str:
    if config.init == "birdnet":
        file = _find_birdnet(config, data_root)
        if file is not None:
            load_birdnet_trunk(trunk, file)
            names = _fill_names(model, file, outputs)
            return f"trunk: BirdNET V2.4's weights from {file.name} (CC BY-NC-SA 4.0){names}"
        file = config.birdnet_file or "file of BirdNET (python -m birdcore models add … --preset birdnet adds it)"
    else:
        file = data_root / config.yamnet_file
        found = bool(config.yamnet_file) and file.is_file()
        if config.init == "yamnet" and (found or config.architecture == "embedding_mlp"):
            # A frozen trunk must be YAMNet's very own; elsewhere it only is where training begins.
            file = file if found else fetch_yamnet()
            load_yamnet_trunk(trunk, file)
            return f"trunk: YAMNet's weights from {file.name} (Google, Apache License 2.0)"
    name = config.trunk_weights or SHIPPED[type(trunk)]
    weights = find_weights(name)
    network = load_model(weights)
    theirs = getattr(network, "trunk", None)
    if type(theirs) is not type(trunk):
        kind = "BirdNET" if isinstance(trunk, BirdnetTrunk) else "YAMNet"
        raise RunError(
            f"trunk_weights = {name!r}: are of architecture {weights.config.architecture!r}, which does not stand on "
            f"{kind}'s trunk; name weights of a crnn that does, such as {SHIPPED[type(trunk)]!r}"
        )
    trunk.load_state_dict(theirs.state_dict())
    source = f"taken from the weights {name!r}"
    return f"trunk: {source}" if config.init == "crnn" else f"trunk: there is no {file}; {source} instead"


def _fill_names(model: nn.Module, file: Path, outputs: Sequence[ClassName]) -> str:
    """BirdNET's own naming of the species that it knows, where its labels lie beside its file."""
    layer = naming_layer(model, len(outputs)) if outputs else None
    labels = (file.with_name(file.name.replace("Model_FP32.tflite", "Labels.txt")), file.with_name("labels.txt"))
    labels = [found for found in labels if found != file and found.is_file()]
    if layer is None or not labels:
        return "" if layer is None else "; no labels lie beside it, so that every species is learnt anew"
    count = load_birdnet_names(
        layer,
        file,
        labels=[name.scientific for name in read_labels(labels[0], "scientific_common")],
        wanted=[name.scientific for name in outputs],
    )
    return f"; it knows {count} of {len(outputs)} species by name"


def _find_birdnet(config: TrainConfig, data_root: Path) -> Path | None:
    """The file that the run names, or that of BirdNET where it was added as a model from outside."""
    if config.birdnet_file:
        file = data_root / config.birdnet_file
        return file if file.is_file() else None
    try:
        return find_weights("birdnet").file
    except WeightsError:
        return None


@torch.no_grad()
def expect_rarely(network: nn.Module, share: np.ndarray) -> None:
    """Let a fresh network begin by expecting each class as often as it comes.

    Else it spends its first hundreds of steps on learning to say "no" to almost everything, and a recurrent network may
    not come out of that. Nothing happens to a network without a layer that names species.

    Parameters
    ----------
    share : shape (num_outputs,), share of the windows that hold each class

    Source
    ------
    Lin et al. (2017), "Focal loss for dense object detection", section 4.1.
    """
    layer = naming_layer(network, len(share))
    if layer is not None and layer.bias is not None:
        share = np.clip(share, 1e-3, 0.5)
        layer.bias.copy_(torch.from_numpy(np.log(share / (1 - share))))
