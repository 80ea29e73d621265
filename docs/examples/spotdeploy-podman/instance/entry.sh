#!/bin/sh
# Runs as root on each node. A real payload installs and starts its services here.
set -eu
echo "deployed on $(hostname)"
