"""The built-in samples: written once, whole, and honest about what they are."""

import json

import numpy as np
import pytest
import soundfile

from birdcore.data.samples import sample_soundscapes
from birdcore.data.songs import SONGS
from birdcore.errors import DataError


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return sample_soundscapes(tmp_path_factory.mktemp("samples"))


def test_there_are_four_samples_of_20_to_60_seconds_with_boxes(samples):
    assert [sample.name for sample in samples] == ["Garden morning", "Reed bed", "Night with owl", "Pond"]
    for sample in samples:
        sound, sample_rate = soundfile.read(sample.path)
        duration = sound.size / sample_rate
        assert 20 <= duration <= 60
        assert 0.2 < np.abs(sound).max() < 1
        assert len(sample.events) >= 5
        for event in sample.events:
            assert event.label in SONGS
            assert 0 <= event.onset < event.offset <= duration
            assert 0 < event.fmin < event.fmax <= sample_rate / 2


def test_each_sample_says_that_it_is_synthesised_and_names_its_birds(samples):
    for sample in samples:
        assert "Synthesised, not recorded" in sample.description
        for label in {event.label for event in sample.events}:
            name = SONGS[label].common_name
            assert name in sample.description or name.split()[-1] in sample.description


def test_samples_are_written_once_and_then_read(samples):
    directory = samples[0].path.parent
    times = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
    again = sample_soundscapes(directory)
    assert again == samples
    assert {path: path.stat().st_mtime_ns for path in directory.iterdir()} == times
    assert sorted(path.suffix for path in times) == [".flac"] * 4 + [".json"] * 4


def test_missing_damaged_and_outdated_samples_are_made_again_to_the_same_bits(samples):
    directory = samples[0].path.parent
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    samples[0].path.unlink()
    samples[2].path.with_suffix(".json").write_text("{")
    outdated = samples[3].path.with_suffix(".json")
    outdated.write_text(json.dumps({**json.loads(outdated.read_text()), "recipe": 0}))
    assert sample_soundscapes(directory) == samples
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DataError, match=r"file: sample soundscapes cannot be written"):
        sample_soundscapes(blocked)
