#!/bin/sh
set -eu
install -m 0644 orchestrator.service /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now orchestrator.service
