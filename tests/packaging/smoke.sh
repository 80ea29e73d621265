#!/usr/bin/env bash
# Builds the wheel and the sdist, installs each in a clean venv, and uses it as a newcomer would.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=.venv/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

$python -m build --quiet --outdir "$work/dist" .
for package in "$work"/dist/*.whl "$work"/dist/*.tar.gz; do
    venv="$work/venv-${package##*.}"
    $python -m venv "$venv"
    "$venv/bin/pip" install --quiet "$package"
    mkdir "$work/home-${package##*.}"
    cd "$work/home-${package##*.}"
    "$venv/bin/spotdeploy" --help >/dev/null
    "$venv/bin/spotdeploy" plugins
    "$venv/bin/spotdeploy" init .
    "$venv/bin/spotdeploy" plan
    "$venv/bin/spotdeploy" schema >/dev/null
    "$venv/bin/spotdeploy" plugins new acme >/dev/null
    "$venv/bin/python" -c 'import spotdeploy_local.provider, spotdeploy_checks'
    cd - >/dev/null
    echo "smoke test passed: $(basename "$package")"
done
