"""What a model does not know, from models whose answers are known."""

import json

import pytest

from birdcore.errors import DataError
from birdcore.inference.rejection_report import evaluate_rejection
from tests.inference.knowing_predictor import KnowingPredictor, clip_scores, recording, written


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
