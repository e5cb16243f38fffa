"""From a feature map over time to one vector per window: averaged, at its loudest, or where a network attends to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from birdcore.errors import ConfigError

__all__ = ["AttentionPooling", "make_pooling"]

HIDDEN_UNITS = 128
"""Of the layer between the channels and their scores."""


class AttentionPooling(nn.Module):
    """Mean over time in which every channel weighs the steps for itself, by what all channels say about them.

    The scores begin at zero, so a fresh layer is an average, and pretrained networks start as they were.

    Parameters
    ----------
    num_channels : of the map

    Source
    ------
    Okabe, Koshinaka and Shinoda (2018), "Attentive statistics pooling for deep speaker embedding", with a weight for
    each channel as in Desplanques, Thienpondt and Demuynck (2020), "ECAPA-TDNN"; both Interspeech.
    """

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(num_channels, HIDDEN_UNITS)
        self.score = nn.Linear(HIDDEN_UNITS, num_channels)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, steps: Tensor) -> Tensor:
        """Shape (batch, num_channels, num_steps) → (batch, num_channels)."""
        steps = steps.transpose(1, 2)
        weights = torch.softmax(self.score(torch.tanh(self.hidden(steps))), dim=1)  # (batch, num_steps, num_channels)
        return (weights * steps).sum(dim=1)


class _Average(nn.Module):
    def forward(self, steps: Tensor) -> Tensor:
        return steps.mean(dim=2)


class _Loudest(nn.Module):
    def forward(self, steps: Tensor) -> Tensor:
        return steps.amax(dim=2)


class _LoudestAndAverage(nn.Module):
    def forward(self, steps: Tensor) -> Tensor:
        return torch.cat([steps.amax(dim=2), steps.mean(dim=2)], dim=1)


class _Last(nn.Module):
    def forward(self, steps: Tensor) -> Tensor:
        return steps[:, :, -1]


_KINDS = {"average": _Average, "max": _Loudest, "max+average": _LoudestAndAverage, "last": _Last}


def make_pooling(kind: str, num_channels: int, *, architecture: str, others: tuple[str, ...] = ()) -> nn.Module:
    """A layer that makes one vector per window of the steps of a map.

    Parameters
    ----------
    kind : "average" and "attention" everywhere; "max", "max+average" (twice the channels) and "last" where named
    num_channels : of the map
    architecture : name for the error
    others : further kinds that the architecture knows

    Returns
    -------
    a module from (batch, num_channels, num_steps) to (batch, num_channels)

    Raises
    ------
    ConfigError
        If the kind is unknown.
    """
    if kind not in ("average", "attention", *others):
        raise ConfigError(f"{architecture}: pooling {kind!r}; one of {', '.join((*others, 'average', 'attention'))}")
    return AttentionPooling(num_channels) if kind == "attention" else _KINDS[kind]()
