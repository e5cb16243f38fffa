"""The figures of a model card, from models whose answers are known."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from birdcore.config import MEL_S0, ClassName, ModelConfig
from birdcore.errors import AudioError, DataError
from birdcore.evaluation.clips import bootstrap_interval
from birdcore.inference import report
from birdcore.inference.report import (
    complete_recordings,
    evaluate_clips,
    evaluate_localization,
    evaluate_rejection,
)
from birdcore.scores import Scores

CODES = ("gretit1", "eurbla", "grrwar1", "marwar3", "blrwar1", "sedwar1")
CLASS_NAMES = tuple(ClassName(code=code, common=code, scientific="") for code in CODES)
DURATION = 10.0
FRAME_SECONDS = 0.02
EDGES = np.array([0.0, 1000.0, 2000.0, 4000.0, 8000.0])


class KnowingPredictor:
    """Gives scores that a test has laid down, by the name of the file; no file is opened.

    The evaluation touches only ``config``, ``weights`` and ``analyze`` of a predictor, and what it computes depends on
    nothing but the scores, so laying them down tests all of it.
    """

    def __init__(self, scores, *, threshold=0.5):
        self.config = ModelConfig(
            architecture="crnn",
            class_names=CLASS_NAMES,
            window_seconds=5.0,
            features=MEL_S0,
            threshold=threshold,
        )
        self.weights = SimpleNamespace(name="knowing", facts={})
        self.engine = "torch"
        self.scores = scores
        self.overlaps = []

    def analyze(self, path, *, overlap=None):
        """The scores laid down for a file, or an error for "broken"."""
        self.overlaps.append(overlap)
        if Path(path).stem == "broken":
            raise AudioError(f"{Path(path).name}: cannot be decoded as audio")
        return self.scores(Path(path).stem)


def clip_scores(best, *, value=0.9, fault=None):
    """Scores of a recording with one class above all others."""
    recording = np.full(len(CODES), 0.1)
    if best is not None:
        recording[CODES.index(best)] = value
    return Scores(
        class_names=CLASS_NAMES,
        duration=DURATION,
        windows=np.stack([recording, recording]),
        window_onsets=np.array([0.0, 5.0]),
        window_offsets=np.array([5.0, 10.0]),
        recording=recording,
        fault=fault,
    )


def localized_scores(boxes, *, keeps_bands=True):
    """Scores that are certain of some boxes (label, onset, offset, fmin, fmax) and of nothing else."""
    num_frames = round(DURATION / FRAME_SECONDS)
    frames = np.zeros((num_frames, len(CODES)), dtype=np.float16)
    low, high = np.zeros_like(frames, dtype=np.float32), np.full_like(frames, 8000, dtype=np.float32)
    bands = np.zeros((num_frames, len(EDGES) - 1, len(CODES)), dtype=np.float16)
    for label, onset, offset, fmin, fmax in boxes:
        column, rows = CODES.index(label), slice(round(onset / FRAME_SECONDS), round(offset / FRAME_SECONDS))
        frames[rows, column], low[rows, column], high[rows, column] = 1, fmin, fmax
        bands[rows, (EDGES[:-1] >= fmin) & (EDGES[1:] <= fmax), column] = 1
    scores = clip_scores(None)
    return Scores(
        class_names=CLASS_NAMES,
        duration=DURATION,
        windows=scores.windows,
        window_onsets=scores.window_onsets,
        window_offsets=scores.window_offsets,
        recording=frames.max(axis=0),
        frames=frames,
        frame_seconds=FRAME_SECONDS,
        band_low=low,
        band_high=high,
        bands=bands if keeps_bands else None,
        band_edges=EDGES,
    )


def written(path, rows):
    """A table from dictionaries with the same keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return path


def recording(stem, code, **columns):
    """A row of a manifest."""
    defaults = {"split": "test", "kind": "field", "group": stem, "source": "here", "cross_source": "0"}
    return {"path": f"{stem}.wav", "species_code": code, **defaults, **columns}


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


