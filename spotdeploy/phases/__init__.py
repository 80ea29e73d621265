"""The phases of a cycle, one file each; `spotdeploy.cycle.runbook` orders them."""
