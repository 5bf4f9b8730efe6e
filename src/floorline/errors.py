"""The exceptions that Floorline raises, and the checks of arguments that raise them.

The text of an exception is one line that names the field, the value and the fix.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from numbers import Real
from typing import Any

_MAX_SHOWN = 80
"""Most characters of a value that a message shows."""
_MAX_READ = 512
"""Characters of a value in which credentials are looked for; the time grows with their square."""
_CREDENTIALS = re.compile(r"""(?<=//)\S+@|[^\s/@'":]+:(?!//)\S+@""")
"""What stands before the host in an address; a password may have every character but spaces."""
_AFTER_PATH = re.compile(r"""(//[^\s'"?#]*[?#])[^\s'"]+""")
"""Query and fragment of an address, in which some services take a key."""


def without_credentials(text: str) -> str:
    """Return a text with the credentials, queries and fragments of addresses masked.

    Examples
    --------
    >>> without_credentials("https://me:secret@host/v1"), without_credentials("http://a/v1?key=k")
    ('https://***@host/v1', 'http://a/v1?***')
    """
    return _AFTER_PATH.sub(r"\1***", _CREDENTIALS.sub("***@", text))


def abbreviated(value: Any) -> str:
    """Show a value in a message: its ``repr``, cut to 80 characters, without credentials.

    The time and the memory that it takes do not grow with a text or a number of any size.

    Examples
    --------
    >>> abbreviated("gold"), abbreviated("x" * 2_000_000)[-9:], abbreviated(10**400)[:11]
    ("'gold'", 'xxxxxx...', 'a number of')
    """
    if isinstance(value, str | bytes | bytearray):
        shown = repr(value[:_MAX_READ])
    elif isinstance(value, int) and value.bit_length() > _MAX_SHOWN * 8:
        # Python refuses to write numbers of thousands of digits.
        shown = f"a number of {value.bit_length():,} bits"
    elif isinstance(value, list | tuple) and len(value) > _MAX_SHOWN:
        shown = repr(value[:_MAX_SHOWN])
    else:
        try:
            shown = repr(value)
        except (ValueError, RecursionError):
            shown = f"a {type(value).__name__}"
    # Before the cut, which could leave the password and take the sign after it.
    shown = without_credentials(shown[:_MAX_READ])
    return shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 3] + "..."


_MAX_LISTED = 20
"""Most names that a message lists."""


def listed(names: Collection[str]) -> str:
    """List names in a message: at most 20 of them, each cut to 80 characters.

    Examples
    --------
    >>> listed(["small", "large"])
    'small, large'
    >>> listed([f"m{n}" for n in range(1000)])[-21:]
    'm18, m19 and 980 more'
    """
    shown = [name if len(name) <= _MAX_SHOWN else name[: _MAX_SHOWN - 3] + "..." for name in names]
    more = len(shown) - _MAX_LISTED
    return ", ".join(shown[:_MAX_LISTED]) + (f" and {more:,} more" if more > 0 else "")


_MAX_COMPARED = 1_000
"""Most names that a wrong one is compared with: some milliseconds."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return "did you mean 'X'? " for a name that resembles a known one; "" for another.

    Examples
    --------
    >>> did_you_mean("Mess+", ["mess_plus", "port"]), did_you_mean("x", ["mess_plus"])
    ("did you mean 'mess_plus'? ", '')
    """
    near = closest_name(name, known)
    return f"did you mean {near!r}? " if near else ""


def closest_name(name: object, known: Iterable[str]) -> str:
    """Return the known name that a wrong one resembles most; "" if it resembles none.

    Examples
    --------
    >>> closest_name("Glod", ["gold", "silver"]), closest_name("bronze", ["gold", "silver"])
    ('gold', '')
    """
    # Imported here because programs without errors do not need it.
    from difflib import get_close_matches

    def plain(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower().replace("+", "plus"))

    if not isinstance(name, str) or not name:
        return ""
    short = {plain(one[:_MAX_SHOWN]): one for one in islice(known, _MAX_COMPARED)}
    near = get_close_matches(plain(name[:_MAX_SHOWN]), short, n=1, cutoff=0.6)
    return short[near[0]] if near else ""


_ADDED = re.compile("Connect call failed|while attempting to bind")
"""Words of Python in the place of the system's, beside an address."""


