#!/usr/bin/env bash
# Fills OUT with hubkit's wheel and those of its core dependencies, for a GPU machine without a network (x86-64, Python 3.12
# by default). usage: wheels.sh OUT [PYTHON_VERSION]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd); out=${1:?usage: wheels.sh OUT [PYTHON_VERSION]}; version=${2:-3.12}
python=${PYTHON:-python3}; mkdir -p "$out"; rm -f "$out"/hubkit-*.whl
"$python" -m pip wheel -q --disable-pip-version-check --no-deps -w "$out" "$root"
platforms=(); for glibc in 2_28 2_27 2_24 2_17 2_12 2_5; do platforms+=(--platform "manylinux_${glibc}_x86_64"); done
"$python" -m pip download -q --disable-pip-version-check --only-binary=:all: --implementation cp --python-version "$version" \
  "${platforms[@]}" --platform manylinux2014_x86_64 --constraint "$root/constraints.txt" -d "$out" "$(ls "$out"/hubkit-*.whl)"
rm -f "$out"/{numpy,matplotlib,pillow,fonttools,contourpy,kiwisolver,hf_xet,tzdata}-*.whl # the machine has these, or nothing there needs them
arch=$(dpkg --print-architecture 2>/dev/null || true)
if [ "$arch" = amd64 ]; then (cd "$out" && rm -f git-lfs_*.deb && apt-get download -qq git-lfs) || echo "git-lfs: take a copy along yourself" >&2; fi
du -sh "$out"
