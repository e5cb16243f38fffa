"""The run directory under crashes, races and resumes."""

import errno
import json
import math
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from birdcore.config import TrainConfig
from birdcore.errors import RunError
from birdcore.places import project_root
from birdcore.training import run_directory
from birdcore.training.run_directory import LOST_AFTER_SECONDS, RunDirectory, RunJob, replace_atomically

CONFIG = TrainConfig(architecture="crnn", features="yamnet_wide", options={"width": 2})


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path, CONFIG)


def age(run, seconds):
    """Make the last sign of life that much older."""
    run.write_status(heartbeat=run.status().heartbeat - seconds)


def test_a_new_run_waits_and_knows_its_config(run):
    assert RunDirectory.open(run.path).config == CONFIG
    assert run.status().state == "waiting"
    assert run.metrics() == []
    assert not run.stop_requested()


def test_the_name_tells_time_and_architecture(run):
    date, time_of_day, architecture = run.name.split("-")
    assert (len(date), len(time_of_day), architecture) == (8, 6, "crnn")
    assert (date + time_of_day).isdigit()


def test_runs_created_at_the_same_moment_get_different_folders(tmp_path):
    runs, barrier = [], threading.Barrier(8)

    def create():
        barrier.wait()
        runs.append(RunDirectory.create(tmp_path, CONFIG))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run.path for run in runs}) == 8
    assert all(RunDirectory.open(run.path).config == CONFIG for run in runs)


def test_a_taken_name_is_refused(tmp_path):
    RunDirectory.create(tmp_path, CONFIG, name="mine")
    with pytest.raises(RunError, match="mine: exists already"):
        RunDirectory.create(tmp_path, CONFIG, name="mine")


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(RunError, match="plain name"):
        RunDirectory.create(tmp_path, CONFIG, name=name)


def test_a_folder_without_config_is_no_run(tmp_path):
    with pytest.raises(RunError, match="not a run directory"):
        RunDirectory.open(tmp_path)


def test_status_keeps_what_is_not_changed(run):
    run.write_status(state="running", total_steps=100)
    run.write_status(step=np.int64(7), windows_per_second=np.float32(2.5), best=math.nan)
    status = RunDirectory.open(run.path).status()
    assert (status.state, status.step, status.total_steps, status.windows_per_second) == ("running", 7, 100, 2.5)
    assert status.best is None  # JSON has no NaN
    assert status.pid == os.getpid()
    assert status.hostname


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "no field 'colour'"),
        ({"state": "lost"}, "must be one of"),
        ({"best": object()}, "cannot be stored"),
    ],
)
def test_a_wrong_status_is_refused_and_changes_nothing(run, changes, message):
    before = run.status()
    with pytest.raises(RunError, match=message):
        run.write_status(**changes)
    assert run.status() == before


def test_a_running_run_without_heartbeat_is_lost_until_it_beats_again(run):
    run.begin()
    age(run, LOST_AFTER_SECONDS + 1)
    assert run.status().state == "lost"
    RunDirectory.open(run.path).heartbeat()
    assert run.status().state == "running"


def test_a_finished_run_is_never_lost(run):
    run.write_status(state="finished")
    age(run, 10 * LOST_AFTER_SECONDS)
    assert run.status().state == "finished"


def test_heartbeats_in_quick_succession_write_once(run, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(run_directory.time, "monotonic", lambda: now[0])
    writes = []
    monkeypatch.setattr(run, "_replace_status", writes.append)
    for _ in range(100):
        run.heartbeat()
    assert len(writes) == 1
    now[0] += 1.0
    run.heartbeat()
    assert len(writes) == 2


def test_a_run_beats_in_the_background_while_it_is_busy(run):
    run.begin()
    age(run, LOST_AFTER_SECONDS + 1)
    with RunDirectory.open(run.path).beating(interval_seconds=0.001):
        while run.status().state == "lost":
            time.sleep(0.01)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("heartbeat-")]


def test_a_beat_that_cannot_be_written_does_not_end_the_beating(run, caplog):
    status = (run.path / "status.json").read_bytes()
    (run.path / "status.json").unlink()
    with RunDirectory.open(run.path).beating(interval_seconds=0.001):
        while "no heartbeat could be written" not in caplog.text:
            time.sleep(0.01)
        (run.path / "status.json").write_bytes(status)
        age(run, LOST_AFTER_SECONDS + 1)
        while run.status().state == "lost":
            time.sleep(0.01)


