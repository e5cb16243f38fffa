import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdcore.data.annotations import AnnotatedRecording, cap_events, group_annotated, read_annotations
from birdcore.errors import DataError
from birdcore.events import Event


def test_real_annotations_keep_every_box(shared_data):
    annotated = read_annotations(shared_data / "strong" / "annotations.csv")
    assert sum(len(a.events) for a in annotated) == 921
    assert all(a.path.is_file() for a in annotated)
    assert any(a.is_isolated for a in annotated) and not all(a.complete for a in annotated)


def test_wrong_number_names_the_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("filename,start_s,end_s,low_hz,high_hz,species_code\na.ogg,1,x,100,200,b\n")
    with pytest.raises(DataError, match="row 2"):
        read_annotations(path)


def test_box_that_ends_before_it_begins_names_the_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("filename,start_s,end_s,low_hz,high_hz,species_code\na.ogg,2,1,100,200,b\n")
    with pytest.raises(DataError, match=r"row 2.*before the offset"):
        read_annotations(path)


def test_missing_column_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("filename,start_s\na.ogg,2\n")
    with pytest.raises(DataError, match="no column"):
        read_annotations(path)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "../../a.ogg"])
def test_a_file_name_that_leads_elsewhere_is_refused(name, tmp_path):
    path = tmp_path / "data" / "strong" / "a.csv"
    path.parent.mkdir(parents=True)
    columns = "filename,start_s,end_s,low_hz,high_hz,species_code\n"
    path.write_text(f"{columns}../clips/b.ogg,1,2,100,200,b\n")
    assert read_annotations(path)[0].path == tmp_path / "data" / "clips" / "b.ogg"
    path.write_text(f"{columns}a.ogg,1,2,100,200,b\n{name},1,2,100,200,b\n")
    with pytest.raises(DataError, match=rf"a\.csv, row 3: filename '{name}' leads outside the data folder"):
        read_annotations(path)


@given(duration=st.floats(0.01, 100), longest=st.floats(0.5, 20))
def test_capped_events_cover_what_the_event_covered(duration, longest):
    event = Event(label="a", onset=3.0, offset=3.0 + duration, fmin=100.0, fmax=200.0)
    pieces = cap_events([event], longest=longest)
    assert pieces[0].onset == event.onset and pieces[-1].offset == event.offset
    assert all(a.offset == b.onset for a, b in itertools.pairwise(pieces))
    assert all(piece.duration <= longest * (1 + 1e-6) for piece in pieces)
    assert all((piece.label, piece.fmin, piece.fmax) == ("a", 100.0, 200.0) for piece in pieces)


def test_events_within_the_cap_stay_whole():
    event = Event(label="a", onset=0.0, offset=10.0)
    assert cap_events([event]) == (event,)


def test_groups_are_sites_or_dates_or_recordings():
    def annotated(name, site, date):
        return AnnotatedRecording(path=Path(name), events=(), site=site, date=date)

    both = [annotated("a", "S1", "d1"), annotated("b", "S2", "d1"), annotated("c", "S2", "d2")]
    assert [a.group for a in group_annotated(both, group_by="site")] == ["S1", "S2", "S2"]
    assert [a.group for a in group_annotated(both, group_by="date")] == ["d1", "d1", "d2"]
    assert [a.group for a in group_annotated(both[1:], group_by="site")] == ["d1", "d2"]  # one site only
    assert [a.group for a in group_annotated([annotated("a", "", ""), both[1]], group_by="site")] == ["a", "b"]
