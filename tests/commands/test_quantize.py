"""``python -m birdcore quantize``, from words to a folder."""

import json

import numpy as np
import pytest
import soundfile
import torch

from birdcore.__main__ import main
from birdcore.config import MEL_YAMNET_WIDE, ClassName, ModelConfig
from birdcore.models.checkpoint import find_weights, save_weights
from birdcore.models.registry import build_model


@pytest.fixture
def original(tmp_path):
    """Random weights of two classes: what is tested is the command, not the figures."""
    torch.manual_seed(0)
    config = ModelConfig(
        architecture="crnn",
        class_names=tuple(ClassName(code=code, common=code, scientific="") for code in ("alpha", "beta")),
        window_seconds=1.0,
        features=MEL_YAMNET_WIDE,
        options={"width": 16, "hidden": 8},
    )
    return save_weights(tmp_path / "original", build_model(config).eval(), config, {"summary": "random"})


@pytest.fixture
def manifest(tmp_path):
    lines = ["path,species_code,recording_id,split"]
    for number in range(4):
        name = f"{number}.wav"
        soundfile.write(tmp_path / name, 0.1 * np.random.default_rng(number).normal(size=32_000), 32_000)
        lines.append(f"{name},{('alpha', 'alpha', 'beta', 'beta')[number]},r{number},train")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "manifest.csv"


def test_the_copy_and_its_figures_are_written_and_printed(original, manifest, tmp_path, capsys):
    words = ("quantize", "--weights", original.path, "--out", tmp_path / "tiny", "--manifest", manifest)
    assert main([str(word) for word in (*words, "--prune", 0.3)]) == 0
    out = capsys.readouterr().out
    assert "macro ROC-AUC" in out and "x smaller" in out and "trained on all of these recordings" in out
    found = json.loads((tmp_path / "tiny" / "quantization.json").read_text())
    assert found["split"] == "validation" and found["sparsity"] == 0.3 and found["original"]["num_recordings"] == 2
    assert find_weights(tmp_path / "tiny").facts["copy_of"] == "original"


def test_a_model_from_outside_is_refused_for_what_it_is(shared_data, manifest, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BIRDCORE_WEIGHTS", str(tmp_path / "weights"))
    models = shared_data.parent / "models"
    file, labels = str(models / "yamnet.tflite"), str(models / "yamnet_class_map.csv")
    assert main(["models", "add", file, "--labels", labels, "--preset", "yamnet"]) == 0
    words = ("quantize", "--weights", "yamnet", "--out", tmp_path / "tiny", "--manifest", manifest)
    assert main([str(word) for word in words]) == 2
    assert "weights 'yamnet': hold no network of ours" in capsys.readouterr().err
    assert not (tmp_path / "tiny").exists()


def test_the_original_is_not_overwritten(original, manifest, capsys):
    words = ("quantize", "--weights", original.path, "--out", original.path, "--manifest", manifest)
    assert main([str(word) for word in words]) == 2
    assert "is the folder of the original" in capsys.readouterr().err
