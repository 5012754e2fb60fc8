#!/usr/bin/env bash
# XTuner on this machine's GPU: the tiny model from data to a pushed release, then InternVL2-2B's dimensions for 60 iterations.
# usage: xtuner.sh HUBKIT_PYTHON XTUNER_PYTHON OUT     (interpreters as made by venv.sh, or of locked environments)
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd); hubkit=$1; xtuner=$2; out=$3; work=$(mktemp -d); mkdir -p "$out"
trap 'cp "$work"/tiny/.hubkit/*/scratch/train/train.log "$out/xtuner.log" 2>/dev/null; rm -rf "$work"' EXIT
timeout "${RELEASE_SECONDS:-300}" "$hubkit" "$root/tests/gpu/release.py" "$work/tiny" --trainer xtuner --trainer-python "$xtuner" > "$out/release.json" 2> "$out/release.log"; echo "release: $?"
tail -n 25 "$out/release.log"; cat "$out/release.json"
timeout "${BENCH_SECONDS:-400}" "$hubkit" "$root/benchmarks/train_xtuner.py" --python "$xtuner" > "$out/2b.json" 2> "$out/2b.log"; echo "2B: $?"
tail -n 25 "$out/2b.log"; cat "$out/2b.json"
