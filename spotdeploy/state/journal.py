"""The local record of intents and what became of them (SQLite).

The cloud's labels are the truth; the journal catches what labels can't show yet: a create call
whose answer never came, a node the cloud does not list yet. Losing it loses history, never a
machine. Every write is on disk (synchronous=FULL) before the call it announces is made.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, cast

import msgspec

from spotdeploy import labels
from spotdeploy.errors import SPACE, HostError
from spotdeploy.model import Market, Node, Offer
from spotdeploy.state.folder import private_folder
from spotdeploy.text import plain

VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE run (
    id TEXT PRIMARY KEY, deployment TEXT NOT NULL, command TEXT NOT NULL, digest TEXT NOT NULL,
    started_at REAL NOT NULL, ended_at REAL, verdict TEXT, exit_code INTEGER);
CREATE TABLE intent (
    token TEXT PRIMARY KEY, deployment TEXT NOT NULL, run TEXT NOT NULL, provider TEXT NOT NULL,
    location TEXT NOT NULL, offer TEXT NOT NULL, count INTEGER NOT NULL, at REAL NOT NULL,
    settled_at REAL);
CREATE TABLE node (
    provider TEXT NOT NULL, location TEXT NOT NULL, id TEXT NOT NULL, deployment TEXT NOT NULL,
    run TEXT NOT NULL, token TEXT NOT NULL, name TEXT NOT NULL, made_at REAL NOT NULL,
    seen_at REAL NOT NULL, gone_at REAL, gone_by TEXT, host_key TEXT,
    PRIMARY KEY (provider, location, id));
CREATE INDEX node_deployment ON node (deployment, gone_at);
CREATE INDEX intent_deployment ON intent (deployment, settled_at);
"""
_LATER: Final = """
CREATE TABLE IF NOT EXISTS account (
    deployment TEXT NOT NULL, provider TEXT NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (deployment, provider));
CREATE TABLE IF NOT EXISTS unproven (
    deployment TEXT NOT NULL, provider TEXT NOT NULL, location TEXT NOT NULL, what TEXT NOT NULL,
    by_hand TEXT NOT NULL, PRIMARY KEY (deployment, provider, location, what));
CREATE TABLE IF NOT EXISTS freed (
    deployment TEXT NOT NULL, provider TEXT NOT NULL, location TEXT NOT NULL, id TEXT NOT NULL,
    market TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (provider, location, id));
CREATE TABLE IF NOT EXISTS member (
    deployment TEXT NOT NULL, provider TEXT NOT NULL, location TEXT NOT NULL, id TEXT NOT NULL,
    number INTEGER NOT NULL, PRIMARY KEY (provider, location, id));
CREATE TABLE IF NOT EXISTS tested (
    deployment TEXT NOT NULL, command TEXT NOT NULL, digest TEXT NOT NULL, run TEXT NOT NULL,
    PRIMARY KEY (deployment, command));
CREATE TABLE IF NOT EXISTS failed (
    provider TEXT NOT NULL, location TEXT NOT NULL, id TEXT NOT NULL, run TEXT NOT NULL,
    verdict TEXT NOT NULL, PRIMARY KEY (provider, location, id, run));
"""
"""Came later; a spotdeploy that does not know them passes them over."""
_TABLES: Final = {"run", "intent", "node"}
_FAILURES: Final = (sqlite3.Error, UnicodeDecodeError)
"""Damaged text fails to be decoded, in an error's own message too."""
_DISK: Final = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
)
_FREED_KEPT: Final = 3600.0
"""Seconds for which it is known what a node that is gone was: longer than any quota is late."""
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
Moment = Annotated[float, msgspec.Meta(ge=0.0, le=1e13)]
"""Unix seconds, such as a calendar can show."""
Row = TypeVar("Row", "Freed", "Intent", "JournalNode", "Member", "RunRecord", "Unproven")