def system_reason(error: OSError) -> str:
    """Say why the system refuses something, without the words that Python adds.

    Examples
    --------
    >>> system_reason(ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 9)"))
    'Connection refused'
    """
    text = error.strerror or ""
    if isinstance(error.errno, int) and error.errno > 0 and (not text or _ADDED.search(text)):
        return os.strerror(error.errno)
    return text or "the system refuses it"


class FloorlineError(Exception):
    """Base class of all exceptions that Floorline raises on purpose."""


class InvalidInput(FloorlineError, ValueError):
    """A value that breaks the rules of its field.

    Parameters
    ----------
    field
        Name of the field, as the user wrote it.
    value
        The rejected value, None if there is none. The text shows at most 80 characters of it.
    fix
        What to give instead, as an imperative.

    Examples
    --------
    >>> raise InvalidInput("SLA.floor", 1.2, "give a number from 0 to 1")
    Traceback (most recent call last):
    ...
    floorline.errors.InvalidInput: SLA.floor is 1.2: give a number from 0 to 1
    """

    def __init__(self, field: str, value: Any, fix: str) -> None:
        self.field = field
        self.value = value
        self.fix = fix
        shown = "missing" if value is None else abbreviated(value)
        super().__init__(f"{field} is {shown}: {fix}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.field, self.value, self.fix)


class Bar(str):
    """What bars a model from a request: a text, with the code of its reason.

    Parameters
    ----------
    code
        Code of the reason, as ``state.explanation.Reason`` lists them.
    text
        The reason, as a clause with its numbers.

    Examples
    --------
    >>> bar = Bar("capability", "lacks vision")
    >>> bar, bar.code
    ('lacks vision', 'capability')
    """

    __slots__ = ("code",)
    code: str

    def __new__(cls, code: str, text: str) -> Bar:
        """Make a text with a code."""
        made = super().__new__(cls, text)
        made.code = code
        return made

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return self.code, str(self)


class NoModelCanServe(InvalidInput):
    """A request that no model can serve; the text says of each model why.

    Parameters
    ----------
    asked
        What the request needs.
    limits
        What bars each model, by its name; the text lists at most 20.

    Examples
    --------
    >>> raise NoModelCanServe({"needs": ["vision"]}, {"small": "lacks vision"})
    Traceback (most recent call last):
    ...
    floorline.errors.NoModelCanServe: request is {'needs': ['vision']}: no model can serve it \
(small: lacks vision): ask for less, or add a model that can
    """

    def __init__(self, asked: Mapping[str, Any], limits: Mapping[str, str]) -> None:
        fix = f"no model can serve it{shown_limits(limits)}: ask for less, or add a model that can"
        super().__init__("request", asked, fix)
        self.limits = dict(limits)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.value, self.limits)


def shown_limits(limits: Mapping[str, str]) -> str:
    """Write in brackets what bars each of at most 20 models, after a space; "" for none.

    Examples
    --------
    >>> shown_limits({"small": "lacks vision", "large": "excluded by the request"})
    ' (small: lacks vision; large: excluded by the request)'
    """
    shown = [f"{listed([name])}: {limit}" for name, limit in list(limits.items())[:_MAX_LISTED]]
    if len(limits) > _MAX_LISTED:
        shown.append(f"and {len(limits) - _MAX_LISTED:,} more")
    return f" ({'; '.join(shown)})" if shown else ""


