import dataclasses
import errno
import re
from pathlib import Path

import pytest

from birdcore.places import cache_root
from birdcore.webapp.recordings import spool


def captions(app):
    return "\n".join(caption.value for caption in app.caption)


def table(app, column):
    """The table on the page that has a column."""
    return next(frame.value for frame in [*app.dataframe, *app.table] if column in frame.value.columns)


def test_the_first_visit_says_what_to_do_and_loads_the_model_meanwhile(double, open_page):
    app = open_page("identify_birds")
    assert not app.exception and not app.error
    assert app.title[0].value == "Identify birds"
    assert app.file_uploader[0].label == "Drop recordings here"
    assert app.audio_input[0].label == "Record with the microphone"
    assert [button.label for button in app.button].count("Listen") >= 3
    assert double.loads and not double.calls


def test_without_weights_the_page_says_what_to_do(no_weights, open_page):
    app = open_page("identify_birds")
    assert not app.exception
    (warning,) = app.warning
    assert "No model is installed" in warning.value and "train a model" in warning.value
    assert not app.file_uploader


def test_an_upload_is_answered_in_one_sentence(double, open_page, upload, wav, text_of):
    app = upload(open_page("identify_birds"), ("tit.wav", wav))
    assert not app.exception
    assert "## Great Tit (0.93) — 2 calls, also Eurasian Blackcap (0.62) — 1 call" in text_of(app)
    assert "This model knows 6 species; other birds may sing here without being named." in captions(app)


def test_nothing_found_is_said_so_with_the_closest_species(double, open_page, upload, wav, text_of):
    app = open_page("identify_birds")
    app.session_state[threshold_key(app)] = 0.95
    app = upload(app, ("tit.wav", wav))
    assert "No species this model knows was found." in text_of(app)
    assert "The closest is Great Tit with a score of 0.93, below the threshold of 0.95." in captions(app)
    assert "No call reaches the threshold of 0.95" in captions(app)
    assert [button.label for button in app.download_button] == ["Table (CSV)", "Raven selections", "Audacity labels"]


def test_downloads_are_written_once_per_answer(double, open_page, upload, wav, monkeypatch):
    from birdcore.export.raven import raven_text

    written = []

    def write(*, events, **options):
        written.append((len(events), options["recording"]))
        return raven_text(events=events, **options)

    monkeypatch.setattr("birdcore.webapp.results.raven_text", write)
    app = upload(open_page("identify_birds"), ("tit.wav", wav))
    app.run()
    assert written == [(3, "tit.wav")]
    app.session_state[threshold_key(app)] = 0.65
    app.run()
    assert not app.exception and written == [(3, "tit.wav"), (2, "tit.wav")]
    upload(app, ("again.wav", wav))  # the same sound under another name
    assert written[2:] == [(2, "again.wav")]


def threshold_key(app):
    from birdcore.models.checkpoint import list_weights

    return f"threshold-{list_weights()[0].path}"


def test_moving_the_threshold_does_not_run_the_model_again(double, open_page, upload, wav, viewer_arguments):
    app = upload(open_page("identify_birds"), ("tit.wav", wav))
    assert len(viewer_arguments(app)["events"]) == 3
    app.session_state[threshold_key(app)] = 0.65
    app.run()
    assert len(viewer_arguments(app)["events"]) == 2
    app.session_state[threshold_key(app)] = 0.8
    app.run()
    assert len(viewer_arguments(app)["events"]) == 1
    assert len(double.calls) == 1


def test_the_same_file_dropped_again_is_not_analysed_again(double, open_page, upload, wav):
    app = upload(open_page("identify_birds"), ("tit.wav", wav))
    upload(app, ("the same under another name.wav", wav))
    assert len(double.calls) == 1


def test_another_overlap_runs_the_model_again(double, open_page, upload, wav):
    from birdcore.models.checkpoint import list_weights

    app = upload(open_page("identify_birds"), ("tit.wav", wav))
    app.session_state[f"overlap-{list_weights()[0].path}"] = 0.0
    app.run()
    assert [overlap for _, overlap in double.calls] == [2.5, 0.0]


