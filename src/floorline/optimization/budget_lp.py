"""Linear program of routing under budgets: maximum satisfaction for money split among models.

    maximise Σ_{j,m} q_jm x_jm   s.t.   Σ_j c_jm x_jm ≤ B_m,   Σ_{j,m} c_jm x_jm ≤ B,
                                        Σ_m x_jm ≤ 1,   x ≥ 0

Here q_jm and c_jm are the satisfaction and the cost of request j served by model m, B_m the models'
budgets and B the total one. The dual is convex and piecewise linear in the prices γ ≥ 0 of the
budgets,

    Σ_m γ_m B_m + Σ_j max_m ( q_jm − γ_m c_jm )⁺

A primal solution serves argmax_m (q_m − γ_m·c_m), or no model if the maximum is negative. It splits
at most as many requests between models as there are budgets. Budgets can differ by orders of
magnitude, so the program is solved in units of each model's mean cost.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline._extras import needs
from floorline.errors import FloorlineError

Floats = NDArray[np.float64]

_MAX_DIRECT_ROWS = 600
"""Number of requests up to which the whole program is solved directly, which is faster there."""
_FIRST_WIDTH = 0.02
"""First width of the sifting, in satisfaction: a choice stays open if its score is within the width
of the best one."""
_MAX_OPEN_SHARE = 0.7
"""Share of open choices above which sifting stops and the whole program is solved."""
_OPTIMALITY_GAP = 1e-9
"""Relative gap of primal and dual value at which a solution counts as optimal."""
_SHARE_TOLERANCE = 1e-7
"""Tolerance in the shares x of requests: 1 − x below it means that a request is not split."""
_INTERIOR_POINT_ROWS = 1000
"""Number of requests above which the interior-point method of HiGHS is used; it is several times
faster there than the dual simplex method."""


class BudgetSolution(NamedTuple):
    """Optimum of the program.

    Parameters
    ----------
    own
        (M,) prices of the models' budgets, in satisfaction per unit of cost.
    shared
        Price of the total budget, in satisfaction per unit of cost.
    share
        (n, M) share x of every request that each model serves.
    value
        Optimal value Σ q·x.
    """

    own: Floats
    shared: float
    share: Floats
    value: float

    @property
    def prices(self) -> Floats:
        """(M,) price of a unit of each model's cost, over its own and the total budget."""
        return self.own + self.shared


