"""The command line, from words to files, on a real network with random weights."""

import csv
import json
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import birdcore.__main__ as command_line
from birdcore import __version__
from birdcore.audio.encode import encode_wav
from birdcore.config import MEL_YAMNET_WIDE, ClassName, ModelConfig
from birdcore.export.raven import read_raven
from birdcore.export.table import TABLE_COLUMNS, read_table
from birdcore.inference.batch import FORMATS
from birdcore.inference.publication import read_publication
from birdcore.locks import exclusive_lock
from birdcore.models.checkpoint import save_weights
from birdcore.models.registry import build_model
from birdcore.places import project_root

SAMPLE_RATE = 16_000


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small crnn with random weights: its answers are worth nothing, but every part of the way to them is real."""
    torch.manual_seed(0)
    config = ModelConfig(
        architecture="crnn",
        class_names=tuple(
            ClassName(code=code, common=common, scientific="")
            for code, common in (("alpha", "Alpha"), ("beta", "Béta"))
        ),
        window_seconds=1.0,
        features=MEL_YAMNET_WIDE,
        options={"width": 16, "hidden": 8},
    )
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    save_weights(folder, build_model(config).eval(), config, {"summary": "two made-up birds"})
    return folder


@pytest.fixture(autouse=True)
def weights_root(weights, monkeypatch):
    """Ship these weights and no others."""
    monkeypatch.setenv("BIRDCORE_WEIGHTS", str(weights.parent))


@pytest.fixture
def recordings(tmp_path):
    """Two recordings of a second or two."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "in"
    for name, seconds in (("a.wav", 1.0), ("sub/b.wav", 2.2)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = generator.normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)
        (folder / name).write_bytes(encode_wav(noise, SAMPLE_RATE))
    return folder


def run(*words):
    """Exit status of a command."""
    return command_line.main([str(word) for word in words])