class DataError(FloorlineError, ValueError):
    """A file whose content is not in the expected format.

    Parameters
    ----------
    path
        Path of the file.
    problem
        What is wrong and how to fix it.
    row
        Row of the problem, counted from 1 at the first data row (a CSV header is row 0).
    column
        Column of the problem.
    """

    def __init__(
        self, path: Any, problem: str, *, row: int | None = None, column: str | None = None
    ) -> None:
        self.path = str(path)
        self.problem = problem
        self.row = row
        self.column = column
        place = self.path
        if row is not None:
            place += f", row {row}"
        if column is not None:
            place += f", column {column!r}"
        super().__init__(f"{place}: {problem}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _data_error, (self.path, self.problem, self.row, self.column)


def _data_error(path: str, problem: str, row: int | None, column: str | None) -> DataError:
    return DataError(path, problem, row=row, column=column)


class ConfigError(FloorlineError, ValueError):
    """A configuration file that breaks its rules.

    Parameters
    ----------
    problems
        One line for each broken rule, with the place in the file.

    Examples
    --------
    >>> error = ConfigError(["floorline.yaml:3: slas is missing: add it", "floorline.yaml:9: …"])
    >>> print(error)
    floorline.yaml:3: slas is missing: add it
    floorline.yaml:9: …
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


class UnknownDecision(FloorlineError, LookupError):
    """An outcome or feedback whose decision id is unknown or no longer in memory."""


class BudgetExhausted(FloorlineError):
    """No allowed model fits into the rest of the SLA's budget, or the policy served no model.

    Parameters
    ----------
    sla
        Name of the SLA.
    decision
        Id under which the log holds the declined request.
    limits
        What bars each model, by its name; the text lists at most 20.
    """

    def __init__(self, sla: str, decision: str, limits: Mapping[str, str]) -> None:
        super().__init__(
            f"no model serves this request within the budget of SLA {sla!r}: raise Budget.total or "
            "Budget.per_model, lower max_tokens, or wait for the calls that are open or for its "
            f"next period{shown_limits(limits)}"
        )
        self.sla = sla
        self.decision = decision
        self.limits = dict(limits)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.sla, self.decision, self.limits)


class InvalidChoice(FloorlineError, ValueError):
    """A policy returned a choice that breaks the rules of its fields; the text names the policy.

    Examples
    --------
    >>> raise InvalidChoice("mine", "propensities", "sum to 0.5", "let them sum to 1")
    Traceback (most recent call last):
    ...
    floorline.errors.InvalidChoice: policy 'mine': Choice.propensities sum to 0.5: let them sum to 1
    """

    def __init__(self, policy: str, field: str, problem: str, fix: str) -> None:
        self.policy = policy
        self.field = field
        self.problem = problem
        self.fix = fix
        super().__init__(f"policy {policy!r}: Choice.{field} {problem}: {fix}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.policy, self.field, self.problem, self.fix)


class SnapshotMismatch(FloorlineError, ValueError):
    """A snapshot of another policy, zoo, encoder or version than the one that loads it."""


class StoreUnavailable(FloorlineError):
    """The store cannot write at present; the text names the cause."""


class StoreDamaged(StoreUnavailable):
    """The content of a store is not what was written to it.

    Parameters
    ----------
    store
        URL of the store, without its password.
    problem
        What is damaged or missing.
    """

    def __init__(self, store: str, problem: str) -> None:
        self.store = store
        self.problem = problem
        super().__init__(
            f"the store {store} is damaged: {problem}: run 'floorline store verify' to list what "
            "is damaged, and 'floorline store repair' to see and confirm what a repair loses"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.store, self.problem)


class MissingExtra(FloorlineError, ImportError):
    """An optional dependency is not installed.

    Parameters
    ----------
    feature
        What needs the dependency, as the subject of a sentence.
    extra
        Extra of the package ``floorline`` that installs the dependency.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra {extra!r}: pip install 'floorline[{extra}]'")


def check_number(
    field: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    fix: str,
) -> float:
    """Return ``value`` as a float if it is a finite real number in [low, high].

    Parameters
    ----------
    field
        Name of the field for the message.
    value
        Value to check. Booleans are rejected, numbers of NumPy are accepted.
    low, high
        Bounds, both included.
    fix
        What to give instead, for the message.

    Raises
    ------
    InvalidInput
        If the value is not a number, is NaN or infinite, or lies outside the interval.
    """
    # Nearly all values are floats. For them the slow isinstance check with an abstract class is
    # skipped.
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, Real)):
        raise InvalidInput(field, value, fix)
    try:
        number = float(value)
    except OverflowError:
        raise InvalidInput(field, value, fix) from None
    if not math.isfinite(number) or not low <= number <= high:
        raise InvalidInput(field, value, fix)
    return number


def check_one_of(field: str, value: Any, choices: Collection[str]) -> None:
    """Check that ``value`` is one of ``choices``.

    Raises
    ------
    InvalidInput
        If it is not; the message lists the choices.
    """
    if value not in choices:
        fix = did_you_mean(value, choices) + "choose one of " + ", ".join(sorted(choices))
        raise InvalidInput(field, value, fix)
