"""The provider's promises, against moto behind the lab's proxy."""

from __future__ import annotations

import subprocess
import sys


def test_loading_the_plugin_and_its_class_imports_no_cloud_library() -> None:
    script = (
        "import sys, spotdeploy_aws; cls = spotdeploy_aws.spotdeploy_register_provider();"
        "cls(cls.Config(), 'us-east-1');"
        "print([m for m in ('libcloud', 'botocore', 'requests') if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
