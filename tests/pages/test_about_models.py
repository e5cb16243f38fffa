def test_a_model_shows_figures_weaknesses_licence_and_species(double, open_page, text_of):
    app = open_page("about_models")
    assert not app.exception
    text = text_of(app)
    assert "hears birds that are not there" in text
    assert r"knows \*six\* species" in text and "takes every sound for one" in text
    assert r"CC BY\-NC\-SA 4\.0" in text
    assert {metric.label: metric.value for metric in app.metric}["Parameters"] == "4.2 million"
    figures = app.table[0].value
    assert figures.iloc[0].tolist() == ["Macro ROC-AUC", "0.987", "0.970 to 0.995"]
    assert figures.iloc[1].tolist() == ["Top-1 accuracy", "0.910", ""]
    assert app.dataframe[0].value["Common name"].iloc[0] == "Great Tit"


def test_the_whole_card_can_be_read(double, open_page):
    app = open_page("about_models")
    assert "The whole story." in [expander for expander in app.expander][-1].markdown[0].value


def test_the_model_itself_is_not_loaded(double, open_page):
    open_page("about_models")
    assert not double.loads


def test_without_weights_the_page_says_what_to_do(no_weights, open_page):
    app = open_page("about_models")
    assert not app.exception
    assert "No model is installed" in app.warning[0].value


def test_a_model_from_outside_shows_its_licence_first_and_lists_what_fits_a_search(
    double, open_page, text_of, tmp_path
):
    folder = tmp_path / "weights" / "theirs"
    folder.mkdir()
    (folder / "model.tflite").write_bytes(b"never opened")
    (folder / "labels.txt").write_text("".join(f"Avis number{n}_Bird {n}\n" for n in range(1000)))
    (folder / "outside.toml").write_text('preset = "birdnet"')
    (folder / "README.md").write_text("![tracker](https://example.org/picture)")
    app = open_page("about_models")
    assert "Made by others." not in text_of(app)
    overview = app.dataframe[0].value
    assert overview["Species"].tolist()[-1] == 1000 and overview["Model"].tolist()[-1] == "theirs"
    app.session_state["about-model"] = "theirs"
    app.run()
    assert not app.exception
    text = text_of(app)
    assert "Made by others. Model: CC BY" in text.replace("\\", "") and "tracker" not in text
    assert "1,000 fit, the first 300 are shown." in text
    app.text_input[0].set_value("number999").run()
    assert app.dataframe[1].value["Common name"].tolist() == ["Bird 999"]


def test_folders_that_cannot_be_used_are_told(double, open_page, tmp_path):
    folder = tmp_path / "weights" / "theirs"
    folder.mkdir()
    (folder / "outside.toml").write_text('preset = "birdnet"')
    app = open_page("about_models")
    assert not app.exception
    assert "Not every folder of weights can be used" in app.warning[0].value and "theirs" in app.warning[0].value
