import pytest

from floorline.core.snapshots import pack, unpack
from floorline.errors import SnapshotMismatch
from floorline.events import Decision
from floorline.policies.published.mess_plus import MessPlus


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policy": "carrot"}, r"snapshot has policy .mess_plus\(.*this router 'carrot\("),
        ({"policy": MessPlus(V=1e-3, c=0.5)}, r"V=0.0001.*V=0.001"),
        ({"seed": 4}, "snapshot has seed 3, this router 4"),
        ({"dim": 7}, "snapshot"),
    ],
)
def test_snapshots_of_another_router_are_refused(change, message, build_router, vector):
    router = build_router("mess_plus")
    router.route(features=vector(0))
    other = build_router(**{"policy": "mess_plus", **change})
    if "dim" in change:
        other.encoder.fingerprint = "vectors of another length"
    with pytest.raises(SnapshotMismatch, match=message):
        other.restore(router.snapshot())


@pytest.mark.parametrize("data", [b"", b"nothing", b"\x93\x01\x02\x03", b"\x80"])
def test_bytes_that_are_no_snapshot_of_a_router_are_refused(data, build_router):
    with pytest.raises(SnapshotMismatch, match="snapshot"):
        build_router().restore(data)


def test_a_snapshot_may_leave_decisions_to_the_log(build_router, vector):
    router = build_router("mess_plus")
    for t in range(10):
        router.feedback(router.route(features=vector(t)).id, satisfied=t % 2 == 0)
    log = {e.id: e for e in router.log.read() if isinstance(e, Decision)}
    small = router.snapshot(decisions=False)
    assert len(small) < len(router.snapshot())
    again = build_router("mess_plus")
    again.restore(small, find=lambda ids: {id: log[id] for id in ids})
    assert again.snapshot() == router.snapshot()
    with pytest.raises(SnapshotMismatch, match="which is not in the log"):
        build_router("mess_plus").restore(small, find=lambda ids: {})


def test_snapshots_of_another_version_are_refused(build_router):
    router = build_router("mess_plus")
    state = unpack(router.snapshot())
    state["version"] -= 3
    with pytest.raises(
        SnapshotMismatch, match="snapshot has version 7, this router 10: restore in"
    ):
        router.restore(pack(state))


def test_a_refused_snapshot_leaves_the_router_as_it_is(build_router, vector):
    router, other = build_router("mess_plus"), build_router("mess_plus", seed=4)
    for one in (router, other):
        one.route(features=vector(0))
    before = router.snapshot()
    with pytest.raises(SnapshotMismatch):
        router.restore(other.snapshot())
    assert router.snapshot() == before