class TestClips:
    def test_a_perfect_model_scores_one_everywhere(self, tmp_path):
        rows = [recording(f"{code}-{n}", code, cross_source=str(n)) for code in CODES for n in range(2)]
        result = evaluate_clips(
            KnowingPredictor(lambda stem: clip_scores(stem.split("-")[0])), written(tmp_path / "m.csv", rows)
        )
        for name, count in (("all", 12), ("field", 12), ("reed_warblers", 8), ("across_sources", 6)):
            assert result[name]["num_recordings"] == count
            for metric in ("macro_roc_auc", "class_average_precision", "top1_accuracy"):
                assert result[name][metric] == {"value": 1, "low": 1, "high": 1}
        assert result["per_source"]["here"] == result["all"]
        assert [row["average_precision"] for row in result["per_class"]] == [1] * 6

    def test_only_the_recordings_asked_for_are_used(self, tmp_path):
        rows = [recording(f"{code}-{n}", code) for code in CODES for n in range(2)]
        manifest = written(tmp_path / "m.csv", rows)
        asked = {(tmp_path / f"{code}-0.wav").resolve() for code in CODES}
        predictor = KnowingPredictor(lambda stem: clip_scores(stem.split("-")[0]))
        result = evaluate_clips(predictor, manifest, paths=asked)
        assert result["all"]["num_recordings"] == 6

    def test_sections_hold_their_own_recordings(self, tmp_path):
        rows = [
            recording("a", "gretit1", source="here"),
            recording("b", "eurbla", source="there", kind="isolated"),
            recording("c", "marwar3", source="here"),
            recording("d", "grrwar1", source="here"),
            recording("e", "gretit1", split="train"),
            recording("f", "robin"),
        ]
        answers = {"a": "gretit1", "b": "gretit1", "c": "gretit1", "d": "grrwar1"}
        result = evaluate_clips(
            KnowingPredictor(lambda stem: clip_scores(answers[stem])), written(tmp_path / "m.csv", rows)
        )
        assert result["all"]["top1_accuracy"]["value"] == 0.5
        assert result["field"]["top1_accuracy"]["value"] == pytest.approx(2 / 3)
        assert result["per_source"]["there"]["top1_accuracy"] == {"value": 0, "low": None, "high": None}
        assert result["across_sources"] is None
        assert result["num_unknown_species"] == 1
        # Among the four alone, the marsh warbler's scores are equal: the first column is taken, and that is wrong.
        assert result["reed_warblers"]["top1_accuracy"]["value"] == 0.5

    def test_what_cannot_be_analysed_is_left_out_and_listed(self, tmp_path):
        rows = [recording("a", "gretit1"), recording("broken", "eurbla"), recording("half", "eurbla")]
        result = evaluate_clips(
            KnowingPredictor(lambda stem: clip_scores("gretit1", fault="ends early" if stem == "half" else None)),
            written(tmp_path / "m.csv", rows),
        )
        assert result["all"]["num_recordings"] == 1
        assert [failure["reason"] for failure in result["failed"]] == [
            "broken.wav: cannot be decoded as audio",
            "left out because it can be read only in part (ends early)",
        ]

    def test_the_result_is_plain_json_and_the_same_every_time(self, tmp_path):
        rows = [recording("a", "gretit1"), recording("b", "eurbla")]
        manifest = written(tmp_path / "m.csv", rows)
        predictor = KnowingPredictor(lambda stem: clip_scores("gretit1"))
        text = json.dumps(evaluate_clips(predictor, manifest), allow_nan=False)
        assert text == json.dumps(evaluate_clips(predictor, manifest), allow_nan=False)

    def test_progress_ends_at_one(self, tmp_path):
        told = []
        manifest = written(tmp_path / "m.csv", [recording("a", "gretit1"), recording("b", "eurbla")])
        evaluate_clips(KnowingPredictor(lambda stem: clip_scores("gretit1")), manifest, progress=told.append)
        assert told == [0.5, 1.0]

    def test_a_table_for_another_model_is_refused(self, tmp_path):
        manifest = written(tmp_path / "m.csv", [recording("a", "robin")])
        with pytest.raises(DataError, match="1 recordings with split 'test', none of a species that knowing knows"):
            evaluate_clips(KnowingPredictor(clip_scores), manifest)

    def test_nothing_that_can_be_analysed_is_refused(self, tmp_path):
        manifest = written(tmp_path / "m.csv", [recording("broken", "gretit1")])
        with pytest.raises(DataError, match=r"none of 1 recordings could be analysed; the first: broken\.wav"):
            evaluate_clips(KnowingPredictor(clip_scores), manifest)


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


