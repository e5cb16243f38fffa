"""When and at what frequency species sing, from models whose answers are known."""

import json

import pytest

from birdcore.errors import DataError
from birdcore.inference.localization_report import complete_recordings, evaluate_localization
from tests.inference.knowing_predictor import KnowingPredictor, clip_scores, localized_scores, written


def annotation(stem, code, onset, offset, fmin=1000, fmax=4000, *, split="test"):
    """A row of a table of boxes that covers every bird of a file."""
    return {
        "filename": f"{stem}.wav",
        "start_s": onset,
        "end_s": offset,
        "low_hz": fmin,
        "high_hz": fmax,
        "species_code": code,
        "label_kind": "hand boxes (Audacity, all species in the file)",
        "split": split,
    }


ROWS = (
    annotation("nbm/a", "gretit1", 1, 2),
    annotation("nbm/a", "gretit1", 4, 5),
    annotation("nbm/b", "eurbla", 3, 6),
    annotation("nbm/b", "skylar", 7, 8),
    annotation("nbm/b", "????", 8, 9),
    annotation("nbm/c", "gretit1", 0, 9, split="train"),
    annotation("other/d", "gretit1", 0, 9),
)
TRUTH = {
    "a": [("gretit1", 1, 2, 1000, 4000), ("gretit1", 4, 5, 1000, 4000)],
    "b": [("eurbla", 3, 6, 1000, 4000)],
}


def evaluated(tmp_path, heard, *, rows=ROWS, **options):
    """Figures of a model that hears these boxes."""
    predictor = KnowingPredictor(lambda stem: localized_scores(heard[stem], **options))
    return evaluate_localization(predictor, written(tmp_path / "a.csv", rows), prefix="nbm/")


