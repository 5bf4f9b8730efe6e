import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch
from safetensors.torch import load_file

from floorline.cli.app import main
from floorline.errors import DataError
from floorline.estimators import proteus_checkpoint as checkpoint
from floorline.estimators.network import RoutingNetwork
from floorline.replay import prepare
from floorline.replay.proteus.protocol import measure
from floorline.training import TrainingSettings, split_parts
from floorline.training.duals import Duals
from floorline.training.network import Network
from floorline.training.proteus_trainer import ProteusTrainer
from floorline.training.resume import STATE, train


def small(**changes):
    given = {"targets": (0.5, 0.88), "steps": 60, "units": 16, "batch": 32, "warm_up": 0.3}
    return TrainingSettings(**{**given, **changes})


def tensors(network):
    return {name: value.tobytes() for name, value in network.weights._asdict().items()}


@pytest.fixture(scope="module")
def parts(routed):
    return split_parts(routed[0])


@pytest.fixture(scope="module")
def whole(parts, routed):
    trainer = ProteusTrainer(parts, routed[1], small())
    trainer.run()
    return trainer


@pytest.mark.parametrize("dual", [0.0, 1.0, 7.5])
def test_numpy_and_torch_give_the_same_numbers(random_network, dual):
    trained = random_network()
    served = RoutingNetwork(6, trained.models, network=trained, dual=dual)
    torch_network = Network(trained.weights)
    rng = np.random.default_rng(1)
    for floor in (0.1, 0.4, 0.63, 0.9, 1.0):
        x = rng.normal(size=6).astype(np.float32)
        p, a, b = served.beta(x, floor)
        with torch.no_grad():
            z = torch_network.encode(torch.from_numpy(x)[None])
            expected = torch.sigmoid(torch_network.quality(z))
            found = torch_network.beta(z, torch.tensor([floor]), torch.tensor([dual]))
            mu = found[0] / (found[0] + found[1])
            scores = torch_network.scores(expected, mu)
        np.testing.assert_allclose(p, expected[0].numpy(), atol=1e-5)
        np.testing.assert_allclose((a, b), [v.item() for v in found], atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(served.scores(p, a / (a + b)), scores[0].numpy(), atol=1e-5)


def test_equal_seeds_give_equal_bytes_and_other_seeds_other_bytes(parts, routed, whole):
    again = ProteusTrainer(parts, routed[1], small())
    again.run()
    assert tensors(again.trained()) == tensors(whole.trained())
    other = ProteusTrainer(parts, routed[1], small(seed=1))
    other.run()
    assert tensors(other.trained()) != tensors(whole.trained())


def test_training_restores_the_callers_generator_and_threads(parts, routed):
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    ProteusTrainer(parts, routed[1], small(steps=3)).run()
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


class Killed(BaseException):
    pass


@pytest.mark.parametrize("killed_at", [13, 37, 59])
def test_a_killed_training_resumes_to_an_equal_result(killed_at, parts, routed, whole, tmp_path):
    def kill(progress):
        if progress.step == killed_at:
            raise Killed

    with pytest.raises(Killed):
        train(parts, routed[1], small(), tmp_path, save_every=10, progress=kill)
    assert (tmp_path / STATE).exists()
    steps = []
    resumed = train(
        parts, routed[1], small(), tmp_path, resume=True, progress=lambda p: steps.append(p.step)
    )
    assert steps[0] == killed_at // 10 * 10 + 1
    assert tensors(resumed.trained()) == tensors(whole.trained())
    assert resumed.best_loss == whole.best_loss


def test_a_state_of_other_settings_or_a_damaged_one_is_not_resumed(parts, routed, tmp_path):
    train(parts, routed[1], small(steps=12), tmp_path, save_every=5)
    with pytest.raises(DataError, match=r"other data, settings or features; train without"):
        train(parts, routed[1], small(steps=13), tmp_path, resume=True)
    path = tmp_path / STATE
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match="damaged"):
        train(parts, routed[1], small(steps=12), tmp_path, resume=True)


def test_the_trainer_does_not_read_test_rows(parts, routed):
    seen = []

    class Spy:
        dim, fingerprint = routed[1].dim, routed[1].fingerprint

        def encode_batch(self, prompts):
            seen.extend(prompts)
            return routed[1].encode_batch(prompts)

    ProteusTrainer(parts, Spy(), small(steps=1)).run()
    assert sorted(seen) == sorted(parts.train.prompts + parts.validation.prompts)
    assert not set(seen) & set(parts.test.prompts)


def test_duals_rise_where_floors_are_missed_and_are_never_negative():
    duals = Duals(small(duals=2, margin=0.0))
    floor = torch.tensor([0.51, 0.52, 0.86, 0.87])
    duals.observe(floor, torch.tensor([1.0, 1.0, 0.0, 1.0]))
    duals.step()
    expected = [1 + 0.4 * (0.515 - 1.0), 1 + 0.4 * (0.865 - 0.5)]
    torch.testing.assert_close(duals.values, torch.tensor(expected))
    torch.testing.assert_close(duals.at(floor), torch.tensor(expected).repeat_interleave(2))
    for _ in range(40):
        duals.observe(floor, torch.ones(4))
        duals.step()
    assert duals.values.tolist() == [0.0, 0.0]


def test_accuracy_and_cost_of_a_trained_network_follow_the_floor(parts, routed):
    trainer = ProteusTrainer(
        parts, routed[1], small(steps=1500, units=32, rate=3e-3, alpha=1.0, margin=0.05)
    )
    trainer.run()
    data = prepare(parts.test, routed[1])
    found = measure(data, "proteus", targets=(0.5, 0.88), parameters={"network": trainer.trained()})
    assert found.pearson > 0.7
    assert found.pearson_mu > 0.7
    assert found.levels[-1].accuracy > found.levels[0].accuracy + 0.1
    assert found.levels[0].cost < 0.3 * found.levels[-1].cost


@pytest.fixture
def on_disk(routed, tmp_path):
    path = tmp_path / "routed.parquet"
    routed[0].save(path)
    return path


def test_the_command_writes_a_checkpoint_that_replay_serves(on_disk, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["train", "proteus", "--data", str(on_disk), "--out", str(out), "--steps", "40"]
    assert main(arguments) == 0
    assert sorted(p.name for p in out.iterdir()) == [checkpoint.METADATA, checkpoint.WEIGHTS]
    network = checkpoint.load_network(out)
    plain = load_file(out / checkpoint.WEIGHTS)
    for name, value in network.weights._asdict().items():
        np.testing.assert_array_equal(value, plain[name].numpy())
    metadata = json.loads((out / checkpoint.METADATA).read_text())
    assert metadata["models"] == ["small", "medium", "large"]
    assert metadata["encoder"] == network.encoder
    assert metadata["data"]["rows"] == {"train": 126, "validation": 54, "test": 60, "dropped": 0}
    assert metadata["settings"]["steps"] == 40
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main([*arguments[:5], str(tmp_path / "again"), *arguments[6:]]) == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "again").iterdir()} == first
    served = ["replay", "--data", str(on_disk), "--policy", "proteus", "--seeds", "1"]
    assert main([*served, "--param", f"checkpoint={out}", "--jobs", "1", "--no-references"]) == 0
    assert "proteus" in capsys.readouterr().out
