"""The variables of the payload's entry: what may stand in them, and the secrets among them."""

from __future__ import annotations

import json
import os
import re
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, cast

from spotdeploy.config.errors import quoted
from spotdeploy.config.schema import Payload
from spotdeploy.config.secret import PayloadSecret, is_reference
from spotdeploy.errors import ConfigError
from spotdeploy.redact import SHORTEST
from spotdeploy.text import plain

SECRET_LIMIT: Final = 16 << 10
"""Bytes of one secret."""
SECRETS_LIMIT: Final = 64 << 10
"""Bytes of all secrets."""
VALUE_LIMIT: Final = (128 << 10) - 1
"""Bytes of a variable, its name and the `=` included: Linux starts no program with a longer one
(MAX_ARG_STRLEN, execve(2))."""
VALUES_LIMIT: Final = 1 << 20
"""Bytes of all variables: Linux leaves a program at least 2 MiB for arguments and variables."""
COMMAND_SECONDS: Final = 60.0
ERRORS_LIMIT: Final = 16 << 10
"""Bytes that are kept of a command's error output."""
OWN: Final = "SPOTDEPLOY_"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME_LIMIT: Final = 200
_NAME_RULE: Final = "a variable's name is of letters, digits and _, and begins with no digit"
_NO_TEXT: Final = re.compile("[\\x00\\ud800-\\udfff\\ufdd0-\\ufdef]|[\\ufffe\\uffff]")
"""What systemd drops a variable for, beside U+nFFFE and U+nFFFF of the higher planes:
`unichar_is_valid` in its src/basic/utf8.c."""


def require_variables(file: str, payload: Payload) -> None:
    """Refuse what systemd or a shell would drop, and secrets in the wrong table. Raises ConfigError
    with the key and the rule; `file` is the config's name."""
    for table, names in (("environment", payload.environment), ("secrets", payload.secrets)):
        for name in names:
            _require_name(f"{file}: payload.{table}.{_key(name)}", name)
    for name, value in payload.environment.items():
        key = f"{file}: payload.environment.{name}"
        if is_reference(value) and not value.startswith("file://"):
            raise ConfigError(
                f"{key}: a reference to a secret is not read here",
                hint=f"move it: payload.secrets.{name} reads it and hides its value, or, for just "
                f"this text, {shlex.quote(f'command:echo {value}')}",
            )
        if name in payload.secrets:
            raise ConfigError(f"{key}: payload.secrets has it too", hint="leave one of them out")
        require_text(key, name, value)
    _require_total(f"{file}: payload.environment", payload.environment, VALUES_LIMIT)


def read_secrets(
    file: str, folder: Path, references: Mapping[str, PayloadSecret]
) -> dict[str, str]:
    """The value of each secret. Runs each `command:` once, and blocks until it ends, for
    `COMMAND_SECONDS` at most; paths are relative to `folder`, and commands run there.

    Raises ConfigError, with the key, the reference and what to do, for one that cannot be read or
    could not be delivered or hidden. It never names a value.
    """
    values = {}
    for name, secret in references.items():
        key = f"{file}: payload.secrets.{name}: {_shown(secret.reference)}"
        value = _decoded(key, _read(key, secret.reference, folder))
        if len(value.strip()) < SHORTEST:
            what = "is empty" if not value.strip() else f"has fewer than {SHORTEST} characters"
            raise ConfigError(
                f"{key} {what}: it could not be hidden",
                hint=f"give it {SHORTEST} characters or more",
            )
        if len(value.encode()) > SECRET_LIMIT:
            raise ConfigError(
                f"{key} has more than {SECRET_LIMIT} bytes", hint="ship a file instead"
            )
        require_text(key, name, value)
        values[name] = value
    _require_total(f"{file}: payload.secrets", values, SECRETS_LIMIT)
    return values


def _key(name: str) -> str:
    return quoted(name) if "." not in name else json.dumps(name)


def _require_name(key: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{key}: {_NAME_RULE}", hint="rename it: systemd and shells would drop it"
        )
    if len(name) > _NAME_LIMIT:
        raise ConfigError(
            f"{key}: a name has at most {_NAME_LIMIT} characters, and this one {len(name)}",
            hint="rename it",
        )
    if name.startswith(OWN):
        raise ConfigError(
            f"{key}: {OWN}... are variables that spotdeploy sets itself",
            hint="give it another name",
        )


