"""Processes that are forked from one that has read the modules they need, since reading them is
most of what a short one takes. Otherwise they are as started anew: with arguments, folder,
variables and output of their own."""

from __future__ import annotations

import atexit
import functools
import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from spotdeploy_local.linux import syscalls


def start_module(
    name: str,
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str],
    out: Path,
    err: Path,
    network: Path | None = None,
) -> ForkServerProcess:
    """Start what `python -m NAME` is, with nothing to read, in a network namespace or in this
    one. What it prints goes to the files, which may be one."""
    process = _server().Process(
        target=_become, args=(name, arguments, folder, dict(environment), out, err, network)
    )
    process.start()
    return process


@functools.cache
def _server() -> ForkServerContext:
    """What forks the processes; it is started when it is first used."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preload"])
    return context


def _become(
    name: str,
    arguments: tuple[str, ...],
    folder: Path,
    environment: dict[str, str],
    out: Path,
    err: Path,
    network: Path | None,
) -> None:
    """Runs in the new process."""
    for number, path in enumerate((Path(os.devnull), out, err)):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)
    if network:
        file = os.open(network, os.O_RDONLY)
        syscalls.setns(file, syscalls.CLONE_NEWNET)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, str(folder))
    sys.argv[:] = [name, *arguments]
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # which a forked process does not
