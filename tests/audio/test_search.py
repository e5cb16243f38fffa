"""Folders of recordings are searched as people expect, whatever lies in them."""

import os
from pathlib import Path

from birdcore.audio.search import find_recordings


def make_files(folder, names):
    """Empty files of these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_folders_are_searched_in_order_and_only_for_sounds(tmp_path):
    make_files(tmp_path, ["b/z.WAV", "b/a/x.mp3", "a.flac", "notes.txt", "c.wav.pdf"])
    found = [path.relative_to(tmp_path).as_posix() for path in find_recordings([tmp_path])]
    assert found == ["a.flac", "b/z.WAV", "b/a/x.mp3"]


def test_hidden_files_and_the_twins_of_macos_are_passed_over(tmp_path):
    make_files(tmp_path, ["._a.wav", ".hidden/b.wav", "a.wav"])
    assert [path.name for path in find_recordings([tmp_path])] == ["a.wav"]


def test_a_hidden_folder_that_is_named_is_searched(tmp_path):
    make_files(tmp_path / ".cards", ["a.wav"])
    assert [path.name for path in find_recordings([tmp_path / ".cards"])] == ["a.wav"]


def test_links_that_lead_in_circles_end(tmp_path):
    make_files(tmp_path, ["a/b/x.wav"])
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert [path.name for path in find_recordings([tmp_path])] == ["x.wav"]


def test_each_recording_comes_once_however_often_it_is_named(tmp_path, monkeypatch):
    make_files(tmp_path, ["a/x.wav"])
    monkeypatch.chdir(tmp_path)
    found = list(find_recordings(["a/x.wav", "a", tmp_path / "a", tmp_path, "./a/../a/x.wav"]))
    assert found == [Path("a/x.wav")]


def test_a_named_file_is_taken_whatever_its_name(tmp_path):
    make_files(tmp_path, ["x.dat"])
    assert list(find_recordings([tmp_path / "x.dat", tmp_path / "gone.wav"])) == [
        tmp_path / "x.dat",
        tmp_path / "gone.wav",
    ]


def test_recordings_come_before_the_search_is_over(tmp_path):
    make_files(tmp_path, ["a.wav", "b/c.wav"])
    search = find_recordings([tmp_path])
    assert next(search).name == "a.wav"
    make_files(tmp_path, ["b/d.wav"])
    assert [path.name for path in search] == ["c.wav", "d.wav"]


def test_a_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    make_files(tmp_path, ["a.wav", "locked/b.wav"])
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    told = []
    found = find_recordings([tmp_path], on_unreadable=lambda path, reason: told.append((path.name, reason)))
    assert [path.name for path in found] == ["a.wav"]
    assert told == [("locked", "folder cannot be read (Permission denied)")]
