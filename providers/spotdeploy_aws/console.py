"""What an instance printed on its console."""

from __future__ import annotations

import base64

from spotdeploy.errors import ProviderError
from spotdeploy_aws.actions import Action
from spotdeploy_aws.driver import Ec2Driver
from spotdeploy_aws.errors import MISSING
from spotdeploy_aws.query import text


def console(driver: Ec2Driver, id_: str) -> str:
    """The console's text, at most 64 KB; empty when there is none or the instance is unknown.

    Nitro instances give the latest output, older ones what was posted after boot:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
    """
    try:
        answer = driver.call(Action.GET_CONSOLE_OUTPUT, {"InstanceId": id_, "Latest": True})
    except ProviderError as error:
        if error.code in MISSING:
            return ""
        if error.code != "UnsupportedOperation":
            raise
        answer = driver.call(Action.GET_CONSOLE_OUTPUT, {"InstanceId": id_})
    return base64.b64decode(text(answer, "output")).decode("utf-8", "replace")
