"""A full disk told as one clear error."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from spotdeploy.errors import HostError


@contextlib.contextmanager
def explained(folder: Path, variable: str) -> Iterator[None]:
    """Turn "no space left" below `folder` into HostError; `variable` can name another folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise HostError(
            f"the disk under {folder} is full",
            hint=f"free some space, or set {variable} to a folder on another disk",
        ) from error
