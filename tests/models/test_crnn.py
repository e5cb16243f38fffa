import dataclasses

import pytest
import torch

from birdcore.config import MEL_BIRDNET, MEL_YAMNET_WIDE
from birdcore.errors import ConfigError, ShapeError
from birdcore.models.registry import build_model, frame_stride

ON_BIRDNET = {"features": MEL_BIRDNET, "window_seconds": 1.7, "options": {"trunk": "birdnet"}}


def test_on_birdnets_trunk_bass_and_whole_make_one_frequency_axis(config_of, pictures):
    config = config_of("crnn", **ON_BIRDNET)
    network = build_model(config).eval()
    output = network(pictures(config))
    num_frames = -(-config.picture_shape[2] // 8)
    assert frame_stride(config) == network.frame_stride == 8
    assert output.clip.shape == (2, 5) and output.frames.shape == (2, 5, num_frames)
    assert output.bands.shape == (2, 3, network.num_bands, num_frames) and network.num_bands == 34
    assert output.band_given_frame.shape == (2, 4, 34, num_frames)


def test_each_bank_answers_for_its_own_bands(config_of, pictures):
    """Before training all classes share what is said of any bird; its bias moves the bass alone, or the whole alone."""
    config = config_of("crnn", **ON_BIRDNET)
    network = build_model(config).eval()
    picture = pictures(config, batch=1)
    with torch.inference_mode():
        before = network(picture).band_given_frame[0, -1]
        network.band[-1].bias[3] += 1.0  # any bird, bass
        after = network(picture).band_given_frame[0, -1]
    assert torch.allclose(after[:13], before[:13] + 1.0, atol=1e-5) and torch.equal(after[13:], before[13:])


@pytest.mark.parametrize("options", [{"trunk": "birdnet"}, {}], ids=["birdnet", "yamnet"])
def test_features_must_be_those_of_the_trunk(config_of, options):
    features = MEL_YAMNET_WIDE if options else MEL_BIRDNET
    with pytest.raises(ConfigError, match=f"use features = '{'birdnet' if options else 'yamnet_wide'}'"):
        build_model(config_of("crnn", features=features, options=options))


def test_an_unknown_trunk_and_a_wrong_picture_are_named(config_of):
    with pytest.raises(ConfigError, match=r"trunk = 'perch': must be one of yamnet, birdnet"):
        build_model(config_of("crnn", options={"trunk": "perch"}))
    with pytest.raises(ConfigError, match="frozen = 7: must be 0 to 6"):
        build_model(config_of("crnn", **ON_BIRDNET | {"options": {"trunk": "birdnet", "frozen": 7}}))
    network = build_model(config_of("crnn", **ON_BIRDNET)).eval()
    with pytest.raises(ShapeError, match=r"expected \(batch, 2, 96, width\)"):
        network(torch.rand(1, 96, 300))
    with pytest.raises(ShapeError, match=r"picture: 128 frames, expected at least 129; use a longer window"):
        network(torch.rand(1, 2, 96, 128))


@pytest.mark.parametrize(
    ("changes", "least"),
    [
        ({"window_seconds": 128 * MEL_BIRDNET.frame_seconds}, "96 x 128 "),
        ({"features": dataclasses.replace(MEL_BIRDNET, n_mels=64)}, "64 x 292 "),
    ],
)
def test_pictures_that_leave_no_embedding_are_refused(changes, least, config_of):
    with pytest.raises(ConfigError, match=f"crnn: pictures of {least}.* at least 96 x 129: use a longer window"):
        build_model(config_of("crnn", **ON_BIRDNET | changes))


def test_the_smallest_picture_on_birdnets_trunk_works(config_of, pictures):
    config = config_of("crnn", **ON_BIRDNET | {"window_seconds": 129 * MEL_BIRDNET.frame_seconds})
    with torch.inference_mode():
        assert torch.isfinite(build_model(config).eval()(pictures(config)).frames).all()
