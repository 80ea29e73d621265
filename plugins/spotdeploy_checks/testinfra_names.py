"""What the two processes of a `testinfra` check must agree on."""

from typing import Final

SCHEME: Final = "spotdeploy"
"""Of the hosts that testinfra reaches through the relay."""
RELAY: Final = "SPOTDEPLOY_RELAY"
"""The environment variable that names the relay's socket."""
