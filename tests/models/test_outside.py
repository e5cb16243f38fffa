import dataclasses

import pytest

from birdcore.errors import ConfigError, WeightsError
from birdcore.models.checkpoint import find_weights, list_problems, list_weights
from birdcore.models.outside import OUTSIDE_PRESETS, OutsideSettings, preset_settings, settings_text


@pytest.fixture
def folder(tmp_path):
    """``folder(text, labels="…")``: a folder of a model from outside that was put together by hand."""

    def make(text, *, labels="Parus major_Great Tit\nAnas platyrhynchos_Mallard\n", name="mine"):
        path = tmp_path / "weights" / name
        path.mkdir(parents=True)
        (path / "outside.toml").write_text(text)
        (path / "model.tflite").write_bytes(b"never opened")
        (path / "labels.txt").write_text(labels)
        return path

    return make


def test_a_preset_alone_is_enough(folder):
    weights = find_weights(folder('preset = "birdnet"'))
    config = weights.config
    assert weights.is_outside and weights.file.name == "model.tflite"
    assert (config.sample_rate, config.window_seconds, config.window_samples) == (48_000, 3.0, 144_000)
    assert (config.activation, config.threshold, weights.hears) == ("sigmoid", 0.25, (0.0, 15_000.0))
    assert [name.common for name in config.class_names] == ["Great Tit", "Mallard"]
    assert "CC BY-NC-SA 4.0" in weights.facts["licence"]


def test_settings_override_the_preset(folder):
    weights = find_weights(folder('preset = "birdnet"\nthreshold = 0.6\nlicence = "mine"'))
    assert (weights.config.threshold, weights.facts["licence"]) == (0.6, "mine")


def test_a_model_without_a_stated_licence_says_so(folder):
    weights = find_weights(folder("sample_rate = 22050\nwindow_seconds = 1.0\n"))
    assert "not stated" in weights.facts["licence"]
    assert weights.hears == (0.0, 11_025.0)


def test_another_labels_file_is_noticed(folder):
    path = folder('preset = "birdnet"')
    assert find_weights(path).config.num_classes == 2
    (path / "labels.txt").write_text("Parus major_Great Tit\n")
    assert find_weights(path).config.num_classes == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('preset = "birdnot"', "unknown; known are birdnet"),
        ('preset = "birdnet"\nfile = "../../secret.tflite"', "plain name of a file"),
        ('preset = "birdnet"\nlabels = "/etc/passwd"', "plain name of a file"),
        ('preset = "birdnet"\nfile = "model.pkl"', r"must end in \.tflite or \.onnx"),
        ('preset = "birdnet"\nfile = "other.onnx"', r"expected one file, found other\.onnx"),
        ('preset = "birdnet"\nsample_rat = 1', "unknown setting 'sample_rat'"),
        ('preset = "birdnet"\nactivation = "tanh"', "must be one of 'none', 'sigmoid', 'softmax'"),
        ('preset = "birdnet"\nthreshold = 1.5', "between 0 and 1"),
        ('preset = "birdnet"\nwindow_seconds = 1e9', "window_seconds"),
        ("window_seconds = 3.0", "sample_rate = 0"),
        ("x = " + "[" * 100_000, "outside.toml cannot be used"),
        ("preset = birdnet", "outside.toml cannot be used"),
    ],
)
def test_settings_that_cannot_be_used_are_told_and_left_out_of_the_list(folder, text, message):
    path = folder(text)
    with pytest.raises(WeightsError, match=message):
        find_weights(path)
    assert list_weights(path.parent) == []
    (problem,) = list_problems(path.parent)
    assert problem.startswith("weights 'mine'")


def test_two_models_in_a_folder_must_be_told_apart(folder):
    path = folder('preset = "birdnet"')
    (path / "second.onnx").write_bytes(b"")
    with pytest.raises(WeightsError, match=r'found model\.tflite, second\.onnx; name it: file = "…"'):
        find_weights(path)


@pytest.mark.parametrize("preset", OUTSIDE_PRESETS)
def test_every_preset_names_licence_and_source(preset):
    settings = preset_settings(preset)
    assert settings.licence and settings.source.startswith("https://") and settings.summary and settings.limits


@pytest.mark.parametrize("preset", ["", *OUTSIDE_PRESETS])
def test_settings_written_are_read_again(folder, preset):
    basis = preset_settings(preset) if preset else OutsideSettings(sample_rate=16_000, window_seconds=1.0)
    settings = dataclasses.replace(
        basis, file="model.tflite", labels="labels.txt", layout="scientific_common", licence='a "b" \\ c\nd', peak=0.5
    )
    weights = find_weights(folder(settings_text(settings)))
    assert weights.facts["licence"] == 'a "b" \\ c\nd'
    assert (weights.config.peak, weights.config.sample_rate) == (0.5, settings.sample_rate)


def test_folders_that_are_being_made_are_not_listed(folder):
    path = folder('preset = "birdnet"', name=".mine-part")
    assert list_weights(path.parent) == []


def test_an_unknown_preset_is_told():
    with pytest.raises(ConfigError, match="known are birdnet, perch, perch_v1, yamnet"):
        preset_settings("merlin")
