import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch

from birdcore.config import TrainConfig
from birdcore.errors import RunError
from birdcore.evaluation.comparison import ScoredRecordings
from birdcore.models.checkpoint import find_weights, load_model
from birdcore.training import folds
from birdcore.training.folds import compare_splits, describe_folds, summarize_folds, train_folds

TINY = TrainConfig(
    architecture="crnn",
    features="yamnet_wide",
    window_seconds=1.0,
    options={"width": 16, "hidden": 8},
    num_folds=2,
    epochs=1,
    windows_per_epoch=4,
    batch_size=4,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("folds")
    return folder, train_folds(folder, TINY, data_root=data)


def made_up(fold, *, right):
    """Two classes, four recordings; the right class leads, or the wrong one."""
    reference = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    names = tuple(f"{fold}-{i}" for i in range(4))
    return ScoredRecordings(
        recordings=names,
        onsets=np.zeros(4),
        durations=np.ones(4),
        groups=names,
        codes=("a", "b"),
        labels=reference,
        logits=reference if right else -reference,
        epoch=fold + 1,
    )


def test_every_recording_is_scored_once_by_the_fold_that_held_it_out(trained):
    folder, report = trained
    table = pd.read_parquet(folder / "out_of_fold.parquet")
    assert sorted(table["recording"]) == sorted(f"{k}-{i}.wav" for k in ("low", "high") for i in range(4))
    assert set(table["fold"]) == {0, 1} and set(table.columns) >= {"label", "group", "logit high", "logit low"}
    assert json.loads((folder / "folds.json").read_text()) == report
    assert [row["num_recordings"] for row in report["folds"]] == table.groupby("fold").size().tolist()


def test_what_the_folds_kept_is_what_their_weights_say(trained, data, monkeypatch):
    folder, _ = trained
    run = folds.RunDirectory.open(folder / "fold-0")
    kept = folds._scores_of(run, data)
    results = folder / "fold-0" / "results"
    results.rename(folder / "fold-0" / "elsewhere")  # as of a run from before they were kept
    try:
        again = folds._scores_of(run, data)
    finally:
        (folder / "fold-0" / "elsewhere").rename(results)
    for name in ("recordings", "groups", "codes", "epoch"):
        assert getattr(again, name) == getattr(kept, name)
    assert np.array_equal(again.labels, kept.labels) and np.allclose(again.logits, kept.logits, atol=1e-5)
    with monkeypatch.context() as patched:
        patched.setattr(folds, "collect_training_data", None)  # what is kept is read, not made once more
        assert np.array_equal(folds._scores_of(run, data).logits, kept.logits)


def test_the_folds_ensemble_is_one_model_that_averages_log_odds(trained):
    folder, _ = trained
    ensemble = load_model(find_weights(folder / "weights"))
    members = [load_model(find_weights(folder / f"fold-{fold}" / "weights")) for fold in range(2)]
    picture = torch.randn(1, 80, 100)
    with torch.inference_mode():
        expected = torch.stack([member(picture).clip for member in members]).mean(dim=0)
        assert torch.allclose(ensemble(picture).clip, expected, atol=1e-6)


def test_a_finished_fold_is_not_trained_again_and_an_unfinished_one_is(trained, data, monkeypatch):
    folder, report = trained
    begun = []
    fit = folds.fit
    monkeypatch.setattr(folds, "fit", lambda run, **rest: (begun.append(run.name), fit(run, **rest)))
    assert train_folds(folder, TINY, data_root=data) == report
    assert begun == []
    folds.RunDirectory.open(folder / "fold-1").write_status(state="stopped")
    assert train_folds(folder, TINY, data_root=data) == report
    assert begun == ["fold-1"]


def test_a_fold_whose_making_was_cut_short_is_made_anew(tmp_path, data, monkeypatch):
    half = folds.RunDirectory.create(tmp_path, TINY, name="fold-1")
    (half.path / "config.json").unlink()  # is written last
    monkeypatch.setattr(folds, "fit", lambda run, **rest: None)
    with pytest.raises(RunError, match="stopped as asked"):
        train_folds(tmp_path, TINY, data_root=data)
    assert [folds.RunDirectory.open(tmp_path / f"fold-{n}").config.fold for n in (0, 1)] == [0, 1]


def test_folds_of_another_config_are_not_continued(trained, data):
    with pytest.raises(RunError, match="begun with epochs = 1, now 2"):
        train_folds(trained[0], dataclasses.replace(TINY, epochs=2), data_root=data)


def test_a_single_fold_is_no_cross_validation(tmp_path, data):
    with pytest.raises(RunError, match="at least 2"):
        train_folds(tmp_path, dataclasses.replace(TINY, num_folds=1), data_root=data)


def test_the_mean_is_over_folds_and_out_of_fold_over_all_rows():
    report = summarize_folds([made_up(0, right=True), made_up(1, right=False)])
    assert [row["top1"] for row in report["folds"]] == [1.0, 0.0]
    assert [row["best_epoch"] for row in report["folds"]] == [1, 2]
    assert report["mean"]["macro_auc"]["value"] == pytest.approx(0.5)
    assert report["out_of_fold"]["top1"]["value"] == pytest.approx(0.5)
    assert 0 <= report["out_of_fold"]["top1"]["low"] < 0.5 < report["out_of_fold"]["top1"]["high"] <= 1
    assert report["mean"]["top1"]["low"] == report["mean"]["top1"]["high"] == 0.5  # each fold counts the same


def test_leakage_is_the_difference_between_splits(tmp_path, monkeypatch):
    right = {"grouped": False, "stratified": True}

    def fake(folder, config, *, data_root):
        return {"split": config.split, **summarize_folds([made_up(0, right=right[config.split])] * 2)}

    monkeypatch.setattr(folds, "train_folds", fake)
    report = compare_splits(tmp_path, TINY, splits=["grouped", "stratified"], data_root=tmp_path)
    assert report["difference"]["top1"] == 1.0
    text = describe_folds(report)
    assert "stratified minus grouped" in text and "top1 +1.0000" in text and "mean over folds" in text
    assert json.loads((tmp_path / "folds.json").read_text()) == report
