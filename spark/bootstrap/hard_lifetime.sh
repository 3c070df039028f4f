#!/bin/bash
# A bootstrap action: schedules the power-off of this node, so that the cluster ends by itself.
#
# Usage: hard_lifetime.sh MINUTES
#
# The minutes count from the boot of the node, as its price does: what has passed since is taken off.
# EMR has no such limit of its own, and its idle limit does not see a step that hangs. It runs on every node; a
# cluster ends with its primary node, whether or not it is protected from termination, and nobody needs to be alive
# for it: not Airflow, not the network.
set -euo pipefail

minutes=${1:-}
if ! [[ $minutes =~ ^[1-9][0-9]{0,4}$ ]]; then
  echo "hard_lifetime.sh was given '$minutes': give a whole number of minutes, 1 to 99999." >&2
  exit 2
fi
up=$((($(date +%s) - $(date -d "$(uptime -s)" +%s)) / 60))
left=$((minutes > up ? minutes - up : 1))
sudo shutdown -P "+$left" "This cluster has reached its hard lifetime of $minutes minutes."
echo "This node has been up for $up minutes and will power off in $left."
