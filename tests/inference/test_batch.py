"""Batches over many recordings, with a predictor that hears what the files say."""

import csv
import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from birdcore.config import MEL_S0, ClassName, ModelConfig
from birdcore.errors import AudioError, ConfigError, DataError, RunError
from birdcore.export.audacity import read_audacity
from birdcore.export.raven import read_raven
from birdcore.export.table import read_table
from birdcore.inference.batch import BatchProgress, analyze_files
from birdcore.scores import Scores

CLASS_NAMES = (
    ClassName(code="gretit1", common="Great Tit", scientific="Parus major"),
    ClassName(code="eurbla", common="Eurasian Blackbird", scientific="Turdus merula"),
)


def with_frames(scores):
    """The same scores from a model that localizes: ten frames a window."""
    frames = np.repeat(scores.windows, 10, axis=0).astype(np.float16)
    return dataclasses.replace(scores, frames=frames, frame_seconds=scores.duration / len(frames))


class ReadingPredictor:
    """Reads its scores from the file instead of hearing them.

    A batch touches only ``config``, ``weights``, ``engine`` and ``analyze`` of a predictor, and treats what ``analyze``
    gives as a value that Scores has checked; so anything that makes valid Scores, or raises, tests all of it. A file
    holds the score of the great tit in each window of five seconds, or ``broken``, ``bug`` or ``stop``.
    """

    def __init__(self, **config):
        settings = {"architecture": "crnn", "class_names": CLASS_NAMES, "window_seconds": 5.0, "features": MEL_S0}
        self.config = ModelConfig(**settings | config)
        self.weights = SimpleNamespace(name="reading", facts={"sha256": "0" * 64})
        self.engine = "onnx"
        self.analyzed = []

    def analyze(self, path, *, overlap=None, progress=None):
        """Scores with a hop of ``5 - overlap`` seconds."""
        self.analyzed.append(Path(path).name)
        text = Path(path).read_text()
        if text == "broken":
            raise AudioError(f"{Path(path).name}: cannot be decoded as audio (did the upload finish?)")
        if text == "bug":
            raise ZeroDivisionError("division by zero")
        if text == "stop":
            raise KeyboardInterrupt
        if overlap is not None and overlap >= 5:
            raise ConfigError(f"overlap {overlap} s: must be less than the window of 5 s")
        heard = np.array([float(score) for score in text.split()])
        windows = np.stack([heard, 1 - heard], axis=1)
        onsets = np.arange(len(heard)) * (5.0 - overlap)
        progress(1.0)
        return Scores(
            class_names=CLASS_NAMES,
            duration=float(onsets[-1]) + 5,
            windows=windows,
            window_onsets=onsets,
            window_offsets=onsets + 5,
            recording=windows.max(axis=0),
            fault="is damaged after 5 s; analysed up to there" if len(heard) == 1 else None,
        )


@pytest.fixture
def predictor():
    """A predictor that hears what the files say."""
    return ReadingPredictor()


@pytest.fixture
def recordings(tmp_path):
    """Two sites whose recordings bear the same name."""
    return make_files(
        tmp_path / "in", {"north/dawn.wav": "0.9 0.2", "south/dawn.wav": "0.1 0.8", "south/noon.flac": "0.7"}
    )


def make_files(folder, contents):
    """A folder with these files."""
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def rows(path):
    """Rows of a CSV file, without the header."""
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]


