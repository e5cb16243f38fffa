import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from birdcore.config import MEL_S1, MEL_YAMNET, MEL_YAMNET_WIDE, ClassName, ModelConfig
from birdcore.errors import ConfigError, ShapeError
from birdcore.inference.engine import OnnxEngine, TorchEngine, example_pictures
from birdcore.models.checkpoint import save_weights
from birdcore.models.embedding_mlp import EmbeddingMlp
from birdcore.models.registry import ARCHITECTURES, build_model
from birdcore.models.yamnet import Yamnet

CLASSES = tuple(ClassName(code=code, common=code, scientific=code) for code in ("alpha", "beta", "gamma"))
S4 = ModelConfig(
    architecture="embedding_mlp",
    class_names=CLASSES,
    window_seconds=0.96,
    features=MEL_YAMNET,
    options={"trunk": "yamnet"},
)
OURS = dataclasses.replace(S4, window_seconds=5.0, features=MEL_YAMNET_WIDE, options={"trunk": "crnn"})


@pytest.fixture(params=[S4, dataclasses.replace(S4, window_seconds=2.0), OURS], ids=["s4", "s4-2s", "ours"])
def config(request):
    torch.manual_seed(0)
    return request.param


def lively(model):
    """Random weights through which differences survive; torch's own start lets them fade away in a deep trunk."""
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    return model


def build(config):
    return lively(build_model(config))


def pictures(config, batch=4):
    _, height, width = config.picture_shape
    return torch.randn(batch, height, width) - 3


def test_the_registry_knows_it():
    assert ARCHITECTURES["embedding_mlp"].features == "yamnet_wide" and not ARCHITECTURES["embedding_mlp"].localizes


def test_layers_are_those_published():
    sizes = [(m.in_features, m.out_features) for m in EmbeddingMlp(S4).head if isinstance(m, torch.nn.Linear)]
    assert sizes == [(1024, 512), (512, 256), (256, 3)]
    assert [m.p for m in EmbeddingMlp(S4).head if isinstance(m, torch.nn.Dropout)] == [0.3, 0.3]


def test_pictures_become_finite_log_odds_without_localization(config):
    output = build(config).eval()(pictures(config))
    assert output.clip.shape == (4, 3) and torch.isfinite(output.clip).all()
    assert output.frames is None and output.bands is None


@pytest.mark.parametrize("frames", [1, 95, 97, 333])
def test_windows_of_any_length_work(config, frames):
    model, picture = build(config).eval(), torch.randn(2, config.features.n_mels, frames)
    assert torch.isfinite(model(picture).clip).all()
    assert torch.allclose(model(picture).clip[:1], model(picture[:1]).clip, atol=1e-4)


def test_the_embedding_is_yamnets_averaged_over_its_patches():
    yamnet, model = lively(Yamnet()).eval(), EmbeddingMlp(dataclasses.replace(S4, window_seconds=2.88)).eval()
    model.trunk.load_state_dict(yamnet.trunk.state_dict())
    waveform = 0.1 * torch.randn(46_320)  # 288 frames: five whole patches
    with torch.inference_mode():
        output = yamnet(waveform)
        embedding = model.embed(output.log_mel.T[None])
    assert output.log_mel.shape == (288, 64) and output.embeddings.std(dim=0).max() > 1e-3
    assert torch.allclose(embedding[0], output.embeddings.mean(dim=0), rtol=1e-4, atol=1e-5)


def test_only_the_head_learns_and_a_step_lowers_the_loss(config):
    model = build(config).train()
    assert not model.trunk.training and model.head.training
    before = {name: value.clone() for name, value in model.state_dict().items()}
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert sum(p.numel() for p in learning) == sum(p.numel() for p in model.head.parameters())
    optimizer = torch.optim.Adam(learning, lr=1e-3)
    picture, label = pictures(config), torch.tensor([0, 1, 2, 0])
    model.head.eval()  # without dropout, so that the two losses compare
    losses = []
    for _ in range(3):
        loss = functional.cross_entropy(model(picture).clip, label)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("trunk.")


def test_weights_that_hold_the_trunk_are_small(tmp_path):
    model = build(OURS)
    assert save_weights(tmp_path / "half", model, OURS, {}, compact=True).file.stat().st_size < 12e6


def test_the_exported_network_cuts_patches(tmp_path, monkeypatch):
    monkeypatch.setenv("BIRDCORE_CACHE", str(tmp_path / "cache"))
    config = dataclasses.replace(S4, window_seconds=2.0)
    weights = save_weights(tmp_path / "weights", build(config).eval(), config, {})
    for batch in (1, 3):
        made_up = example_pictures(weights, batch=batch)
        assert np.allclose(OnnxEngine(weights)(made_up).clip, TorchEngine(weights)(made_up).clip, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": {"trunk": "vggish"}}, "must be one of yamnet, crnn"),
        ({"options": {"width": 3}}, "unknown option 'width'"),
        ({"features": MEL_YAMNET_WIDE}, "knows 64 mel bands, not 80; use features = 'yamnet'"),
        (
            {"features": dataclasses.replace(MEL_S1, n_mels=100), "options": {"trunk": "crnn"}},
            "n_mels is 100; it is halved",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        build_model(dataclasses.replace(S4, **changes))


def test_stacked_pictures_are_refused():
    with pytest.raises(ShapeError, match="expected \\(batch, 64, width\\)"):
        build_model(S4)(torch.zeros(1, 2, 64, 96))
