import pytest

from birdcore.data.readers import read_dataset
from birdcore.errors import DataError

TRAIN = (
    "primary_label,secondary_labels,type,filename,collection,rating,url,latitude,longitude,scientific_name,"
    "common_name,author,license\n"
)
TAXONOMY = (
    "primary_label,inat_taxon_id,scientific_name,common_name,class_name\n"
    "1139490,1139490,Ragoniella pulchella,Ragoniella pulchella,Insecta\n"
    "greegr,5021,Ardea alba,Great Egret,Aves\n"
)
INSECT = (
    "1139490,[''],[''],1139490/CSA36385.ogg,CSA,0.0,http://x.org,7.3206,-73.7128,Ragoniella pulchella,"
    "Ragoniella pulchella,Fabio A. Sarria-S,cc-by-nc-sa 4.0\n"
)
EGRET = (
    "greegr,\"['1139490', 'roahaw']\",\"['call']\",greegr/XC1.ogg,XC,3.5,http://x.org,7.32,-73.71,Ardea alba,"
    "Great Egret,A. Bee,cc-by 4.0\n"
)
AUDIO = {
    "train_audio/1139490/CSA36385.ogg": None,
    "train_audio/greegr/XC1.ogg": None,
    "train_soundscapes/H02_20230420_074000.ogg": None,
}


def test_a_miniature_is_read_to_the_column(place):
    dataset = read_dataset(place({"train.csv": TRAIN + INSECT + EGRET, "taxonomy.csv": TAXONOMY} | AUDIO))
    assert dataset.data_format == "birdclef2025"
    insect, egret = dataset.recordings
    # Numbers stay text, an empty list may hold an empty text, and a rating of 0 is none.
    assert (insect.label, insect.secondary_labels, insect.rating, insect.animal_class) == (
        "1139490",
        (),
        None,
        "Insecta",
    )
    assert (egret.secondary_labels, egret.rating, egret.source) == (("1139490", "roahaw"), 3.5, "XC")
    assert (egret.recordist, egret.licence, egret.latitude, egret.longitude) == ("A. Bee", "cc-by 4.0", 7.32, -73.71)
    assert egret.weight == pytest.approx(4.5 / 6) and insect.weight == pytest.approx(4 / 6)
    assert [(n.code, n.kind) for n in dataset.class_names] == [("1139490", "Insecta"), ("greegr", "Aves")]
    (soundscape,) = dataset.backgrounds
    assert soundscape.has_bird is None and soundscape.label == ""
    assert [problem.where for problem in dataset.problems] == ["train.csv, row 3"]  # roahaw is not in the taxonomy


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("3.5", "good", "train.csv, row 2: rating 'good' is not a number"),
        ("3.5", "7", "train.csv, row 2: rating 7: must be between 0 and 5"),
        ("\"['1139490', 'roahaw']\"", "roahaw", "train.csv, row 2: secondary_labels 'roahaw' is not a list"),
        ("7.32,", "97.32,", "train.csv, row 2: latitude 97.32"),
        ('greegr,"', 'nobird,"', "train.csv, row 2: primary_label 'nobird' is not in taxonomy.csv"),
        ("greegr/XC1.ogg", "../../secret.ogg", "train.csv, row 2: filename: .* leads outside the data folder"),
    ],
)
def test_a_cell_that_is_off_is_named_with_file_row_and_column(place, old, new, message):
    assert old in EGRET
    with pytest.raises(DataError, match=message):
        read_dataset(place({"train.csv": TRAIN + EGRET.replace(old, new), "taxonomy.csv": TAXONOMY} | AUDIO))


@pytest.mark.parametrize(
    ("taxonomy", "message"),
    [
        (TAXONOMY + "greegr,5021,Ardea alba,Great Egret,Aves\n", "row 4: primary_label 'greegr' is there twice"),
        (TAXONOMY.replace("Aves", "Bird"), "taxonomy.csv, row 3: class_name 'Bird': must be Aves, Amphibia"),
        (TAXONOMY.replace("Great Egret", "Egret, Great"), "taxonomy.csv, row 3: has 6 cells"),
    ],
)
def test_a_taxonomy_that_is_off_is_refused(place, taxonomy, message):
    with pytest.raises(DataError, match=message):
        read_dataset(place({"train.csv": TRAIN + EGRET, "taxonomy.csv": taxonomy} | AUDIO))


def test_a_missing_table_or_column_is_named(place):
    with pytest.raises(DataError, match=r"taxonomy\.csv: no such table"):
        read_dataset(place({"train.csv": TRAIN + EGRET} | AUDIO))
    with pytest.raises(DataError, match=r"train\.csv: has no column 'rating'"):
        read_dataset(place({"train.csv": TRAIN.replace("rating,", "") + EGRET, "taxonomy.csv": TAXONOMY}))


def test_a_missing_recording_is_a_problem(place):
    files = {"train.csv": TRAIN + INSECT + EGRET, "taxonomy.csv": TAXONOMY} | AUDIO
    del files["train_audio/1139490/CSA36385.ogg"]
    dataset = read_dataset(place(files))
    assert [r.label for r in dataset.recordings] == ["greegr"]
    assert dataset.problems[0].where == "train.csv, row 2: train_audio/1139490/CSA36385.ogg"


def test_recordings_of_one_author_and_place_are_a_group(place):
    second = EGRET.replace("XC1", "XC2")
    elsewhere = EGRET.replace("XC1", "XC3").replace("7.32,", "8.32,")
    files = {"train.csv": TRAIN + EGRET + second + elsewhere, "taxonomy.csv": TAXONOMY} | AUDIO
    files |= {f"train_audio/greegr/XC{n}.ogg": None for n in (2, 3)}
    groups = [r.group for r in read_dataset(place(files)).recordings]
    assert groups[0] == groups[1] != groups[2]
