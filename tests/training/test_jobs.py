"""Background jobs, with small programs in place of train.py."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from birdcore import places
from birdcore.config import TrainConfig
from birdcore.errors import ConfigError, RunError
from birdcore.locks import is_locked
from birdcore.training.jobs import (
    advance_queue,
    check_paths,
    continue_job,
    delete_job,
    enqueue_job,
    list_runs,
    max_active,
    pause_job,
    resume_job,
    retry_job,
    set_max_active,
    stop_job,
    training_allowed,
)
from birdcore.training.run_directory import LOST_AFTER_SECONDS, RunDirectory

CONFIG = TrainConfig(architecture="crnn", features="yamnet_wide")

# Keeps to the run directory's rules as the real training does: holds, begins, beats, obeys, says how it ended.
OBEDIENT = """
import os, sys, time
from birdcore.training.run_directory import RunDirectory
run = RunDirectory.open(sys.argv[1])
with run.held():
    run.begin()
    print("data", os.environ["BIRDCORE_DATA"], flush=True)
    while not run.stop_requested():
        state = "paused" if run.pause_requested() else "running"
        if run.status().state != state:
            run.write_status(state=state, pid=os.getpid())
        run.heartbeat()
        time.sleep(0.01)
    run.write_status(state="stopped")
"""


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """Programs find birdcore, and the data folder is one that may be read."""
    monkeypatch.setenv("PYTHONPATH", str(places.project_root()))
    monkeypatch.setenv("BIRDCORE_DATA", str(tmp_path))
    monkeypatch.setenv("BIRDCORE_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def root(tmp_path):
    """Folder of the runs; every program still running in it is asked to stop when the test ends."""
    folder = tmp_path / "runs"
    yield folder
    runs = list_runs(folder)
    for run in runs:
        if (run.path / "status.json").is_file():
            stop_job(run)
    for run in runs:
        wait_until(lambda run=run: not run.is_held())


def enqueue(root, program=OBEDIENT, **options):
    return enqueue_job(CONFIG, root=root, command=[sys.executable, "-c", program], **options)


def wait_until(true):
    deadline = time.monotonic() + 240  # ample even on a machine busy with other things
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for(run, *states):
    def arrived():
        status = run.status()
        # "running" is also the state of a run whose process was started and has not begun.
        return status.state in states and (status.state != "running" or status.pid is not None)

    wait_until(arrived)
    return run.status()


def lose(run):
    """Make the last sign of life too old."""
    run.write_status(heartbeat=time.time() - LOST_AFTER_SECONDS - 1)


def kill_all(run):
    """Kill a run's training and the process that sees it through, as a crash of the machine would."""
    leader = os.getsid(run.status().pid)
    os.kill(leader, signal.SIGKILL)  # first, or it would note how the other ended
    os.kill(run.status().pid, signal.SIGKILL)
    wait_until(lambda: not run.is_held())


def test_a_job_runs_in_a_session_of_its_own_until_it_is_stopped(root, tmp_path):
    run = enqueue(root)
    status = wait_for(run, "running")
    assert os.getsid(status.pid) not in (os.getsid(0), os.getpid())
    stop_job(run)
    wait_for(run, "stopped")
    assert run.log.read_text().splitlines() == [f"data {tmp_path}"]


def test_a_queued_job_starts_when_the_one_before_ends_though_no_page_is_open(root):
    first, second, third = enqueue(root), enqueue(root), enqueue(root)
    wait_for(first, "running")
    assert (second.status().state, third.status().state) == ("waiting", "waiting")
    stop_job(first)
    wait_for(second, "running")
    assert third.status().state == "waiting"


def test_a_waiting_job_is_never_lost(root):
    wait_for(enqueue(root), "running")
    waiting = enqueue(root)
    lose(waiting)
    assert waiting.status().state == "waiting"


