import dataclasses

import pytest
import torch

from birdcore.config import MEL_PRESETS, MEL_S2
from birdcore.errors import ConfigError, ShapeError
from birdcore.features.mel import MelSpectrogram
from birdcore.models.registry import (
    ARCHITECTURES,
    build_model,
    frame_stride,
    list_architectures,
    localizes,
    naming_layer,
)

IMAGE_MODELS = sorted({name for name, entry in ARCHITECTURES.items() if not entry.localizes} - {"embedding_mlp"})


@pytest.mark.parametrize("name", ["bulbul", "sparrow", "hawk", "zilpzalp", "puffin"])
def test_the_networks_of_s2_take_its_slices(name, config_of, pictures):
    config = config_of(name, features=MEL_S2, window_seconds=216 * MEL_S2.frame_seconds, options={})
    assert config.picture_shape == (1, 256, 216)
    with torch.inference_mode():
        assert torch.isfinite(build_model(config).eval()(pictures(config, batch=1)).clip).all()


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_every_image_model_can_attend_to_moments(name, config_of, pictures):
    options = config_of(name).options | {"pooling": "attention"}
    if name == "ensemble":
        options = {"members": 1, "architecture": "mobilenet_v2", "options": {"pooling": "attention"}}
    config = config_of(name, options=options)
    torch.manual_seed(0)
    model = build_model(config).eval()
    assert torch.isfinite(model(pictures(config)).clip).all()
    assert any("score.weight" in key for key in model.state_dict())


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_odd_pictures_work(name, config_of, pictures):
    config = config_of(name)
    if config.features.resize:
        config = dataclasses.replace(config, features=dataclasses.replace(config.features, resize=(61, 87)))
    else:
        features = dataclasses.replace(config.features, n_mels=config.features.n_mels + 7)
        seconds = config.window_seconds + 9 * features.frame_seconds * features.stack
        config = dataclasses.replace(config, features=features, window_seconds=seconds)
    assert torch.isfinite(build_model(config).eval()(pictures(config)).clip).all()


@pytest.mark.parametrize("name", ["bulbul", "sparrow", "hawk", "zilpzalp", "puffin"])
def test_a_window_too_short_for_a_network_is_refused_with_what_it_needs(name, config_of, pictures):
    with pytest.raises(ConfigError, match=rf"{name}: pictures of 132 x 20 .* at least \d+ x \d+: use a longer window"):
        build_model(config_of(name, window_seconds=20 * MEL_S2.frame_seconds))


@pytest.mark.parametrize("name", ["bulbul", "sparrow", "hawk", "zilpzalp", "puffin"])
def test_a_picture_of_another_size_is_refused(name, config_of, pictures):
    config = config_of(name)
    model = build_model(config).eval()
    with pytest.raises(ShapeError, match=r"shape \(2, 132, 140\), expected \(batch, 132, 1\d\d\)"):
        model(pictures(config, num_frames=140))


BY_BANDS = [
    ("crnn", {}),
    ("crnn", {"features": MEL_PRESETS["birdnet"], "options": {"trunk": "birdnet"}, "window_seconds": 1.7}),
    ("crnn_s0", {}),
    ("embedding_mlp", {}),
    ("embedding_mlp", {"features": MEL_PRESETS["yamnet"], "options": {"trunk": "yamnet"}}),
]


@pytest.mark.parametrize(("name", "changes"), BY_BANDS)
def test_networks_that_read_bands_refuse_another_number_of_them(name, changes, config_of, pictures):
    config = config_of(name, **changes)
    _, height, width = config.picture_shape
    model = build_model(config).eval()
    with torch.inference_mode():
        assert torch.isfinite(model(pictures(config, num_frames=width + 7)).clip).all()  # any length will do
    with pytest.raises(ShapeError, match=rf"expected \(batch, (2, )?{height}, width\)"):
        model(pictures(config).narrow(-2, 0, height - 16))


