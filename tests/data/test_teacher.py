import numpy as np

from birdcore.data.teacher import TeacherTrack, reduce_tracks


def track(embeddings, *, hop=1.5, span=3.0):
    return TeacherTrack(embeddings=np.asarray(embeddings, dtype=np.float32), hop_seconds=hop, span_seconds=span)


def test_a_window_gets_the_mean_of_the_spans_in_it():
    heard = track([[0.0], [1.0], [2.0], [3.0]])  # from 0, 1.5, 3 and 4.5 s on
    np.testing.assert_allclose(heard.between(0.0, 4.5), [(0.0 + 1.0 + 0.5 * 2.0) / 2.5])
    np.testing.assert_allclose(heard.between(3.0, 6.0), [(2.0 + 0.5 * 1.0 + 0.5 * 3.0) / 2.0])


def test_a_span_that_mostly_lies_outside_is_not_heard():
    heard = track([[0.0], [100.0]], hop=3.0)
    np.testing.assert_allclose(heard.between(0.0, 4.0), [0.0])


def test_before_the_start_and_after_the_end_the_nearest_span_speaks():
    heard = track([[1.0], [2.0]])
    np.testing.assert_allclose(heard.between(-9.0, -5.0), [1.0])
    np.testing.assert_allclose(heard.between(50.0, 55.0), [2.0])


def test_reduced_tracks_have_mean_zero_and_mean_square_one():
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(6, 20))
    tracks = [track(generator.normal(size=(n, 6)) @ mixing + 3) for n in (5, 40, 200)]
    reduced = reduce_tracks(tracks, size=4)
    assert [r.embeddings.shape for r in reduced] == [(5, 4), (40, 4), (200, 4)]
    rows = np.concatenate([r.embeddings for r in reduced])
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(np.mean(rows**2), 1, rtol=1e-4)
    deviations = rows.std(axis=0)
    assert (np.diff(deviations) < 0).all()  # the directions that matter most come first


def test_reduced_tracks_keep_what_is_alike_alike():
    generator = np.random.default_rng(1)
    a, b = generator.normal(size=(2, 30))
    rows = np.stack([a, a + 0.01, b, b + 0.01, *generator.normal(size=(20, 30))])
    near = reduce_tracks([track(rows)], size=10)[0].embeddings
    assert np.linalg.norm(near[0] - near[1]) < 0.1 * np.linalg.norm(near[0] - near[2])


def test_numbers_that_never_change_do_no_harm():
    rows = np.random.default_rng(2).normal(size=(12, 5))
    rows[:, 2] = 7.0
    assert np.isfinite(reduce_tracks([track(rows)], size=8)[0].embeddings).all()