def test_background_beats_undo_no_change(run):
    run.begin()
    run.heartbeat = run.write_status  # without the limit of one a second
    with run.beating(interval_seconds=0.001):
        for step in range(50):
            run.write_status(step=step)
            assert run.status().step == step


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"state": "dancing"}'])
def test_a_damaged_status_is_reported_with_its_path(run, content):
    (run.path / "status.json").write_text(content)
    with pytest.raises(RunError, match=r"status\.json"):
        run.status()


def test_a_missing_status_is_reported_with_its_path(run):
    (run.path / "status.json").unlink()
    with pytest.raises(RunError, match=r"status\.json: cannot be read"):
        run.status()


def test_readers_never_see_half_a_status(run):
    done = threading.Event()
    seen, faults = set(), []

    def read():
        while not done.is_set():
            try:
                seen.add(len(run.status().message))
            except RunError as error:  # collected, because an exception in a thread would not fail the test
                faults.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for length in (1, 5000) * 10:
        run.write_status(message="x" * length)
    done.set()
    reader.join()
    assert not faults
    assert seen <= {0, 1, 5000}


def test_metrics_come_back_in_order(run):
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "auc": {"macro": 0.9}}]
    for row in rows:
        run.append_metrics(row)
    assert RunDirectory.open(run.path).metrics() == rows


def test_metrics_store_numpy_numbers_and_no_nan(run):
    run.append_metrics({"epoch": np.int64(1), "loss": np.float32(0.5), "auc": math.nan, "per_class": (1.0, math.inf)})
    assert run.metrics() == [{"epoch": 1, "loss": 0.5, "auc": None, "per_class": [1.0, None]}]
    assert "NaN" not in (run.path / "metrics.jsonl").read_text()


@pytest.mark.parametrize("torn", [b'{"epoch": 2, "lo', b'{"epoch": 2}', "é".encode()[:1]])
def test_a_torn_last_line_is_ignored_and_cut_off_before_the_next(run, torn):
    run.append_metrics({"epoch": 1})
    with open(run.path / "metrics.jsonl", "ab") as file:
        file.write(torn)
    assert run.metrics() == [{"epoch": 1}]
    run.append_metrics({"epoch": 2, "loss": 1.0})
    assert run.metrics() == [{"epoch": 1}, {"epoch": 2, "loss": 1.0}]


def test_a_damaged_line_in_the_middle_is_reported_with_its_number(run):
    run.append_metrics({"epoch": 1})
    with open(run.path / "metrics.jsonl", "ab") as file:
        file.write(b"oops\n")
    run.append_metrics({"epoch": 2})
    with pytest.raises(RunError, match=r"metrics\.jsonl, line 2: is damaged"):
        run.metrics()


def test_metrics_without_an_epoch_are_refused(run):
    with pytest.raises(RunError, match="needs an integer 'epoch'"):
        run.append_metrics({"loss": 1.0})


def test_a_resume_drops_the_epochs_it_will_repeat(run):
    for epoch in (1, 2, 3):
        run.append_metrics({"epoch": epoch})
    run.truncate_metrics(after_epoch=1)
    run.append_metrics({"epoch": 2, "again": True})
    assert run.metrics() == [{"epoch": 1}, {"epoch": 2, "again": True}]


def test_truncating_metrics_that_do_not_exist_yet_is_harmless(run):
    run.truncate_metrics(after_epoch=0)
    assert run.metrics() == []


def test_a_stop_request_lasts_until_the_run_has_ended(run):
    run.begin()
    RunDirectory.open(run.path).request_stop()
    run.write_status(step=3)
    assert run.stop_requested()
    run.write_status(state="stopped")
    assert not run.stop_requested()


def test_a_stop_asked_for_while_waiting_is_not_forgotten(run):
    run.request_stop()
    run.begin()
    assert run.stop_requested()


def test_a_stop_that_a_killed_process_did_not_obey_does_not_stop_the_resumed_run(run):
    run.begin()
    run.request_stop()
    RunDirectory.open(run.path).begin()
    assert not run.stop_requested()


def test_beginning_removes_half_written_files_of_a_killed_process(run):
    leftover = run.checkpoint_path("last.ckpt.safetensors").with_name(".last.ckpt.safetensors.0a1b2c3d.tmp")
    leftover.write_bytes(b"half")
    run.begin()
    assert list((run.path / "checkpoints").iterdir()) == []


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(run):
    path = run.checkpoint_path("last.ckpt.safetensors")
    replace_atomically(path, lambda temporary: temporary.write_bytes(b"old"))

    def fail(temporary):
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_config_json_is_plain_json_for_other_tools(run):
    values = json.loads((run.path / "config.json").read_text())
    assert values["architecture"] == "crnn"
    assert values["options"] == {"width": 2}


