"""Which runs are at work on deployments of this computer, whatever home they have: a file each."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spotdeploy import labels as names
from spotdeploy.errors import HostError
from spotdeploy_local.engine import Leftover

KIND: Final = "claim"


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims in one folder. A claim's id is its deployment and run."""

    folder: Path

    def make(self, labels: Mapping[str, str]) -> Leftover:
        """The claim of the labels' deployment: made with these labels unless there is one.

        Raises HostError when it cannot be written.
        """
        file = self._file(labels[names.DEPLOYMENT])
        part = self.folder / f".{os.urandom(8).hex()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.write_text(json.dumps(dict(labels)))
            while True:
                with suppress(FileExistsError):
                    file.hardlink_to(part)  # whole, and for one caller only
                if found := _read(file):
                    return found
        except OSError as error:
            raise HostError(f"cannot write {file}: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)

    def find(self) -> list[Leftover]:
        """Every claim."""
        return [found for file in sorted(self.folder.glob("*.json")) if (found := _read(file))]

    def remove(self, claim: str) -> None:
        """Remove a claim. One that another run has taken since stays."""
        file = self._file(claim.rpartition(".")[0])
        if not self.folder.is_dir():
            return
        from filelock import FileLock  # a listing needs none

        with FileLock(self.folder / ".lock"):
            found = _read(file)
            if found and found.id == claim:
                file.unlink(missing_ok=True)

    def manual_delete_command(self, claim: str) -> str:
        """The shell command that does the same."""
        return f"rm {self._file(claim.rpartition('.')[0])}"

    def _file(self, deployment: str) -> Path:
        return self.folder / f"{deployment}.json"


def _read(file: Path) -> Leftover | None:
    """The claim in a file, or None when it is gone. One that makes no sense says only whose it is:
    it stays until a person looks."""
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        content = {}
    labels = {str(key): str(value) for key, value in content.items()} if content else {}
    labels |= {names.DEPLOYMENT: file.stem, names.CLAIM: labels.get(names.CLAIM, "")}
    return Leftover(KIND, f"{file.stem}.{labels.get(names.RUN, '')}", labels)
