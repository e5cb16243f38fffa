"""BirdNET's body as a trunk that keeps time and frequency.

An EfficientNet-like network on two mel pictures of one sound, which are its two channels: the bass (0 to 3 kHz, long
windows) and the whole (0.5 to 15 kHz, short ones). Batch normalisation stays folded into the convolutions, as in the
published ``.tflite`` file.

Source
------
Kahl, Wood, Eibl and Klinck (2021), "BirdNET: A deep learning solution for avian diversity monitoring", Ecological
Informatics 61; weights: BirdNET V2.4, K. Lisa Yang Center for Conservation Bioacoustics, CC BY-NC-SA 4.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from birdcore.errors import WeightsError
from birdcore.models.tflite_file import read_tflite_layers, read_tflite_scales

__all__ = ["FREEZABLE", "BirdnetTrunk", "load_birdnet_names", "load_birdnet_trunk"]

FREEZABLE = 6
"""Parts of the trunk that can be kept from learning: the stem, four stages, and what makes the embedding."""


# (input channels, expanded channels, output channels, blocks, channels of the gate) of the four stages.
_STAGES = ((24, 72, 36, 3, 0), (36, 288, 72, 4, 18), (72, 864, 108, 5, 27), (108, 1536, 192, 4, 48))

_MAGNITUDE_TO_PUBLISHED = ((1.039, -0.219), (0.728, -0.152))
"""Gain and offset that give pictures of magnitudes (``MEL_BIRDNET``) the mean and spread of BirdNET's own, whose cells
are sums of real parts: measured on 344 recordings of 25 species, bass and whole."""


class _InvertedBottleneck(nn.Module):
    """Widen, look around channel by channel, weigh the channels (squeeze and excitation), narrow."""

    def __init__(self, inputs: int, expanded: int, outputs: int, *, stride: int, gate: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(inputs, expanded, 1)
        self.depthwise = nn.Conv2d(expanded, expanded, 3, stride=stride, padding=1, groups=expanded)
        if gate:
            self.squeeze = nn.Conv2d(expanded, gate, 1)
            self.excite = nn.Conv2d(gate, expanded, 1)
        self.project = nn.Conv2d(expanded, outputs, 1)
        self.has_gate = gate > 0
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = functional.silu(self.depthwise(functional.silu(self.expand(x))))
        if self.has_gate:
            mean = wide.mean(dim=(2, 3), keepdim=True)
            wide = wide * torch.sigmoid(self.excite(functional.silu(self.squeeze(mean))))
        return x + self.project(wide) if self.is_residual else self.project(wide)


class BirdnetTrunk(nn.Module):
    """BirdNET V2.4 without its front end and its classifier, giving the feature maps before each halving.

    Nothing in it depends on the batch.
    """

    channels = (36, 72, 108, 192, 1024)

    def __init__(self) -> None:
        super().__init__()
        self.input_gain, self.input_bias = nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(2))
        self.stem = nn.Conv2d(2, 24, (4, 8), stride=2)
        self.pool = nn.Conv2d(48, 24, 1)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    _InvertedBottleneck(
                        outputs if number else inputs, expanded, outputs, stride=1 if number else 2, gate=gate
                    )
                    for number in range(count)
                )
            )
            for inputs, expanded, outputs, count, gate in _STAGES
        )
        self.last_gain, self.last_bias = nn.Parameter(torch.ones(192)), nn.Parameter(torch.zeros(192))
        self.last = nn.Conv2d(192, 1024, 3)

    def freeze(self, count: int) -> None:
        """Keep the first ``count`` of ``FREEZABLE`` parts from learning: 1 is the stem, 6 everything."""
        parts = [[self.input_gain, self.input_bias, *self.stem.parameters(), *self.pool.parameters()]]
        parts += [[*stage.parameters()] for stage in self.stages]
        parts += [[self.last_gain, self.last_bias, *self.last.parameters()]]
        for parameter in chain.from_iterable(parts[:count]):
            parameter.requires_grad_(False)

    def forward(self, picture: Tensor) -> list[Tensor]:
        """Feature maps, lowest row first.

        Parameters
        ----------
        picture : shape (batch, 2, n_mels, num_frames), lowest band first; n_mels a multiple of 32, at least 96, frames
            a multiple of 64, at least 192

        Returns
        -------
        maps at 1/4, 1/8, 1/16 and 1/32 of the picture's height and 1/8, 1/16, 1/32 and 1/64 of its width, shape
        (batch, channels[i], …), then the embedding, shape (batch, 1024, n_mels / 32 - 2, num_frames / 64 - 2), 0 or
        more; its column ``j`` is centred on column ``j + 1`` of the map before it
        """
        x = picture.flip(2) * self.input_gain[:, None, None] + self.input_bias[:, None, None]  # BirdNET's highest first
        x = functional.relu(self.stem(functional.pad(x, (3, 4, 1, 1))))
        x = self.pool(torch.cat([functional.max_pool2d(x, (1, 2)), functional.avg_pool2d(x, (1, 2))], dim=1))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x.flip(2))
        x = functional.relu(x * self.last_gain[:, None, None] + self.last_bias[:, None, None])
        return [*maps, functional.relu(self.last(x)).flip(2)]


@torch.no_grad()
def load_birdnet_trunk(trunk: BirdnetTrunk, path: str | Path) -> None:
    """Fill a trunk with BirdNET's published weights, tuned to pictures of magnitudes (``MEL_BIRDNET``).

    Parameters
    ----------
    path : ``BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite``

    Raises
    ------
    WeightsError
        If the file is missing or does not hold BirdNET V2.4.
    """
    path = Path(path)
    *layers, _ = read_tflite_layers(path)
    convolutions = [module for module in trunk.modules() if isinstance(module, nn.Conv2d)]
    scales = [vector for vector in read_tflite_scales(path) if len(vector) in (2, 192)]
    if len(layers) != len(convolutions) or [len(vector) for vector in scales] != [2, 2, 192, 192]:
        raise WeightsError(
            f"{path.name}: holds {len(layers)} convolutions where BirdNET V2.4 has {len(convolutions)}; give the path "
            "of BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite"
        )
    for parameter, vector in zip(
        (trunk.input_gain, trunk.input_bias, trunk.last_gain, trunk.last_bias), scales, strict=True
    ):
        parameter.copy_(torch.from_numpy(np.array(vector)))
    gain, offset = torch.tensor(_MAGNITUDE_TO_PUBLISHED).T
    trunk.input_bias += trunk.input_gain * offset
    trunk.input_gain *= gain
    for (kernel, bias), module in zip(layers, convolutions, strict=True):
        # (outputs, frequency, time, inputs), depthwise (1, frequency, time, channels)
        kernel = kernel.transpose((3, 0, 1, 2) if module.groups > 1 else (0, 3, 1, 2))
        if kernel.shape != tuple(module.weight.shape):
            raise WeightsError(
                f"{path.name}: weights of shape {kernel.shape} where BirdNET V2.4 has {tuple(module.weight.shape)}"
            )
        module.weight.copy_(torch.from_numpy(np.array(kernel, order="C")))
        module.bias.copy_(torch.from_numpy(np.array(bias)))


@torch.no_grad()
def load_birdnet_names(layer: nn.Linear, path: str | Path, *, labels: Sequence[str], wanted: Sequence[str]) -> int:
    """Let a layer on the embedding name the species that BirdNET knows as BirdNET does; its other rows stay.

    Parameters
    ----------
    layer : from the 1024 channels of the embedding to one logit per species
    path : ``BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite``
    labels : scientific name of each of BirdNET's classes
    wanted : scientific name of each of the layer's outputs; "" is none

    Returns
    -------
    number of outputs that BirdNET knows

    Raises
    ------
    WeightsError
        If the file is missing, or its classes are not as many as the labels.
    """
    kernel, bias = read_tflite_layers(path)[-1]
    if kernel.shape != (len(labels), layer.in_features):
        raise WeightsError(
            f"{Path(path).name}: its last layer is of shape {kernel.shape}, but {len(labels)} labels lie beside it and "
            f"the embedding has {layer.in_features} channels; put BirdNET V2.4's own labels there"
        )
    known = {name: row for row, name in enumerate(labels)}
    rows = [(output, known[name]) for output, name in enumerate(wanted) if name in known]
    for output, row in rows:
        layer.weight[output] = torch.from_numpy(np.array(kernel[row]))
        layer.bias[output] = float(bias[row])
    return len(rows)