def test_more_jobs_run_at_once_where_the_root_allows_it(root):
    assert max_active(root) == 1
    first, second, third = (enqueue(root) for _ in range(3))
    set_max_active(root, 2)
    assert max_active(root) == 2
    assert wait_for(first, "running").pid != wait_for(second, "running").pid
    assert third.status().state == "waiting"


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "2", 65, None])
def test_a_wrong_number_of_jobs_at_once_is_refused(root, number):
    with pytest.raises(RunError, match="must be a whole number from 1 to 64"):
        set_max_active(root, number)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"max_active": "many"}'])
def test_with_a_damaged_setting_one_job_runs_at_a_time(root, content, caplog):
    root.mkdir()
    (root / "queue.json").write_text(content)
    assert max_active(root) == 1
    assert "queue.json: cannot be used" in caplog.text


def test_two_processes_that_queue_at_once_start_one_job(root):
    program = (
        "import sys\nfrom birdcore.config import TrainConfig\nfrom birdcore.training.jobs import enqueue_job\n"
        f"config = TrainConfig(architecture='crnn', features='yamnet_wide')\n"
        "sys.stdin.readline()\n"
        f"for _ in range(3): enqueue_job(config, root={str(root)!r}, command=[sys.executable, '-c', {OBEDIENT!r}])"
    )
    starters = [subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) for _ in range(2)]
    for starter in starters:
        starter.stdin.write(b"go\n")
        starter.stdin.flush()
    for starter in starters:
        with starter:
            assert starter.wait() == 0
    states = sorted(run.status().state for run in list_runs(root))
    assert states == ["running"] + 5 * ["waiting"]


