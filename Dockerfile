# Three images of hubkit:
#   docker build --target publish -t hubkit:publish .    card, check, track, push, verify; no torch
#   docker build --target train   -t hubkit:train .      the whole release, with a GPU or without
#   docker build --target serve   -t hubkit:serve .      a model over OpenAI's API, by LMDeploy, on a GPU
# Use:  docker run --rm -it -v "$PWD:/work" hubkit:publish doctor
# Another folder owner than uid 1000:  add  --user "$(id -u):$(id -g)"
ARG PYTHON_IMAGE=python:3.12-slim
ARG CUDA_IMAGE=nvidia/cuda:12.8.1-base-ubuntu24.04

FROM ${PYTHON_IMAGE} AS wheel
WORKDIR /source
COPY pyproject.toml hatch_build.py constraints.txt README.md LICENSE ./
COPY hubkit hubkit
COPY plugins plugins
COPY templates templates
RUN python3 -m venv /opt/build \
    && /opt/build/bin/python -m pip install --no-cache-dir build \
    && /opt/build/bin/python -m build --wheel --outdir /wheels

# The bill of materials lists what is in the environment, by a tool that stays outside it. Packages' own tests and compiled
# modules are left out: these are a quarter of its size, and to compile them takes 0.3 s in check, 1.4 s where all hubs' clients start.
FROM ${PYTHON_IMAGE} AS environment
COPY constraints.txt /tmp/hubkit/
COPY --from=wheel /wheels /tmp/hubkit/
RUN wheel=$(echo /tmp/hubkit/*.whl) \
    && python3 -m venv /opt/hubkit \
    && /opt/hubkit/bin/python -m pip install --no-cache-dir --constraint /tmp/hubkit/constraints.txt --upgrade pip "$wheel[modelscope]" \
    && /opt/hubkit/bin/python -m pip uninstall --yes setuptools \
    && find /opt/hubkit/lib -type d '(' -name tests -o -name __pycache__ ')' -prune -exec rm -r {} + \
    && python3 -m venv /tmp/sbom \
    && /tmp/sbom/bin/python -m pip install --no-cache-dir cyclonedx-bom==7.5.0 \
    && /tmp/sbom/bin/cyclonedx-py environment --output-reproducible --output-file /opt/hubkit/sbom.cdx.json /opt/hubkit

FROM ${PYTHON_IMAGE} AS publish
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="hubkit" \
      org.opencontainers.image.description="Check, track, push and verify releases of vision-language models" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN printf 'path-exclude /usr/share/%s/*\n' doc man locale > /etc/dpkg/dpkg.cfg.d/slim \
    && apt-get update \
    && apt-get install --yes --no-install-recommends git git-lfs openssh-client \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log \
    && git lfs install --system --skip-repo \
    && useradd --create-home --uid 1000 hubkit
COPY --from=environment /opt/hubkit /opt/hubkit
ENV HOME=/home/hubkit PATH=/opt/hubkit/bin:$PATH
USER hubkit
WORKDIR /work
HEALTHCHECK --interval=1h CMD ["hubkit", "--version"]
ENTRYPOINT ["hubkit"]

# torch's wheels bring their own CUDA libraries: the base image only has to let the driver in. Triton, which compiles the training,
# builds a small C program against Python's headers.
FROM ${CUDA_IMAGE} AS train
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="hubkit" \
      org.opencontainers.image.description="Train, release and serve vision-language models" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git git-lfs openssh-client python3 python3-venv python3-dev gcc \
    && rm -rf /var/lib/apt/lists/* \
    && git lfs install --system --skip-repo \
    && python3 -m venv /opt/hubkit
ENV PATH=/opt/hubkit/bin:$PATH
COPY constraints.txt /tmp/hubkit/
COPY --from=wheel /wheels /tmp/hubkit/
RUN wheel=$(echo /tmp/hubkit/*.whl) \
    && python -m pip install --no-cache-dir --constraint /tmp/hubkit/constraints.txt "$wheel[modelscope,weights,peft,transformers]" \
    && useradd --create-home hubkit
ENV HOME=/home/hubkit
USER hubkit
WORKDIR /work
HEALTHCHECK --interval=1h CMD ["hubkit", "--version"]
ENTRYPOINT ["hubkit"]

# LMDeploy from its plugin's lock; there is no GPU where images are built, so its check is left to the first use.
FROM train AS serve
RUN hubkit env build lmdeploy --variant cu12
EXPOSE 23333
HEALTHCHECK --start-period=10m CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:23333/health')"]
ENTRYPOINT ["hubkit", "serve", "--engine", "lmdeploy", "--environment", "locked:cu12", "--host", "0.0.0.0", "--port", "23333"]
