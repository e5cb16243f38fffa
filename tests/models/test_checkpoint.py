import dataclasses
import json
import shutil

import pytest
import torch

from birdcore.config import MEL_BIRDNET, MEL_YAMNET_WIDE, ClassName, ModelConfig
from birdcore.errors import WeightsError
from birdcore.models import checkpoint
from birdcore.models.checkpoint import find_weights, list_problems, list_weights, load_model, save_weights
from birdcore.models.registry import build_model

CONFIG = ModelConfig(
    architecture="crnn",
    class_names=(ClassName(code="gretit1", common="Great Tit", scientific="Parus major"),),
    window_seconds=1.0,
    features=MEL_YAMNET_WIDE,
    options={"width": 16, "hidden": 8},
)


@pytest.fixture
def stored(tmp_path):
    torch.manual_seed(0)
    model = build_model(CONFIG).eval()
    return model, save_weights(tmp_path / "tiny", model, CONFIG, {"summary": "a test"})


def test_saved_weights_load_bit_equal(stored):
    model, weights = stored
    picture = torch.randn(1, 80, 100)
    with torch.inference_mode():
        assert torch.equal(load_model(weights)(picture).clip, model(picture).clip)
    assert weights.config == CONFIG
    assert weights.facts["summary"] == "a test"


def test_large_kernels_take_8_bits_where_the_file_were_too_large(tmp_path, stored, monkeypatch):
    model, _ = stored
    monkeypatch.setattr(checkpoint, "LARGE_KERNEL", 1 << 10)
    plain = save_weights(tmp_path / "plain", model, CONFIG, {}, compact=True)
    assert plain.facts["tensors"] == "float16"
    monkeypatch.setattr(checkpoint, "MOST_BYTES", plain.file.stat().st_size // 2)
    small = save_weights(tmp_path / "small", model, CONFIG, {}, compact=True)
    assert small.facts["tensors"].endswith("int8") and small.file.stat().st_size < 0.7 * plain.file.stat().st_size
    for ours, theirs in zip(load_model(small).parameters(), model.parameters(), strict=True):
        assert ours.dtype == torch.float32
        largest = theirs.abs().flatten(1).amax(dim=1, keepdim=True) if theirs.ndim > 1 else theirs.abs()
        # Half a step of 127, and the half precision of a scale or a small tensor.
        assert ((ours - theirs).abs().reshape(len(theirs), -1) <= largest.reshape(len(theirs), -1) / 240 + 1e-6).all()
    assert {key: value.dtype for key, value in load_model(small).state_dict().items()} == {
        key: value.dtype for key, value in model.state_dict().items()
    }


def test_half_precision_changes_scores_little(tmp_path, stored):
    model, _ = stored
    half = save_weights(tmp_path / "half", model, CONFIG, {}, compact=True)
    picture = torch.randn(1, 80, 100)
    with torch.inference_mode():
        assert torch.allclose(
            torch.sigmoid(load_model(half)(picture).clip), torch.sigmoid(model(picture).clip), atol=1e-3
        )


def test_damaged_tensors_are_refused(stored):
    _, weights = stored
    content = bytearray(weights.file.read_bytes())
    content[-1] ^= 1
    weights.file.write_bytes(content)
    with pytest.raises(WeightsError, match="checksum"):
        load_model(weights)


def test_list_leaves_out_damaged_folders(tmp_path, stored):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    (tmp_path / "no-tensors").mkdir()
    (tmp_path / "no-tensors" / "config.json").write_text((tmp_path / "tiny" / "config.json").read_text())
    assert [weights.name for weights in list_weights(tmp_path)] == ["tiny"]


@pytest.mark.parametrize("facts", ["null", "[1]", '"good"', "[" * 100_000 + "]" * 100_000])
def test_facts_that_are_no_table_are_told(tmp_path, stored, facts):
    _, weights = stored
    shutil.copytree(weights.path, tmp_path / "broken")
    model = json.loads((weights.path / "config.json").read_text())["model"]
    (tmp_path / "broken" / "config.json").write_text(f'{{"model": {json.dumps(model)}, "facts": {facts}}}')
    assert [weights.name for weights in list_weights(tmp_path)] == ["tiny"]
    (problem,) = list_problems(tmp_path)
    assert problem.startswith("weights 'broken': config.json cannot be used") and len(problem) < 300


@pytest.mark.parametrize("content", ["null", "[]", '["model"]', '"model"', "[" * 100_000])
def test_a_config_that_is_no_table_is_told(tmp_path, stored, content):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text(content)
    assert [weights.name for weights in list_weights(tmp_path)] == ["tiny"]
    assert len(list_problems(tmp_path)) == 1


def test_unknown_name_lists_what_is_there(tmp_path, stored, monkeypatch):
    monkeypatch.setenv("BIRDCORE_WEIGHTS", str(tmp_path))
    assert find_weights("tiny").config == CONFIG
    with pytest.raises(WeightsError, match="shipped are: tiny"):
        find_weights("huge")


def test_unknown_setting_in_config_is_told(tmp_path, stored):
    _, weights = stored
    content = json.loads((weights.path / "config.json").read_text())
    content["model"]["colour"] = "red"
    (weights.path / "config.json").write_text(json.dumps(content))
    with pytest.raises(WeightsError, match="colour"):
        find_weights(weights.path)


@pytest.mark.parametrize(
    ("features", "options", "lowest"), [(MEL_YAMNET_WIDE, {}, 125.0), (MEL_BIRDNET, {"trunk": "birdnet"}, 0.0)]
)
def test_what_a_model_hears_includes_its_bass(tmp_path, features, options, lowest):
    config = dataclasses.replace(CONFIG, features=features, options=CONFIG.options | options)
    weights = save_weights(tmp_path / "tiny", build_model(config), config, {})
    assert weights.hears == (lowest, features.fmax)
