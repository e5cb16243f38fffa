import dataclasses
import hashlib

import numpy as np
import pytest

from birdcore.config import MEL_YAMNET_WIDE, TrainConfig
from birdcore.data.teacher import TeacherTrack
from birdcore.data.windows import SECONDARY_TARGET, TargetGrid, TrainingSource, WindowMaker
from birdcore.errors import DataError
from birdcore.events import Event

FEATURES = MEL_YAMNET_WIDE
GRID = TargetGrid.make(features=FEATURES, window_seconds=2.0, frame_stride=4, num_bands=20)
PLAIN = TrainConfig(
    architecture="crnn",
    features="yamnet_wide",
    window_seconds=2.0,
    mixup=0.0,
    noise=0.0,
    max_mix=1,
    equalizer_db=0.0,
    gain_db=0.0,
    shift_bands=0.0,
)


def source(label, seconds=6.0, events=None, isolated=False, level=1.0):
    generator = np.random.default_rng(len(label))
    mel = (
        generator.uniform(0.5, 1.0, size=(round(seconds / FEATURES.frame_seconds), FEATURES.n_mels)).astype(np.float32)
        * level
    )
    return TrainingSource(mel=mel, label=label, events=events, isolated=isolated)


def maker(config=PLAIN, **sources):
    return WindowMaker(config, FEATURES, GRID, ("alpha", "beta", "other"), 2, **({"weak": [source("alpha")]} | sources))


def test_windows_depend_on_nothing_but_seed_epoch_and_index():
    config = dataclasses.replace(PLAIN, mixup=0.5, noise=0.5, max_mix=3, equalizer_db=6.0, gain_db=6.0)
    make = maker(config, auxiliary=[source("other")], backgrounds=[source("")])
    whole = make.batch(epoch=3, indices=range(8))
    again = maker(config, auxiliary=[source("other")], backgrounds=[source("")]).batch(epoch=3, indices=range(8))
    assert np.array_equal(whole.mel, again.mel)
    assert not np.array_equal(whole.mel, make.batch(epoch=4, indices=range(8)).mel)


def test_weak_window_carries_its_label_and_weak_frames():
    windows = maker().batch(epoch=0, indices=range(4))
    assert np.array_equal(windows.clip, [[1, 0, 0]] * 4)
    assert 0 < windows.frame_weight.max() < 0.5


def test_strong_window_paints_the_box_where_it_is():
    event = Event(label="beta", onset=2.0, offset=2.4, fmin=2000.0, fmax=4000.0)
    make = maker(strong=[source("beta", seconds=2.0 + 2.4, events=(event,))])
    for index in range(40):
        window = make._cut(make.strong[0], np.random.default_rng(index))
        if not window.clip[1]:
            continue
        columns = np.flatnonzero(window.frames[1] > 0.5)
        assert abs(len(columns) * GRID.frame_seconds - 0.4) < 0.1  # stretched by up to a tenth
        rows = np.flatnonzero(window.bands[1, :, columns[0]] > 0.5)
        assert GRID.band_edges[rows[0]] == pytest.approx(2000, rel=0.15)
        assert GRID.band_edges[rows[-1] + 1] == pytest.approx(4000, rel=0.15)
        assert np.allclose(window.activity, window.frames[1])
        return
    raise AssertionError("no cut of forty held the event")


def test_unknown_bird_is_active_but_its_class_is_masked():
    event = Event(label="????", onset=1.0, offset=1.5, fmin=2000.0, fmax=4000.0)
    make = maker(strong=[source("beta", seconds=2.0, events=(event,))])
    window = make._cut(make.strong[0], np.random.default_rng(1))
    masked = window.activity > 0
    assert masked.any()
    assert (window.frame_weight[masked] == 0).all() and (window.frame_weight[~masked] == 1).all()
    assert not window.clip.any()


