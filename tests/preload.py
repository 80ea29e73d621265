"""Reads the modules that commands use: `tests.command` forks from a process that imported this."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import Final

PACKAGES: Final = (
    *("spotdeploy", "spotdeploy_aws", "spotdeploy_azure", "spotdeploy_gcp", "spotdeploy_local"),
    *("spotdeploy_checks", "spotdeploy_libcloud"),
)
OTHERS: Final = ("asyncssh", "botocore.session", "rich.progress", "rich.table")
"""Libraries that ours import where they are used."""


for name in (*PACKAGES, *OTHERS):
    importlib.import_module(name)
for name in PACKAGES:
    for found in pkgutil.walk_packages(sys.modules[name].__path__, f"{name}."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
