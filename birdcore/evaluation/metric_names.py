"""What the figures of a published model are called: in its facts, on its card, and on screens that look them up."""

from __future__ import annotations

__all__ = [
    "ALL_RECORDINGS",
    "CMAP",
    "FALSE_ALARMS",
    "FRAME_F1",
    "KNOWN_FROM_UNKNOWN",
    "MACRO_ROC_AUC",
    "TOP1",
    "metric_of",
]

MACRO_ROC_AUC = "macro ROC-AUC"
CMAP = "cmAP"
TOP1 = "top-1"

ALL_RECORDINGS = "all recordings"
"""The whole test split, of which other sections are parts."""

FRAME_F1 = "frame macro F1"
KNOWN_FROM_UNKNOWN = "known from unknown species, ROC-AUC"
FALSE_ALARMS = "bird-free windows that report a species"


def metric_of(metric: str, recordings: str) -> str:
    """The name of a metric that was measured on some recordings: ``top-1, all recordings``."""
    return f"{metric}, {recordings}"
