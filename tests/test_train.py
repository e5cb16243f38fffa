"""The command line of ``train.py``: what it refuses, and what it hands on. Training itself is tested in training/."""

import json

import pytest

import train
from birdcore.training import folds, sweep

CONFIG = 'architecture = "crnn"\nfeatures = "yamnet_wide"\n'
FIGURES = {name: {"value": 0.5, "low": 0.4, "high": 0.6} for name in ("macro_auc", "cmap", "top1")}


@pytest.fixture
def config(tmp_path):
    (tmp_path / "c.toml").write_text(CONFIG)
    return tmp_path / "c.toml"


def run(*words):
    return train.main([str(word) for word in words])


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--config", "c.toml", "--splits", "grouped"), "--splits goes with --folds"),
        (("--config", "c.toml", "--folds", "5", "--splits", "random"), "must be one of 'grouped', 'stratified'"),
        (("--config", "c.toml", "--folds", "5", "--set", "devices=2"), "on one device"),
        (("--config", "c.toml", "--set", "epochs=3", "epochs=0"), "epochs = 0: must be at least 1"),
        (("--config", "c.toml", "--folds", "0"), "num_folds = 0: must be at least 1"),
        (("--sweep", "s.toml", "--folds", "5"), "--sweep stands alone"),
        (("--sweep", "s.toml", "--set", "epochs=1"), "does not reach into a sweep"),
        (("--sweep", "s.toml"), "s.toml: cannot be read as TOML"),
        (("--resume", "runs/x", "--folds", "5"), "--folds goes with --config"),
    ],
)
def test_what_does_not_go_together_is_refused(config, monkeypatch, capsys, words, fault):
    monkeypatch.chdir(config.parent)
    assert run(*words) == 1
    assert fault in capsys.readouterr().err


def test_folds_are_trained_in_the_folder_named_and_printed(config, monkeypatch, capsys):
    asked = []

    def fake(folder, config, *, data_root):
        asked.append((folder, config.num_folds, config.split))
        rows = [{"fold": 0, "best_epoch": 3, "num_recordings": 9, "macro_auc": 0.9, "cmap": 0.8, "top1": 0.7}]
        return {"split": config.split, "num_recordings": 9, "folds": rows, "mean": FIGURES, "out_of_fold": FIGURES}

    monkeypatch.setattr(folds, "train_folds", fake)
    folder = config.parent / "run"
    assert run("--config", config, "--folds", 3, "--run", folder) == 0
    assert asked == [(folder, 3, "grouped")]
    assert run("--config", config, "--folds", 3, "--splits", "grouped,stratified", "--run", folder) == 0
    assert asked[1:] == [(folder / "grouped", 3, "grouped"), (folder / "stratified", 3, "stratified")]
    out = capsys.readouterr().out
    assert "0.9000" in out and "0.5000 (0.4000–0.6000)" in out and "stratified minus grouped" in out
    assert "splits" in json.loads((folder / "folds.json").read_text())


def test_a_sweep_prints_its_trials_and_the_best(config, monkeypatch, capsys):
    (config.parent / "s.toml").write_text('config = "c.toml"\n[search]\nseed = [0, 1]\n')
    trials = [
        {"run": "trial-000", "state": "finished", "value": 0.5, "settings": {"seed": 0}},
        {"run": "trial-001", "state": "failed", "value": None, "settings": {"seed": 1}},
    ]
    monkeypatch.setattr(
        sweep, "run_sweep", lambda *_, **__: {"metric": "macro_auc", "best": trials[0], "trials": trials}
    )
    assert run("--sweep", config.parent / "s.toml", "--run", config.parent / "run") == 0
    out = capsys.readouterr().out
    assert "trial-000  macro_auc 0.5000" in out and "trial-001  macro_auc failed" in out and "best: trial-000" in out
