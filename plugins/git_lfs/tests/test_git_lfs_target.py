from pathlib import Path

import pytest
from hubkit_git_lfs import GitLfsHub
from hubkit_git_lfs._target import parse

from hubkit.sdk import Hub, UsageError


def test_it_is_a_hub() -> None:
    hub: Hub = GitLfsHub()
    assert (hub.kind, hub.name, hub.sdk, hub.schemes) == ("hub", "git_lfs", "1.0", ("git",))


@pytest.mark.parametrize(
    ("target", "repository", "url"),
    [
        ("/srv/hub/InternVL2-X.git", "InternVL2-X", "file:///srv/hub/InternVL2-X.git"),
        ("file:///srv/a%20b/InternVL2-X.git", "InternVL2-X", "file:///srv/a%20b/InternVL2-X.git"),
        ("/srv/100%/x.git/", "x", "file:///srv/100%25/x.git"),
        (
            "https://huggingface.co/org/InternVL2-X",
            "org/InternVL2-X",
            "https://huggingface.co/org/InternVL2-X",
        ),
        ("https://ada@host:8443/a/b/c.git", "b/c", "https://ada@host:8443/a/b/c.git"),
        ("ssh://git@host:22/org/x.git", "org/x", "ssh://git@host:22/org/x.git"),
        ("git@host:org/x.git", "org/x", "git@host:org/x.git"),
        ("host.example:x.git", "x", "host.example:x.git"),
    ],
)
def test_targets(target: str, repository: str, url: str) -> None:
    assert GitLfsHub().repository(target) == repository
    assert parse(target).url == url


def test_relative_paths_are_those_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home-of-ada")
    assert parse("hub/x.git").local == tmp_path / "hub" / "x.git"
    assert parse("~/x.git").local == Path("/home-of-ada/x.git")


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("", "it is empty"),
        ("--upload-pack=x", "starts with a dash"),
        ("a\nb", "control characters"),
        ("ext::sh -c id", "remote helpers"),
        ("ftp://host/x.git", "the protocols are"),
        ("https:///x.git", "there is no host"),
        ("https://host/", "there is no repository name"),
        ("https://host:port/x", "this URL"),
        ("file://host/x.git", "a file URL has no host"),
        ("/", "there is no repository name"),
        ("/a/..", "there is no repository name"),
    ],
)
def test_what_is_no_target(target: str, part: str) -> None:
    with pytest.raises(UsageError) as caught:
        GitLfsHub().repository(target)
    assert part in caught.value.message
    assert "git:https://host/org/name.git" in caught.value.remedy


@pytest.mark.parametrize(
    "target",
    [
        "https://ada:secretword@host/x.git",
        "https://hf_secretwordsecretword@host/x.git",
        "https://ghp_secretword@host/x.git",
        "https://host/x.git?token=secretword",
        "ssh://git:secretword@host/x.git",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(target: str) -> None:
    with pytest.raises(UsageError) as caught:
        GitLfsHub().repository(target)
    assert "carries credentials" in caught.value.message
    assert "secretword" not in str(caught.value)
    assert "token_env" in caught.value.remedy
