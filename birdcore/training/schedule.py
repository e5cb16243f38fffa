"""Optimizers, and how their learning rate moves during a run."""

from __future__ import annotations

import math

import torch
from torch import nn

from birdcore.config import TrainConfig
from birdcore.errors import RunError

__all__ = ["learning_rate_factor", "make_optimizer", "one_cycle", "set_learning_rate"]

ONE_CYCLE_RISE = 0.3
"""Share of the run in which the rate of "onecycle" rises; this and the next three are torch's and fastai's."""

ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = ONE_CYCLE_START / 1e4
ONE_CYCLE_MOMENTUM = (0.95, 0.85)
"""Momentum where the rate is lowest and where it is highest: the two move against each other."""


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer that a run asks for; its groups know their own ``base_lr``.

    A pretrained trunk moves more slowly, biases and scales do not decay, and frozen parameters are left out. "sgd" has
    momentum 0.9; "adam" and "sgd" add the decay to the gradient (L2), "adamw" takes it off the weights.

    Raises
    ------
    RunError
        If every parameter is frozen.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            pretrained = name.removeprefix("network.").startswith("trunk.") and config.init in (
                "yamnet",
                "birdnet",
                "crnn",
            )
            groups.setdefault((pretrained, parameter.ndim > 1), []).append(parameter)
    if not groups:
        raise RunError(f"{config.architecture}: every parameter is frozen, so there is nothing to train")
    parameters = [
        {
            "params": members,
            "base_lr": config.trunk_learning_rate if pretrained else config.learning_rate,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (pretrained, decays), members in sorted(groups.items())
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=config.learning_rate, momentum=0.9)
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}
    return kinds[config.optimizer](parameters, lr=config.learning_rate)


def learning_rate_factor(step: int, *, total_steps: int, warmup_steps: int, floor: float) -> float:
    """Factor on the learning rate: a linear warm-up to 1, then half a cosine down to ``floor`` (1 stays constant)."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def one_cycle(step: int, *, total_steps: int) -> tuple[float, float]:
    """Factor on the learning rate, and momentum, of a single cycle over the whole run.

    The rate rises from 1/25 to 1 in the first 30 % of the steps and falls to 1/250,000; both along half a cosine.

    Source
    ------
    Smith and Topin (2018), "Super-convergence"; constants as in ``torch.optim.lr_scheduler.OneCycleLR``.
    """

    def between(start: float, end: float, share: float) -> float:
        return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))

    slow, fast = ONE_CYCLE_MOMENTUM
    peak = ONE_CYCLE_RISE * total_steps - 1
    if step <= peak:
        share = step / max(peak, 1e-9)
        return between(ONE_CYCLE_START, 1.0, share), between(slow, fast, share)
    share = (step - peak) / max(total_steps - 1 - peak, 1e-9)
    return between(1.0, ONE_CYCLE_END, share), between(fast, slow, share)


def set_learning_rate(
    optimizer: torch.optim.Optimizer, config: TrainConfig, *, step: int, total_steps: int, steps_per_epoch: int
) -> float:
    """Set the rate of every group for a step of a run, and the momentum where the schedule moves it; gives the factor.

    It depends on nothing but the step, so a resumed run needs no schedule of its own.
    """
    if config.schedule == "onecycle":
        factor, momentum = one_cycle(step, total_steps=total_steps)
    else:
        factor = learning_rate_factor(
            step,
            total_steps=total_steps,
            warmup_steps=round(config.warmup_epochs * steps_per_epoch),
            floor=1.0 if config.schedule == "constant" else config.learning_rate_floor,
        )
        momentum = None
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif momentum is not None and group.get("momentum"):
            group["momentum"] = momentum
    return factor
