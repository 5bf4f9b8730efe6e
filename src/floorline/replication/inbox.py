"""The inbox of the log: replicas append events to it, and the learner takes them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from floorline.errors import InvalidInput, StoreDamaged
from floorline.events import Event, Tombstone, WarmStart
from floorline.replication.members import VERSION, status_of
from floorline.replication.tables import INBOX_CHANNEL, inbox, insert, members, notify
from floorline.stores.commit import Refused
from floorline.stores.engine import (
    database_message,
    store_errors,
    url_without_password,
    write_error,
)
from floorline.stores.integrity import DIGEST_BYTES
from floorline.stores.packing import pack_body, unpack_event
from floorline.stores.schema import prompts
from floorline.stores.unknown_events import UnknownEvent
from floorline.stores.verification import KINDS
from floorline.stores.writing import (
    Prepared,
    Prompt,
    one_item_causes,
    prepare,
    prompt_row,
    tombstone_for,
)

_encode = msgspec.msgpack.Encoder().encode

_CHECKED = ("replica", "number", "kind", "decision", "completion", "tenant", "key", "body")
"""Columns that the checksum covers."""


DAMAGED_ROW = "its row in the inbox was damaged"
"""Reason of tombstones in the place of damaged rows."""


class InboxWriter:
    """Sink of a group commit that appends the events of one replica to the inbox.

    Events have numbers of their replica, from 1. A batch whose commit was in doubt is written
    again: of two rows with one number the first counts, and the learner passes over a number that
    is in the log already.

    Parameters
    ----------
    engine
        Engine of the store.
    replica
        Name of the replica; no other process has it, not even this one after a new start.
    """

    def __init__(self, engine: sa.Engine, replica: str) -> None:
        self._engine = engine
        self._replica = replica
        self._connection: sa.Connection | None = None
        self._insertion = insert(engine, inbox).on_conflict_do_nothing(
            index_elements=[inbox.c.replica, inbox.c.number]
        )

    def encode(self, position: int, items: Sequence[Prepared | Prompt]) -> Rows:
        """Convert items into rows; see ``Sink``."""
        rows: list[dict[str, Any]] = []
        texts = {}
        for item in items:
            if isinstance(item, Prompt):
                texts[item.decision] = item.body
                continue
            rows.append(_row(self._replica, position + len(rows) + 1, item))
        return Rows(rows, [prompt_row(name, body) for name, body in texts.items()])

    def write(self, batch: Rows) -> None:
        """Commit rows; see ``Sink``.

        Raises
        ------
        Refused
            If the database refuses one of the rows, whenever it is tried.
        StoreUnavailable
            If the database raises another error.
        """
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            connection = self._connection
            with connection.begin():
                if batch.events:
                    connection.execute(self._insertion, batch.events)
                    notify(connection, INBOX_CHANNEL, self._replica)
                if batch.prompts:
                    put = insert(self._engine, prompts).on_conflict_do_nothing(
                        index_elements=[prompts.c.decision]
                    )
                    connection.execute(put, batch.prompts)
        except SQLAlchemyError as error:
            if one_item_causes(error):
                raise Refused(database_message(error)) from error
            self.close()
            raise write_error(self._engine, error) from error
        except (ValueError, TypeError, OverflowError) as error:
            raise Refused(str(error)) from error

    def replace(self, item: Prepared | Prompt, why: str) -> Prepared | None:
        """Return a tombstone for a refused event; None for a prompt, which is dropped."""
        return None if isinstance(item, Prompt) else tombstone_for(item, why)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


class Rows(NamedTuple):
    """Rows of a batch.

    Attributes
    ----------
    events
        Rows of events, in the order of their numbers.
    prompts
        Rows of prompts, which have no order.
    """

    events: list[dict[str, Any]]
    prompts: list[dict[str, Any]]


def lost_row(
    replica: str, number: int, reason: str, row: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the row of a tombstone, so that no number is missing.

    Parameters
    ----------
    replica, number
        Whose event is lost, and its number.
    reason
        Why it is lost.
    row
        The row that the database refuses; None if it is not known.
    """
    if row is None:
        return _row(replica, number, prepare(Tombstone(lost="", reason=reason)))
    item = prepare(unpack_event(bytes(row["body"])))
    return _row(replica, number, tombstone_for(item, reason))


def _row(replica: str, number: int, item: Prepared) -> dict[str, Any]:
    row = {
        "replica": replica,
        "number": number,
        "kind": item.kind,
        "decision": item.decision,
        "completion": item.completion,
        "tenant": item.tenant,
        "key": item.key,
        "body": pack_body(item.body),
        "artefact": item.artefact,
    }
    return {**row, "checksum": _checksum(row)}


def is_whole(row: Mapping[Any, Any]) -> bool:
    """Return whether a row of the inbox has the checksum that it was written with."""
    return _checksum(row) == bytes(row["checksum"])


def event_of(row: Mapping[Any, Any], engine: sa.Engine) -> Event:
    """Return the event of a row of the inbox.

    Raises
    ------
    StoreDamaged
        If the row has another checksum.
    UnknownEvent
        If a newer version of Floorline wrote it.
    """
    if not is_whole(row):
        store = url_without_password(engine.url)
        raise StoreDamaged(store, f"the event {row['id']:,} of its inbox is damaged")
    try:
        event = unpack_event(bytes(row["body"]))
    except InvalidInput as error:
        where = f"the event {row['id']:,} of the inbox of {url_without_password(engine.url)}"
        raise UnknownEvent(where, _version_of(engine, row["replica"]), error) from error
    if isinstance(event, WarmStart) and row["artefact"] is not None:
        event = msgspec.structs.replace(event, history=bytes(row["artefact"]))
    return event


def _version_of(engine: sa.Engine, replica: str) -> str | None:
    """Return the version of Floorline that a replica says it runs; None if it is not known."""
    query = sa.select(members.c.status).where(members.c.id == replica)
    with store_errors(engine), engine.connect() as connection:
        status = connection.scalar(query)
    said = None if status is None else status_of(status).get(VERSION)
    return said if isinstance(said, str) else None


def lost_event(row: Mapping[Any, Any]) -> Tombstone:
    """Return what is in the log in the place of a damaged row."""
    kind = row["kind"] if row["kind"] in KINDS else ""
    return Tombstone(lost=kind, reason=DAMAGED_ROW)


def tombstone_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the row that takes the place of a damaged one in the inbox."""
    return _row(row["replica"], row["number"], prepare(lost_event(row)))


def _checksum(row: Mapping[Any, Any]) -> bytes:
    fields = [bytes(v) if isinstance(v := row[name], memoryview) else v for name in _CHECKED]
    return blake2b(_encode(fields), digest_size=DIGEST_BYTES).digest()
