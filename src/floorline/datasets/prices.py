"""Prices by model, for data that holds tokens or texts instead of costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline._bounded import TooLarge, parse_json, read_text
from floorline.encoders.prompt_size import approximate_tokens
from floorline.errors import DataError, InvalidInput, check_number

_FIX = "give USD per million tokens: a number, [input, output] or input_price and output_price"


def check_prices(
    prices: Mapping[str, Any], models: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Return the USD per million (input, output) tokens of each model.

    Parameters
    ----------
    prices
        By model: a number for input and output, (input, output), or a mapping with
        ``input_price`` and ``output_price``.

    Raises
    ------
    InvalidInput
        If a model has no price, or a price is no number of 0 or more.

    Examples
    --------
    >>> check_prices({"small": 0.2, "large": [3, 15]}, ["small", "large"])
    {'small': (0.2, 0.2), 'large': (3.0, 15.0)}
    """
    checked = {}
    for name in models:
        if name not in prices:
            raise InvalidInput("prices", sorted(prices), f"add a price for {name!r}")
        given = prices[name]
        if isinstance(given, Mapping):
            given = [given.get("input_price"), given.get("output_price")]
        pair = (
            list(given)
            if isinstance(given, Sequence) and not isinstance(given, str)
            else [given] * 2
        )
        if len(pair) != 2:
            raise InvalidInput(f"price of {name}", given, _FIX)
        price_in, price_out = (
            check_number(f"price of {name}", price, low=0, fix=_FIX) for price in pair
        )
        checked[name] = (price_in, price_out)
    return checked


def parse_prices(text: str) -> dict[str, Any]:
    """Read prices from JSON, or from the JSON file that a text names.

    Raises
    ------
    InvalidInput
        If the text is neither of them.
    DataError
        If the file is no JSON object.

    Examples
    --------
    >>> parse_prices('{"small": 0.2}')
    {'small': 0.2}
    """
    if text.lstrip().startswith("{"):
        try:
            return dict(parse_json(text))
        except ValueError as error:
            raise InvalidInput("--prices", text, f"not valid JSON; {_FIX}") from error
    path = Path(text)
    try:
        found = parse_json(read_text(path))
    except FileNotFoundError as error:
        fix = 'no such file; name a JSON file or give JSON such as {"small": [0.2, 0.6]}'
        raise InvalidInput("--prices", text, fix) from error
    except TooLarge as error:
        raise DataError(path, str(error)) from error
    except OSError as error:
        raise DataError(path, error.strerror or "it cannot be read") from error
    except ValueError as error:
        raise DataError(path, "not JSON: give an object with a price for each model") from error
    if not isinstance(found, dict):
        raise DataError(path, "not a JSON object with a price for each model")
    return found


def token_costs(
    model: Sequence[str],
    prices: Mapping[str, Any],
    tokens_in: NDArray[np.float64],
    tokens_out: NDArray[np.float64] | float = 0.0,
) -> NDArray[np.float64]:
    """Return the (N,) costs in USD of N calls.

    Raises
    ------
    InvalidInput
        If a model has no price.
    """
    listed = check_prices(prices, list(dict.fromkeys(model)))
    pairs = np.array([listed[name] for name in model]).reshape(len(model), 2)
    costs: NDArray[np.float64] = (tokens_in * pairs[:, 0] + tokens_out * pairs[:, 1]) / 1e6
    return costs


def estimated_tokens(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the tokens of texts that are not counted: a quarter of their characters."""
    # The same prompt occurs once for each model.
    known: dict[str, int] = {}
    for text in texts:
        if text not in known:
            known[text] = approximate_tokens(text)
    return np.array([known[text] for text in texts], dtype=np.float64)
