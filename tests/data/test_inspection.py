import numpy as np
import pytest
import soundfile

from birdcore.data.inspection import SoundFacts, inspect_sound, inspect_sounds
from birdcore.errors import AudioError
from birdcore.places import cache_root

RATE = 22_050


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("BIRDCORE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def make_sound(tmp_path):
    """``make_sound("a.wav", samples)``: a file of these samples."""

    def make(name, samples, **options):
        path = tmp_path / name
        soundfile.write(path, samples, RATE, **{"subtype": "PCM_16", **options})
        return path

    return make


def noise(seconds, *, level=0.1, channels=1, seed=0):
    samples = level * np.random.default_rng(seed).standard_normal((round(seconds * RATE), channels))
    return np.clip(samples, -1, 1)


def test_format_length_and_levels_are_measured(make_sound):
    times = np.arange(2 * RATE) / RATE
    facts = inspect_sound(make_sound("tone.wav", 0.5 * np.sin(2 * np.pi * 441 * times)))
    assert (facts.sample_rate, facts.channels, facts.format) == (RATE, 1, "wav/pcm_16")
    assert facts.duration == pytest.approx(2.0)
    assert facts.peak_db == pytest.approx(-6.02, abs=0.05)
    assert facts.rms_db == pytest.approx(-9.03, abs=0.05)
    assert facts.clipped_share == 0 and facts.fault is None


def test_silence_and_overdrive_are_measured(make_sound):
    assert inspect_sound(make_sound("silent.wav", np.zeros(RATE))).peak_db == -200
    loud = inspect_sound(make_sound("loud.wav", noise(1.0, level=2.0)))
    assert loud.clipped_share == pytest.approx(0.617, abs=0.02)  # beyond half a standard deviation


def test_channels_are_counted_and_mixed(make_sound):
    stereo = noise(1.0, channels=2)
    stereo[:, 1] = -stereo[:, 0]
    facts = inspect_sound(make_sound("stereo.wav", stereo))
    assert facts.channels == 2 and facts.peak_db < -80


def test_the_same_content_is_measured_once_whatever_its_name(make_sound, tmp_path, monkeypatch):
    first = make_sound("a.wav", noise(1.0))
    facts = inspect_sound(first)
    (tmp_path / "b.wav").write_bytes(first.read_bytes())
    monkeypatch.setattr("birdcore.data.inspection.probe_audio", lambda path: pytest.fail("opened again"))
    again = inspect_sound(tmp_path / "b.wav")
    assert again.digest == facts.digest and again.peak_db == facts.peak_db
    for name in ("hashes", "frames", "picture"):
        np.testing.assert_array_equal(getattr(again.fingerprint, name), getattr(facts.fingerprint, name))


def test_a_damaged_cache_entry_is_measured_again(make_sound):
    path = make_sound("a.wav", noise(1.0))
    facts = inspect_sound(path)
    (entry,) = cache_root().rglob("*.npz")
    entry.write_bytes(entry.read_bytes()[:100])
    assert inspect_sound(path).peak_db == facts.peak_db


def test_a_cache_that_cannot_be_written_is_done_without(make_sound, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BIRDCORE_CACHE", str(tmp_path / "file"))
    assert inspect_sound(make_sound("a.wav", noise(1.0))).duration == pytest.approx(1.0)


def test_a_file_that_breaks_off_is_used_up_to_there(make_sound):
    path = make_sound("cut.wav", noise(3.0))
    path.write_bytes(path.read_bytes()[: RATE * 2])
    facts = inspect_sound(path)
    assert facts.duration == pytest.approx(1.0, abs=0.01) and "breaks off" not in facts.fault
    assert facts.fault.startswith("is damaged or was cut off")


def test_a_fault_is_told_without_the_name_of_whichever_file_had_it_first(make_sound, tmp_path):
    path = make_sound("first.wav", noise(3.0))
    path.write_bytes(path.read_bytes()[: RATE * 2])
    (tmp_path / "second.wav").write_bytes(path.read_bytes())
    assert inspect_sound(path).fault == inspect_sound(tmp_path / "second.wav").fault
    assert "first.wav" not in inspect_sound(tmp_path / "second.wav").fault


def test_what_cannot_be_read_is_an_answer_and_not_the_end(make_sound, tmp_path):
    good, bad, missing = make_sound("good.wav", noise(0.5)), tmp_path / "bad.wav", tmp_path / "missing.wav"
    bad.write_bytes(b"no sound at all")
    steps = []
    found = inspect_sounds([good, bad, missing, good], progress=lambda done, total: steps.append((done, total)))
    assert list(found) == [good, bad, missing]
    assert isinstance(found[good], SoundFacts)
    assert all(isinstance(found[path], AudioError) for path in (bad, missing))
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_giving_up_in_the_middle_ends_the_work(make_sound):
    paths = [make_sound(f"{number}.wav", noise(0.3, seed=number)) for number in range(4)]

    def give_up(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inspect_sounds(paths, progress=give_up, num_workers=1)
