"""The picture as convolutions see it: channels first, and how large it must be for layers that do not pad."""

from __future__ import annotations

from torch import Tensor, nn

from birdcore.config import MelConfig
from birdcore.errors import ConfigError, ShapeError

__all__ = ["as_channels", "map_size", "require_bands", "require_size", "smallest_picture"]


def as_channels(picture: Tensor, num_channels: int, *, size: tuple[int, int | None] | None = None) -> Tensor:
    """A batch of pictures with a channel axis, which pictures of one channel come without.

    Parameters
    ----------
    picture : shape (batch, height, width) or (batch, num_channels, height, width)
    size : height and width that the network was built for; None where any will do, for both or for the width

    Returns
    -------
    shape (batch, num_channels, height, width)

    Raises
    ------
    ShapeError
        If it has other channels, or another size, than the network was built for.
    """
    image = picture[:, None] if picture.ndim == 3 else picture
    height, width = size or (None, None)
    if (
        image.ndim != 4
        or image.shape[1] != num_channels
        or (height is not None and image.shape[2] != height)
        or (width is not None and image.shape[3] != width)
    ):
        raise ShapeError(
            f"picture: shape {tuple(picture.shape)}, expected "
            f"(batch, {'' if num_channels == 1 else f'{num_channels}, '}{height or 'height'}, {width or 'width'})"
        )
    return image


def _windowed(layers: nn.Module) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Kernel and stride of the layers that change a map's size, in order."""
    kinds = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
    return [(_pair(layer.kernel_size), _pair(layer.stride)) for layer in layers.modules() if isinstance(layer, kinds)]


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def map_size(layers: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the map that layers without padding make of a picture.

    Parameters
    ----------
    layers : convolutions and poolings in sequence
    size : height and width of the picture, at least those of :func:`smallest_picture`
    """
    height, width = size
    for kernel, stride in _windowed(layers):
        height, width = ((edge - k) // s + 1 for edge, k, s in zip((height, width), kernel, stride, strict=True))
    return height, width


def smallest_picture(layers: nn.Module) -> tuple[int, int]:
    """Height and width of the smallest picture of which layers without padding leave anything."""
    height, width = 1, 1
    for kernel, stride in reversed(_windowed(layers)):
        height, width = ((edge - 1) * s + k for edge, k, s in zip((height, width), kernel, stride, strict=True))
    return height, width


def require_bands(architecture: str, features: MelConfig, *, num_channels: int = 1, use: str) -> None:
    """Refuse features whose pictures are not a row for each mel band and a column for each frame.

    Parameters
    ----------
    architecture : name for the error
    num_channels : of the picture, as the network takes it
    use : name of features that will do

    Raises
    ------
    ConfigError
        If the picture is resized, has cepstral coefficients for rows, or has other channels.
    """
    if features.resize or features.picture != "mel" or features.num_channels != num_channels:
        _, height, width = features.picture_shape(1)
        is_resized = f", resized to {height} x {width}" if features.resize else ""
        raise ConfigError(
            f"{architecture}: features of {features.num_channels} channel(s) of {features.picture}{is_resized} do not "
            f"fit; it reads {num_channels} channel(s) of mel bands, frame by frame: use features = {use!r}"
        )


def require_size(architecture: str, size: tuple[int, int], least: tuple[int, int]) -> None:
    """Refuse a window whose picture is too small for a network.

    Parameters
    ----------
    architecture : name for the error
    size, least : height and width, of the picture and of the smallest that will do

    Raises
    ------
    ConfigError
        If the picture is lower or narrower than that.
    """
    if size[0] < least[0] or size[1] < least[1]:
        raise ConfigError(
            f"{architecture}: pictures of {size[0]} x {size[1]} (height x frames) are too small; it needs at least "
            f"{least[0]} x {least[1]}: use a longer window, more mel bands, or other features"
        )
