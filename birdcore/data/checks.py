"""What can be wrong with a data set: each check names the files or species concerned, and says what to do."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from birdcore.data.annotations import UNKNOWN_LABELS
from birdcore.data.inspection import SoundFacts
from birdcore.data.readers import Dataset
from birdcore.errors import AudioError

__all__ = [
    "AuditedFile",
    "ClassSummary",
    "DatasetProblem",
    "Duplicate",
    "Severity",
    "find_problems",
]

Severity = Literal["error", "warning", "note"]

MIN_BOXES = 20  # of a species known from boxes alone; the published CRNN used species with more than 150
MIN_RECORDINGS = 5  # as many as the usual folds: each then validates on at least one
SILENT_PEAK_DB = -60.0
CLIPPED_SHARE = 1e-3
SHORT_SECONDS = 1.0
LOW_SAMPLE_RATE = 22_050
ONE_SOURCE_SHARE = 0.9
IMBALANCE = 20
BOX_SLACK_SECONDS = 0.5  # annotation programs and codecs disagree by this much about where a file ends


@dataclass(frozen=True, kw_only=True)
class AuditedFile:
    """A sound file of a data set, under all the names it has there.

    Parameters
    ----------
    path : the file
    name : its path from the data folder on
    roles : tables it stands in: "recording", "extra", "boxes", "background"
    labels : species codes, of the recording and of its boxes
    splits : as the tables say; more than one is a fault
    recording_id, group, source, licence : "" where unknown
    rating : 0.5 to 5, or None
    bird_free : a table says that no bird is heard
    finding : what the file tells, or why it cannot be read
    """

    path: Path
    name: str
    roles: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    recording_id: str
    group: str
    source: str
    licence: str
    rating: float | None
    bird_free: bool
    finding: SoundFacts | AudioError

    @property
    def facts(self) -> SoundFacts | None:
        """What the file tells, or None where it cannot be read."""
        return self.finding if isinstance(self.finding, SoundFacts) else None

    @property
    def sides(self) -> frozenset[str]:
        """What the file is used for: "train", "validation" or "test"; nothing for the split "none"."""
        held_out = ("validation", "test")
        return frozenset(split if split in held_out else "train" for split in self.splits if split != "none")


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """Two files that hold the same sound.

    Parameters
    ----------
    first, second : the files
    lag : seconds of the first at which the second begins; negative where the second begins earlier
    overlap : seconds that both hold
    similarity : of their pictures, at most 1; exactly 1 for files of the same bytes
    """

    first: AuditedFile
    second: AuditedFile
    lag: float
    overlap: float
    similarity: float

    @property
    def leaks(self) -> bool:
        """The sound stands on two sides of the split."""
        sides = self.first.sides, self.second.sides
        return all(sides) and len(sides[0] | sides[1]) > 1

    @property
    def is_known(self) -> bool:
        """The tables say that the two belong together."""
        same_recording = self.first.recording_id and self.first.recording_id == self.second.recording_id
        return bool(same_recording or (self.first.group and self.first.group == self.second.group))

    def describe(self) -> str:
        """One line: which files, on which sides, and how much they share."""
        names = " = ".join(_with_sides(file) for file in self.files)
        return f"{names}: {self.overlap:.1f} s in common, likeness {self.similarity:.2f}"

    @property
    def files(self) -> tuple[AuditedFile, AuditedFile]:
        """Both files."""
        return self.first, self.second


@dataclass(frozen=True, kw_only=True)
class ClassSummary:
    """What there is of one species.

    Parameters
    ----------
    code, common_name, scientific_name, animal_class : the species
    num_recordings : labelled recordings
    num_train, num_test : of these, by split; recordings without a split are training recordings
    num_groups : independent groups of recordings
    is_extra : the species is there only as an "other bird"
    duration : seconds of the labelled recordings that can be read
    num_boxes : boxes in time and frequency
    sources : collection → recordings
    """

    code: str
    common_name: str
    scientific_name: str
    animal_class: str
    num_recordings: int
    num_train: int
    num_test: int
    num_groups: int
    is_extra: bool
    duration: float
    num_boxes: int
    sources: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class DatasetProblem:
    """Something wrong or doubtful.

    Parameters
    ----------
    kind : short name of the check, the same in every audit
    severity : "error" makes figures wrong or stops training, "warning" makes a model worse, "note" is good to know
    title : what it is, a sentence
    remedy : what to do about it
    items : files, pairs of files, or species, one line each
    """

    kind: str
    severity: Severity
    title: str
    remedy: str
    items: tuple[str, ...]


def find_problems(
    dataset: Dataset,
    files: Sequence[AuditedFile],
    classes: Sequence[ClassSummary],
    duplicates: Sequence[Duplicate],
    *,
    unlisted: Sequence[str] = (),
) -> list[DatasetProblem]:
    """Run all checks.

    Parameters
    ----------
    dataset, files, classes, duplicates : see :class:`birdcore.data.audit.Audit`
    unlisted : names of sounds in the folder that are in no table

    Returns
    -------
    Problems, the gravest first.
    """
    found = [
        *_unusable_files(files),
        *_leaks(files, duplicates),
        *_doubtful_duplicates(duplicates),
        *_uneven_classes(classes),
        *_doubtful_classes(classes),
        *_doubtful_boxes(dataset, files),
        *_doubtful_sounds(files),
        *_reader_problems(dataset),
        *_unstated(files),
        *_problem(
            "unlisted",
            "note",
            unlisted,
            title=lambda count: f"{_number(count, 'sound', 'sounds')} in the folder {'is' if count == 1 else 'are'} in "
            "no table",
            remedy="Nothing, if they are left out on purpose; otherwise add their rows.",
        ),
    ]
    order = ("error", "warning", "note")
    return sorted(found, key=lambda problem: order.index(problem.severity))


def _problem(
    kind: str, severity: Severity, items: Iterable[str], *, title: Callable[[int], str], remedy: str
) -> Iterator[DatasetProblem]:
    """The problem, where there is one."""
    listed = tuple(items)
    if listed:
        yield DatasetProblem(kind=kind, severity=severity, title=title(len(listed)), remedy=remedy, items=listed)


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _unusable_files(files: Sequence[AuditedFile]) -> Iterator[DatasetProblem]:
    yield from _problem(
        "unreadable",
        "error",
        (
            f"{file.name}: {str(file.finding).removeprefix(f'{file.path.name}: ')}"
            for file in files
            # A missing file is listed by the reader of the table.
            if file.facts is None and file.path.exists()
        ),
        title=lambda count: f"{_number(count, 'file', 'files')} cannot be read",
        remedy="Copy or download them again; if that does not help, remove their rows. Training leaves them out.",
    )
    readable = [file for file in files if file.facts is not None]
    yield from _problem(
        "silent",
        "error",
        (f"{file.name}: peak at {file.facts.peak_db:.0f} dBFS" for file in readable if _is_silent(file)),
        title=lambda count: f"{_number(count, 'file holds', 'files hold')} nothing but silence",
        remedy="Remove them: a species that is silent teaches a model that silence is that species.",
    )
    yield from _problem(
        "damaged",
        "warning",
        (f"{file.name}: {file.facts.fault}" for file in readable if file.facts.fault),
        title=lambda count: f"{_number(count, 'file breaks', 'files break')} off before its announced end",
        remedy="Copy or download them again. What can be read of them is used.",
    )


def _is_silent(file: AuditedFile) -> bool:
    return file.facts.peak_db < SILENT_PEAK_DB


def _leaks(files: Sequence[AuditedFile], duplicates: Sequence[Duplicate]) -> Iterator[DatasetProblem]:
    yield from _problem(
        "listed-on-both-sides",
        "error",
        (f"{file.name}: {', '.join(sorted(file.sides))}" for file in files if len(file.sides) > 1),
        title=lambda count: f"{_number(count, 'file is', 'files are')} listed for training and for testing",
        remedy="Give each file one split in all tables.",
    )
    for attribute, noun in (("recording_id", "recording"), ("group", "group")):
        members: dict[str, list[AuditedFile]] = defaultdict(list)
        for file in files:
            if getattr(file, attribute):
                members[getattr(file, attribute)].append(file)
        yield from _problem(
            f"{noun}-on-both-sides",
            "error",
            (
                f"{name}: {', '.join(_with_sides(file) for file in group)}"
                for name, group in members.items()
                if len(frozenset().union(*(file.sides for file in group))) > 1
            ),
            title=lambda count, noun=noun: (
                f"{_number(count, noun, f'{noun}s')} {'has' if count == 1 else 'have'} files on both sides of the split"
            ),
            remedy="Move all files of one recording, site or recordist and day to the same side; until then test "
            "figures are too good.",
        )
    yield from _problem(
        "sound-on-both-sides",
        "error",
        (duplicate.describe() for duplicate in duplicates if duplicate.leaks),
        title=lambda count: f"{_number(count, 'sound is', 'sounds are')} in training and in test files",
        remedy="Move one file of each pair to the side of the other, or remove it, and give both the same recording_id; "
        "until then the model is tested on what it has learnt by heart.",
    )


def _with_sides(file: AuditedFile) -> str:
    return f"{file.name} ({'/'.join(sorted(file.sides)) or 'unused'})"


def _doubtful_duplicates(duplicates: Sequence[Duplicate]) -> Iterator[DatasetProblem]:
    same_side = [duplicate for duplicate in duplicates if not duplicate.leaks]
    yield from _problem(
        "labels-disagree",
        "warning",
        (
            f"{duplicate.describe()}: {'/'.join(duplicate.first.labels)} and {'/'.join(duplicate.second.labels)}"
            for duplicate in duplicates
            if all(file.labels for file in duplicate.files)
            and not set(duplicate.first.labels) & set(duplicate.second.labels)
        ),
        title=lambda count: f"{_number(count, 'sound has', 'sounds have')} different labels in different files",
        remedy="Listen: either one label is wrong, or both species sing and each belongs to the other's secondary "
        "labels.",
    )
    yield from _problem(
        "background-with-bird",
        "warning",
        (
            duplicate.describe()
            for duplicate in duplicates
            if any(file.bird_free for file in duplicate.files) and any(file.labels for file in duplicate.files)
        ),
        title=lambda count: f"{_number(count, 'background', 'backgrounds')} called bird-free "
        f"{'is' if count == 1 else 'are'} also a labelled recording",
        remedy="Listen, and remove the background or the label.",
    )
    apart = [d for d in same_side if not d.is_known and not any("boxes" in file.roles for file in d.files)]
    yield from _problem(
        "near-duplicates",
        "warning",
        (duplicate.describe() for duplicate in apart),
        title=lambda count: f"{_number(count, 'pair of files holds', 'pairs of files hold')} the same sound and {'is' if count == 1 else 'are'} "
        "called independent",
        remedy="Give both the same recording_id, so that no fold separates them, or remove one.",
    )
    boxed = [d for d in same_side if not d.is_known and any("boxes" in file.roles for file in d.files)]
    yield from _problem(
        "boxed-copies",
        "note",
        (duplicate.describe() for duplicate in boxed),
        title=lambda count: f"{_number(count, 'file with boxes holds', 'files with boxes hold')} the same sound as "
        "another file on the same side",
        remedy="Nothing for training and testing. For cross-validation, keep such pairs in one fold.",
    )


def _uneven_classes(classes: Sequence[ClassSummary]) -> Iterator[DatasetProblem]:
    own = [summary for summary in classes if summary.num_recordings and not summary.is_extra]
    has_test = any(summary.num_test for summary in own)
    yield from _problem(
        "never-trained",
        "error",
        (f"{_name(summary)}: {summary.num_test} in test" for summary in own if not summary.num_train),
        title=lambda count: f"{_number(count, 'species is', 'species are')} in the test split only",
        remedy="Move some of their recordings, whole groups at a time, to training, or leave the species out.",
    )
    yield from _problem(
        "too-few",
        "warning",
        (
            f"{_name(summary)}: {_number(summary.num_recordings, 'recording', 'recordings')} "
            f"in {_number(summary.num_groups, 'group', 'groups')}"
            for summary in own
            if summary.num_groups < MIN_RECORDINGS
        ),
        title=lambda count: f"{_number(count, 'species has', 'species have')} fewer than {MIN_RECORDINGS} independent "
        "recordings",
        remedy="Get more (python -m birdcore data xenocanto), or leave these species out: with so few, some folds "
        "cannot measure them, and a model learns the recording instead of the bird.",
    )
    yield from _problem(
        "few-boxes",
        "warning",
        (
            f"{_name(summary)}: {_number(summary.num_boxes, 'box', 'boxes')}"
            for summary in ([] if own else classes)
            if summary.num_boxes < MIN_BOXES
        ),
        title=lambda count: f"{_number(count, 'species has', 'species have')} fewer than {MIN_BOXES} boxes",
        remedy="Draw more, or leave these species out: figures for them would be chance.",
    )
    if has_test:
        yield from _problem(
            "never-tested",
            "warning",
            (_name(summary) for summary in own if summary.num_train and not summary.num_test),
            title=lambda count: f"{_number(count, 'species has', 'species have')} no test recording",
            remedy="Move a group of their recordings to the test split; until then nobody knows how well they are "
            "told.",
        )
    if own:
        counts = sorted((summary.num_train + summary.num_test, _name(summary)) for summary in own)
        (least, rarest), (most, commonest) = counts[0], counts[-1]
        yield from _problem(
            "imbalance",
            "note",
            [f"{commonest}: {most}", f"{rarest}: {least}"] if most >= IMBALANCE * max(1, least) else [],
            title=lambda _: f"The most frequent species has {most / max(1, least):.0f} times the recordings of the rarest",
            remedy="Train with balanced drawing (the default) or class weights, and look at figures per species.",
        )


def _doubtful_classes(classes: Sequence[ClassSummary]) -> Iterator[DatasetProblem]:
    own = [summary for summary in classes if summary.num_recordings and not summary.is_extra]
    all_sources = sum((Counter(summary.sources) for summary in own), Counter())
    single = []
    for summary in own:
        source, count = max(summary.sources.items(), key=lambda item: item[1], default=("", 0))
        if source and count >= ONE_SOURCE_SHARE * summary.num_recordings:
            single.append(f"{_name(summary)}: {count} of {summary.num_recordings} from {source}")
    yield from _problem(
        "one-source",
        "warning",
        single if len(all_sources) > 1 else [],
        title=lambda count: f"{_number(count, 'species comes', 'species come')} nearly all from one source, others from another",
        remedy="Add recordings of the species from other sources, and report figures within each source: a model can "
        "recognise a codec or a noise floor instead of a bird.",
    )


def _name(summary: ClassSummary) -> str:
    return summary.code if summary.common_name == summary.code else f"{summary.common_name} ({summary.code})"


def _doubtful_boxes(dataset: Dataset, files: Sequence[AuditedFile]) -> Iterator[DatasetProblem]:
    facts = {file.path: file for file in files if file.facts is not None}
    beyond, above = [], []
    for annotated in dataset.annotated:
        file = facts.get(annotated.path)
        if file is None:
            continue
        duration, nyquist = file.facts.duration, file.facts.sample_rate / 2
        for event in annotated.events:
            where = f"{file.name}: {event.label} at {event.onset:.2f} s"
            if event.offset > duration + BOX_SLACK_SECONDS:
                beyond.append(f"{where} ends at {event.offset:.2f} s, the file at {duration:.2f} s")
            if event.fmin is not None and event.fmin >= nyquist:
                above.append(f"{where} begins at {event.fmin:.0f} Hz, the file ends at {nyquist:.0f} Hz")
    yield from _problem(
        "box-beyond-end",
        "error",
        beyond,
        title=lambda count: f"{_number(count, 'box lies', 'boxes lie')} behind the end of the file",
        remedy="Is the table in seconds, and of the same cut of the recording? Correct the times, or copy the whole "
        "recording.",
    )
    yield from _problem(
        "box-above-band",
        "error",
        above,
        title=lambda count: f"{_number(count, 'box lies', 'boxes lie')} above what the file can hold",
        remedy="Are the frequencies in Hz? Otherwise the file was resampled: use the original.",
    )
    unknown = Counter(
        event.label for annotated in dataset.annotated for event in annotated.events if event.label in UNKNOWN_LABELS
    )
    yield from _problem(
        "unknown-birds",
        "note",
        (f"{label}: {_number(count, 'box', 'boxes')}" for label, count in unknown.most_common()),
        title=lambda _: f"{_number(unknown.total(), 'box is', 'boxes are')} of a bird that the annotator could not name",
        remedy="Nothing: they are masked, neither a species nor its absence.",
    )
    named = {recording.label for recording in (*dataset.recordings, *dataset.extra)}
    boxed = Counter(event.label for annotated in dataset.annotated for event in annotated.events)
    yield from _problem(
        "boxes-only",
        "note",
        (
            f"{label}: {_number(count, 'box', 'boxes')}"
            for label, count in boxed.most_common()
            if named and label not in named and label not in UNKNOWN_LABELS
        ),
        title=lambda count: f"{_number(count, 'species has', 'species have')} boxes and no labelled recording",
        remedy="Is it the same species under another code? Otherwise these boxes are other birds to the model.",
    )


def _doubtful_sounds(files: Sequence[AuditedFile]) -> Iterator[DatasetProblem]:
    readable = [file for file in files if file.facts is not None]
    yield from _problem(
        "clipped",
        "note",
        (
            f"{file.name}: {100 * file.facts.clipped_share:.1f} % of the samples at full scale"
            for file in sorted(readable, key=lambda file: -file.facts.clipped_share)
            if file.facts.clipped_share > CLIPPED_SHARE
        ),
        title=lambda count: f"{_number(count, 'file is', 'files are')} overdriven",
        remedy="Use the original at a lower level if there is one: clipping adds overtones that no bird sings.",
    )
    yield from _problem(
        "short",
        "note",
        (
            f"{file.name}: {file.facts.duration:.2f} s"
            for file in readable
            if file.facts.duration < SHORT_SECONDS and "boxes" not in file.roles
        ),
        title=lambda count: f"{_number(count, 'recording is', 'recordings are')} shorter than {SHORT_SECONDS:g} s",
        remedy="Nothing, if it is a whole call: short recordings are padded with silence.",
    )
    yield from _problem(
        "low-sample-rate",
        "note",
        (f"{file.name}: {file.facts.sample_rate} Hz" for file in readable if file.facts.sample_rate < LOW_SAMPLE_RATE),
        title=lambda count: f"{_number(count, 'file was', 'files were')} stored below {LOW_SAMPLE_RATE / 1000:g} kHz",
        remedy="Look for the originals: what sings higher than half the sample rate is lost, and a model may learn the "
        "missing band instead of the bird.",
    )


def _reader_problems(dataset: Dataset) -> Iterator[DatasetProblem]:
    """What the reader of the tables found, one problem for each kind of finding."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for problem in dataset.problems:
        places[problem.what, problem.remedy].append(problem.where)
    for (what, remedy), where in places.items():
        yield from _problem(
            "tables",
            "warning",
            where,
            title=lambda count, what=what: f"{_number(count, 'entry', 'entries')}: {what}",
            remedy=f"{remedy[:1].upper()}{remedy[1:]}.",
        )


def _unstated(files: Sequence[AuditedFile]) -> Iterator[DatasetProblem]:
    yield from _problem(
        "no-licence",
        "note",
        (
            f"{file.name}: {file.licence or 'nothing'}"
            for file in files
            if {"recording", "extra"} & set(file.roles) and _is_unstated(file.licence)
        ),
        title=lambda count: f"{_number(count, 'recording has', 'recordings have')} no stated licence",
        remedy="Ask the source before you publish weights trained on them, or keep those weights to yourself.",
    )


def _is_unstated(licence: str) -> bool:
    return licence.strip().lower().startswith(("unknown", "none", "n/a")) or not licence.strip()