def test_mixing_unites_labels_and_keeps_the_uncertainty_of_either():
    event = Event(label="beta", onset=0.5, offset=1.5, fmin=2000.0, fmax=4000.0)
    make = maker(strong=[source("beta", seconds=2.0, events=(event,))])
    generator = np.random.default_rng(0)
    weak, strong = make._cut(make.weak[0], generator), make._cut(make.strong[0], generator)
    mixed = make._mix(weak, strong, 0.0)
    assert mixed.clip.tolist() == [1, 1, 0]
    assert np.array_equal(mixed.frame_weight, weak.frame_weight)
    assert (mixed.mel >= weak.mel - 1e-6).all()


def test_isolated_calls_are_mostly_put_on_a_background():
    make = maker(weak=[source("alpha", isolated=True)])
    generator = np.random.default_rng(0)
    needs = np.mean([make._cut(make.weak[0], generator).needs_background for _ in range(200)])
    assert 0.57 < needs < 0.77


def test_positive_share_sums_to_what_windows_hold():
    make = maker(auxiliary=[source("other")], backgrounds=[source("")])
    windows = make.batch(epoch=0, indices=range(400))
    assert np.allclose(windows.clip.mean(axis=0), make.positive_share(), atol=0.08)


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(DataError, match="no labelled recording"):
        maker(weak=[])


def test_older_runs_resume_to_the_same_end():
    """The hash was taken before secondary labels, weights, twins and noise parts existed: with none, nothing changes."""
    config = dataclasses.replace(PLAIN, mixup=0.5, noise=0.5, max_mix=3, equalizer_db=6.0, shift_bands=1.0)
    box = Event(label="beta", onset=1.0, offset=1.4, fmin=2000.0, fmax=4000.0)
    make = maker(
        config,
        weak=[source("alpha"), source("beta", 1.5), source("alpha", 3.0, isolated=True)],
        auxiliary=[source("other", 4.0)],
        strong=[source("beta", 5.0, events=(box,))],
        backgrounds=[source("")],
    )
    windows = make.batch(epoch=3, indices=range(32))
    facts = [getattr(windows, name).reshape(32, -1).mean(axis=1) for name in ("mel", "clip", "frames", "activity")]
    # Rounded, as the last bits of a mean differ from processor to processor.
    assert hashlib.sha256(np.round(facts, 2).astype("<f4").tobytes()).hexdigest()[:16] == "7ec3c3608b12697b"
    assert (windows.clip_weight == 1).all()


def test_secondary_labels_are_masked_or_soft():
    weak = [dataclasses.replace(source("alpha"), secondary=("beta", "alpha", "stranger"))]
    masked = maker(weak=weak).batch(epoch=0, indices=range(2))
    assert masked.clip.tolist() == [[1, 0, 0]] * 2
    assert masked.clip_weight.tolist() == [[1, 0, 1]] * 2
    soft = maker(dataclasses.replace(PLAIN, secondary="soft"), weak=weak).batch(epoch=0, indices=range(2))
    assert np.allclose(soft.clip, [[1, SECONDARY_TARGET, 0]] * 2)
    assert (soft.clip_weight == 1).all()


def test_a_mixture_knows_what_either_part_surely_holds():
    make = maker(weak=[dataclasses.replace(source("alpha"), secondary=("beta", "other")), source("beta")])
    generator = np.random.default_rng(0)
    mixed = make._mix(make._cut(make.weak[0], generator), make._cut(make.weak[1], generator), 0.0)
    assert mixed.clip.tolist() == [1, 1, 0]
    assert mixed.clip_weight.tolist() == [1, 1, 0]


def test_where_an_unnamed_bird_sings_no_species_is_absent():
    events = tuple(
        Event(label=label, onset=1.0, offset=1.5, fmin=2000.0, fmax=4000.0) for label in ("????", "alpha", "x-sp")
    )
    make = maker(strong=[source("alpha", 2.0, events=events), source("alpha", 2.0, events=events[1:])])
    window = make._cut(make.strong[0], np.random.default_rng(1))
    assert window.clip.tolist() == [1, 0, 0] and window.clip_weight.tolist() == [1, 0, 0]
    # Of a bird outside the annotator's list nothing is unknown.
    assert make._cut(make.strong[1], np.random.default_rng(1)).clip_weight.tolist() == [1, 1, 1]


