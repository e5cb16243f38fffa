"""crnn: which species, when, and at what frequency, from one trunk.

A pretrained convolutional trunk, YAMNet's or BirdNET's, halves time and frequency five or six times; a top-down path
brings what it knows back to frames of 40 to 47 ms and bands of a few mel filters; a recurrent layer reads along time.
Three questions are answered separately and multiplied: is the species in the window (and about when), does a bird sound
in this very frame, and in which bands. The last two are learnt mostly across species, so that a species without a
single drawn box is still localized.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from birdcore.config import ModelConfig
from birdcore.errors import ConfigError, ShapeError
from birdcore.features.bands import joint
from birdcore.models.birdnet import FREEZABLE, BirdnetTrunk
from birdcore.models.options import read_options
from birdcore.models.output import ModelOutput, product_logit
from birdcore.models.picture import as_channels, require_bands, require_size
from birdcore.models.yamnet import YamnetTrunk

__all__ = ["TRUNKS", "Crnn"]

TRUNKS = ("yamnet", "birdnet")
"""Whose convolutions a crnn stands on; each has its own features ("yamnet_wide" and "birdnet")."""

SMALLEST = (96, 129)
"""Bands and frames of the smallest picture that BirdNET's trunk makes an embedding of, filled up to 192 frames."""


class _Merge(nn.Module):
    """Add a coarse map to a finer one of the trunk and smooth the sum."""

    def __init__(self, finer_channels: int, width: int) -> None:
        super().__init__()
        self.lateral = nn.Conv2d(finer_channels, width, 1)
        self.smooth = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.Conv2d(width, width, 1),
        )

    def forward(self, coarse: Tensor, finer: Tensor) -> Tensor:
        merged = self.lateral(finer) + functional.interpolate(coarse, size=finer.shape[2:], mode="nearest")
        return merged + self.smooth(merged)


