"""``python -m birdcore data …``: get recordings to train on, and check them."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections import Counter

from birdcore.commands import audit, mix
from birdcore.commands.options import EXIT_SOME_FAILED, whole_number
from birdcore.commands.progress import count_bar
from birdcore.data.acquisition import Acquisition, Plan, acquire_recordings, plan_acquisition, read_species_codes
from birdcore.data.xenocanto import (
    LICENCES,
    QUALITIES,
    XENO_CANTO,
    connect,
    filter_recordings,
    find_key,
    rank_recordings,
    search_recordings,
)
from birdcore.errors import DataError

__all__ = ["add_command"]

URL_VARIABLE = "XENO_CANTO_URL"
LISTED_FAILURES = 20


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``data`` with its own commands to the command line."""
    data = commands.add_parser(
        "data",
        help="get recordings to train on, and check them",
        description="Get recordings to train on, and check them.",
    )
    subcommands = data.add_subparsers(dest="data_command", required=True, metavar="SOURCE")
    _add_xenocanto(subcommands)
    audit.add_command(subcommands)
    mix.add_command(subcommands)


def _add_xenocanto(subcommands: argparse._SubParsersAction) -> None:
    command = subcommands.add_parser(
        "xenocanto",
        help="download recordings from Xeno-canto, with their table",
        description="Search Xeno-canto and download what is found into a folder, with a table (manifest.csv) that "
        "training reads: the best quality first, many recordists, as many of each species. The access key is taken "
        "from XENO_CANTO_KEY. An interrupted download goes on where it was when the same command is given again; "
        "another query adds to the same folder.",
    )
    command.add_argument("query", help="Xeno-canto's tags, e.g. 'gen:Acrocephalus q:A cnt:\"United Kingdom\"'")
    command.add_argument("--out", required=True, metavar="DIR", help="folder for the recordings and their table")
    command.add_argument(
        "--max-per-species",
        type=whole_number,
        required=True,
        metavar="N",
        help="most recordings of one species in the folder",
    )
    command.add_argument(
        "--licence",
        action="append",
        default=[],
        choices=LICENCES,
        help="licence to accept, may be repeated (default: any); it is kept in the table",
    )
    command.add_argument(
        "--quality",
        action="append",
        default=[],
        choices=QUALITIES,
        help="quality to accept, may be repeated (default: any)",
    )
    command.add_argument(
        "--codes",
        metavar="CSV",
        help="table of species_code and scientific_name, e.g. eBird's (default: codes made of names)",
    )
    command.add_argument("--dry-run", action="store_true", help="search, say what would be downloaded, and stop")
    command.add_argument(
        "--workers", type=whole_number, default=4, metavar="N", help="downloads at a time (default: 4)"
    )
    command.add_argument(
        "--max-megabytes", type=whole_number, default=200, metavar="N", help="largest recording to take (default: 200)"
    )
    command.add_argument(
        "--interval", type=_interval, default=1.0, metavar="S", help="seconds between two requests (default: 1)"
    )
    command.add_argument(
        "--url",
        default=os.environ.get(URL_VARIABLE) or XENO_CANTO,
        help=f"address of the server (default: {URL_VARIABLE}, or {XENO_CANTO})",
    )
    command.set_defaults(run=_xenocanto)


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r}: must be 0 to 3600 seconds")
    return seconds


def _xenocanto(options: argparse.Namespace) -> int:
    codes = read_species_codes(options.codes) if options.codes else {}
    with connect(options.url, key=find_key(), interval=options.interval) as connection:
        with count_bar("search", "pages") as progress:
            found = search_recordings(connection, options.query, progress=progress)
        kept, left_out = filter_recordings(found, licences=options.licence, qualities=options.quality)
        _say_found(len(found), left_out)
        ranked = rank_recordings(kept)
        plan = plan_acquisition(ranked, options.out, max_per_species=options.max_per_species)
        if not plan.chosen and not plan.rows:
            raise DataError(f"{options.query}: nothing to download; widen the query or the filters")
        _say_plan(plan, codes)
        if options.dry_run:
            return 0
        with count_bar("download", "recordings") as progress:
            result = acquire_recordings(
                connection,
                plan,
                codes=codes,
                max_bytes=options.max_megabytes * 1_000_000,
                num_workers=options.workers,
                progress=progress,
            )
    return _say_result(result)


def _say_found(num_found: int, left_out: Counter[str]) -> None:
    reasons = ", ".join(f"{number} {reason}" for reason, number in left_out.most_common())
    print(f"{num_found} recordings found" + (f"; left out: {reasons}" if reasons else ""))


def _say_plan(plan: Plan, codes: dict[str, str]) -> None:
    """A line per species: how many there are, are here, will come, and by how many recordists."""
    present = Counter(row["scientific_name"] for row in plan.rows.values())
    print(f"{'species':<36}{'found':>7}{'here':>7}{'to get':>8}{'recordists':>12}")
    for species, recordings in plan.ranked.items():
        chosen = [recording for recording in plan.chosen if recording.scientific_name == species]
        recordists = len({recording.recordist for recording in chosen})
        print(f"{species:<36}{len(recordings):>7}{present[species]:>7}{len(chosen):>8}{recordists:>12}")
    licences = Counter(recording.licence or "another" for recording in plan.chosen)
    if licences:
        print("Licences to get: " + ", ".join(f"{name} {number}" for name, number in licences.most_common()))
    if plan.damaged:
        print(f"Gone or changed since they were downloaded: {', '.join(plan.damaged[:LISTED_FAILURES])}")
    uncoded = [species for species in plan.ranked if codes and species not in codes]
    if uncoded:
        print(f"No species code in the table, so one is made of the name: {', '.join(uncoded)}")


def _say_result(result: Acquisition) -> int:
    print(f"{result.table}: {result.num_recordings} recordings, {result.num_downloaded} of them new")
    for title, failures in (("cannot be had", result.refused), ("failed for now", result.unavailable)):
        for name, reason in list(failures.items())[:LISTED_FAILURES]:
            print(f"{title}: {name}: {reason}", file=sys.stderr)
        if len(failures) > LISTED_FAILURES:
            print(f"{title}: {len(failures) - LISTED_FAILURES} more", file=sys.stderr)
    folder = shlex.quote(str(result.table.parent))
    print(
        f"Train on it: python train.py --config configs/efficientnet_b0.toml --data {folder} "
        "--set extra_manifest= --set background= --set strong="
    )
    if result.unavailable:
        print("The same command tries the failed ones again.", file=sys.stderr)
        return EXIT_SOME_FAILED
    return 0
