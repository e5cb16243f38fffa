"""``python -m birdcore data mix``."""

import json

import pytest

import birdcore.__main__ as command_line
from birdcore.data.readers import read_dataset

SYNTHETIC = ("--calls=synthetic", "--synthetic-background", "--duration=3", "--sample-rate=16000")


def run(*words):
    """Exit status of the command."""
    return command_line.main(["data", "mix", *map(str, words)])


def test_soundscapes_are_mixed_as_asked_for_and_again_the_same(tmp_path, capsys):
    words = (*SYNTHETIC, "--count=2", "--species=houspa", "--species=gretit1", "--events", 1, 2, "--snr", 5, 10)
    words += ("--overlap=0", "--speech=0", "--rain=0", "--seed=4")
    assert run(*words, "--out", tmp_path / "one") == 0
    assert f"{tmp_path / 'one'}: 2 soundscapes of 3 s" in capsys.readouterr().out
    assert run(*words, "--out", tmp_path / "two") == 0
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    calls = [
        c for mixed in json.loads((tmp_path / "one/manifest.json").read_text())["soundscapes"] for c in mixed["calls"]
    ]
    assert calls and all(5 <= call["snr_db"] <= 10 for call in calls)
    annotated = read_dataset(tmp_path / "one").annotated
    assert {event.label for recording in annotated for event in recording.events} <= {"houspa", "gretit1"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--count=0", *SYNTHETIC), "count = 0: must be at least 1"),
        (("--count=1", *SYNTHETIC, "--species=dodo"), "'dodo': no such song"),
        (("--count=1", *SYNTHETIC, "--snr", 9, 3), "snr_db = (9.0, 3.0)"),
        (("--count=1", "--data", "/nowhere"), "no such folder"),
    ],
)
def test_what_cannot_be_mixed_is_said_in_a_line(tmp_path, capsys, words, message):
    assert run(*words, "--out", tmp_path / "mixes") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "mixes").exists()
