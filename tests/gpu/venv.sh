#!/usr/bin/env bash
# Makes the virtual environment VENV over the packages of python3 (torch among them) and installs the wheels of each folder
# into it, so that they come first. Needs no network. usage: venv.sh VENV WHEELS...
set -euo pipefail
venv=${1:?usage: venv.sh VENV WHEELS...}; shift
python3 -m venv --without-pip "$venv"
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
wheels=(); for folder in "$@"; do wheels+=("$folder"/*.whl); done
python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$site" "${wheels[@]}"
python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$site/zz_machine.pth"
for folder in "$@"; do for package in "$folder"/git-lfs_*.deb; do
  [ -e "$package" ] && ! command -v git-lfs >/dev/null && dpkg -x "$package" "$venv/deb" && ln -sf ../deb/usr/bin/git-lfs "$venv/bin/git-lfs"
done; done
echo "$venv/bin/python"
