"""Before: what must pass on this computer before a run destroys or makes anything."""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from spotdeploy.duration import spell
from spotdeploy.errors import BeforeError, ConfigError, HostError, RefusedError
from spotdeploy.events import (
    LONGEST,
    BeforeEnded,
    BeforeOutput,
    BeforeSkipped,
    BeforeStarted,
    Bus,
    StepEnded,
    StepStarted,
)
from spotdeploy.payload.hashes import read_parts
from spotdeploy.payload.manifest import changed_since
from spotdeploy.payload.syntax import Fault, find_faults
from spotdeploy.project import Project
from spotdeploy.run.cancellation import finish_despite_cancel
from spotdeploy.run.context import Plan, digest_of
from spotdeploy.state.journal import Journal
from spotdeploy.text import plain

SYNTAX: Final = "syntax"
"""The name of our own check among the commands."""
STEP: Final = "before"
NOT_ASKED: Final = "--no-before"
UNTOUCHED: Final = "nothing was destroyed or created"
GRACE: Final = 3.0
"""Seconds that a stopped command gets to end before it is killed."""
LAST_WORDS: Final = 1.0
"""Seconds for what was written before a command ended, should something that left its process group
hold its output open."""
GONE_LOOKS: Final = 100
GONE_POLL: Final = 0.01
"""Seconds between two looks at whether what was killed is gone."""
OUTPUT_LIMIT: Final = 8 << 20
"""Bytes of a command's output that are shown and kept."""
LINE_LIMIT: Final = LONGEST
"""Characters of a line that is waited for, and of a private key that is held back until it is
whole."""
FAULTS: Final = 50
"""Syntax faults that are told one by one."""
HINT: Final = (
    "correct it, or leave it out by .spotdeployignore; before.syntax = false looks at none"
)
_NO_COMMAND, _NOT_EXECUTABLE = 127, 126
_WHOLE: Final = " ."
"""Behind text that ends with a line's end: it was not cut within a secret, and nothing at its end
is to be taken for the half of one."""
_KEY_BEGINS, _KEY_ENDS = "-----BEGIN ", "-----END "


