"""The training loop: read it from top to bottom.

A run is a directory. Everything random is derived from the seed, the epoch and the number of the step or window, so a
run that was killed and resumed from its last complete checkpoint, mid-epoch or not, ends like one that was not.

Where several processes train one run, all go through the same lines; the first of them alone (the leader) writes to the
run directory and reads what people ask for there.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from birdcore.config import MEL_PRESETS, ModelConfig, TrainConfig, to_dict
from birdcore.data.feature_cache import FeatureCache
from birdcore.data.windows import TargetGrid, WindowMaker, Windows
from birdcore.errors import RunError
from birdcore.features.mel import MelSpectrogram
from birdcore.models.checkpoint import save_weights
from birdcore.models.registry import build_model
from birdcore.training.checkpoint_state import CheckpointState, update_average
from birdcore.training.evaluation import collect_scores, write_validation
from birdcore.training.initialization import expect_rarely, initialize
from birdcore.training.losses import clip_loss, localization_loss, output_weights
from birdcore.training.processes import group_shape, process_rank
from birdcore.training.run_directory import RunDirectory
from birdcore.training.schedule import make_optimizer, set_learning_rate
from birdcore.training.sources import TrainingData, collect_training_data
from birdcore.training.teacher import Student, imitation_loss, learn_from
from birdcore.training.tracking import RunTracker, tracked
from birdcore.training.validation import Validation, validate

__all__ = ["fit", "mask_spectrogram"]

logger = logging.getLogger(__name__)

CHECKPOINT = "last.safetensors"

_LOSSES = ("train_loss", "train_localization_loss", "train_imitation_loss")

PAUSE_SECONDS = 0.2
"""How often a paused run looks whether it may go on."""


def mask_spectrogram(
    picture: Tensor, *, strength: float, generator: torch.Generator, first: int = 0, of: int | None = None
) -> Tensor:
    """SpecAugment: two time and two frequency stripes per picture are set to the picture's mean.

    Parameters
    ----------
    picture : shape (batch, height, width) or (batch, channels, height, width); channels share their stripes
    strength : 1 hides stripes of up to 8 % of the time and 10 % of the frequency axis; 0 none
    first, of : the pictures are those from number ``first`` on in a batch of ``of``, whose other pictures are masked
        elsewhere by an equal generator; by default they are the whole batch

    Source
    ------
    Park et al. (2019), "SpecAugment".
    """
    if strength <= 0:
        return picture
    batch, (height, width) = len(picture), picture.shape[-2:]
    keep = torch.ones(batch, height, width, dtype=torch.bool)
    total = of or batch
    for axis, size, share in ((1, height, 0.10), (1, height, 0.10), (2, width, 0.08), (2, width, 0.08)):
        lengths = torch.rand(total, 1, generator=generator)[first : first + batch] * share * strength * size
        starts = torch.rand(total, 1, generator=generator)[first : first + batch] * (size - lengths)
        position = torch.arange(size)[None]
        stripe = (position >= starts) & (position < starts + lengths)
        keep &= ~(stripe[:, :, None] if axis == 1 else stripe[:, None, :])
    keep = keep.to(picture.device)
    return torch.where(keep if picture.ndim == 3 else keep[:, None], picture, picture.mean(dim=(-2, -1), keepdim=True))


def _make_model_config(config: TrainConfig, data: TrainingData) -> ModelConfig:
    """What is saved beside the weights, from the run's settings and the data's species."""
    return ModelConfig(
        architecture=config.architecture,
        class_names=data.class_names,
        num_auxiliary=len(data.auxiliary),
        window_seconds=config.window_seconds,
        features=MEL_PRESETS[config.features],
        treatments=config.treatments,
        options=config.options,
    )


def fit(run: RunDirectory, *, data_root: Path) -> None:
    """Train a run to its end, or until it is asked to stop; resume it where a checkpoint is.

    To be called in every process that trains the run, where there are several.

    Parameters
    ----------
    run : where everything is read from and written to
    data_root : folder of the tables that the config names

    Raises
    ------
    BirdcoreError
        If the data or settings cannot be used. Any error is noted in the run's status before it is raised.
    """
    if process_rank() > 0:
        _fit(run, data_root)
        return
    with run.held():
        try:
            run.begin()
            with run.beating(), tracked(run) as tracker:
                _fit(run, data_root, tracker)
        except KeyboardInterrupt:
            message = "Interrupted from the keyboard; resume continues from the last checkpoint."
            run.write_status(state="stopped", message=message)
            raise
        except BaseException as error:
            run.fail(error)
            raise


def _fit(run: RunDirectory, data_root: Path, tracker: RunTracker | None = None) -> None:
    config = run.config
    devices, nodes = group_shape(config.devices)
    fabric = Fabric(accelerator="auto", devices=devices, num_nodes=nodes, precision=config.precision)
    fabric.launch()
    leader = fabric.global_rank == 0
    fabric.seed_everything(config.seed, verbose=False)
    preset = MEL_PRESETS[config.features]
    features = MelSpectrogram(preset)
    data = collect_training_data(config, data_root, FeatureCache(features, treatments=config.treatments))

    model_config = _make_model_config(config, data)
    network = build_model(model_config)
    if config.teacher:
        data = learn_from(config.teacher, data)
    stride = getattr(network, "frame_stride", 4)
    grid = TargetGrid.make(
        features=preset,
        window_seconds=config.window_seconds,
        frame_stride=stride,
        num_bands=getattr(network, "num_bands", preset.n_mels // 4),
    )
    names = data.class_names + data.auxiliary
    outputs = tuple(name.code for name in names)
    maker = WindowMaker(
        config,
        preset,
        grid,
        outputs,
        len(data.class_names),
        data.weak,
        data.auxiliary_sources,
        data.strong,
        data.backgrounds,
    )
    if config.loss != "cross_entropy":
        expect_rarely(network, maker.positive_share())
    start = initialize(network, config, data_root=data_root, outputs=names)
    logger.info(
        "%s, %.1f million parameters; %s",
        config.architecture,
        sum(p.numel() for p in network.parameters()) / 1e6,
        start,
    )
    weights = output_weights(maker.positive_share(), config).to(fabric.device)

    network = network.to(memory_format=torch.channels_last)  # half as fast again on CPUs
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        # Statistics over the whole batch, not over each process's part of it; torch has no such layer for CPUs.
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    average = copy.deepcopy(network).eval().requires_grad_(False).to(fabric.device)
    scale = features.to(fabric.device).scale
    # What learns: the network alone, or with the layer that imitates, which is left behind afterwards.
    learner = Student(network, num_outputs=len(outputs), size=maker.teacher_size) if maker.teacher_size else network
    model, optimizer = fabric.setup(learner, make_optimizer(learner, config))

    global_batch = config.batch_size * fabric.world_size
    steps_per_epoch = max(1, config.windows_per_epoch // global_batch)
    total_steps = steps_per_epoch * config.epochs
    state = CheckpointState(learner, average, optimizer, fabric.strategy.precision)
    checkpoint = run.checkpoint_path(CHECKPOINT)
    if checkpoint.is_file():
        state.load(checkpoint)
        logger.info("resumed after epoch %d, step %d", state.epoch, state.step)
    if leader:
        run.truncate_metrics(after_epoch=state.epoch)
    saved = time.monotonic()

    while state.epoch < config.epochs and not _out_of_patience(state, config):
        epoch, begun_at = state.epoch, state.step
        model.train()
        started = time.monotonic()
        for step, windows in _prefetch(maker, epoch, range(begun_at, steps_per_epoch), config.batch_size, fabric):
            done = epoch * steps_per_epoch + step
            set_learning_rate(optimizer, config, step=done, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
            # Dropout, too, is the same after a resume, and differs between processes.
            torch.manual_seed(_step_seed(config, epoch, step, 1 + fabric.global_rank))
            targets = {name: torch.from_numpy(array).to(fabric.device) for name, array in windows.arrays().items()}
            picture = mask_spectrogram(
                scale(targets.pop("mel")),
                strength=config.spec_augment,
                generator=torch.Generator().manual_seed(_step_seed(config, epoch, step, 0)),
                first=fabric.global_rank * config.batch_size,
                of=global_batch,
            )
            output, imitation = model(picture) if maker.teacher_size else (model(picture), None)
            named = clip_loss(
                output.clip, targets["clip"], config=config, weights=weights, mask=targets.get("clip_weight")
            )
            located = named.new_zeros(())
            if config.localization_weight:
                located = localization_loss(output, targets, dice_weight=config.dice_weight)
            loss = named + config.localization_weight * located
            terms = [named, located]
            if imitation is not None:
                terms.append(imitation_loss(imitation, targets["teacher"], targets["teacher_weight"]))
                loss = loss + config.teacher_weight * terms[-1]
            fabric.backward(loss)
            fabric.clip_gradients(model, optimizer, max_norm=5.0)
            optimizer.step()
            optimizer.zero_grad()
            update_average(average, network, min(config.ema_decay, (1 + done) / (10 + done)))
            if leader:
                rate = (step + 1 - begun_at) * global_batch / (time.monotonic() - started)
                _report_progress(run, done + 1, total_steps, global_batch, rate)
            losses, stopping, pausing = _agree(fabric, run, tuple(term.item() for term in terms))
            if not math.isfinite(sum(losses)):
                raise RunError(
                    f"the loss became {losses} in epoch {epoch + 1}; lower learning_rate, or use precision = '32-true'"
                )
            state.losses.append(losses)
            state.step = step + 1
            if leader and (stopping or pausing or time.monotonic() - saved >= config.checkpoint_seconds):
                state.save(checkpoint)
                saved = time.monotonic()
            if pausing and not stopping:
                stopping = _hold(fabric, run)
                started, begun_at = time.monotonic(), step + 1
            if stopping:
                if leader:
                    run.write_status(state="stopped", message="Stopped as asked; resume continues with the next step.")
                logger.info("stopped as asked")
                return
        mean_losses = [float(mean) for mean in np.mean(state.losses, axis=0)]
        factor = set_learning_rate(
            optimizer,
            config,
            step=(epoch + 1) * steps_per_epoch - 1,
            total_steps=total_steps,
            steps_per_epoch=steps_per_epoch,
        )
        state.epoch, state.step, state.losses = epoch + 1, 0, []
        trained = time.monotonic()
        validation = validate(average, features, data, model_config) if leader else None
        figures = fabric.broadcast(validation.figures if validation else {})
        row = {
            "epoch": epoch + 1,
            **dict(zip(_LOSSES, mean_losses, strict=False)),
            "learning_rate": factor * config.learning_rate,
            "seconds": round(trained - started, 3),
            "validation_seconds": round(time.monotonic() - trained, 3),
            **figures,
        }
        score = row.get("macro_auc")
        if score is None or score >= state.best:
            state.best, state.best_epoch = (score if score is not None else -1.0), epoch + 1
            if leader:
                save_weights(run.path / "weights", average, model_config, _facts(run, data, row, start))
                _keep_validation(run, validation, data, features, data_root=data_root, epoch=epoch + 1)
        if leader:
            run.append_metrics(row)
            tracker.log(row)
            state.save(checkpoint)
            saved = time.monotonic()
            run.write_status(epoch=epoch + 1, best=state.best if score is not None else None)
            logger.info(
                "%s",
                "  ".join(
                    f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
                ),
            )
    if leader:
        run.write_status(state="finished", message=f"best epoch {state.best_epoch}")


def _out_of_patience(state: CheckpointState, config: TrainConfig) -> bool:
    if not config.patience or state.epoch - max(state.best_epoch, 0) < config.patience:
        return False
    logger.info("no better epoch for %d epochs: stopping early", config.patience)
    return True


def _step_seed(config: TrainConfig, epoch: int, step: int, stream: int) -> int:
    """A seed of a step's own, so that a run can go on at any step; one stream of numbers does not resemble another."""
    return int(np.random.SeedSequence([config.seed, epoch, step, stream]).generate_state(1, np.uint64)[0] >> 1)


