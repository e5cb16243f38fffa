"""Training windows: cut from recordings, mixed, changed, with targets for clip, frame and band.

Four kinds of sources are mixed: recordings that carry only a species (weak: where it sings is guessed by signal
extraction), recordings with drawn boxes (strong), single isolated calls (strong once placed on a background), and
backgrounds without birds. The noise between the songs of labelled recordings can be background, too, and a recording
can be replaced by its noise-reduced twin, or by its songs alone, cut out of it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation

from birdcore.config import MelConfig, TrainConfig
from birdcore.data.annotations import UNKNOWN_LABELS, UNNAMED_LABELS
from birdcore.data.augmentation import add_in_power, equalize, reduce_noise_in_mel, shift_frequency, stretch_time
from birdcore.data.signal_spans import find_signal_spans, mask_signal
from birdcore.data.teacher import TeacherTrack
from birdcore.errors import DataError
from birdcore.events import Event
from birdcore.features.bands import band_edges, row_positions, visible_rows

__all__ = ["TargetGrid", "TrainingSource", "WindowMaker", "Windows"]

WEAK_FRAME_WEIGHT = 0.15
"""What a frame guessed by signal extraction counts beside a drawn one.

Extraction alone is right about half of the time.
"""

SECONDARY_TARGET = 0.3
"""Target of a secondary label where it is soft: the recordist heard the species somewhere in the recording, and a
window of 5 s holds it in about a third of the cases."""

SHORTEST_NOISE_SECONDS = 1.0
"""A recording with less noise than this is no background: repeated to fill a window it would buzz."""

NOISE_TRIES = 4
"""Recordings looked at for noise before the window goes without."""

CUT_OUT_MARGIN_SECONDS = 0.02
"""What is cut out begins so much before the song and ends so much after it."""

TWIN_CONTEXT_SECONDS = 5.0
"""Of the recording around a cut, from which the noise floor of its twin is taken."""


@dataclass(frozen=True, kw_only=True)
class TargetGrid:
    """The cells that targets are painted on: those of the network's heads.

    Parameters
    ----------
    num_frames : frames per window
    frame_seconds : seconds per frame
    num_bands : bands of the time-frequency head
    band_edges : shape (num_bands + 1,), Hz
    """

    num_frames: int
    frame_seconds: float
    num_bands: int
    band_edges: np.ndarray

    @classmethod
    def make(cls, *, features: MelConfig, window_seconds: float, frame_stride: int, num_bands: int) -> TargetGrid:
        """The grid of a network that pools ``frame_stride`` mel frames into one."""
        frame_seconds = features.frame_seconds * frame_stride
        return cls(
            num_frames=-(-round(window_seconds / features.frame_seconds) // frame_stride),
            frame_seconds=frame_seconds,
            num_bands=num_bands,
            band_edges=band_edges(features, num_bands),
        )

    def frame_coverage(self, onset: float, offset: float) -> np.ndarray:
        """Share of each frame that lies between two times: shape (num_frames,), in [0, 1]."""
        edges = np.arange(self.num_frames + 1) * self.frame_seconds
        return np.clip(np.minimum(edges[1:], offset) - np.maximum(edges[:-1], onset), 0, None) / self.frame_seconds

    def band_coverage(self, fmin: float, fmax: float) -> np.ndarray:
        """Share of each band that lies between two frequencies: shape (num_bands,), in [0, 1]."""
        low, high = self.band_edges[:-1], self.band_edges[1:]
        return np.clip(np.minimum(high, fmax) - np.maximum(low, fmin), 0, None) / (high - low)


@dataclass(frozen=True, kw_only=True)
class TrainingSource:
    """Something windows are cut from.

    Parameters
    ----------
    mel : shape (num_frames, num_rows), unscaled
    path : the recording; None where it was synthesised
    label : species code, "" for a background
    events : boxes where drawn, None where only the label is known
    isolated : a call without background, which is never shown bare
    secondary : codes of species that may be heard as well
    weight : how often it is drawn beside others of its class
    event_probabilities : shape (num_events,), how often a cut is made around each event; None draws them alike
    frames_known : the events tell when a bird sings; False where they are only the windows that were labelled
    teacher : what the run's teacher makes of it; None without a teacher
    """

    mel: np.ndarray
    path: Path | None = None
    label: str = ""
    events: tuple[Event, ...] | None = None
    isolated: bool = False
    secondary: tuple[str, ...] = ()
    weight: float = 1.0
    event_probabilities: np.ndarray | None = None
    frames_known: bool = True
    teacher: TeacherTrack | None = None


@dataclass(kw_only=True)
class Windows:
    """A batch.

    Parameters
    ----------
    mel : shape (batch, num_rows, num_frames), unscaled
    clip : shape (batch, num_outputs), 0 or 1, or between for secondary labels
    frames, frame_weight : shape (batch, num_outputs, T) in [0, 1], and (batch, T)
    activity, activity_weight : shape (batch, T), any bird
    bands, band_weight : shape (batch, num_classes + 1, num_bands, T) in [0, 1], and (batch, num_classes + 1, T); the
        last row is any bird
    clip_weight : shape (batch, num_outputs), 1, or 0 where nobody knows whether the species is heard
    teacher : shape (batch, teacher_size), what the teacher makes of the recording there; size 0 without a teacher
    teacher_weight : shape (batch,), 1, or 0 where the teacher has not heard the window (several recordings mixed)
    """

    mel: np.ndarray
    clip: np.ndarray
    frames: np.ndarray
    frame_weight: np.ndarray
    activity: np.ndarray
    activity_weight: np.ndarray
    bands: np.ndarray
    band_weight: np.ndarray
    clip_weight: np.ndarray
    teacher: np.ndarray
    teacher_weight: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """All of them, by name."""
        return {array.name: getattr(self, array.name) for array in dataclasses.fields(Windows)}


@dataclass(kw_only=True)
class _Window(Windows):
    """One window while it is being mixed: a batch's arrays without its axis; ``mel`` is (num_frames, num_rows)."""

    teacher_weight: float = 0.0
    needs_background: bool = False


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Sources of one kind: the share of windows that start from them, and each source's probability among them."""

    sources: list[TrainingSource]
    share: float
    probabilities: np.ndarray


