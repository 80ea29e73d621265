"""nft, run on rules as text."""

from __future__ import annotations

import subprocess

from spotdeploy.errors import HostError
from spotdeploy_local.linux.host import INSTALL_NFT


def run_nft(text: str, what: str, hint: str) -> None:
    """Apply rules, all of them or none. Raises HostError, which says that it `cannot` do what they
    are for, with nft's own words."""
    try:
        done = subprocess.run(
            ["nft", "-f", "-"], input=text, text=True, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise HostError(f"cannot {what}: nft is missing on this host", hint=INSTALL_NFT) from error
    if done.returncode != 0:
        raise HostError(f"cannot {what}: {done.stderr.strip()}", hint=hint)