def test_any_number_of_calls_at_once_start_each_waiting_job_once(root):
    set_max_active(root, 1)
    runs = [enqueue(root) for _ in range(3)]
    wait_for(runs[0], "running")
    (root / "queue.json").write_text('{"max_active": 3}')  # without the start that setting it brings along
    barrier, started = threading.Barrier(6), []

    def advance():
        barrier.wait()
        started.extend(run.name for run in advance_queue(root))

    threads = [threading.Thread(target=advance) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(started) == sorted(run.name for run in runs[1:])


def test_a_killed_job_has_failed_with_the_reason_and_the_next_starts(root):
    killed, following = enqueue(root), enqueue(root)
    pid = wait_for(killed, "running").pid
    os.kill(pid, signal.SIGKILL)  # what the system does where memory runs out
    status = wait_for(killed, "failed")
    assert "ended by signal 9 (Killed); if it ran out of memory" in status.message
    wait_for(following, "running")


def test_what_a_killed_job_had_started_goes_with_it(root):
    witness = RunDirectory.create(root, CONFIG, name="witness")
    hold = "import sys, time; from birdcore.training.run_directory import RunDirectory\n"
    hold += "with RunDirectory.open(sys.argv[1]).held(): time.sleep(600)"
    more = f"import subprocess; subprocess.Popen([sys.executable, '-c', {hold!r}, {str(witness.path)!r}])\n"
    run = enqueue(root, OBEDIENT.replace("run = ", more + "run = "))
    wait_for(run, "running")
    wait_until(witness.is_held)
    os.kill(run.status().pid, signal.SIGKILL)
    wait_for(run, "failed")
    wait_until(lambda: not witness.is_held())


def test_after_a_crash_of_everything_the_next_page_starts_what_waits_and_the_lost_run_resumes(root):
    crashed, following = enqueue(root), enqueue(root)
    wait_for(crashed, "running")
    kill_all(crashed)
    assert advance_queue(root) == []  # it may still be alive
    lose(crashed)
    assert crashed.status().state == "lost"
    assert [run.path for run in advance_queue(root)] == [following.path]
    resume_job(crashed)
    assert crashed.status().state == "waiting"
    stop_job(following)
    wait_for(crashed, "running")


def test_a_start_that_died_before_its_process_was_there_is_lost_not_twofold(root):
    run = RunDirectory.create(root, CONFIG)
    run.write_status(state="running", pid=None)
    lose(run)
    assert run.status().state == "lost"
    assert advance_queue(root) == []


def test_a_process_that_ends_late_says_nothing_about_the_run_that_was_resumed_meanwhile(root, tmp_path):
    # The first start says that it failed, and lingers; the second takes long to begin, as one that loads torch does.
    program = f"""
import sys, time
from pathlib import Path
from birdcore.training.run_directory import RunDirectory
folder, run = Path({str(tmp_path)!r}), RunDirectory.open(sys.argv[1])
again = (folder / "first").exists()
(folder / "first").touch()
if not again:
    run.write_status(state="failed", message="my reason")
while not (folder / ("begin" if again else "end")).exists():
    time.sleep(0.01)
if not again:
    sys.exit(1)
"""
    run = enqueue(root, program + OBEDIENT)
    wait_for(run, "failed")
    (first,) = (thread for thread in threading.enumerate() if thread.name == f"wait-{run.name}")
    resume_job(run)
    (tmp_path / "end").touch()
    first.join()
    assert run.status().state == "running"
    (tmp_path / "begin").touch()
    wait_for(run, "running")


def test_a_run_whose_process_lives_without_a_sign_is_not_started_again(root):
    run = RunDirectory.create(root, CONFIG)
    with run.held():
        run.begin()
        lose(run)
        assert run.status().state == "lost"
        with pytest.raises(RunError, match=f"process {os.getpid()} still holds it"):
            resume_job(run)
        with pytest.raises(RunError, match="still holds it"):
            delete_job(run)


def test_a_run_with_a_damaged_status_does_not_hold_up_the_queue(root):
    damaged = RunDirectory.create(root, CONFIG)
    (damaged.path / "status.json").write_text("{")
    wait_for(enqueue(root), "running")
    (damaged.path / "status.json").unlink()


def test_a_paused_job_holds_and_goes_on(root):
    run = enqueue(root)
    pid = wait_for(run, "running").pid
    pause_job(run)
    assert wait_for(run, "paused").pid == pid
    waiting = enqueue(root)
    assert waiting.status().state == "waiting"  # a paused run keeps its place, as it keeps its memory
    continue_job(run)
    assert wait_for(run, "running").pid == pid
    pause_job(run)
    wait_for(run, "paused")
    stop_job(run)
    wait_for(run, "stopped")


def test_a_paused_job_that_was_killed_is_lost_and_resumes_unpaused(root):
    run = enqueue(root)
    wait_for(run, "running")
    pause_job(run)
    wait_for(run, "paused")
    kill_all(run)
    lose(run)
    assert run.status().state == "lost"
    with pytest.raises(RunError, match="resume it instead"):
        continue_job(run)
    resume_job(run)
    wait_for(run, "running")
    assert not run.pause_requested()


def test_a_job_paused_while_it_waits_is_passed_over_and_then_has_its_old_turn(root):
    first, second, third, fourth = (enqueue(root) for _ in range(4))
    wait_for(first, "running")
    pause_job(second)
    assert second.status().state == "paused"
    stop_job(first)
    wait_for(third, "running")
    continue_job(second)
    assert second.status().state == "waiting"
    stop_job(third)
    wait_for(second, "running")
    assert fourth.status().state == "waiting"


def test_a_job_stopped_while_it_waits_never_starts(root):
    first, second = enqueue(root), enqueue(root)
    wait_for(first, "running")
    stop_job(second)
    assert second.status().state == "stopped"
    stop_job(first)
    wait_for(first, "stopped")
    wait_until(lambda: not first.is_held())
    assert advance_queue(root) == []
    assert not second.log.is_file()


def test_a_stopped_job_resumes_and_a_finished_one_does_not(root):
    run = enqueue(root)
    wait_for(run, "running")
    with pytest.raises(RunError, match="it is running; nothing to resume"):
        resume_job(run)
    stop_job(run)
    wait_for(run, "stopped")
    resume_job(run)
    wait_for(run, "running")
    finished = RunDirectory.create(root, CONFIG)
    finished.write_status(state="finished")
    for action, message in ((resume_job, "retry it"), (pause_job, "is finished"), (continue_job, "is finished")):
        with pytest.raises(RunError, match=message):
            action(finished)


def test_a_retried_job_is_a_new_run_with_the_same_settings(root, tmp_path):
    run = enqueue(root, name="Réseau no. 2 / ../night!")
    assert run.path == root / "reseau-no-2-night"
    again = retry_job(run)
    assert again.path == root / "reseau-no-2-night-2"
    assert (again.config, again.job().command) == (run.config, run.job().command)
    assert re.fullmatch(r"\d{8}-\d{6}-crnn", retry_job(enqueue(root, name="???")).name.removesuffix("-2"))


def test_stopping_a_run_that_has_ended_leaves_no_request_behind(root):
    run = RunDirectory.create(root, CONFIG)
    run.write_status(state="finished")
    stop_job(run)
    assert not run.stop_requested()


def test_a_job_that_ends_without_a_word_failed_and_tells_its_last_line(root):
    status = wait_for(enqueue(root, "import sys; print('working'); sys.exit('no such manifest\\n')"), "failed")
    assert status.message == "The training process ended early with exit code 1: no such manifest"


def test_a_job_that_says_how_it_ended_keeps_its_own_message(root):
    program = OBEDIENT.split("    print")[0] + "    run.write_status(state='failed', message='my reason'); sys.exit(1)"
    run, following = enqueue(root, program), enqueue(root)
    wait_for(following, "running")  # by then the end of the first was seen
    assert run.status().message == "my reason"


def test_a_program_that_does_not_exist_is_refused(root):
    with pytest.raises(RunError, match="no-such-program: cannot be started"):
        enqueue_job(CONFIG, root=root, command=["no-such-program"])
    with pytest.raises(RunError, match="kind = 'shell': unknown"):
        enqueue_job(CONFIG, root=root, kind="shell")
    assert list_runs(root) == []


@pytest.mark.parametrize("table", ["manifest", "extra_manifest", "background", "strong"])
@pytest.mark.parametrize("value", ["/etc/passwd", "../other/manifest.csv"])
def test_tables_outside_the_data_folder_are_refused(root, table, value):
    config = TrainConfig(architecture="crnn", features="yamnet_wide", **{table: value})
    with pytest.raises(ConfigError, match=f"{table} = .*leads outside the data folder"):
        enqueue_job(config, root=root)


def test_data_and_weights_outside_the_configured_folders_are_refused(root, tmp_path):
    with pytest.raises(ConfigError, match="/etc: is not in a folder that training may read"):
        enqueue(root, data_root="/etc")
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(ConfigError, match="is not in a folder"):
        enqueue(root, data_root=tmp_path / "link")
    config = TrainConfig(architecture="crnn", features="yamnet_wide", yamnet_file="/etc/yamnet.tflite")
    with pytest.raises(ConfigError, match=r"yamnet_file.*leads outside"):
        enqueue_job(config, root=root)
    assert list_runs(root) == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("birdnet_file", "/etc/passwd"),
        ("imagenet_file", "../elsewhere/imagenet.safetensors"),
        ("trunk_weights", "/etc"),
        ("trunk_weights", ".."),
        ("trunk_weights", "../elsewhere/crnn"),
        ("teacher", "/etc"),
        ("teacher", "../../teacher"),
    ],
)
def test_pretrained_weights_from_elsewhere_are_refused(setting, value, tmp_path):
    with pytest.raises(ConfigError, match=f"{setting} = .*leads outside"):
        check_paths(dataclasses.replace(CONFIG, **{setting: value}), tmp_path.resolve())


