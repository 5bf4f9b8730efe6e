"""How much one sender of labels may teach: accounts of its requests and labels.

A *sender* is who sends requests and labels them: the owner of a decision, which is its tenant, else
its API key, else the one owner without a name. Senders do not trust each other, and yet the router
learns from the labels of all.
"""

from __future__ import annotations

from typing import NamedTuple

from floorline.core.snapshots import Stateful
from floorline.events import Decision, Owner

MAX_SENDERS = 256
"""Senders with an account of their own. Each sender of more than 1/256 of the requests has one; the
others share one. It bounds the state to about 100 kB for ten models."""

SMALL_SHARE = 0.01
"""Share of the requests below which a sender is small: it has too few labels to be judged by them
alone, and an attacker that acts as many senders must make each of them small."""

REFRESH_LABELS = 16
"""Labels between two computations over all senders, which take half a millisecond for ten of them.
Each of the first 64 labels is followed by one."""

OTHERS = "(others)"
"""Name under which a report shows the senders without an account of their own."""

_COUNT, _REQUESTS, _LABELS, _SUM, _BALANCE, _WEIGHT = range(6)


def sender_of(decision: Decision) -> str:
    """Name of the sender of a decision."""
    return sender_name(decision.owner)


def sender_name(owner: Owner) -> str:
    """Name of an owner as a sender of labels.

    Examples
    --------
    >>> sender_name(Owner("acme")), sender_name(Owner("", "k1")), sender_name(Owner())
    ('tenant:acme', 'key:k1', '')
    """
    if owner.tenant:
        return f"tenant:{owner.tenant}"
    return f"key:{owner.key}" if owner.key else ""


class SenderRow(NamedTuple):
    """One sender of an SLA's labels, as reports show it.

    Attributes
    ----------
    sender
        ``tenant:NAME`` or ``key:ID``; "" for requests with neither, ``OTHERS`` for the small ones.
    requests, labels
        Number of its requests and of their labels.
    mean
        Mean of its labels, each counted once; None without any.
    weight
        Sum of its labels' weights in the certificate.
    """

    sender: str
    requests: int
    labels: int
    mean: float | None
    weight: float


