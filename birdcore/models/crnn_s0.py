"""crnn_s0: the published CRNN (S0), kept as it was to be compared with.

Four convolutions that never pool time, a recurrent layer over the flattened frames for the time head, and a
convolutional time-frequency head on the feature map, upsampled over frequency. It has no clip head: a clip's score is
the linear softmax of its frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from birdcore.config import ModelConfig
from birdcore.models.options import read_options
from birdcore.models.output import ModelOutput
from birdcore.models.picture import as_channels, require_bands, require_size

__all__ = ["CrnnS0", "linear_softmax"]


def linear_softmax(frame_probabilities: Tensor) -> Tensor:
    """Pool frame probabilities to one per clip, each frame weighted by itself.

    Parameters
    ----------
    frame_probabilities : shape (batch, num_classes, num_frames), in [0, 1]

    Returns
    -------
    shape (batch, num_classes), in [0, 1]
        ``sum(p**2) / sum(p)`` over frames; 0 where every frame is 0.

    Source
    ------
    Wang, Li and Metze (2019), "A comparison of five multiple instance learning pooling functions for sound event
    detection with weak labeling", ICASSP.
    """
    return frame_probabilities.square().sum(dim=2) / frame_probabilities.sum(dim=2).clamp(min=1e-7)


def _block(inputs: int, outputs: int, kernel: int, *, pool: bool) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*layers, *([nn.MaxPool2d((2, 1))] if pool else []))


class CrnnS0(nn.Module):
    """See the module's text; S0 in ``seeds`` of published systems.

    Parameters
    ----------
    config : no options

    Raises
    ------
    ConfigError
        If an option is given, or the features are not mel bands frame by frame.
    """

    frame_stride = 1

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        read_options(config)
        require_bands("crnn_s0", config.features, use="s0")
        require_size("crnn_s0", config.picture_shape[1:], (4, 1))
        self.num_classes = config.num_classes
        self.num_bands = config.features.n_mels
        self.body = nn.Sequential(
            _block(1, 64, 5, pool=True),
            _block(64, 128, 5, pool=True),
            _block(128, 128, 3, pool=False),
            _block(128, 128, 3, pool=False),
        )
        self.recurrent = nn.GRU(128 * (config.features.n_mels // 4), 256, bidirectional=True, batch_first=True)
        self.time_head = nn.Linear(512, config.num_outputs)
        self.band_head = nn.Sequential(
            nn.Conv2d(128, 128, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, 128, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, config.num_classes, 1),
        )

    def forward(self, picture: Tensor) -> ModelOutput:
        """Shape (batch, n_mels, num_frames) → ModelOutput with one frame per mel frame and ``n_mels`` bands."""
        image = as_channels(picture, 1, size=(self.num_bands, None))
        features = self.body(image)  # (batch, 128, n_mels / 4, T)
        flat = features.flatten(1, 2).transpose(1, 2)  # (batch, T, 128 * n_mels / 4)
        hidden, _ = self.recurrent(flat)
        frames = self.time_head(hidden).transpose(1, 2)  # (batch, outputs, T)
        bands = functional.interpolate(self.band_head(features), size=(self.num_bands, image.shape[3]), mode="nearest")
        clip_probability = linear_softmax(torch.sigmoid(frames.float())).clamp(1e-6, 1 - 1e-6)
        return ModelOutput(
            clip=torch.log(clip_probability) - torch.log1p(-clip_probability), frames=frames, bands=bands
        )