class Crnn(nn.Module):
    """See the module's text.

    Parameters
    ----------
    config : options ``trunk`` (one of ``TRUNKS``), ``frozen`` (parts of BirdNET's trunk, from the first on, that
        never learn, see :meth:`BirdnetTrunk.freeze`), ``width`` (channels of the top-down path), ``hidden`` (of the
        recurrent layer, per direction), ``dropout``

    Raises
    ------
    ConfigError
        If an option is wrong, or the features are not those of the trunk.

    Source
    ------
    Trunk: YAMNet, BirdNET. Top-down path: Lin et al. (2017), "Feature pyramid networks for object detection". Clip head:
    attention over frame probabilities, Kong et al. (2020), "Sound event detection of weakly labelled data with
    CNN-Transformer …".
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        options = read_options(config, trunk="yamnet", frozen=0, width=128, hidden=128, dropout=0.3)
        width, hidden = options["width"], options["hidden"]
        if options["trunk"] not in TRUNKS:
            raise ConfigError(f"crnn: option trunk = {options['trunk']!r}: must be one of {', '.join(TRUNKS)}")
        self.has_bass = options["trunk"] == "birdnet"
        if not 0 <= options["frozen"] <= (FREEZABLE if self.has_bass else 0):
            raise ConfigError(
                f"crnn: option frozen = {options['frozen']}: must be 0 to {FREEZABLE} on BirdNET's trunk, else 0"
            )
        if self.has_bass != (config.features.bass is not None):
            raise ConfigError(
                f"crnn: features do not fit the trunk; use features = {'birdnet' if self.has_bass else 'yamnet_wide'!r}"
            )
        halvings = 32 if self.has_bass else 16
        if config.features.n_mels % halvings:
            raise ConfigError(
                f"crnn: n_mels is {config.features.n_mels}; it is halved again and again, so it must be a multiple of "
                f"{halvings}"
            )
        self.num_channels = 2 if self.has_bass else 1
        require_bands(
            "crnn", config.features, num_channels=self.num_channels, use="birdnet" if self.has_bass else "yamnet_wide"
        )
        self.n_mels, smallest = config.features.n_mels, SMALLEST if self.has_bass else (16, 1)
        require_size("crnn", config.picture_shape[1:], smallest)
        self.least_frames = smallest[1]
        self.num_classes = config.num_classes
        self.frame_stride = self.stride_of(config)
        if self.has_bass:
            self.trunk = BirdnetTrunk()
            self.trunk.freeze(options["frozen"])
            quarter, eighth, sixteenth, last, embedding = self.trunk.channels
            self.num_bass_bands, self.first_band = joint(config.features)
            self.num_bands = self.num_bass_bands + config.features.n_mels // 4 - self.first_band
        else:
            self.trunk = YamnetTrunk()
            _, quarter, eighth, sixteenth, last = self.trunk.channels
            embedding = last
            self.num_bands = config.features.n_mels // 4
        self.dropout = nn.Dropout(options["dropout"])
        self.clip_class = nn.Linear(embedding, config.num_outputs)
        self.clip_attention = nn.Linear(embedding, config.num_outputs)
        self.enter = nn.Conv2d(last, width, 1)
        self.merge16, self.merge8, self.merge4 = _Merge(sixteenth, width), _Merge(eighth, width), _Merge(quarter, width)
        self.frame_input = nn.Linear(3 * width, 2 * hidden)
        self.recurrent = nn.GRU(2 * hidden, hidden, bidirectional=True, batch_first=True)
        self.activity = nn.Linear(2 * hidden, 1)
        self.frame_class = nn.Linear(2 * hidden, config.num_outputs)
        # How much a frame's class leans on the frame's own evidence and on the whole window's.
        self.class_mixture = nn.Parameter(torch.tensor([0.5, 0.5]))
        self.band = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.Conv2d(width, 64, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, (config.num_classes + 1) * (2 if self.has_bass else 1), 1),
        )
        # A species starts out localized like any bird; its own habits are learnt as a difference.
        for layer in (self.frame_class, self.band[-1]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for any_bird in self.band[-1].weight[config.num_classes :: config.num_classes + 1]:
            nn.init.normal_(any_bird, std=0.1)

    @staticmethod
    def stride_of(config: ModelConfig) -> int:
        """Mel frames per frame that a network of this config answers for."""
        return 8 if config.options.get("trunk") == "birdnet" else 4

    def forward(self, picture: Tensor) -> ModelOutput:
        """Recognise and localize.

        Parameters
        ----------
        picture : shape (batch, n_mels, num_frames); on BirdNET's trunk (batch, 2, n_mels, num_frames)

        Returns
        -------
        ModelOutput with frames of ``frame_stride`` mel frames and ``num_bands`` bands
        """
        image = as_channels(picture, self.num_channels, size=(self.n_mels, None))
        width = int(image.shape[3])  # fixed in an exported network, whose windows are of one length
        if width < self.least_frames:
            raise ShapeError(f"picture: {width} frames, expected at least {self.least_frames}; use a longer window")
        num_frames = -(-width // self.frame_stride)
        if self.has_bass:
            # Filled up with silence, which is 0 in these pictures.
            *maps, embedding = self.trunk(functional.pad(image, (0, -width % 64)))
        else:
            padded = functional.pad(image, (0, -width % 32, 0, 0), mode="replicate")
            _, *maps = self.trunk(padded)
            embedding = maps[-1]
        quarter, eighth, sixteenth, last = maps

        frames = self.dropout(embedding.mean(dim=2).transpose(1, 2))  # (batch, T', channels)
        # In float, as 1 - p vanishes in half precision.
        clip_class = self.clip_class(frames).float()  # (batch, T', outputs)
        attention = torch.softmax(self.clip_attention(frames).float().clamp(-10, 10), dim=1)
        clip_probability = (attention * torch.sigmoid(clip_class)).sum(dim=1).clamp(1e-6, 1 - 1e-6)
        clip = torch.log(clip_probability) - torch.log1p(-clip_probability)  # (batch, outputs)

        # T/4 and F/4 below are YAMNet's; on BirdNET's trunk frames are T/8.
        top = self.enter(last)
        pyramid = self.merge4(self.merge8(self.merge16(top, sixteenth), eighth), quarter)  # (batch, width, F/4, T/4)
        length = pyramid.shape[3]
        context = functional.interpolate(top.mean(dim=2), size=length, mode="linear", align_corners=False)
        sequence = torch.cat([pyramid.mean(dim=2), pyramid.amax(dim=2), context], dim=1)
        sequence = sequence.transpose(1, 2)  # (batch, T/4, 3 width)
        hidden, _ = self.recurrent(self.dropout(torch.relu(self.frame_input(sequence))))  # (batch, T/4, 2 hidden)
        hidden = self.dropout(hidden)
        activity = self.activity(hidden)  # (batch, T/4, 1)
        by_time = clip_class.transpose(1, 2)
        if self.has_bass:  # the embedding has no first and no last column of the window
            by_time = functional.pad(by_time, (1, 1), mode="replicate")
        coarse = functional.interpolate(by_time, size=length, mode="linear", align_corners=False)
        evidence = self.class_mixture[0] * coarse + self.class_mixture[1] * clip[:, :, None]  # (batch, outputs, T/4)
        own = self.frame_class(hidden).transpose(1, 2)
        frame = product_logit(evidence + own, activity.transpose(1, 2))[:, :, :num_frames]

        band = self.band(pyramid)[:, :, :, :num_frames]  # (batch, classes + 1, F/4, T/4), twice as many with a bass
        if self.has_bass:
            bass, whole = band.chunk(2, dim=1)
            band = torch.cat([bass[:, :, : self.num_bass_bands], whole[:, :, self.first_band :]], dim=2)
        any_bird = band[:, -1:]
        band_given_frame = torch.cat([band[:, :-1] + any_bird, any_bird], dim=1)
        return ModelOutput(
            clip=clip,
            frames=frame,
            bands=product_logit(frame[:, : self.num_classes, None], band_given_frame[:, :-1]),
            activity=activity[:, :num_frames, 0],
            band_given_frame=band_given_frame,
        )