class TestTables:
    def test_scores_have_a_row_per_window_and_a_column_per_species(self, predictor, recordings, tmp_path):
        analyze_files(predictor, [recordings], output=tmp_path / "out", overlap=2.0)
        table = pd.read_parquet(tmp_path / "out" / "scores.parquet")
        assert list(table.columns) == ["path", "start", "end", "gretit1", "eurbla"]
        assert [str(dtype) for dtype in table.dtypes[1:]] == ["float64", "float64", "float32", "float32"]
        assert table["start"].tolist() == [0, 3, 0, 3, 0]
        assert table["end"].tolist() == [5, 8, 5, 8, 5]
        assert table["gretit1"].tolist() == pytest.approx([0.9, 0.2, 0.1, 0.8, 0.7])
        assert table["path"][0] == str(recordings / "north" / "dawn.wav")

    def test_events_are_those_at_the_threshold(self, predictor, recordings, tmp_path):
        analyze_files(predictor, [recordings], output=tmp_path / "out", threshold=0.75)
        events = read_table(tmp_path / "out" / "events.csv")
        assert {Path(path).parent.name: [e.label for e in found] for path, found in events.items()} == {
            "north": ["gretit1", "eurbla"],
            "south": ["eurbla", "gretit1"],
        }

    def test_the_threshold_is_the_models_own_where_none_is_given(self, recordings, tmp_path):
        report = analyze_files(ReadingPredictor(threshold=0.85), [recordings], output=tmp_path / "out")
        assert report.num_events == 2

    def test_tables_of_recordings_keep_the_folders_and_are_read_back(self, predictor, recordings, tmp_path):
        out = tmp_path / "out"
        analyze_files(predictor, [recordings], output=out, formats=("raven", "audacity"))
        assert sorted(path.relative_to(out).as_posix() for path in out.glob("*/*/*")) == [
            "audacity/north/dawn.txt",
            "audacity/south/dawn.txt",
            "audacity/south/noon.txt",
            "raven/north/dawn.Table.1.selections.txt",
            "raven/south/dawn.Table.1.selections.txt",
            "raven/south/noon.Table.1.selections.txt",
        ]
        [found] = [e for p, e in read_table(out / "events.csv").items() if "north" in p]
        assert read_raven(out / "raven" / "north" / "dawn.Table.1.selections.txt") == found
        assert len(read_audacity(out / "audacity" / "north" / "dawn.txt")) == len(found)

    def test_raven_finds_the_sound_from_anywhere(self, predictor, recordings, tmp_path, monkeypatch):
        monkeypatch.chdir(recordings)
        analyze_files(predictor, ["north"], output=tmp_path / "out", formats=["raven"])
        table = pd.read_csv(tmp_path / "out" / "raven" / "dawn.Table.1.selections.txt", sep="\t")
        assert table["Begin Path"][0] == str(recordings / "north" / "dawn.wav")
        assert rows(tmp_path / "out" / "events.csv")[0][0] == os.path.join("north", "dawn.wav")

    def test_tables_of_recordings_never_share_a_name(self, predictor, tmp_path):
        make_files(tmp_path / "in", {"x.wav": "0.9", "x.flac": "0.8", "X.mp3": "0.7", "x.FLAC": "0.6", "é" * 120: ""})
        (tmp_path / "in" / ("é" * 120)).rename(tmp_path / "in" / ("é" * 120 + ".wav"))
        (tmp_path / "in" / ("é" * 120 + ".wav")).write_text("0.9")
        analyze_files(predictor, [tmp_path / "in"], output=tmp_path / "out", formats=["audacity"])
        names = sorted(path.name for path in (tmp_path / "out" / "audacity").iterdir())
        assert names == ["X.txt", "x.FLAC.txt", "x.flac-2.txt", "x.wav.txt", "é" * 100 + ".txt"]

    def test_the_manifest_tells_everything_needed_to_repeat_it(self, predictor, recordings, tmp_path):
        (recordings / "bad.wav").write_text("broken")
        analyze_files(predictor, [recordings], output=tmp_path / "out", formats=["raven"], overlap=1.5)
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
        assert manifest["parameters"] == {
            "paths": [str(recordings)],
            "formats": ["csv", "raven"],
            "engine": "onnx",
            "threshold": 0.5,
            "overlap": 1.5,
        }
        assert manifest["weights"]["sha256"] == "0" * 64
        assert manifest["weights"]["model"]["window_seconds"] == 5
        assert manifest["counts"] == {"recordings": 3, "analyzed": 3, "resumed": 0, "failed": 1, "events": 5}
        assert [Path(item["path"]).name for item in manifest["faults"]] == ["noon.flac"]
        assert {"birdcore", "python", "numpy", "pyarrow"} <= manifest["versions"].keys()
        assert manifest["started"] <= manifest["finished"]

    def test_events_of_a_localizing_model_keep_their_bands(self, predictor, recordings, tmp_path, monkeypatch):
        def localized(*arguments, **options):
            frames = np.zeros((20, 2), dtype=np.float16)
            frames[4:8, 0] = 0.9
            low, high = np.full((2, 20, 2), [[[2000]], [[4000]]], dtype=np.float32)
            return dataclasses.replace(
                analyze(*arguments, **options), frames=frames, frame_seconds=0.25, band_low=low, band_high=high
            )

        analyze = predictor.analyze
        monkeypatch.setattr(predictor, "analyze", localized)
        analyze_files(predictor, [recordings / "north"], output=tmp_path / "out")
        [[event]] = read_table(tmp_path / "out" / "events.csv").values()
        assert (event.label, event.fmin, event.fmax) == ("gretit1", 2000, 4000)
        assert event.onset == pytest.approx(1, abs=0.25)

    def test_recordings_without_any_event_are_still_a_result(self, predictor, tmp_path):
        make_files(tmp_path / "in", {"quiet.wav": "0.5 0.5"})
        report = analyze_files(
            predictor, [tmp_path / "in"], output=tmp_path / "out", threshold=0.9, formats=["raven", "audacity"]
        )
        assert (report.num_recordings, report.num_events) == (1, 0)
        assert rows(tmp_path / "out" / "events.csv") == rows(tmp_path / "out" / "failures.csv") == []
        assert len(pd.read_parquet(tmp_path / "out" / "scores.parquet")) == 2
        assert (tmp_path / "out" / "audacity" / "quiet.txt").read_text() == ""