class Journal:
    """The journal of one `.spotdeploy` folder. Used from one thread."""

    def __init__(
        self,
        path: Path,
        now: Callable[[], float] = time.time,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Open or create it. `tell` is given a line for each row that makes no sense, once.

        Raises HostError when it cannot be written, is damaged or not ours.
        """
        self._now = now
        self._path = path
        self._tell = tell
        self._set_aside: set[str] = set()
        try:
            if path.is_dir():
                raise self._unusable("is a folder")
            private_folder(path.parent)
            if not path.exists():  # SQLite gives its other files the same mode
                path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=30.0)
            self._db.text_factory = _text
        except (OSError, *_FAILURES) as error:
            raise self._trouble(error) from error
        try:
            self._open()
        except BaseException:
            self._db.close()
            raise

    def _open(self) -> None:
        try:
            self._require_ours()
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._migrate()
            self._db.executescript(_LATER)
            if not _columns(self._db) >= _known_columns():
                raise self._unusable("is damaged: its tables are not those that spotdeploy makes")
        except _FAILURES as error:
            raise self._trouble(error) from error

    def _require_ours(self) -> None:
        """Refuse a damaged file, and one of another program's, before anything is written."""
        (output,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if output != "ok":
            raise self._unusable(f"is damaged: {output}")
        found = self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {name for (name,) in found}
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if (tables or version) and not tables >= _TABLES:
            raise self._unusable("is no journal of spotdeploy's")
        if tables and version < 1:
            raise self._unusable(f"is damaged: its version is {version}")

    @property
    def whole(self) -> bool:
        """False once a row was read that makes no sense: something that it told is not known."""
        return not self._set_aside

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def begin_run(self, run: str, deployment: str, command: str, digest: str) -> None:
        """Note that a run began."""
        self._write(
            "INSERT INTO run (id, deployment, command, digest, started_at) VALUES (?, ?, ?, ?, ?)",
            (run, deployment, command, digest, self._now()),
        )

    def end_run(self, run: str, verdict: str, exit_code: int) -> None:
        """Note how it ended."""
        self._write(
            "UPDATE run SET ended_at = ?, verdict = ?, exit_code = ? WHERE id = ?",
            (self._now(), verdict, exit_code, run),
        )

    def runs(self, deployment: str) -> list[RunRecord]:
        """Every run of a deployment, newest first."""
        return self._rows(RunRecord, "run WHERE deployment = ? ORDER BY id DESC", deployment)

    def first_run_at(self, deployment: str) -> float | None:
        """When the first run of a deployment began that this journal knows of (Unix seconds): it
        knows every create call since then. None when it knows of no run."""
        rows = self._read(
            "SELECT min(started_at) FROM run WHERE deployment = ? AND typeof(started_at) = 'real'",
            (deployment,),
        )
        return cast("float | None", rows[0][0])

    def record_intent(
        self, token: str, deployment: str, run: str, offer: Offer, count: int
    ) -> None:
        """Note, before the call, that up to `count` nodes are about to be made."""
        self._write(
            "INSERT INTO intent (token, deployment, run, provider, location, offer, count, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(token, deployment, run, offer.provider, offer.location),
                *(str(offer), count, self._now()),
            ),
        )

    def resolve_intent(
        self, token: str, deployment: str, run: str, nodes: Iterable[Node] = ()
    ) -> None:
        """Note the outcome of an intent: these nodes and no others, in one transaction."""
        with self._transaction():
            for node in nodes:
                self._record(node, deployment, run, token)
            self._db.execute(
                "UPDATE intent SET settled_at = ? WHERE token = ?", (self._now(), token)
            )

    def made_no_node(self, token: str) -> None:
        """Note that an intent made no node, and that what else it made is not known."""
        self._write("UPDATE intent SET count = 0 WHERE token = ?", (token,))

    def open_intents(self, deployment: str) -> list[Intent]:
        """Create calls whose outcome is not known."""
        open_ones = "intent WHERE deployment = ? AND settled_at IS NULL ORDER BY at"
        return self._rows(Intent, open_ones, deployment)

    def record_account(self, deployment: str, provider: str, account: str) -> None:
        """Note in whose account a provider is about to make nodes."""
        self._write(
            "INSERT OR REPLACE INTO account (deployment, provider, id) VALUES (?, ?, ?)",
            (deployment, provider, account),
        )

    def account(self, deployment: str, provider: str) -> str:
        """Whose account a provider made nodes in the last time; empty when that is not known."""
        rows = self._read(
            "SELECT id FROM account WHERE deployment = ? AND provider = ?", (deployment, provider)
        )
        return rows[0][0] if rows and isinstance(rows[0][0], str) else ""

    def record_tested(self, deployment: str, command: str, digest: str, run: str) -> None:
        """Note that a command passed on this computer while `digest` was what would be shipped."""
        self._write(
            "INSERT OR REPLACE INTO tested (deployment, command, digest, run) VALUES (?, ?, ?, ?)",
            (deployment, command, digest, run),
        )

    def tested(self, deployment: str, command: str, digest: str) -> str:
        """The run in which a command passed the last time, if it was with what has this digest;
        else nothing."""
        rows = self._read(
            "SELECT run FROM tested WHERE deployment = ? AND command = ? AND digest = ?",
            (deployment, command, digest),
        )
        return rows[0][0] if rows and isinstance(rows[0][0], str) else ""

    def record_failed(self, nodes: Iterable[tuple[Node, str]]) -> None:
        """Note that these nodes, which are kept, did not pass in the run that made them: each with
        its verdict."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO failed (provider, location, id, run, verdict)"
                " VALUES (?, ?, ?, ?, ?)",
                [(*_made(node), verdict) for node, verdict in nodes],
            )

    def failure(self, node: Node) -> str:
        """The verdict that is noted of a node; else nothing."""
        rows = self._read(
            "SELECT verdict FROM failed WHERE provider = ? AND location = ? AND id = ? AND run = ?",
            _made(node),
        )
        return str(rows[0][0]) if rows else ""

    def close_intents(
        self, deployment: str, provider: str, location: str, before: float, run: str | None = None
    ) -> None:
        """Close the intents older than `before` (Unix seconds), all or those of a run: a
        proven-empty listing covers them."""
        self._write(
            "UPDATE intent SET settled_at = ? WHERE deployment = ? AND provider = ?"
            " AND location = ? AND settled_at IS NULL AND at <= ? AND run = ifnull(?, run)",
            (self._now(), deployment, provider, location, before, run),
        )

    def set_unproven(
        self, deployment: str, provider: str, location: str, things: Iterable[tuple[str, str]]
    ) -> None:
        """Note what else than nodes may be in a location until a listing proves it gone, in place
        of what was noted before: each with how to end it by hand. Nothing when that is proven."""
        place = (deployment, provider, location)
        with self._transaction():
            self._db.execute(
                "DELETE FROM unproven WHERE deployment = ? AND provider = ? AND location = ?", place
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO unproven (deployment, provider, location, what, by_hand)"
                " VALUES (?, ?, ?, ?, ?)",
                [(*place, *thing) for thing in things],
            )

    def unproven(self, deployment: str) -> list[Unproven]:
        """What else than nodes may be anywhere, as it was noted last."""
        return self._rows(Unproven, "unproven WHERE deployment = ?", deployment)

    def seen(self, nodes: Iterable[Node], deployment: str) -> None:
        """Note that a listing showed these nodes, known before or not; one that was said to be
        gone is not."""
        with self._transaction():
            for node in nodes:
                self._record(node, deployment, node.labels.get(labels.RUN, ""), "")

    def gone(self, provider: str, location: str, ids: Iterable[str], by: str) -> None:
        """Note that these nodes were seen gone. `by` says by which proof."""
        with self._transaction():
            self._db.executemany(
                "UPDATE node SET gone_at = ?, gone_by = ? WHERE provider = ? AND location = ?"
                " AND id = ? AND gone_at IS NULL",
                [(self._now(), by, provider, location, id_) for id_ in ids],
            )

    def freed(self, nodes: Iterable[Node], deployment: str) -> None:
        """Note of which market these nodes were, which are gone now: their quota may be counted for
        a while yet."""
        now = self._now()
        with self._transaction():
            self._db.execute("DELETE FROM freed WHERE at < ?", (now - _FREED_KEPT,))
            self._db.executemany(
                "INSERT OR REPLACE INTO freed (deployment, provider, location, id, market, at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(deployment, n.provider, n.location, n.id, n.market, now) for n in nodes],
            )

    def freed_since(self, deployment: str, offer: Offer, since: float) -> list[float]:
        """When nodes of the offer's market and location went, no earlier than `since`, in order
        (Unix seconds)."""
        rows = self._rows(
            Freed,
            "freed WHERE deployment = ? AND provider = ? AND location = ? AND market = ?"
            " AND at >= ? ORDER BY at",
            *(deployment, offer.provider, offer.location, offer.market, since),
        )
        return [row.at for row in rows]

    def pin(self, node: Node, host_key: str) -> None:
        """Remember a node's own host key (OpenSSH's public key text).

        Each node has one, so nobody waits for the disk: a killed process loses none, and a power
        cut may lose those since the last other write.
        """
        statement = "UPDATE node SET host_key = ? WHERE provider = ? AND location = ? AND id = ?"
        self._db.execute("PRAGMA synchronous=NORMAL")
        try:
            self._write(statement, (host_key, node.provider, node.location, node.id))
        finally:
            self._db.execute("PRAGMA synchronous=FULL")

    def number(self, deployment: str, indexes: Iterable[tuple[Node, int]]) -> None:
        """Remember which index nodes have in their groups."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO member (deployment, provider, location, id, number)"
                " VALUES (?, ?, ?, ?, ?)",
                [(deployment, n.provider, n.location, n.id, index) for n, index in indexes],
            )

    def numbers(self, deployment: str) -> dict[tuple[str, str, str], int]:
        """Provider, location and id of nodes to their index, as far as that is known."""
        rows = self._rows(Member, "member WHERE deployment = ?", deployment)
        return {(row.provider, row.location, row.id): row.number for row in rows}

    def nodes(self, deployment: str, *, gone: bool = False) -> list[JournalNode]:
        """The nodes not yet seen gone, or with `gone` every node ever."""
        which = "node WHERE deployment = ? AND (? OR gone_at IS NULL) ORDER BY made_at"
        return self._rows(JournalNode, which, deployment, gone)

    def every_node(self) -> list[JournalNode]:
        """Every node ever, of whatever deployment: the cells of a matrix are some of their own."""
        return self._rows(JournalNode, "node ORDER BY made_at")

    def _record(self, node: Node, deployment: str, run: str, token: str) -> None:
        now = self._now()
        self._db.execute(
            "INSERT INTO node (provider, location, id, deployment, run, token, name, made_at,"
            " seen_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at, gone_at = NULL, gone_by = NULL",
            (
                *(node.provider, node.location, node.id, deployment, run, token, node.name),
                *(now, now),
            ),
        )

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == VERSION:
            return
        if version > VERSION:
            raise HostError(
                f"{self._path} was written by a newer spotdeploy (version {version})",
                hint="update spotdeploy",
            )
        self._db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {VERSION};COMMIT;")

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            self._db.execute(statement, values)
        except _FAILURES as error:
            raise self._trouble(error) from error

    def _rows(self, kind: type[Row], source: str, *values: object) -> list[Row]:
        """The rows of a table as `kind`, whose fields are named as the columns. One that is not of
        these types is told, and passed over: one changed byte must not hide the rest."""
        names = [field.name for field in dataclasses.fields(kind)]
        table = source.partition(" ")[0]
        rows = []
        for id_, *row in self._read(f"SELECT rowid, {', '.join(names)} FROM {source}", values):  # noqa: S608  # constants
            try:
                rows.append(msgspec.convert(dict(zip(names, row, strict=True)), kind))
            except msgspec.ValidationError as error:
                self._pass_over(f"row {id_} of table {table} makes no sense ({error})")
        return rows

    def _pass_over(self, what: str) -> None:
        if what not in self._set_aside:
            self._set_aside.add(what)
            self._tell(f"the journal {self._path}: {what} and is passed over; {self._begin_anew}")

    def _read(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(statement, values).fetchall()
        except _FAILURES as error:
            raise self._trouble(error) from error

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db, self._trouble)

    def _trouble(self, error: Exception) -> HostError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _BUSY:
            return HostError(
                f"the journal {self._path} is in use by another program: {error}",
                hint="wait for that one to end",
            )
        if (code and code not in _DISK) or isinstance(error, UnicodeDecodeError):
            return self._unusable(f"is damaged: {error}")
        space = f"{SPACE}; nothing is created without it"
        marked = code == sqlite3.SQLITE_READONLY and os.access(self._path, os.W_OK)
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
        return HostError(
            f"cannot write the journal {self._path}: {why}",
            hint=self._begin_anew if marked else space,  # a damaged header forbids to write
        )

    def _unusable(self, why: str) -> HostError:
        message = plain(why, limit=300).replace("\n", " ")
        return HostError(f"the journal {self._path} {message}", hint=self._begin_anew)

    @property
    def _begin_anew(self) -> str:
        return (
            f"mv {self._path} {self._path}.old, which loses history and no machine: "
            "the clouds' labels say what is there"
        )