def require_text(key: str, name: str, value: str) -> None:
    """Refuse a value that no variable can hold, as what stands at `key`. Raises ConfigError."""
    bad = _NO_TEXT.search(value) or next((c for c in value if ord(c) & 0xFFFE == 0xFFFE), None)
    if bad:
        found = ord(bad if isinstance(bad, str) else bad[0])
        raise ConfigError(
            f"{key} holds U+{found:04X}, which no variable can hold",
            hint="encode it, for example in base64",
        )
    if (size := len(name) + 1 + len(value.encode())) > VALUE_LIMIT:
        raise ConfigError(
            f"{key}: a variable has at most {VALUE_LIMIT} bytes, and this one {size}",
            hint="ship a file",
        )


def _require_total(key: str, values: Mapping[str, str], limit: int) -> None:
    total = sum(len(name) + len(value.encode()) + 2 for name, value in values.items())
    if total > limit:
        raise ConfigError(
            f"{key}: {total} bytes in all, and at most {limit} can be", hint="ship files"
        )


def _read(key: str, reference: str, folder: Path) -> bytes:
    kind, _, rest = reference.partition(":")
    if kind == "env":
        return _read_variable(key, rest)
    data = _read_file(key, folder / Path(rest).expanduser()) if kind == "file" else b""
    data = data or (_output(key, rest, folder) if kind == "command" else b"")
    line = data.removesuffix(b"\n").removesuffix(b"\r")
    return data if b"\n" in line else line


def _read_variable(key: str, name: str) -> bytes:
    value = os.environb.get(os.fsencode(name))
    if value is None:
        raise ConfigError(f"{key} is not set", hint=f"export {name} where spotdeploy runs")
    return value


def _read_file(key: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(SECRET_LIMIT + 2)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{key} cannot be read: {why}", hint=f"write the secret to {path}, or name its file"
        ) from error


def _output(key: str, line: str, folder: Path) -> bytes:
    """What a command prints. No shell takes part: 'sh -c' does, where the user writes it."""
    by_hand = f"run it by hand in {folder}: {plain(line, limit=200)}"
    try:
        process = subprocess.Popen(
            shlex.split(line),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except ValueError as error:
        raise ConfigError(f"{key} is no command: {error}", hint="close its quotes") from error
    except OSError as error:
        raise ConfigError(f"{key} cannot be run: {error.strerror}", hint=by_hand) from error
    try:
        out, err, why = _heard(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    if why or code != 0:
        message = plain(err.decode(errors="replace"), limit=500)
        what = why or (f"exited with {code}" if code > 0 else f"was ended by signal {-code}")
        raise ConfigError(f"{key} {what}{f': {message}' if message else ''}", hint=by_hand)
    return out


def _heard(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes, str]:
    """The output, the error output, and why it was not waited for any longer."""
    streams = cast("tuple[IO[bytes], IO[bytes]]", (process.stdout, process.stderr))
    out, err = bytearray(), bytearray()
    deadline = time.monotonic() + COMMAND_SECONDS
    with selectors.DefaultSelector() as selector:
        for stream, heard in zip(streams, (out, err), strict=True):
            selector.register(stream, selectors.EVENT_READ, heard)
        while selector.get_map() and len(out) <= SECRET_LIMIT + 1:
            left = deadline - time.monotonic()
            if left <= 0:
                return b"", bytes(err), f"did not end within {COMMAND_SECONDS:.0f}s"
            for found, _ in selector.select(left):
                data = os.read(found.fd, 65536)
                if not data:
                    selector.unregister(found.fileobj)
                found.data.extend(data)
            del err[ERRORS_LIMIT:]
    if len(out) > SECRET_LIMIT + 1:
        return b"", bytes(err), f"printed more than {SECRET_LIMIT} bytes"
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))
        return bytes(out), bytes(err), ""
    return b"", bytes(err), f"did not end within {COMMAND_SECONDS:.0f}s"


def _decoded(key: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigError(
            f"{key} is not UTF-8 text", hint="encode it, for example in base64"
        ) from None


def _shown(reference: str) -> str:
    return plain(reference, limit=100).replace("\n", " ")