class TestFailures:
    def test_one_bad_file_never_stops_the_rest(self, predictor, recordings, tmp_path):
        make_files(recordings, {"a.wav": "broken", "north/b.wav": "bug", "z.wav": "0.9"})
        report = analyze_files(predictor, [recordings, tmp_path / "gone.wav"], output=tmp_path / "out")
        assert report.num_recordings == report.num_analyzed == 4
        assert [(Path(path).name, reason) for path, reason in rows(tmp_path / "out" / "failures.csv")] == [
            ("a.wav", "a.wav: cannot be decoded as audio (did the upload finish?)"),
            ("b.wav", "unexpected error (ZeroDivisionError: division by zero)"),
            ("gone.wav", "cannot be opened (No such file or directory)"),
        ]
        assert len(report.failures) == 3

    def test_a_pipe_is_not_waited_for(self, predictor, tmp_path):
        os.mkfifo(tmp_path / "pipe.wav")
        report = analyze_files(predictor, [tmp_path / "pipe.wav"], output=tmp_path / "out")
        assert report.failures == ((str(tmp_path / "pipe.wav"), "is not a file"),)

    def test_a_broken_link_is_listed(self, predictor, tmp_path):
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "x.wav").symlink_to(tmp_path / "gone.wav")
        report = analyze_files(predictor, [tmp_path / "in"], output=tmp_path / "out")
        assert [reason for _, reason in report.failures] == ["cannot be opened (No such file or directory)"]

    def test_failures_are_tried_again_and_forgotten_when_they_are_mended(self, predictor, tmp_path):
        make_files(tmp_path / "in", {"a.wav": "broken", "b.wav": "0.9"})
        assert analyze_files(predictor, [tmp_path / "in"], output=tmp_path / "out").failures
        assert analyze_files(predictor, [tmp_path / "in"], output=tmp_path / "out").failures
        assert predictor.analyzed == ["a.wav", "b.wav", "a.wav"]
        (tmp_path / "in" / "a.wav").write_text("0.8")
        report = analyze_files(predictor, [tmp_path / "in"], output=tmp_path / "out")
        assert (report.num_recordings, report.num_analyzed, report.num_resumed) == (2, 1, 1)
        assert rows(tmp_path / "out" / "failures.csv") == []

    def test_a_file_name_that_is_not_unicode_is_analysed(self, predictor, tmp_path):
        folder = make_files(tmp_path / "in", {b"caf\xe9.wav".decode("utf-8", "surrogateescape"): "0.9"})
        analyze_files(predictor, [folder], output=tmp_path / "out", formats=["raven"])
        assert pd.read_parquet(tmp_path / "out" / "scores.parquet")["path"][0].endswith(r"caf\xe9.wav")
        assert rows(tmp_path / "out" / "events.csv")[0][0].endswith(r"caf\xe9.wav")
        assert (tmp_path / "out" / "raven" / "caf.Table.1.selections.txt").is_file()

    def test_a_file_name_that_is_a_formula_is_no_formula_in_the_tables(self, predictor, tmp_path, monkeypatch):
        monkeypatch.chdir(make_files(tmp_path / "in", {"=1+1.wav": "0.9", "-2.wav": "broken"}))
        analyze_files(predictor, ["=1+1.wav", "-2.wav"], output=tmp_path / "out")
        assert rows(tmp_path / "out" / "events.csv")[0][0] == "./=1+1.wav"
        assert rows(tmp_path / "out" / "failures.csv")[0] == [
            "./-2.wav",
            "'-2.wav: cannot be decoded as audio (did the upload finish?)",
        ]

    def test_no_recordings_are_refused(self, predictor, tmp_path):
        make_files(tmp_path / "in", {"notes.txt": ""})
        with pytest.raises(DataError, match=r"in: no recordings found \(looked for .*\.wav"):
            analyze_files(predictor, [tmp_path / "in"], output=tmp_path / "out")

    def test_an_unknown_format_is_refused_before_anything_is_done(self, predictor, recordings, tmp_path):
        with pytest.raises(ConfigError, match="format 'xlsx': unknown; known are csv, raven, audacity"):
            analyze_files(predictor, [recordings], output=tmp_path / "out", formats=["xlsx"])
        assert not (tmp_path / "out").exists()

    def test_a_setting_that_suits_no_recording_stops_at_once_and_can_be_mended(self, predictor, recordings, tmp_path):
        with pytest.raises(ConfigError, match="overlap 7"):
            analyze_files(predictor, [recordings], output=tmp_path / "out", overlap=7)
        assert len(predictor.analyzed) == 1
        assert analyze_files(predictor, [recordings], output=tmp_path / "out", overlap=1).num_analyzed == 3


