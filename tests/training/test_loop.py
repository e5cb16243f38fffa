import dataclasses
import json

import numpy as np
import pytest
import torch

from birdcore.config import TrainConfig
from birdcore.errors import DataError, RunError
from birdcore.models.checkpoint import find_weights
from birdcore.training.loop import fit, mask_spectrogram
from birdcore.training.run_directory import RunDirectory
from birdcore.training.validation import validate

TINY = TrainConfig(
    architecture="crnn",
    features="yamnet_wide",
    window_seconds=1.0,
    options={"width": 16, "hidden": 8},
    num_folds=2,
    epochs=3,
    windows_per_epoch=8,
    batch_size=4,
    warmup_epochs=0.5,
)


def comparable(run):
    return [{key: value for key, value in row.items() if not key.endswith("seconds")} for row in run.metrics()]


def test_a_run_ends_with_metrics_and_usable_weights(tmp_path, data):
    run = RunDirectory.create(tmp_path, TINY)
    fit(run, data_root=data)
    assert run.status().state == "finished"
    assert [row["epoch"] for row in run.metrics()] == [1, 2, 3]
    assert all(np.isfinite(row["train_loss"]) and 0 <= row["macro_auc"] <= 1 for row in run.metrics())
    weights = find_weights(run.path / "weights")
    assert [name.code for name in weights.config.class_names] == ["high", "low"]
    assert weights.facts["train_config"]["architecture"] == "crnn"


def test_a_run_killed_after_an_epoch_resumes_to_the_same_end(tmp_path, data, monkeypatch):
    whole = RunDirectory.create(tmp_path, TINY, name="whole")
    fit(whole, data_root=data)

    class Killed(BaseException):
        pass

    killed = RunDirectory.create(tmp_path, TINY, name="killed")
    steps = []

    def die_in_the_second_epoch(*_):
        steps.append(1)
        if len(steps) == 4:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("birdcore.training.loop._report_progress", die_in_the_second_epoch)
        with pytest.raises(Killed):
            fit(RunDirectory.open(killed.path), data_root=data)
    assert [row["epoch"] for row in killed.metrics()] == [1]
    fit(RunDirectory.open(killed.path), data_root=data)
    assert comparable(killed) == comparable(whole)
    assert find_weights(killed.path / "weights").facts["sha256"] == find_weights(whole.path / "weights").facts["sha256"]


def test_a_stop_request_ends_the_run_and_it_can_go_on(tmp_path, data):
    run = RunDirectory.create(tmp_path, TINY)
    run.request_stop()
    fit(run, data_root=data)
    assert run.status().state == "stopped"
    fit(run, data_root=data)
    assert run.status().state == "finished"


def test_a_failure_is_noted_before_it_is_raised(tmp_path):
    run = RunDirectory.create(tmp_path, TINY)
    with pytest.raises(DataError):
        fit(run, data_root=tmp_path)
    assert run.status().state == "failed"
    assert "manifest.csv" in run.status().message


def test_pretrained_trunk_for_a_network_without_one_is_refused(tmp_path, data):
    config = TrainConfig(
        architecture="crnn_s0", features="s0", window_seconds=1.0, num_folds=2, init="yamnet", yamnet_file="x"
    )
    with pytest.raises(RunError, match="no such trunk"):
        fit(RunDirectory.create(tmp_path, config), data_root=data)


def test_without_yamnets_file_the_trunk_comes_from_the_shipped_weights(tmp_path, data, caplog, monkeypatch):
    run = RunDirectory.create(tmp_path, TINY, name="shipped")
    fit(run, data_root=data)
    monkeypatch.setenv("BIRDCORE_WEIGHTS", str(tmp_path))
    (run.path / "weights").rename(tmp_path / "crnn_yamnet")
    config = dataclasses.replace(TINY, init="yamnet", yamnet_file="missing/yamnet.tflite", epochs=1)
    with caplog.at_level("INFO"):
        fit(RunDirectory.create(tmp_path, config), data_root=data)
    assert "taken from the weights 'crnn_yamnet'" in caplog.text


def test_a_damaged_recording_is_left_out_and_the_run_goes_on(tmp_path, data, caplog):
    folder = tmp_path / "data"
    folder.mkdir()
    for file in data.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "low-0.wav").write_bytes(b"not audio at all")
    run = RunDirectory.create(tmp_path / "runs", TINY)
    with caplog.at_level("WARNING"):
        fit(run, data_root=folder)
    assert run.status().state == "finished"
    assert "low-0.wav" in caplog.text


