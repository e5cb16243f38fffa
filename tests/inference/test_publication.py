import json
import sys
import time

import pytest

from birdcore.errors import AcceptanceError, ConfigError, RunError
from birdcore.inference import publication
from birdcore.inference.publication import (
    list_publications,
    read_publication,
    record_publication,
    start_publication,
)

ARGUMENTS = {"name": "tiny", "summary": "A test.", "limits": (), "false_alarms": 0.02}


@pytest.fixture
def run(tmp_path):
    (tmp_path / "runs" / "night").mkdir(parents=True)
    return tmp_path / "runs" / "night"


@pytest.fixture
def started(monkeypatch):
    """Stands in for the start of a process: what it would have been started with."""
    calls = []

    class Process:
        def __init__(self, command, **options):
            calls.append((command, options))

        def wait(self):
            return 0

    monkeypatch.setattr(publication.subprocess, "Popen", Process)
    return calls


def change(run, **values):
    file = run / "draft" / "tiny" / "publication.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_progress_and_a_good_end_are_seen_by_whoever_looks(run):
    with record_publication(run, "tiny") as progress:
        progress("gate", 0.5)
        seen = read_publication(run, "tiny")
        assert (seen.state, seen.step, seen.share, seen.run.name) == ("running", "gate", 0.5, "night")
    assert read_publication(run, "tiny").state == "published"
    assert list(run.glob("draft/tiny/.birdcore*")) == []


@pytest.mark.parametrize(
    ("error", "state"),
    [(AcceptanceError("too loud"), "refused"), (RunError("no data"), "failed"), (MemoryError(), "failed")],
)
def test_how_it_ended_badly_is_kept_and_raised(run, error, state):
    with pytest.raises(type(error)), record_publication(run, "tiny"):
        raise error
    ended = read_publication(run, "tiny")
    assert ended.state == state and (str(error) or "MemoryError") in ended.message


def test_one_that_gives_no_sign_of_life_for_a_minute_is_lost_and_can_be_started_again(run, started):
    start_publication(run, data=run, **ARGUMENTS)
    with pytest.raises(RunError, match="is being published already, from run night"):
        start_publication(run, data=run, **ARGUMENTS)
    change(run, heartbeat=time.time() - 61)
    assert read_publication(run, "tiny").state == "lost"
    assert start_publication(run, data=run, **ARGUMENTS).state == "running"
    assert len(started) == 2


def test_the_process_gets_its_arguments_without_a_shell_and_a_life_of_its_own(run, started, tmp_path):
    nasty = "--name=evil; $(touch x) `y`"
    start_publication(run, data=tmp_path, name="tiny", summary=nasty, limits=["a\nb", " "], false_alarms=0.05)
    ((command, options),) = started
    assert command[:5] == [sys.executable, "-m", "birdcore", "publish", str(run)]
    assert command[5:] == [
        "--name=tiny",
        f"--data={tmp_path}",
        f"--summary={nasty}",
        "--limit=a b",
        "--false-alarms=0.05",
    ]
    assert options["start_new_session"] and not options.get("shell")


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"name": "../up"}, "use small letters"),
        ({"summary": "![x](http://example.org/x.png)"}, "must be plain text"),
        ({"summary": "nul\0"}, "must be plain text"),
        ({"limits": ["x" * 301]}, "301 letters"),
        ({"limits": ["x"] * 21}, "21 known weaknesses"),
        ({"false_alarms": 0.0}, "must be above 0"),
        ({"false_alarms": float("nan")}, "must be above 0"),
    ],
)
def test_arguments_that_cannot_be_used_start_nothing(run, started, changed, match):
    with pytest.raises(ConfigError, match=match):
        start_publication(run, data=run, **(ARGUMENTS | changed))
    assert not started and list_publications(run.parent) == []


def test_what_was_asked_of_an_earlier_attempt_is_forgotten(run, started):
    draft = run / "draft" / "tiny"
    draft.mkdir(parents=True)
    (draft / "acceptance.json").write_text("[]")
    start_publication(run, data=run, **ARGUMENTS)
    assert not (draft / "acceptance.json").exists()


def test_a_process_that_cannot_be_started_is_told(run, monkeypatch):
    monkeypatch.setattr(publication.sys, "executable", str(run / "nowhere"))
    with pytest.raises(RunError, match="could not be started"):
        start_publication(run, data=run, **ARGUMENTS)
    assert read_publication(run, "tiny").state == "failed"


def test_a_damaged_record_counts_as_none_and_the_latest_comes_first(run):
    for name, moment in (("old", 1.0), ("new", 2.0)):
        with record_publication(run, name):
            pass
        file = run / "draft" / name / "publication.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"started": moment}))
    for name, text in (("torn", '{"state": "run'), ("list", "[]"), ("odd", '{"state": "flying"}')):
        (run / "draft" / name).mkdir()
        (run / "draft" / name / "publication.json").write_text(text)
    assert [one.name for one in list_publications(run.parent)] == ["new", "old"]
