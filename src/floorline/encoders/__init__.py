"""Encoders: they turn a prompt into a feature vector.

Importing this package imports neither scikit-learn nor ONNX Runtime. ``Lsa`` imports scikit-learn
when it is fitted, ``MiniLm`` imports ONNX Runtime when it is built.
"""

from floorline.encoders.base import Encoder, Features, Prompt, SparseFeatures
from floorline.encoders.factory import make_encoder
from floorline.encoders.hashed import HashedNgrams
from floorline.encoders.lsa import Lsa
from floorline.encoders.minilm import MiniLm
from floorline.encoders.precomputed import Precomputed

__all__ = [
    "Encoder",
    "Features",
    "HashedNgrams",
    "Lsa",
    "MiniLm",
    "Precomputed",
    "Prompt",
    "SparseFeatures",
    "make_encoder",
]
