"""The AWS lab: `with AwsLab(folder) as lab: ...`."""

from tests.labs.aws.lab import AwsLab

__all__ = ["AwsLab"]
