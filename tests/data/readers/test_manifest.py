import pytest

from birdcore.data.readers import ManifestTables, read_dataset
from birdcore.errors import DataError

BOXES = "filename,start_s,end_s,low_hz,high_hz,species_code,label_kind,split\n"


def test_the_usual_tables_are_found(place):
    dataset = read_dataset(
        place(
            {
                "manifest.csv": "path,species_code,rating,secondary_labels,lat\na.wav,gretit1,4,eurbla blutit,52.5\n",
                "a.wav": None,
                "background/background.csv": "path,kind,has_bird\nbackground/b.wav,rain,0\n",
                "background/b.wav": None,
                "strong/annotations.csv": BOXES + "../a.wav,0.1,0.2,100,200,eurbla,isolated,train\n",
            }
        )
    )
    assert (dataset.data_format, dataset.extra, dataset.problems) == ("manifest", [], [])
    (recording,) = dataset.recordings
    assert (recording.rating, recording.secondary_labels, recording.latitude) == (4.0, ("eurbla", "blutit"), 52.5)
    assert recording.weight == 1.0
    assert dataset.annotated[0].path == recording.path
    assert [name.code for name in dataset.class_names] == ["eurbla", "gretit1"]


def test_tables_that_are_named_must_be_there(place):
    folder = place({"manifest.csv": "path,species_code\na.wav,gretit1\n", "a.wav": None})
    with pytest.raises(DataError, match=r"boxes\.csv: no such table"):
        read_dataset(folder, data_format="manifest", tables=ManifestTables(strong="boxes.csv"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"strong/annotations.csv": BOXES + "../../a.wav,0.1,0.2,100,200,eurbla,isolated,train\n"}, "leads outside"),
        ({"background/background.csv": "path,kind,has_bird\n../b.wav,rain,0\n"}, "background.csv, row 2: .*outside"),
        ({"manifest.csv": "path,species_code,rating\na.wav,gretit1,best\n"}, "manifest.csv, row 2: rating 'best'"),
        ({"manifest.csv": "path,species_code,weight\na.wav,gretit1,0\n"}, "manifest.csv, row 2: weight 0"),
        ({"manifest.csv": "path,species_code,split\na.wav,gretit1,trian\n"}, "manifest.csv, row 2: split 'trian'"),
        ({"manifest.csv": "path,species_code,date\na.wav,gretit1,32.13.20\n"}, "manifest.csv, row 2: date '32.13"),
        ({"manifest.csv": "path,species_code,cross_source\na.wav,gretit1,yes\n"}, "row 2: cross_source 'yes'"),
        ({"manifest.csv": "path,species_code,site\na.wav,gretit1\n"}, "manifest.csv, row 2: .*ends before 'site'"),
        ({"manifest.csv": "path,species_code\na.wav,gretit1,x\n"}, "manifest.csv, row 2: .*after 'species_code'"),
        ({"background/background.csv": "path,kind,has_bird\nb.wav,rain,no\n"}, "row 2: has_bird 'no': must be 0, 1"),
        ({"background/background.csv": "path,kind,has_bird\n,rain,0\n"}, "background.csv, row 2: path is empty"),
        ({"strong/annotations.csv": BOXES + ",0.1,0.2,100,200,eurbla,isolated,train\n"}, "row 2: filename is empty"),
        ({"strong/annotations.csv": BOXES + "a.wav,0.1,0.2,100,200,,hand,train\n"}, "row 2: species_code is empty"),
        ({"strong/annotations.csv": BOXES + "a.wav,0.1,0.2,1,2,eurbla,hand,tset\n"}, "row 2: split 'tset'"),
    ],
)
def test_what_is_off_is_named(place, files, message):
    folder = place({"manifest.csv": "path,species_code\na.wav,gretit1\n", "a.wav": None} | files)
    with pytest.raises(DataError, match=message):
        read_dataset(folder)


def test_missing_files_and_files_listed_twice_are_problems(place):
    table = "path,species_code\na.wav,gretit1\nmissing.wav,gretit1\na.wav,eurbla\n"
    dataset = read_dataset(place({"manifest.csv": table, "a.wav": None}))
    assert len(dataset.recordings) == 3  # whoever opens them says what is wrong
    assert [problem.what for problem in dataset.problems] == ["the file is missing", "labelled gretit1 and eurbla"]


def test_real_tables_have_no_problems(shared_data):
    dataset = read_dataset(shared_data)
    counts = [len(part) for part in (dataset.recordings, dataset.extra, dataset.backgrounds, dataset.annotated)]
    assert counts == [426, 511, 367, 193]
    assert dataset.problems == []
    assert all(recording.licence for recording in dataset.recordings)
