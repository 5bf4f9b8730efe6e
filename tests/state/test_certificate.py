import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.snapshots import pack, unpack
from floorline.guarantees import betting_interval
from floorline.sla import SLA
from floorline.state.certificate import certificate_of, window_certificate_of
from floorline.state.ledger import Ledger

GOLD = SLA("gold", floor=0.8)


def ledger_of(scores, *, requests=None, floors=None, window=None):
    ledger = Ledger()
    ledger.requests_ = len(scores) if requests is None else requests
    for number, score in enumerate(scores):
        floor = 0.8 if floors is None else floors[number]
        ledger.label(str(number), float(score), None, floor=floor, window=window)
    return ledger


def share(n, satisfied):
    return [number < satisfied for number in range(n)]


@pytest.mark.parametrize(
    ("scores", "requests", "verdict", "reason"),
    [
        ([], 100, "unknown", "there is no label yet"),
        (share(10, 9), 100, "unknown", "reaches the floor 0.8"),
        (share(40, 30), 100, "at risk", "is below the floor 0.8"),
        (share(1000, 900), 5000, "kept", "the lower bound"),
        (share(1000, 700), 5000, "broken", "the upper bound"),
        (share(1000, 0), 1000, "broken", "the upper bound"),
        (share(1000, 0), 5000, "unknown", "no label is positive"),
        ([0.4] * 1000, 5000, "unknown", "no label is positive"),
    ],
)
def test_the_four_verdicts(scores, requests, verdict, reason):
    certificate = certificate_of(GOLD, ledger_of(scores, requests=requests))
    assert certificate.verdict == verdict
    assert reason in certificate.reason
    assert certificate.requests == requests


def test_one_positive_label_makes_complaints_count():
    ledger = ledger_of(share(1000, 1), requests=5000)
    assert certificate_of(GOLD, ledger).verdict == "broken"
    ledger.label("0", 0.0, 1.0, floor=0.8)
    assert certificate_of(GOLD, ledger).verdict == "unknown"


def test_floors_of_single_requests_are_certified_as_their_mean():
    floors = [0.6] * 500 + [0.9] * 500
    kept = certificate_of(GOLD, ledger_of(share(1000, 800), floors=floors))
    assert (kept.floor, kept.verdict) == (0.75, "kept")
    missed = certificate_of(GOLD, ledger_of(share(1000, 690), floors=floors))
    assert missed.verdict == "broken"


def test_equal_floors_average_to_themselves_however_many():
    for count in (3, 7, 1000):
        assert certificate_of(GOLD, ledger_of([1.0] * count, floors=[0.9] * count)).floor == 0.9


def test_assumptions_depend_on_what_was_seen():
    full = certificate_of(GOLD, ledger_of(share(50, 40))).assumptions
    sparse = certificate_of(GOLD, ledger_of(share(50, 40), requests=60)).assumptions
    assert not any("represent the others" in text for text in full)
    assert any("represent the others" in text for text in sparse)


def test_confidence_is_the_sla_s():
    ledger = ledger_of(share(300, 270))
    sure = certificate_of(SLA("gold", floor=0.8, confidence=0.99), ledger)
    assert (sure.lower, sure.upper) == betting_interval(300, 270.0, 1 - 0.99)
    assert sure.lower < certificate_of(GOLD, ledger).lower


def test_a_window_forgets_what_was_before_it():
    sla = SLA("gold", floor=0.8, label_window=400)
    ledger = ledger_of([1.0] * 2000 + share(400, 200), window=400)
    whole, recent = certificate_of(sla, ledger), window_certificate_of(sla, ledger)
    assert (whole.verdict, whole.window, whole.labels) == ("kept", None, 2400)
    assert (recent.verdict, recent.window, recent.labels) == ("broken", 400, 400)
    assert any("this window at this time" in text for text in recent.assumptions)
    early = window_certificate_of(sla, ledger_of([1.0] * 100, window=400))
    assert (early.labels, early.verdict) == (100, "kept")


@given(
    first=st.lists(st.floats(0, 1), min_size=1, max_size=30),
    last=st.lists(st.floats(0, 1), min_size=30, max_size=30),
)
def test_corrected_labels_certify_as_if_they_had_come_right(first, last):
    final = last[: len(first)]
    corrected = ledger_of(first, requests=99, window=5)
    for number, (old, new) in enumerate(zip(first, final, strict=True)):
        corrected.label(str(number), new, old, floor=0.8, window=5)
    right = ledger_of(final, requests=99, window=5)
    for certify in (certificate_of, window_certificate_of):
        one, other = certify(GOLD, corrected), certify(GOLD, right)
        assert (one.lower, one.upper) == pytest.approx((other.lower, other.upper), abs=1e-9)
        assert (one.labels, one.floor) == (other.labels, other.floor)


def test_a_restored_ledger_certifies_bit_for_bit():
    ledger = ledger_of(np.random.default_rng(1).random(200), requests=300, window=20)
    copy = Ledger()
    copy.restore(unpack(pack(ledger.snapshot())))
    assert certificate_of(GOLD, copy) == certificate_of(GOLD, ledger)
    assert window_certificate_of(GOLD, copy) == window_certificate_of(GOLD, ledger)


@pytest.mark.parametrize(("truth", "wrong"), [(0.795, "kept"), (0.805, "broken")])
def test_false_verdicts_are_rarer_than_promised(truth, wrong):
    rng = np.random.default_rng(4)
    false = 0
    for _ in range(300):
        totals = np.cumsum(rng.random(3000) < truth)
        ledger = Ledger()
        ledger.requests_ = 10_000
        for labels in (30, 60, 120, 250, 500, 1000, 2000, 3000):
            ledger.labels_ = ledger.label_weight_ = labels
            ledger.satisfied_ = float(totals[labels - 1])
            ledger.positive_labels_, ledger.floor_sum_ = labels, 0.8 * labels
            if certificate_of(GOLD, ledger).verdict == wrong:
                false += 1
                break
    assert false <= 0.05 * 300


def test_a_router_certifies_what_it_was_told(build_router, vector):
    router = build_router(slas=[SLA("gold", floor=0.8, label_window=10)])
    for number in range(60):
        decision = router.route(features=vector(number), floor=0.7 if number % 2 else None)
        if number % 3 == 0:
            router.feedback(decision.id, score=float(number % 9 != 0))
    whole, recent = router.certificate(), router.certificate(window=True)
    assert (whole.requests, whole.labels, recent.labels) == (60, 20, 10)
    assert whole.floor == pytest.approx(0.75)
    status = router.status()
    assert (status.lower, status.upper, status.verdict, status.reason) == (
        whole.lower,
        whole.upper,
        whole.verdict,
        whole.reason,
    )
    assert status.floor == 0.8
