import pytest
import torch
from torch import nn

from birdcore.errors import ConfigError, ShapeError
from birdcore.models.picture import as_channels, map_size, require_size, smallest_picture

LAYERS = nn.Sequential(
    nn.Conv2d(1, 2, (5, 3)), nn.MaxPool2d(3), nn.Conv2d(2, 2, (1, 4), stride=(1, 2)), nn.AvgPool2d(2)
)


@pytest.mark.parametrize("size", [(64, 64), (41, 99), (20, 40)])
def test_the_map_has_the_size_that_torch_gives(size):
    assert map_size(LAYERS, size) == tuple(LAYERS(torch.zeros(1, 1, *size)).shape[2:])


def test_the_smallest_picture_leaves_one_cell_and_a_smaller_one_none():
    height, width = smallest_picture(LAYERS)
    assert LAYERS(torch.zeros(1, 1, height, width)).shape[2:] == (1, 1)
    for smaller in ((height - 1, width), (height, width - 1)):
        assert 0 in map_size(LAYERS, smaller)


def test_a_picture_that_is_too_small_is_refused_with_both_sizes():
    require_size("finch", (10, 20), (10, 20))
    with pytest.raises(ConfigError, match=r"finch: pictures of 10 x 19 .* at least 10 x 20: use a longer window"):
        require_size("finch", (10, 19), (10, 20))


def test_pictures_of_one_channel_get_a_channel_axis():
    assert as_channels(torch.zeros(2, 3, 4), 1).shape == (2, 1, 3, 4)
    assert as_channels(torch.zeros(2, 5, 3, 4), 5, size=(3, 4)).shape == (2, 5, 3, 4)
    assert as_channels(torch.zeros(2, 3, 4), 1, size=(3, None)).shape == (2, 1, 3, 4)


@pytest.mark.parametrize(
    ("shape", "num_channels", "size", "expected"),
    [
        ((2, 3, 4), 2, None, r"expected \(batch, 2, height, width\)"),
        ((2, 3, 3, 4), 1, None, r"expected \(batch, height, width\)"),
        ((2, 3, 4), 1, (5, None), r"expected \(batch, 5, width\)"),
        ((2, 3, 5), 1, (3, 4), r"shape \(2, 3, 5\), expected \(batch, 3, 4\)"),
        ((3, 4), 1, None, "expected"),
    ],
)
def test_other_shapes_are_refused(shape, num_channels, size, expected):
    with pytest.raises(ShapeError, match=expected):
        as_channels(torch.zeros(shape), num_channels, size=size)
