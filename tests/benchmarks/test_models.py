import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.models import choose_epochs, curve, finished_rows, markdown, table
from benchmarks.report import RESULTS
from birdcore.config import TrainConfig, to_dict
from birdcore.places import project_root

CONFIG = TrainConfig(architecture="crnn", features="yamnet_wide", windows_per_epoch=640, batch_size=16)


def row(name, auc, **changes):
    figure = {"value": auc, "low": auc - 0.1, "high": auc + 0.05}
    return {
        "preset": name,
        "initialization": "random weights",
        "num_recordings": 82,
        "macro_roc_auc": figure,
        "class_average_precision": figure,
        "top1_accuracy": figure,
        "frame_macro_f1": None,
        "time_frequency_dice": None,
        "million_parameters": 1.5,
        "million_multiply_adds_per_audio_second": 80.0,
        "training_clips_per_second": 20.0,
        "times_real_time": 150.0,
        "epochs": 3,
        "windows_per_epoch": 640,
        "best_epoch": 2,
        "validation_macro_auc": [0.5, None, auc],
        "machine": {"torch_threads": 2},
    } | changes


@given(
    budget=st.floats(60, 3600),
    window=st.floats(0.001, 0.5),
    validation=st.floats(0.0, 8.0),
    windows=st.integers(8, 4096),
)
def test_the_chosen_epochs_fit_the_budget_and_use_most_of_it(budget, window, validation, windows):
    config = dataclasses.replace(CONFIG, windows_per_epoch=windows)
    epochs, chosen = choose_epochs(config, budget=budget, seconds_per_window=window, validation_seconds=validation)
    assert 1 <= epochs <= 40 and chosen % 16 == 0 and chosen > 0
    spent = epochs * (chosen * window + validation)
    assert spent <= budget * 1.001 or epochs == 1
    assert spent >= 0.5 * budget or budget < 10 * (16 * window + validation) or epochs == 40
    assert epochs <= 5 or epochs * validation <= 0.26 * budget


def test_a_preset_keeps_its_own_epochs_where_they_fit():
    assert choose_epochs(CONFIG, budget=600, seconds_per_window=0.05, validation_seconds=8) == (15, 640)


def test_a_fast_preset_gets_longer_epochs_and_a_slow_one_shorter():
    assert choose_epochs(CONFIG, budget=600, seconds_per_window=0.001, validation_seconds=1)[0] == 40
    epochs, windows = choose_epochs(CONFIG, budget=600, seconds_per_window=0.5, validation_seconds=20)
    assert (epochs, windows) == (5, 192)


def test_a_preset_that_takes_the_budget_to_validate_trains_for_it_all_the_same():
    assert choose_epochs(CONFIG, budget=600, seconds_per_window=4.0, validation_seconds=580) == (1, 144)


def test_the_table_ranks_presets_and_says_which_failed():
    rows = [row("poor", 0.62), row("good", 0.95), {"preset": "broken", "failed": "yamnet.tflite: no such file"}]
    text = markdown(rows, budget=600)
    lines = text.splitlines()
    assert lines[2].startswith("| `good` | 0.950 (0.850–1.000)") and lines[3].startswith("| `poor`")
    assert "for about 600 s on 2 processor core(s)" in text
    assert "`poor` does not beat chance by a wide margin" in text and "0.500, –, 0.620" in text
    assert "`broken` could not be trained: yamnet.tflite: no such file" in text
    assert "`good` does not" not in text and text.startswith(table(rows))


def test_the_readme_shows_the_table_of_the_results():
    rows = json.loads((RESULTS / "models.json").read_text(encoding="utf-8"))["rows"]
    readme = (project_root() / "README.md").read_text(encoding="utf-8")
    assert table(rows) in readme, "copy the table of benchmarks/results/models.md into README.md"
    assert (RESULTS / "models.md").read_text(encoding="utf-8") == markdown(rows, budget=600) + "\n"


def test_a_bench_goes_on_from_rows_of_the_same_budget_and_settings(tmp_path):
    file = tmp_path / "models.json"
    configs = {
        name: dataclasses.replace(CONFIG, options={"hidden": (8, 4)}) for name in ("done", "changed", "longer", "new")
    }
    assert finished_rows(file, configs, budget=600) == {}
    kept = {"budget_seconds": 600, "settings": to_dict(configs["done"])}
    rows = [
        row("done", 0.9, **kept),
        row("changed", 0.9, **kept | {"settings": to_dict(dataclasses.replace(configs["changed"], seed=7))}),
        row("longer", 0.9, **kept | {"budget_seconds": 900}),
        row("gone", 0.9, **kept),
        {"preset": "new", "failed": "yamnet.tflite: no such file"},
    ]
    file.write_text(json.dumps({"rows": rows}))
    assert list(finished_rows(file, configs, budget=600)) == ["done"]


@pytest.mark.parametrize(("values", "bars"), [([0.5, 1.0], "▁█"), ([0.2, None, 0.75], "▁·▅"), ([], "")])
def test_a_curve_runs_from_chance_to_one(values, bars):
    assert curve(values) == bars