def test_weights_by_name_and_those_of_runs_are_allowed(root, tmp_path):
    run = RunDirectory.create(root, CONFIG)
    for value in ("", "crnn", "perch-v2", str(run.path / "weights"), str(places.weights_root() / "crnn")):
        check_paths(dataclasses.replace(CONFIG, trunk_weights=value, teacher=value), tmp_path.resolve())


def test_the_presets_lead_nowhere_outside(root):
    config = TrainConfig(architecture="crnn", features="yamnet_wide", yamnet_file="../models/yamnet.tflite")
    run = enqueue_job(config, root=root, command=[sys.executable, "-c", "pass"])
    wait_for(run, "failed")


def test_a_run_is_deleted_with_all_that_is_in_it(root, tmp_path):
    run = RunDirectory.create(root, CONFIG)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "song.wav").touch()
    (run.path / "link").symlink_to(precious)
    delete_job(run)
    assert [path.name for path in root.iterdir() if path.is_dir()] == []
    assert (precious / "song.wav").is_file()


def test_the_queue_is_free_while_a_run_s_files_are_deleted(root, monkeypatch):
    run, locked = RunDirectory.create(root, CONFIG), []
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: locked.append(is_locked(root / ".queue.lock")))
    delete_job(run)
    assert locked == [False]


