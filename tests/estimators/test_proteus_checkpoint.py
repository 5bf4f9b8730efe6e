import json

import numpy as np
import pytest

from floorline.errors import DataError, InvalidInput
from floorline.estimators.proteus_checkpoint import (
    ABOUT,
    WEIGHTS,
    check_fits,
    load_network,
    save_network,
)


@pytest.fixture
def saved(random_network, tmp_path):
    network = random_network()
    save_network(network, tmp_path, settings={"steps": 3}, data={"name": "d"}, metrics={})
    return network, tmp_path


def test_a_checkpoint_gives_back_every_bit(saved):
    network, folder = saved
    loaded = load_network(folder)
    assert loaded.models == network.models
    assert loaded.encoder == network.encoder
    for name, value in network.weights._asdict().items():
        np.testing.assert_array_equal(getattr(loaded.weights, name), value)
        assert getattr(loaded.weights, name).dtype == np.float32
    assert sorted(p.name for p in folder.iterdir()) == [ABOUT, WEIGHTS]


def test_the_same_network_gives_the_same_bytes(saved, random_network, tmp_path_factory):
    _, folder = saved
    again = tmp_path_factory.mktemp("again")
    save_network(random_network(), again, settings={"steps": 3}, data={"name": "d"}, metrics={})
    for name in (ABOUT, WEIGHTS):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_a_missing_checkpoint_says_which_folder_to_give(tmp_path):
    with pytest.raises(DataError, match=r"give the folder that 'floorline train proteus' wrote"):
        load_network(tmp_path)


@pytest.mark.parametrize("name", [ABOUT, WEIGHTS])
@pytest.mark.parametrize("kept", [0, 1, 60, -1])
def test_a_truncated_checkpoint_is_refused(saved, name, kept):
    path = saved[1] / name
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=name):
        load_network(saved[1])


def test_a_checkpoint_of_another_format_or_with_other_weights_is_refused(saved):
    _, folder = saved
    about = json.loads((folder / ABOUT).read_text())
    (folder / ABOUT).write_text(json.dumps({**about, "format": "floorline-proteus/9"}))
    with pytest.raises(DataError, match="format 'floorline-proteus/9'"):
        load_network(folder)
    (folder / ABOUT).write_text(json.dumps({**about, "weights": "0" * 64}))
    with pytest.raises(DataError, match="not the weights"):
        load_network(folder)


def test_a_network_is_told_apart_by_features_and_models(saved):
    network, _ = saved
    check_fits(network, encoder="vectors", models=("small", "new"))
    with pytest.raises(InvalidInput, match="use the one of training, vectors"):
        check_fits(network, encoder="other", models=("small",))
    with pytest.raises(InvalidInput, match="trained on: small, medium, large"):
        check_fits(network, encoder="vectors", models=("new",))
