import json
from pathlib import Path
from types import SimpleNamespace

from birdcore.webapp.cards import figure_rows, overview


def rows(metrics):
    return [tuple(row.values()) for row in figure_rows(metrics)]


def test_numbers_intervals_texts_and_nested_figures_become_rows():
    metrics = {
        "macro_auc": 0.98765,
        "top-1, field recordings": {"value": 0.91, "low": 0.85, "high": 0.96},
        "cmap": [0.8, 0.7, 0.9],
        "box average precision": {"0.3": 0.61, "0.5": None},
        "classes": 25,
    }
    assert rows(metrics) == [
        ("Macro ROC-AUC", "0.988", ""),
        ("Top-1, field recordings", "0.910", "0.850 to 0.960"),
        ("cmAP (class-averaged average precision)", "0.800", "0.700 to 0.900"),
        ("Box average precision: 0.3", "0.610", ""),
        ("Box average precision: 0.5", "undefined", ""),
        ("Classes", "25", ""),
    ]


def test_what_a_run_notes_beside_its_figures_is_left_out():
    assert rows({"epoch": 8, "train_loss": 10.9, "learning_rate": 0.001, "macro_auc": 0.95}) == [
        ("Macro ROC-AUC", "0.950", "")
    ]


def test_an_interval_that_was_not_measured_is_empty():
    assert rows({"top1": {"value": 0.9, "low": None, "high": None}}) == [("Top-1 accuracy", "0.900", "")]


def model(num_classes, **facts):
    return SimpleNamespace(config=SimpleNamespace(num_classes=num_classes), facts=facts)


def test_the_overview_has_a_row_per_model_and_no_column_that_nobody_fills():
    measured = {
        "macro ROC-AUC, all recordings": {"value": 0.98, "low": 0.9, "high": 1.0},
        "bird-free windows that report a species": 0.05,
        "known from unknown species, ROC-AUC": None,
    }
    table = overview({"ours": model(25, metrics=measured), "theirs": model(6522), "odd": model(2, metrics="none")})
    assert table.columns.tolist() == ["Model", "Species", "Macro ROC-AUC", "False alarms"]
    assert table["Model"].tolist() == ["ours", "theirs", "odd"]
    assert table["Macro ROC-AUC"].tolist()[0] == 0.98 and table["Macro ROC-AUC"].isna().tolist() == [False, True, True]


def test_every_figure_of_the_overview_is_found_in_the_shipped_weights():
    facts = json.loads((Path(__file__).parents[2] / "weights/crnn/config.json").read_text(encoding="utf-8"))["facts"]
    table = overview({"crnn": model(25, **facts)})
    assert table.columns.tolist() == [
        *("Model", "Species", "Macro ROC-AUC", "Top-1", "Frame F1", "Known or unknown", "False alarms")
    ]
