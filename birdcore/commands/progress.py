"""Progress bars of the commands, each with the function that moves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from birdcore.export.cells import terminal_text
from birdcore.inference.batch import BatchProgress

__all__ = ["batch_bar", "count_bar", "share_bar", "step_bar"]

_SHARE = "{desc} {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"


@contextmanager
def share_bar(title: str) -> Iterator[Callable[[float], None]]:
    """A bar over a share from 0 to 1; gives the function that takes the share."""
    with tqdm(total=1.0, desc=title, bar_format=_SHARE) as bar:

        def report(share: float) -> None:
            bar.update(share - bar.n)

        yield report


@contextmanager
def step_bar() -> Iterator[Callable[[str, float], None]]:
    """A bar that starts anew with each named step; gives the function that takes the step and the share of it."""
    with tqdm(total=1.0, bar_format=_SHARE) as bar:

        def report(step: str, share: float) -> None:
            if share < bar.n:
                bar.reset()
            bar.set_description_str(step, refresh=False)
            bar.update(share - bar.n)

        yield report


@contextmanager
def count_bar(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over things that are counted; gives the function that takes how many are done, and how many there are."""
    with tqdm(desc=title, unit=f" {unit}", total=1) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report


@contextmanager
def batch_bar() -> Iterator[Callable[[BatchProgress], None]]:
    """A bar over recordings, which also moves within long ones; gives the function that a batch reports to."""
    with tqdm(bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total} [{elapsed}<{remaining}]") as bar:

        def report(progress: BatchProgress) -> None:
            bar.total = progress.num_found
            failed = f" ({progress.num_failed} failed)" if progress.num_failed else ""
            name = terminal_text(progress.path.name) if progress.path else "all recordings"
            bar.set_description_str(f"{name}{failed}", refresh=False)
            bar.update(progress.num_done + progress.fraction - bar.n)

        yield report