def _balanced(sources: list[TrainingSource], balance: float) -> np.ndarray:
    """Probability of each source: classes come up as ``TrainConfig.balance`` says; within a class weights decide."""
    counts = Counter(source.label for source in sources)
    weights = np.array([counts[source.label] ** -balance * source.weight for source in sources])
    return weights / weights.sum()


@dataclass
class WindowMaker:
    """Makes training windows; window ``i`` of epoch ``e`` depends on nothing but the seed, ``e`` and ``i``.

    Parameters
    ----------
    config : probabilities and strengths
    features : of the spectrograms
    grid : cells of the targets
    outputs : code of every output, reported classes first
    num_classes : how many of them are reported
    weak, auxiliary, strong, backgrounds : the sources; ``weak`` and ``strong`` must not both be empty

    Raises
    ------
    DataError
        If there is nothing labelled to train on.
    """

    config: TrainConfig
    features: MelConfig
    grid: TargetGrid
    outputs: tuple[str, ...]
    num_classes: int
    weak: list[TrainingSource]
    auxiliary: list[TrainingSource] = field(default_factory=list)
    strong: list[TrainingSource] = field(default_factory=list)
    backgrounds: list[TrainingSource] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.weak and not self.strong:
            raise DataError(
                "no labelled recording to train on; is the manifest empty, or did every file fail to decode?"
            )
        self._index = {code: i for i, code in enumerate(self.outputs)}
        self._visible, self._positions = visible_rows(self.features), row_positions(self.features)
        # In single bits: spectrograms are memory-mapped, and what is kept of all of them must be small.
        self._masks: dict[int, np.ndarray] = {}
        self._noise: dict[int, np.ndarray] = {}
        sources = [*self.weak, *self.auxiliary, *self.strong, *self.backgrounds]
        tracks = [source.teacher for source in sources if source.teacher is not None]
        self.teacher_size = tracks[0].embeddings.shape[1] if tracks else 0
        # What was cut out of its background has none to lend.
        self._noise_sources = [source for source in [*self.weak, *self.strong] if not source.isolated]
        parts = [(self.weak, 0.42), (self.strong, 0.24), (self.auxiliary, 0.2), (self.backgrounds, 0.14)]
        total = sum(share for sources, share in parts if sources)
        self._groups = [
            _Group(sources=sources, share=share / total, probabilities=_balanced(sources, self.config.balance))
            for sources, share in parts
            if sources
        ]

    def positive_share(self) -> np.ndarray:
        """Expected share of windows that hold each output's class, shape (num_outputs,).

        For the losses' positive weights.
        """
        share = np.zeros(len(self.outputs))
        for group in self._groups:
            for source, probability in zip(group.sources, group.probabilities, strict=True):
                if source.event_probabilities is not None:
                    for event, part in zip(source.events, source.event_probabilities, strict=True):
                        if event.label in self._index:
                            share[self._index[event.label]] += group.share * probability * part
                elif source.label in self._index:
                    share[self._index[source.label]] += group.share * probability
        return share * (1 + self.config.mixup)

    def batch(self, *, epoch: int, indices: range) -> Windows:
        """Make some windows of an epoch."""
        windows = [self._window(np.random.default_rng([self.config.seed, epoch, index])) for index in indices]
        power = self.features.power
        arrays = [window.arrays() for window in windows]
        stacked = {name: np.stack([one[name] for one in arrays]).astype(np.float32, copy=False) for name in arrays[0]}
        mel = stacked.pop("mel").transpose(0, 2, 1)
        draws = [np.random.default_rng([self.config.seed, epoch, index, 1]).uniform(-1, 1) for index in indices]
        gain = 10.0 ** (np.reshape(draws, (-1, 1, 1)) * self.config.gain_db * power / 20.0)
        return Windows(mel=np.ascontiguousarray(mel * gain.astype(np.float32)), **stacked)

    def _window(self, generator: np.random.Generator) -> _Window:
        window = self._draw(generator)
        mixed = 1
        while mixed < self.config.max_mix and generator.random() < self.config.mixup:
            gain_db = generator.uniform(-12.0, 3.0)
            window = self._mix(window, self._draw(generator), gain_db)
            mixed += 1
        has_backgrounds = self.backgrounds or self.config.recording_noise > 0
        if has_backgrounds and (window.needs_background or generator.random() < self.config.noise):
            self._add_background(window, generator)
        return window

    def _draw(self, generator: np.random.Generator) -> _Window:
        group = self._groups[generator.choice(len(self._groups), p=[group.share for group in self._groups])]
        return self._cut(group.sources[generator.choice(len(group.sources), p=group.probabilities)], generator)

    def _cut(self, source: TrainingSource, generator: np.random.Generator) -> _Window:
        """A window from a source, with its targets."""
        config, grid = self.config, self.grid
        window_frames = config.window_frames
        stretch = generator.uniform(0.9, 1.1) if generator.random() < config.stretch else 1.0
        cut_frames = round(window_frames * stretch)
        start = self._start(source, cut_frames, generator)
        mel = np.zeros((cut_frames, source.mel.shape[1]), dtype=np.float32)
        first, last = max(start, 0), min(start + cut_frames, len(source.mel))
        # Where there are no twins and nothing is cut out, nothing is drawn, so that older runs resume to the same end.
        is_twin = config.twins > 0 and bool(source.label or source.events) and generator.random() < config.twins
        mel[first - start : last - start] = self._twin(source, first, last) if is_twin else source.mel[first:last]
        can_cut_out = config.cut_out > 0 and bool(source.label) and not source.isolated
        is_cut_out = can_cut_out and generator.random() < config.cut_out
        if is_cut_out:
            sounding = self._sounding(source, start, cut_frames)
            is_cut_out = bool(sounding.any())  # else silence, or the noise laid over it, would be taught as the species
        if is_cut_out:
            mel[~sounding] = 0.0
        mel = stretch_time(mel, num_frames=window_frames)
        if generator.random() < 0.3:
            bands = generator.uniform(-1, 1) * config.shift_bands
            banks = np.split(mel, mel.shape[1] // self.features.n_mels, axis=1)
            mel = np.concatenate([shift_frequency(bank, bands=bands) for bank in banks], axis=1)
        mel = equalize(
            mel,
            positions=self._positions,
            strength_db=config.equalizer_db * 0.5,
            power=self.features.power,
            generator=generator,
        )

        window = _Window(
            mel=mel,
            clip=np.zeros(len(self.outputs)),
            frames=np.zeros((len(self.outputs), grid.num_frames), dtype=np.float32),
            frame_weight=np.ones(grid.num_frames),
            activity=np.zeros(grid.num_frames),
            activity_weight=np.ones(grid.num_frames),
            bands=np.zeros((self.num_classes + 1, grid.num_bands, grid.num_frames), dtype=np.float32),
            band_weight=np.zeros((self.num_classes + 1, grid.num_frames)),
            clip_weight=np.ones(len(self.outputs)),
            teacher=np.zeros(self.teacher_size),
            # People cut out calls, too: one in three stays bare.
            needs_background=(source.isolated or is_cut_out) and generator.random() < 0.67,
        )
        onset = start * self.features.frame_seconds
        if source.teacher is not None:
            window.teacher = source.teacher.between(onset, onset + cut_frames * self.features.frame_seconds)
            window.teacher_weight = 1.0
        if source.events is not None:
            self._paint_events(window, source.events, onset, 1 / stretch)
            if not source.frames_known:
                window.frame_weight *= WEAK_FRAME_WEIGHT
                window.activity_weight *= WEAK_FRAME_WEIGHT
        elif source.label:
            self._paint_extraction(window, source, start, cut_frames)
            self._add_secondary(window, source)
        return window

    def _sounding(self, source: TrainingSource, start: int, cut_frames: int) -> np.ndarray:
        """Frames of a cut in which something sings, shape (cut_frames,), bool: its boxes, or what extraction says."""
        frame_seconds = self.features.frame_seconds
        margin = round(CUT_OUT_MARGIN_SECONDS / frame_seconds)
        sounding = np.zeros(cut_frames, dtype=bool)
        if source.events is not None:
            for event in source.events:
                begin, end = (round(moment / frame_seconds) - start for moment in (event.onset, event.offset))
                sounding[max(begin - margin, 0) : max(end + margin, 0)] = True
            return sounding
        first, last = max(start, 0), min(start + cut_frames, len(source.mel))
        columns = self._extraction(source)[first:last].any(axis=1)
        sounding[first - start : last - start] = binary_dilation(columns, np.ones(2 * margin + 1))
        return sounding

    def _twin(self, source: TrainingSource, first: int, last: int) -> np.ndarray:
        """Frames of a source's noise-reduced twin."""
        context = round(TWIN_CONTEXT_SECONDS / self.features.frame_seconds)
        begin = max(0, first - context)
        around = source.mel[begin : last + context]
        reduced = reduce_noise_in_mel(around, frame_seconds=self.features.frame_seconds, power=self.features.power)
        return reduced[first - begin : last - begin]

    def _add_secondary(self, window: _Window, source: TrainingSource) -> None:
        """Species that may be heard: neither taken as present nor, above all, as absent."""
        for code in source.secondary:
            index = self._index.get(code)
            if index is None or code == source.label:
                continue
            if self.config.secondary == "soft":
                window.clip[index] = SECONDARY_TARGET
            else:
                window.clip_weight[index] = 0.0
            window.frames[index] = SECONDARY_TARGET * window.activity

    def _start(self, source: TrainingSource, cut_frames: int, generator: np.random.Generator) -> int:
        """First frame of a cut; cuts of labelled recordings contain something of what the label is about."""
        room = len(source.mel) - cut_frames
        if room <= 0:
            return -int(generator.integers(-room + 1))
        if source.events:
            if source.event_probabilities is None:
                event = source.events[generator.integers(len(source.events))]
            else:
                event = source.events[generator.choice(len(source.events), p=source.event_probabilities)]
            middle = 0.5 * (event.onset + event.offset) / self.features.frame_seconds
            return int(np.clip(middle - generator.uniform(0.1, 0.9) * cut_frames, 0, room))
        if source.label and source.events is None:
            columns = self._extraction(source).any(axis=1)
            counts = np.cumsum(np.concatenate([[0], columns]))
            candidates = generator.integers(room + 1, size=4)
            # Of four cuts the second best: near the song, and yet not always the same.
            return int(sorted(candidates, key=lambda start: counts[start + cut_frames] - counts[start])[2])
        return int(generator.integers(room + 1))

    def _paint_events(self, window: _Window, events: tuple[Event, ...], onset: float, scale: float) -> None:
        grid = self.grid
        unnamed = False
        for event in events:
            begin, end = (event.onset - onset) * scale, (event.offset - onset) * scale
            if end <= 0 or begin >= grid.num_frames * grid.frame_seconds:
                continue  # most events of a long recording
            columns = grid.frame_coverage(begin, end)
            if not columns.any():
                continue
            window.activity = np.maximum(window.activity, columns)
            index = self._index.get(event.label)
            heard = columns.sum() * grid.frame_seconds >= min(0.1, 0.5 * (end - begin))
            if index is not None:
                window.frames[index] = np.maximum(window.frames[index], columns)
                window.clip[index] = max(window.clip[index], float(heard))
            elif event.label in UNKNOWN_LABELS:
                window.frame_weight[columns > 0] = 0.0
                unnamed = unnamed or event.label in UNNAMED_LABELS
            if event.fmin is not None:
                rows = grid.band_coverage(event.fmin, event.fmax)
                targets = [self.num_classes] + ([index] if index is not None and index < self.num_classes else [])
                for target in targets:
                    window.bands[target] = np.maximum(window.bands[target], rows[:, None] * (columns > 0))
                    window.band_weight[target] = np.maximum(window.band_weight[target], columns)
        if unnamed:  # it may be any species: only what is present is known
            window.clip_weight[window.clip == 0] = 0.0

    def _extraction(self, source: TrainingSource) -> np.ndarray:
        """Cells of a whole source that signal extraction takes for song, eight to a byte.

        Shape (num_frames, visible rows / 8, rounded up), uint8; see ``numpy.packbits``.
        """
        if id(source) not in self._masks:
            mel = source.mel if len(self._visible) == source.mel.shape[1] else source.mel[:, self._visible]
            self._masks[id(source)] = np.packbits(mask_signal(mel), axis=1)
        return self._masks[id(source)]

    def _paint_extraction(self, window: _Window, source: TrainingSource, start: int, cut_frames: int) -> None:
        grid = self.grid
        mask = np.zeros((cut_frames, len(self._visible)), dtype=bool)
        first, last = max(start, 0), min(start + cut_frames, len(source.mel))
        packed = self._extraction(source)[first:last]
        mask[first - start : last - start] = np.unpackbits(packed, axis=1, count=len(self._visible))
        begins = (np.arange(grid.num_frames) * (cut_frames / grid.num_frames)).astype(int)
        cells = np.logical_or.reduceat(mask, begins, axis=0)  # (T, visible rows)
        bands = (np.arange(grid.num_bands) * (cells.shape[1] / grid.num_bands)).astype(int)
        cells = np.logical_or.reduceat(cells, bands, axis=1).T  # (bands, T)
        columns = cells.any(axis=0)
        # A box is filled from its lowest to its highest cell.
        rows = (np.cumsum(cells, axis=0) > 0) & (np.cumsum(cells[::-1], axis=0)[::-1] > 0)
        index = self._index.get(source.label)
        window.activity = columns.astype(float)
        window.activity_weight = np.full(grid.num_frames, WEAK_FRAME_WEIGHT)
        window.frame_weight = np.full(grid.num_frames, WEAK_FRAME_WEIGHT)
        targets = [self.num_classes]
        if index is not None:
            window.clip[index] = 1.0
            window.frames[index] = columns
            if index < self.num_classes:
                targets.append(index)
        for target in targets:
            window.bands[target] = rows
            window.band_weight[target] = columns * WEAK_FRAME_WEIGHT

    def _mix(self, first: _Window, second: _Window, gain_db: float) -> _Window:
        """Two windows heard at once; the second's level is set against the first's."""
        power = self.features.power
        level = first.mel.mean() / max(second.mel.mean(), 1e-12) if first.mel.any() else 1.0
        gain = level * 10.0 ** (gain_db * power / 20.0)
        weaker = np.minimum  # what is uncertain in either is uncertain in both
        clip = np.maximum(first.clip, second.clip)
        return _Window(
            mel=add_in_power(first.mel, second.mel * np.float32(gain), power=power),
            clip=clip,
            frames=np.maximum(first.frames, second.frames),
            frame_weight=weaker(first.frame_weight, second.frame_weight),
            activity=np.maximum(first.activity, second.activity),
            activity_weight=weaker(first.activity_weight, second.activity_weight),
            bands=np.maximum(first.bands, second.bands),
            band_weight=np.maximum(first.band_weight, second.band_weight),
            clip_weight=np.where(clip >= 1, 1.0, weaker(first.clip_weight, second.clip_weight)),
            teacher=first.teacher,
            needs_background=first.needs_background and second.needs_background,
        )

    def _add_background(self, window: _Window, generator: np.random.Generator) -> None:
        noise = None
        if self.config.recording_noise > 0 and generator.random() < self.config.recording_noise:
            noise = self._cut_noise(generator)
        if noise is None:
            if not self.backgrounds:
                return
            source = self.backgrounds[generator.integers(len(self.backgrounds))]
            noise = self._cut(source, generator).mel
        power = self.features.power
        active = window.mel[window.mel.mean(axis=1) > 0]
        if len(active) == 0:
            window.mel, window.teacher_weight = noise, 0.0
            return
        snr_db = generator.uniform(-3.0, 20.0)
        gain = active.mean() / max(noise.mean(), 1e-12) * 10.0 ** (-snr_db * power / 20.0)
        window.mel = add_in_power(window.mel, noise * np.float32(gain), power=power)

    def _cut_noise(self, generator: np.random.Generator) -> np.ndarray | None:
        """A window of the noise of a labelled recording: its noise parts joined, and repeated where they end.

        None where none of a few recordings had enough.
        """
        window_frames = self.config.window_frames
        for _ in range(min(NOISE_TRIES, len(self._noise_sources))):
            source = self._noise_sources[generator.integers(len(self._noise_sources))]
            frames = self._noise_of(source)
            if len(frames) * self.features.frame_seconds >= SHORTEST_NOISE_SECONDS:
                picked = frames[(generator.integers(len(frames)) + np.arange(window_frames)) % len(frames)]
                return np.asarray(source.mel[picked], dtype=np.float32)
        return None

    def _noise_of(self, source: TrainingSource) -> np.ndarray:
        """Numbers of a source's frames that hold noise only: those outside every box, or what extraction says."""
        if id(source) not in self._noise:
            frame_seconds = self.features.frame_seconds
            is_noise = np.zeros(len(source.mel), dtype=bool)
            if source.events is not None:
                is_noise[:] = True
                for event in source.events:
                    is_noise[int(event.onset / frame_seconds) : int(event.offset / frame_seconds) + 1] = False
            else:
                for onset, offset in find_signal_spans(source.mel, frame_seconds=frame_seconds).noise:
                    is_noise[round(onset / frame_seconds) : round(offset / frame_seconds)] = True
            self._noise[id(source)] = np.packbits(is_noise)
        return np.flatnonzero(np.unpackbits(self._noise[id(source)], count=len(source.mel)))
