"""Tests of ``MiniLm`` with tiny ONNX models that look up a random embedding per token."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from floorline.encoders import Encoder, MiniLm, make_encoder
from floorline.errors import DataError, InvalidInput, MissingExtra

onnx = pytest.importorskip("onnx")
tokenizers = pytest.importorskip("tokenizers")
pytest.importorskip("onnxruntime")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(300)), "you", "are", "kind"]
DIM = 6
TABLE = np.random.default_rng(0).normal(size=(len(WORDS), DIM)).astype(np.float32)


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # The encoder must switch off truncation and padding.
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    tokenizer.save(str(folder / "tokenizer.json"))


def write_model(
    path: Path,
    *,
    output: str = "last_hidden_state",
    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids"),
    scale: float = 1.0,
) -> None:
    from onnx import TensorProto, helper, numpy_helper

    pooled = output == "sentence_embedding"
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["rows"])]
    if pooled:
        axes = numpy_helper.from_array(np.array([1], dtype=np.int64), "axes")
        nodes.append(helper.make_node("ReduceMean", ["rows", "axes"], [output], keepdims=0))
    else:
        nodes.append(helper.make_node("Identity", ["rows"], [output]))
    shape = ["batch", DIM] if pooled else ["batch", "length", DIM]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "length"]) for n in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(TABLE * np.float32(scale), "table")] + ([axes] if pooled else []),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("minilm")
    write_tokenizer(folder)
    write_model(folder / "model.onnx")
    return folder


@pytest.fixture(scope="module")
def encoder(folder):
    return MiniLm(folder, max_tokens=16, head_tokens=4, batch_size=3)


def mean_of(*words):
    mean = TABLE[[WORDS.index(word) for word in ("[CLS]", *words, "[SEP]")]].mean(axis=0)
    return mean / np.linalg.norm(mean)


def test_embedding_is_the_normalised_mean_of_unmasked_tokens(encoder):
    assert isinstance(encoder, Encoder)
    x = encoder.encode("w1 w2 w3")
    assert x.dtype == np.float32
    assert x.shape == (encoder.dim,) == (DIM,)
    np.testing.assert_allclose(x, mean_of("w1", "w2", "w3"), rtol=1e-5)


def test_long_prompts_keep_head_and_tail(encoder):
    words = [f"w{i}" for i in range(300)]
    expected = mean_of(*words[:4], *words[-10:])
    np.testing.assert_allclose(encoder.encode(" ".join(words)), expected, rtol=1e-5)
    huge = " ".join(words[:4]) + " w7" * 200_000 + " " + " ".join(words[-10:])
    np.testing.assert_allclose(encoder.encode(huge), expected, rtol=1e-5)


def test_system_prompt_comes_first(encoder):
    chat = [{"role": "system", "content": "you are"}, {"role": "user", "content": "kind w1"}]
    np.testing.assert_allclose(encoder.encode(chat), mean_of("you", "are", "kind", "w1"), rtol=1e-5)


def test_batch_equals_single_for_every_padding(encoder, unusual_texts):
    prompts = ["w1", "w1 w2 w3 w4 w5", *unusual_texts, "", "w9 " * 40]
    single = np.stack([encoder.encode(p) for p in prompts])
    batch = encoder.encode_batch(prompts)
    assert np.isfinite(batch).all()
    np.testing.assert_allclose(batch, single, rtol=1e-5, atol=1e-6)
    assert encoder.encode_batch([]).shape == (0, DIM)


@pytest.mark.parametrize("output", ["token_embeddings", "sentence_embedding", "anything"])
def test_other_outputs_and_inputs(tmp_path, output):
    write_tokenizer(tmp_path)
    write_model(tmp_path / "onnx" / "model.onnx", output=output, inputs=("input_ids",))
    x = MiniLm(tmp_path).encode("w1 w2")
    np.testing.assert_allclose(x, mean_of("w1", "w2"), rtol=1e-5)


def test_int8_is_preferred_and_fingerprints_differ_between_models(tmp_path, folder):
    write_tokenizer(tmp_path)
    write_model(tmp_path / "model.onnx", scale=2.0)
    plain = MiniLm(tmp_path).fingerprint
    write_model(tmp_path / "onnx" / "model_int8.onnx", scale=3.0)
    small = MiniLm(tmp_path).fingerprint
    assert len({plain, small, MiniLm(folder).fingerprint}) == 3
    assert MiniLm(tmp_path, file="model.onnx").fingerprint == plain
    assert MiniLm(tmp_path, max_tokens=64).fingerprint != small
    assert make_encoder(f"minilm:{tmp_path}").fingerprint == small


def test_incomplete_folders_are_rejected(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        MiniLm(tmp_path / "missing")
    with pytest.raises(DataError, match=r"neither model\.onnx"):
        MiniLm(tmp_path)
    with pytest.raises(DataError, match="not a file"):
        MiniLm(tmp_path, file="other.onnx")
    write_model(tmp_path / "model.onnx")
    with pytest.raises(DataError, match=r"no tokenizer\.json"):
        MiniLm(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="not a tokenizer"):
        MiniLm(tmp_path)
    write_tokenizer(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(DataError, match="not an ONNX model"):
        MiniLm(tmp_path)
    write_model(tmp_path / "model.onnx", inputs=("input_ids", "pixels"))
    with pytest.raises(DataError, match="pixels"):
        MiniLm(tmp_path)


@pytest.mark.parametrize("arguments", [{"max_tokens": 7}, {"head_tokens": 65}, {"threads": 1.5}])
def test_bad_parameters_are_rejected(folder, arguments):
    with pytest.raises(InvalidInput, match=next(iter(arguments))):
        MiniLm(folder, **arguments)


@pytest.mark.parametrize("module", ["onnxruntime", "tokenizers"])
def test_missing_extra_is_named(folder, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"floorline\[minilm\]"):
        MiniLm(folder)


def test_hub(folder, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "hf_hub_download", lambda repo, name, revision: str(folder / name))
    found = MiniLm.from_hub("owner/name", file="model.onnx")
    assert found.fingerprint == MiniLm(folder).fingerprint

    def offline(repo, name, revision):
        raise OSError("no route")

    monkeypatch.setattr(hub, "hf_hub_download", offline)
    with pytest.raises(DataError, match="check the network"):
        MiniLm.from_hub()
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match="minilm"):
        MiniLm.from_hub()


@pytest.mark.skipif(
    not os.environ.get("FLOORLINE_MINILM"),
    reason="set FLOORLINE_MINILM to a folder that benchmarks/minilm_onnx.py wrote",
)
@pytest.mark.parametrize(("file", "off"), [("model.onnx", 1e-4), ("model_int8.onnx", 2e-2)])
def test_the_real_weights_give_the_published_embedding(file, off):
    x = MiniLm(os.environ["FLOORLINE_MINILM"], file=file).encode("This is an example sentence")
    published = (0.06766, 0.06350, 0.04871, 0.07930, 0.03745)
    np.testing.assert_allclose(x[:5], published, atol=off)
