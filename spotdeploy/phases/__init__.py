"""The phases of a cycle, one file each; `spotdeploy.cycle` orders them."""
