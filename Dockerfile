# Two images of hubkit:
#   docker build --target publish -t hubkit:publish .    card, check, track, push, verify; no torch
#   docker build --target train   -t hubkit:train .      the whole release, with a GPU or without
# Use:  docker run --rm -it -v "$PWD:/work" hubkit:publish doctor
# Another folder owner than uid 1000:  add  --user "$(id -u):$(id -g)"
ARG PYTHON_IMAGE=python:3.12-slim
ARG CUDA_IMAGE=nvidia/cuda:12.8.1-base-ubuntu24.04

FROM ${PYTHON_IMAGE} AS wheel
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY hubkit hubkit
COPY plugins plugins
COPY templates templates
RUN python -m pip install --no-cache-dir build \
    && python -m build --wheel --outdir /wheels

FROM ${PYTHON_IMAGE} AS publish
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git git-lfs openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && git lfs install --system --skip-repo
COPY constraints.txt /tmp/hubkit/
COPY --from=wheel /wheels /tmp/hubkit/
RUN python -m pip install --no-cache-dir --constraint /tmp/hubkit/constraints.txt /tmp/hubkit/*.whl \
    && useradd --create-home --uid 1000 hubkit
ENV HOME=/home/hubkit
USER hubkit
WORKDIR /work
ENTRYPOINT ["hubkit"]

# torch's wheels bring their own CUDA libraries: the base image only has to let the driver in. Triton, which compiles the training,
# builds a small C program against Python's headers.
FROM ${CUDA_IMAGE} AS train
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git git-lfs openssh-client python3 python3-venv python3-dev gcc \
    && rm -rf /var/lib/apt/lists/* \
    && git lfs install --system --skip-repo \
    && python3 -m venv /opt/hubkit
ENV PATH=/opt/hubkit/bin:$PATH
COPY constraints.txt /tmp/hubkit/
COPY --from=wheel /wheels /tmp/hubkit/
RUN wheel=$(echo /tmp/hubkit/*.whl) \
    && python -m pip install --no-cache-dir --constraint /tmp/hubkit/constraints.txt "$wheel[weights,peft,transformers]" \
    && useradd --create-home hubkit
ENV HOME=/home/hubkit
USER hubkit
WORKDIR /work
ENTRYPOINT ["hubkit"]
