"""What an instance printed on its console."""

from __future__ import annotations

from spotdeploy.errors import ProviderError
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.driver import GceDriver
from spotdeploy_gcp.errors import MISSING
from spotdeploy_gcp.nodes import split_id
from spotdeploy_gcp.shapes import SerialPortOutput


def console(driver: GceDriver, id_: str) -> str:
    """The last megabyte of the first serial port; empty when the instance is unknown or has
    printed nothing: https://cloud.google.com/compute/docs/troubleshooting/viewing-serial-port-output
    """
    place = split_id(id_)
    if place is None:
        return ""
    zone, instance = place
    try:
        return driver.call(
            Action.GET_SERIAL_PORT_OUTPUT, SerialPortOutput, {"zone": zone, "instance": instance}
        ).contents
    except ProviderError as error:
        if error.code in MISSING or error.code == "resourceNotReady":
            return ""
        raise
