"""puffin: convolutions, then recurrent layers that read what is left of the frames (S2)."""

from __future__ import annotations

from torch import Tensor, nn

from birdcore.config import ModelConfig
from birdcore.errors import ConfigError
from birdcore.models.attention_pooling import make_pooling
from birdcore.models.options import read_options
from birdcore.models.output import ModelOutput
from birdcore.models.picture import as_channels, map_size, require_size, smallest_picture

__all__ = ["Puffin"]


class Puffin(nn.Module):
    """Convolutions 16-32-64-128-128, flattened per frame, two stacks of LSTM layers, and their last step.

    S2's rectifier behind the class scores is left out: it kept them from saying no. Reading on from the first frame,
    the published network forgets what sang early; read both ways and attended to, it need not remember.

    Parameters
    ----------
    config : options ``hidden`` (units of the two stacks; [500, 200] as published), ``layers`` ([3, 2]),
        ``bidirectional``, ``pooling`` of the steps ("last" as published, "average" or "attention"), ``dropout`` of
        the convolutions and ``recurrent_dropout``
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        options = read_options(
            config,
            hidden=[500, 200],
            layers=[3, 2],
            bidirectional=False,
            pooling="last",
            dropout=0.3,
            recurrent_dropout=0.5,
        )
        for name in ("hidden", "layers"):
            values = options[name]
            if len(values) != 2 or not all(isinstance(value, int) and value > 0 for value in values):
                raise ConfigError(
                    f"puffin: option {name} = {values!r}: two whole numbers, one for each stack of layers"
                )
        self.num_channels, *size = config.picture_shape
        self.size = tuple(size)
        dropout = nn.Dropout(options["dropout"])
        self.layers = nn.Sequential(
            nn.Conv2d(self.num_channels, 16, 3),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            dropout,
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            dropout,
            nn.MaxPool2d((2, 2)),
            nn.Conv2d(64, 128, 3),
            nn.ReLU(),
            dropout,
            nn.MaxPool2d((3, 2)),
            nn.Conv2d(128, 128, 3),
            nn.ReLU(),
            dropout,
            nn.MaxPool2d((3, 1)),
        )
        require_size("puffin", self.size, smallest_picture(self.layers))
        height, _ = map_size(self.layers, self.size)
        inputs, directions = 128 * height, 2 if options["bidirectional"] else 1
        self.recurrent = nn.ModuleList()
        for hidden, layers in zip(options["hidden"], options["layers"], strict=True):
            self.recurrent.append(
                nn.LSTM(
                    inputs,
                    hidden,
                    layers,
                    dropout=options["recurrent_dropout"] if layers > 1 else 0.0,
                    bidirectional=options["bidirectional"],
                    batch_first=True,
                )
            )
            inputs = hidden * directions
        self.pooling = make_pooling(options["pooling"], inputs, architecture="puffin", others=("last",))
        self.classifier = nn.Linear(inputs, config.num_outputs)

    def forward(self, picture: Tensor) -> ModelOutput:
        """Pictures of the shape the network was built for → ModelOutput with a clip head only."""
        image = as_channels(picture, self.num_channels, size=self.size)
        steps = self.layers(image).flatten(1, 2).transpose(1, 2)  # (batch, T, 128 F)
        for stack in self.recurrent:
            steps, _ = stack(steps)
        return ModelOutput(clip=self.classifier(self.pooling(steps.transpose(1, 2))))