class TestResuming:
    def test_a_second_batch_leaves_the_first_one_s_folder_alone(self, predictor, recordings, tmp_path):
        def start_again(stand):
            if stand.path is not None and stand.fraction == 1.0:
                with pytest.raises(RunError, match="another batch is writing there"):
                    analyze_files(ReadingPredictor(), [recordings], output=tmp_path / "out")

        report = analyze_files(predictor, [recordings], output=tmp_path / "out", progress=start_again)
        assert (report.num_recordings, report.num_analyzed) == (3, 3)
        assert analyze_files(predictor, [recordings], output=tmp_path / "out").num_resumed == 3

    def test_an_interrupted_batch_goes_on_where_it_was(self, predictor, recordings, tmp_path):
        (recordings / "south" / "late.wav").write_text("stop")
        with pytest.raises(KeyboardInterrupt):
            analyze_files(predictor, [recordings], output=tmp_path / "out")
        (recordings / "south" / "late.wav").write_text("0.6")
        report = analyze_files(predictor, [recordings], output=tmp_path / "out")
        assert predictor.analyzed == ["dawn.wav", "dawn.wav", "late.wav", "late.wav", "noon.flac"]
        assert (report.num_analyzed, report.num_resumed) == (2, 2)

    def test_an_interrupted_batch_ends_like_one_that_was_not(self, recordings, tmp_path):
        analyze_files(ReadingPredictor(), [recordings], output=tmp_path / "whole", formats=["raven", "audacity"])
        for names in (["north"], ["north", "south/dawn.wav"], ["."]):
            paths = [recordings / name for name in names]
            analyze_files(ReadingPredictor(), paths, output=tmp_path / "parts")
        for name in ("events.csv", "scores.parquet", "failures.csv"):
            assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    def test_nothing_done_is_lost_when_the_program_is_killed(self, predictor, recordings, tmp_path, monkeypatch):
        # The file that kills stands for a decoder that takes the whole program down.
        make_files(recordings, {"south/killer.wav": "0.5"})
        program = f"""
            import importlib.util, os, signal, sys
            spec = importlib.util.spec_from_file_location("double", {str(Path(__file__))!r})
            double = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(double)
            class Killed(double.ReadingPredictor):
                def analyze(self, path, **options):
                    if "killer" in str(path):
                        os.kill(os.getpid(), signal.SIGKILL)
                    return super().analyze(path, **options)
            double.analyze_files(Killed(), [{str(recordings)!r}], output={str(tmp_path / "out")!r})
        """
        monkeypatch.setattr("birdcore.inference.batch.MOST_ABRUPT_ENDS", 2)
        for _ in range(2):
            done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)
            assert done.returncode == -signal.SIGKILL, done.stderr
        report = analyze_files(predictor, [recordings], output=tmp_path / "out")
        assert predictor.analyzed == ["noon.flac"]
        assert (report.num_analyzed, report.num_resumed) == (1, 2)
        [(path, reason)] = report.failures
        assert path.endswith("killer.wav")
        assert reason.startswith("ended the program 2 times")

    def test_another_format_runs_no_model(self, predictor, recordings, tmp_path):
        analyze_files(predictor, [recordings], output=tmp_path / "out")
        analyze_files(predictor, [recordings], output=tmp_path / "out", formats=["raven"])
        assert len(predictor.analyzed) == 3
        assert len(list((tmp_path / "out" / "raven").glob("*/*.txt"))) == 3

    def test_further_recordings_are_added(self, predictor, recordings, tmp_path):
        analyze_files(predictor, [recordings / "north"], output=tmp_path / "out")
        report = analyze_files(predictor, [recordings / "south"], output=tmp_path / "out")
        assert (report.num_recordings, report.num_analyzed, report.num_resumed) == (3, 2, 0)
        assert pd.read_parquet(tmp_path / "out" / "scores.parquet")["path"].nunique() == 3

    def test_a_changed_recording_is_analysed_again(self, predictor, recordings, tmp_path):
        analyze_files(predictor, [recordings], output=tmp_path / "out")
        (recordings / "north" / "dawn.wav").write_text("0.11 0.11 0.11")
        report = analyze_files(predictor, [recordings], output=tmp_path / "out")
        assert report.num_analyzed == 1
        assert (pd.read_parquet(tmp_path / "out" / "scores.parquet")["gretit1"] == np.float32(0.11)).sum() == 3

    @pytest.mark.parametrize("localizes", [True, False])
    def test_another_threshold_writes_other_tables_without_analysing_anything_again(
        self, predictor, recordings, tmp_path, monkeypatch, localizes
    ):
        if localizes:
            analyze = predictor.analyze
            monkeypatch.setattr(predictor, "analyze", lambda *given, **options: with_frames(analyze(*given, **options)))
        out, other = tmp_path / "out", tmp_path / "other"
        analyze_files(predictor, [recordings], output=out, threshold=0.75)
        for threshold in (0.15, 0.85, {"gretit1": 0.15, "eurbla": 0.95}):
            report = analyze_files(predictor, [recordings], output=out, threshold=threshold)
            assert report.num_analyzed == 0
            assert json.loads((out / "manifest.json").read_text())["parameters"]["threshold"] == threshold
            assert analyze_files(predictor, [recordings], output=other, threshold=threshold).num_events > 0
            assert (out / "events.csv").read_bytes() == (other / "events.csv").read_bytes()
            shutil.rmtree(other)
        assert analyze_files(predictor, [recordings], output=out, threshold=0.75).num_events > 0

    @pytest.mark.parametrize("threshold", [0.0, 1.5, math.nan, {"gretit1": -1.0}])
    def test_a_threshold_out_of_range_is_refused_before_anything_is_analysed(
        self, predictor, recordings, tmp_path, threshold
    ):
        with pytest.raises(ConfigError, match=r"threshold .*: must be above 0 and at most 1"):
            analyze_files(predictor, [recordings], output=tmp_path / "out", threshold=threshold)
        assert predictor.analyzed == []

    def test_other_settings_are_refused(self, predictor, recordings, tmp_path):
        analyze_files(predictor, [recordings], output=tmp_path / "out")
        with pytest.raises(
            DataError, match=r"made with calls kept from a confidence of 0\.1, and now 0\.05 is asked for"
        ):
            analyze_files(predictor, [recordings], output=tmp_path / "out", threshold=0.05)
        predictor.weights.facts = {"sha256": "1" * 64}
        with pytest.raises(DataError, match="made with weights sha256"):
            analyze_files(predictor, [recordings], output=tmp_path / "out")


