"""The ssh keys of a deployment: a fresh pair for every create, readable by its owner alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spotdeploy.errors import RefusedError, cannot
from spotdeploy.state.folder import private_folder, write_private
from spotdeploy.text import plain

if TYPE_CHECKING:
    import asyncssh

KNOWN_HOSTS: Final = "known_hosts"
IMPORTED: Final = "imported"
"""A file that is there when the keys came from another computer."""
NODE_ID: Final = re.compile(r"[A-Za-z0-9/][A-Za-z0-9._/:()-]{0,1023}")
"""An id of a node, as clouds give them, that files of other programs take as it is."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 pair in OpenSSH's formats."""

    private: str
    public: str

    def load(self) -> asyncssh.SSHKey:
        """The private key as asyncssh wants it."""
        import asyncssh

        return asyncssh.import_private_key(self.private)


@dataclass(frozen=True, slots=True)
class Keys:
    """What opens a deployment's nodes."""

    login: KeyPair
    bootstrap_host: KeyPair
    """The host key that user-data gives every node, replaced at first contact."""


def new_pair(comment: str) -> KeyPair:
    """Make a pair."""
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519", comment=comment)
    public = key.export_public_key().decode().strip()
    return KeyPair(key.export_private_key().decode(), public)


def public_key(text: str) -> str:
    """One Ed25519 public key in OpenSSH's format, without its comment, as text.

    Raises ValueError when `text` is anything else: it may come from a node.
    """
    import asyncssh

    fields = text.split()
    try:
        key = asyncssh.import_public_key(" ".join(fields[:2]))
    except asyncssh.KeyImportError as error:
        raise ValueError(f"{plain(text, limit=100)!r} is no ssh key") from error
    if fields[0] != "ssh-ed25519" or len(text.strip().splitlines()) != 1:
        raise ValueError(f"{plain(text, limit=100)!r} is not one ssh-ed25519 key")
    return key.export_public_key().decode().strip()


def read_pair(private: str, public: str) -> KeyPair:
    """A pair from the texts of its halves, which may be anybody's, written anew.

    Raises ValueError when they are not the halves of one Ed25519 pair without a passphrase.
    """
    import asyncssh

    shown = public_key(public)
    try:
        key = asyncssh.import_private_key(private)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
        raise ValueError("its private key is none that spotdeploy makes") from error
    if public_key(key.export_public_key().decode()) != shown:
        raise ValueError("its private key and its public key are not of one pair")
    return KeyPair(key.export_private_key().decode(), shown)


def fingerprint(public: str) -> str:
    """The SHA256 fingerprint of OpenSSH public key text, as `ssh-keygen -l` shows it."""
    import asyncssh

    return asyncssh.import_public_key(public).get_fingerprint()


def make(folder: Path, deployment: str) -> Keys:
    """Make fresh keys for a deployment and keep them in `folder`, replacing what was there.

    Raises HostError when they cannot be written.
    """
    keys = Keys(
        new_pair(f"spotdeploy {deployment}"), new_pair(f"spotdeploy {deployment} bootstrap")
    )
    keep(folder, keys)
    return keys


def keep(folder: Path, keys: Keys, *, imported: bool = False) -> None:
    """Keep keys in `folder`, replacing what was there, and whether they are another computer's.
    Raises HostError as `make` does."""
    try:
        private_folder(folder)
        folder.chmod(0o700)
        for path, pair in _files(folder, keys):
            _write_private(path, pair.private)
            write_private(path.with_suffix(".pub"), pair.public.encode() + b"\n")
        (folder / IMPORTED).unlink(missing_ok=True)
        if imported:
            write_private(folder / IMPORTED, b"")
    except OSError as error:
        raise cannot(
            f"write the ssh keys to {folder}", error, then="nothing is created without them"
        ) from error


def are_imported(folder: Path) -> bool:
    """Whether the keys in `folder` are another computer's, which has them still."""
    return (folder / IMPORTED).exists()


def read(folder: Path, deployment: str) -> Keys:
    """The keys that `make` kept. Raises RefusedError when they are not there, or cannot be used."""
    try:
        login, host = (
            KeyPair(path.read_text("utf-8"), path.with_suffix(".pub").read_text("utf-8").strip())
            for path in (login_path(folder), folder / "bootstrap_host")
        )
    except FileNotFoundError as error:
        raise RefusedError(
            f"the ssh keys of {deployment} are not in {folder}: its nodes were created elsewhere",
            hint="run it where they were created, or 'spotdeploy cycle' for fresh nodes",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(folder, error) from error
    try:
        login.load()
    except ValueError as error:
        raise _unusable(folder, error) from error
    return Keys(login, host)


def _unusable(folder: Path, error: OSError | ValueError) -> RefusedError:
    why = error.strerror if isinstance(error, OSError) else error
    return RefusedError(
        f"the ssh keys in {folder} cannot be used: {why}",
        hint="put back those that opened the nodes, or 'spotdeploy cycle' for fresh nodes",
    )


def forget(folder: Path) -> None:
    """Delete what `make` kept, and the list of host keys beside it; nodes that are left cannot be
    reached any more. May be repeated. Raises OSError."""
    for path in (login_path(folder), folder / "bootstrap_host"):
        path.unlink(missing_ok=True)
        path.with_suffix(".pub").unlink(missing_ok=True)
    for name in (KNOWN_HOSTS, IMPORTED):
        (folder / name).unlink(missing_ok=True)


def write_known_hosts(folder: Path, host_keys: Mapping[str, str]) -> Path:
    """Write the list of host keys beside the keys of a deployment: those of its nodes, each under
    the node's id. Gives its path. An id that would be a pattern or a line there is left out, so
    that ssh refuses the node. Raises HostError."""
    path = folder / KNOWN_HOSTS
    named = {id_: key for id_, key in host_keys.items() if NODE_ID.fullmatch(id_)}
    text = "".join(f"{id_} {host_key}\n" for id_, host_key in named.items())
    try:
        write_private(path, text.encode())
    except OSError as error:
        raise cannot(f"write {path}", error) from error
    return path


def login_path(folder: Path) -> Path:
    """The private key that logs in to nodes."""
    return folder / "id_ed25519"


def _files(folder: Path, keys: Keys) -> tuple[tuple[Path, KeyPair], ...]:
    return (login_path(folder), keys.login), (folder / "bootstrap_host", keys.bootstrap_host)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text, encoding="utf-8")
