import pytest
import torch

from birdcore.config import MEL_S2
from birdcore.errors import ConfigError
from birdcore.models.registry import build_model

SLICE = {"features": MEL_S2, "window_seconds": 216 * MEL_S2.frame_seconds}


def test_as_published_it_reads_1664_numbers_in_49_steps(config_of, pictures):
    config = config_of("puffin", options={}, **SLICE)
    model = build_model(config).eval()
    seen = []
    model.recurrent[0].register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].shape))
    with torch.inference_mode():
        model(pictures(config, batch=1))
    assert seen == [(1, 49, 1664)]
    assert (model.recurrent[0].hidden_size, model.recurrent[0].num_layers) == (500, 3)
    assert (model.recurrent[1].hidden_size, model.recurrent[1].num_layers) == (200, 2)


def test_read_both_ways_and_attended_to_it_fits_into_12_megabytes(config_of):
    options = {"hidden": [160, 100], "bidirectional": True, "pooling": "attention"}
    model = build_model(config_of("puffin", options=options, num_auxiliary=250, **SLICE))
    assert 2 * sum(tensor.numel() for tensor in model.state_dict().values()) < 12e6
    assert model.recurrent[0].bidirectional


@pytest.mark.parametrize("values", [[1], [1, 2, 3], [0, 2], ["a", 2]])
def test_other_than_two_stacks_are_refused(values, config_of):
    with pytest.raises(ConfigError, match=r"puffin: option hidden = .*: two whole numbers"):
        build_model(config_of("puffin", options={"hidden": values}))
