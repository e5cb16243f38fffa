import io
import zipfile

import pytest
from streamlit.testing.v1 import AppTest

from birdcore.training.jobs import list_runs
from birdcore.training.probe import ProbeResult
from birdcore.training.run_directory import RunDirectory


@pytest.fixture
def data_folder(tmp_path, make_recording, monkeypatch, new_cache):
    monkeypatch.setenv("BIRDCORE_CACHE", str(new_cache()))
    folder = tmp_path / "data"
    folder.mkdir()
    rows = ["path,species_code,recording_id,group,split,licence"]
    for number in range(12):
        (folder / f"{number}.wav").write_bytes(make_recording(2.0, seed=number, pitch=1000 + 500 * number))
        rows.append(f"{number}.wav,{('gretit1', 'eurbla')[number % 2]},r{number},g{number},train,CC0")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def queued(monkeypatch):
    """Runs that would have been put into the queue."""
    runs = []

    def enqueue(config, **options):
        runs.append((config, options))
        return RunDirectory(options["data_root"] / "made-up")

    monkeypatch.setattr("birdcore.webapp.starting.enqueue_job", enqueue)
    return runs


@pytest.fixture
def page(request, monkeypatch, double):
    # A test has no server: this is the address it would listen to.
    monkeypatch.setattr("streamlit.get_option", lambda name: "127.0.0.1")

    def run():
        app = AppTest.from_file(request.path.parents[2] / "streamlit_app.py", default_timeout=120).run()
        return app.switch_page("pages/train_model.py").run()

    return run


def press(app, label):
    return next(button for button in app.main.button if button.label == label).click().run()


def field(app, label):
    return next(element for element in app.main.number_input if element.label == label)


def test_a_run_is_set_up_checked_and_put_into_the_queue(page, data_folder, queued):
    app = page()
    assert not app.exception
    field(app, "Epochs").set_value(2)
    field(app, "Seed").set_value(7)
    app.main.text_area[0].set_value("num_folds = 3\n")
    app.run()
    press(app, "Start training")
    assert not app.exception
    ((config, options),) = queued
    assert (config.epochs, config.seed, config.num_folds, config.background) == (2, 7, 3, "")
    assert options == {"data_root": data_folder, "name": None, "kind": "run"}
    assert "is in the queue" in app.main.success[0].value


def test_problems_of_the_data_are_told_and_must_be_accepted(page, data_folder, queued, text_of):
    (data_folder / "4.wav").write_bytes((data_folder / "2.wav").read_bytes())
    app = page()
    press(app, "Start training")
    assert queued == [] and "Not started yet" in app.main.warning[0].value
    assert any("same sound" in expander.label for expander in app.main.expander)
    press(app, "Not now")
    assert queued == [] and not app.main.warning
    press(app, "Start training")
    press(app, "Start anyway")
    assert len(queued) == 1


def test_a_change_of_settings_takes_the_wish_back(page, data_folder, queued):
    (data_folder / "4.wav").write_bytes(b"torn")
    app = page()
    press(app, "Start training")
    field(app, "Epochs").set_value(2).run()
    assert "Start anyway" not in [button.label for button in app.main.button]


def test_a_field_that_is_left_by_the_click_on_the_button_counts(page, data_folder, queued, monkeypatch):
    probes = []
    monkeypatch.setattr("birdcore.webapp.desk.start_probe", lambda config, data_root: probes.append(config))
    (data_folder / "4.wav").write_bytes((data_folder / "2.wav").read_bytes())
    app = page()
    field(app, "Batch size").set_value(3)  # not run yet: value and click come together
    press(app, "Try 20 steps")
    assert [config.batch_size for config in probes] == [3]
    press(app, "Start training")
    field(app, "Epochs").set_value(2)
    press(app, "Start anyway")
    assert [config.epochs for config, _ in queued] == [2]


def test_a_click_with_a_setting_that_does_not_work_starts_nothing_later(page, data_folder, queued):
    app = page()
    app.main.text_area[0].set_value("los = 3\n")
    press(app, "Start training")
    app.main.text_area[0].set_value("").run()
    assert not app.main.error and queued == []


def test_what_cannot_be_trained_on_is_refused(page, data_folder, queued):
    for number in range(12):
        (data_folder / f"{number}.wav").write_bytes(b"torn")
    app = page()
    press(app, "Start training")
    assert "cannot be trained on" in app.main.error[0].value and queued == []
    assert "Start anyway" not in [button.label for button in app.main.button]


def test_settings_that_do_not_work_are_told_at_their_line(page, data_folder, queued):
    app = page()
    app.main.text_area[0].set_value('loss = "bce"\nlos = 3\n').run()
    assert not app.exception
    assert "line 2" in app.main.error[0].value and "did you mean loss" in app.main.error[0].value
    assert "Start training" not in [button.label for button in app.main.button]


