import pytest

from birdcore.data.readers import read_dataset
from birdcore.errors import DataError

METADATA = (
    "primary_label,secondary_labels,type,latitude,longitude,scientific_name,common_name,author,date,filename,license,"
    "rating,time,url\n"
)
FLYCATCHER = (
    "acafly,\"['amegfi']\",\"['begging call', 'call']\",35.3860,-91.1230,Empidonax virescens,Acadian Flycatcher,"
    "Mike Nelson,2012-08-12,XC109605.ogg,CC BY-NC-SA 3.0,2.5,09:12,https://www.xeno-canto.org/109605\n"
)
LABELS = (
    "row_id,site,audio_id,seconds,birds\n"
    "7019_COR_5,COR,7019,5,nocall\n"
    "7019_COR_10,COR,7019,10,acafly rucwar\n"
    "7954_SSW_5,SSW,7954,5,nocall\n"
)
FILES = {
    "train_metadata.csv": METADATA + FLYCATCHER,
    "train_short_audio/acafly/XC109605.ogg": None,
    "train_soundscape_labels.csv": LABELS,
    "train_soundscapes/7019_COR_20190904.ogg": None,
    "train_soundscapes/7954_SSW_20170409.ogg": None,
}


def test_a_miniature_is_read_to_the_column(place):
    dataset = read_dataset(place(FILES))
    assert (dataset.data_format, dataset.problems) == ("birdclef2021", [])
    (clip,) = dataset.recordings
    assert (clip.label, clip.secondary_labels, clip.rating, clip.date) == ("acafly", ("amegfi",), 2.5, "2012-08-12")
    assert (clip.group, clip.recording_id, clip.licence) == ("Mike Nelson 2012-08-12", "XC109605", "CC BY-NC-SA 3.0")
    (soundscape,) = dataset.annotated
    assert [(e.label, e.onset, e.offset, e.fmin) for e in soundscape.events] == [
        ("acafly", 5.0, 10.0, None),
        ("rucwar", 5.0, 10.0, None),
    ]
    assert (soundscape.site, soundscape.date, soundscape.frames_known) == ("COR", "2019-09-04", False)
    (silent,) = dataset.backgrounds
    assert silent.has_bird is False and silent.site == "SSW"
    assert [name.code for name in dataset.class_names] == ["acafly", "rucwar"]


def test_later_years_with_the_folder_in_the_name_are_read(place):
    files = {
        "train_metadata.csv": METADATA + FLYCATCHER.replace("XC109605.ogg", "acafly/XC109605.ogg"),
        "train_audio/acafly/XC109605.ogg": None,
    }
    assert [r.label for r in read_dataset(place(files)).recordings] == ["acafly"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_metadata.csv": METADATA + FLYCATCHER.replace("2.5", "two")},
            "train_metadata.csv, row 2: rating 'two'",
        ),
        (
            {"train_metadata.csv": METADATA + FLYCATCHER.replace("XC109605.ogg", "../../../x.ogg")},
            "train_metadata.csv, row 2: filename: .* leads outside",
        ),
        (
            {"train_soundscape_labels.csv": LABELS.replace("COR,7019,10", "COR,7019,ten")},
            "train_soundscape_labels.csv, row 3: seconds 'ten'",
        ),
        (
            {"train_soundscape_labels.csv": LABELS.replace("acafly rucwar", "")},
            "train_soundscape_labels.csv, row 3: birds is empty",
        ),
        (
            {"train_soundscape_labels.csv": LABELS.replace("7019,10,", "7019,7,")},
            "train_soundscape_labels.csv, row 3: seconds 7: must be the end of a window of 5 s",
        ),
        (
            {"train_soundscape_labels.csv": LABELS.replace("7019,10,", "7019,15,")},
            "train_soundscape_labels.csv, row 3: row_id '7019_COR_10' is not audio_id, site and seconds, 7019_COR_15",
        ),
        (
            {"train_metadata.csv": METADATA + FLYCATCHER.replace("Acadian Flycatcher", "Flycatcher, Acadian")},
            "train_metadata.csv, row 2: has 15 cells, and the header 14 columns",
        ),
        ({"train_metadata.csv": METADATA.replace("author,", "") + FLYCATCHER}, "has no column 'author'"),
    ],
)
def test_a_cell_that_is_off_is_named_with_file_row_and_column(place, changes, message):
    with pytest.raises(DataError, match=message):
        read_dataset(place(FILES | changes))


def test_a_date_that_is_none_is_a_problem(place):
    files = FILES | {"train_metadata.csv": METADATA + FLYCATCHER.replace("2012-08-12", "12 August")}
    dataset = read_dataset(place(files))
    assert (dataset.recordings[0].date, dataset.recordings[0].group) == ("", "Mike Nelson 12 August")
    (problem,) = dataset.problems
    assert problem.where == "train_metadata.csv, row 2"
    assert problem.what.startswith("date '12 August' is not a date")


def test_a_missing_soundscape_is_a_problem(place):
    files = dict(FILES)
    del files["train_soundscapes/7019_COR_20190904.ogg"]
    dataset = read_dataset(place(files))
    assert dataset.annotated == []
    assert "7019_COR_… is missing" in dataset.problems[0].what