@pytest.mark.parametrize("name", ["crnn", "crnn_s0", "embedding_mlp"])
@pytest.mark.parametrize("features", ["s1", "s1_mfcc", "s1_mel_mfcc", "s3_short"])
def test_networks_that_read_bands_refuse_other_pictures(name, features, config_of):
    with pytest.raises(
        ConfigError, match=rf"{name}: features of \d+ channel.* mel bands, frame by frame: use features"
    ):
        build_model(config_of(name, features=MEL_PRESETS[features]))


def test_networks_on_one_bank_of_bands_refuse_two(config_of):
    for name in ("crnn_s0", "embedding_mlp"):
        with pytest.raises(ConfigError, match=rf"{name}: features of 2 channel\(s\) of mel do not fit"):
            build_model(config_of(name, features=MEL_PRESETS["birdnet"]))


@pytest.mark.parametrize("name", IMAGE_MODELS)
@pytest.mark.parametrize(("features", "num_channels"), [("s1_mfcc", 1), ("s1_mel_mfcc", 2)])
def test_every_image_model_takes_cepstra_alone_and_beside_mel_bands(name, features, num_channels, config_of, pictures):
    features = dataclasses.replace(MEL_PRESETS[features], resize=(140, 170))
    config = config_of(name, features=features)
    assert config.picture_shape == (num_channels, 140, 170)
    model = build_model(config).eval()
    noise = 0.1 * torch.randn(2, config.window_samples, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.isfinite(model(MelSpectrogram(features)(noise)).clip).all()
    with pytest.raises(ShapeError, match=r"expected \(batch, "):
        model(torch.zeros(2, 3, 140, 170))


def test_frames_follow_the_length_of_the_picture(config_of, pictures):
    config = config_of("crnn")
    model = build_model(config).eval()
    for num_frames in (96, 97, 100, 500):
        assert model(pictures(config, num_frames=num_frames)).frames.shape[2] == -(-num_frames // 4)


def test_an_ensemble_localizes_if_its_members_do(config_of):
    assert localizes(config_of("crnn")) and not localizes(config_of("ensemble"))
    assert localizes(config_of("ensemble", options={"architecture": "crnn", "members": 2}))


def test_unknown_architecture_names_the_known_ones(config_of):
    with pytest.raises(ConfigError, match="crnn_s0"):
        build_model(config_of("crnn", architecture="wavenet"))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_unknown_option_is_refused(name, config_of):
    with pytest.raises(ConfigError, match="depth"):
        build_model(config_of(name, options={"depth": 3}))


def test_the_list_holds_every_architecture():
    assert [entry["name"] for entry in list_architectures()] == list(ARCHITECTURES)
    assert all(entry["features"] in MEL_PRESETS for entry in list_architectures())


def test_frames_of_the_network_are_so_many_mel_frames(config_of):
    assert frame_stride(config_of("crnn")) == 4 and frame_stride(config_of("crnn_s0")) == 1
    assert frame_stride(config_of("efficientnet_b0")) == 1  # windows may start anywhere
    of_crnn = {"architecture": "crnn", "members": 2, "options": {}}
    assert frame_stride(dataclasses.replace(config_of("crnn"), architecture="ensemble", options=of_crnn)) == 4


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "ensemble"])
def test_the_layer_that_names_species_is_found(name, config_of, pictures):
    config = config_of(name)
    network = build_model(config).eval()
    layer = naming_layer(network, config.num_outputs)
    with torch.no_grad():
        before = network(pictures(config)).clip
        layer.bias += 5.0  # every class becomes likelier
        assert (network(pictures(config)).clip > before).all()


def test_a_layer_that_weighs_moments_names_nothing(config_of):
    config = config_of("efficientnet_b0", options={"pooling": "attention"})
    network = build_model(config)
    network.pooling.score = torch.nn.Linear(128, config.num_outputs)  # the same size by chance
    assert naming_layer(network, config.num_outputs) is network.network.classifier
