"""Settings as frozen values: features, models, training. What inference may know travels with the weights.

Everything here converts to and from plain dictionaries (JSON, TOML) with :func:`to_dict` and :func:`from_dict`; an
unknown or missing key is an error that names it, so that a typo never trains the wrong thing.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from birdcore.errors import ConfigError

__all__ = [
    "MEL_BIRDNET",
    "MEL_PRESETS",
    "MEL_S0",
    "MEL_S1",
    "MEL_S1_MEL_MFCC",
    "MEL_S1_MFCC",
    "MEL_S2",
    "MEL_S2_HALF",
    "MEL_S3",
    "MEL_S3_SHORT",
    "MEL_YAMNET",
    "MEL_YAMNET_WIDE",
    "TREATMENTS",
    "BassConfig",
    "ClassName",
    "DataFormat",
    "MelConfig",
    "ModelConfig",
    "TrainConfig",
    "from_dict",
    "to_dict",
]


@dataclass(frozen=True, kw_only=True)
class BassConfig:
    """A second look at the low frequencies, on longer windows: as many mel filters again, from 0 Hz up.

    Parameters
    ----------
    n_fft, win_length : samples; frames are centred on the same moments as those of the whole
    fmax : Hz
    root : exponent of its spectrogram, see ``MelConfig.scaling``
    """

    n_fft: int
    win_length: int
    fmax: float
    root: float


@dataclass(frozen=True, kw_only=True)
class MelConfig:
    """How a waveform becomes a mel spectrogram. There are no defaults: use a preset (``MEL_S0`` …) or say everything.

    Parameters
    ----------
    sample_rate : Hz
    n_fft, win_length, hop_length : samples; a Hann window of win_length, centred in n_fft; frames are centred (zero
        padding)
    n_mels : number of mel filters
    fmin, fmax : Hz, ``0 <= fmin < fmax <= sample_rate / 2``
    power : 1 for magnitude, 2 for power
    mel_scale : "slaney"; "htk"; "tensorflow", HTK's scale with filters that are straight in mel instead of Hz (their
        height is 1: no norm)
    norm : "slaney" (filters of unit area) or None (filters of unit height)
    scaling : "log" is ``log(mel + offset)``; "log1p" is ``log(1 + mel / offset)``; "db" is ``10 log10(max(mel,
        offset))``; "root" is ``mel ** root``
    offset : see scaling; in units of the mel spectrogram
    normalization : "none"; "minmax" scales each window to [0, 1]; "level" scales each window, before the logarithm,
        to the mean mel value ``level``, by a factor of at most ``max_gain``, so that a quiet recording looks like a
        loud one
    level, max_gain : see normalization; used by "level" only
    resize : (height, width) the picture is resized to (bilinear), or None
    center : whether frame i is centred at ``i * hop_length``, on zero padding, or begins there (TensorFlow's way)
    picture : "mel"; "mfcc", the first ``n_mfcc`` coefficients of the orthonormal DCT-II along the scaled mel bands;
        "mel+mfcc", both, as two channels
    n_mfcc : see picture; used with MFCC only
    stack : a window is cut into this many consecutive spectrograms, one channel each; 1 leaves it whole
    root : see scaling; used by "root" only
    bass : a second bank of filters, whose picture is the first of two channels; None for none
    """

    sample_rate: int
    n_fft: int
    win_length: int
    hop_length: int
    n_mels: int
    fmin: float
    fmax: float
    power: float
    mel_scale: Literal["slaney", "htk", "tensorflow"]
    norm: Literal["slaney"] | None
    scaling: Literal["log", "log1p", "db", "root"]
    offset: float
    normalization: Literal["none", "minmax", "level"]
    level: float = 0.0
    max_gain: float = 1.0
    resize: tuple[int, int] | None = None
    center: bool = True
    picture: Literal["mel", "mfcc", "mel+mfcc"] = "mel"
    n_mfcc: int = 0
    stack: int = 1
    root: float = 1.0
    bass: BassConfig | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            raise ConfigError(
                f"fmin {self.fmin} Hz, fmax {self.fmax} Hz: must satisfy 0 <= fmin < fmax <= "
                f"{self.sample_rate / 2:g} Hz (half the sample rate)"
            )
        if not 0 < self.win_length <= self.n_fft:
            raise ConfigError(f"win_length {self.win_length}: must be between 1 and n_fft ({self.n_fft}) samples")
        if self.hop_length < 1 or self.n_mels < 1:
            raise ConfigError(f"hop_length {self.hop_length} and n_mels {self.n_mels}: both must be at least 1")
        if self.offset <= 0:
            raise ConfigError(f"offset {self.offset}: must be above 0, or silence has no logarithm")
        if self.stack < 1:
            raise ConfigError(f"stack {self.stack}: must be at least 1")
        if self.mel_scale == "tensorflow" and self.norm is not None:
            raise ConfigError(f"norm {self.norm!r}: TensorFlow's mel filters have none; use norm = None")
        if self.picture != "mel" and not 0 < self.n_mfcc <= self.n_mels:
            raise ConfigError(f"n_mfcc {self.n_mfcc}: must be between 1 and n_mels ({self.n_mels})")
        if not 0 < self.root <= 1 or (self.bass is not None and not 0 < self.bass.root <= 1):
            raise ConfigError(f"root {self.root}: must be above 0 and at most 1")
        if self.bass is not None:
            if self.picture != "mel" or self.stack > 1 or not self.center:
                raise ConfigError("bass: needs picture = 'mel', stack = 1 and center = true")
            if (
                not 0 < self.bass.win_length <= self.bass.n_fft
                or self.bass.n_fft < self.n_fft
                or not self.fmin < self.bass.fmax <= self.fmax
            ):
                raise ConfigError(
                    f"bass: win_length {self.bass.win_length} must be between 1 and its n_fft ({self.bass.n_fft}), and "
                    f"fmax {self.bass.fmax} Hz between fmin ({self.fmin} Hz) and fmax ({self.fmax} Hz)"
                )

    @property
    def num_channels(self) -> int:
        """Channels of the picture. With one, pictures have no channel axis."""
        return self.stack * (2 if self.picture == "mel+mfcc" or self.bass is not None else 1)

    @property
    def num_rows(self) -> int:
        """Rows of a mel spectrogram: those of the bass, where there is one, then those of the whole."""
        return self.n_mels * (2 if self.bass is not None else 1)

    @property
    def lowest_hz(self) -> float:
        """The lowest frequency that is heard, in Hz."""
        return self.fmin if self.bass is None else 0.0

    @property
    def frame_seconds(self) -> float:
        """Seconds from one frame to the next."""
        return self.hop_length / self.sample_rate

    def picture_shape(self, num_frames: int) -> tuple[int, int, int]:
        """Channels, height and width of the picture that a window of mel frames becomes."""
        height = self.n_mfcc if self.picture == "mfcc" else self.n_mels
        return (self.num_channels, *(self.resize or (height, -(-num_frames // self.stack))))


MEL_S0 = MelConfig(
    sample_rate=32_000,
    n_fft=1024,
    win_length=1024,
    hop_length=320,
    n_mels=128,
    fmin=0.0,
    fmax=16_000.0,
    power=2.0,
    mel_scale="slaney",
    norm="slaney",
    scaling="db",
    offset=1e-10,
    normalization="none",
)
"""S0: 128 log-mel bands of 32 kHz audio (amplitude in dB)."""

MEL_S1 = MelConfig(
    sample_rate=32_000,
    n_fft=1024,
    win_length=1024,
    hop_length=512,
    n_mels=128,
    fmin=50.0,
    fmax=14_000.0,
    power=2.0,
    mel_scale="slaney",
    norm="slaney",
    scaling="log1p",
    offset=1e-4,  # the publication leaves its "ref" open; 1e-4 keeps a quiet field recording's texture visible
    normalization="minmax",
    resize=(256, 256),
)
"""S1: log(1 + power / ref), min-max to [0, 1], resized to 256 x 256."""

MEL_S1_MFCC = dataclasses.replace(MEL_S1, picture="mfcc", n_mfcc=40)
"""What S1 named as missing: 40 cepstral coefficients of S1's mel bands, resized alike."""

MEL_S1_MEL_MFCC = dataclasses.replace(MEL_S1, picture="mel+mfcc", n_mfcc=40)
"""S1's picture, and its 40 cepstral coefficients as a second channel."""

MEL_S2 = MelConfig(
    sample_rate=22_050,
    n_fft=2048,
    win_length=2048,
    hop_length=512,
    n_mels=256,
    fmin=0.0,
    fmax=11_025.0,
    power=2.0,
    mel_scale="slaney",
    norm="slaney",
    scaling="log1p",  # the publication leaves the scaling open: S1's, so that networks are compared, not scalings
    offset=1e-4,
    normalization="minmax",
)
"""S2: 256 bands; 216 frames are 5.0155 s."""

MEL_S2_HALF = dataclasses.replace(MEL_S2, n_mels=128, hop_length=1024)
"""S2 at half its resolution in time and frequency, a quarter of the work: 108 frames are 5.0155 s."""

MEL_S3 = MelConfig(
    sample_rate=32_000,
    n_fft=1024,
    win_length=1024,
    hop_length=500,
    n_mels=128,
    fmin=0.0,
    fmax=16_000.0,
    power=2.0,
    mel_scale="slaney",
    norm="slaney",
    scaling="log1p",  # as for S2; the publication gives the size only: 321 centred frames are 5 s at this hop
    offset=1e-4,
    normalization="minmax",
    stack=10,
)
"""S3: ten consecutive spectrograms as ten channels; 50.15625 s are ten of 128 x 321."""

MEL_S3_SHORT = dataclasses.replace(MEL_S3, hop_length=320)
"""S3 for recordings of at most 20 s: ten spectrograms of 2 s, 128 x 200, at a hop of 10 ms."""

MEL_YAMNET = MelConfig(
    sample_rate=16_000,
    n_fft=512,
    win_length=400,
    hop_length=160,
    n_mels=64,
    fmin=125.0,
    fmax=7500.0,
    power=1.0,
    mel_scale="tensorflow",
    norm=None,
    scaling="log",
    offset=1e-3,
    normalization="none",
    center=False,
)
"""S4: YAMNet's own front end; 96 frames are one patch of 0.96 s."""

MEL_YAMNET_WIDE = MelConfig(
    sample_rate=32_000,
    n_fft=1024,
    win_length=800,
    hop_length=320,
    n_mels=80,
    fmin=125.0,
    fmax=13_731.7,
    power=1.0,
    mel_scale="htk",
    norm=None,
    scaling="log",
    offset=1e-3,
    normalization="level",
    level=0.3,
    max_gain=1000.0,
)
"""YAMNet's front end continued upwards: its 64 bands (125 to 7500 Hz), then 16 more at the same mel spacing, up to
13.65 kHz.

The analysis window (25 ms), hop (10 ms) and bin width (31.25 Hz) are YAMNet's own, so its filters see below 7.5 kHz
what they were trained on, and birds that sing above 8 kHz, which YAMNet at 16 kHz cannot hear, remain visible.
"""

MEL_BIRDNET = MelConfig(
    sample_rate=32_000,
    n_fft=1024,
    win_length=683,
    hop_length=186,
    n_mels=96,
    fmin=500.0,
    fmax=15_000.0,
    power=1.0,
    mel_scale="tensorflow",
    norm=None,
    scaling="root",
    offset=1.0,
    normalization="level",
    level=1.0,
    max_gain=1000.0,
    root=0.381,
    bass=BassConfig(n_fft=2048, win_length=1365, fmax=3000.0, root=0.459),
)
"""BirdNET's two pictures, as magnitude spectrograms of 32 kHz audio.

Windows (21 and 43 ms), filters and exponents are BirdNET V2.4's; its hops of 5.79 and 5.83 ms are one of 5.81 ms. BirdNET
sums the real parts of the spectrum, which flicker with the phase, so that no two sounds can be mixed in it; magnitudes
can, and the network learns to read them.
"""


@dataclass(frozen=True, kw_only=True)
class ClassName:
    """One thing a model can name.

    Parameters
    ----------
    code : eBird code or another slug, the label in every table
    common, scientific : names for people
    kind : class of animal, e.g. "Aves"
    """

    code: str
    common: str
    scientific: str
    kind: str = "Aves"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Everything inference may know about a model; saved beside its weights.

    Parameters
    ----------
    architecture : a name in ``birdcore.models.registry``
    class_names : the classes that the model reports, in output order
    num_auxiliary : further outputs that only trained the model ("other birds") and are not reported
    window_seconds : length of the window the model was trained on
    features : how waveforms become input
    threshold : score from which on a class counts as present
    temperature, bias : calibration of clip scores, ``p = sigmoid((logit - bias) / temperature)``
    class_biases : per class, what is added to bias, so that one threshold serves classes of different loudness; () for
        none
    frame_bias : calibration of frame and band scores, ``p = sigmoid(logit - frame_bias)``
    treatments : what every waveform goes through before features, in order; see ``TREATMENTS``
    options : further arguments of the architecture
    """

    architecture: str
    class_names: tuple[ClassName, ...]
    window_seconds: float
    features: MelConfig
    num_auxiliary: int = 0
    threshold: float = 0.5
    temperature: float = 1.0
    bias: float = 0.0
    class_biases: tuple[float, ...] = ()
    frame_bias: float = 0.0
    treatments: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.class_names:
            raise ConfigError("class_names: empty; a model needs at least one class")
        codes = [name.code for name in self.class_names]
        if len(set(codes)) < len(codes):
            raise ConfigError(f"class_names: code {next(c for c in codes if codes.count(c) > 1)!r} appears twice")
        if self.window_seconds <= 0:
            raise ConfigError(f"window_seconds {self.window_seconds}: must be above 0")
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold = {self.threshold}: must be between 0 and 1")
        if not 0 < self.temperature < math.inf:
            raise ConfigError(f"temperature = {self.temperature}: must be above 0")
        if self.class_biases and len(self.class_biases) != len(codes):
            raise ConfigError(f"class_biases: {len(self.class_biases)} of them for {len(codes)} classes")
        _check_treatments(self.treatments)

    @property
    def num_classes(self) -> int:
        """Number of reported classes."""
        return len(self.class_names)

    @property
    def num_outputs(self) -> int:
        """Number of outputs of the network: reported classes, then auxiliary ones."""
        return self.num_classes + self.num_auxiliary

    @property
    def window_frames(self) -> int:
        """Frames in a window, before the network pools any."""
        return round(self.window_seconds / self.features.frame_seconds)

    @property
    def window_samples(self) -> int:
        """Samples in a window, at the model's sample rate."""
        return round(self.window_seconds * self.features.sample_rate)

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what the network sees of a window."""
        return self.features.picture_shape(self.window_frames)


DataFormat = Literal["manifest", "folders", "birdclef2021", "birdclef2025", "zenodo", "raven"]
"""How a data folder is laid out; "manifest" is a table of our own. See ``birdcore.data.readers``."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run. Read from TOML (``configs/``), overridden with ``--set key=value``.

    Parameters
    ----------
    architecture, options : see ModelConfig
    features : name of a preset in this module, see ``MEL_PRESETS``
    window_seconds : length of training and inference windows
    manifest : table of recordings, relative to the data root
    extra_manifest, background, strong : further tables of the data root, or "" where there are none
    data_format : see ``DataFormat``
    treatments : what every waveform goes through before features, in order; see ``TREATMENTS``
    split : "grouped" keeps recordings of one group in one fold; "stratified" deals recordings at random, class by
        class, as published systems did, and so shows what leakage is worth
    group_by : what the groups of annotated soundscapes are, in data_format "zenodo"
    secondary : secondary labels are "masked" in the clip loss, or "soft" targets between present and absent
    init : "scratch", "yamnet" (trunk read from ``yamnet_file``), "birdnet" (from ``birdnet_file``), "crnn" (trunk of
        ``trunk_weights``), or "imagenet" (hub, ``imagenet_file`` or a package, see ``birdcore.models.imagenet``)
    trunk_weights : name or folder of weights of a crnn, such as an earlier run's; their trunk is taken; "" for the
        shipped ones
    yamnet_file, birdnet_file, imagenet_file : local paths; "" to look in the usual places
    teacher : name of weights whose embedding the network imitates beside its own task, or "" for none; see
        ``birdcore.training.teacher``
    teacher_weight : weight of the imitation's loss
    fold, num_folds : which of the group-wise validation folds validates; ``fold = -1`` trains on everything and
        validates on nothing
    epochs, windows_per_epoch, batch_size : size of the run
    optimizer : "adamw", "adam", "sgd" (momentum 0.9) or "rmsprop"
    schedule : after the warm-up, "cosine" falls to floor x rate, "constant" stays, "onecycle" is Smith's
    learning_rate, trunk_learning_rate, weight_decay, warmup_epochs, learning_rate_floor : see optimizer, schedule
    ema_decay : decay per step of the averaged weights that are validated and saved; 0 switches averaging off
    mixup, noise, max_mix : probabilities of mixup/background, and the most recordings in one window
    balance : how far the drawing of recordings makes up for how many a species has; 0 draws them alike, 1 draws the
        species alike, and at 0.5 a species with four times the recordings comes up twice as often
    spec_augment, gain_db, equalizer_db, shift_bands : strength of augmentation
    stretch : probability that a window is stretched or squeezed in time, by up to a tenth
    speech : synthesised voices among the backgrounds, so that people talking are not taken for birds; 0 for none
    recording_noise : probability that the background comes from the noise part of a labelled recording
    twins : probability that a recording is replaced by its noise-reduced twin
    cut_out : probability that the songs of a recording are heard cut out of it, with silence between, as collections
        of calls hold them
    loss : clip loss: "bce" with positive weights, "focal" (binary, exponent ``focal_gamma``), or "cross_entropy" with
        class weights
    label_smoothing : targets move this far towards even odds
    dice_weight : weight of a Dice loss beside the time-frequency head's cross-entropy
    localization_weight : weight of the frame and time-frequency losses
    pos_weight_cap : cap of the automatic, square-root-damped positive weights (and of the class weights)
    patience : epochs without a better validation macro AUC after which training stops; 0 never stops early
    seed, precision, devices : how it runs
    checkpoint_seconds : seconds between checkpoints within an epoch; one at the end of each epoch comes anyway
    """

    architecture: str
    features: str
    window_seconds: float = 5.0
    options: dict[str, Any] = field(default_factory=dict)
    manifest: str = "manifest.csv"
    extra_manifest: str = ""
    background: str = ""
    strong: str = ""
    data_format: DataFormat = "manifest"
    treatments: tuple[str, ...] = ()
    split: Literal["grouped", "stratified"] = "grouped"
    group_by: Literal["site", "date"] = "site"
    secondary: Literal["masked", "soft"] = "masked"
    init: Literal["scratch", "yamnet", "birdnet", "crnn", "imagenet"] = "scratch"
    trunk_weights: str = ""
    yamnet_file: str = ""
    birdnet_file: str = ""
    imagenet_file: str = ""
    teacher: str = ""
    teacher_weight: float = 10.0
    fold: int = 0
    num_folds: int = 5
    epochs: int = 30
    windows_per_epoch: int = 1024
    batch_size: int = 16
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop"] = "adamw"
    schedule: Literal["cosine", "constant", "onecycle"] = "cosine"
    learning_rate: float = 1e-3
    trunk_learning_rate: float = 3e-4
    weight_decay: float = 1e-2
    warmup_epochs: float = 1.0
    learning_rate_floor: float = 0.01
    ema_decay: float = 0.999
    mixup: float = 0.5
    noise: float = 0.5
    max_mix: int = 2
    balance: float = 0.5
    spec_augment: float = 1.0
    gain_db: float = 12.0
    equalizer_db: float = 6.0
    shift_bands: float = 1.0
    stretch: float = 0.3
    speech: int = 0
    recording_noise: float = 0.0
    twins: float = 0.0
    cut_out: float = 0.0
    loss: Literal["bce", "focal", "cross_entropy"] = "bce"
    focal_gamma: float = 2.0
    label_smoothing: float = 0.0
    dice_weight: float = 0.0
    localization_weight: float = 1.0
    pos_weight_cap: float = 8.0
    patience: int = 0
    seed: int = 0
    precision: str = "32-true"
    devices: int = 1
    checkpoint_seconds: float = 300.0

    def __post_init__(self) -> None:
        for name in ("epochs", "windows_per_epoch", "batch_size", "num_folds", "max_mix", "devices"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: must be at least 1")
        for name in ("learning_rate", "trunk_learning_rate", "window_seconds"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} = {getattr(self, name)}: must be above 0")
        for name in (
            "mixup",
            "noise",
            "recording_noise",
            "twins",
            "cut_out",
            "balance",
            "stretch",
            "label_smoothing",
            "ema_decay",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: must be between 0 and 1")
        for name in ("weight_decay", "warmup_epochs", "patience", "spec_augment", "teacher_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} = {getattr(self, name)}: must be at least 0")
        if self.checkpoint_seconds < 0:
            raise ConfigError(f"checkpoint_seconds = {self.checkpoint_seconds}: must be at least 0")
        if not -1 <= self.fold < self.num_folds:
            raise ConfigError(f"fold = {self.fold}: must be -1 (no validation) to {self.num_folds - 1}")
        if self.features not in MEL_PRESETS:
            raise ConfigError(f"features = {self.features!r}: unknown; one of {', '.join(MEL_PRESETS)}")
        _check_treatments(self.treatments)

    @property
    def window_frames(self) -> int:
        """Frames in a window, before the network pools any."""
        return round(self.window_seconds / MEL_PRESETS[self.features].frame_seconds)


RETIRED_SETTINGS = frozenset({"num_workers"})
"""Of TrainConfig, once: they did nothing. Settings that old runs and weights keep may name them."""

TREATMENTS = ("denoise", "remove_speech", "normalize_rms")
"""Waveform treatments by name. None moves anything in time: what is removed becomes silence."""


def _check_treatments(names: tuple[str, ...]) -> None:
    unknown = [name for name in names if name not in TREATMENTS]
    if unknown:
        raise ConfigError(f"treatments: unknown {unknown[0]!r}; known are {', '.join(TREATMENTS)}")


MEL_PRESETS = {
    "s0": MEL_S0,
    "s1": MEL_S1,
    "mfcc": MEL_S1_MFCC,
    "mel_mfcc": MEL_S1_MEL_MFCC,
    "s1_mfcc": MEL_S1_MFCC,
    "s1_mel_mfcc": MEL_S1_MEL_MFCC,
    "s2": MEL_S2,
    "s2_half": MEL_S2_HALF,
    "s3": MEL_S3,
    "s3_short": MEL_S3_SHORT,
    "yamnet": MEL_YAMNET,
    "yamnet_wide": MEL_YAMNET_WIDE,
    "birdnet": MEL_BIRDNET,
}


def to_dict(config: Any) -> dict[str, Any]:
    """Plain dictionary of a config (nested configs become dictionaries, tuples become lists)."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return value

    return plain(config)


def from_dict(kind: type, values: dict[str, Any], *, source: str = "config") -> Any:
    """Build a config of a type from a plain dictionary.

    Parameters
    ----------
    kind : one of the dataclasses of this module
    values : field name → value
    source : what to call the dictionary in errors, e.g. a file name

    Raises
    ------
    ConfigError
        If a key is unknown, missing, or has a value of the wrong type.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{source}: expected a table of settings, got {type(values).__name__}")
    if kind is TrainConfig:
        values = {name: value for name, value in values.items() if name not in RETIRED_SETTINGS}
    fields = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ConfigError(f"{source}: unknown setting {unknown[0]!r}; known are {', '.join(fields)}")
    missing = [
        name
        for name, f in fields.items()
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{source}: setting {missing[0]!r} is missing")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _convert(value, hints[name], f"{source}: {name}") for name, value in values.items()})


def _convert(value: Any, hint: Any, where: str) -> Any:
    """The value as the annotated type, or an error that names where it stands."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, source=where)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{where} = {value!r}: must be one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} = {value!r}: must be a list")
        # tuple[int, ...] is of any length, tuple[int, int] of two.
        hints = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(value) != len(hints):
            raise ConfigError(f"{where} = {value!r}: must be a list of {len(hints)}")
        return tuple(_convert(item, inner, where) for item, inner in zip(value, hints, strict=True))
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where} = {value!r}: must be a table of settings")
        return dict(value)
    if arguments:  # a union such as tuple[int, int] | None
        if value is None:
            return None
        return _convert(value, next(a for a in arguments if a is not type(None)), where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ConfigError(f"{where} = {value!r}: must be of type {hint.__name__}")
    return value
