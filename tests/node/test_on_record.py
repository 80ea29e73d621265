"""A login that breaks off, or is stopped, is put on the node's record before we let go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

from spotdeploy.errors import UnreachableError
from spotdeploy.node.access import NodeAccess
from spotdeploy.node.connection import NodeConnection
from spotdeploy.project import Project
from spotdeploy.testing.fake.config import FakeConfig
from spotdeploy.testing.fake.provider import FakeProvider
from tests.ssh_server import NODE, Commands, LetsIn, served


class Told(Commands):
    """Tells when it is asked something."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    async def process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.begun.set()
        await super().process(process)


@dataclass(frozen=True)
class Access(NodeAccess):
    """Access by a connection that is there."""

    there: NodeConnection

    def connection(self) -> NodeConnection:
        return self.there


def access(folder: Path, connection: NodeConnection) -> Access:
    (folder / "spotdeploy.toml").write_text('deployment = "one"\nproviders = ["fake"]\n')
    project = Project.open(folder / "spotdeploy.toml")
    return Access(project, FakeProvider(FakeConfig(), "here"), NODE, "", connection)


@pytest.mark.parametrize("patience", [0.0, 30.0])
async def test_to_be_stopped_within_a_login_leaves_none_off_record(
    tmp_path: Path, patience: float
) -> None:
    record, commands = tmp_path / "sessions", Told()
    commands.before = "sleep 1; "
    async with served(LetsIn(), commands=commands, record=str(record)) as connection:

        async def use() -> None:
            async with access(tmp_path, connection).connected(patience):
                raise AssertionError("it was to be stopped before")

        task = asyncio.create_task(use())
        async with asyncio.timeout(20):
            await commands.begun.wait()
            commands.before = ""
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert record.read_text() == "a 1 1\n"


async def test_a_login_that_broke_off_is_on_record_when_the_next_is_let_in(tmp_path: Path) -> None:
    record = tmp_path / "absent/sessions"
    async with served(LetsIn(), record=str(record)) as connection:
        with pytest.raises(UnreachableError):
            async with access(tmp_path, connection).connected():
                raise AssertionError("nothing can be put on record")
        assert connection.off_record
        record.parent.mkdir()
        async with access(tmp_path, connection).connected():
            assert not connection.off_record
    assert record.read_text() == "a 1 2\n"


async def test_without_a_debt_there_is_one_login(tmp_path: Path) -> None:
    record = tmp_path / "sessions"
    async with served(LetsIn(), record=str(record)) as connection:
        async with access(tmp_path, connection).connected():
            pass
        assert not connection.connected
    assert record.read_text() == "a 1\n"
