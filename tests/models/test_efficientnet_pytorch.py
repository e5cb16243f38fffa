"""Lite0's weights in a B0: with Lite0's activation, both compute the same."""

import importlib.util
import re

import pytest
import torch
from torch import nn

from birdcore.errors import WeightsError
from birdcore.models import imagenet
from birdcore.models.efficientnet_pytorch import (
    LITE0_PACKAGE,
    find_lite0,
    is_efficientnet_pytorch,
    rename_to_timm,
)
from birdcore.models.registry import build_model
from birdcore.models.torchvision_operators import ensure_torchvision_operators

LAYERS = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
FIRST = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
OTHERS = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}
GATES = {"se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}


@pytest.fixture
def timm():
    ensure_torchvision_operators()
    return importlib.import_module("timm")


def named_by_efficientnet_pytorch(state):
    """timm's names turned back, block by block."""
    blocks = sorted({tuple(map(int, m.groups())) for k in state if (m := re.match(r"blocks\.(\d+)\.(\d+)\.", k))})
    renamed = {}
    for name, value in state.items():
        layer, _, kind = name.rpartition(".")
        if match := re.match(r"blocks\.(\d+)\.(\d+)\.(.+)", layer):
            number = blocks.index((int(match[1]), int(match[2])))
            theirs = ((OTHERS if number else FIRST) | GATES)[match[3]]
            renamed[f"_blocks.{number}.{theirs}.{kind}"] = value
        else:
            renamed[f"{LAYERS[layer]}.{kind}"] = value
    return renamed


def with_activation_of(network, kind):
    for name, child in network.named_children():
        if isinstance(child, nn.SiLU):
            setattr(network, name, kind())
        else:
            with_activation_of(child, kind)
    return network


def test_b0s_names_are_timms(timm):
    state = timm.create_model("efficientnet_b0", pretrained=False).state_dict()
    theirs = named_by_efficientnet_pytorch(state)
    assert is_efficientnet_pytorch(theirs)
    assert not is_efficientnet_pytorch(state)
    renamed = rename_to_timm(theirs)
    assert renamed.keys() == state.keys()
    assert all(torch.equal(renamed[name], state[name]) for name in state)


def test_lite0_in_a_b0_computes_what_lite0_does(timm):
    lite = timm.create_model("efficientnet_lite0", pretrained=False).eval()
    for module in lite.modules():  # statistics and scales as of a network that has learnt something
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
    full = timm.create_model("efficientnet_b0", pretrained=False).eval()
    full.load_state_dict(rename_to_timm(named_by_efficientnet_pytorch(lite.state_dict())))
    picture = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        expected = lite.forward_features(picture)
        assert torch.allclose(
            with_activation_of(full, nn.ReLU6).forward_features(picture),
            expected,
            atol=1e-4 * float(expected.abs().max()),
        )


def test_gates_begin_alike_and_can_learn(timm):
    lite = timm.create_model("efficientnet_lite0", pretrained=False).state_dict()
    network = timm.create_model("efficientnet_b0", pretrained=False)
    network.load_state_dict(rename_to_timm(named_by_efficientnet_pytorch(lite)))
    network(torch.randn(2, 3, 64, 64)).square().mean().backward()
    gate = network.blocks[3][1].se
    assert not gate.conv_expand.weight.any()
    assert gate.conv_expand.weight.grad.any()


@pytest.mark.parametrize(
    "name", ["_blocks.16._bn1.weight", "_blocks.0._expand_conv.weight", "_blocks.x._bn1.weight", "layer1.0.weight"]
)
def test_another_networks_layer_is_refused(name):
    with pytest.raises(WeightsError, match=r"no layer of EfficientNet-B0 or Lite0"):
        rename_to_timm({"_conv_stem.weight": torch.zeros(32, 3, 3, 3), name: torch.zeros(1)})


def test_a_part_of_lite0_is_refused():
    with pytest.raises(WeightsError, match=r"blocks\.0\.0 is missing"):
        rename_to_timm({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)})


@pytest.fixture
def unreachable_hub(timm, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no route to host")

    def block():
        monkeypatch.setattr(timm, "create_model", refuse)

    return block


def test_without_the_hub_the_package_is_used(config_of, unreachable_hub, caplog):
    """With the real file of the package."""
    model = build_model(config_of("efficientnet_b0"))
    unreachable_hub()
    assert imagenet.load_imagenet_weights(model) == f"ImageNet weights loaded from the package {LITE0_PACKAGE}"
    assert "hub could not be reached (OSError); taking EfficientNet-Lite0's" in caplog.text
    theirs = torch.load(find_lite0(), weights_only=True)
    assert torch.equal(model.network.blocks[2][1].conv_dw.weight, theirs["_blocks.4._depthwise_conv.weight"])


def test_without_hub_and_package_the_remedy_is_named(config_of, unreachable_hub, monkeypatch):
    model = build_model(config_of("efficientnet_b0"))
    unreachable_hub()
    monkeypatch.setattr(imagenet, "find_lite0", lambda: None)
    sentence = imagenet.load_imagenet_weights(model)
    assert "starting from random weights" in sentence
    assert f"or install {LITE0_PACKAGE}" in sentence


def test_a_file_of_lite0_can_be_named(config_of):
    path = find_lite0()
    assert str(path) in imagenet.load_imagenet_weights(build_model(config_of("efficientnet_b0")), path)


def test_a_package_that_is_not_there_is_not_found(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert find_lite0() is None