def test_a_recording_of_double_weight_is_drawn_twice_as_often():
    make = maker(
        weak=[dataclasses.replace(source("alpha"), weight=1.0), dataclasses.replace(source("alpha"), weight=0.5)]
    )
    assert make._groups[0].probabilities.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_boxes_alone_are_enough_and_rare_species_are_looked_for():
    events = (
        *(Event(label="alpha", onset=t, offset=t + 0.5, fmin=2000.0, fmax=4000.0) for t in range(9)),
        Event(label="beta", onset=30.0, offset=30.5, fmin=2000.0, fmax=4000.0),
    )
    probabilities = np.array([0.5 / 9] * 9 + [0.5])
    strong = dataclasses.replace(source("alpha", 40.0, events=events), event_probabilities=probabilities)
    make = maker(weak=[], strong=[strong])
    assert make.positive_share().tolist() == pytest.approx([0.5, 0.5, 0.0])
    windows = make.batch(epoch=0, indices=range(100))
    assert 0.3 < windows.clip[:, 1].mean() < 0.7


def test_labels_of_whole_windows_count_little_in_frames():
    event = Event(label="alpha", onset=0.0, offset=5.0)
    make = maker(strong=[dataclasses.replace(source("alpha", 5.0, events=(event,)), frames_known=False)])
    window = make._cut(make.strong[0], np.random.default_rng(0))
    assert window.clip[0] == 1 and window.frame_weight.max() < 0.5 and window.activity_weight.max() < 0.5


def test_the_noise_of_labelled_recordings_is_a_background():
    loud = source("alpha", 8.0)
    loud.mel[200:260, 30:50] *= 100  # one song in eight seconds
    config = dataclasses.replace(PLAIN, noise=1.0, recording_noise=1.0)
    make = maker(config, weak=[loud])
    noise = make._cut_noise(np.random.default_rng(0))
    assert noise.shape == (200, FEATURES.n_mels) and noise.max() <= 1.0
    assert len(make._noise_of(loud)) > 500
    plain, noisy = maker(weak=[loud])._window(np.random.default_rng(3)), make._window(np.random.default_rng(3))
    assert noisy.clip.tolist() == plain.clip.tolist() and noisy.mel.sum() > plain.mel.sum()


def test_noise_of_an_annotated_recording_lies_outside_its_boxes():
    event = Event(label="alpha", onset=1.0, offset=3.0, fmin=2000.0, fmax=4000.0)
    make = maker(strong=[source("alpha", 5.0, events=(event,))])
    frames = make._noise_of(make.strong[0])
    assert not ((frames >= 100) & (frames <= 300)).any() and len(frames) > 280


def test_without_enough_noise_there_is_none_and_nothing_is_lent_by_isolated_calls():
    event = Event(label="alpha", onset=0.0, offset=4.8, fmin=2000.0, fmax=4000.0)
    config = dataclasses.replace(PLAIN, noise=1.0, recording_noise=1.0)
    make = maker(config, weak=[source("alpha", isolated=True)], strong=[source("alpha", 5.0, events=(event,))])
    assert make._cut_noise(np.random.default_rng(0)) is None
    assert make.batch(epoch=0, indices=range(4)).mel.any()


def test_a_twin_keeps_the_song_and_loses_the_noise():
    loud = source("alpha", 8.0)
    loud.mel[350:380, 30:50] = 50.0
    plain = maker(weak=[loud])._cut(loud, np.random.default_rng(1))
    twin = maker(dataclasses.replace(PLAIN, twins=1.0), weak=[loud])._twin(loud, 300, 500)
    assert twin.shape == (200, FEATURES.n_mels)
    assert twin[55:75, 32:48].mean() > 0.9 * 50
    assert twin[120:].mean() < 0.3 * loud.mel[420:500].mean()
    assert plain.mel.shape == (200, FEATURES.n_mels)
    with_twins = maker(dataclasses.replace(PLAIN, twins=1.0), weak=[loud]).batch(epoch=0, indices=range(2))
    assert with_twins.mel.mean() < maker(weak=[loud]).batch(epoch=0, indices=range(2)).mel.mean()


