import pytest
import torch

from birdcore.config import MEL_S2
from birdcore.errors import ConfigError
from birdcore.models.registry import build_model

SLICE = {"features": MEL_S2, "window_seconds": 216 * MEL_S2.frame_seconds}


@pytest.mark.parametrize(("orientation", "num_steps"), [("s2", 128), ("pons", 216)])
def test_steps_are_bands_as_s2_had_them_or_frames_as_pons_meant_them(orientation, num_steps, config_of, pictures):
    config = config_of("hawk", options={"orientation": orientation}, **SLICE)
    model = build_model(config).eval()
    assert [branch[0].kernel_size for branch in model.timbre] == [
        (7, 115), (3, 115), (1, 115), (7, 51), (3, 51), (1, 51)
    ]  # fmt: skip
    seen = []
    model.layers.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].shape))
    with torch.inference_mode():
        model(pictures(config, batch=1))
    assert seen == [(1, 464, num_steps)]


@pytest.mark.parametrize(("options", "orientation"), [({}, "s2"), ({"pooling": "attention"}, "pons")])
def test_it_is_laid_out_as_s2_had_it_unless_it_attends_to_moments(options, orientation, config_of):
    assert build_model(config_of("hawk", options=options)).orientation == orientation


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orientation": "up"}, "one of s2, pons"),
        ({"pooling": "attention", "orientation": "s2"}, "it needs orientation = 'pons'"),
    ],
)
def test_wrong_options_are_refused(options, message, config_of):
    with pytest.raises(ConfigError, match=message):
        build_model(config_of("hawk", options=options))