def test_checkpoint_holds_tensors_and_plain_json_only(tmp_path, data):
    run = RunDirectory.create(tmp_path, TINY)
    fit(run, data_root=data)
    content = run.checkpoint_path("last.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert json.loads(header["__metadata__"]["state"])["epoch"] == 3


def test_masks_hide_stripes_and_leave_the_rest():
    picture = torch.randn(4, 80, 100)
    generator = torch.Generator().manual_seed(0)
    masked = mask_spectrogram(picture, strength=1.0, generator=generator)
    hidden = masked != picture
    assert 0 < hidden.float().mean() < 0.4
    assert mask_spectrogram(picture, strength=0.0, generator=generator) is picture


def test_masks_of_stacked_pictures_hide_the_same_stripes_in_every_channel():
    picture = torch.randn(2, 3, 40, 50)
    masked = mask_spectrogram(picture, strength=1.0, generator=torch.Generator().manual_seed(0))
    hidden = masked != picture
    assert hidden.any() and torch.equal(hidden[:, 0], hidden[:, 2])


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd", "loss": "cross_entropy", "label_smoothing": 0.1, "schedule": "onecycle"},
        {"optimizer": "rmsprop", "loss": "focal", "schedule": "constant", "dice_weight": 1.0},
    ],
)
def test_other_optimizers_losses_and_schedules_resume_to_the_same_end(tmp_path, data, changes, monkeypatch):
    config = dataclasses.replace(TINY, epochs=2, **changes)
    whole, halves = (RunDirectory.create(tmp_path, config, name=name) for name in ("whole", "halves"))
    fit(whole, data_root=data)
    steps = []

    def stop_in_the_second_epoch(*_):
        steps.append(1)
        if len(steps) == 3:
            halves.request_stop()

    with monkeypatch.context() as patch:
        patch.setattr("birdcore.training.loop._report_progress", stop_in_the_second_epoch)
        fit(halves, data_root=data)
    assert halves.status().state == "stopped"
    fit(halves, data_root=data)
    assert comparable(halves) == comparable(whole) and len(comparable(whole)) == 2
    assert (
        whole.checkpoint_path("last.safetensors").read_bytes()
        == halves.checkpoint_path("last.safetensors").read_bytes()
    )


def test_a_run_from_before_the_newer_settings_goes_on(tmp_path, data):
    run = RunDirectory.create(tmp_path, dataclasses.replace(TINY, epochs=1))
    stored = json.loads((run.path / "config.json").read_text())
    newer = ("data_format", "treatments", "split", "optimizer", "schedule", "recording_noise", "twins", "loss")
    newer += ("focal_gamma", "label_smoothing", "dice_weight")
    kept = {key: value for key, value in stored.items() if key not in newer}
    assert len(kept) == len(stored) - len(newer)
    (run.path / "config.json").write_text(json.dumps(kept))
    fit(RunDirectory.open(run.path), data_root=data)
    assert run.status().state == "finished"


def test_a_paused_run_saves_holds_and_goes_on_to_the_same_end(tmp_path, data, monkeypatch):
    whole, run = (RunDirectory.create(tmp_path, TINY, name=name) for name in ("whole", "paused"))
    fit(whole, data_root=data)
    seen = []

    def look_and_continue(_):
        seen.append((run.status().state, run.checkpoint_path("last.safetensors").is_file()))
        run.withdraw_pause()

    monkeypatch.setattr("birdcore.training.loop.time.sleep", look_and_continue)
    run.request_pause()
    fit(run, data_root=data)
    assert seen == [("paused", True)]
    assert run.status().state == "finished"
    assert comparable(run) == comparable(whole)


def test_a_run_that_stopped_early_and_was_killed_before_it_said_so_does_not_train_on(tmp_path, data, monkeypatch):
    run = RunDirectory.create(tmp_path, dataclasses.replace(TINY, patience=1))
    scores = iter((0.9, 0.8))

    def worse_and_worse(*arguments):
        validation = validate(*arguments)
        return dataclasses.replace(validation, figures={**validation.figures, "macro_auc": next(scores)})

    monkeypatch.setattr("birdcore.training.loop.validate", worse_and_worse)
    fit(run, data_root=data)
    assert [row["macro_auc"] for row in run.metrics()] == [0.9, 0.8]  # and no third epoch
    run.write_status(state="running")
    fit(run, data_root=data)
    assert [row["macro_auc"] for row in run.metrics()] == [0.9, 0.8]
    assert run.status().state == "finished"
