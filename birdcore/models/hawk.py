"""hawk: wide "timbre" kernels beside long "temporal" ones, then a dense layer (S2, after Pons et al.)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from birdcore.config import ModelConfig
from birdcore.errors import ConfigError
from birdcore.models.attention_pooling import make_pooling
from birdcore.models.options import read_options
from birdcore.models.output import ModelOutput
from birdcore.models.picture import as_channels, require_size

__all__ = ["Hawk"]

FILTERS = 16
TIMBRE = tuple((length, share, factor) for share in (0.9, 0.4) for length, factor in ((7, 1), (3, 2), (1, 4)))
"""Timbre kernels: steps, share of half the bands, and channels as a multiple of FILTERS."""
TEMPORAL = ((165, 1), (125, 2), (65, 4), (31, 8))
"""Temporal kernels: steps and channels; S2's odd lengths, which keep the number of steps."""
WIDTH = 512
DENSE = 512


class _Residual(nn.Module):
    """A convolution over seven steps, added to what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(WIDTH, WIDTH, 7, padding=3), nn.BatchNorm1d(WIDTH), nn.ReLU())

    def forward(self, steps: Tensor) -> Tensor:
        return steps + self.layers(steps)


class Hawk(nn.Module):
    """Ten kernel shapes side by side, three convolutions over the steps, pooling, and a dense layer.

    Pons et al. let the timbre kernels span the bands and the temporal ones run along time. S2 fed its pictures the
    other way round: its steps are pairs of bands, its timbre kernels span half of the window in time, and its
    temporal kernels run along the mean spectrum. Both are here.

    Parameters
    ----------
    config : options ``orientation`` ("s2", or "pons" for steps in time), ``dropout``, and ``pooling`` over the steps
        ("max+average" as published, "average" or "attention"; over time only where the orientation is "pons", which
        is therefore the default beside "attention")

    Source
    ------
    Pons et al. (2018), "End-to-end learning for music audio tagging at scale", ISMIR.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        attends = config.options.get("pooling") == "attention"
        options = read_options(config, orientation="pons" if attends else "s2", dropout=0.5, pooling="max+average")
        self.orientation = options["orientation"]
        if self.orientation not in ("s2", "pons"):
            raise ConfigError(f"hawk: orientation {self.orientation!r}; one of s2, pons")
        if attends and self.orientation == "s2":
            raise ConfigError("hawk: pooling 'attention' attends to moments; it needs orientation = 'pons'")
        self.num_channels, num_bands, num_frames = config.picture_shape
        self.size = (num_bands, num_frames)
        half = num_bands // 2
        widest = int(TIMBRE[0][1] * half)
        require_size("hawk", self.size, (16, widest) if self.orientation == "s2" else (6, 8))
        self.halve = nn.AvgPool2d((2, 1))
        self.timbre = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(self.num_channels, factor * FILTERS, (length, int(share * half)), padding=(length // 2, 0)),
                nn.BatchNorm2d(factor * FILTERS),
                nn.ReLU(),
            )
            for length, share, factor in TIMBRE
        )
        self.temporal = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(self.num_channels, factor * FILTERS, length, padding=length // 2),
                nn.BatchNorm1d(factor * FILTERS),
                nn.ReLU(),
            )
            for length, factor in TEMPORAL
        )
        front = FILTERS * (sum(factor for *_, factor in TIMBRE) + sum(factor for *_, factor in TEMPORAL))
        self.layers = nn.Sequential(
            nn.Conv1d(front, WIDTH, 7),
            nn.BatchNorm1d(WIDTH),
            nn.ReLU(),
            _Residual(),
            nn.MaxPool1d(2),
            _Residual(),
        )
        self.pooling = make_pooling(options["pooling"], WIDTH, architecture="hawk", others=("max+average",))
        self.head = nn.Sequential(
            nn.Dropout(options["dropout"]),
            nn.Linear(WIDTH * (2 if options["pooling"] == "max+average" else 1), DENSE),
            nn.BatchNorm1d(DENSE),
            nn.ReLU(),
            nn.Dropout(options["dropout"]),
            nn.Linear(DENSE, config.num_outputs),
        )

    def forward(self, picture: Tensor) -> ModelOutput:
        """Pictures of the shape the network was built for → ModelOutput with a clip head only."""
        image = as_channels(picture, self.num_channels, size=self.size)
        image = self.halve(image)  # (batch, channels, bands / 2, frames)
        if self.orientation == "pons":
            image = image.transpose(2, 3)
        mean = image.mean(dim=3)  # (batch, channels, steps)
        front = [branch(image).amax(dim=3) for branch in self.timbre] + [branch(mean) for branch in self.temporal]
        steps = self.layers(torch.cat(front, dim=1))  # (batch, 512, steps / 2 - 3)
        return ModelOutput(clip=self.head(self.pooling(steps)))
