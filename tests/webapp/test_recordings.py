import hashlib
import io
import os
import time

import pytest

from birdcore.errors import AudioError
from birdcore.places import cache_root
from birdcore.webapp.recordings import KEEP_SECONDS, spool


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("BIRDCORE_CACHE", str(tmp_path / "cache"))


def test_an_upload_is_stored_whole_under_its_checksum():
    content = os.urandom(3_000_001)
    recording = spool(io.BytesIO(content), "Dawn Chorus.WAV")
    digest = hashlib.sha256(content).hexdigest()
    assert recording.path == cache_root() / "uploads" / f"{digest}.wav"
    assert recording.path.read_bytes() == content
    assert (recording.key, recording.name) == (digest, "Dawn Chorus.WAV")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/cron.d/x.wav", "a\0b.flac", "x.php", "", ".wav", "🐦.wav/.."]
)
def test_no_part_of_a_name_but_a_known_ending_reaches_the_disk(name):
    recording = spool(io.BytesIO(b"content"), name)
    assert recording.path.parent == cache_root() / "uploads"
    assert recording.path.stem == hashlib.sha256(b"content").hexdigest()
    assert recording.path.suffix in ("", ".wav", ".flac")


def test_the_same_content_is_stored_once():
    first = spool(io.BytesIO(b"same"), "a.wav")
    second = spool(io.BytesIO(b"same"), "b.wav")
    assert first.path == second.path and first.key == second.key
    assert len(list((cache_root() / "uploads").iterdir())) == 1


def test_an_upload_that_breaks_off_leaves_nothing_behind():
    class Broken(io.RawIOBase):
        def read(self, size=-1):
            raise ConnectionError

    with pytest.raises(ConnectionError):
        spool(Broken(), "a.wav")
    assert not list((cache_root() / "uploads").iterdir())


def test_uploads_that_nobody_looked_at_for_a_week_go():
    old = spool(io.BytesIO(b"old"), "old.wav").path
    long_ago = time.time() - KEEP_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    recent = spool(io.BytesIO(b"recent"), "recent.wav").path
    assert recent.exists() and not old.exists()


def test_errors_call_the_file_what_the_user_calls_it():
    recording = spool(io.BytesIO(b"no sound"), "owl.mp3")
    error = AudioError(f"{recording.path.name}: cannot be decoded as audio (did the upload finish?)")
    expected = "owl.mp3: cannot be decoded as audio (did the upload finish?)"
    assert recording.describe(error) == expected == recording.describe(str(error))
