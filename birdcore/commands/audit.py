"""``python -m birdcore data check``: what is in a data set, and what is wrong with it."""

from __future__ import annotations

import argparse
import sys

from birdcore.commands.progress import step_bar
from birdcore.data.audit import Audit, audit_dataset, audit_text, files_text, problems_text
from birdcore.data.readers import DATA_FORMATS, read_dataset
from birdcore.export.cells import terminal_text
from birdcore.files import write_text
from birdcore.places import data_root

__all__ = ["add_command"]

EXIT_ERRORS_FOUND = 3
LISTED_ITEMS = 5


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``check`` to the commands of ``data``."""
    command = commands.add_parser(
        "check",
        help="say what is in a data set, and what is wrong with it",
        description="Open every sound of a data set, compare it with all others, and say what is wrong: unreadable, "
        "silent or repeated sounds, sounds on both sides of the split, species with too few recordings. Nothing is "
        "changed. Exit status 3 where errors were found.",
    )
    command.add_argument("folder", nargs="?", metavar="DIR", help="data folder (default: BIRDCORE_DATA, or data/)")
    command.add_argument(
        "--format", choices=("auto", *DATA_FORMATS), default="auto", help="of the folder (default: recognised)"
    )
    command.add_argument("--all", action="store_true", help=f"list everything, not just {LISTED_ITEMS} of each problem")
    command.add_argument("--json", metavar="OUT", help="file for the whole audit")
    command.add_argument("--problems", metavar="OUT", help="file for a table of the problems (CSV)")
    command.add_argument("--files", metavar="OUT", help="file for a table of the sound files (CSV)")
    command.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    folder = options.folder or data_root()
    dataset = read_dataset(folder, data_format=options.format)
    with step_bar() as progress:
        audit = audit_dataset(dataset, folder, progress=progress)
    for output, make in ((options.json, audit_text), (options.problems, problems_text), (options.files, files_text)):
        if output:
            write_text(output, make(audit))
    _say(audit, num_items=None if options.all else LISTED_ITEMS)
    return EXIT_ERRORS_FOUND if audit.count_problems("error") else 0


def _say(audit: Audit, *, num_items: int | None) -> None:
    print(
        f"{audit.folder} ({audit.dataset.data_format}): {len(audit.files)} sounds, {audit.duration / 3600:.2f} h, "
        f"{len(audit.classes)} species, {audit.num_boxes} boxes"
    )
    # A terminal that is not UTF-8 could not print every file name.
    encoding = sys.stdout.encoding or "ascii"
    for problem in audit.problems:
        print(f"\n{problem.severity.upper()}: {_printable(problem.title, encoding)}")
        print(f"  {_printable(problem.remedy, encoding)}")
        for item in problem.items[:num_items]:
            print(f"    {_printable(item, encoding)}")
        if num_items is not None and len(problem.items) > num_items:
            print(
                f"    … and {len(problem.items) - num_items} more (--all)".encode(encoding, "replace").decode(encoding)
            )
    if not audit.problems:
        print("Nothing was found that is wrong with it.")


def _printable(text: str, encoding: str) -> str:
    return terminal_text(text).encode(encoding, "backslashreplace").decode(encoding)
