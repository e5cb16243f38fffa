import dataclasses

import numpy as np
import pytest
import torch

from birdcore.config import MEL_PRESETS, MEL_S2
from birdcore.errors import ConfigError, ShapeError
from birdcore.inference.engine import OnnxEngine, TorchEngine
from birdcore.models.checkpoint import load_model, save_weights
from birdcore.models.registry import (
    ARCHITECTURES,
    build_model,
    frame_stride,
    list_architectures,
    localizes,
    naming_layer,
)

IMAGE_MODELS = sorted({name for name, entry in ARCHITECTURES.items() if not entry.localizes} - {"embedding_mlp"})


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_forwards_with_the_stated_shapes(name, config_of, pictures):
    config = config_of(name)
    output = build_model(config).eval()(pictures(config))
    assert output.clip.shape == (2, 5)
    assert torch.isfinite(output.clip).all()
    if ARCHITECTURES[name].localizes:
        batch, outputs, num_frames = output.frames.shape
        assert (batch, outputs) == (2, 5)
        assert output.bands.shape[:2] == (2, 3) and output.bands.shape[3] == num_frames
        assert torch.isfinite(output.frames).all() and torch.isfinite(output.bands).all()
    else:
        assert output.frames is None and output.bands is None


@pytest.mark.parametrize("name", ["bulbul", "sparrow", "hawk", "zilpzalp", "puffin"])
def test_the_networks_of_s2_take_its_slices(name, config_of, pictures):
    config = config_of(name, features=MEL_S2, window_seconds=216 * MEL_S2.frame_seconds, options={})
    assert config.picture_shape == (1, 256, 216)
    with torch.inference_mode():
        assert torch.isfinite(build_model(config).eval()(pictures(config, batch=1)).clip).all()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_one_step_lowers_the_loss(name, config_of, pictures):
    torch.manual_seed(0)
    config = config_of(name)
    model = build_model(config).train()
    for module in model.modules():  # nothing random between the two losses
        if isinstance(module, torch.nn.Dropout | torch.nn.LSTM):
            module.p = module.dropout = 0.0
        if hasattr(module, "drop_prob"):
            module.drop_prob = 0.0
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    picture = pictures(config)
    target = torch.tensor([[1.0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0]])
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-5)

    def loss():
        return torch.nn.functional.binary_cross_entropy_with_logits(model(picture).clip, target)

    before = loss()
    before.backward()
    optimizer.step()
    assert loss() < before


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_saved_weights_load_bit_equal_and_the_onnx_export_agrees(name, config_of, pictures, tmp_path):
    torch.manual_seed(0)
    config = config_of(name)
    model = build_model(config).eval()
    weights = save_weights(tmp_path / name, model, config, {"summary": "random weights"})
    picture = pictures(config, batch=5)
    loaded = load_model(weights)
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    with torch.inference_mode():
        assert torch.allclose(loaded(picture).clip, model(picture).clip, atol=1e-6)
    exported, original = OnnxEngine(weights), TorchEngine(weights)  # itself refuses an export that differs
    for batch in (1, 5):  # the export was made with two
        ours, theirs = exported(picture[:batch].numpy()), original(picture[:batch].numpy())
        assert ours.clip.shape == (batch, 3)
        assert np.abs(ours.clip - theirs.clip).max() < 1e-3
        assert (ours.frames is None) == (not ARCHITECTURES[name].localizes)


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


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet18", "mobilenet_v2", "bulbul", "puffin"])
def test_any_network_takes_mel_and_cepstrum_as_two_channels(name, config_of, pictures):
    features = dataclasses.replace(MEL_PRESETS["s1_mel_mfcc"], resize=(140, 170))
    config = config_of(name, features=features)
    assert config.picture_shape == (2, 140, 170)
    model = build_model(config).eval()
    assert torch.isfinite(model(pictures(config)).clip).all()
    with pytest.raises(ShapeError, match=r"expected \(batch, 2, "):
        model(torch.zeros(2, 140, 170))


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
