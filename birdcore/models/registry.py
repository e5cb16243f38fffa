"""The one list of architectures: a name, what it is, how it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from birdcore.config import ModelConfig
from birdcore.errors import ConfigError
from birdcore.models.attention_pooling import AttentionPooling
from birdcore.models.bulbul import Bulbul
from birdcore.models.crnn import Crnn
from birdcore.models.crnn_s0 import CrnnS0
from birdcore.models.efficientnet import EfficientNetB0
from birdcore.models.embedding_mlp import EmbeddingMlp
from birdcore.models.ensemble import Ensemble, member_config
from birdcore.models.hawk import Hawk
from birdcore.models.mobilenet_v2 import MobileNetV2
from birdcore.models.puffin import Puffin
from birdcore.models.resnet18 import ResNet18
from birdcore.models.sparrow import Sparrow
from birdcore.models.zilpzalp import Zilpzalp

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "build_model",
    "frame_stride",
    "list_architectures",
    "localizes",
    "naming_layer",
]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One entry: name, one-line summary, what it localizes, the features it is made for, and its constructor."""

    name: str
    summary: str
    localizes: bool
    features: str
    build: Callable[[ModelConfig], nn.Module]


def _build_ensemble(config: ModelConfig) -> nn.Module:
    return Ensemble(config, build_member=build_model)


ARCHITECTURES = {
    entry.name: entry
    for entry in (
        Architecture(
            name="crnn",
            summary="Pretrained trunk; clip, frame and time-frequency heads: which species, when, at what frequency",
            localizes=True,
            features="yamnet_wide",
            build=Crnn,
        ),
        Architecture(
            name="crnn_s0",
            summary="The CRNN published for the Amazon soundscapes (S0), for comparison",
            localizes=True,
            features="s0",
            build=CrnnS0,
        ),
        Architecture(
            name="efficientnet_b0",
            summary="EfficientNet-B0 on one-channel mel pictures (S1): which species",
            localizes=False,
            features="s1",
            build=EfficientNetB0,
        ),
        Architecture(
            name="bulbul",
            summary="Four small convolutions and a dense layer (S2)",
            localizes=False,
            features="s2",
            build=Bulbul,
        ),
        Architecture(
            name="sparrow",
            summary="Convolutions that judge each moment, then all moments together (S2)",
            localizes=False,
            features="s2",
            build=Sparrow,
        ),
        Architecture(
            name="hawk",
            summary="Wide timbre kernels beside long temporal kernels (S2)",
            localizes=False,
            features="s2",
            build=Hawk,
        ),
        Architecture(
            name="zilpzalp",
            summary="Two towers, of tall frequency kernels and of wide time kernels (S2)",
            localizes=False,
            features="s2",
            build=Zilpzalp,
        ),
        Architecture(
            name="puffin",
            summary="Convolutions, then recurrent layers along time (S2)",
            localizes=False,
            features="s2",
            build=Puffin,
        ),
        Architecture(
            name="mobilenet_v2",
            summary="MobileNetV2 on ten stacked spectrograms, reduced or as in its paper (S3)",
            localizes=False,
            features="s3_short",
            build=MobileNetV2,
        ),
        Architecture(
            name="resnet18",
            summary="ResNet-18 with its first convolution widened to ten stacked spectrograms (S3)",
            localizes=False,
            features="s3_short",
            build=ResNet18,
        ),
        Architecture(
            name="embedding_mlp",
            summary="A small network on the embeddings of a frozen trunk, YAMNet's or crnn's (S4): quick to train",
            localizes=False,
            features="yamnet_wide",
            build=EmbeddingMlp,
        ),
        Architecture(
            name="ensemble",
            summary="Several networks of one architecture, for example one from each fold, that answer as one",
            localizes=False,  # unless its members do: see `localizes`
            features="s1",
            build=_build_ensemble,
        ),
    )
}


def list_architectures() -> list[dict[str, object]]:
    """Facts of every architecture as plain dictionaries: name, summary, localizes, features."""
    return [
        {"name": a.name, "summary": a.summary, "localizes": a.localizes, "features": a.features}
        for a in ARCHITECTURES.values()
    ]


def localizes(config: ModelConfig) -> bool:
    """Whether a network says when and at what frequency; an ensemble does what its members do."""
    if config.architecture == "ensemble":
        config = member_config(config)
    return _architecture(config).localizes


def frame_stride(config: ModelConfig) -> int:
    """Mel frames per frame that a network answers for; 1 where it answers for whole windows only.

    Windows that start at multiples of it have frames in common.
    """
    if config.architecture == "ensemble":
        config = member_config(config)
    build = _architecture(config).build
    return build.stride_of(config) if hasattr(build, "stride_of") else 1


def build_model(config: ModelConfig) -> nn.Module:
    """Build a network with fresh weights from the config saved beside its weights.

    Raises
    ------
    ConfigError
        If the architecture is unknown or its options are wrong.
    """
    return _architecture(config).build(config)


def _architecture(config: ModelConfig) -> Architecture:
    if config.architecture not in ARCHITECTURES:
        raise ConfigError(f"architecture {config.architecture!r}: unknown; one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[config.architecture]


def naming_layer(network: nn.Module, num_outputs: int) -> nn.Linear | None:
    """The layer that names the species: what enters it is the network's embedding, its bias what is expected unheard.

    None in a network that has none of its own. An ensemble has none: each of its members hears something else, and any
    one of them would speak for all.
    """
    if isinstance(network, Ensemble):
        return None
    weighing = {id(part) for m in network.modules() if isinstance(m, AttentionPooling) for part in m.modules()}
    for layer in network.modules():
        if isinstance(layer, nn.Linear) and layer.out_features == num_outputs and id(layer) not in weighing:
            return layer
    return None