def test_paths_of_settings_stay_in_the_data_folder(page, data_folder, queued):
    app = page()
    app.main.text_area[0].set_value('manifest = "../../etc/passwd"\n').run()
    assert "leads outside the data folder" in app.main.error[0].value


def test_the_check_shows_counts_and_what_to_do(page, data_folder, queued):
    app = page()
    press(app, "Check the data")
    assert not app.exception
    assert any("12 sound files" in markdown.value and "2 species" in markdown.value for markdown in app.main.markdown)
    assert list(app.main.dataframe[0].value["Train"]) == [6, 6]
    assert "Check again" in [button.label for button in app.main.button]


def test_a_probe_tells_what_to_expect(page, data_folder, queued, monkeypatch, tmp_path):
    probes = []
    monkeypatch.setattr("birdcore.webapp.desk.start_probe", lambda config, data_root: probes.append(config))
    app = page()
    press(app, "Try 20 steps")
    assert len(probes) == 1
    from birdcore.training.probe import make_probe

    probe = make_probe(probes[0], data_root=data_folder)
    probe.write_status(state="running", step=10)
    app.run()
    assert app.main.get("progress")[0].proto.text == "step 10 of 20"
    press(app, "Stop")
    assert probe.stop_requested()
    probe.write_status(state="finished", step=20)
    result = ProbeResult(
        windows_per_second=10.24,
        validation_seconds=0.0,
        preparation_seconds=0.0,
        memory_bytes=2 * 10**9,
        device="cpu",
        device_memory_bytes=0,
    )
    monkeypatch.setattr("birdcore.webapp.desk.read_probe", lambda run: result)
    app.run()
    told = {metric.label: metric.value for metric in app.main.metric}
    config = probes[0]
    minutes = round(config.epochs * config.windows_per_epoch / 10.24 / 60)
    assert told == {"Clips per second": "10.2", "Memory": "2.0 GB", "All of it takes": f"{minutes} min"}


def test_a_probe_that_failed_says_why(page, data_folder, queued, monkeypatch):
    probes = []
    monkeypatch.setattr("birdcore.webapp.desk.start_probe", lambda config, data_root: probes.append(config))
    app = page()
    press(app, "Try 20 steps")
    from birdcore.training.probe import make_probe

    make_probe(probes[0], data_root=data_folder).write_status(state="failed", message="too small a picture")
    app.run()
    assert "too small a picture" in app.main.error[0].value


def test_a_probe_that_is_slow_to_start_is_looked_at_until_it_comes_back(page, data_folder, queued, monkeypatch):
    """On a computer with much else to do, a minute may pass before the process's first sign of life."""
    probes = []
    monkeypatch.setattr("birdcore.webapp.desk.start_probe", lambda config, data_root: probes.append(config))
    app = page()
    press(app, "Try 20 steps")
    from birdcore.training.probe import make_probe

    probe = make_probe(probes[0], data_root=data_folder)
    probe.write_status(state="running", pid=None, message="starting")
    with monkeypatch.context() as patch:
        patch.setattr("birdcore.training.run_directory.LOST_AFTER_SECONDS", -1.0)
        app.run()
        assert "no sign of life" in app.main.warning[0].value and not app.main.error
        assert "Try 20 steps" in [button.label for button in app.main.button]
    probe.write_status(step=3)
    app.run()
    assert app.main.get("progress")[0].proto.text == "step 3 of 20" and not app.main.warning


def test_an_archive_becomes_the_chosen_data(open_page, data_folder, make_recording, monkeypatch):
    monkeypatch.setattr("streamlit.get_option", lambda name: "127.0.0.1")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for label in ("gretit1", "eurbla"):
            archive.writestr(f"birds/{label}/a.wav", make_recording(1.0))
    app = open_page("train_model")
    app.session_state["desk-source"] = "Upload a ZIP archive"
    app.run()
    app.main.file_uploader[0].set_value([("Night birds.zip", buffer.getvalue(), "application/zip")])
    press(app, "Unpack")
    assert not app.exception
    assert (data_folder / "uploads" / "night-birds" / "eurbla" / "a.wav").is_file()
    assert "2 files unpacked" in app.main.success[0].value
    assert next(box for box in app.main.selectbox if box.label == "Data set").value.name == "night-birds"


def test_training_is_off_where_other_computers_reach_the_app(page, data_folder, monkeypatch):
    monkeypatch.setattr("streamlit.get_option", lambda name: "0.0.0.0")
    app = page()
    assert "Training is off" in app.main.info[0].value
    assert not app.main.button and list_runs() == []
