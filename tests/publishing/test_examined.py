"""Before the first byte: every hub is asked whether it takes the release, and what a hub created is
read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testing.releases import make_release

import hubkit
from hubkit.errors import EnvironmentFailure, RefusedError, RemoteError
from hubkit.registry.plugins import plugins
from hubkit.rehearsal import Fault, Faults, Running
from hubkit.sdk import SilentRun

from .conftest import NAME, needs_hubs

pytestmark = needs_hubs
AGAIN = "continues"


def wrote(faults: Faults) -> list[str]:
    """Requests that changed something."""
    asked = ("/validate-yaml", "git-upload-pack", "/objects/batch")
    return [
        f"{seen.method} {seen.path}"
        for seen in faults.requests
        if seen.method in ("POST", "PUT", "DELETE") and not seen.path.endswith(asked)
    ]


def test_a_card_that_one_hub_refuses_goes_nowhere(
    hub: Running,
    faults: Faults,
    tracked: Path,
    targets: list[str],
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hub may be stricter than the rules that hubkit knows."""
    from hubkit.rehearsal import card

    monkeypatch.setattr(card, "problems", lambda text: (['"widget" \u202emust be an array'], []))
    with pytest.raises(RefusedError) as caught:
        hubkit.push(tracked, targets, options=options)
    assert 'does not take the metadata of README.md: "widget" must be an' in caught.value.message
    assert caught.value.message.endswith("nothing was published to any hub")
    assert AGAIN not in caught.value.remedy and "package the release again" in caught.value.remedy
    assert wrote(faults) == []


def test_another_release_at_one_hub_stops_all(
    hub: Running, faults: Faults, tracked: Path, targets: list[str], options: dict[str, Any]
) -> None:
    settings = {"endpoint": hub.url, "token_env": "MY_TOKEN"}
    other = make_release(tracked.parent / "other", f"{NAME}-MS", settings, weights=2000)
    plugins().get("hub", "modelscope").publish(other, SilentRun())
    faults.clear()
    with pytest.raises(RefusedError, match=r"another release under the tag v1\.0\.0"):
        hubkit.push(tracked, targets, options=options)
    assert wrote(faults) == []


def test_a_wrong_token_for_one_hub_stops_all(
    hub: Running,
    faults: Faults,
    tracked: Path,
    targets: list[str],
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTHER_TOKEN", "hf_wrong")
    with pytest.raises(EnvironmentFailure, match="OTHER_TOKEN") as caught:
        hubkit.push(tracked, targets, options={**options, "modelscope.token_env": "OTHER_TOKEN"})
    assert "hf_wrong" not in str(caught.value) and wrote(faults) == []


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_a_refused_commit_is_not_worth_repeating(
    hub: Running, options: dict[str, Any], tmp_path: Path, name: str
) -> None:
    """Straight to the plugin, as a program might: the hub itself refuses the metadata."""
    settings = {"endpoint": hub.url, "token_env": "MY_TOKEN", "patience": 3.0}
    card = {"README.md": b"---\nlicense: InternVL-License\n---\n# x\n"}
    job = make_release(tmp_path / "InternVL2-Tiny", NAME, settings, weights=2000, files=card)
    with pytest.raises(RefusedError) as caught:
        plugins().get("hub", name).publish(job, SilentRun())
    assert "license 'InternVL-License' is no licence id" in caught.value.message
    assert AGAIN not in caught.value.remedy


def ignores_visibility(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a server does that does not know the client's newer field."""
    create: Callable[..., Any] = hub.hub.create
    monkeypatch.setattr(
        hub.hub,
        "create",
        lambda name, user, **more: create(name, user, **{**more, "private": False}),
    )


def test_a_hub_that_makes_it_public_gets_nothing_and_it_is_undone(
    hub: Running,
    faults: Faults,
    tracked: Path,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ignores_visibility(hub, monkeypatch)
    for _ in range(2):
        with pytest.raises(RefusedError) as caught:
            hubkit.push(tracked, f"huggingface:{NAME}", options=options)
        told = "was created with visibility public instead of private; nothing was sent to it"
        assert f"{told}, and it was deleted again" in caught.value.message
        assert hub.hub.database.repositories() == []
    assert not [seen for seen in faults.requests if seen.method == "PUT" or "/commit/" in seen.path]
    public = {**options, "huggingface.private": False}
    assert hubkit.push(tracked, f"huggingface:{NAME}", options=public).receipts


def test_what_cannot_be_undone_is_named_and_stays_empty(
    hub: Running,
    faults: Faults,
    tracked: Path,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ModelScope's API cannot delete; the next push does not take the repository for granted."""
    ignores_visibility(hub, monkeypatch)
    to = f"modelscope:{NAME}"
    with pytest.raises(RefusedError, match="visibility public instead of private") as caught:
        hubkit.push(tracked, to, options=options)
    assert caught.value.remedy.startswith(f"delete {hub.url}/models/{NAME} on its page")
    with pytest.raises(RefusedError, match="is there already, empty and public") as caught:
        hubkit.push(tracked, to, options=options)
    assert "private: false" in caught.value.remedy
    assert not [seen for seen in faults.requests if seen.method == "PUT" or "/commit/" in seen.path]
    assert hubkit.push(tracked, to, options={**options, "modelscope.private": False}).receipts


def test_a_gated_repository_was_not_asked_for(
    hub: Running, tracked: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    create: Callable[..., Any] = hub.hub.create

    def gated(*arguments: Any, **more: Any) -> Any:
        made = create(*arguments, **more)
        hub.hub.database.set_repository(made.id, gated="manual")
        return made

    monkeypatch.setattr(hub.hub, "create", gated)
    with pytest.raises(RefusedError, match="gating manual instead of none"):
        hubkit.push(tracked, f"huggingface:{NAME}", options=options)


def test_a_hub_that_is_down_stops_the_others_before_anything_is_sent(
    hub: Running, faults: Faults, tracked: Path, targets: list[str], options: dict[str, Any]
) -> None:
    faults.add(Fault("status", path=r"^/api/models/", status=503, times=0))
    with pytest.raises(RemoteError, match="nothing was published to any hub"):
        hubkit.push(tracked, targets, options={**options, "huggingface.patience": 0.5})
    assert wrote(faults) == []
