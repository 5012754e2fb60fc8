#!/usr/bin/env bash
# Fills OUT with xtuner and what it needs beside torch, torchvision, peft, accelerate and the usual scientific packages, for a
# GPU machine without a network (x86-64, Python 3.12 by default). DeepSpeed is built without its ops: PYTHON must have torch.
# usage: xtuner_wheels.sh OUT [PYTHON_VERSION]
set -euo pipefail
out=${1:?usage: xtuner_wheels.sh OUT [PYTHON_VERSION]}; version=${2:-3.12}; python=${PYTHON:-python3}; mkdir -p "$out"
platforms=(); for glibc in 2_28 2_27 2_26 2_24 2_17 2_5; do platforms+=(--platform "manylinux_${glibc}_x86_64"); done
"$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp --python-version "$version" \
  "${platforms[@]}" --platform manylinux2014_x86_64 -d "$out" xtuner==0.2.0 transformers==4.48.0 tokenizers==0.21.4 \
  huggingface_hub==0.36.2 mmengine==0.10.6 datasets==3.6.0 dill==0.3.8 multiprocess==0.70.16 sentencepiece==0.2.1 yapf==0.43.0 \
  platformdirs addict termcolor loguru hjson pydantic==2.14.3 pydantic-core==2.50.4 annotated-types typing-inspection peft==0.15.2 setuptools==75.8.0
DS_BUILD_OPS=0 "$python" -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation -w "$out" deepspeed==0.16.2
du -sh "$out"
