import pytest
import torch

from birdcore.errors import ConfigError
from birdcore.models.attention_pooling import AttentionPooling, make_pooling

STEPS = torch.arange(24.0).reshape(2, 3, 4) % 7


def test_fresh_attention_is_the_average():
    assert torch.allclose(AttentionPooling(3)(STEPS), STEPS.mean(dim=2))


def test_attention_can_pick_one_moment_for_one_channel():
    layer = AttentionPooling(3)
    with torch.no_grad():
        layer.hidden.weight[0] = torch.tensor([1.0, 0.0, 0.0])  # the loudest step of channel 0 …
        layer.hidden.bias.fill_(-5.5)
        layer.score.weight[1, 0] = 50.0  # … is where channel 1 looks
    steps = torch.tensor([[[0.0, 6.0, 1.0], [10.0, 20.0, 30.0], [1.0, 2.0, 3.0]]])
    assert torch.allclose(layer(steps), torch.tensor([[7.0 / 3, 20.0, 2.0]]), atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("average", STEPS.mean(dim=2)),
        ("attention", STEPS.mean(dim=2)),
        ("max", STEPS.amax(dim=2)),
        ("last", STEPS[:, :, 3]),
        ("max+average", torch.cat([STEPS.amax(dim=2), STEPS.mean(dim=2)], dim=1)),
    ],
)
def test_every_kind_pools_as_it_says(kind, expected):
    pooling = make_pooling(kind, 3, architecture="finch", others=("max", "max+average", "last"))
    assert torch.allclose(pooling(STEPS), expected)


def test_a_kind_that_an_architecture_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="finch: pooling 'last'; one of max, average, attention"):
        make_pooling("last", 3, architecture="finch", others=("max",))
