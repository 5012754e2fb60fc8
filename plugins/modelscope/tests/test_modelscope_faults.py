"""What happens when the hub or the network fails: the error says why and what was reached, and
running again ends well."""

from pathlib import Path
from typing import Any

import pytest
from hubkit_modelscope import ModelScopeHub
from testing.hub_tests import NAME, Failing
from testing.releases import make_release

from hubkit.rehearsal import Faults, Running
from hubkit.sdk import EnvironmentFailure, PublishInput, RemoteError, SilentRun

from .conftest import TOKEN


@pytest.fixture
def job(tmp_path: Path, options: dict[str, Any]) -> PublishInput:
    return make_release(tmp_path / "InternVL2-Tiny", NAME, options, weights=2000)


class TestFailing(Failing):
    plugin = ModelScopeHub()
    commit = r"/commit/"
    wrong_token = "ms-wrong012-3456"


def test_nobody_answers(job: PublishInput) -> None:
    options = {**job.options, "endpoint": "http://hub.invalid", "patience": 0.5}
    with pytest.raises(RemoteError, match=r"hub\.invalid"):
        ModelScopeHub().publish(job.__class__(**{**job.__dict__, "options": options}), SilentRun())


def test_the_token_does_not_go_to_the_host_of_an_upload_address(
    job: PublishInput, hub: Running, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client by itself sends it wherever the address points."""
    from modelscope_hub._legacy_api import LegacyClient

    from hubkit.rehearsal import serve

    elsewhere, asked = Faults(), LegacyClient.validate_blobs
    with serve(tmp_path / "elsewhere", token="ms-other", faults=elsewhere) as other:

        def pointing(self: Any, *arguments: Any) -> Any:
            return {
                oid: address and address.replace(hub.url, other.url)
                for oid, address in asked(self, *arguments).items()
            }

        monkeypatch.setattr(LegacyClient, "validate_blobs", pointing)
        with pytest.raises((RemoteError, EnvironmentFailure)):
            ModelScopeHub().publish(job, SilentRun())
    assert elsewhere.requests and not [seen for seen in elsewhere.requests if seen.authorized]


def test_where_the_token_is_found(
    tmp_path: Path, hub: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my-token"
    file.write_text(TOKEN + "\n")
    plugin, endpoint = ModelScopeHub(), {"endpoint": hub.url}
    assert plugin.login({**endpoint, "token_file": str(file)}).source == f"the file {file}"
    assert plugin.login(endpoint).state == "none"
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", TOKEN)
    state = plugin.login(endpoint)
    assert (state.state, state.user, state.source) == (
        "ok",
        "rehearsal",
        "the environment variable MODELSCOPE_API_TOKEN",
    )


def test_the_clients_own_login_is_used(
    tmp_path: Path, hub: Running, options: dict[str, Any]
) -> None:
    from modelscope_hub.config import HubConfig

    HubConfig(endpoint=hub.url, token="").save_token(TOKEN)
    state = ModelScopeHub().login({"endpoint": hub.url})
    assert state.state == "ok" and state.source.startswith("the client's own login (")