def test_a_paused_run_is_lost_only_if_it_had_a_process(run):
    run.write_status(state="paused", pid=None)
    age(run, LOST_AFTER_SECONDS + 1)
    assert run.status().state == "paused"
    run.write_status(state="paused", pid=1)
    age(run, LOST_AFTER_SECONDS + 1)
    assert run.status().state == "lost"


def test_only_one_process_at_a_time_holds_a_run(run, monkeypatch):
    monkeypatch.setattr(run_directory, "TAKE_OVER_SECONDS", 0.01)
    assert not run.is_held()
    with run.held():
        assert RunDirectory.open(run.path).is_held()
        with pytest.raises(RunError, match="another process trains this run"), RunDirectory.open(run.path).held():
            pass
        assert run.is_held()
    assert not run.is_held()


def test_a_run_held_by_a_killed_process_is_free_at_once(run):
    code = f"""
import os, signal
from birdcore.training.run_directory import RunDirectory
with RunDirectory.open({str(run.path)!r}).held():
    print("held", flush=True)
    signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=project_root(), stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert run.is_held()
        holder.kill()
    assert not run.is_held()


def test_a_request_made_while_the_process_starts_is_not_forgotten(run):
    run.write_status(state="running", pid=None)
    run.request_stop()
    run.request_pause()
    run.begin()
    assert run.stop_requested() and run.pause_requested()
    run.begin()  # of one that was begun and has not ended, it is dropped
    assert not run.stop_requested() and not run.pause_requested()


def test_a_fold_obeys_what_is_asked_of_the_run_it_belongs_to(run):
    fold = RunDirectory.create(run.path, CONFIG, name="fold-0")
    assert not fold.stop_requested() and not fold.pause_requested()
    run.request_stop()
    run.request_pause()
    assert fold.stop_requested() and fold.pause_requested()
    fold.write_status(state="stopped")
    assert run.stop_requested()


def test_beginning_removes_what_killed_writers_of_every_kind_left(run):
    (run.path / "weights").mkdir()
    leftovers = [
        run.checkpoint_path("last.safetensors").with_name(".tmpA1b2C3"),
        run.path / "weights" / "model.safetensorsx1y2.part",
        run.path / ".status.json.0a1b2c3d.tmp",
    ]
    for leftover in leftovers:
        leftover.write_bytes(b"half")
    run.begin()
    assert not [leftover for leftover in leftovers if leftover.exists()]


def test_on_a_full_disk_the_reserve_makes_room_for_the_last_word(run, monkeypatch):
    real = run_directory.replace_atomically

    def full_while_reserved(path, writer):
        if (run.path / ".reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, writer)

    run.begin()
    monkeypatch.setattr(run_directory, "replace_atomically", full_while_reserved)
    with pytest.raises(OSError, match="No space"):
        run.write_status(step=1)
    run.fail(OSError(errno.ENOSPC, "No space left on device"))
    assert run.status().state == "failed"
    assert run.status().message.startswith("The disk is full")
    monkeypatch.undo()
    run.begin()
    assert (run.path / ".reserve").stat().st_size == run_directory.RESERVE_BYTES


def test_a_failure_that_cannot_be_noted_is_in_the_log(run, monkeypatch, caplog):
    monkeypatch.setattr(
        run_directory.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only"))
    )
    run.fail(RunError("my reason"))
    assert "my reason" in caplog.text


def test_where_no_run_can_be_made_the_reason_is_told(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_directory.os, "fsync", full)
    with pytest.raises(RunError, match=r"no run can be made here\. The disk is full"):
        RunDirectory.create(tmp_path, CONFIG)


def test_a_job_comes_back_as_it_was_noted(tmp_path, run):
    assert run.job() is None
    job = RunJob(data_root="/data", kind="folds", command=("python", "-c", "pass"), queued=12.5)
    assert RunDirectory.create(tmp_path, CONFIG, name="job", job=job).job() == job
    (run.path / "job.json").write_text('{"colour": 1}')
    with pytest.raises(RunError, match=r"job\.json: is damaged"):
        run.job()


def test_a_stem_gets_a_number_where_it_is_taken(tmp_path):
    names = [RunDirectory.create(tmp_path, CONFIG, stem="mine").name for _ in range(3)]
    assert names == ["mine", "mine-2", "mine-3"]
