"""Reads the modules that commands and moto's server use: `tests.forked` forks from a process that
imported this."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.labs.aws.amis import write_amis

PACKAGES: Final = (
    *("spotdeploy", "spotdeploy_aws", "spotdeploy_azure", "spotdeploy_gcp", "spotdeploy_local"),
    *("spotdeploy_checks", "spotdeploy_libcloud"),
)
OTHERS: Final = ("asyncssh", "botocore.session", "rich.progress", "rich.table")
"""Libraries that ours import where they are used."""
MOTO: Final = ("moto.server", "moto.ec2.responses", "moto.sts.responses", "moto.iam.responses")


def read_moto() -> None:
    """moto reads its images where it is imported."""
    with tempfile.TemporaryDirectory() as folder:
        amis = Path(folder, "amis.json")
        write_amis(amis)
        os.environ["MOTO_AMIS_PATH"] = str(amis)
        for name in MOTO:
            importlib.import_module(name)


read_moto()
for name in (*PACKAGES, *OTHERS):
    importlib.import_module(name)
for name in PACKAGES:
    for found in pkgutil.walk_packages(sys.modules[name].__path__, f"{name}."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
gc.freeze()  # what is here is never garbage: looking for it would copy every page of it
