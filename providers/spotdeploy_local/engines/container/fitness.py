"""What an engine on this host is, and what keeps it from booting machines."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spotdeploy.errors import HostError, ProviderError
from spotdeploy.model import Problem
from spotdeploy_local.engines.container.cli import Cli, is_mixed

MACHINE_MEMORY: Final = 64 * 1024 * 1024
_CAP_SYS_RESOURCE = 1 << 24
_PROCESSES = 32768
"""The most processes that podman's monitor may have, and so hand on, without that capability."""


@dataclass(frozen=True, slots=True)
class About:
    """What an engine says of itself."""

    version: str
    rootless: bool
    remote: bool
    """True when it runs in a virtual machine or on another computer."""
    cgroups: int
    memory: int
    """Bytes of the computer that it runs on."""
    runtime: str
    confined: bool
    """Whether root in a container is nobody on that computer, or can be made so."""
    netavark: str = ""
    """The program that sets up podman's networks, where podman says which."""

    @property
    def direct(self) -> bool:
        """Whether this host reaches containers at their own address."""
        return sys.platform == "linux" and not self.rootless and not self.remote


def about(cli: Cli) -> About:
    """Ask the engine. Raises HostError when it does not answer."""
    try:
        if cli.program == "podman":
            return of_podman(cli.json("info", "--format={{json .}}"))
        return of_docker(cli.json("info", "--format={{json .}}"))
    except ProviderError as error:
        raise HostError(
            f"{cli.program} is installed and does not answer: {error.message}",
            hint=f"{cli.program} info",
        ) from error


def of_podman(info: Mapping[str, Any]) -> About:
    """From `podman info`: https://docs.podman.io/en/latest/markdown/podman-info.1.html."""
    host = info["host"]
    return About(
        version=info["version"]["Version"],
        rootless=host["security"]["rootless"],
        remote=host["serviceIsRemote"],
        cgroups=2 if host["cgroupVersion"] == "v2" else 1,
        memory=host["memTotal"],
        runtime=host["ociRuntime"]["name"],
        confined=True,
        netavark=(host.get("networkBackendInfo") or {}).get("path", ""),
    )


def of_docker(info: Mapping[str, Any]) -> About:
    """From `docker info`, which ends well when the daemon does not answer, too.

    https://docs.docker.com/reference/api/engine/ (SystemInfo). Raises HostError."""
    if errors := info.get("ServerErrors"):
        raise HostError(f"docker is installed and does not answer: {errors[0]}", hint="docker info")
    security = [option.partition(",")[0] for option in info.get("SecurityOptions") or []]
    return About(
        version=info["ServerVersion"],
        rootless="name=rootless" in security,
        remote=info["OperatingSystem"] == "Docker Desktop" or not _is_socket(),
        cgroups=int(info["CgroupVersion"]),
        memory=info["MemTotal"],
        runtime=info.get("DefaultRuntime", ""),
        confined=bool({"name=rootless", "name=userns"} & {*security}),
    )


def offers_once(program: str, found: About) -> bool:
    """Whether a port can be offered once only, whatever the address: rootless docker leads all of
    them through 127.0.0.1 of its own network namespace, and the second one times out.
    https://github.com/rootless-containers/rootlesskit/blob/v2.0.2/cmd/rootlesskit-docker-proxy/main.go
    """
    return program == "docker" and found.rootless


def problems(cli: Cli, reason: str, ask: Callable[[Cli], About] = about) -> Sequence[Problem]:
    """Everything that would stop a start, and what machines of this engine lack. `reason` says why
    it was chosen, and `ask` gives what the engine says of itself. Changes nothing."""
    if not shutil.which(cli.program):
        remedy = f"install {cli.program}, or take another engine: [provider.local] engine"
        return [Problem(f"{cli.program} is missing on this host", remedy)]
    try:
        found = ask(cli)
    except HostError as error:
        alone = cli.program == "podman" and sys.platform == "linux" and os.getuid() != 0
        missing = missing_ids(os.getuid()) if alone else None  # podman itself says less of it
        return [missing or Problem(error.message, error.hint or "see the message")]
    return [*unfit(cli, found), lacks(cli.program, found, reason)]


def unfit(cli: Cli, found: About) -> list[Problem]:
    """What keeps machines from booting."""
    stops = []
    if found.rootless and found.cgroups < 2:
        stops.append(
            Problem(
                f"{cli.program} without root cannot boot systemd here: control groups are of "
                "version 1, which gives none to users",
                "run as root (sudo), or boot this host with systemd.unified_cgroup_hierarchy=1",
            )
        )
    if found.rootless and not found.remote and (missing := missing_ids(os.getuid())):
        stops.append(missing)
    if (
        cli.program == "podman"
        and is_mixed()
        and "--runtime=runc" not in cli.options
        and found.runtime == "crun"
    ):
        stops.append(
            Problem(
                "podman's runtime crun refuses a host with both versions of control groups",
                "apt-get install runc",
            )
        )
    return stops


def missing_ids(
    uid: int, files: Sequence[Path] = (Path("/etc/subuid"), Path("/etc/subgid"))
) -> Problem | None:
    """Rootless containers need users of their own: https://man7.org/linux/man-pages/man5/subuid.5.html"""
    import pwd

    name = pwd.getpwuid(uid).pw_name
    for file in files:
        lines = file.read_text().splitlines() if file.exists() else []
        if not any(line.split(":")[0] in (name, str(uid)) for line in lines):
            ids = "--add-subuids 100000-165535 --add-subgids 100000-165535"
            return Problem(
                f"{file} gives {name} no users for containers",
                f"sudo usermod {ids} {name}, or run as root (sudo)",
            )
    return None


def lacks(program: str, found: About, reason: str) -> Problem:
    """A warning: what is less than with systemd-nspawn, and why this engine was taken."""
    kept = (
        "its users are nobody on this computer"
        if found.confined
        else "ROOT ON A NODE CAN DO TO THIS COMPUTER WHAT ROOT CAN, as docker gives it no user "
        "namespace (userns-remap or rootless docker do)"
    )
    what = (
        f"nodes are containers of {program} {found.version} ({reason}): {kept}; they reach the "
        "internet and this computer's network"
    )
    return Problem(what, "docs/providers/local.md compares the engines", fatal=False)


def limits() -> Mapping[str, int]:
    """Limits that containers must be given because the engine may not raise its own: where it has
    no CAP_SYS_RESOURCE, as in a container, it fails on those that it usually sets."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return {}
    import resource

    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    if int(line.split()[1], 16) & _CAP_SYS_RESOURCE:
        return {}
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    _, processes = resource.getrlimit(resource.RLIMIT_NPROC)
    allowed = _PROCESSES if processes == resource.RLIM_INFINITY else min(processes, _PROCESSES)
    return {"nofile": files, "nproc": allowed}


def _is_socket() -> bool:
    """Whether docker's daemon is on this computer, as far as the environment says."""
    return os.environ.get("DOCKER_HOST", "unix://").startswith("unix://")
