"""The host's apt configuration, handed on to mmdebstrap: no mirror is named anywhere else."""

from __future__ import annotations

import platform
import subprocess

from spotdeploy.errors import HostError

_FORMAT = "$(REPO_URI)|$(RELEASE)|$(CODENAME)|$(COMPONENT)|$(ORIGIN)"
_NOT_FOR_IMAGES = ("Acquire::IndexTargets", "Acquire::Languages", "Acquire::CompressionTypes")


def sources() -> tuple[str, str]:
    """The release's code name, and the `sources.list` text of the host's own distribution.

    Third parties' repositories are left out. Raises HostError when apt knows none.
    """
    release = platform.freedesktop_os_release()
    targets = _output(["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"])
    name = release.get("VERSION_CODENAME", "")
    text = source_lines(targets, release.get("ID", ""), name)
    if not text:
        raise HostError(
            f"apt has no package lists of {release.get('ID')} {name}", hint="apt-get update"
        )
    return name, text


def source_lines(targets: str, distribution: str, codename: str) -> str:
    """The `sources.list` lines for one release of one distribution, from `apt-get indextargets`."""
    components: dict[tuple[str, str], list[str]] = {}
    for line in targets.splitlines():
        uri, suite, code, component, origin = line.split("|")
        if origin.lower() == distribution and code.split("-")[0] == codename:
            known = components.setdefault((uri, suite), [])
            known += [component] if component not in known else []
    return "".join(
        f"deb {uri} {suite} {' '.join(names)}\n" for (uri, suite), names in components.items()
    )


def acquire_options() -> list[str]:
    """The host's ways to fetch packages (proxies, checks), as apt.conf lines."""
    lines = _output(["apt-config", "dump", "Acquire"]).splitlines()
    return [
        line for line in lines if not line.startswith(_NOT_FOR_IMAGES) and not line.endswith(' "";')
    ]


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as error:
        raise HostError(
            f"{command[0]} is missing: images are built from Debian's packages",
            hint="run on Debian or Ubuntu",
        ) from error
    except subprocess.CalledProcessError as error:
        raise HostError(f"{' '.join(command)} failed: {error.stderr.strip()}") from error
