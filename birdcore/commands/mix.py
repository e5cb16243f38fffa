"""``python -m birdcore data mix``: soundscapes whose calls are all known, made from single calls and backgrounds."""

from __future__ import annotations

import argparse

from birdcore.commands.progress import count_bar
from birdcore.data.readers import DATA_FORMATS, read_dataset
from birdcore.data.soundscape import SoundscapeConfig
from birdcore.data.soundscape_set import AUDIO_FORMATS, CALL_KINDS, SPLITS, SoundscapeSources, write_soundscapes
from birdcore.places import data_root

__all__ = ["add_command"]


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``mix`` to the commands of ``data``."""
    usual = SoundscapeConfig()
    command = commands.add_parser(
        "mix",
        help="mix soundscapes with exact boxes from single calls and backgrounds",
        description="Place single calls of a data set, or synthesised ones, at random over bird-free backgrounds, and "
        "write the soundscapes with a table of all boxes (annotations.csv), which training, evaluation and 'data check' "
        "read as they read Zenodo's collections. The same seed gives the same soundscapes.",
    )
    command.add_argument("--out", required=True, metavar="DIR", help="folder for the soundscapes; new, or empty")
    command.add_argument("--count", type=int, required=True, metavar="N", help="number of soundscapes")
    command.add_argument("--data", metavar="DIR", help="data folder (default: BIRDCORE_DATA, or data/)")
    command.add_argument(
        "--format", choices=("auto", *DATA_FORMATS), default="auto", help="of the folder (default: recognised)"
    )
    command.add_argument(
        "--calls",
        choices=CALL_KINDS,
        default="isolated",
        help="calls to place: isolated (cut out of their background, so that boxes are exact), boxes (every boxed call, "
        "its band alone), recordings (each labelled recording as one call), or synthetic (default: isolated)",
    )
    command.add_argument("--synthetic-background", action="store_true", help="made-up places, not the data set's")
    command.add_argument(
        "--species",
        action="append",
        default=[],
        metavar="CODE",
        help="species to place, may be repeated (default: all)",
    )
    command.add_argument("--split", choices=SPLITS, default="train", help="part of the data set (default: train)")
    command.add_argument(
        "--duration",
        type=float,
        default=usual.duration,
        metavar="S",
        help=f"seconds of a soundscape (default: {usual.duration:g})",
    )
    command.add_argument(
        "--sample-rate",
        type=int,
        default=usual.sample_rate,
        metavar="HZ",
        help=f"of the soundscapes (default: {usual.sample_rate})",
    )
    command.add_argument(
        "--events",
        type=int,
        nargs=2,
        default=usual.num_events,
        metavar=("MIN", "MAX"),
        help="fewest and most calls in a soundscape (default: {} {})".format(*usual.num_events),
    )
    command.add_argument(
        "--snr",
        type=float,
        nargs=2,
        default=usual.snr_db,
        metavar=("LOW", "HIGH"),
        help="signal-to-noise ratio in dB within a call's box (default: {:g} {:g})".format(*usual.snr_db),
    )
    command.add_argument(
        "--overlap",
        type=float,
        default=usual.overlap,
        metavar="SHARE",
        help=f"largest share of a call during which others may sound, 0 to 1 (default: {usual.overlap:g})",
    )
    for kind in ("speech", "rain"):
        chance = getattr(usual, f"{kind}_probability")
        command.add_argument(
            f"--{kind}", type=float, default=chance, metavar="P", help=f"chance of {kind}, 0 to 1 (default: {chance:g})"
        )
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of all chance, 0 or more (default: 0)")
    command.add_argument("--audio", choices=AUDIO_FORMATS, default="flac", help="format of the sound (default: flac)")
    command.set_defaults(run=_mix)


def _mix(options: argparse.Namespace) -> int:
    config = SoundscapeConfig(
        duration=options.duration,
        sample_rate=options.sample_rate,
        num_events=tuple(options.events),
        snr_db=tuple(options.snr),
        overlap=options.overlap,
        speech_probability=options.speech,
        rain_probability=options.rain,
    )
    sources = SoundscapeSources(
        calls=options.calls,
        synthetic_background=options.synthetic_background,
        species=tuple(options.species),
        split=options.split,
    )
    dataset = read_dataset(options.data or data_root(), data_format=options.format) if sources.need_data else None
    with count_bar("mix", "soundscapes") as progress:
        paths = write_soundscapes(
            options.out,
            count=options.count,
            config=config,
            sources=sources,
            seed=options.seed,
            dataset=dataset,
            audio_format=options.audio,
            progress=progress,
        )
    print(f"{options.out}: {len(paths)} soundscapes of {options.duration:g} s, their boxes in annotations.csv")
    return 0
