import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from birdcore.inference.growing import FIRST_ROWS, GrowingArray


@given(st.lists(st.integers(0, 3 * FIRST_ROWS), max_size=6))
def test_blocks_come_back_as_one(sizes):
    growing = GrowingArray((2,), np.float32)
    blocks = [np.random.default_rng(size).random((size, 2), np.float32) for size in sizes]
    for block in blocks:
        growing.append(block)
    whole = np.concatenate([np.zeros((0, 2), np.float32), *blocks])
    assert len(growing) == len(whole)
    assert np.array_equal(growing.rows(), whole)
    assert np.array_equal(growing.rows(7), whole[:7])


def test_values_are_kept_as_the_type_asked_for():
    growing = GrowingArray((), np.float16)
    growing.append(np.array([1.0, 2.0001]))
    assert growing.rows().dtype == np.float16 and growing.rows().tolist() == [1.0, 2.0]
