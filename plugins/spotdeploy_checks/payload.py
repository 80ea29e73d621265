"""`payload`: the node has the present tree, unedited, and nobody logged in by hand."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from spotdeploy import layout
from spotdeploy.check import Check, CheckResult, CheckSettings, Connection
from spotdeploy.duration import Duration
from spotdeploy.model import Node
from spotdeploy.payload import PAYLOAD, UPLOADED, Manifest
from spotdeploy.text import plain

NAMED = 20
INVENTORY = f"""
set -eu
cat {layout.MANIFEST} 2>/dev/null || true
echo ==
for root in {layout.PAYLOAD} {layout.UPLOADED}; do
    [ -d "$root" ] || continue
    cd "$root"
    find . -mindepth 1 ! -type d -printf "%m %y ${{root##*/}}/%P\\n"
    echo --
    find . -type f -exec sha256sum {{}} +
    echo --
done
"""
SESSIONS = f"""
cat {layout.TOUCHED} 2>/dev/null || true
echo ==
cat {layout.SESSIONS} 2>/dev/null || true
echo ==
journalctl --quiet --no-pager --output=short-iso --identifier=sshd --identifier=sshd-session \\
    --grep='^Starting session: ' 2>/dev/null || true
echo ==
journalctl --quiet --no-pager --output=short-iso --identifier=login \\
    --grep='session opened for user' 2>/dev/null || true
"""
_SESSION = re.compile(
    r"^(?P<when>\S+) .*Starting session: (?P<what>\S+).* for (?P<user>\S+) from (?P<address>\S+)"
    r" port (?P<port>\d+)"
)


class PayloadSettings(CheckSettings, frozen=True, kw_only=True):
    """No keys of its own."""

    within: Duration = Duration("10s")


class PayloadCheck(Check[PayloadSettings]):
    """Compare the node with the manifest, and its logins with our own sessions."""

    kind = "payload"
    Settings = PayloadSettings

    def title(self) -> str:
        """As in the contract."""
        return "payload"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        """As in the contract."""
        del node
        inventory = await connection.run(["sh", "-c", INVENTORY], timeout=120.0)
        if inventory.exit_code != 0 or inventory.truncated:
            words = plain(inventory.stderr, limit=300) or "too much to list"
            return self.failed(f"the shipped files cannot be listed: {words}")
        manifest, _, listing = inventory.stdout.partition("==\n")
        if trouble := stale(manifest, connection.manifest):
            return self.failed(trouble, final=True)
        if trouble := drift(listing, connection.manifest):
            return self.failed(trouble, final=True)
        sessions = await connection.run(["sh", "-c", SESSIONS])
        if sessions.exit_code != 0:
            return self.failed(f"logins cannot be listed: {plain(sessions.stderr, limit=300)}")
        trouble = touched(sessions.stdout)
        return self.failed(trouble, final=True) if trouble else self.passed()


def stale(text: str, manifest: Manifest) -> str:
    """What is wrong with the manifest on the node; empty when it is the present one."""
    if text == manifest.text:
        return ""
    if not text:
        return "nothing was shipped to this node"
    there = hashlib.sha256(text.encode()).hexdigest()
    return (
        f"stale: the tree has changed since this node was made (it has {there[:12]}, the tree is "
        f"{manifest.digest[:12]}); run 'spotdeploy cycle'"
    )


def drift(listing: str, manifest: Manifest) -> str:
    """Which shipped files are not as they were shipped; empty when all are."""
    modes, digests = read_listing(listing)
    wrong = []
    for entry in manifest.entries:
        if entry.path not in modes:
            wrong.append(f"{entry.path} is missing")
        elif digests.get(entry.path) != entry.sha256:
            wrong.append(f"{entry.path} was changed")
        elif modes[entry.path] != f"{entry.mode:o}":
            wrong.append(f"{entry.path} has mode {modes[entry.path]}, not {entry.mode:o}")
    shipped = {entry.path for entry in manifest.entries}
    added = sorted(p for p in modes.keys() - shipped if p.startswith(f"{PAYLOAD}/"))
    wrong += [f"{path} was added" for path in added]
    if not wrong:
        return ""
    more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    return f"drift: {'; '.join(plain(line, limit=300) for line in wrong[:NAMED])}{more}"


def read_listing(listing: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Path to mode, and path to sha256. What is not a plain file has no digest."""
    modes: dict[str, str] = {}
    digests: dict[str, str] = {}
    parts = listing.split("--\n")
    roots = (PAYLOAD, UPLOADED)
    for root, files, sums in zip(roots, parts[::2], parts[1::2], strict=False):
        for line in files.splitlines():
            mode, _, path = line.split(" ", 2)
            modes[path] = mode
        for line in sums.splitlines():
            digest, _, path = line.partition("  ./")
            digests[f"{root}/{path}"] = digest
    return modes, digests


def touched(text: str) -> str:
    """Who was on the node by hand; empty when nobody was."""
    marks, own, logged, console = (*text.split("==\n"), "", "", "")[:4]
    if marks.strip():
        return f"touched: {plain(marks, limit=500)}"
    known = set(own.splitlines())
    for line in logged.splitlines():
        session = _SESSION.match(line)
        if session and f"{session['address']} {session['port']}" not in known:
            return (
                f"touched: {plain(session['user'], limit=60)} logged in by hand from "
                f"{session['address']} at {session['when']} ({session['what']})"
            )
    if console.strip():
        return f"touched: a login by hand on the console: {plain(console, limit=300)}"
    return ""