def _text(data: bytes) -> str | bytes:
    """Text as SQLite has it; bytes where it is damaged, so that only its own row is refused."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _made(node: Node) -> tuple[str, str, str, str]:
    """What tells a node from a later one that got its id."""
    return node.provider, node.location, node.id, node.labels.get(labels.RUN, "")


def _columns(db: sqlite3.Connection) -> set[tuple[str, str]]:
    """Every table with each of its columns."""
    return set(
        db.execute(
            "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c"
            " WHERE m.type = 'table'"
        )
    )


@functools.cache
def _known_columns() -> set[tuple[str, str]]:
    """Those of a journal that was just made."""
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(_SCHEMA + _LATER)
        return _columns(db)


class _Transaction:
    def __init__(self, db: sqlite3.Connection, trouble: Callable[[Exception], HostError]) -> None:
        self._db = db
        self._trouble = trouble

    def __enter__(self) -> None:
        self._run("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._run("COMMIT" if kind is None else "ROLLBACK")
        if isinstance(error, _FAILURES):
            raise self._trouble(error) from error

    def _run(self, statement: str) -> None:
        try:
            self._db.execute(statement)
        except _FAILURES as error:
            raise self._trouble(error) from error


@dataclass(frozen=True, slots=True)
class Intent:
    """A create call that was about to be made."""

    token: str
    run: str
    provider: str
    location: str
    offer: str
    count: int
    """How many nodes it may have made."""
    at: Moment


@dataclass(frozen=True, slots=True)
class Unproven:
    """What may be in a location and is no node."""

    provider: str
    location: str
    what: str
    by_hand: str


@dataclass(frozen=True, slots=True)
class Freed:
    """A node that is gone."""

    id: str
    market: Market
    at: Moment


@dataclass(frozen=True, slots=True)
class Member:
    """Which one of its group a node is."""

    provider: str
    location: str
    id: str
    number: Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class JournalNode:
    """What the journal knows of a node. Times are Unix seconds."""

    provider: str
    location: str
    id: str
    run: str
    token: str
    name: str
    made_at: Moment
    seen_at: Moment
    gone_at: Moment | None
    gone_by: str | None
    host_key: str | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One line of history."""

    id: str
    deployment: str
    command: str
    digest: str
    started_at: Moment
    ended_at: Moment | None
    verdict: str | None
    exit_code: int | None