@dataclass(frozen=True)
class Bench:
    """What one run tests with: once, however many groups or cells it has."""

    project: Project
    """Of any of them: they share what is tested."""
    plans: Mapping[str, Plan]
    """By group."""
    journal: Journal
    bus: Bus
    run: str
    deployment: str

    @cached_property
    def digest(self) -> str:
        """What is tested, as one word: what is shipped to all nodes and what the config names
        besides. Blocks while it reads that; raises ConfigError when it cannot be read."""
        shipped = digest_of(self.plans.values())
        names = self.project.config.before.files
        if not names:
            return shipped
        where = f"{self.project.path.name}: before.files"
        files = [self.project.resolve(name) for name in names]
        parts: list[bytes] = []
        for index, file in enumerate(files):
            if not file.exists():  # else one that is misspelt would be looked at for ever
                raise ConfigError(f"{where}[{index}]: {file} does not exist", hint="correct it")
            try:
                parts += read_parts([file])
            except OSError as error:
                raise ConfigError(
                    f"{where}[{index}]: cannot read {error.filename or file}: {error.strerror}",
                    hint="make it readable, or name what the commands read instead",
                ) from error
        return hashlib.sha256(b"".join([shipped.encode(), *parts])).hexdigest()


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a command ended."""

    code: int | None
    """None when it was ended."""
    why: str = ""
    """Why it failed; empty when it did not."""


class BeforeTest(msgspec.Struct, frozen=True):
    """One of the things that must pass."""

    command: str
    """`SYNTAX`, or a command as the config has it."""
    timeout: float | None = None
    """Seconds that it may take; None of our own."""
    passed_in: str = ""
    """The run in which it last passed with what is shipped, when it is not run again therefore."""


def wanted_tests(bench: Bench, *, skip: bool = False) -> list[BeforeTest]:
    """What must pass, in its order. Reads the journal and what is tested, unless told to `skip`
    that. Raises ConfigError when a file that the config names cannot be read."""
    before, digest = bench.project.config.before, "" if skip else bench.digest
    found = [BeforeTest(SYNTAX)] if before.syntax else []
    for one in before.tables:
        known = one.when == "changed" and not skip
        passed_in = bench.journal.tested(bench.deployment, one.run, digest) if known else ""
        found.append(BeforeTest(one.run, float(one.timeout), passed_in))
    return found


async def run_before(bench: Bench, *, skip: bool = False) -> str:
    """Run the tests, one after the other, until one fails. Gives why, and nothing when all passed.
    With `skip` it runs none, and says so.

    Cancelling it ends the command with all its processes. Raises RefusedError when a command
    changed what is shipped, HostError for a journal that cannot be written, and what
    `wanted_tests` raises.
    """
    wanted = wanted_tests(bench, skip=skip)
    if skip or not wanted:
        _skip(bench, wanted, 1, NOT_ASKED)
        return ""
    ours = sum(test.timeout is None for test in wanted)
    why = await _run_all(bench, wanted[:ours], 1)
    if why or not wanted[ours:]:
        _skip(bench, wanted[ours:], ours + 1, f"{SYNTAX} failed")
        return why
    bench.bus.emit(StepStarted(step=STEP))
    try:
        why = await _run_all(bench, wanted[ours:], ours + 1)
    except (RefusedError, HostError) as error:
        bench.bus.emit(StepEnded(step=STEP, ok=False, detail=error.message))
        raise
    bench.bus.emit(StepEnded(step=STEP, ok=not why, detail=why))
    return why


def require_syntax(project: Project, plans: Mapping[str, Plan]) -> None:
    """Refuse what is shipped and nothing could read. Blocks while it reads. Raises BeforeError."""
    if project.config.before.syntax and (faults := _faults(plans)):
        raise BeforeError(_first(faults), hint=HINT)


async def _run_all(bench: Bench, wanted: Sequence[BeforeTest], first: int) -> str:
    """As `run_before`, for some of the tests, which are numbered from `first`."""
    for number, test in enumerate(wanted, first):
        if test.passed_in:
            why = f"passed in run {test.passed_in}, nothing changed since"
            _skip(bench, [test], number, why)
        elif why := await _test(bench, number, test):
            left = wanted[number - first + 1 :]
            _skip(bench, left, number + 1, f"{title(test.command)} failed")
            return why
    return ""


def title(command: str) -> str:
    """A command in one short line."""
    line, *more = (plain(command, limit=100) or "-").splitlines()
    return f"{line} ..." if more else line


def _skip(bench: Bench, some: Sequence[BeforeTest], first: int, why: str) -> None:
    for number, test in enumerate(some, first):
        bench.bus.emit(BeforeSkipped(number=number, command=test.command, why=why))


async def _test(bench: Bench, number: int, test: BeforeTest) -> str:
    """Run one test. Gives why it failed, and nothing when it passed."""
    began = time.monotonic()
    bench.bus.emit(BeforeStarted(number=number, command=test.command))

    def say(lines: Sequence[str]) -> None:
        bench.bus.emit(BeforeOutput(number=number, lines=tuple(lines)))

    ended = _Ended(None, "stopped by the user")
    try:
        if test.timeout is None:
            ended = await _check_syntax(bench, say)
        else:
            ended = await _run(test.command, test.timeout, bench.project.settings.folder, say)
    finally:
        bench.bus.emit(
            BeforeEnded(
                number=number,
                ok=not ended.why,
                seconds=time.monotonic() - began,
                exit_code=ended.code,
                detail=ended.why,
            )
        )
    if ended.why or test.timeout is None:
        return f"{title(test.command)} {ended.why}".removeprefix(f"{SYNTAX} ") if ended.why else ""
    await _require_unchanged(bench, test)
    bench.journal.record_tested(bench.deployment, test.command, bench.digest, bench.run)
    return ""


async def _check_syntax(bench: Bench, say: Callable[[Sequence[str]], None]) -> _Ended:
    faults = await asyncio.to_thread(_faults, bench.plans)
    if not faults:
        return _Ended(None)
    left = len(faults) - FAULTS
    more = [f"... and {left} more"] if left > 0 else []
    say([*(plain(str(fault)) for fault in faults[:FAULTS]), *more, HINT])
    return _Ended(None, _first(faults))


def _first(faults: Sequence[Fault]) -> str:
    return f"{faults[0]}{f'; and {len(faults) - 1} more' if faults[1:] else ''}"


def _faults(plans: Mapping[str, Plan]) -> list[Fault]:
    """Those of every payload, each once: groups may share files."""
    manifests = {plan.manifest.digest: plan.manifest for plan in plans.values()}
    found = [fault for manifest in manifests.values() for fault in find_faults(manifest)]
    return list(dict.fromkeys(found))


async def _require_unchanged(bench: Bench, test: BeforeTest) -> None:
    """What was tested must be what is shipped. Raises RefusedError."""
    groups = bench.project.groups
    for name, plan in bench.plans.items():
        changed = await asyncio.to_thread(changed_since, groups[name].settings, plan.manifest)
        if changed:
            raise RefusedError(
                f"what is shipped changed while {title(test.command)} ran: {changed}",
                hint="run it again; what a command writes belongs elsewhere, or into "
                ".spotdeployignore",
            )


async def _run(
    command: str, timeout: float, folder: Path, say: Callable[[Sequence[str]], None]
) -> _Ended:
    """Run a command in a process group of its own, which is gone when this returns or raises."""
    ours, theirs = os.pipe()
    try:
        starting = asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", command),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={"PYTHONUNBUFFERED": "1", **os.environ},
        )
        process, stopped = await finish_despite_cancel(starting)  # else its children would go on
    except OSError as error:
        os.close(ours)
        return _Ended(None, f"cannot be run: {error.strerror}")
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    output = _Output(ours, say)
    try:
        if stopped:
            raise asyncio.CancelledError
        async with asyncio.timeout(timeout):
            code = await process.wait()
    except TimeoutError:
        return _Ended(None, f"did not end within {spell(timeout)}")
    else:
        return _Ended(code, _why(code))
    finally:
        await _end(process)
        await output.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End all processes of a command's group, those that it left running too, and wait until they
    are gone: a kill is not done when it is sent."""
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await process.wait()
    _signal(process, signal.SIGKILL)
    await process.wait()
    for _ in range(GONE_LOOKS):  # a dead one counts until its parent, or this host, reaps it
        if not _signal(process, 0):
            break
        await asyncio.sleep(GONE_POLL)


