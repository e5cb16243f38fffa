"""How well species are named, from models whose answers are known."""

import json

import numpy as np
import pytest

from birdcore.errors import DataError
from birdcore.evaluation.clips import bootstrap_interval
from birdcore.inference import clip_report
from birdcore.inference.analysed import BOOTSTRAP_SEED
from birdcore.inference.clip_report import evaluate_clips
from tests.inference.knowing_predictor import CODES, KnowingPredictor, clip_scores, recording, written


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


def test_intervals_of_a_few_species_among_thousands_are_those_of_the_full_table():
    generator = np.random.default_rng(0)
    reference = np.zeros((30, 400), dtype=bool)
    reference[np.arange(30), generator.integers(5, size=30)] = True
    scores = 0.5 * generator.random(reference.shape) + 0.3 * reference
    groups = [f"group{row // 2}" for row in range(30)]
    section = clip_report._clip_section(reference, scores, groups)
    for name, metric in clip_report.CLIP_METRICS.items():
        interval = bootstrap_interval(
            metric, reference, scores, groups=groups, generator=np.random.default_rng(BOOTSTRAP_SEED)
        )
        assert (section[name]["low"], section[name]["high"]) == pytest.approx(interval)
        assert section[name]["value"] == metric(reference, scores)
