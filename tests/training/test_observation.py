import json
import os
import shutil
import time
import traceback

import pytest

from birdcore.config import TrainConfig
from birdcore.errors import RunError
from birdcore.training.observation import RunObserver
from birdcore.training.run_directory import LOST_AFTER_SECONDS, RunDirectory

CONFIG = TrainConfig(architecture="crnn", features="s0", epochs=4, num_folds=3)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


def test_three_hundred_runs_are_read_once_and_then_only_where_something_changed(root):
    first = RunDirectory.create(root, CONFIG, name="run-000")
    first.append_metrics({"epoch": 1, "train_loss": 1.0})
    # Copied, since making a run waits for the disk several times.
    runs = [first] + [RunDirectory(shutil.copytree(first.path, root / f"run-{n:03d}")) for n in range(1, 300)]
    observer = RunObserver()
    assert len(observer.runs(root)) == 300
    assert observer.num_reads == 600  # settings and status; no metrics
    observer.runs(root)
    assert observer.num_reads == 600
    runs[7].write_status(state="running")
    found = {run.name: run.status.state for run in observer.runs(root)}
    assert observer.num_reads == 601
    assert found["run-007"] == "running" and found["run-008"] == "waiting"
    for _ in range(3):
        assert observer.metrics(runs[7]) == [{"epoch": 1, "train_loss": 1.0}]
    assert observer.num_reads == 602
    runs[7].append_metrics({"epoch": 2, "train_loss": 0.5})
    assert len(observer.metrics(runs[7])) == 2
    assert observer.num_reads == 603


def test_a_run_gets_lost_without_any_change_of_its_files(root, monkeypatch):
    run = RunDirectory.create(root, CONFIG, name="night")
    run.write_status(state="running")
    observer = RunObserver()
    assert observer.observe(run).status.state == "running"
    later = time.time() + LOST_AFTER_SECONDS + 1
    monkeypatch.setattr("birdcore.training.observation.time.time", lambda: later)
    assert observer.observe(run).status.state == "lost"
    assert observer.num_reads == 2


def test_a_file_replaced_by_one_of_the_same_size_and_date_is_read_again(root):
    run = RunDirectory.create(root, CONFIG, name="night")
    observer = RunObserver()
    assert observer.observe(run).status.epoch == 0
    path = run.path / "status.json"
    stat = path.stat()
    new = path.with_name("new")
    new.write_text(path.read_text().replace('"epoch": 0', '"epoch": 3'))
    os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    new.replace(path)
    assert observer.observe(run).status.epoch == 3


def test_runs_that_cannot_be_read_are_left_out(root, caplog):
    RunDirectory.create(root, CONFIG, name="good")
    broken = RunDirectory.create(root, CONFIG, name="broken")
    (broken.path / "status.json").write_text("{")
    observer = RunObserver()
    assert [run.name for run in observer.runs(root)] == ["good"]
    (problem,) = observer.problems(root)
    assert "broken" in problem and "is damaged" in problem
    num_reads = observer.num_reads
    observer.runs(root)
    assert observer.num_reads == num_reads  # a damaged file is not read again and again
    assert caplog.text.count("is damaged") == 1


def test_a_remembered_error_holds_on_to_nothing_however_often_it_is_raised(root):
    broken = RunDirectory.create(root, CONFIG, name="broken")
    (broken.path / "status.json").write_text("{")
    observer = RunObserver()
    depths = []
    for _ in range(4):
        with pytest.raises(RunError, match="is damaged") as caught:
            observer.observe(broken)
        depths.append(len(list(traceback.walk_tb(caught.value.__traceback__))))
    assert len(set(depths[1:])) == 1
    assert all(error.__traceback__ is None for _, error in observer._kept.values() if isinstance(error, RunError))


def test_folds_are_found_in_order_and_counted_in_the_epochs(root):
    run = RunDirectory.create(root, CONFIG, name="cross")
    assert RunObserver().observe(run).total_epochs == 4
    for number in (2, 0, 1):
        RunDirectory.create(run.path, CONFIG, name=f"fold-{number}")
    observer = RunObserver()
    assert [fold.name for fold in observer.folds(run)] == ["fold-0", "fold-1", "fold-2"]
    assert observer.observe(run).has_folds and observer.observe(run).total_epochs == 12
    assert observer.runs(root)[0].name == "cross" and len(observer.runs(root)) == 1


def test_what_is_not_there_yet_is_none(root):
    run = RunDirectory.create(root, CONFIG, name="night")
    observer = RunObserver()
    assert observer.metrics(run) == [] and observer.summary(run) is None and observer.scores(run, "test") is None
    run.results.mkdir()
    (run.results / "validation.json").write_text(json.dumps([]))
    with pytest.raises(RunError, match="no evaluation"):
        observer.summary(run)
