"""Real machines of the local provider for a benchmark, and how other tools reach them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from spotdeploy_local.engines.default import default_engine

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""All that is measured starts as it does for its users, from compiled modules."""
ROOT = Path(__file__).resolve().parents[1]
SSH_CONFIG = """Host *
    User spotdeploy
    IdentityFile {key}
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
    Ciphers aes128-gcm@openssh.com
"""


@dataclass(frozen=True)
class Machines:
    """A project whose machines run."""

    folder: Path
    addresses: tuple[str, ...]
    namespace: str
    """The file of the network namespace that reaches them."""

    def spotdeploy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command in the project. Raises when it fails."""
        return command(self.folder, *arguments)

    def inside(self, line: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        """Start a command in the machines' network."""
        return subprocess.Popen(["nsenter", f"--net={self.namespace}", *line], **options)

    @property
    def ssh_config(self) -> Path:
        """A config for OpenSSH that opens them."""
        return self.folder / "ssh_config"


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run spotdeploy in a folder. Raises with what it said when it fails."""
    line = [sys.executable, "-m", "spotdeploy", *arguments]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


@contextmanager
def machines(folder: Path, count: int, checks: Sequence[dict[str, Any]]) -> Iterator[Machines]:
    """That many machines with the reference payload deployed; destroyed at the end."""
    shutil.copytree(ROOT / "instance", folder / "instance")
    config = {
        "deployment": f"b-{uuid.uuid4().hex[:8]}",
        "nodes": {"count": count, "time_to_live": "1h"},
        "payload": {"reboot": False},
        "checks": list(checks),
    }
    (folder / "spotdeploy.toml").write_text(tomli_w.dumps(config))
    try:
        command(folder, "create", "--keep", "always")
        yield _reach(folder, str(config["deployment"]))
    finally:
        command(folder, "destroy")


def _reach(folder: Path, deployment: str) -> Machines:
    nodes = json.loads(command(folder, "list", "--json").stdout)
    addresses = tuple(node["private_address"] for node in nodes)
    namespace = default_engine().proxy_command(nodes[0]["id"], 22)[-3]
    key = folder / ".spotdeploy" / deployment / "id_ed25519"
    (folder / "ssh_config").write_text(SSH_CONFIG.format(key=key))
    return Machines(folder, addresses, namespace)
