import json

import numpy as np
import pytest

from floorline.errors import DataError, InvalidInput
from floorline.estimators.proteus_checkpoint import (
    METADATA,
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


def test_a_loaded_checkpoint_equals_the_saved_one(saved):
    network, folder = saved
    loaded = load_network(folder)
    assert loaded.models == network.models
    assert loaded.encoder == network.encoder
    for name, value in network.weights._asdict().items():
        np.testing.assert_array_equal(getattr(loaded.weights, name), value)
        assert getattr(loaded.weights, name).dtype == np.float32
    assert sorted(p.name for p in folder.iterdir()) == [METADATA, WEIGHTS]


def test_the_same_network_gives_the_same_bytes(saved, random_network, tmp_path_factory):
    _, folder = saved
    again = tmp_path_factory.mktemp("again")
    save_network(random_network(), again, settings={"steps": 3}, data={"name": "d"}, metrics={})
    for name in (METADATA, WEIGHTS):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_the_error_of_a_missing_checkpoint_names_the_folder_to_give(tmp_path):
    with pytest.raises(DataError, match=r"give the folder that 'floorline train proteus' wrote"):
        load_network(tmp_path)


@pytest.mark.parametrize("name", [METADATA, WEIGHTS])
@pytest.mark.parametrize("kept", [0, 1, 60, -1])
def test_a_truncated_checkpoint_is_rejected(saved, name, kept):
    path = saved[1] / name
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=name):
        load_network(saved[1])


def test_a_checkpoint_of_another_format_or_with_other_weights_is_rejected(saved):
    _, folder = saved
    metadata = json.loads((folder / METADATA).read_text())
    (folder / METADATA).write_text(json.dumps({**metadata, "format": "floorline-proteus/9"}))
    with pytest.raises(DataError, match="format 'floorline-proteus/9'"):
        load_network(folder)
    (folder / METADATA).write_text(json.dumps({**metadata, "weights": "0" * 64}))
    with pytest.raises(DataError, match="the digest differs"):
        load_network(folder)


def test_a_network_is_rejected_for_another_encoder_or_other_models(saved):
    network, _ = saved
    check_fits(network, encoder="vectors", models=("small", "new"))
    with pytest.raises(InvalidInput, match="use the encoder of the training, vectors"):
        check_fits(network, encoder="other", models=("small",))
    with pytest.raises(InvalidInput, match="of the training: small, medium, large"):
        check_fits(network, encoder="vectors", models=("new",))