def _signal(process: asyncio.subprocess.Process, number: int) -> bool:
    """Send it to all of the group; 0 only asks. Gives whether there is any that we may signal."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # gone, or of another user by sudo
        return False
    return True


def _why(code: int) -> str:
    if code == 0:
        return ""
    if code < 0:
        return f"was ended by signal {-code}"
    meant = {_NO_COMMAND: ": no such command", _NOT_EXECUTABLE: ": it cannot be executed"}
    return f"ended with exit code {code}{meant.get(code, '')}"


class _Output:
    """What a command writes, handed on line by line as it comes, without secrets, escapes and
    controls, up to a limit."""

    def __init__(self, pipe: int, say: Callable[[Sequence[str]], None]) -> None:
        """`pipe` is the end to read from; it is closed by `close`."""
        self._pipe, self._say = pipe, say
        self._loop = asyncio.get_running_loop()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._text = ""
        self._left = OUTPUT_LIMIT
        self._ended = asyncio.Event()
        os.set_blocking(pipe, False)
        self._loop.add_reader(pipe, self._read)

    async def close(self) -> None:
        """Hand on what is left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await self._ended.wait()
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        self._hand_on(self._text + self._decoder.decode(b"", final=True))

    def _read(self) -> None:
        data = os.read(self._pipe, 1 << 16)
        if not data:
            self._loop.remove_reader(self._pipe)
            self._ended.set()
        elif self._left > 0:
            self._take(data)

    def _take(self, data: bytes) -> None:
        self._text += self._decoder.decode(data[: self._left])
        self._left -= len(data)
        if self._left <= 0:
            limit = f"{OUTPUT_LIMIT >> 20} MiB"
            self._text += f"\n... more than {limit} of output: the rest is not kept\n"
        end = len(self._text) if len(self._text) > LINE_LIMIT else self._text.rfind("\n") + 1
        key = self._text.rfind(_KEY_BEGINS, 0, end)
        if key >= 0 and _KEY_ENDS not in self._text[key:end] and end - key < LINE_LIMIT:
            end = key  # a private key is known as a whole
        if end:
            self._hand_on(self._text[:end])
            self._text = self._text[end:]

    def _hand_on(self, text: str) -> None:
        """A line that was written over, such as a progress bar, is shown as it was at last."""
        lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []
        whole = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
        end = _WHOLE if text.endswith("\n") else ""
        if lines:
            clean = plain(f"{whole}{end}", limit=4 * LONGEST, strip=False).removesuffix(end)
            self._say(clean.split("\n"))
