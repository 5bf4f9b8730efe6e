"""Replays with prompts: tables, their vectors by encoder, and runs, each kept on disk."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

import floorline
from bench_hints import floors_of
from floorline.bench.suite import load_suite
from floorline.datasets import load
from floorline.encoders import Lsa, MiniLm, make_encoder
from floorline.replay import Spec, prepare, replay
from floorline.replay.compare import summarise
from floorline.replay.metrics import references
from floorline.replay.run import history_of, stream_rows
from labels import feedback

TABLES = (
    "messplus/arc_challenge",
    "messplus/boolq",
    "messplus/piqa",
    "messplus/sciq",
    "messplus/social_iqa",
    "routerbench/arc_challenge",
    "routerbench/winograde",
    "routerbench/mbpp",
    "paretobandit/val_k4",
    "manymodels/medmcqa",
    "manymodels/llmrouter",
    "manymodels/logparse",
)
HISTORY = 0.5
"""Share of the rows that a warm start learns."""
MINILM_FILES = {"minilm": "model.onnx", "minilm-int8": "model_int8.onnx"}
MARKS = (0, 250, 500, 1000, 2000, 4000, 8000, 16000)
"""Requests at which a part of a stream begins, of which cost and satisfaction are kept."""
ENCODERS = ("hashed", "lsa", *MINILM_FILES)
POLICY = "primal_dual"


class Case(NamedTuple):
    """One replay; ``told`` tells our policy all labels beforehand, as means only."""

    table: str
    encoder: str
    warm: bool
    prompts: bool
    floor: float
    seed: int
    share: float = 1.0
    told: bool = False
    policy: str = POLICY

    @property
    def spec(self):
        """Specification of the replay."""
        history = HISTORY if self.warm else 0.0
        parameters = {"prompts": self.prompts} if self.policy == POLICY else {}
        return Spec(self.policy, self.floor, feedback(self.share), self.seed, parameters, history)


class PromptRuns:
    """Replays, each run once.

    Parameters
    ----------
    cache
        Folder of MiniLM's vectors and of finished runs; the latter lie under a digest of the code
        that they depend on.
    minilm
        Folder of the MiniLM models, or None.
    """

    def __init__(self, cache, minilm):
        self.cache, self.minilm = cache, minilm
        cache.mkdir(parents=True, exist_ok=True)
        self.file = cache / f"runs-{_digest_of_code()}.jsonl"
        self.done = {}
        if self.file.exists():
            for line in self.file.read_text(encoding="utf-8").splitlines():
                key, found = json.loads(line)
                self.done[tuple(key)] = found
        self._tables, self._plain, self._data = {}, {}, {}
        self._given_floors = load_suite("mess_plus").parts[0].data

    def table(self, name):
        """Return a routing table without the rows that have gaps."""
        if name not in self._tables:
            self._tables[name] = load(name, gaps="drop")
        return self._tables[name]

    def floors(self, name):
        """Floors of a table."""
        return self._given_floors.get(name) or floors_of(self.plain(name))

    def plain(self, name):
        """Return a table as replays need it, with hashed features."""
        if name not in self._plain:
            self._plain[name] = prepare(self.table(name), make_encoder("hashed"))
        return self._plain[name]

    def data(self, name, encoder, seed=0):
        """Return a table with an encoder's features; LSA is fitted on the first half of a seed."""
        plain = self.plain(name)
        if encoder == "hashed":
            return plain
        key = name, encoder, seed if encoder == "lsa" else 0
        if key not in self._data:
            lsa = encoder == "lsa"
            features = self._lsa(name, seed) if lsa else self._minilm(name, encoder)
            # Cases come table by table, so that one at a time is enough.
            self._data = {key: plain._replace(features=features, encoder=encoder)}
        return self._data[key]

    def has(self, name, encoder):
        """Whether a table's vectors of an encoder are there, or can be made."""
        made = encoder not in MINILM_FILES or self._vectors(name, encoder).exists()
        return made or self.minilm is not None

    def keep(self, key, make):
        """Return what was found under a key of numbers and texts; make and store it if new."""
        if key not in self.done:
            self.done[key] = make()
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, self.done[key]]) + "\n")
        return self.done[key]

    def run(self, case):
        """Return the numbers of a run: satisfaction, floor met, costs, and times in µs."""

        def make():
            data = self.data(case.table, case.encoder, case.seed)
            past = history_of(data, np.arange(data.rows)) if case.told else None
            with threadpool_limits(1):
                record = replay(data, case.spec, past=past)
            found = summarise(data, record)
            known, scores = references(data, record), found.scores
            return {
                "met": scores.floor_met,
                "over": scores.satisfaction - case.floor,
                "cost": scores.cost_per_static_mix,
                "parts": _by_part(record, known.static_mix),
                "best_fixed": known.best_fixed / known.static_mix,
                "oracle": known.oracle / known.static_mix,
                "decide_us": found.decide_us,
                "learn_us": found.learn_us,
            }

        return self.keep(tuple(case), make)

    def mean(self, cases):
        """Return the means of the numbers of several runs of one table."""
        runs = [self.run(case) for case in cases]
        return {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}

    def _lsa(self, name, seed):
        prompts = self.table(name).prompts
        half, _ = stream_rows(self.plain(name), Spec(POLICY, 0.5, seed=seed, history=HISTORY))
        return Lsa().fit([prompts[row] for row in half]).encode_batch(prompts)

    def _vectors(self, name, encoder):
        return self.cache / f"{name.replace('/', '_')}.{encoder}.npy"

    def _minilm(self, name, encoder):
        path = self._vectors(name, encoder)
        if not path.exists():
            model = MiniLm(self.minilm, file=MINILM_FILES[encoder])
            prompts = self.table(name).prompts
            vectors = {text: model.encode(text) for text in dict.fromkeys(prompts)}
            np.save(path, np.array([vectors[text] for text in prompts]))
        return np.load(path)


def _by_part(record, mix):
    """(parts, 2) mean satisfaction − floor and cost / static mix from each mark to the next."""
    first = [mark for mark in MARKS if mark < len(record.cost)]
    count = np.diff([*first, len(record.cost)])
    over = np.add.reduceat(record.satisfied, first) / count - record.spec.floor
    return np.column_stack([over, np.add.reduceat(record.cost, first) / count / mix]).tolist()


def _digest_of_code():
    """Digest of what a replay of the flagship depends on."""
    package = Path(floorline.__file__).parent
    digest = hashlib.sha256()
    for folder in ("policies/primal_dual", "policies/budgets", "estimators", "encoders"):
        for path in sorted((package / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
