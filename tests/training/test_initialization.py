import dataclasses

import numpy as np
import pytest
import torch

from birdcore.config import MEL_PRESETS, ClassName, ModelConfig, TrainConfig
from birdcore.errors import ConfigError, RunError, WeightsError
from birdcore.models.checkpoint import find_weights, load_model, save_weights
from birdcore.models.registry import build_model
from birdcore.training import initialization
from birdcore.training.initialization import expect_rarely, initialize
from birdcore.training.loop import fit
from birdcore.training.run_directory import RunDirectory

CLASSES = (ClassName(code="alpha", common="alpha", scientific="alpha"),)
S4 = TrainConfig(
    architecture="embedding_mlp", features="yamnet", window_seconds=0.96, options={"trunk": "yamnet"}, init="yamnet"
)
OURS = TrainConfig(architecture="embedding_mlp", features="yamnet_wide", options={"trunk": "crnn"}, init="crnn")
CRNN = TrainConfig(architecture="crnn", features="yamnet_wide", options={"width": 16, "hidden": 8}, init="crnn")

ON_BIRDNET = TrainConfig(
    architecture="crnn", features="birdnet", options={"trunk": "birdnet", "width": 16, "hidden": 8}, init="birdnet"
)


def model_config(config):
    return ModelConfig(
        architecture=config.architecture,
        class_names=CLASSES,
        window_seconds=config.window_seconds,
        features=MEL_PRESETS[config.features],
        options=config.options,
    )