def test_the_best_five_species_stand_in_a_table_beside_the_bars(double, open_page, upload, wav):
    app = upload(open_page("identify_birds"), ("tit.wav", wav))
    best = table(app, "Probability")
    assert list(best.columns) == ["Code", "Common name", "Class", "Probability"]
    assert list(best["Common name"])[:2] == ["Great Tit", "Eurasian Blackcap"] and len(best) == 5
    assert best.iloc[0].tolist() == ["gretit1", "Great Tit", "Aves", "0.930"]
    assert len(app.get("plotly_chart")) == 1


def test_the_calls_stand_in_a_table_with_times_and_bands(double, open_page, upload, wav):
    calls = table(upload(open_page("identify_birds"), ("tit.wav", wav)), "Onset")
    assert list(calls["Species"]) == ["Great Tit", "Great Tit", "Eurasian Blackcap"]
    assert calls["Onset"].tolist() == pytest.approx([3.0, 6.0, 8.0], abs=0.05)
    assert calls["Duration"].tolist() == pytest.approx([1.0, 0.5, 1.0], abs=0.07)
    assert calls["Low"].tolist() == [3.0] * 3 and calls["High"].tolist() == [5.0] * 3
    assert calls["Confidence"].tolist() == pytest.approx([0.9, 0.7, 0.6], abs=1e-3)
    assert all("Play" in label for label in calls["Play"])


def test_the_viewer_is_given_the_sound_by_address_and_the_boxes(double, open_page, upload, wav, viewer_arguments):
    app = upload(open_page("identify_birds"), ("tit.wav", wav))
    given = viewer_arguments(app)
    assert given["duration"] == pytest.approx(10.0, abs=0.01)
    assert "/media/" in given["audio"]["url"]
    assert [event["common_name"] for event in given["events"]] == ["Great Tit", "Great Tit", "Eurasian Blackcap"]
    assert given["heat"] is None
    assert len(given["overview_events"]) == 3 and not given["lanes"]  # one page: the timeline shows all of it
    assert len(app.get("component_instance")[0].proto.json_args) < 1_500_000


def test_a_heat_map_is_laid_over_the_spectrogram_on_request(double, open_page, upload, wav, viewer_arguments):
    app = upload(open_page("identify_birds"), ("tit.wav", wav))
    (chooser,) = [box for box in app.selectbox if box.label.startswith("Heat map")]
    chooser.select("blackc1").run()
    heat = viewer_arguments(app)["heat"]
    assert heat["label"] == "blackc1" and heat["offset"] == pytest.approx(10.0, abs=0.1)
    assert len(double.calls) == 1


def test_a_recording_too_long_to_keep_its_map_is_listened_to_again_page_by_page(
    double, open_page, upload, wav, viewer_arguments
):
    whole = double.model.analyze

    def without_map(path, **options):
        scores = whole(path, **options)
        return scores if options.get("duration") else dataclasses.replace(scores, bands=None)

    double.model.analyze = without_map
    app = upload(open_page("identify_birds"), ("tit.wav", wav))
    (chooser,) = [box for box in app.selectbox if box.label.startswith("Heat map")]
    chooser.select("blackc1").run()
    heat = viewer_arguments(app)["heat"]
    assert heat["label"] == "blackc1" and heat["offset"] == pytest.approx(10.0, abs=0.1)
    assert len(double.calls) == 2
    chooser.select("gretit1").run()
    assert len(double.calls) == 2


def test_colours_of_species_stay_when_the_threshold_moves(double, open_page, upload, wav, viewer_arguments):
    app = upload(open_page("identify_birds"), ("tit.wav", wav))
    before = {species["label"]: species["color"] for species in viewer_arguments(app)["species"]}
    app.session_state[threshold_key(app)] = 0.65
    app.run()
    after = {species["label"]: species["color"] for species in viewer_arguments(app)["species"]}
    assert after == {"gretit1": before["gretit1"]}


def test_uploads_are_stored_by_content_and_never_by_name(double, open_page, upload, wav):
    upload(open_page("identify_birds"), ("../../evil name <b>.wav", wav))
    (path, _) = double.calls[0]
    assert path.parent == cache_root() / "uploads"
    assert re.fullmatch(r"[0-9a-f]{64}\.wav", path.name)
    assert path.read_bytes() == wav


