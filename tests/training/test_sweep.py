import csv
import dataclasses
import json

import pytest

from birdcore.config import TrainConfig
from birdcore.errors import ConfigError, RunError
from birdcore.training import sweep as sweep_module
from birdcore.training.run_directory import RunDirectory
from birdcore.training.sweep import SweepConfig, read_sweep, run_sweep

BASE = TrainConfig(architecture="crnn", features="yamnet_wide", epochs=2)
GRID = SweepConfig(base=BASE, search={"optimizer": ["adamw", "sgd"], "learning_rate": [1e-3, 1e-2]}, metric="top1")


@pytest.fixture
def fit(monkeypatch):
    """Stands in for training: what is tested is the search. The loop itself is tested in test_loop."""
    trained = []

    def fake(run: RunDirectory, *, data_root):
        run.begin()
        trained.append(run.name)
        config = run.config
        if config.optimizer == "sgd" and config.learning_rate == 1e-2:
            run.write_status(state="failed")
            raise RunError("the loss became (inf, 0.0) in epoch 1")
        for epoch in range(1, 3):
            score = (0.5 if config.optimizer == "sgd" else 0.6) + config.learning_rate * (3 - epoch)
            run.append_metrics({"epoch": epoch, "top1": score})
        run.write_status(state="finished")

    monkeypatch.setattr(sweep_module, "fit", fake)
    return trained


def test_a_grid_trains_every_point_once_and_draws_it(tmp_path, fit):
    report = run_sweep(tmp_path, GRID, data_root=tmp_path)
    assert fit == ["trial-000", "trial-001", "trial-002", "trial-003"]
    assert [t["settings"] for t in report["trials"]] == [
        {"optimizer": o, "learning_rate": r} for o in ("adamw", "sgd") for r in (1e-3, 1e-2)
    ]
    assert report["best"]["settings"] == {"optimizer": "adamw", "learning_rate": 1e-2}
    assert report["best"]["value"] == pytest.approx(0.62)  # the best epoch's, not the last one's
    assert [t["state"] for t in report["trials"]] == ["finished"] * 3 + ["failed"]
    assert json.loads((tmp_path / "sweep.json").read_text()) == report
    rows = list(csv.DictReader((tmp_path / "sweep.csv").read_text().splitlines()))
    assert rows[3]["value"] == "" and rows[1]["optimizer"] == "adamw"
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "sweep.svg").read_bytes()


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path, fit, monkeypatch):
    uninterrupted = run_sweep(tmp_path / "whole", GRID, data_root=tmp_path)
    fit.clear()
    fake = sweep_module.fit

    def die_in_the_third(run, *, data_root):
        if run.name == "trial-002":
            raise KeyboardInterrupt
        fake(run, data_root=data_root)

    with monkeypatch.context() as patch:
        patch.setattr(sweep_module, "fit", die_in_the_third)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(tmp_path / "halves", GRID, data_root=tmp_path)
    assert fit == ["trial-000", "trial-001"]
    assert run_sweep(tmp_path / "halves", GRID, data_root=tmp_path) == uninterrupted
    assert fit == ["trial-000", "trial-001", "trial-002", "trial-003"]
    assert run_sweep(tmp_path / "halves", GRID, data_root=tmp_path) == uninterrupted
    assert len(fit) == 4


def test_tpe_searches_ranges(tmp_path, fit):
    search = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}
    report = run_sweep(
        tmp_path,
        SweepConfig(base=BASE, search=search, sampler="tpe", metric="top1", num_trials=3),
        data_root=tmp_path,
    )
    assert len(report["trials"]) == 3
    assert all(1e-4 <= t["settings"]["learning_rate"] <= 1e-1 for t in report["trials"])


def test_a_folder_holds_one_sweep(tmp_path, fit):
    run_sweep(tmp_path, GRID, data_root=tmp_path)
    with pytest.raises(RunError, match="another sweep"):
        run_sweep(tmp_path, dataclasses.replace(GRID, metric="cmap"), data_root=tmp_path)


def test_a_sweep_from_before_a_setting_was_retired_goes_on(tmp_path, fit):
    run_sweep(tmp_path, GRID, data_root=tmp_path)
    noted = tmp_path / "config.sweep.json"
    content = json.loads(noted.read_text())
    content["base"]["num_workers"] = 0
    noted.write_text(json.dumps(content))
    fit.clear()
    assert len(run_sweep(tmp_path, GRID, data_root=tmp_path)["trials"]) == 4 and fit == []


def test_a_second_process_leaves_a_sweep_alone(tmp_path, fit, monkeypatch):
    fake = sweep_module.fit

    def start_again(run, *, data_root):
        with pytest.raises(RunError, match="another process is at work on this sweep"):
            run_sweep(tmp_path, GRID, data_root=tmp_path)
        fake(run, data_root=data_root)

    monkeypatch.setattr(sweep_module, "fit", start_again)
    report = run_sweep(tmp_path, dataclasses.replace(GRID, search={"optimizer": ["adamw"]}), data_root=tmp_path)
    assert [trial["state"] for trial in report["trials"]] == ["finished"] and fit == ["trial-000"]


def test_a_sweep_whose_trials_all_fail_says_so(tmp_path, fit):
    search = {"optimizer": ["sgd"], "learning_rate": [1e-2]}
    with pytest.raises(RunError, match="all 1 trials failed"):
        run_sweep(tmp_path, dataclasses.replace(GRID, search=search), data_root=tmp_path)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"search": {}}, "empty"),
        ({"search": {"optimiser": ["sgd"]}}, "unknown setting 'optimiser'"),
        ({"search": {"optimizer": ["lion"]}}, "must be one of"),
        ({"search": {"optimizer": "sgd"}}, "must be a list"),
        ({"search": {"learning_rate": {"low": 1.0, "high": 2.0}}}, "sampler = 'tpe'"),
        ({"metric": "f1"}, "must be one of macro_auc"),
    ],
)
def test_a_faulty_sweep_is_refused_before_anything_trains(changes, fault):
    with pytest.raises(ConfigError, match=fault):
        dataclasses.replace(GRID, **changes)


def test_a_sweep_file_names_a_config_beside_it(tmp_path):
    (tmp_path / "sweep.toml").write_text(
        'config = "base.toml"\nmetric = "top1"\n[settings]\nepochs = 4\n[search]\nseed = [0, 1]\n'
    )
    asked = []
    found = read_sweep(tmp_path / "sweep.toml", read_config=lambda path: (asked.append(path), BASE)[1])
    assert asked == [tmp_path / "base.toml"]
    assert found.base == dataclasses.replace(BASE, epochs=4) and found.search == {"seed": [0, 1]}


@pytest.mark.parametrize(("text", "fault"), [("metric = 1", "'config' is missing"), ("= 1", "cannot be read as TOML")])
def test_a_faulty_sweep_file_is_named(tmp_path, text, fault):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ConfigError, match=fault):
        read_sweep(tmp_path / "s.toml", read_config=lambda path: BASE)