class TestLocalization:
    @pytest.mark.parametrize("keeps_bands", [True, False])
    def test_a_perfect_model_scores_one(self, tmp_path, keeps_bands):
        result = evaluated(tmp_path, TRUTH, keeps_bands=keeps_bands)
        for section in ("frames", "events_by_collar", "events_by_overlap"):
            assert result[section] == {"macro_f1": 1, "micro_f1": 1, "precision": 1, "recall": 1}
        assert result["dice"] == {"macro": 1, "micro": 1}
        assert result["box_average_precision"] == {"0.3": 1, "0.5": 1}
        assert (result["num_recordings"], result["num_events"], result["num_species"]) == (2, 3, 2)
        assert result["num_events_of_unknown_species"] == 2
        assert json.dumps(result, allow_nan=False)

    def test_all_that_is_boxed_from_end_to_end_is_used_unless_a_prefix_is_given(self, tmp_path):
        heard = TRUTH | {"d": [("gretit1", 0, 9, 1000, 4000)]}
        predictor = KnowingPredictor(lambda stem: localized_scores(heard[stem]))
        result = evaluate_localization(predictor, written(tmp_path / "a.csv", ROWS))
        assert (result["prefix"], result["num_recordings"], result["num_events"]) == ("", 3, 4)
        assert result["frames"]["macro_f1"] == 1

    def test_recordings_boxed_from_end_to_end_are_told_by_split_and_name(self, tmp_path):
        table = written(tmp_path / "a.csv", [*ROWS, annotation("one", "gretit1", 0, 9) | {"label_kind": "one song"}])

        def names(**choice):
            return [recording.path.stem for recording in complete_recordings(table, **choice)]

        assert names() == ["a", "b", "d"]
        assert names(prefix="other/") == ["d"] and names(prefix="nowhere/") == []
        assert names(split="train") == ["c"] and names(split="") == ["a", "b", "c", "d"]

    def test_a_silent_model_scores_zero(self, tmp_path):
        result = evaluated(tmp_path, {"a": [], "b": []})
        assert result["frames"] == {"macro_f1": 0, "micro_f1": 0, "precision": None, "recall": 0}
        assert result["dice"] == {"macro": 0, "micro": 0}
        assert result["box_average_precision"] == {"0.3": 0, "0.5": 0}

    def test_a_wrong_band_spoils_boxes_and_dice_but_not_frames(self, tmp_path):
        heard = {stem: [(*box[:3], 4000, 8000) for box in boxes] for stem, boxes in TRUTH.items()}
        result = evaluated(tmp_path, heard)
        assert result["frames"]["macro_f1"] == result["events_by_collar"]["macro_f1"] == 1
        assert result["dice"]["macro"] == result["box_average_precision"]["0.3"] == 0

    def test_what_is_heard_in_another_species_is_a_false_alarm(self, tmp_path):
        result = evaluated(tmp_path, TRUTH | {"b": [*TRUTH["b"], ("gretit1", 7, 8, 1000, 4000)]})
        assert result["frames"]["precision"] == pytest.approx(5 / 6)
        assert result["events_by_overlap"]["precision"] == pytest.approx(3 / 4)

    def test_what_is_heard_in_a_bird_nobody_could_name_does_not_count(self, tmp_path):
        result = evaluated(tmp_path, TRUTH | {"b": [*TRUTH["b"], ("gretit1", 8, 9, 1000, 4000)]})
        assert result["frames"]["precision"] == result["events_by_overlap"]["precision"] == 1
        assert result["dice"]["micro"] == result["box_average_precision"]["0.5"] == 1

    def test_figures_of_each_species_are_listed(self, tmp_path):
        result = evaluated(tmp_path, TRUTH | {"b": []})
        per_class = {row["code"]: row for row in result["per_class"]}
        assert per_class["gretit1"]["frame_f1"] == per_class["gretit1"]["box_average_precision_0.5"] == 1
        assert per_class["eurbla"]["support"] == 1
        assert per_class["eurbla"]["dice"] == per_class["eurbla"]["box_average_precision_0.5"] == 0
        assert per_class["marwar3"]["frame_f1"] is None

    def test_annotations_without_bands_give_frames_and_events_only(self, tmp_path):
        rows = [annotation("nbm/a", "gretit1", 1, 2, "", ""), annotation("nbm/a", "????", 4, 5, "", "")]
        result = evaluated(tmp_path, TRUTH, rows=rows)
        assert result["frames"]["macro_f1"] == 1
        assert result["dice"] is result["box_average_precision"] is None

    def test_an_unnamed_bird_without_a_band_is_ignored_at_every_frequency(self, tmp_path):
        rows = [annotation("nbm/a", "gretit1", 1, 2), annotation("nbm/a", "????", 4, 5, "", "")]
        result = evaluated(tmp_path, TRUTH, rows=rows)
        assert result["dice"]["micro"] == 1

    def test_an_annotation_after_the_end_names_the_recording(self, tmp_path):
        with pytest.raises(DataError, match=r"a\.wav: event 'gretit1' begins at 1000 s.*milliseconds"):
            evaluated(tmp_path, TRUTH, rows=[annotation("nbm/a", "gretit1", 1000, 2000)])

    def test_a_model_without_frames_is_refused(self, tmp_path):
        predictor = KnowingPredictor(lambda stem: clip_scores("gretit1"))
        with pytest.raises(DataError, match="'knowing': have no frame head"):
            evaluate_localization(predictor, written(tmp_path / "a.csv", ROWS))

    def test_a_plain_table_of_boxes_is_used_whole(self, tmp_path):
        columns = ("filename", "start_s", "end_s", "low_hz", "high_hz", "species_code")
        rows = [{column: row[column] for column in columns} for row in ROWS[:3]]
        predictor = KnowingPredictor(lambda stem: localized_scores(TRUTH[stem]))
        result = evaluate_localization(predictor, written(tmp_path / "a.csv", rows))
        assert (result["num_recordings"], result["num_events"]) == (2, 3) and result["frames"]["macro_f1"] == 1

    def test_a_table_without_such_files_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="split 'test' whose name begins with 'nbm/'"):
            evaluated(tmp_path, TRUTH, rows=[annotation("other/d", "gretit1", 0, 9)])