def test_names_of_files_are_shown_as_they_are_and_format_nothing(double, open_page, upload, wav, text_of):
    app = upload(open_page("identify_birds"), ("**bold** <b>[x](http://y).wav", wav))
    assert r"\*\*bold\*\* \<b\>\[x\]\(http\:\/\/y\)" in text_of(app).replace("/", r"\/")


def test_the_upload_widget_is_empty_again_once_the_file_is_on_the_disk(double, open_page, upload, wav):
    app = upload(open_page("identify_birds"), ("tit.wav", wav))
    assert app.file_uploader[0].value == []


def test_a_file_that_cannot_be_read_is_explained_by_its_own_name_and_stops_no_other(
    double, open_page, upload, wav, text_of
):
    app = upload(open_page("identify_birds"), ("notes.wav", b"this is no sound"), ("tit.wav", wav))
    assert not app.exception
    assert app.error[0].value.replace("\\", "").startswith("notes.wav: ")
    overview = table(app, "Recording")
    assert list(overview["Recording"]) == ["notes.wav", "tit.wav"]
    assert overview["Found"].iloc[0].startswith("notes.wav: ")
    assert overview["Found"].iloc[1] == "Great Tit, Eurasian Blackcap"
    assert "Close all recordings" in [button.label for button in app.button]


def test_several_files_are_listed_and_can_be_chosen(double, open_page, upload, make_recording, viewer_arguments):
    files = [(f"{number}.wav", make_recording(2.0, seed=number)) for number in range(3)]
    app = upload(open_page("identify_birds"), *files)
    assert len(double.calls) == 3
    assert viewer_arguments(app)["name"] == "0.wav"
    (chooser,) = [box for box in app.selectbox if box.label.startswith("Recording")]
    chooser.select_index(2).run()
    assert viewer_arguments(app)["name"] == "2.wav"
    assert len(double.calls) == 3
    assert "All calls (CSV)" in [button.label for button in app.download_button]


def test_closing_the_recordings_leads_back_to_the_start(double, open_page, upload, wav):
    app = upload(open_page("identify_birds"), ("tit.wav", wav))
    next(button for button in app.button if button.label == "Close all recordings").click().run()
    assert not app.exception
    assert [button.label for button in app.button].count("Listen") >= 3


