"""Settings: nothing unknown, missing or out of range passes silently, and nothing is lost between memory and file."""

import dataclasses
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdcore.config import (
    MEL_PRESETS,
    MEL_S0,
    MEL_S1,
    MEL_YAMNET_WIDE,
    ClassName,
    MelConfig,
    ModelConfig,
    TrainConfig,
    from_dict,
    to_dict,
)
from birdcore.errors import ConfigError

GREAT_TIT = ClassName(code="gretit1", common="Great Tit", scientific="Parus major")
WREN = ClassName(code="winwre4", common="Eurasian Wren", scientific="Troglodytes troglodytes")
MODEL = ModelConfig(architecture="crnn", class_names=(GREAT_TIT, WREN), window_seconds=5.0, features=MEL_YAMNET_WIDE)
TRAIN = TrainConfig(architecture="crnn", features="yamnet_wide")


@pytest.mark.parametrize("config", [*MEL_PRESETS.values(), MODEL, TRAIN], ids=lambda config: type(config).__name__)
def test_a_config_survives_json(config):
    assert from_dict(type(config), json.loads(json.dumps(to_dict(config)))) == config


@settings(deadline=None)
@given(
    options=st.dictionaries(
        st.text(max_size=8), st.integers() | st.text(max_size=8) | st.lists(st.booleans(), max_size=3)
    ),
    threshold=st.floats(0, 1, exclude_min=True, exclude_max=True),
    num_auxiliary=st.integers(0, 500),
)
def test_any_model_settings_survive_json(options, threshold, num_auxiliary):
    config = dataclasses.replace(MODEL, options=options, threshold=threshold, num_auxiliary=num_auxiliary)
    assert from_dict(ModelConfig, json.loads(json.dumps(to_dict(config)))) == config


def test_a_dictionary_made_from_a_config_shares_nothing_with_it():
    config = dataclasses.replace(TRAIN, options={"width": [1]})
    to_dict(config)["options"]["width"].append(2)
    assert config.options == {"width": [1]}


def test_an_unknown_setting_is_named_with_its_file():
    with pytest.raises(ConfigError, match=r"my\.toml: unknown setting 'epoch'; known are .*epochs"):
        from_dict(TrainConfig, {**to_dict(TRAIN), "epoch": 3}, source="my.toml")


def test_settings_of_old_runs_that_did_nothing_are_passed_over():
    assert from_dict(TrainConfig, {**to_dict(TRAIN), "num_workers": 0}) == TRAIN
    with pytest.raises(ConfigError, match="unknown setting 'num_worker'"):
        from_dict(TrainConfig, {**to_dict(TRAIN), "num_worker": 0})


def test_a_missing_setting_is_named():
    with pytest.raises(ConfigError, match="setting 'features' is missing"):
        from_dict(TrainConfig, {"architecture": "crnn"})


def test_a_fault_deep_inside_is_located():
    values = to_dict(MODEL)
    values["class_names"][1]["code"] = 7
    with pytest.raises(ConfigError, match=r"class_names: code = 7: must be of type str"):
        from_dict(ModelConfig, values, source="config.json")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", "many", "epochs = 'many': must be of type int"),
        ("epochs", True, "epochs = True: must be of type int"),
        ("epochs", 1.5, "epochs = 1.5: must be of type int"),
        ("init", "magic", "must be one of 'scratch', 'yamnet', 'birdnet', 'crnn', 'imagenet'"),
        ("options", [1], "must be a table of settings"),
        ("learning_rate", "fast", "must be of type float"),
        ("epochs", 0, "epochs = 0: must be at least 1"),
        ("batch_size", -4, "batch_size = -4: must be at least 1"),
        ("learning_rate", 0.0, r"learning_rate = 0\.0: must be above 0"),
        ("window_seconds", 0, r"window_seconds = 0\.0: must be above 0"),
        ("fold", 5, r"fold = 5: must be -1 \(no validation\) to 4"),
        ("fold", -2, "fold = -2"),
        ("features", "s9", "features = 's9': unknown; one of s0, s1, "),
    ],
)
def test_a_wrong_training_setting_is_refused(name, value, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(TrainConfig, {**to_dict(TRAIN), name: value})


def test_a_list_has_as_many_items_as_it_needs():
    features = next(mel for mel in MEL_PRESETS.values() if mel.resize)
    with pytest.raises(ConfigError, match=r"resize = \[256\]: must be a list of 2"):
        from_dict(MelConfig, {**to_dict(features), "resize": [256]})
    assert from_dict(MelConfig, {**to_dict(features), "resize": [256, 128]}).resize == (256, 128)


def test_a_whole_number_is_taken_for_a_decimal_one():
    assert from_dict(TrainConfig, {**to_dict(TRAIN), "window_seconds": 10}).window_seconds == 10.0


@pytest.mark.parametrize("values", [None, [], "crnn"])
def test_something_that_is_no_table_is_refused(values):
    with pytest.raises(ConfigError, match="expected a table of settings"):
        from_dict(TrainConfig, values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fmin": -1.0}, "fmin -1"),
        ({"fmin": 500.0, "fmax": 500.0}, "0 <= fmin < fmax"),
        ({"fmax": 16_000.1}, r"<= 16000 Hz \(half the sample rate\)"),
        ({"win_length": 2048}, r"win_length 2048: must be between 1 and n_fft \(1024\)"),
        ({"win_length": 0}, "win_length 0"),
        ({"hop_length": 0}, "hop_length 0"),
        ({"n_mels": 0}, "n_mels 0"),
        ({"offset": 0.0}, "silence has no logarithm"),
    ],
)
def test_impossible_features_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(MEL_S0, **changes)


def test_features_have_no_defaults_that_could_differ_from_training():
    optional = {
        "level",
        "max_gain",
        "resize",
        "center",
        "picture",
        "n_mfcc",
        "stack",
        "root",
        "bass",
    }  # told in every checkpoint all the same
    for field in dataclasses.fields(MelConfig):
        assert (field.default is dataclasses.MISSING) == (field.name not in optional)


def test_the_presets_are_as_published():
    assert (MEL_S0.sample_rate, MEL_S0.n_fft, MEL_S0.hop_length, MEL_S0.n_mels) == (32_000, 1024, 320, 128)
    assert (MEL_S1.fmin, MEL_S1.fmax, MEL_S1.hop_length, MEL_S1.resize) == (50.0, 14_000.0, 512, (256, 256))
    assert MEL_S0.frame_seconds == 0.01


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ()}, "needs at least one class"),
        ({"class_names": (WREN, GREAT_TIT, WREN)}, "code 'winwre4' appears twice"),
        ({"window_seconds": 0.0}, "window_seconds 0"),
        ({"threshold": 7.0}, "threshold = 7"),
        ({"threshold": math.nan}, "threshold = nan"),
        ({"temperature": 0.0}, "temperature = 0"),
        ({"temperature": math.inf}, "temperature = inf"),
    ],
)
def test_an_impossible_model_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(MODEL, **changes)


def test_a_model_counts_its_outputs_and_samples():
    config = dataclasses.replace(MODEL, num_auxiliary=93)
    assert (config.num_classes, config.num_outputs, config.window_samples) == (2, 95, 160_000)


def test_a_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODEL.threshold = 0.9
