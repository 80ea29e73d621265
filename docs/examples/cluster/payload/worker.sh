#!/bin/sh
set -eu
echo "worker $SPOTDEPLOY_INDEX of $SPOTDEPLOY_COUNT at $SPOTDEPLOY_PRIVATE_ADDRESS"
install -m 0644 worker.service /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now worker.service
