"""The one problem behind budgets: most satisfaction for money that is split among models.

    maximise Σ_{j,m} q_jm x_jm   s.t.   Σ_j c_jm x_jm ≤ B_m,   Σ_{j,m} c_jm x_jm ≤ B,
                                        Σ_m x_jm ≤ 1,   x ≥ 0

Its dual is convex and piecewise linear in the prices γ ≥ 0 of the budgets,

    Σ_m γ_m B_m + Σ_j max_m ( q_jm − γ_m c_jm )⁺

and serving argmax_m (q_m − γ_m·c_m), or nobody where that is negative, solves it up to as many
requests as there are budgets. Budgets differ by orders of magnitude, so the program is solved in
units of each model's mean cost.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.errors import FloorlineError

Floats = NDArray[np.float64]
_SMALL = 600
"""Number of rows up to which sifting costs more than it saves."""


class BudgetSolution(NamedTuple):
    """Optimum of the program.

    ``own`` (M,) prices of the models' budgets and ``shared`` that of the total one, per unit of
    cost; ``share`` (n, M) of every request that each model serves; ``value`` Σ q·x.
    """

    own: Floats
    shared: float
    share: Floats
    value: float

    @property
    def prices(self) -> Floats:
        """(M,) what a unit of each model's cost takes out of all budgets."""
        return self.own + self.shared