def test_a_run_that_trains_is_not_deleted(root):
    run = enqueue(root)
    wait_for(run, "running")
    with pytest.raises(RunError, match="is running; stop it"):
        delete_job(run)
    pause_job(run)
    wait_for(run, "paused")
    with pytest.raises(RunError, match="is paused; stop it"):
        delete_job(run)
    waiting = enqueue(root)
    delete_job(waiting)
    assert [other.path for other in list_runs(root)] == [run.path]


def test_nothing_outside_the_root_is_deleted(root, tmp_path):
    elsewhere = RunDirectory.create(tmp_path / "elsewhere", CONFIG, name="run")
    root.mkdir()
    (root / "link").symlink_to(elsewhere.path)
    (root / "no run").mkdir()
    outer = RunDirectory.create(root, CONFIG, name="outer")
    fold = RunDirectory.create(outer.path, CONFIG, name="fold-0")
    paths = (
        elsewhere.path,
        root / "link",
        root / "no run",
        fold.path,
        root,
        root / "outer" / "..",
        root / "link" / "..",
    )
    for path in paths:
        with pytest.raises(RunError, match="is no run in"):
            delete_job(RunDirectory(path))
    assert (elsewhere.path / "config.json").is_file() and (fold.path / "config.json").is_file()


def test_what_a_cut_off_deletion_left_is_no_run_and_goes_with_the_next(root):
    run = RunDirectory.create(root, CONFIG)
    half = root / ".deleted-other-0123abcd"
    RunDirectory.create(root, CONFIG).path.rename(half)
    assert [other.path for other in list_runs(root)] == [run.path]
    delete_job(run)
    assert not half.exists()


def test_folders_that_are_no_runs_are_not_listed(root, tmp_path):
    run = RunDirectory.create(root, CONFIG)
    (root / "notes").mkdir()
    assert [other.path for other in list_runs(root)] == [run.path]
    assert list_runs(tmp_path / "missing") == []


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_people_at_this_computer_may_train(monkeypatch, address):
    monkeypatch.delenv("BIRDCORE_ALLOW_TRAINING", raising=False)
    assert training_allowed(address)[0]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.5", "", None, "birds.example.org"])
def test_others_may_not_train_unless_it_was_allowed(monkeypatch, address):
    monkeypatch.delenv("BIRDCORE_ALLOW_TRAINING", raising=False)
    allowed, reason = training_allowed(address)
    assert not allowed and "BIRDCORE_ALLOW_TRAINING" in reason
    monkeypatch.setenv("BIRDCORE_ALLOW_TRAINING", "1")
    assert training_allowed(address)[0]