def build(config):
    return build_model(model_config(config))


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A weights folder with a crnn of random weights."""
    monkeypatch.setenv("BIRDCORE_WEIGHTS", str(tmp_path))
    crnn = build(CRNN)
    save_weights(tmp_path / "crnn_yamnet", crnn, model_config(CRNN), {})
    return crnn


@pytest.mark.parametrize("config", [OURS, CRNN], ids=["embedding_mlp", "crnn"])
def test_the_trunk_is_that_of_the_shipped_weights(shipped, tmp_path, config):
    model = build(config)
    assert initialize(model, config, data_root=tmp_path) == "trunk: taken from the weights 'crnn_yamnet'"
    for ours, theirs in zip(model.trunk.parameters(), shipped.trunk.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_trunk_can_be_that_of_an_earlier_run(tmp_path, monkeypatch):
    monkeypatch.setenv("BIRDCORE_WEIGHTS", str(tmp_path / "nothing here"))
    earlier = build(CRNN)
    save_weights(tmp_path / "taught" / "weights", earlier, model_config(CRNN), {})
    config = dataclasses.replace(CRNN, trunk_weights=str(tmp_path / "taught" / "weights"))
    model = build(config)
    initialize(model, config, data_root=tmp_path)
    for ours, theirs in zip(model.trunk.parameters(), earlier.trunk.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_weights_without_such_a_trunk_are_refused(tmp_path):
    other = dataclasses.replace(model_config(CRNN), architecture="bulbul", features=MEL_PRESETS["s2"], options={})
    save_weights(tmp_path / "other", build_model(other), other, {})
    config = dataclasses.replace(CRNN, trunk_weights=str(tmp_path / "other"))
    with pytest.raises(RunError, match=r"trunk_weights = .*'bulbul'.*weights of a crnn"):
        initialize(build(config), config, data_root=tmp_path)


def test_weights_on_another_trunk_are_refused(shipped, tmp_path):
    config = dataclasses.replace(ON_BIRDNET, init="crnn", trunk_weights="crnn_yamnet")
    with pytest.raises(RunError, match=r"does not stand on BirdNET's trunk; name weights of a crnn that does"):
        initialize(build(config), config, data_root=tmp_path)


@pytest.mark.parametrize("config", [CRNN, OURS], ids=["crnn on YAMNet", "embedding_mlp"])
def test_birdnets_weights_fit_no_other_trunk(tmp_path, config):
    options = config.options | ({"trunk": "birdnet"} if config is OURS else {})
    with pytest.raises((RunError, ConfigError), match=r"no such trunk|must be one of"):
        initialize(build(config), dataclasses.replace(config, init="birdnet", options=options), data_root=tmp_path)


def test_birdnet_is_found_where_it_was_added_and_its_licence_is_said(tmp_path, monkeypatch):
    """The file is not part of the test data: what reads it is tested with the file in ``test_birdnet``."""
    monkeypatch.setenv("BIRDCORE_WEIGHTS", str(tmp_path / "weights"))
    read = []
    monkeypatch.setattr(initialization, "load_birdnet_trunk", lambda trunk, file: read.append(file))
    added = tmp_path / "weights" / "birdnet"
    added.mkdir(parents=True)
    (added / "outside.toml").write_text('preset = "birdnet"\n')
    (added / "labels.txt").write_text("Turdus merula_Eurasian Blackbird\n")
    (added / "model.tflite").write_bytes(b"")
    assert "CC BY-NC-SA 4.0" in initialize(build(ON_BIRDNET), ON_BIRDNET, data_root=tmp_path)
    (tmp_path / "own.tflite").write_bytes(b"")
    named = dataclasses.replace(ON_BIRDNET, birdnet_file="own.tflite")
    assert "BirdNET V2.4's weights from own.tflite" in initialize(build(named), named, data_root=tmp_path)
    assert read == [added / "model.tflite", tmp_path / "own.tflite"]


def test_birdnet_names_the_species_it_knows_where_its_labels_lie_beside_it(tmp_path, monkeypatch):
    monkeypatch.setenv("BIRDCORE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(initialization, "load_birdnet_trunk", lambda trunk, file: None)
    asked = []

    def load(layer, file, *, labels, wanted):
        asked.append((layer.out_features, file.name, labels, wanted))
        return 1

    monkeypatch.setattr(initialization, "load_birdnet_names", load)
    (tmp_path / "BirdNET_V2.4_Model_FP32.tflite").write_bytes(b"")
    config = dataclasses.replace(ON_BIRDNET, birdnet_file="BirdNET_V2.4_Model_FP32.tflite")
    model = build(config)
    said = initialize(model, config, data_root=tmp_path, outputs=CLASSES)
    assert said.endswith("no labels lie beside it, so that every species is learnt anew") and not asked
    (tmp_path / "BirdNET_V2.4_Labels.txt").write_text("beta_Beta\nalpha_Alpha\n")
    said = initialize(model, config, data_root=tmp_path, outputs=CLASSES)
    assert said.endswith("it knows 1 of 1 species by name")
    assert asked == [(1, "BirdNET_V2.4_Model_FP32.tflite", ["beta", "alpha"], ["alpha"])]


def test_without_birdnet_the_trunk_is_that_of_the_shipped_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("BIRDCORE_WEIGHTS", str(tmp_path))
    shipped = build(ON_BIRDNET)
    save_weights(tmp_path / "crnn", shipped, model_config(ON_BIRDNET), {})
    model = build(ON_BIRDNET)
    said = initialize(model, ON_BIRDNET, data_root=tmp_path)
    assert said.startswith("trunk: there is no file of BirdNET") and said.endswith("from the weights 'crnn' instead")
    for ours, theirs in zip(model.trunk.parameters(), shipped.trunk.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_trunk_is_yamnets_and_its_licence_is_said(shared_data):
    config = dataclasses.replace(S4, yamnet_file="../models/yamnet.tflite")
    said = initialize(build(config), config, data_root=shared_data)
    assert "YAMNet's weights from yamnet.tflite" in said and "Apache" in said


def test_a_frozen_yamnet_is_downloaded_where_its_file_is_missing(shared_data, tmp_path, monkeypatch):
    monkeypatch.setattr(initialization, "fetch_yamnet", lambda: shared_data.parent / "models" / "yamnet.tflite")
    config = dataclasses.replace(S4, yamnet_file="missing.tflite")
    assert "YAMNet's weights" in initialize(build(config), config, data_root=tmp_path)


def test_without_file_and_network_the_run_says_what_to_do(tmp_path, monkeypatch, shipped):
    def no_network():
        raise WeightsError("yamnet.tflite: could not be downloaded")

    monkeypatch.setattr(initialization, "fetch_yamnet", no_network)
    with pytest.raises(WeightsError, match="could not be downloaded"):
        initialize(build(S4), S4, data_root=tmp_path)


@pytest.mark.parametrize("config", [dataclasses.replace(S4, init="scratch"), dataclasses.replace(OURS, init="yamnet")])
def test_a_frozen_trunk_must_be_the_pretrained_one_that_is_named(tmp_path, config):
    with pytest.raises(RunError, match=r"use init = '(yamnet|crnn)'"):
        initialize(build(config), config, data_root=tmp_path)


def test_a_network_without_a_trunk_cannot_take_one(tmp_path):
    config = TrainConfig(architecture="crnn_s0", features="s0", init="crnn")
    with pytest.raises(RunError, match="crnn_s0 has no such trunk"):
        initialize(build(config), config, data_root=tmp_path)


def test_a_run_trains_the_head_on_treated_recordings_and_remembers_both(shipped, tmp_path, data):
    size = {"epochs": 1, "windows_per_epoch": 8, "batch_size": 4, "num_folds": 2, "window_seconds": 1.0}
    method = {"optimizer": "adam", "schedule": "onecycle", "loss": "cross_entropy", "localization_weight": 0.0}
    config = dataclasses.replace(OURS, treatments=("normalize_rms",), **size, **method)
    run = RunDirectory.create(tmp_path / "runs", config)
    fit(run, data_root=data)
    weights = find_weights(run.path / "weights")
    assert weights.config.treatments == ("normalize_rms",)
    assert weights.facts["initialization"] == "trunk: taken from the weights 'crnn_yamnet'"
    trained = load_model(weights)
    for ours, theirs in zip(trained.trunk.parameters(), shipped.trunk.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_fresh_network_expects_each_class_as_often_as_it_comes():
    network = build(CRNN)
    attention = network.clip_attention.bias.clone()
    expect_rarely(network, np.array([0.02]))
    assert torch.sigmoid(network.clip_class.bias).item() == pytest.approx(0.02)
    assert torch.equal(network.clip_attention.bias, attention)


def test_nothing_is_expected_never_or_always():
    network = build(CRNN)
    expect_rarely(network, np.array([0.0]))
    assert 0 < torch.sigmoid(network.clip_class.bias).item() < 0.01
    expect_rarely(network, np.array([1.5]))
    assert torch.sigmoid(network.clip_class.bias).item() == pytest.approx(0.5)
