"""The image `publish`, built without an engine's daemon: by buildah, over a debootstrap root, and
run with a release and a rehearsal hub. `make test-images` runs it, as root.

HUBKIT_IMAGE_ROOT names a folder for the debootstrap root, which is made when it is not there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from testing.projects import BASE

from hubkit.rehearsal import Running, serve

ROOT = Path(__file__).resolve().parents[2]
MIRROR = os.environ.get("HUBKIT_DEBIAN_MIRROR", "http://deb.debian.org/debian")
PACKAGES = "python3,python3-venv,ca-certificates"
SETTINGS = ("etc/pip.conf", "etc/ssl/certs/ca-certificates.crt")
"""Of this machine, where its network needs them."""
LARGEST = 250e6
"""Bytes above the base."""
TOKEN = "a-token-for-this-test-only"
TOOLS = ("buildah", "debootstrap")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif("HUBKIT_IMAGES" not in os.environ, reason="`make test-images` builds them"),
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {' and '.join(TOOLS)}"),
]
Buildah = Callable[..., str]


def size(folder: Path) -> int:
    """Bytes of its files, each counted once however many names it has; apt's caches aside, which
    the base keeps."""
    left_out = [f"--exclude={folder}/{name}" for name in ("var/cache/*", "var/lib/apt/lists/*")]
    command = ["du", "-sxb", *left_out, str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(said.stdout.split()[0])


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    store = tmp_path_factory.mktemp("store")
    places = ["--root", str(store / "images"), "--runroot", str(store / "run")]

    def run(*arguments: str) -> str:
        command = ["buildah", "--storage-driver", "vfs", *places, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout.strip()

    yield run
    shutil.rmtree(store)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = Path(os.environ.get("HUBKIT_IMAGE_ROOT") or tmp_path_factory.mktemp("root") / "root")
    if not (root / "usr/bin/python3").exists():
        options = ["--variant=minbase", f"--include={PACKAGES}", "bookworm"]
        subprocess.run(
            ["debootstrap", *options, str(root), MIRROR], check=True, capture_output=True
        )
    for name in SETTINGS:
        if Path("/", name).is_file():
            shutil.copyfile(Path("/", name), root / name)
    return root


@pytest.fixture(scope="module")
def image(buildah: Buildah, root: Path) -> str:
    base = buildah("from", "scratch")
    buildah("add", "--quiet", base, str(root), "/")
    buildah("commit", "--quiet", base, "localhost/base")
    buildah("rm", base)
    told = [
        part
        for name in ("PIP_INDEX_URL", "PIP_CERT", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
        if name in os.environ
        for part in ("--env", f"{name}={os.environ[name]}")
    ]
    said = ["--isolation", "chroot", "--format", "docker", "--target", "publish", *told]
    images = ["--build-arg", "PYTHON_IMAGE=localhost/base", "--tag", "localhost/hubkit"]
    buildah("build", *said, *images, str(ROOT))
    return "localhost/hubkit"


@pytest.fixture(scope="module")
def container(buildah: Buildah, image: str) -> str:
    return buildah("from", image)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(BASE, project / "InternVL2-Tiny", ignore=ignored)
    for path in (project, *project.rglob("*")):
        os.chown(path, 1000, 1000)
    return project


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serve(tmp_path_factory.mktemp("hub"), token=TOKEN) as running:
        yield running


@pytest.fixture
def hubkit(buildah: Buildah, container: str, project: Path) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        there = ["--isolation", "chroot", "--volume", f"{project}:/work"]
        with_token = [*there, "--env", f"MY_TOKEN={TOKEN}"]
        return buildah("run", *with_token, container, "--", "hubkit", *arguments)

    return run


def test_the_image_is_small_and_described(buildah: Buildah, container: str, root: Path) -> None:
    mounted = Path(buildah("mount", container))
    above = size(mounted) - size(root)
    print(f"\nthe image `publish` is {above / 1e6:.0f} MB above its base")
    assert above <= LARGEST
    config = json.loads(buildah("inspect", container))["Docker"]["config"]
    assert config["User"] == "hubkit" and config["Entrypoint"] == ["hubkit"]
    assert config["Healthcheck"]["Test"] == ["CMD", "hubkit", "--version"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    parts = json.loads((mounted / "opt/hubkit/sbom.cdx.json").read_text("utf-8"))["components"]
    names = {part["name"] for part in parts}
    assert {"hubkit-vlm", "huggingface-hub", "modelscope-hub"} <= {
        name.lower().replace("_", "-") for name in names
    }
    assert not {"torch", "matplotlib", "cyclonedx-bom"} & names
    assert not list(mounted.glob("root/.cache/*")) and not list(mounted.glob("tmp/*"))


def test_a_release_goes_to_every_hub_and_is_read_back(
    hubkit: Callable[..., str], hub: Running
) -> None:
    assert "git and git-lfs" in hubkit("doctor")
    assert "sound" in hubkit("check", "InternVL2-Tiny")
    hubkit("track", "InternVL2-Tiny")
    options = ["--option", "token_env=MY_TOKEN"]
    for name in ("huggingface", "modelscope"):
        options += ["--option", f"{name}.endpoint={hub.url}"]
    for place in (
        "git:/work/remote/InternVL2-Tiny.git",
        "huggingface:ann/InternVL2-Tiny",
        "modelscope:ann/InternVL2-Tiny-MS",
        f"git:{hub.git_url('ann/InternVL2-Tiny')}",
    ):
        assert "published" in hubkit("push", "InternVL2-Tiny", "--to", place, *options)
        assert "files" in hubkit("verify", "InternVL2-Tiny", "--at", place, *options)
