"""What each architecture costs on the CPU, relative to efficientnet_b0: multiply-adds and time per second of audio.

    python -m benchmarks.model_cost [--quick]

Sizes are those of the shipped weights: 25 classes, 93 auxiliary outputs, windows of five seconds.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report import best_seconds, parse_quick, write_report
from birdcore.config import MEL_PRESETS, ClassName, ModelConfig
from birdcore.features.mel import MelSpectrogram
from birdcore.models.registry import ARCHITECTURES, build_model

REFERENCE = "efficientnet_b0"
CASES = {entry.name: (entry.name, entry.features, {}) for entry in ARCHITECTURES.values()}
CASES |= {"crnn": ("crnn", "birdnet", {"trunk": "birdnet"}), "crnn_yamnet": ("crnn", "yamnet_wide", {})}
"""Name → architecture, features and options; the two trunks of a crnn are told apart as the shipped weights are."""

NUM_CLASSES, NUM_AUXILIARY = 25, 93
WINDOW_SECONDS = 5.0


def multiply_adds(model: torch.nn.Module, picture: torch.Tensor) -> int:
    """Of one forward pass. The counter counts a multiply-add as two operations."""
    counter = FlopCounterMode(display=False)
    with counter:
        model(picture)
    return counter.get_total_flops() // 2


def main() -> None:
    quick = parse_quick(__doc__)
    batch, repeats = (1, 1) if quick else (8, 7)
    class_names = tuple(ClassName(code=f"c{i}", common=f"Class {i}", scientific="") for i in range(NUM_CLASSES))
    rows = {}
    for name, (architecture, feature_preset, options) in CASES.items():
        config = ModelConfig(
            architecture=architecture,
            class_names=class_names,
            num_auxiliary=NUM_AUXILIARY,
            window_seconds=WINDOW_SECONDS,
            features=MEL_PRESETS[feature_preset],
            options=options,
        )
        model, features = build_model(config).eval(), MelSpectrogram(config.features)
        waveform = 0.1 * torch.randn((batch, config.window_samples), generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            # Windows are cut from the frames of whole recordings: the frame centred on a window's end is the next one's.
            num_frames = round(WINDOW_SECONDS / config.features.frame_seconds)
            picture = features.scale(features.mel(waveform)[:, :, :num_frames])
            features_seconds = best_seconds(lambda: features(waveform), repeats=repeats)  # noqa: B023 (called at once)
            model_seconds = best_seconds(lambda: model(picture), repeats=repeats)  # noqa: B023
            operations = multiply_adds(model, picture[:1])
        rows[name] = {
            "architecture": name,
            "million_parameters": sum(parameter.numel() for parameter in model.parameters()) / 1e6,
            "million_multiply_adds_per_audio_second": operations / WINDOW_SECONDS / 1e6,
            "features_ms_per_audio_second": 1000 * features_seconds / (batch * WINDOW_SECONDS),
            "model_ms_per_audio_second": 1000 * model_seconds / (batch * WINDOW_SECONDS),
        }
    reference = rows[REFERENCE]
    for row in rows.values():
        for quantity in ("million_multiply_adds", "model_ms"):
            key = f"{quantity}_per_audio_second"
            row[f"{quantity.removeprefix('million_')}_relative"] = row[key] / reference[key]
    write_report("model_cost", list(rows.values()), quick=quick)


if __name__ == "__main__":
    main()
