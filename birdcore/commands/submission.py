"""``python -m birdcore submission``: a BirdCLEF submission from recordings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from birdcore.audio.search import find_recordings
from birdcore.commands.options import EXIT_SOME_FAILED, add_weights
from birdcore.errors import AudioError, DataError
from birdcore.export.cells import path_text, terminal_text
from birdcore.export.submission import ROW_SECONDS, match_columns, read_sample_columns, write_submission
from birdcore.scores import Scores

__all__ = ["add_command"]


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``submission`` to the command line."""
    command = commands.add_parser(
        "submission",
        help="write a BirdCLEF submission",
        description=f"Write a table with a row for every {ROW_SECONDS} s of every recording (row_id is "
        "NAME_END-SECOND) and a column for every species.",
    )
    command.add_argument("paths", nargs="+", metavar="PATH", help="recordings, and folders of recordings")
    add_weights(command)
    command.add_argument("--out", default="submission.csv", metavar="FILE", help="default: submission.csv")
    command.add_argument(
        "--sample",
        metavar="SAMPLE.csv",
        help="the competition's sample_submission.csv, whose columns are taken (default: the model's species)",
    )
    command.set_defaults(run=_submission)


def _submission(options: argparse.Namespace) -> int:
    from birdcore.inference.predictor import Predictor  # loads torch, which --help should not wait for

    if Path(options.out).is_dir():
        raise DataError(f"--out {options.out}: is a folder; name a file in it")
    codes = read_sample_columns(options.sample) if options.sample else None
    predictor = Predictor.load(options.weights)
    model_codes = [name.code for name in predictor.config.class_names]
    columns = match_columns(codes or model_codes, model_codes=model_codes)
    if columns.unknown:
        listed = _some(columns.unknown)
        print(f"{len(columns.unknown)} species that the model does not know get 0: {listed}", file=sys.stderr)
    if columns.unused:
        listed = _some(columns.unused)
        print(f"{len(columns.unused)} species of the model have no column: {listed}", file=sys.stderr)

    paths = list(find_recordings(options.paths))
    if not paths:
        raise DataError(f"{', '.join(options.paths)}: holds no recordings")
    failures: list[str] = []

    def analyzed() -> Iterator[tuple[str, Scores]]:
        # Windows as long as a row need not overlap: each is a row.
        overlap = 0.0 if predictor.config.window_seconds == ROW_SECONDS else None
        for path in tqdm(paths, desc="recordings"):
            try:
                yield path_text(path.stem), predictor.analyze(path, overlap=overlap)
            except AudioError as error:
                failures.append(str(error))

    num_rows = write_submission(options.out, analyzed(), columns=columns)
    print(f"{options.out}: {num_rows} rows, {len(columns.codes)} species")
    for failure in failures:
        print(f"left out: {terminal_text(failure)}", file=sys.stderr)
    return EXIT_SOME_FAILED if failures else 0


def _some(codes: Sequence[str]) -> str:
    return ", ".join(codes[:5]) + (", …" if len(codes) > 5 else "")
