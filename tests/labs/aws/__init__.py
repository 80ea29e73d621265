"""The AWS lab: `with AwsLab(folder) as lab: ...`, or `AwsMachineLab` with machines behind it."""

from tests.labs.aws.lab import AwsLab
from tests.labs.aws.machine_lab import AwsMachineLab

__all__ = ["AwsLab", "AwsMachineLab"]