class TestRejection:
    @pytest.fixture
    def tables(self, tmp_path):
        """Tables of known and further species, and of backgrounds."""
        known = [recording(f"known-{n}", "gretit1") for n in range(20)]
        unknown = [recording(f"unknown-{n}", "robin", split="extra") for n in range(4)]
        unknown += [recording("trained", "wren", split="extra"), recording("alias", "gretit1", split="extra")]
        quiet = [
            {"path": "background/quiet.wav", "kind": "rain", "has_bird": "0"},
            {"path": "background/gale.wav", "kind": "wind", "has_bird": "0"},
            {"path": "background/loud.wav", "kind": "wind", "has_bird": "0"},  # split train
            {"path": "background/bird.wav", "kind": "field", "has_bird": "1"},
            {"path": "background/perhaps.wav", "kind": "field", "has_bird": "?"},
        ]
        return (
            written(tmp_path / "known.csv", known),
            written(tmp_path / "unknown.csv", unknown),
            written(tmp_path / "background" / "b.csv", quiet),
        )

    @staticmethod
    def scores(stem):
        """Known recordings score 0.50 to 0.69, the last one as another species; unknown ones 0.50, 0.52, 0.54, 0.56."""
        kind, _, number = stem.partition("-")
        if kind == "known":
            return clip_scores("eurbla" if number == "19" else "gretit1", value=0.5 + int(number) / 100)
        if kind == "unknown":
            return clip_scores("gretit1", value=0.5 + int(number) / 50)
        return clip_scores("gretit1", value=0.9 if kind in ("gale", "loud") else 0.3)

    def test_figures_by_hand(self, tables):
        predictor = KnowingPredictor(self.scores, threshold=0.55)
        result = evaluate_rejection(
            predictor, tables[0], tables[1], held_out_codes={"robin", "gretit1"}, backgrounds_path=tables[2]
        )
        assert (result["num_known"], result["num_unknown"], result["num_unknown_species"]) == (20, 4, 1)
        assert result["answered"] == {"threshold": 0.53, "rejected_share": 0.5}
        assert result["answered_right"] == {"threshold": 0.52, "rejected_share": 0.25}
        assert result["at_threshold"] == {
            "threshold": 0.55,
            "known_answered": 0.75,
            "known_answered_right": 0.7,
            "unknown_rejected": 0.75,
        }
        assert result["auroc"]["low"] <= result["auroc"]["value"] <= result["auroc"]["high"]
        assert json.dumps(result, allow_nan=False)

    def test_false_alarms_are_counted_on_windows_side_by_side_of_birdless_test_backgrounds(self, tables):
        predictor = KnowingPredictor(self.scores)
        result = evaluate_rejection(predictor, *tables[:2], held_out_codes={"robin"}, backgrounds_path=tables[2])
        assert result["false_alarms"]["rate"] == 0.5
        assert result["false_alarms"]["per_kind"] == {
            "rain": {"num_windows": 2, "rate": 0},
            "wind": {"num_windows": 2, "rate": 1},
        }
        assert predictor.overlaps[-2:] == [0.0, 0.0]

    def test_without_backgrounds_there_are_no_false_alarms(self, tables):
        result = evaluate_rejection(KnowingPredictor(self.scores), *tables[:2], held_out_codes={"robin"})
        assert result["false_alarms"] is None

    def test_progress_covers_all_parts(self, tables):
        told = []
        evaluate_rejection(
            KnowingPredictor(self.scores),
            *tables[:2],
            held_out_codes={"robin"},
            backgrounds_path=tables[2],
            progress=told.append,
        )
        assert told == sorted(told)
        assert (len(told), told[-1]) == (26, 1.0)

    def test_no_held_out_species_are_refused(self, tables):
        with pytest.raises(DataError, match="20 recordings of known and 0 of held-out species"):
            evaluate_rejection(KnowingPredictor(self.scores), *tables[:2], held_out_codes={"heron"})


def test_intervals_of_a_few_species_among_thousands_are_those_of_the_full_table():
    generator = np.random.default_rng(0)
    reference = np.zeros((30, 400), dtype=bool)
    reference[np.arange(30), generator.integers(5, size=30)] = True
    scores = 0.5 * generator.random(reference.shape) + 0.3 * reference
    groups = [f"group{row // 2}" for row in range(30)]
    section = report._clip_section(reference, scores, groups)
    for name, metric in report.CLIP_METRICS.items():
        interval = bootstrap_interval(
            metric, reference, scores, groups=groups, generator=np.random.default_rng(report.SEED)
        )
        assert (section[name]["low"], section[name]["high"]) == pytest.approx(interval)
        assert section[name]["value"] == metric(reference, scores)
