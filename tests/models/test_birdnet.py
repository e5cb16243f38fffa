import os
from pathlib import Path

import numpy as np
import pytest
import torch

from birdcore.errors import WeightsError
from birdcore.models import birdnet
from birdcore.models.birdnet import BirdnetTrunk, load_birdnet_names, load_birdnet_trunk

PUBLISHED = os.environ.get("BIRDCORE_BIRDNET", "")
"""Path of BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite, which is neither part of the repository nor of the test data."""


def test_maps_are_halved_again_and_again():
    with torch.inference_mode():
        *maps, embedding = BirdnetTrunk().eval()(torch.rand(2, 2, 96, 192))
    assert [tuple(found.shape) for found in maps] == [
        (2, 36, 24, 24),
        (2, 72, 12, 12),
        (2, 108, 6, 6),
        (2, 192, 3, 3),
    ]
    assert embedding.shape == (2, 1024, 1, 1) and embedding.min() >= 0


def test_rows_of_the_maps_ascend_as_those_of_the_picture():
    torch.manual_seed(0)
    trunk = BirdnetTrunk().eval()
    low = torch.zeros(1, 2, 96, 192)
    low[:, :, :8] = 1.0
    with torch.inference_mode():
        change = (trunk(low)[0] - trunk(torch.zeros_like(low))[0]).abs().sum(dim=(0, 1, 3))
    assert change[:4].sum() > 0.95 * change.sum()


def test_frozen_parts_do_not_learn():
    trunk = BirdnetTrunk()
    trunk.freeze(3)
    learning = {name.split(".")[0] for name, parameter in trunk.named_parameters() if parameter.requires_grad}
    assert learning == {"stages", "last_gain", "last_bias", "last"}
    assert not any(parameter.requires_grad for stage in trunk.stages[:2] for parameter in stage.parameters())
    assert all(parameter.requires_grad for stage in trunk.stages[2:] for parameter in stage.parameters())
    trunk.freeze(6)
    assert not any(parameter.requires_grad for parameter in trunk.parameters())


def test_another_network_is_refused(shared_data):
    with pytest.raises(WeightsError, match=r"yamnet\.tflite: holds 28 convolutions where BirdNET V2.4 has 77"):
        load_birdnet_trunk(BirdnetTrunk(), shared_data.parent / "models" / "yamnet.tflite")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.tflite: no such file"):
        load_birdnet_trunk(BirdnetTrunk(), tmp_path / "none.tflite")


def test_known_species_are_named_as_birdnet_names_them(monkeypatch):
    kernel, bias = np.arange(12.0, dtype=np.float32).reshape(3, 4), np.array([7.0, 8.0, 9.0], dtype=np.float32)
    monkeypatch.setattr(birdnet, "read_tflite_layers", lambda path: [(kernel[:1], bias[:1]), (kernel, bias)])
    layer = torch.nn.Linear(4, 3)
    before = layer.weight.detach().clone()
    labels = ["Parus major", "Turdus merula", "Corvus corax"]
    assert load_birdnet_names(layer, "any", labels=labels, wanted=["Corvus corax", "", "Turdus merula"]) == 2
    assert layer.weight[0].tolist() == [8, 9, 10, 11] and layer.weight[2].tolist() == [4, 5, 6, 7]
    assert layer.bias[0].item() == 9 and layer.bias[2].item() == 8
    assert torch.equal(layer.weight[1], before[1])


def test_labels_of_another_model_are_refused(monkeypatch):
    monkeypatch.setattr(birdnet, "read_tflite_layers", lambda path: [(np.zeros((3, 4)), np.zeros(3))])
    with pytest.raises(WeightsError, match=r"file\.tflite: its last layer is of shape \(3, 4\), but 1 labels"):
        load_birdnet_names(torch.nn.Linear(4, 3), "file.tflite", labels=["Parus major"], wanted=["", "", ""])


@pytest.mark.skipif(not PUBLISHED, reason="BIRDCORE_BIRDNET does not name BirdNET's published file")
@pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors")
def test_embedding_and_names_are_those_of_the_published_file(monkeypatch):
    """On BirdNET's own pictures, which are sums of real parts, computed here as its graph says."""
    from ai_edge_litert.interpreter import Interpreter

    monkeypatch.setattr(birdnet, "_MAGNITUDE_TO_PUBLISHED", ((1.0, 0.0), (1.0, 0.0)))
    trunk = BirdnetTrunk().eval()
    load_birdnet_trunk(trunk, PUBLISHED)
    interpreter = Interpreter(model_path=str(Path(PUBLISHED)), experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    samples = np.random.default_rng(0).normal(size=144_000).astype(np.float32) * 0.1
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], samples[None])
    interpreter.invoke()
    by_name = {tensor["name"]: tensor["index"] for tensor in interpreter.get_tensor_details()}
    picture = interpreter.get_tensor(by_name["model/concatenate/concat"])  # (1, 96, 511, 2), highest band first
    published = interpreter.get_tensor(by_name["model/GLOBAL_AVG_POOL/Mean"])
    with torch.inference_mode():
        ours = trunk(torch.from_numpy(picture.transpose(0, 3, 1, 2).copy()).flip(2))[-1].mean(dim=(2, 3))
    assert np.allclose(ours.numpy(), published, atol=1e-4)
    names = torch.nn.Linear(1024, 6522)
    labels = [str(number) for number in range(6522)]
    assert load_birdnet_names(names, PUBLISHED, labels=labels, wanted=labels) == 6522
    logits = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    with torch.inference_mode():
        assert np.allclose(names(ours).numpy(), logits, atol=1e-3)