def solve_budgets(
    quality: Floats,
    cost: Floats,
    budgets: Floats,
    total: float = np.inf,
    *,
    start: Floats | None = None,
) -> BudgetSolution:
    """Solve the program exactly.

    By sifting: requests of which one choice is clearly best under nearby prices are set to it, the
    others go into a small linear program for HiGHS. Its value and that of the dual at its prices
    bracket the optimum; until they meet, more requests are left open.

    Parameters
    ----------
    quality, cost
        (n, M); NaN or infinite cost where a model may not serve a request.
    budgets, total
        (M,) budgets B_m and B; infinity where there is none.
    start
        Prices known to be near; found on a few hundred requests if not given.

    Examples
    --------
    >>> quality, cost = np.array([[0.2, 0.9], [0.8, 0.9]]), np.array([[1.0, 5.0], [1.0, 5.0]])
    >>> solution = solve_budgets(quality, cost, np.array([np.inf, 5.0]))
    >>> served(solution, cost, np.array([np.inf, 5.0])).tolist(), round(solution.value, 3)
    ([1, 0], 1.7)
    """
    usable = np.isfinite(quality) & np.isfinite(cost)
    quality, cost = np.where(usable, quality, 0.0), np.where(usable, cost, 0.0)
    rows = len(quality)
    if rows <= _SMALL:
        return _program(quality, cost, budgets, total, usable)
    if start is None:
        some = slice(None, None, rows // (_SMALL // 2))
        share = len(quality[some]) / rows
        start = _program(
            quality[some], cost[some], share * budgets, share * total, usable[some]
        ).prices
    prices, width = start, 0.02
    while width < 1.0:
        score = np.where(usable, quality - prices * cost, -np.inf)
        best = np.maximum(score.max(axis=1, keepdims=True), 0.0)
        near = score >= best - width
        if near.sum() > 0.7 * usable.sum():
            break
        sole = (near.sum(axis=1) == 1) & (best[:, 0] > width)
        found = _around(quality, cost, budgets, total, near, sole)
        if found is not None:
            gap = budget_dual(quality, cost, budgets, total, found, usable) - found.value
            if gap <= 1e-9 * max(1.0, found.value):
                return found
            prices = found.prices
        width *= 2.0 if found is not None else 4.0
    return _program(quality, cost, budgets, total, usable)


def budget_dual(
    quality: Floats,
    cost: Floats,
    budgets: Floats,
    total: float,
    at: BudgetSolution,
    usable: NDArray[np.bool_],
) -> float:
    """Value of the dual at a solution's prices: an upper bound on what the budgets can buy."""
    score = np.where(usable, quality - at.prices * cost, 0.0)
    priced = at.own > 0
    paid = float(at.own[priced] @ budgets[priced]) + (at.shared * total if at.shared > 0 else 0.0)
    return paid + float(np.maximum(score.max(axis=1), 0.0).sum())


def served(
    solution: BudgetSolution, cost: Floats, budgets: Floats, total: float = np.inf
) -> NDArray[np.int64]:
    """Model of every request, −1 for none, from a solution that splits a few requests.

    Split requests go to the model with the largest share whose budget still holds them.
    """
    share = solution.share
    chosen = np.where(share.max(axis=1) > 1.0 - 1e-7, share.argmax(axis=1), -1)
    whole = np.flatnonzero(chosen >= 0)
    paid = np.bincount(chosen[whole], cost[whole, chosen[whole]], minlength=share.shape[1])
    left, left_total = budgets - paid, total - paid.sum()
    for row in np.flatnonzero((chosen < 0) & (share.max(axis=1) > 1e-7)):
        for model in np.argsort(-share[row], kind="stable"):
            price = cost[row, model]
            if share[row, model] > 1e-7 and price <= min(left[model], left_total):
                chosen[row] = model
                left[model] -= price
                left_total -= price
                break
    return np.asarray(chosen)


def capped_prices(quality: Floats, cost: Floats, budgets: Floats, cap: float) -> Floats:
    """(M,) prices in [0, cap] that minimise Σ_m γ_m B_m + Σ_j max_m (q_jm − γ_m c_jm).

    The dual without its positive part: every request must be served, and what exceeds a budget is
    bought at the price ``cap``.
    """
    everywhere = np.ones(quality.shape, dtype=bool)
    own = _program(quality, cost, budgets, np.inf, everywhere, cap=cap).own
    return np.minimum(own, cap)  # HiGHS is exact to rounding only


def _around(
    quality: Floats,
    cost: Floats,
    budgets: Floats,
    total: float,
    near: NDArray[np.bool_],
    sole: NDArray[np.bool_],
) -> BudgetSolution | None:
    """Solve with one choice fixed in the rows ``sole``; None if the budgets do not hold those."""
    fixed = near & sole[:, None]
    bill = np.where(fixed, cost, 0.0).sum(axis=0)
    if (bill > budgets).any() or bill.sum() > total:
        return None
    open_rows = np.flatnonzero(~sole & near.any(axis=1))
    part = _program(
        quality[open_rows], cost[open_rows], budgets - bill, total - bill.sum(), near[open_rows]
    )
    share = fixed.astype(np.float64)
    share[open_rows] = part.share
    return part._replace(share=share, value=part.value + float(quality[fixed].sum()))


def _program(
    quality: Floats,
    cost: Floats,
    budgets: Floats,
    total: float,
    usable: NDArray[np.bool_],
    *,
    cap: float | None = None,
) -> BudgetSolution:
    """Hand the program to HiGHS as it is; with ``cap``, that of ``capped_prices``."""
    # Here, since they take longer to import than everything else a router needs.
    from scipy import sparse
    from scipy.optimize import linprog

    rows, models = quality.shape
    own, share = np.zeros(models), np.zeros((rows, models))
    row, model = np.nonzero(usable)
    if len(row) == 0:
        return BudgetSolution(own, 0.0, share, 0.0)
    limited = np.flatnonzero(np.isfinite(budgets))
    scale = _scales(cost, usable)
    whole = float(scale.mean())
    columns, shape = np.arange(len(row)), (models, len(row))
    bills = sparse.csr_matrix((cost[row, model] / scale[model], (model, columns)), shape)[limited]
    once = sparse.csr_matrix((np.ones(len(row)), (row, columns)), (rows, len(row)))
    at_most: list[Any] = [bills]
    limits = [budgets[limited] / scale[limited]]
    value = quality[row, model]
    exactly: dict[str, Any] = {}
    if np.isfinite(total):
        at_most.append(sparse.csr_matrix(cost[row, model][None, :] / whole))
        limits.append(np.array([total / whole]))
    if cap is None:
        at_most.append(once)
        limits.append(np.ones(rows))
    else:
        # What exceeds a budget is bought: a column for each of them.
        at_most = [sparse.hstack([bills, -sparse.eye(len(limited))])]
        value = np.concatenate([value, -cap * scale[limited]])
        served_once = sparse.hstack([once, sparse.csr_matrix((rows, len(limited)))])
        exactly = {"A_eq": served_once, "b_eq": np.ones(rows)}
    matrix: Any = sparse.vstack(at_most, format="csr")
    found: Any = linprog(
        -value,
        A_ub=matrix,
        b_ub=np.concatenate(limits),
        bounds=(0.0, None),
        # Interior points are several times faster on thousands of requests.
        method="highs-ipm" if rows > 1000 else "highs-ds",
        **exactly,
    )
    if found.status != 0:
        raise FloorlineError(f"budgets: HiGHS found no optimum ({found.message})")
    dual = np.maximum(-found.ineqlin.marginals, 0.0)
    own[limited] = dual[: len(limited)] / scale[limited]
    shared = float(dual[len(limited)] / whole) if np.isfinite(total) else 0.0
    share[row, model] = found.x[: len(row)]
    return BudgetSolution(own, shared, share, -float(found.fun))


def _scales(cost: Floats, usable: NDArray[np.bool_]) -> Floats:
    """(M,) mean cost of each model where it may serve; 1 where that is nothing."""
    count = usable.sum(axis=0)
    mean = np.where(usable, cost, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.where(mean > 0, mean, 1.0)