class SenderAccounts(Stateful):
    """Requests and labels by sender, and the weight that a sender has earned for its labels.

    Every request of a sender earns it the *reference rate*: the median label rate of the senders,
    weighted by their requests. A label costs up to 1 of what was earned. So the labels of a sender
    weigh at most as much as those of a sender with the median rate and as many requests, however
    many labels it sends. Senders with the median rate or more have half of all requests, so that no
    sender's share of the weight exceeds twice its share of the requests.

    At most ``MAX_SENDERS`` senders have an account. A further one takes the place of the sender
    with the fewest requests and takes over their number (the algorithm SpaceSaving [1]_): requests
    of many small senders replace each other only, never a sender of more than 1/``MAX_SENDERS`` of
    all requests. What was known of a replaced sender goes to the account that small ones share.

    Attributes
    ----------
    accounts_ : dict of str to list of float
        By sender: count for the replacement; requests; labels; sum of the scores; earned weight
        that is left; sum of the labels' weights.
    others_ : list of float
        The same, of all senders without an account.
    reference_ : float
        Reference rate, in labels per request.
    requests_, labels_ : int
        Requests and labels of all senders.

    References
    ----------
    .. [1] Metwally, Agrawal, El Abbadi: Efficient computation of frequent and top-k elements in
       data streams. ICDT 2005.

    Examples
    --------
    >>> accounts = SenderAccounts()
    >>> for number in range(2000):
    ...     name = "quiet" if number % 4 else "loud"
    ...     accounts.request(name)
    ...     if name == "loud" or number % 10 == 1:
    ...         accounts.label(name, 1.0, 1.0)
    >>> accounts.several, round(accounts.reference_, 1), round(accounts.credit("loud"), 1)
    (True, 0.1, 0.0)
    """

    def __init__(self) -> None:
        self.accounts_: dict[str, list[float]] = {}
        self.others_ = [0.0] * 6
        self.reference_ = 1.0
        self.requests_ = 0
        self.labels_ = 0

    @property
    def several(self) -> bool:
        """Whether there is more than one sender; one alone is weighed with nothing."""
        return len(self.accounts_) > 1

    def request(self, sender: str) -> str | None:
        """Count a request; return the sender whose place the new one took, if any."""
        account, replaced = self.accounts_.get(sender), None
        if account is None:
            account = [0.0] * 6
            if len(self.accounts_) >= MAX_SENDERS:
                replaced = min(self.accounts_, key=self._count)
                account[_COUNT] = self._merge(replaced)
            self.accounts_[sender] = account
        account[_COUNT] += 1.0
        account[_REQUESTS] += 1.0
        account[_BALANCE] += self.reference_
        self.requests_ += 1
        if not self.labels_:
            # As the mean rate of all senders below.
            self.reference_ = 1.0 / (self.requests_ + 1.0)
        return replaced

    def is_small(self, sender: str) -> bool:
        """Whether a sender has less than ``SMALL_SHARE`` of all requests; ``OTHERS`` always is."""
        account = self.accounts_.get(sender)
        return account is None or account[_REQUESTS] < SMALL_SHARE * self.requests_

    def known(self, sender: str) -> str:
        """Name under which a sender is known: its own, or ``OTHERS`` without an account."""
        return sender if sender in self.accounts_ else OTHERS

    def credit(self, sender: str) -> float:
        """Weight from 0 to 1 that the next label of a sender has earned."""
        return min(1.0, self.accounts_.get(sender, self.others_)[_BALANCE])

    def label(self, sender: str, score: float, weight: float) -> None:
        """Count a label with this weight, and spend what it has earned."""
        account = self.accounts_.get(sender, self.others_)
        account[_BALANCE] -= min(1.0, account[_BALANCE])
        account[_LABELS] += 1.0
        account[_SUM] += score
        account[_WEIGHT] += weight
        self.labels_ += 1
        if is_due(self.labels_):
            self.reference_ = self._reference()

    def correct(self, sender: str, by: float) -> None:
        """Count that the score of a label changed by so much."""
        self.accounts_.get(sender, self.others_)[_SUM] += by

    def row(self, sender: str) -> SenderRow | None:
        """What is known of one sender; None without an account of its own."""
        account = self.accounts_.get(sender)
        return None if account is None else _row(sender, account)

    def rows(self, most: int) -> tuple[SenderRow, ...]:
        """The ``most`` senders of most requests, largest first, and all others as one row."""
        ranked = sorted(self.accounts_.items(), key=lambda item: -item[1][_REQUESTS])
        rest = list(self.others_)
        for _, account in ranked[most:]:
            rest = [a + b for a, b in zip(rest, account, strict=True)]
        rows = [_row(name, account) for name, account in ranked[:most]]
        if rest[_REQUESTS] or rest[_LABELS]:
            rows.append(_row(OTHERS, rest))
        return tuple(rows)

    def _count(self, sender: str) -> float:
        return self.accounts_[sender][_COUNT]

    def _merge(self, sender: str) -> float:
        """Move an account to that of the small senders; return its count."""
        account = self.accounts_.pop(sender)
        count = account[_COUNT]
        self.others_ = [a + b for a, b in zip(self.others_, account, strict=True)]
        return count

    def _reference(self) -> float:
        """Median label rate, weighted by requests.

        One label at the mean rate is added to each sender's, so that senders with few requests are
        not taken for ones that label nothing.
        """
        prior = (self.requests_ + 1.0) / (self.labels_ + 1.0)
        return weighted_median(
            [
                ((account[_LABELS] + 1.0) / (account[_REQUESTS] + prior), account[_REQUESTS])
                for account in (*self.accounts_.values(), self.others_)
            ]
        )


def is_due(labels: int) -> bool:
    """Whether what depends on all senders is computed anew after so many labels."""
    return labels <= 4 * REFRESH_LABELS or labels % REFRESH_LABELS == 0


def weighted_median(pairs: list[tuple[float, float]]) -> float:
    """Lowest value such that values up to it have half of the weight, of (value, weight) pairs.

    Examples
    --------
    >>> weighted_median([(0.9, 1.0), (0.1, 2.0), (0.5, 2.0)])
    0.5
    """
    half = 0.5 * sum(weight for _, weight in pairs)
    reached = 0.0
    for value, weight in sorted(pairs):
        reached += weight
        if reached >= half:
            return value
    return 0.0


def _row(name: str, account: list[float]) -> SenderRow:
    labels = int(account[_LABELS])
    mean = account[_SUM] / labels if labels else None
    return SenderRow(name, int(account[_REQUESTS]), labels, mean, account[_WEIGHT])
