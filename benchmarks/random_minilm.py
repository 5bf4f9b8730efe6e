"""A transformer of MiniLM's size with random weights, for timing only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

LAYERS, WIDTH, HEADS, INNER, WORDS = 6, 384, 12, 1536, 30_522
"""Layers, width, attention heads, width of the inner layer and vocabulary of all-MiniLM-L6-v2."""


class _Graph:
    """Nodes and weights of an ONNX graph; every method returns the name of its result."""

    def __init__(self) -> None:
        from onnx import helper, numpy_helper

        self.helper, self.numpy_helper = helper, numpy_helper
        self.rng = np.random.default_rng(0)
        self.nodes, self.weights = [], []

    def op(self, kind: str, *inputs: str, **attributes) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(self.numpy_helper.from_array(np.asarray(value), name))
        return name

    def random(self, *shape: int) -> str:
        return self.constant(self.rng.normal(0.0, 0.02, shape).astype(np.float32))

    def linear(self, x: str, width_in: int, width_out: int) -> str:
        product = self.op("MatMul", x, self.random(width_in, width_out))
        return self.op("Add", product, self.random(width_out))

    def norm(self, x: str) -> str:
        ones, zeros = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
        return self.op("LayerNormalization", x, self.constant(ones), self.constant(zeros))

    def heads(self, x: str, order: list[int]) -> str:
        shape = self.constant(np.array([0, 0, HEADS, WIDTH // HEADS]))
        return self.op("Transpose", self.op("Reshape", x, shape), perm=order)

    def layer(self, x: str, bias: str) -> str:
        query, key, value = (
            self.heads(self.linear(x, WIDTH, WIDTH), order)
            for order in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
        )
        scale = self.constant(np.float32((WIDTH // HEADS) ** -0.5))
        scores = self.op("Mul", self.op("MatMul", query, key), scale)
        weights = self.op("Softmax", self.op("Add", scores, bias), axis=-1)
        mixed = self.op("Transpose", self.op("MatMul", weights, value), perm=[0, 2, 1, 3])
        joined = self.op("Reshape", mixed, self.constant(np.array([0, 0, WIDTH])))
        x = self.norm(self.op("Add", x, self.linear(joined, WIDTH, WIDTH)))
        inner = self.linear(x, WIDTH, INNER)
        half, one = self.constant(np.float32(0.5)), self.constant(np.float32(1.0))
        error = self.op("Erf", self.op("Mul", inner, self.constant(np.float32(0.5**0.5))))
        gelu = self.op("Mul", self.op("Mul", inner, half), self.op("Add", error, one))
        return self.norm(self.op("Add", x, self.linear(gelu, INNER, WIDTH)))


def write(folder: Path) -> None:
    """Write ``model.onnx``, ``model_int8.onnx`` and a ``tokenizer.json`` of short word pieces."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from tokenizers import Tokenizer, models, pre_tokenizers

    graph = _Graph()
    x = graph.op("Gather", graph.random(WORDS, WIDTH), "input_ids")
    mask = graph.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    hidden = graph.op("Sub", graph.constant(np.float32(1.0)), mask)
    bias = graph.op("Mul", hidden, graph.constant(np.float32(-1e4)))
    bias = graph.op("Unsqueeze", bias, graph.constant(np.array([1, 2])))
    x = graph.norm(x)
    for _ in range(LAYERS):
        x = graph.layer(x, bias)
    graph.nodes[-1].output[0] = "last_hidden_state"
    info = graph.helper.make_tensor_value_info
    model = graph.helper.make_model(
        graph.helper.make_graph(
            graph.nodes,
            "random MiniLM",
            [
                info(n, TensorProto.INT64, ["batch", "length"])
                for n in ("input_ids", "attention_mask")
            ],
            [info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", WIDTH])],
            graph.weights,
        ),
        opset_imports=[graph.helper.make_opsetid("", 17)],
        ir_version=9,
    )
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    quantize_dynamic(
        folder / "model.onnx", folder / "model_int8.onnx", weight_type=QuantType.QUInt8
    )
    pairs = [a + b for a in "etaoinshrdlu" for b in "etaoinshrdlu"]
    vocabulary = ["[UNK]", *"abcdefghijklmnopqrstuvwxyz0123456789.,;()?-", *pairs]
    vocabulary += ["##" + piece for piece in vocabulary[1:]]
    tokenizer = Tokenizer(
        models.WordPiece({w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
