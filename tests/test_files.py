"""Files that are either whole or not there."""

import hashlib
import os

import pytest

from birdcore.errors import DataError
from birdcore.files import file_sha256, open_replacement, read_text, replacement_path, write_text


def test_folders_on_the_way_are_made_and_line_ends_kept(tmp_path):
    write_text(tmp_path / "a" / "b.txt", ["é\r\n", "x\n"])
    assert (tmp_path / "a" / "b.txt").read_bytes() == "é\r\nx\n".encode()


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "x.txt", "old")
    with pytest.raises(KeyboardInterrupt), open_replacement(tmp_path / "x.txt") as file:
        file.write("half of the n")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]
    assert read_text(tmp_path / "x.txt") == "old"


def test_what_must_survive_a_power_cut_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    told, forced = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (forced(number), told.append((tmp_path / "x.txt").exists())))
    write_text(tmp_path / "x.txt", "kept", durable=True)
    assert told == [False] and read_text(tmp_path / "x.txt") == "kept"
    write_text(tmp_path / "x.txt", "made again")
    with replacement_path(tmp_path / "y.txt", durable=True) as part:
        part.write_text("")
    assert len(told) == 2


def test_a_checksum_is_that_of_the_whole_content(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"x" * 1_000_000)
    assert file_sha256(tmp_path / "x.bin") == hashlib.sha256(b"x" * 1_000_000).hexdigest()


def test_the_longest_name_can_be_written(tmp_path):
    write_text(tmp_path / ("x" * 255), "text")
    assert read_text(tmp_path / ("x" * 255)) == "text"


def test_a_new_file_is_as_public_as_any_other(tmp_path):
    write_text(tmp_path / "x.txt", "")
    (tmp_path / "y.txt").write_text("")
    assert (tmp_path / "x.txt").stat().st_mode == (tmp_path / "y.txt").stat().st_mode


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.txt: cannot be opened \(No such file"):
        read_text(tmp_path / "gone.txt")


def test_a_file_that_is_not_utf8_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match=r"not UTF-8 text \(byte 3\); save it as UTF-8"):
        read_text(tmp_path / "x.txt")