def _agree(fabric: Fabric, run: RunDirectory, losses: tuple[float, ...]) -> tuple[tuple[float, ...], bool, bool]:
    """Mean losses over all processes, and whether to stop and whether to pause: in every process the same.

    The leader alone looks for requests; a process that saw one earlier than the others would leave them waiting for
    ever.
    """
    leader = fabric.global_rank == 0
    asked = (leader and run.stop_requested(), leader and run.pause_requested())
    if fabric.world_size == 1:
        return losses, *asked
    shared = torch.tensor([*losses, *map(float, asked)], dtype=torch.float64, device=fabric.device)
    *means, stopping, pausing = fabric.all_reduce(shared, reduce_op="mean").tolist()
    return tuple(means), stopping > 0, pausing > 0


def _hold(fabric: Fabric, run: RunDirectory) -> bool:
    """Wait while a pause is asked for; whether to stop after it."""
    leader = fabric.global_rank == 0
    if leader:
        run.write_status(state="paused", message="Paused as asked; everything is saved.", eta_seconds=None)
        logger.info("paused as asked")
    stopping, pausing = False, True
    while pausing and not stopping:
        time.sleep(PAUSE_SECONDS)
        _, stopping, pausing = _agree(fabric, run, ())
    if leader:
        run.write_status(state="running", message="")
    return stopping