@pytest.mark.parametrize("boxed", [True, False])
def test_what_is_cut_out_leaves_silence_between_its_songs(boxed):
    box = Event(label="alpha", onset=1.0, offset=1.4, fmin=2000.0, fmax=4000.0)
    loud = source("alpha", 2.4, events=(box,) if boxed else None)  # every window holds the song
    begin, end = (round(moment / FEATURES.frame_seconds) for moment in (box.onset, box.offset))
    loud.mel[begin:end, 30:50] *= 1000
    sources = {"weak": [] if boxed else [loud], "strong": [loud] if boxed else []}
    make = maker(dataclasses.replace(PLAIN, cut_out=1.0), **sources)
    sounding = make._sounding(loud, begin - 50, 200)
    assert sounding[50 : 50 + end - begin].all() and not sounding[:40].any() and not sounding[60 + end - begin :].any()
    mel = make.batch(epoch=0, indices=range(4)).mel
    assert (mel == 0).all(axis=1).any(axis=1).all()
    plain = maker(PLAIN, **sources).batch(epoch=0, indices=range(4)).mel
    assert not (plain == 0).all(axis=1).any()


def test_nothing_is_cut_out_where_nothing_sounds():
    even = source("alpha", 8.0)
    make = maker(dataclasses.replace(PLAIN, cut_out=1.0), weak=[even])
    assert not make._sounding(even, 0, 200).any()
    assert (make.batch(epoch=0, indices=range(4)).mel > 0).any(axis=1).all()


@pytest.mark.parametrize("num_bands", [20, 16, 7])
def test_extraction_is_painted_on_any_number_of_bands(num_bands):
    grid = TargetGrid.make(features=FEATURES, window_seconds=2.0, frame_stride=4, num_bands=num_bands)
    loud = source("alpha", 8.0)
    loud.mel[200:260, 30:50] *= 100
    make = WindowMaker(PLAIN, FEATURES, grid, ("alpha",), 1, [loud])
    bands = make.batch(epoch=0, indices=range(4)).bands
    assert bands.shape == (4, 2, num_bands, 50) and bands.any()


def test_coverage_of_frames_and_bands_is_a_share():
    assert GRID.frame_coverage(0.02, 0.06).tolist()[:3] == pytest.approx([0.5, 0.5, 0.0])
    assert GRID.band_coverage(0.0, 20_000.0).tolist() == [1.0] * 20


def test_the_teacher_speaks_for_single_recordings_only():
    track = TeacherTrack(embeddings=np.arange(20, dtype=np.float32)[:, None], hop_seconds=0.5, span_seconds=1.0)
    heard = dataclasses.replace(source("alpha"), teacher=track)
    alone = maker(PLAIN, weak=[heard]).batch(epoch=0, indices=range(8))
    assert alone.teacher.shape == (8, 1)
    np.testing.assert_array_equal(alone.teacher_weight, 1)
    mixed = maker(dataclasses.replace(PLAIN, mixup=1.0, max_mix=2), weak=[heard]).batch(epoch=0, indices=range(8))
    np.testing.assert_array_equal(mixed.teacher_weight, 0)


def test_without_a_teacher_there_is_nothing_to_imitate():
    windows = maker(PLAIN).batch(epoch=0, indices=range(2))
    assert windows.teacher.shape == (2, 0)
    np.testing.assert_array_equal(windows.teacher_weight, 0)


def test_little_is_kept_in_memory_of_spectrograms_that_are_on_the_disk():
    weak = [source("alpha", seconds=60.0)]
    make = maker(dataclasses.replace(PLAIN, recording_noise=1.0, noise=1.0, cut_out=0.5), weak=weak)
    make.batch(epoch=0, indices=range(8))
    kept = [*make._masks.values(), *make._noise.values()]
    assert len(kept) == 2 and sum(array.nbytes for array in kept) < weak[0].mel.nbytes / 30
