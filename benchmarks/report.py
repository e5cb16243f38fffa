"""What the benchmarks share: one way to time, one table, one JSON file with the machine it was measured on.

Run a benchmark from the project's folder as ``python -m benchmarks.NAME``; with ``--quick`` it does as little as
possible, to see that it works, and keeps no result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from birdcore.files import write_text

__all__ = ["RESULTS", "best_seconds", "machine_facts", "parse_quick", "write_report"]

RESULTS = Path(__file__).parent / "results"


def parse_quick(description: str) -> bool:
    """Read the command line; whether ``--quick`` was given."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works; keeps no result")
    return parser.parse_args().quick


def best_seconds(function: Callable[[], object], *, repeats: int) -> float:
    """Shortest of several runs, in seconds, after one that warms up: whatever disturbs a run only makes it longer."""
    function()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def write_report(name: str, rows: list[dict[str, object]], *, quick: bool) -> None:
    """Print rows as a table; keep them, with the machine, in ``benchmarks/results/<name>.json`` unless quick.

    Parameters
    ----------
    rows : all with the same keys, which carry the units
    """
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if quick:
        return
    result = {"benchmark": name, "measured": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine_facts(), "rows": rows}
    write_text(RESULTS / f"{name}.json", json.dumps(result, indent=1) + "\n")


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def machine_facts() -> dict[str, object]:
    """Facts that the figures depend on."""
    import torch

    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():  # platform.processor() is empty or vague on Linux
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = models[0] if models else processor
    return {
        "processor": processor,
        # Those this process may use, where the system tells.
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "onnxruntime", "numpy", "librosa")},
    }
