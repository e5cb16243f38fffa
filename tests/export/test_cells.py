"""How one value is written in a cell."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdcore.config import ClassName
from birdcore.errors import DataError
from birdcore.export.cells import (
    common_name_of,
    csv_line,
    edge_texts,
    guarded_path,
    guarded_text,
    number_text,
    one_line,
    parse_number,
    path_text,
    terminal_text,
    unguarded_path,
    unguarded_text,
)


@pytest.mark.parametrize(
    ("value", "text"), [(0.1 + 0.2, "0.3"), (86400.0, "86400"), (0, "0"), (100, "100"), (1e-9, "0"), (1e7, "10000000")]
)
def test_numbers_are_plain_and_short(value, text):
    assert number_text(value, 6) == text


def test_edges_stay_apart():
    assert edge_texts(0.1 + 0.2, 1, 6) == ("0.3", "1")
    assert edge_texts(1, 1 + 1e-9, 6) == ("1.0", "1.000000001")


@given(st.lists(st.text(), min_size=2, max_size=4))
def test_a_csv_line_is_read_back_as_it_was(cells):
    assert list(csv.reader(io.StringIO(csv_line(cells), newline=""))) == [cells]


@given(st.text())
def test_the_guard_on_a_text_comes_off_again(text):
    assert unguarded_text(guarded_text(text)) == text
    assert not guarded_text(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@given(st.text().filter(lambda path: not path.startswith("./")))
def test_the_guard_on_a_path_comes_off_again(path):
    assert unguarded_path(guarded_path(path)) == path


@pytest.mark.parametrize("text", ["", "abc", "nan", "inf", "1,5"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(DataError, match=r"t\.csv, line 3: onset: .* is not a number"):
        parse_number(text, where="t.csv, line 3: onset")


def test_a_path_is_made_valid_text():
    assert path_text(b"a\xff.wav".decode("utf-8", "surrogateescape")) == r"a\xff.wav"
    assert path_text("été.wav") == "été.wav"


def test_a_line_stays_one():
    assert one_line("a\tb\r\nc") == "a b  c"


def test_a_label_without_a_common_name_is_its_own():
    names = [
        ClassName(code="gretit1", common="Great Tit", scientific=""),
        ClassName(code="x", common="", scientific=""),
    ]
    assert [common_name_of(label, names) for label in ("gretit1", "x", "y")] == ["Great Tit", "x", "y"]


def test_a_file_name_does_not_steer_the_terminal():
    name = "a\x1b]0;owned\x07\x1b[31mred\x9b2J\u202eog.flac"
    assert terminal_text(name) == r"a\x1b]0;owned\x07\x1b[31mred\x9b2J\u202eog.flac"
    assert terminal_text(b"a\xff\n.wav".decode("utf-8", "surrogateescape")) == r"a\xff\n.wav"
    assert terminal_text("Ж 鳥 été's call.wav") == "Ж 鳥 été's call.wav"
