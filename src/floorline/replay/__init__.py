"""Replay: policies over routing tables as if they were live traffic, and their metrics."""

from floorline.replay.compare import compare
from floorline.replay.data import ReplayData, prepare
from floorline.replay.feedback import FeedbackModel
from floorline.replay.results import Comparison, Result
from floorline.replay.run import replay
from floorline.replay.spec import Run, Spec

__all__ = [
    "Comparison",
    "FeedbackModel",
    "ReplayData",
    "Result",
    "Run",
    "Spec",
    "compare",
    "prepare",
    "replay",
]
