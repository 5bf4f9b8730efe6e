"""Offline training of PROTEUS's network. Only the trainer needs PyTorch."""

from floorline.training.parts import Parts, split_parts
from floorline.training.settings import TrainingSettings, target_range

__all__ = ["Parts", "TrainingSettings", "split_parts", "target_range"]
