"""embedding_mlp: a small network on the embeddings of a frozen, pretrained one (S4)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from birdcore.config import MEL_YAMNET, ModelConfig
from birdcore.errors import ConfigError
from birdcore.models.options import read_options
from birdcore.models.output import ModelOutput
from birdcore.models.picture import as_channels, require_bands
from birdcore.models.yamnet import YamnetTrunk, cut_patches

__all__ = ["TRUNKS", "EmbeddingMlp"]

TRUNKS = ("yamnet", "crnn")
"""Whose trunk is frozen: YAMNet's, on its own features; or the fine-tuned one of a crnn on it, on theirs."""


class EmbeddingMlp(nn.Module):
    """Embeddings averaged over time → 512 → ReLU → dropout → 256 → ReLU → dropout → classes.

    The trunk is part of the weights, so nothing else is needed to use them, but it never learns: it stays in evaluation
    mode, and no gradient is computed for it, which makes training quick.

    Parameters
    ----------
    config : options ``trunk`` (one of ``TRUNKS``), ``hidden`` (sizes of the hidden layers), ``dropout``

    Raises
    ------
    ConfigError
        If the features are not those that the trunk was trained on, as far as their shape tells.

    Source
    ------
    S4 of the published systems: YAMNet's embeddings every 0.48 s.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        options = read_options(config, trunk="crnn", hidden=[512, 256], dropout=0.3)
        if options["trunk"] not in TRUNKS:
            raise ConfigError(f"embedding_mlp: option trunk = {options['trunk']!r}: must be one of {', '.join(TRUNKS)}")
        self.by_patches = options["trunk"] == "yamnet"
        n_mels = config.features.n_mels
        if self.by_patches and n_mels != MEL_YAMNET.n_mels:
            raise ConfigError(
                f"embedding_mlp: YAMNet's trunk knows {MEL_YAMNET.n_mels} mel bands, not {n_mels}; use "
                "features = 'yamnet'"
            )
        if n_mels % 16:
            raise ConfigError(
                f"embedding_mlp: n_mels is {n_mels}; it is halved four times: use features = 'yamnet_wide'"
            )
        require_bands("embedding_mlp", config.features, use="yamnet" if self.by_patches else "yamnet_wide")
        self.num_bands = n_mels
        self.trunk = YamnetTrunk().requires_grad_(False).eval()
        sizes = (YamnetTrunk.channels[-1], *options["hidden"])
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(options["dropout"])]
        self.head = nn.Sequential(*layers, nn.Linear(sizes[-1], config.num_outputs))

    def train(self, mode: bool = True) -> EmbeddingMlp:
        """Switch the head to training or evaluation mode; the trunk stays in evaluation mode."""
        super().train(mode)
        self.trunk.eval()
        return self

    def embed(self, picture: Tensor) -> Tensor:
        """Embeddings averaged over time.

        Parameters
        ----------
        picture : shape (batch, n_mels, num_frames), of any length

        Returns
        -------
        shape (batch, 1024), without a gradient
        """
        image = as_channels(picture, 1, size=(self.num_bands, None))
        with torch.no_grad():
            if self.by_patches:
                patches = cut_patches(image[:, 0])  # (batch, num_patches, n_mels, 96)
                embeddings = self.trunk(patches.flatten(0, 1)[:, None])[-1].mean(dim=(2, 3))
                return embeddings.unflatten(0, (-1, patches.shape[1])).mean(dim=1)
            # As this trunk was fine-tuned: the whole window at once.
            padded = functional.pad(image, (0, -image.shape[3] % 32, 0, 0), mode="replicate")
            return self.trunk(padded)[-1].mean(dim=(2, 3))

    def forward(self, picture: Tensor) -> ModelOutput:
        """Shape (batch, n_mels, num_frames) → ModelOutput with a clip head only."""
        return ModelOutput(clip=self.head(self.embed(picture)))