def test_a_file_cut_off_half_way_is_analysed_up_to_there_and_says_so(double, open_page, upload, make_recording):
    whole = make_recording(10.0)
    app = upload(open_page("identify_birds"), ("cut.wav", whole[: len(whole) // 2]))
    assert not app.exception and not app.error
    assert app.warning[0].value.replace("\\", "").startswith("cut.wav: is damaged or was cut off")


def test_a_sample_soundscape_is_one_click_away_and_says_that_it_is_made_up(double, open_page, text_of):
    app = open_page("identify_birds")
    next(button for button in app.button if button.label == "Listen").click().run()
    assert not app.exception
    assert "(synthesised)" in text_of(app).replace("\\", "")
    assert "Synthesised, not recorded" in captions(app)
    assert len(double.calls) == 1


def test_a_microphone_recording_is_analysed(double, open_page, wav):
    app = open_page("identify_birds")
    app.audio_input[0].upload("recorded_audio.wav", wav, "audio/wav")
    app.run()
    assert not app.exception
    assert len(double.calls) == 1


def test_where_nothing_can_be_kept_recordings_here_can_still_be_opened(
    double, open_page, upload, wav, tmp_path, monkeypatch, viewer_arguments
):
    (tmp_path / "a file").write_text("no folder can be made below it")
    monkeypatch.setenv("BIRDCORE_CACHE", str(tmp_path / "a file" / "cache"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dawn.wav").write_bytes(wav)
    app = open_page("identify_birds")
    assert not app.exception and "sample soundscapes cannot be written" in app.warning[0].value
    upload(app, ("tit.wav", wav))
    assert not app.exception and app.error[0].value.replace("\\", "").startswith("tit.wav: cannot be kept in")
    app.audio_input[0].upload("recorded_audio.wav", wav, "audio/wav")
    app.run()
    assert not app.exception and "cannot be kept in" in app.error[0].value
    app.text_input[0].set_value("dawn.wav").run()
    next(button for button in app.button if button.label == "Open").click().run()
    assert not app.exception and not app.error and viewer_arguments(app)["name"] == "dawn.wav"


def test_of_several_uploads_those_that_fit_on_the_disk_are_analysed(
    double, open_page, upload, wav, monkeypatch, text_of
):
    def spool_one(stream, name):
        if name == "second.wav":
            raise OSError(errno.ENOSPC, "No space left on device")
        return spool(stream, name)

    monkeypatch.setattr("birdcore.webapp.recordings.spool", spool_one)
    app = upload(open_page("identify_birds"), ("first.wav", wav), ("second.wav", wav + b"\0\0"))
    assert not app.exception and "No space left on device" in app.error[0].value
    assert "## Great Tit" in text_of(app)


def test_a_recording_on_this_computer_is_opened_by_its_path(double, open_page, wav, tmp_path, viewer_arguments):
    folder = tmp_path / "data" / "station"
    folder.mkdir(parents=True)
    (folder / "dawn.wav").write_bytes(wav)
    app = open_page("identify_birds")
    app.text_input[0].set_value("station/dawn.wav").run()
    next(button for button in app.button if button.label == "Open").click().run()
    assert viewer_arguments(app)["name"] == "dawn.wav"
    assert double.calls[0][0] == folder / "dawn.wav"


def test_a_folder_on_this_computer_lists_its_recordings(double, open_page, wav, tmp_path, viewer_arguments):
    folder = tmp_path / "data" / "station"
    folder.mkdir(parents=True)
    (folder / "dawn.wav").write_bytes(wav)
    (folder / "notes.txt").write_text("no sound")
    app = open_page("identify_birds")
    app.text_input[0].set_value("station").run()
    (chooser,) = [box for box in app.selectbox if "in this folder" in box.label]
    assert chooser.label == "1 recording in this folder" and chooser.options == ["dawn.wav"]
    chooser.select_index(0).run()
    next(button for button in app.button if button.label == "Open").click().run()
    assert viewer_arguments(app)["name"] == "dawn.wav"


@pytest.mark.parametrize("path", ["/etc/passwd", "../weights/crnn/config.json", "nothing.wav", "x" * 300, "a\0.wav"])
def test_a_path_outside_the_allowed_folders_is_refused(double, open_page, tmp_path, path):
    (tmp_path / "data").mkdir(exist_ok=True)
    app = open_page("identify_birds")
    app.text_input[0].set_value(path).run()
    assert not app.exception
    assert "not found in the folders" in app.error[0].value
    assert "Open" not in [button.label for button in app.button]


def test_a_long_recording_is_shown_in_pages_with_an_overview(
    double, open_page, upload, make_recording, viewer_arguments
):
    app = upload(open_page("identify_birds"), ("night.wav", make_recording(620.0)))
    first = viewer_arguments(app)
    assert first["page_onset"] == 0 and first["duration"] == pytest.approx(620 / 3, abs=0.1)
    assert first["total_duration"] == pytest.approx(620.0, abs=0.1)
    assert first["overview"]["key"] != first["envelope"]["key"]
    assert {event["common_name"] for event in first["events"]} == {"Great Tit"}
    assert [(lane["common_name"], lane["count"], len(lane["spans"])) for lane in first["lanes"]] == [
        ("Great Tit", 2, 2),
        ("Eurasian Blackcap", 1, 1),
    ]
    assert first["lanes"][0]["color"] == first["species"][0]["color"] and not first["overview_events"]
    app.get("pagination")[0].set_value(3)
    app.run()
    last = viewer_arguments(app)
    assert last["page_onset"] == pytest.approx(2 * 620 / 3, abs=0.1)
    assert {event["common_name"] for event in last["events"]} == {"Eurasian Blackcap"}
    assert len(double.calls) == 1


def test_real_recordings_are_shown(double, open_page, upload, shared_data, viewer_arguments):
    path = next(Path(shared_data, "strong", "nbm").glob("*.ogg"))
    app = upload(open_page("identify_birds"), (path.name, path.read_bytes()))
    assert not app.exception and not app.error
    assert viewer_arguments(app)["name"] == path.name
