"""Estimators: they predict satisfaction and cost of every model from a request's features."""

from floorline.estimators.base import QualityEstimator
from floorline.estimators.blend import Blend
from floorline.estimators.cost import CostEstimator
from floorline.estimators.logistic import OnlineLogistic
from floorline.estimators.neighbours import NearestNeighbours
from floorline.estimators.perceptron import OnlinePerceptron
from floorline.estimators.running_mean import RunningMean
from floorline.estimators.shared_difficulty import SharedDifficulty

__all__ = [
    "Blend",
    "CostEstimator",
    "NearestNeighbours",
    "OnlineLogistic",
    "OnlinePerceptron",
    "QualityEstimator",
    "RunningMean",
    "SharedDifficulty",
]
