import tomllib

import pytest

from birdcore.config import TrainConfig
from birdcore.training.presets import list_presets
from birdcore.webapp.run_settings import FIELDS, fit_to_data, read_settings, settings_text

BASE = TrainConfig(architecture="crnn", features="s0")


def fields_of(config, **changes):
    return {field.setting: getattr(config, field.setting) for field in FIELDS} | changes


def test_every_preset_of_the_project_can_be_read():
    presets, problems = list_presets()
    assert problems == []
    assert next(iter(presets)) == "crnn" and {"crnn_s0", "efficientnet_b0"} <= set(presets) and "sweep" not in presets
    assert all(isinstance(preset.config, TrainConfig) for preset in presets.values())
    assert presets["crnn"].about.startswith("The shipped localizer")


def test_a_file_that_is_no_preset_does_not_hide_the_others(tmp_path):
    (tmp_path / "good.toml").write_text('# Ours.\narchitecture = "crnn"\nfeatures = "s0"\n')
    (tmp_path / "sweep.toml").write_text('config = "good.toml"\n')
    (tmp_path / "torn.toml").write_text("= =")
    presets, problems = list_presets(tmp_path)
    assert list(presets) == ["good"] and presets["good"].about == "Ours."
    assert len(problems) == 2 and "sweep.toml: unknown setting" in problems[0]


@pytest.mark.parametrize("name", list_presets()[0])
def test_a_preset_comes_back_from_its_text(name):
    config = list_presets()[0][name].config
    assert read_settings(settings_text(config), base=config, fields=fields_of(config)) == (config, [])


def test_the_text_has_everything_but_the_fields():
    keys = set(tomllib.loads(settings_text(BASE)))
    assert keys.isdisjoint(field.setting for field in FIELDS)
    assert keys | {field.setting for field in FIELDS} | {"data_format"} == set(TrainConfig.__dataclass_fields__)


def test_text_and_fields_change_the_preset():
    config, faults = read_settings('loss = "focal"\n', base=BASE, fields=fields_of(BASE, epochs=3))
    assert faults == [] and (config.loss, config.epochs, config.batch_size) == ("focal", 3, 16)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("\nwindow_second = 3", [(2, "did you mean window_seconds")]),
        ("os = 1", [(1, "there is no such setting")]),
        ('seed = 1\nwindow_seconds = "long"', [(1, "has a field of its own, “Seed”"), (2, "must be of type float")]),
        ('loss = "l2"\ntwins = 2.0', [(1, "must be one of 'bce'"), (2, "twins = 2.0: must be between 0 and 1")]),
        ("window_seconds = -1", [(1, "must be above 0")]),
        ("window_seconds = nan", [(1, "must be above 0")]),
        ("num_folds = 3\nfold = 3", [(2, "must be -1 (no validation) to 2")]),
        ('architecture = "os.system"', [(1, "unknown; one of crnn")]),
        ('data_format = "folders"', [(1, "follows from the data")]),
        ("\n\nx = = 1", [(3, "not TOML")]),
        ("loss = 'bce'\ntreatments = [", [(2, "not TOML")]),
        ("[options]\n[devices]\na = 1", [(2, "must be of type int")]),
    ],
)
def test_every_fault_is_told_where_it_stands(text, faults):
    config, found = read_settings(text, base=BASE, fields=fields_of(BASE))
    assert config is None
    assert [fault.line for fault in found] == [line for line, _ in faults]
    for fault, (_, message) in zip(found, faults, strict=True):
        assert message in fault.message


def test_folds_may_be_named_in_any_order():
    config, faults = read_settings("fold = 7\nnum_folds = 8", base=BASE, fields=fields_of(BASE))
    assert faults == [] and (config.fold, config.num_folds) == (7, 8)


def test_a_field_out_of_its_range_is_refused():
    config, faults = read_settings("", base=BASE, fields=fields_of(BASE, epochs=5000))
    assert config is None and faults[0].message == "Epochs = 5000: must be between 1 and 1000"


def test_tables_that_the_data_lacks_are_left_out_of_the_preset(tmp_path):
    config = TrainConfig(
        architecture="crnn", features="s0", extra_manifest="extra.csv", background="background.csv", strong="boxes.csv"
    )
    (tmp_path / "manifest.csv").touch()
    (tmp_path / "boxes.csv").touch()
    fitted, missing = fit_to_data(config, tmp_path)
    assert (fitted.extra_manifest, fitted.background, fitted.strong) == ("", "", "boxes.csv")
    assert missing == ["background.csv", "extra.csv"]


def test_data_of_another_format_has_no_tables_of_ours(tmp_path):
    (tmp_path / "gretit1").mkdir()
    (tmp_path / "gretit1" / "a.wav").touch()
    fitted, missing = fit_to_data(TrainConfig(architecture="crnn", features="s0", strong="boxes.csv"), tmp_path)
    assert (fitted.data_format, fitted.strong, missing) == ("folders", "", [])


def test_a_missing_trunk_is_left_to_the_training_loop(tmp_path):
    (tmp_path / "manifest.csv").touch()
    config = TrainConfig(architecture="crnn", features="s0", init="yamnet", yamnet_file="models/yamnet.tflite")
    assert fit_to_data(config, tmp_path) == (config, [])