class TestProgress:
    def test_it_grows_while_looking_and_then_with_every_recording(self, predictor, recordings, tmp_path):
        (recordings / "bad.wav").write_text("broken")
        told = []
        analyze_files(predictor, [recordings], output=tmp_path / "out", progress=told.append)
        assert [stand.num_found for stand in told[:4]] == [1, 2, 3, 4]
        assert all(stand.path is None for stand in told[:4])
        listening = told[4:-1]
        assert [(stand.path.name, stand.num_done, stand.num_failed, stand.fraction) for stand in listening] == [
            ("bad.wav", 0, 0, 0.0),
            ("dawn.wav", 1, 1, 0.0),
            ("dawn.wav", 1, 1, 1.0),
            ("dawn.wav", 2, 1, 0.0),
            ("dawn.wav", 2, 1, 1.0),
            ("noon.flac", 3, 1, 0.0),
            ("noon.flac", 3, 1, 1.0),
        ]
        assert told[-1] == BatchProgress(path=None, num_found=4, num_done=4, num_failed=1)

    def test_scores_are_written_in_large_pieces(self, predictor, tmp_path, monkeypatch):
        monkeypatch.setattr("birdcore.inference.batch_tables.ROW_GROUP_ROWS", 3)
        make_files(tmp_path / "in", {f"{number}.wav": "0.9 0.9" for number in range(5)})
        analyze_files(predictor, [tmp_path / "in"], output=tmp_path / "out")
        assert len(pd.read_parquet(tmp_path / "out" / "scores.parquet")) == 10