def _keep_validation(
    run: RunDirectory,
    validation: Validation,
    data: TrainingData,
    features: MelSpectrogram,
    *,
    data_root: Path,
    epoch: int,
) -> None:
    """What the best epoch so far says of each validation recording, for pages and comparisons."""
    scored = collect_scores(
        [recording for recording, _ in data.validation],
        seconds=[len(mel) * features.config.frame_seconds for _, mel in data.validation],
        class_names=data.class_names,
        labels=validation.labels,
        logits=validation.logits,
        data_root=data_root,
        epoch=epoch,
    )
    write_validation(run, scored, class_names=data.class_names)


def _facts(run: RunDirectory, data: TrainingData, row: dict[str, object], start: str) -> dict[str, object]:
    return {
        "summary": f"trained by run {run.name}",
        "train_config": to_dict(run.config),
        "auxiliary": [name.code for name in data.auxiliary],
        "initialization": start,
        "provenance": data.provenance,
        "validation": row,
    }


def _prefetch(
    maker: WindowMaker, epoch: int, steps: range, batch_size: int, fabric: Fabric
) -> Iterator[tuple[int, Windows]]:
    """Steps of an epoch with this process's batches, the next one being made while the last is trained on."""

    def make(step: int) -> Windows:
        first = (step * fabric.world_size + fabric.global_rank) * batch_size
        return maker.batch(epoch=epoch, indices=range(first, first + batch_size))

    if not steps:  # stopped after the last one, before validation
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        following = pool.submit(make, steps[0])
        for step in steps:
            current = following.result()
            if step + 1 in steps:
                following = pool.submit(make, step + 1)
            yield step, current


def _report_progress(run: RunDirectory, done: int, total: int, batch: int, rate: float) -> None:
    remaining = (total - done) * batch / rate
    run.heartbeat()
    if done % 10 == 0 or done == total:
        run.write_status(step=done, total_steps=total, windows_per_second=round(rate, 2), eta_seconds=round(remaining))
        logger.info("step %d of %d  %.1f windows/s  %d min left", done, total, rate, remaining // 60)