def solve_budgets(
    quality: Floats,
    cost: Floats,
    budgets: Floats,
    total: float = np.inf,
    *,
    start: Floats | None = None,
) -> BudgetSolution:
    """Solve the program exactly, by sifting.

    Sifting fixes each request that has one clearly best choice at the current prices. HiGHS solves
    the small program of the other requests. Its value and the dual value at its prices enclose the
    optimum. As long as they differ, more requests are left open and the program is solved again.

    Parameters
    ----------
    quality, cost
        (n, M) satisfaction and cost; NaN or an infinite cost if a model may not serve a request.
    budgets
        (M,) budgets B_m; infinity if a model has none.
    total
        Total budget B; infinity if there is none.
    start
        (M,) prices close to the optimal ones. Default: those of a sample of about 300 requests.

    Raises
    ------
    FloorlineError
        If HiGHS finds no optimum.

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
    if rows <= _MAX_DIRECT_ROWS:
        return _solve_lp(quality, cost, budgets, total, usable)
    if start is None:
        sample = slice(None, None, rows // (_MAX_DIRECT_ROWS // 2))
        share = len(quality[sample]) / rows
        start = _solve_lp(
            quality[sample], cost[sample], share * budgets, share * total, usable[sample]
        ).prices
    prices, width = start, _FIRST_WIDTH
    while width < 1.0:
        score = np.where(usable, quality - prices * cost, -np.inf)
        best = np.maximum(score.max(axis=1, keepdims=True), 0.0)
        candidates = score >= best - width
        if candidates.sum() > _MAX_OPEN_SHARE * usable.sum():
            break
        decided = (candidates.sum(axis=1) == 1) & (best[:, 0] > width)
        found = _solve_open_rows(quality, cost, budgets, total, candidates, decided)
        if found is not None:
            gap = budget_dual(quality, cost, budgets, total, found, usable) - found.value
            if gap <= _OPTIMALITY_GAP * max(1.0, found.value):
                return found
            prices = found.prices
        width *= 2.0 if found is not None else 4.0
    return _solve_lp(quality, cost, budgets, total, usable)


def budget_dual(
    quality: Floats,
    cost: Floats,
    budgets: Floats,
    total: float,
    at: BudgetSolution,
    usable: NDArray[np.bool_],
) -> float:
    """Compute the dual value at a solution's prices: an upper bound on the optimal value.

    Parameters
    ----------
    quality, cost
        (n, M) satisfaction and cost.
    budgets, total
        (M,) budgets and the total budget.
    at
        Solution whose prices are used.
    usable
        (n, M) whether a model may serve a request.
    """
    score = np.where(usable, quality - at.prices * cost, 0.0)
    priced = at.own > 0
    paid = float(at.own[priced] @ budgets[priced]) + (at.shared * total if at.shared > 0 else 0.0)
    return paid + float(np.maximum(score.max(axis=1), 0.0).sum())


def served(
    solution: BudgetSolution, cost: Floats, budgets: Floats, total: float = np.inf
) -> NDArray[np.int64]:
    """Round a solution, which splits a few requests, to one model per request.

    A split request goes to the model with the largest share whose budget still covers its cost.

    Returns
    -------
    (n,) positions of models, −1 for requests that no model serves
    """
    share = solution.share
    chosen = np.where(share.max(axis=1) > 1.0 - _SHARE_TOLERANCE, share.argmax(axis=1), -1)
    unsplit = np.flatnonzero(chosen >= 0)
    spent = np.bincount(chosen[unsplit], cost[unsplit, chosen[unsplit]], minlength=share.shape[1])
    left, left_total = budgets - spent, total - spent.sum()
    for row in np.flatnonzero((chosen < 0) & (share.max(axis=1) > _SHARE_TOLERANCE)):
        for model in np.argsort(-share[row], kind="stable"):
            price = cost[row, model]
            if share[row, model] > _SHARE_TOLERANCE and price <= min(left[model], left_total):
                chosen[row] = model
                left[model] -= price
                left_total -= price
                break
    return np.asarray(chosen)


def capped_prices(quality: Floats, cost: Floats, budgets: Floats, cap: float) -> Floats:
    """Compute the prices in [0, cap] that minimise Σ_m γ_m B_m + Σ_j max_m (q_jm − γ_m c_jm).

    This is the dual without its positive part: every request is served, and spending above a
    budget is possible at the price ``cap``.

    Parameters
    ----------
    quality, cost
        (n, M) satisfaction and cost.
    budgets
        (M,) budgets.
    cap
        Upper bound of the prices, in satisfaction per unit of cost.

    Returns
    -------
    (M,) prices

    Raises
    ------
    FloorlineError
        If HiGHS finds no optimum.
    """
    usable = np.ones(quality.shape, dtype=bool)
    own = _solve_lp(quality, cost, budgets, np.inf, usable, cap=cap).own
    return np.minimum(own, cap)  # HiGHS is exact to rounding only


def _solve_open_rows(
    quality: Floats,
    cost: Floats,
    budgets: Floats,
    total: float,
    candidates: NDArray[np.bool_],
    decided: NDArray[np.bool_],
) -> BudgetSolution | None:
    """Solve with the only candidate fixed in the rows ``decided``.

    None if the fixed requests alone exceed a budget.
    """
    fixed = candidates & decided[:, None]
    spent = np.where(fixed, cost, 0.0).sum(axis=0)
    if (spent > budgets).any() or spent.sum() > total:
        return None
    open_rows = np.flatnonzero(~decided & candidates.any(axis=1))
    part = _solve_lp(
        quality[open_rows],
        cost[open_rows],
        budgets - spent,
        total - spent.sum(),
        candidates[open_rows],
    )
    share = fixed.astype(np.float64)
    share[open_rows] = part.share
    return part._replace(share=share, value=part.value + float(quality[fixed].sum()))


def _solve_lp(
    quality: Floats,
    cost: Floats,
    budgets: Floats,
    total: float,
    usable: NDArray[np.bool_],
    *,
    cap: float | None = None,
) -> BudgetSolution:
    """Solve the whole program with HiGHS; with ``cap``, the program of ``capped_prices``."""
    # Imported here, because SciPy takes longer to import than everything else a router needs.
    with needs("offline", "an exact program of budgets"):
        from scipy import sparse
        from scipy.optimize import linprog

    rows, models = quality.shape
    own, share = np.zeros(models), np.zeros((rows, models))
    row, model = np.nonzero(usable)
    if len(row) == 0:
        return BudgetSolution(own, 0.0, share, 0.0)
    limited = np.flatnonzero(np.isfinite(budgets))
    scale = _scales(cost, usable)
    total_scale = float(scale.mean())
    columns, shape = np.arange(len(row)), (models, len(row))
    spending = sparse.csr_matrix((cost[row, model] / scale[model], (model, columns)), shape)
    spending = spending[limited]
    service = sparse.csr_matrix((np.ones(len(row)), (row, columns)), (rows, len(row)))
    inequalities: list[Any] = [spending]
    limits = [budgets[limited] / scale[limited]]
    value = quality[row, model]
    equalities: dict[str, Any] = {}
    if np.isfinite(total):
        inequalities.append(sparse.csr_matrix(cost[row, model][None, :] / total_scale))
        limits.append(np.array([total / total_scale]))
    if cap is None:
        inequalities.append(service)
        limits.append(np.ones(rows))
    else:
        # One more column per budget: the spending above it, at the price ``cap``.
        inequalities = [sparse.hstack([spending, -sparse.eye(len(limited))])]
        value = np.concatenate([value, -cap * scale[limited]])
        served_once = sparse.hstack([service, sparse.csr_matrix((rows, len(limited)))])
        equalities = {"A_eq": served_once, "b_eq": np.ones(rows)}
    matrix: Any = sparse.vstack(inequalities, format="csr")
    found: Any = linprog(
        -value,
        A_ub=matrix,
        b_ub=np.concatenate(limits),
        bounds=(0.0, None),
        method="highs-ipm" if rows > _INTERIOR_POINT_ROWS else "highs-ds",
        **equalities,
    )
    if found.status != 0:
        raise FloorlineError(
            f"budgets: HiGHS found no optimum ({found.message}); check the costs and budgets"
        )
    dual = np.maximum(-found.ineqlin.marginals, 0.0)
    own[limited] = dual[: len(limited)] / scale[limited]
    shared = float(dual[len(limited)] / total_scale) if np.isfinite(total) else 0.0
    share[row, model] = found.x[: len(row)]
    return BudgetSolution(own, shared, share, -float(found.fun))


def _scales(cost: Floats, usable: NDArray[np.bool_]) -> Floats:
    """Return the (M,) mean costs over the requests that each model may serve; 1 if that is 0."""
    count = usable.sum(axis=0)
    mean = np.where(usable, cost, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.where(mean > 0, mean, 1.0)
