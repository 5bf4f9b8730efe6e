"""API keys: who may use a server, for what, and how much."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from floorline.errors import InvalidInput, check_number, check_one_of
from floorline.stores.engine import reported
from floorline.stores.schema import api_keys

SCOPES = ("chat", "feedback", "admin")
_PREFIX = "fl"
_LONGEST_NAME = 100


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, without its secret.

    Attributes
    ----------
    id, name
        Public name, made up by Floorline, and one for people.
    digest
        SHA-256 of the secret. Enough for 256 random bits, which nobody can guess.
    scopes
        What it is for: ``SCOPES``.
    tenant
        Whose requests come with it; "" for those of nobody in particular.
    slas
        SLAs that it may ask for; None for all.
    rate
        Most requests per minute; None without limit.
    budget, period
        Most cost, in the zoo's unit, per so many seconds; None without limit.
    created, revoked
        Unix times in seconds; ``revoked`` is None while it is valid.
    """

    id: str
    digest: bytes
    name: str
    scopes: tuple[str, ...]
    tenant: str = ""
    slas: tuple[str, ...] | None = None
    rate: float | None = None
    budget: float | None = None
    period: float | None = None
    created: float
    revoked: float | None = None

    def matches(self, secret: str) -> bool:
        """Whether this is the key's secret and the key is valid."""
        return hmac.compare_digest(_digest(secret), self.digest) and self.revoked is None


def key_id(secret: str) -> str | None:
    """Id of the key that a secret claims to be of; None if it is no secret of Floorline.

    Examples
    --------
    >>> key_id("fl-1f3a9c07-secret"), key_id("sk-123")
    ('1f3a9c07', None)
    """
    parts = secret.split("-", 2)
    return parts[1] if len(parts) == 3 and parts[0] == _PREFIX else None


class KeyStore:
    """API keys in a store; works beside the process that writes its log.

    Every method may raise StoreUnavailable if the database does not work.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create(
        self,
        name: str,
        scopes: Sequence[str] = ("chat", "feedback"),
        *,
        tenant: str = "",
        slas: Sequence[str] | None = None,
        rate: float | None = None,
        budget: float | None = None,
        period: float | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key and its secret, which is kept nowhere.

        Raises
        ------
        InvalidInput
            If a value breaks its rules.
        """
        if not name.strip() or len(name) > _LONGEST_NAME:
            fix = f"give a name of 1 to {_LONGEST_NAME} characters"
            raise InvalidInput("key.name", name, fix)
        if not scopes:
            raise InvalidInput(
                "key.scopes", list(scopes), "give one or more of " + ", ".join(SCOPES)
            )
        for scope in scopes:
            check_one_of("key.scopes", scope, SCOPES)
        if slas is not None and not slas:
            raise InvalidInput("key.slas", list(slas), "name an SLA, or leave it out to allow all")
        for field, value in (("rate", rate), ("budget", budget), ("period", period)):
            if value is not None:
                check_number(f"key.{field}", value, low=1e-9, fix="give a number above 0")
        if (budget is None) != (period is None):
            raise InvalidInput(
                "key.budget",
                budget,
                "give a budget together with its period in seconds, or neither",
            )
        id = secrets.token_hex(4)
        secret = f"{_PREFIX}-{id}-{secrets.token_urlsafe(32)}"
        key = ApiKey(
            id=id,
            digest=_digest(secret),
            name=name,
            scopes=tuple(dict.fromkeys(scopes)),
            tenant=tenant,
            slas=None if slas is None else tuple(slas),
            rate=rate,
            budget=budget,
            period=period,
            created=time.time(),
        )
        with reported(self._engine), self._engine.begin() as connection:
            connection.execute(api_keys.insert(), msgspec.structs.asdict(key))
        return key, secret

    def list(self) -> list[ApiKey]:
        """All keys, revoked ones included, the oldest first."""
        query = sa.select(api_keys).order_by(api_keys.c.created, api_keys.c.id)
        with reported(self._engine), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [msgspec.convert(row, ApiKey, from_attributes=True) for row in rows]

    def revoke(self, id: str) -> bool:
        """Make a key invalid for good; False if it was already.

        Raises
        ------
        InvalidInput
            If there is no such key.
        """
        change = api_keys.update().where(api_keys.c.id == id, api_keys.c.revoked.is_(None))
        with reported(self._engine), self._engine.begin() as connection:
            if connection.execute(change.values(revoked=time.time())).rowcount:
                return True
            if not connection.scalar(sa.select(api_keys.c.id).where(api_keys.c.id == id)):
                fix = "give the id of a key that 'floorline keys list' shows"
                raise InvalidInput("key.id", id, fix)
        return False


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
