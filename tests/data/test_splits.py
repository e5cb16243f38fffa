from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from birdcore.data.annotations import AnnotatedRecording, read_annotations
from birdcore.data.recordings import Recording, read_manifest
from birdcore.data.splits import (
    assign_folds,
    assign_stratified_folds,
    auxiliary_codes,
    deal_folds,
    representative_label,
)
from birdcore.events import Event


def recording(number, group, label, identity=None):
    return Recording(path=Path(f"{number}.ogg"), label=label, group=group, recording_id=identity or f"r{number}")


@given(
    rows=st.lists(st.tuples(st.integers(0, 8), st.sampled_from("abc"), st.integers(0, 12)), min_size=1, max_size=40),
    num_folds=st.integers(2, 5),
)
def test_a_group_or_recording_is_never_on_both_sides(rows, num_folds):
    recordings = [recording(i, f"g{group}", label, f"r{identity}") for i, (group, label, identity) in enumerate(rows)]
    folds = assign_folds(recordings, num_folds=num_folds)
    by_recording = {}
    for r in recordings:
        assert by_recording.setdefault(r.recording_id, folds[r.group]) == folds[r.group]


def test_each_class_is_dealt_evenly():
    recordings = [recording(i, f"g{i}", "ab"[i % 2]) for i in range(40)]
    folds = assign_folds(recordings, num_folds=5)
    counts = Counter((folds[r.group], r.label) for r in recordings)
    assert set(counts.values()) == {4}


def test_stratified_folds_deal_each_class_evenly_whatever_its_groups():
    recordings = [recording(i, "one", "abc"[i % 3]) for i in range(30)]
    folds = assign_stratified_folds(recordings, num_folds=5)
    counts = Counter((fold, r.label) for fold, r in zip(folds, recordings, strict=True))
    assert set(counts.values()) == {2} and len(counts) == 15
    backwards = assign_stratified_folds(recordings[::-1], num_folds=5)
    assert backwards[::-1] == folds
    assert assign_stratified_folds(recordings, num_folds=5, seed=1) != folds


def test_stratified_folds_are_alike_in_size_though_classes_are_small():
    recordings = [recording(i, "g", f"species {i}") for i in range(12)]
    assert set(Counter(assign_stratified_folds(recordings, num_folds=4)).values()) == {3}


def test_real_recordings_of_a_group_share_a_fold(shared_data):
    recordings = read_manifest(shared_data / "manifest.csv")
    assert len(recordings) == 426
    folds = assign_folds([r for r in recordings if r.split == "train"], num_folds=5)
    assert Counter(folds.values()).keys() == {0, 1, 2, 3, 4}
    test_groups = {r.group for r in recordings if r.split == "test"}
    assert not test_groups & folds.keys()


def test_auxiliary_species_are_half_and_contain_those_that_must_be(shared_data):
    extra = read_manifest(shared_data / "extra_manifest.csv")
    heard = frozenset(e.label for a in read_annotations(shared_data / "strong" / "annotations.csv") for e in a.events)
    always = heard & {r.label for r in extra}
    chosen = auxiliary_codes(extra, always=always)
    assert len(chosen) == len({r.label for r in extra}) // 2 == 93
    assert always <= set(chosen)
    assert chosen == auxiliary_codes(list(reversed(extra)), always=always)


def test_the_split_of_the_settings_deals_the_folds():
    recordings = [recording(i, f"g{i // 4}", "ab"[i % 2]) for i in range(24)]
    by_group = assign_folds(recordings, num_folds=3)
    assert deal_folds(recordings, split="grouped", num_folds=3) == [by_group[r.group] for r in recordings]
    assert deal_folds(recordings, split="stratified", num_folds=3) == assign_stratified_folds(recordings, num_folds=3)
    assert deal_folds([], split="grouped", num_folds=3) == []


def test_the_learnt_species_with_most_boxes_stands_for_a_recording():
    def annotated(*labels):
        events = tuple(Event(label=label, onset=n, offset=n + 0.5) for n, label in enumerate(labels))
        return AnnotatedRecording(path=Path("a.wav"), events=events)

    assert representative_label(annotated("b", "a", "b", "????", "????", "????"), {"a", "b"}) == "b"
    assert representative_label(annotated("b", "c", "a"), {"a", "b"}) == "a"  # as many of both: the alphabet decides
    assert representative_label(annotated("x", "????"), {"a", "b"}) == "x"
    assert representative_label(annotated(), {"a"}) == ""