class TestAnalyze:
    def test_writes_the_promised_files(self, recordings, tmp_path, capsys):
        out = tmp_path / "out"
        status = run(
            "analyze",
            recordings,
            "--weights=tiny",
            "--out",
            out,
            "--engine=torch",
            "--formats=csv,raven,audacity",
            "--threshold=0.05",
            "--overlap=0",
        )
        assert status == 0
        scores = pd.read_parquet(out / "scores.parquet")
        assert list(scores.columns) == ["path", "start", "end", "alpha", "beta"]
        assert scores["path"].nunique() == 2
        events = read_table(out / "events.csv")
        assert (out / "events.csv").read_text().startswith(",".join(TABLE_COLUMNS) + "\n")
        assert events
        for path, found in events.items():
            table = out / "raven" / f"{path.removeprefix(str(recordings)).removesuffix('.wav').strip('/')}"
            assert len(read_raven(f"{table}.Table.1.selections.txt")) == len(found)
        manifest = json.loads((out / "manifest.json").read_text())
        assert manifest["parameters"]["threshold"] == 0.05
        assert re.fullmatch("[0-9a-f]{64}", manifest["weights"]["sha256"])
        assert "2 recordings" in capsys.readouterr().out

    def test_some_failures_make_status_3_and_are_listed(self, recordings, tmp_path, capsys):
        (recordings / "notes.wav").write_text("not a sound")
        assert run("analyze", recordings, "--weights=tiny", "--engine=torch", "--out", tmp_path / "out") == 3
        with (tmp_path / "out" / "failures.csv").open() as file:
            [failure] = csv.DictReader(file)
        assert failure["path"].endswith("notes.wav")
        assert failure["reason"]
        assert "1 could not be analysed; the reasons are in" in capsys.readouterr().err

    def test_goes_on_where_it_was(self, recordings, tmp_path, capsys):
        words = ("analyze", "--weights=tiny", "--engine=torch", "--out", tmp_path / "out")
        assert run(*words, recordings / "a.wav") == 0
        assert run(*words, recordings) == 0
        assert "2 recordings (1 of them before)" in capsys.readouterr().out
        assert run(*words, recordings, "--overlap=0.2") == 2
        assert "birdcore analyze:" in (told := capsys.readouterr().err)
        assert "made with overlap 0.5" in told

    def test_faults_are_told(self, monkeypatch, tmp_path, capsys):
        report = SimpleNamespace(
            num_recordings=1,
            num_resumed=0,
            num_events=0,
            output=tmp_path,
            failures=(),
            faults=(("x.wav", "ends early"),),
        )
        monkeypatch.setattr(command_line, "analyze_files", lambda *_, **__: report)
        assert run("analyze", "x.wav", "--weights=tiny", "--engine=torch", "--out", tmp_path) == 0
        assert "analysed in part: x.wav: ends early" in capsys.readouterr().err

    def test_names_of_files_do_not_steer_the_terminal(self, recordings, tmp_path, capsys):
        content = (recordings / "a.wav").read_bytes()
        (recordings / "cut\x1b[31m\x07.wav").write_bytes(content[: len(content) // 2])
        assert run("analyze", recordings, "--weights=tiny", "--engine=torch", "--out", tmp_path / "out") == 0
        told = capsys.readouterr().err
        assert r"cut\x1b[31m\x07.wav: is damaged or was cut off" in told
        assert "\x1b[31m" not in told
        assert "\x07" not in told

    def test_interrupting_says_how_to_go_on(self, monkeypatch, tmp_path, capsys):
        def interrupt(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(command_line, "analyze_files", interrupt)
        assert run("analyze", "x.wav", "--weights=tiny", "--engine=torch", "--out", tmp_path) == 130
        assert "The same command goes on where it was." in capsys.readouterr().err

    def test_a_folder_that_cannot_be_written_is_told_without_a_traceback(self, recordings, capsys):
        out = recordings / "a.wav" / "out"
        assert run("analyze", recordings, "--weights=tiny", "--engine=torch", "--out", out) == 2
        assert re.search(r"birdcore analyze: .*a\.wav.*: Not a directory", capsys.readouterr().err)

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (["x.wav"], "--out"),
            (["--out=o"], "PATH"),
            (["x.wav", "--out=o", "--formats=csv,xlsx"], "expected some of csv,raven,audacity"),
            (["x.wav", "--out=o", "--formats="], "expected some of"),
            (["x.wav", "--out=o", "--threshold=50"], "above 0 and at most 1"),
            (["x.wav", "--out=o", "--threshold=nan"], "above 0 and at most 1"),
            (["x.wav", "--out=o", "--threshold=half"], "'half' is not a number"),
            (["x.wav", "--out=o", "--overlap=-1"], "0 or more seconds"),
            (["x.wav", "--out=o", "--overlap=nan"], "0 or more seconds"),
            (["x.wav", "--out=o", "--engine=gpu"], "invalid choice"),
        ],
    )
    def test_a_command_that_makes_no_sense_is_refused(self, words, complaint, capsys):
        with pytest.raises(SystemExit) as stopped:
            run("analyze", *words)
        assert stopped.value.code == 2
        assert complaint in capsys.readouterr().err

    def test_unknown_weights_are_refused_with_those_known(self, tmp_path, capsys):
        assert run("analyze", "x.wav", "--weights=huge", "--out", tmp_path / "out") == 2
        assert "'huge': not found; shipped are: tiny" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_no_recordings_are_refused(self, tmp_path, capsys):
        (tmp_path / "empty").mkdir()
        words = ("analyze", tmp_path / "empty", "--weights=tiny", "--engine=torch", "--out", tmp_path / "out")
        assert run(*words) == 2
        assert "empty: no recordings found" in capsys.readouterr().err


class TestModels:
    def test_lists_every_architecture_and_all_weights_as_json(self, weights, capsys):
        assert run("models", "--json") == 0
        listed = json.loads(capsys.readouterr().out)
        assert {"crnn", "crnn_s0", "efficientnet_b0"} <= {entry["name"] for entry in listed["architectures"]}
        presets = {entry["name"]: entry for entry in listed["presets"]}
        assert presets["s1_mfcc"]["config"]["features"] == "s1_mfcc" and len(presets) >= 20
        [shipped] = listed["weights"]
        assert (shipped["name"], shipped["path"]) == ("tiny", str(weights))
        assert shipped["facts"]["summary"] == "two made-up birds"
        assert [name["common"] for name in shipped["model"]["class_names"]] == ["Alpha", "Béta"]

    def test_lists_them_for_people(self, capsys):
        assert run("models") == 0
        assert re.search(r"^  tiny +two made-up birds \(2 species\)$", capsys.readouterr().out, re.MULTILINE)

    def test_says_what_to_do_where_there_are_none(self, monkeypatch, tmp_path, capsys):
        monkeypatch.setenv("BIRDCORE_WEIGHTS", str(tmp_path))
        assert run("models") == 0
        assert "none; train some" in capsys.readouterr().out


class TestEvaluate:
    @pytest.fixture
    def manifest(self, recordings):
        """Both recordings with a species each."""
        path = recordings / "manifest.csv"
        path.write_text("path,species_code,split,kind\na.wav,alpha,test,field\nsub/b.wav,beta,test,field\n")
        return path

    @pytest.fixture
    def annotations(self, recordings):
        """A box in one of them."""
        path = recordings / "annotations.csv"
        kind = '"hand boxes (Audacity, all species in the file)"'
        path.write_text(
            "filename,start_s,end_s,low_hz,high_hz,species_code,label_kind,split\n"
            f"sub/b.wav,0.5,1.5,1000,4000,beta,{kind},test\n"
        )
        return path

    def test_writes_clip_and_localization_figures(self, manifest, annotations, tmp_path, capsys):
        words = ("--manifest", manifest, "--annotations", annotations, "--prefix=sub/", "--json", tmp_path / "r.json")
        assert run("evaluate", "--weights=tiny", "--engine=torch", *words) == 0
        result = json.loads((tmp_path / "r.json").read_text())
        assert (result["weights"], result["engine"], result["birdcore"]) == ("tiny", "torch", __version__)
        assert result["clips"]["all"]["num_recordings"] == 2
        assert set(result["localization"]["box_average_precision"]) == {"0.3", "0.5"}
        told = capsys.readouterr().out
        assert "all (2 recordings): macro AUC" in told
        assert "localization (1 recordings): frame macro F1" in told

    def test_prints_the_figures_where_no_file_is_named(self, manifest, capsys):
        assert run("evaluate", "--weights=tiny", "--engine=torch", "--manifest", manifest, "--split", "") == 0
        assert json.loads(capsys.readouterr().out)["clips"]["split"] == ""

    def test_needs_something_to_measure_on(self, capsys):
        with pytest.raises(SystemExit) as stopped:
            run("evaluate", "--weights=tiny")
        assert stopped.value.code == 2
        assert "give --manifest, --annotations, or both" in capsys.readouterr().err

    def test_a_folder_is_no_file_for_the_figures(self, manifest, tmp_path, capsys):
        with pytest.raises(SystemExit):
            run("evaluate", "--weights=tiny", "--manifest", manifest, "--json", tmp_path)
        assert "is a folder; name a file in it" in capsys.readouterr().err

    def test_a_missing_table_is_told(self, tmp_path, capsys):
        assert run("evaluate", "--weights=tiny", "--engine=torch", "--manifest", tmp_path / "gone.csv") == 2
        assert "gone.csv: no such table" in capsys.readouterr().err


def test_runs_as_a_module_and_tells_its_version():
    done = subprocess.run(
        [sys.executable, "-m", "birdcore", "--version"], cwd=project_root(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"birdcore {__version__}\n")


def test_publishing_under_a_name_that_is_a_path_is_refused(tmp_path, capsys):
    assert command_line.main(["publish", str(tmp_path), "--name", "../elsewhere"]) == 2
    assert "use small letters" in capsys.readouterr().err


def test_publishing_what_is_no_run_is_refused(tmp_path, capsys):
    assert command_line.main(["publish", str(tmp_path / "none"), "--name", "mine"]) == 2
    assert "not found" in capsys.readouterr().err


def test_why_a_publication_could_not_begin_is_in_its_record(weights, tmp_path, capsys):
    run = tmp_path / "runs" / "night"
    run.mkdir(parents=True)
    assert command_line.main(["publish", str(run), "--name", "mine"]) == 2
    first = read_publication(run, "mine")
    assert first.state == "failed" and "not found" in first.message
    shutil.copytree(weights, run / "weights")
    with exclusive_lock(weights.parent / ".mine.publishing", timeout_seconds=1.0, refusal=""):
        assert command_line.main(["publish", str(run), "--name", "mine"]) == 2
    second = read_publication(run, "mine")
    assert second.state == "failed" and "is being published already" in second.message
    capsys.readouterr()


def test_asking_for_help_loads_no_torch():
    code = "import sys, birdcore.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=project_root()).returncode == 0


def test_every_format_is_offered(capsys):
    with pytest.raises(SystemExit):
        run("analyze", "--help")
    assert ", ".join(FORMATS) in " ".join(capsys.readouterr().out.split())
