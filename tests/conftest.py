"""What every test may count on: the shared recordings, a browser, and folders of its own for caches and runs."""

import os
import runpy
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config):
    # Before anything imports torch. The tests' models are tiny: several threads of one only wait for each other,
    # longest where other work holds a core. Two processes of tests run side by side instead.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    # How long an example takes depends on what else runs; benchmarks measure speed, tests do not.
    settings.register_profile("birdcore", deadline=None)
    settings.load_profile("birdcore")


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory):
    """Point birdcore's caches and runs at temporary folders, so that no test reads or litters the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIRDCORE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("BIRDCORE_RUNS", str(tmp_path_factory.mktemp("runs")))
        for name in ("BIRDCORE_WEIGHTS", "BIRDCORE_RECORDINGS"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def shared_data():
    """Folder of the real recordings (``manifest.csv``, ``clips/``, ``strong/`` …); without it the test does not run."""
    path = Path(os.environ.get("BIRDCORE_DATA") or ROOT.parent / "shared" / "data").resolve()
    if not (path / "manifest.csv").is_file():
        reason = f"needs the real recordings, and {path} has no manifest.csv; name their folder in BIRDCORE_DATA"
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(reason)
        pytest.fail(reason)
    return path


@pytest.fixture(scope="session")
def chromium():
    """Path of the Chromium that the browser tests start."""
    script = runpy.run_path(str(ROOT / ".ci" / "chromium.py"))
    path = script["find_chromium"]()
    if path is None:
        pytest.fail(script["ADVICE"])
    return path


@pytest.fixture(scope="session")
def new_cache(tmp_path_factory):
    """``new_cache()``: an empty cache but for the sample soundscapes, which every first visit would mix again."""
    from birdcore.data.samples import sample_soundscapes

    samples = tmp_path_factory.mktemp("samples")
    sample_soundscapes(samples)

    def make():
        cache = tmp_path_factory.mktemp("cache")
        (cache / "samples").symlink_to(samples)
        return cache

    return make
