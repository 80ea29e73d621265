#!/usr/bin/env bash
# One machine by hand: wait for ssh, ship, deploy, reboot, verify. The least that a cycle can take.
#   floor_node.sh NAMESPACE ADDRESS KEY PAYLOAD STABLE_SECONDS
set -euo pipefail
namespace=$1 address=$2 key=$3 payload=$4 stable=$5
on_node() {
    nsenter --net="$namespace" ssh -F /dev/null -i "$key" -o BatchMode=yes \
        -o ConnectTimeout="${patience:-30}" -o StrictHostKeyChecking=no \
        -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "root@$address" "$@"
}
until patience=2 on_node true 2>/dev/null; do sleep 0.1; done
tar -C "$payload" -cf - . | on_node 'mkdir -p /opt/spotdeploy/payload && tar -C /opt/spotdeploy/payload -xf -'
on_node 'touch /run/before; SPOTDEPLOY_NODE_ID=floor python3 -B /opt/spotdeploy/payload/scripts/deploy_services.py' >/dev/null
on_node 'systemctl --no-block reboot' || true
until [ "$(patience=2 on_node 'test -e /run/before || echo after' 2>/dev/null)" = after ]; do sleep 0.1; done
on_node 'systemctl is-system-running --wait' >/dev/null
until on_node 'systemctl is-active --quiet bacalhau sensor-generator' 2>/dev/null; do sleep 0.1; done
sleep "$stable"
on_node 'systemctl is-active --quiet bacalhau sensor-generator &&
    python3 -c "import urllib.request as r; [r.urlopen(u) for u in (\"http://localhost:8081/health\", \"http://localhost:1234/api/v1/agent/alive\")]"'
