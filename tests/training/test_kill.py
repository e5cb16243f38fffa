"""Training that is killed, as by kill -9, at any instant, and resumed: it ends as if it had never been killed.

``BIRDCORE_KILLS=100 pytest -s --timeout=0 tests/training/test_kill.py`` kills so many times, and tells where it struck.
"""

import collections
import multiprocessing
import os
import random
import runpy
import sys
import time
import types
from pathlib import Path

import pytest
from safetensors import safe_open

from birdcore.config import TrainConfig
from birdcore.models.checkpoint import find_weights, load_model
from birdcore.places import project_root
from birdcore.training.run_directory import LOST_AFTER_SECONDS, RunDirectory, RunJob

KILLS = int(os.environ.get("BIRDCORE_KILLS", "4"))
DYING = Path(__file__).with_name("dying_training.py")

# A checkpoint after every step, so that many kills strike while one is written.
CONFIG = TrainConfig(
    architecture="bulbul",
    features="yamnet_wide",
    window_seconds=1.7,
    num_folds=2,
    epochs=3,
    windows_per_epoch=12,
    batch_size=4,
    warmup_epochs=0.5,
    checkpoint_seconds=0.0,
)


@pytest.fixture(scope="module")
def processes():
    """Makes processes from one that has loaded torch already, so that a kill costs little."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train", "birdcore.training.fold_job"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(project_root()))  # or it finds nothing to load
        # A test of a page leaves the app's script as the main module, and a new process would begin by running that.
        patch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
        first = context.Process(target=time.sleep, args=(0,))  # only for the process that loads torch to be there
        first.start()
        first.join()
        yield context


@pytest.fixture(params=["run", "folds"])
def make_run(request, tmp_path, data, monkeypatch):
    monkeypatch.setenv("BIRDCORE_DATA", str(data))
    job = RunJob(data_root=str(data), kind=request.param)
    return lambda name: RunDirectory.create(tmp_path, CONFIG, name=name, job=job)


def start(processes, run, *, die_at):
    """Train in a process that dies at its n-th operation on files of the run (never at 0)."""
    given = {"folder": str(run.path), "data": os.environ["BIRDCORE_DATA"], "die_at": die_at}
    process = processes.Process(target=runpy.run_path, args=(str(DYING),), kwargs={"init_globals": given})
    process.start()
    return process


def parts_of(run):
    """The run and the folds in it; what has no config is not made yet."""
    configs = sorted(run.path.glob("**/config.json"))
    return [RunDirectory.open(path.parent) for path in configs if path.parent.name != "weights"]


def outcome(run):
    """All that must not depend on kills: every figure of every epoch, and the weights."""
    trained = [part for part in parts_of(run) if part.metrics()]
    assert trained
    return {
        part.name if part.path != run.path else "": (
            [{key: value for key, value in row.items() if not key.endswith("seconds")} for row in part.metrics()],
            find_weights(part.path / "weights").facts["sha256"],
        )
        for part in trained
    }


def check_readable(run):
    """Whatever a reader opens right now is whole; what the killed process had begun to write is not there."""
    for part in parts_of(run):
        part.status(), part.config, part.metrics(), part.job()
        checkpoint = part.checkpoint_path("last.safetensors")
        if checkpoint.is_file():
            with safe_open(checkpoint, framework="pt") as file:
                assert [file.get_tensor(key) for key in file.keys()]  # noqa: SIM118
        if (part.path / "weights" / "config.json").is_file():
            load_model(find_weights(part.path / "weights"))


def where(run):
    """What the kill interrupted, as far as its remains tell."""
    if any(run.path.glob("**/.tmp*")) or any(run.path.glob("**/checkpoints/.*.tmp")):
        return "while a checkpoint was written"
    if any(run.path.glob("**/*.part")):
        return "while weights were written"
    if any(run.path.glob("**/.*.tmp")):
        return "while a status was written"
    return f"otherwise, {run.status().state}"


def test_a_run_killed_again_and_again_ends_as_if_it_had_not_been(make_run, processes):
    whole = make_run("whole")
    began = time.monotonic()
    process = start(processes, whole, die_at=0)
    process.join()
    assert process.exitcode == 0 and whole.status().state == "finished"
    seconds = time.monotonic() - began
    operations = int((whole.path / "operations").read_text())
    expected = outcome(whole)

    generator = random.Random(0)
    struck, runs = collections.Counter(), 0
    while sum(struck.values()) < KILLS:
        runs += 1
        run = make_run(f"killed-{runs}")
        while run.status().state != "finished":
            by_operation = sum(struck.values()) % 2
            process = start(processes, run, die_at=by_operation and generator.randint(1, max(2, operations // 2)))
            if not by_operation and sum(struck.values()) < KILLS:
                process.join(generator.uniform(0, 0.7 * seconds))
                process.kill()
            process.join()
            if process.exitcode == 0:
                seconds *= 0.8  # too late for a kill: the machine is faster than it was
                continue
            assert process.exitcode == -9
            struck[where(run)] += 1
            check_readable(run)
            if run.status().has_process:
                run.write_status(heartbeat=time.time() - LOST_AFTER_SECONDS - 1)
                assert run.status().state == "lost"
        assert outcome(run) == expected
        assert not [path for path in run.path.glob("**/.*") if path.name not in (".lock", ".reserve")]
    print(f"\n{sum(struck.values())} kills in {runs} runs: {dict(struck)}")
