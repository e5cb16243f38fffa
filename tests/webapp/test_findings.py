import pandas as pd

from birdcore.events import Event
from birdcore.webapp.findings import event_table, find_species, headline, remark, score_table


def test_one_species_is_named_with_its_score_and_calls(make_analysis):
    assert headline(make_analysis((0.93,), events="gretit1 gretit1")) == r"Great Tit (0.93) — 2 calls"


def test_a_species_heard_without_a_single_clear_call_is_named_without_calls(make_analysis):
    assert headline(make_analysis((0.93,))) == "Great Tit (0.93)"


def test_several_species_are_named_best_first(make_analysis):
    analysis = make_analysis((0.6, 0.9, 0.7), events="gretit1")
    assert headline(analysis) == "Eurasian Blackcap (0.90), also Little Owl (0.70) and Great Tit (0.60) — 1 call"


def test_many_species_are_counted_after_the_third(make_analysis):
    analysis = make_analysis((0.9, 0.8, 0.7, 0.6, 0.55))
    expected = "Great Tit (0.90), also Eurasian Blackcap (0.80), Little Owl (0.70) and 2 more species"
    assert headline(analysis) == expected


def test_nothing_found_is_said_with_the_closest_species(make_analysis):
    analysis = make_analysis((0.1, 0.31))
    assert headline(analysis) == "No species this model knows was found."
    assert remark(analysis).startswith(
        "The closest is Eurasian Blackcap with a score of 0.31, below the threshold of 0.50."
    )


def test_every_remark_says_how_little_the_model_knows(make_analysis):
    for analysis in (make_analysis((0.9,)), make_analysis((0.1,)), make_analysis((0.1,), events="gretit1")):
        assert remark(analysis).endswith("This model knows 5 species; other birds may sing here without being named.")


def test_single_calls_do_not_make_a_species_present_but_are_mentioned(make_analysis):
    analysis = make_analysis((0.9, 0.2), events="gretit1 blackc1")
    present, suspected = find_species(analysis)
    assert [finding.name.code for finding in present] == ["gretit1"]
    assert [finding.name.code for finding in suspected] == ["blackc1"]
    assert "Blackcap" not in headline(analysis)
    assert "Single calls resemble Eurasian Blackcap, but the recording as a whole does not." in remark(analysis)


def test_single_calls_alone_are_named_with_a_perhaps(make_analysis):
    analysis = make_analysis((0.3,), events="gretit1 gretit1")
    assert headline(analysis) == "Perhaps Great Tit (0.30) — 2 calls"
    assert "listen to them" in remark(analysis)


def test_the_threshold_itself_counts_as_reached(make_analysis):
    present, _ = find_species(make_analysis((0.5,), threshold=0.5))
    assert len(present) == 1


def test_the_event_table_is_in_the_order_of_the_events_with_khz(make_analysis):
    analysis = make_analysis((0.9,), events="blackc1 gretit1")
    table = event_table(analysis.events, analysis.scores.class_names)
    assert list(table["Species"]) == ["Eurasian Blackcap", "Great Tit"]
    assert table.loc[1, ["Onset", "Offset", "Duration", "Low", "High", "Confidence"]].tolist() == [
        10.0,
        11.0,
        1.0,
        2.0,
        4.0,
        0.8,
    ]


def test_events_without_a_band_leave_its_cells_empty(make_analysis):
    names = make_analysis((0.9,)).scores.class_names
    table = event_table([Event(label="gretit1", onset=0, offset=1)], names)
    assert pd.isna(table.loc[0, "Low"]) and pd.isna(table.loc[0, "High"])


def test_tables_of_nothing_have_their_columns(make_analysis):
    names = make_analysis((0.9,)).scores.class_names
    assert len(event_table([], names)) == 0 and "Onset" in event_table([], names)


def test_the_score_table_has_a_row_per_species(make_analysis):
    table = score_table(make_analysis((0.1234, 0.9)).scores.top(2))
    assert table.iloc[0].tolist() == ["blackc1", "Eurasian Blackcap", "Aves", "0.900"]
    assert table.iloc[1]["Probability"] == "0.123"
