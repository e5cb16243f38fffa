import pytest

from birdcore.data.table import TableRow, read_table
from birdcore.errors import DataError


def row(**cells):
    return TableRow(table="t.csv", number=7, cells=cells)


def test_rows_are_counted_as_a_spreadsheet_does(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfa, b\r\n1,2\r\n3,\r\n")  # a byte order mark, a blank after a comma, CRLF
    first, second = read_table(path, required=("a", "b"))
    assert (first.where, first.text("b"), second.where) == ("t.csv, row 2", "2", "t.csv, row 3")
    assert second.number_in("b") is None and second.text("c") == ""


def test_empty_lines_and_columns_without_a_name_count_for_nothing_but_the_row(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,,\n1,2\n\n , \n3,4,,\n5,6,,,\n")
    rows = read_table(path, required=("a", "b"))
    assert [(row.number, row.cells) for row in rows] == [
        (2, {"a": "1", "b": "2"}),
        (5, {"a": "3", "b": "4"}),
        (6, {"a": "5", "b": "6"}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n1,Grey, or Gray\n", r"t\.csv, row 3: has 3 cells, and the header 2 columns; after 'b' comes ' or"),
        ("a,b,c\n1,2,3\n\n1\n", r"t\.csv, row 4: has 1 cells, and the header 3 columns; it ends before 'b'"),
        ("a,b,a\n1,2,3\n", r"t\.csv, row 1: has the column 'a' twice; leave one"),
    ],
)
def test_a_row_whose_cells_do_not_fit_the_columns_is_refused(text, message, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_table(path, required=("a",))


def test_words_and_dates_are_checked():
    assert row(x=" 1 ").one_of("x", ("0", "1")) == "1"
    assert row(x="").one_of("x", ("0", "1")) == "" == row().one_of("x", ("0", "1"))
    with pytest.raises(DataError, match=r"t\.csv, row 7: x 'yes': must be 0, 1, or empty"):
        row(x="yes").one_of("x", ("0", "1"))
    for text in ("", "2024-05-31", "2012-00-00"):
        assert row(x=text).date_in("x") == text
    for text in ("yesterday", "32.13.2020", "2020-13-01", "2020-01-32", "2020-1-3", "20200101"):
        with pytest.raises(DataError, match=rf"t\.csv, row 7: x '{text}' is not a date such as 2024-05-31"):
            row(x=text).date_in("x")


def test_numbers_are_checked():
    assert row(x=" 1.5 ").number_in("x") == 1.5
    with pytest.raises(DataError, match=r"t\.csv, row 7: x '1,5' is not a number"):
        row(x="1,5").number_in("x")
    with pytest.raises(DataError, match="x 'inf' is not a number"):
        row(x="inf").number_in("x")
    with pytest.raises(DataError, match="x 9: must be between 0 and 5"):
        row(x="9").number_in("x", lowest=0, highest=5)
    with pytest.raises(DataError, match=r"t\.csv, row 7: x is empty; a number is expected"):
        row(x="").required_number("x")


@pytest.mark.parametrize(
    ("text", "expected"), [("", ()), ("[]", ()), ("['']", ()), ("['a', ' b ']", ("a", "b")), ('["it\'s"]', ("it's",))]
)
def test_lists_are_python_literals(text, expected):
    assert row(x=text).list_in("x") == expected


@pytest.mark.parametrize("text", ["a b", "['a'", "{'a'}", "[1]", "'a'", "__import__('os')"])
def test_what_is_no_list_of_texts_is_refused(text):
    with pytest.raises(DataError, match=r"t\.csv, row 7: x .* is not a list"):
        row(x=text).list_in("x")


def test_a_table_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("a\nGrünfink\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"t\.csv: is not UTF-8 text"):
        read_table(path, required=("a",))


def test_a_required_text_must_be_there():
    with pytest.raises(DataError, match=r"t\.csv, row 7: x is empty; every row needs one"):
        row(x=" ").required_text("x")
