"""What operators are told of prices: those that are missing, and those that changed."""

from __future__ import annotations

from collections.abc import Iterator

from floorline.zoo import PRICES, Zoo


def price_warnings(zoo: Zoo) -> list[str]:
    """Return a sentence for each model whose prices are unknown.

    Examples
    --------
    >>> from floorline.zoo import Model
    >>> price_warnings(Zoo([Model("small"), Model("free", free=True)]))[0][:54]
    "model 'small' has no price: its calls count as 0 USD, "
    """
    return [
        f"model {name!r} has no price: its calls count as 0 {zoo.cost_unit}, so that it seems free "
        "and no savings are known; give input_price and output_price, price: auto, or price: free "
        "if calls cost nothing"
        for name in zoo.unpriced
    ]


def price_changes(old: Zoo, new: Zoo) -> Iterator[str]:
    """Return a sentence for each model of both zoos whose prices differ.

    Examples
    --------
    >>> from floorline.zoo import Model
    >>> old, new = Zoo([Model("m", input_price=2.0)]), Zoo([Model("m", input_price=3.0)])
    >>> list(price_changes(old, new))
    ["the prices of model 'm' changed: input_price from 2 to 3"]
    """
    for model in new.models:
        if model.name not in old:
            continue
        before = old.models[old.index(model.name)]
        changed = [
            f"{field} from {_shown(getattr(before, field))} to {_shown(getattr(model, field))}"
            for field in PRICES
            if getattr(before, field) != getattr(model, field)
        ]
        if changed:
            yield f"the prices of model {model.name!r} changed: {', '.join(changed)}"


def _shown(price: float | None) -> str:
    return "none" if price is None else f"{price:g}"
