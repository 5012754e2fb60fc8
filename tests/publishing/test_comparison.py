from hubkit.packaging.manifest import Manifest
from hubkit.publishing.comparison import Difference, compare
from hubkit.sdk import ReleaseFile, RemoteFile

LISTED = Manifest(
    "InternVL2-Tiny",
    "v1",
    "2026-01-02",
    tuple(ReleaseFile(name, 3, name * 64, False) for name in "abcde"),
)
OWN = next(file for file in LISTED.released() if file.path == "manifest.json")
ARRIVED = tuple(RemoteFile(file.path, file.size, file.sha256) for file in LISTED.released())


def test_the_same_files_are_ok() -> None:
    assert compare(LISTED.released(), ARRIVED).ok
    assert compare(LISTED.released(), ARRIVED[::-1]).ok
    assert compare(LISTED.released(), ARRIVED).problems == ()


def test_every_difference_is_told_apart() -> None:
    remote = (
        RemoteFile("a", 3, "a" * 64),
        RemoteFile("b", 4, "b" * 64),
        RemoteFile("c", 3, "f" * 64),
        RemoteFile("d", 3, ""),
        RemoteFile("stray.bin", 9, "0" * 64),
    )
    found = compare(LISTED.released(), remote)
    assert not found.ok
    assert found.missing == ("e", "manifest.json")
    assert found.extra == ("stray.bin",)
    assert found.unknown == ("d",)
    assert found.different == (
        Difference("b", "3 bytes", "4 bytes"),
        Difference("c", f"sha256 {'c' * 64}", f"sha256 {'f' * 64}"),
    )
    assert found.problems == (
        "e: missing at the hub",
        "manifest.json: missing at the hub",
        "stray.bin: at the hub, not in the manifest",
        "b: the manifest says 3 bytes, the hub has 4 bytes",
        f"c: the manifest says sha256 {'c' * 64}, the hub has sha256 {'f' * 64}",
        "d: the hub does not tell its sha256",
    )


def test_an_unknown_digest_alone_is_no_proof() -> None:
    remote = tuple(
        RemoteFile(file.path, file.size, "" if file.path == "a" else file.sha256)
        for file in ARRIVED
    )
    assert not compare(LISTED.released(), remote).ok
    assert compare(LISTED.released(), remote).unknown == ("a",)


def test_a_changed_manifest_at_the_hub_is_a_difference() -> None:
    remote = tuple(
        RemoteFile(file.path, file.size, "0" * 64 if file.path == OWN.path else file.sha256)
        for file in ARRIVED
    )
    assert [item.path for item in compare(LISTED.released(), remote).different] == ["manifest.json"]
