"""Every file in ``configs/``: its network, features, options, loss and optimizer, on windows as short as they may be."""

import math

import numpy as np
import pytest
import torch

from birdcore.config import MEL_PRESETS, ClassName, ModelConfig
from birdcore.inference.engine import OnnxEngine, TorchEngine
from birdcore.models.checkpoint import load_model, save_weights
from birdcore.models.registry import ARCHITECTURES, build_model, localizes
from birdcore.training.initialization import expect_rarely
from birdcore.training.losses import clip_loss, localization_loss, output_weights
from birdcore.training.presets import list_presets
from birdcore.training.schedule import make_optimizer, set_learning_rate

CLASSES = tuple(ClassName(code=code, common=code, scientific=code) for code in ("alpha", "beta", "gamma"))
SHARE = np.array([0.5, 0.3, 0.1, 0.1])
"""Expected share of the windows that hold each class, the last one auxiliary."""

SHORT = {
    "crnn": 1.0,
    "crnn_s0": 0.5,
    "efficientnet_b0": 1.0,
    "embedding_mlp": 1.0,
    "hawk": 3.2,
    "mobilenet_v2": 3.2,
    "puffin": 2.0,
    "resnet18": 3.2,
    "sparrow": 3.2,
    "zilpzalp": 3.2,
}
"""Seconds of a window, where an architecture takes less than the published ones."""

PRESETS = {name: preset.config for name, preset in list_presets()[0].items()}


def model_config(config):
    """What a run of the preset saves beside its weights, but for few classes and short windows."""
    return ModelConfig(
        architecture=config.architecture,
        class_names=CLASSES,
        num_auxiliary=1,
        window_seconds=min(config.window_seconds, SHORT.get(config.architecture, math.inf)),
        features=MEL_PRESETS[config.features],
        treatments=config.treatments,
        options=config.options,
    )


def without_chance(model):
    """The network in training mode with nothing random in it, so that two losses compare."""
    for module in model.train().modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("dropout", "drop_prob"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    return model


def make_targets(output):
    """Two windows: one class sings in the first half of each, in the lower half of the bands."""
    clip = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]])
    if output.frames is None:
        return {"clip": clip}
    num_bands, num_frames = output.bands.shape[2:]
    sings = (torch.arange(num_frames) < num_frames // 2).float()
    low = (torch.arange(num_bands) < num_bands // 2).float()
    cells = torch.cat([clip[:, :3], torch.ones(2, 1)], dim=1)[:, :, None, None] * low[:, None] * sings
    return {
        "clip": clip,
        "frames": clip[:, :, None] * sings,
        "frame_weight": torch.ones(2, num_frames),
        "activity": sings.expand(2, -1),
        "activity_weight": torch.ones(2, num_frames),
        "bands": cells,
        "band_weight": torch.ones(2, 4, num_frames),
    }


def test_every_architecture_has_a_preset():
    assert {config.architecture for config in PRESETS.values()} == set(ARCHITECTURES) - {"ensemble"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_forwards_learns_is_saved_and_exported(name, tmp_path, monkeypatch):
    monkeypatch.setenv("BIRDCORE_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    train = PRESETS[name]
    config = model_config(train)
    model = build_model(config).eval()
    channels, *size = config.picture_shape
    picture = torch.randn(2, *((channels, *size) if channels > 1 else size))

    # It says one thing of each window, or also of each frame and cell.
    with torch.inference_mode():
        output = model(picture)
    assert output.clip.shape == (2, 4) and torch.isfinite(output.clip).all()
    if localizes(config):
        num_frames = -(-size[1] // model.frame_stride)
        assert output.frames.shape == (2, 4, num_frames)
        assert output.bands.shape == (2, 3, model.num_bands, num_frames)
        assert torch.isfinite(output.frames).all() and torch.isfinite(output.bands).all()
    else:
        assert output.frames is None and output.bands is None

    # A first step down its own gradient, short enough for it to hold, lowers the run's own loss.
    if train.loss != "cross_entropy":
        expect_rarely(model, SHARE)
    without_chance(model)
    targets, weights = make_targets(output), output_weights(SHARE, train)
    optimizer = make_optimizer(model, train)
    set_learning_rate(optimizer, train, step=0, total_steps=1000, steps_per_epoch=100)
    for group in optimizer.param_groups:
        group["lr"] = min(group["lr"], 1e-5)

    def loss():
        output = model(picture)
        named = clip_loss(output.clip, targets["clip"], config=train, weights=weights)
        return named + train.localization_weight * localization_loss(output, targets, dice_weight=train.dice_weight)

    before = loss()
    before.backward()
    optimizer.step()
    with torch.no_grad():
        assert loss() < before

    # What it has learnt is read back bit for bit, and the exported network says the same.
    model.eval()
    saved = save_weights(tmp_path / name, model, config, {"summary": "one step"})
    loaded = load_model(saved).state_dict()
    for key, value in model.state_dict().items():
        assert torch.equal(loaded[key], value), key
    exported, original = OnnxEngine(saved), TorchEngine(saved)  # itself refuses an export that differs
    for batch in (picture[:1], picture[[0, 1, 1]]):  # the export was made with two
        ours, theirs = exported(batch.numpy()), original(batch.numpy())
        assert ours.clip.shape == (len(batch), 3)
        for found, expected in zip(ours, theirs, strict=True):
            assert (found is None and expected is None) or np.abs(found - expected).max() < 1e-3
