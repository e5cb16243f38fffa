from collections import Counter

import pytest

from birdcore.data.recordings import class_names_of, read_backgrounds, read_manifest, split_of
from birdcore.data.splits import assign_folds
from birdcore.errors import DataError


def manifest(tmp_path, text):
    path = tmp_path / "manifest.csv"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_table(tmp_path):
    (row,) = read_manifest(manifest(tmp_path, "path,species_code,common_name\na/b.ogg,gretit1,Great Tit\n"))
    assert row.path == tmp_path / "a" / "b.ogg"
    assert (row.label, row.common_name, row.group) == ("gretit1", "Great Tit", "a/b.ogg")


def test_what_was_recorded_together_is_a_group_where_the_table_names_none(tmp_path):
    rows = [
        ("1.ogg,a,g1,R1,Ann,2024-05-01,pond", "g1"),
        ("2.ogg,a,,R2,Ann,2024-05-01,pond", "Ann 2024-05-01"),
        ("3.ogg,a,,R3,Ann,2024-05-01,wood", "Ann 2024-05-01"),
        ("4.ogg,a,,R4,Ann,,wood", "wood"),
        ("5.ogg,a,,R5,,2024-05-01,wood", "wood"),
        ("6.ogg,a,,R6,Ann,,", "R6"),
        ("7.ogg,a,,,,,", "7.ogg"),
    ]
    columns = "path,species_code,group,recording_id,recordist,date,site"
    recordings = read_manifest(manifest(tmp_path, "\n".join([columns, *(row for row, _ in rows)]) + "\n"))
    assert [recording.group for recording in recordings] == [group for _, group in rows]
    fold_of_group = assign_folds(recordings, num_folds=3)
    assert len({fold_of_group[r.group] for r in recordings if r.group == "Ann 2024-05-01"}) == 1


def test_missing_column_is_named(tmp_path):
    with pytest.raises(DataError, match="no column 'species_code'"):
        read_manifest(manifest(tmp_path, "path\na.ogg\n"))


def test_row_without_label_is_named(tmp_path):
    with pytest.raises(DataError, match="row 3"):
        read_manifest(manifest(tmp_path, "path,species_code\na.ogg,x\nb.ogg,\n"))


def test_path_out_of_the_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="outside"):
        read_manifest(manifest(tmp_path, "path,species_code\n../../etc/passwd,x\n"))


def test_missing_table_says_where_data_is_looked_for(tmp_path):
    with pytest.raises(DataError, match="BIRDCORE_DATA"):
        read_manifest(tmp_path / "none.csv")


def test_empty_table_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no recordings"):
        read_manifest(manifest(tmp_path, "path,species_code\n"))


def test_real_manifest_has_25_species(shared_data):
    recordings = read_manifest(shared_data / "manifest.csv")
    names = class_names_of(recordings)
    assert len(names) == 25
    assert names[0].scientific
    assert all(r.path.is_file() for r in recordings)


def test_backgrounds_tell_bird_free_from_unknown(shared_data):
    backgrounds = read_backgrounds(shared_data / "background" / "background.csv")
    assert {b.has_bird for b in backgrounds} == {True, False, None}
    assert all(b.path.is_file() for b in backgrounds)


def test_a_fifth_tests_and_a_fifth_validates():
    counts = Counter(split_of(f"background/{i}.ogg") for i in range(2000))
    assert 350 < counts["test"] < 450 and 350 < counts["validation"] < 450
    assert counts.total() == 2000


def test_a_background_behind_a_link_is_the_file_that_the_link_leads_to(tmp_path):
    (tmp_path / "background").mkdir()
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "rain.ogg").touch()
    (tmp_path / "noise").symlink_to(tmp_path / "sounds")
    table = tmp_path / "background" / "background.csv"
    table.write_text("path,kind,has_bird\nnoise/rain.ogg,rain,0\n")
    (background,) = read_backgrounds(table)
    assert background.path == (tmp_path / "sounds" / "rain.ogg").resolve()
