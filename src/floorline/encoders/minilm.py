"""Encoder by sentence embeddings of a small transformer in ONNX Runtime (extra ``minilm``)."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline._extras import needs
from floorline.encoders.base import Prompt
from floorline.encoders.messages import read_prompt
from floorline.errors import DataError, InvalidInput, check_number

_VERSION = 1
"""Version of the features; part of the fingerprint. A change of the features raises it."""

_HUB_REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
_ARM = platform.machine().lower() in ("arm64", "aarch64")
_HUB_FILE = "onnx/model_qint8_arm64.onnx" if _ARM else "onnx/model_quint8_avx2.onnx"
_TOKEN_OUTPUTS = ("last_hidden_state", "token_embeddings")
"""Names of model outputs with one row per token."""

_SENTENCE_OUTPUTS = ("sentence_embedding", "sentence_embeddings")
"""Names of model outputs with one row per text; preferred, because they need no pooling."""

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_READ_CHARACTERS_PER_TOKEN = 16
"""Characters passed to the tokenizer per token that is kept, at each end of a prompt. A wordpiece
has about 4 characters, so 16 leave a margin; the text between is skipped, because truncation would
drop its tokens anyway."""


class MiniLm:
    """Mean-pooled, normalised token embeddings of a small transformer [1]_.

    A long prompt keeps its first ``head_tokens`` tokens and as many of its last tokens as fit,
    because the question is usually at the end. The system prompt is read as the start of the
    prompt.

    Models with dynamically quantised activations (int8) take their scales from the whole batch, so
    ``encode_batch`` can differ slightly from ``encode``. With float models both agree up to
    rounding.

    Parameters
    ----------
    folder
        Folder with ``tokenizer.json`` and ``model.onnx`` or ``onnx/model*.onnx``. An int8 model
        for this processor is preferred.
    file
        Path of the model inside the folder. Default: the preferred one.
    max_tokens
        Number of tokens read of a prompt, including special tokens.
    head_tokens
        Number of them that come from the start of a longer prompt.
    batch_size
        Number of prompts per run of the model in ``encode_batch``.
    threads
        Number of threads that one run of the model may use.

    Raises
    ------
    MissingExtra
        If ``onnxruntime`` or ``tokenizers`` is not installed.
    DataError
        If a file is missing from the folder or cannot be read.
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] Reimers, Gurevych: Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks. EMNLP
       2019, arXiv:1908.10084.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        file: str | None = None,
        max_tokens: int = 128,
        head_tokens: int = 24,
        batch_size: int = 32,
        threads: int = 1,
    ) -> None:
        with needs("minilm", "the MiniLM encoder"):
            import onnxruntime
            import tokenizers

        self.max_tokens = _integer("max_tokens", max_tokens, 8, 512)
        self.head_tokens = _integer("head_tokens", head_tokens, 0, self.max_tokens // 2)
        self.batch_size = _integer("batch_size", batch_size, 1, 4096)
        self.threads = _integer("threads", threads, 1, 256)
        root = Path(folder)
        tokenizer_path, model_path = root / "tokenizer.json", _model_file(root, file)
        if not tokenizer_path.is_file():
            raise DataError(root, "contains no tokenizer.json; add the tokenizer of the model")
        self._digest = _digest(model_path, tokenizer_path)

        # Both libraries raise plain Exception for a file that they cannot read.
        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(tokenizer_path))
        except Exception as error:
            raise DataError(
                tokenizer_path, "is not a tokenizer; use the file from the model's folder"
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(model_path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise DataError(model_path, "is not an ONNX model; export the model to ONNX") from error

        self._inputs = {each.name for each in self._session.get_inputs()}
        if "input_ids" not in self._inputs or not self._inputs <= _INPUTS:
            raise DataError(
                model_path,
                f"has inputs {sorted(self._inputs)}; use a text model with inputs among "
                f"{sorted(_INPUTS)}",
            )
        self._output = _output_name([each.name for each in self._session.get_outputs()])
        self._prefix, self._suffix = self._special_tokens()
        self._dim = int(self._embed([self._tokens("a")]).shape[1])

    @classmethod
    def from_hub(
        cls,
        repository: str = _HUB_REPOSITORY,
        *,
        file: str = _HUB_FILE,
        revision: str = "main",
        **parameters: Any,
    ) -> MiniLm:
        """Load model and tokenizer from the Hugging Face hub or from its local cache.

        Parameters
        ----------
        repository, file, revision
            Repository on the hub, path of the model in it, and branch, tag or commit.
        parameters
            Parameters of the constructor.

        Raises
        ------
        MissingExtra
            If ``huggingface_hub`` is not installed.
        DataError
            If the hub cannot be reached or does not have the file.
        """
        with needs("minilm", "the MiniLM encoder"):
            from huggingface_hub import hf_hub_download
        try:
            for name in ("tokenizer.json", file):
                model = Path(hf_hub_download(repository, name, revision=revision))
        # Depending on its version, the hub client raises errors of several HTTP libraries.
        except Exception as error:
            raise DataError(
                repository,
                "cannot be downloaded; check the network, or download it once and give its "
                "folder: MiniLm(folder)",
            ) from error
        root = model.parents[len(Path(file).parts) - 1]
        return cls(root, file=file, **parameters)

    @property
    def dim(self) -> int:
        """Length of the feature vector."""
        return self._dim

    @property
    def fingerprint(self) -> str:
        """Name, version, parameters and a digest of model and tokenizer."""
        return (
            f"minilm/{_VERSION}(max_tokens={self.max_tokens},head_tokens={self.head_tokens},"
            f"dim={self.dim},model={self._digest})"
        )

    def encode(self, prompt: Prompt) -> NDArray[np.float32]:
        """Encode one prompt: (dim,) float32 of norm 1.

        Raises
        ------
        InvalidInput
            If the prompt is malformed.
        """
        return np.asarray(self._embed([self._tokens(_text(prompt))])[0])

    def encode_batch(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """Encode n prompts as an (n, dim) float32 matrix of rows of norm 1.

        Raises
        ------
        InvalidInput
            If a prompt is malformed.
        """
        tokens = [self._tokens(_text(prompt)) for prompt in prompts]
        # Prompts of similar length share a batch, so that little of it is padding.
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        result = np.empty((len(tokens), self.dim), dtype=np.float32)
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            result[batch] = self._embed([tokens[i] for i in batch])
        return result

    def _special_tokens(self) -> tuple[list[int], list[int]]:
        """Return the ids of the tokens that the tokenizer adds before and after every text."""
        encoded = self._tokenizer.encode("a")
        mask, ids = list(encoded.special_tokens_mask), list(encoded.ids)
        inside = [i for i, special in enumerate(mask) if not special]
        if not inside:
            return ids[:1], ids[1:]
        return ids[: inside[0]], ids[inside[-1] + 1 :]

    def _tokens(self, text: str) -> list[int]:
        room = max(2, self.max_tokens - len(self._prefix) - len(self._suffix))
        head = min(self.head_tokens, room - 1)
        read = _READ_CHARACTERS_PER_TOKEN * self.max_tokens
        if len(text) > 2 * read:
            text = text[:read] + " " + text[-read:]
        # The tokenizer needs UTF-8, and lone surrogates have no UTF-8 form.
        text = text.encode("utf-8", "replace").decode("utf-8")
        ids = list(self._tokenizer.encode(text, add_special_tokens=False).ids)
        if len(ids) > room:
            ids = ids[:head] + ids[len(ids) - (room - head) :]
        return [*self._prefix, *ids, *self._suffix]

    def _embed(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return (n, dim) embeddings of n texts; a text without tokens has the embedding 0."""
        width = max(1, *(len(ids) for ids in tokens))
        ids = np.zeros((len(tokens), width), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, each in enumerate(tokens):
            ids[row, : len(each)] = each
            mask[row, : len(each)] = 1
        arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feed = {name: arrays[name] for name in self._inputs}
        output = np.asarray(self._session.run([self._output], feed)[0], dtype=np.float32)
        if output.ndim == 3:
            weights = mask[:, :, None].astype(np.float32)
            output = (output * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1.0)
        # Some models return NaN for a fully masked text.
        output = np.nan_to_num(output)
        output[mask.sum(axis=1) == 0] = 0.0
        norms = np.linalg.norm(output, axis=1, keepdims=True)
        return np.asarray(output / np.maximum(norms, 1e-12), dtype=np.float32)


def _text(prompt: Prompt) -> str:
    text = read_prompt(prompt)
    return f"{text.context}\n{text.focus}" if text.context else text.focus


def _model_file(root: Path, file: str | None) -> Path:
    if not root.is_dir():
        raise DataError(root, "is not a folder; give the folder of the model")
    if file is not None:
        if not (root / file).is_file():
            raise DataError(root / file, "is not a file; give a path inside the folder")
        return root / file
    found = sorted([*root.glob("model*.onnx"), *root.glob("onnx/model*.onnx")], key=_preference)
    if not found:
        raise DataError(root, "contains neither model.onnx nor onnx/model*.onnx; add the model")
    return found[0]


def _preference(path: Path) -> tuple[int, str]:
    """Sort key: int8 models for this processor, then float models, then int8 for another one."""
    name = path.name
    quantised = "int8" in name or "quantized" in name
    other_processor = ("arm64" in name) != _ARM if ("arm64" in name or "avx" in name) else False
    # Sums of models for AVX-512 can saturate on processors without those instructions.
    needs_avx512 = "avx512" in name
    if quantised:
        return (4 if other_processor else 1 if needs_avx512 else 0), str(path)
    return (2 if name == "model.onnx" else 3), str(path)


def _output_name(names: Sequence[str]) -> str:
    for name in (*_SENTENCE_OUTPUTS, *_TOKEN_OUTPUTS):
        if name in names:
            return name
    return names[0]


def _digest(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _integer(name: str, value: int, low: int, high: int) -> int:
    fix = f"give a whole number from {low} to {high}"
    number = check_number(f"MiniLm.{name}", value, low=low, high=high, fix=fix)
    if number != int(number):
        raise InvalidInput(f"MiniLm.{name}", value, fix)
    return int(number)
