"""What an id of a completion may mean is kept apart by owner and within bounds."""

from hypothesis import given
from hypothesis import strategies as st

from floorline.events import Owner
from floorline.gateway.completion_ids import MAX_CANDIDATES, CompletionIds

texts = st.text("ab/@", max_size=3)
owners = st.builds(Owner.of, texts, texts)


@given(owners, texts, owners, texts)
def test_two_ids_are_one_only_if_owner_and_text_are_equal(one, first, other, second):
    ids = CompletionIds()
    ids.note(one, first, "d-1")
    expected = ["d-1"] if (one, first) == (other, second) else []
    assert ids.decisions(other, second) == expected


def test_of_one_id_the_latest_decisions_are_kept():
    ids = CompletionIds()
    for n in range(3 * MAX_CANDIDATES):
        ids.note(Owner(), "c-1", f"d-{n}")
    kept = ids.decisions(Owner(), "c-1")
    assert (len(kept), kept[0]) == (MAX_CANDIDATES, f"d-{3 * MAX_CANDIDATES - 1}")


def test_the_id_noted_longest_ago_is_forgotten_first():
    ids = CompletionIds(capacity=2)
    for name in ("c-1", "c-2", "c-1", "c-3"):
        ids.note(Owner(), name, "d-1")
    assert [len(ids.decisions(Owner(), f"c-{n}")) for n in (1, 2, 3)] == [1, 0, 1]
    assert (len(ids), ids.forgotten) == (2, 1)


def test_one_owner_cannot_make_the_others_ids_forgotten():
    ids = CompletionIds(capacity=10, owner_capacity=3)
    for name in "abc":
        ids.note(Owner(name), "kept", "d-1")
    for n in range(100):
        ids.note(Owner("greedy"), f"c-{n}", "d-1")
    assert all(ids.decisions(Owner(name), "kept") for name in "abc")
    assert len(ids) == 6
    for n in range(100):
        ids.note(Owner(f"t{n}"), "c-1", "d-1")
    assert len(ids) == sum(map(len, ids._owned.values())) == 10
