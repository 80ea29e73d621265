"""The AWS lab: `with AwsLab(folder) as lab: ...`, or `MachineLab` with machines behind it."""

from tests.labs.aws.lab import AwsLab
from tests.labs.aws.machine_lab import MachineLab

__all__ = ["AwsLab", "MachineLab"]
