import importlib
import types

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from birdcore.config import TrainConfig
from birdcore.errors import ConfigError
from birdcore.training.run_directory import RunDirectory
from birdcore.training.tracking import TRACK, tracked


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.delenv(TRACK, raising=False)
    return RunDirectory.create(tmp_path, TrainConfig(architecture="crnn", features="s0"), name="night")


def row(epoch, **figures):
    return {"epoch": epoch, "train_loss": 1.0 / epoch, "learning_rate": 1e-3, "seconds": 2.0, **figures}


def events(run):
    accumulator = EventAccumulator(str(run.path / "events"))
    accumulator.Reload()
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def test_tensorboard_reads_every_figure_of_every_epoch(run):
    with tracked(run) as tracker:
        tracker.log(row(1, macro_auc=0.5, cmap=float("nan"), top1=None))
        tracker.log(row(2, macro_auc=0.75))
    found = events(run)
    assert found["training/loss"] == [(1, 1.0), (2, 0.5)]
    assert found["validation/macro_auc"] == [(1, 0.5), (2, 0.75)]
    assert {"run/learning_rate", "run/seconds"} < set(found) and "validation/cmap" not in found


def test_epochs_that_a_resumed_run_repeats_are_shown_once(run):
    for first, last, score in ((1, 3, 0.1), (2, 4, 0.9)):
        with tracked(run) as tracker:
            for epoch in range(first, last + 1):
                tracker.log(row(epoch, macro_auc=score))
    assert [step for step, _ in events(run)["validation/macro_auc"]] == [1, 2, 3, 4]
    assert [round(value, 1) for _, value in events(run)["validation/macro_auc"]] == [0.1, 0.9, 0.9, 0.9]


def test_a_run_that_fails_before_its_first_epoch_leaves_no_files(run):
    with pytest.raises(ValueError, match="early"), tracked(run):
        raise ValueError("early")
    assert not (run.path / "events").exists()


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_service_that_is_not_installed_is_named(run, monkeypatch, name):
    monkeypatch.setenv(TRACK, name)
    monkeypatch.setitem(importlib.sys.modules, name, None)
    with pytest.raises(ConfigError, match=f"pip install {name}"), tracked(run):
        pass


def test_an_unknown_service_is_refused(run, monkeypatch):
    monkeypatch.setenv(TRACK, "notebook")
    with pytest.raises(ConfigError, match="one of wandb, mlflow"), tracked(run):
        pass


def test_weights_and_biases_goes_on_with_the_same_run_after_a_resume(run, monkeypatch):
    calls = []

    class WandbRun:
        def log(self, figures, step):
            calls.append((step, figures["validation/macro_auc"]))

        def finish(self, exit_code):
            calls.append(exit_code)

    begun = []
    double = types.SimpleNamespace(
        init=lambda **options: begun.append(options) or WandbRun(),
        errors=types.SimpleNamespace(Error=RuntimeError),
    )
    monkeypatch.setitem(importlib.sys.modules, "wandb", double)
    monkeypatch.setenv(TRACK, "wandb")
    with pytest.raises(KeyboardInterrupt), tracked(run) as tracker:
        tracker.log(row(1, macro_auc=0.5))
        raise KeyboardInterrupt
    with tracked(run) as tracker:
        tracker.log(row(2, macro_auc=0.6))
    assert calls == [(1, 0.5), 1, (2, 0.6), 0]
    assert begun[0]["id"] == begun[1]["id"] and begun[0]["resume"] == "allow" and begun[0]["name"] == "night"
    assert begun[0]["config"]["architecture"] == "crnn"


def test_mlflow_is_resumed_and_its_absence_later_does_not_end_the_training(run, monkeypatch, caplog):
    class MlflowException(Exception):
        pass

    calls = []

    def log_metrics(figures, step):
        if step == 2:
            raise MlflowException("no route to host")
        calls.append((step, figures["validation/macro_auc"]))

    def start_run(run_id=None, run_name=None):
        calls.append((run_id, run_name))
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=run_id or "id-1"))

    double = types.SimpleNamespace(
        exceptions=types.SimpleNamespace(MlflowException=MlflowException),
        set_experiment=calls.append,
        start_run=start_run,
        log_params=lambda settings: calls.append(settings["architecture"]),
        log_metrics=log_metrics,
        end_run=calls.append,
    )
    monkeypatch.setitem(importlib.sys.modules, "mlflow", double)
    monkeypatch.setenv(TRACK, "mlflow")
    with tracked(run) as tracker:
        tracker.log(row(1, macro_auc=0.5))
        tracker.log(row(2, macro_auc=0.6))
    with tracked(run) as tracker:
        tracker.log(row(3, macro_auc=0.7))
    first = ["birdcore", (None, "night"), "crnn", (1, 0.5), "FINISHED"]
    assert calls == [*first, "birdcore", ("id-1", None), (3, 0.7), "FINISHED"]
    assert "no route to host" in caplog.text


class Away:
    """A service whose server is away from some call on: ``wandb`` and ``mlflow`` in one."""

    class Error(Exception):
        pass

    def __init__(self, *failing):
        self.failing = failing
        self.errors = self.exceptions = types.SimpleNamespace(Error=self.Error, MlflowException=self.Error)
        self.info = types.SimpleNamespace(run_id="id-1")
        self.calls = []

    def __getattr__(self, name):
        def call(*_, **__):
            self.calls.append(name)
            if name in self.failing:
                raise self.Error(f"no route to host for {name}")
            return self

        return call


@pytest.mark.parametrize(
    ("name", "failing"),
    [
        *(("wandb", call) for call in ("init", "log", "finish")),
        *(("mlflow", call) for call in ("set_experiment", "start_run", "log_params", "log_metrics", "end_run")),
    ],
)
def test_a_training_does_not_end_with_a_service_that_is_away(run, monkeypatch, caplog, name, failing):
    service = Away(failing)
    monkeypatch.setitem(importlib.sys.modules, name, service)
    monkeypatch.setenv(TRACK, name)
    with tracked(run) as tracker:
        tracker.log(row(1, macro_auc=0.5))
        tracker.log(row(2, macro_auc=0.6))
    assert f"no route to host for {failing}" in caplog.text
    assert [step for step, _ in events(run)["validation/macro_auc"]] == [1, 2]
    if failing in ("init", "set_experiment", "start_run"):
        assert service.calls[-1] == failing  # nothing is sent to a run that was not begun


@pytest.mark.parametrize(("name", "failing"), [("wandb", "finish"), ("mlflow", "end_run")])
def test_why_a_training_failed_is_not_hidden_by_a_service_that_is_away(run, monkeypatch, name, failing):
    monkeypatch.setitem(importlib.sys.modules, name, Away(failing))
    monkeypatch.setenv(TRACK, name)
    with pytest.raises(ValueError, match="the true reason"), tracked(run) as tracker:
        tracker.log(row(1))
        raise ValueError("the true reason")
