"""The delta: no more than what the base has not, back bit for bit, published and read back."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import nextgpt_checkout as make
import pytest
import torch
from hubkit_nextgpt import NextGPT, names, pack, restore
from hubkit_nextgpt.__main__ import main
from hubkit_nextgpt.restoring import tensors
from hubkit_nextgpt.stages import Stage

import hubkit
from hubkit.rehearsal import serve
from hubkit.sdk import RefusedError, UsageError, WeightsError
from hubkit.sdk.checkpoints import open_weights

EMBEDDINGS = "llama_model.base_model.model.model.embed_tokens.weight"


@pytest.fixture(scope="session")
def checkpoint(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The names and shapes that three stages leave; the numbers of training are in the test of all
    together."""
    folder, draw = tmp_path_factory.mktemp("checkpoint"), torch.Generator().manual_seed(2)
    base, head = open_weights(parts / "vicuna"), "llama_model.base_model.model"
    found = {}
    for name, source in (
        (EMBEDDINGS, "model.embed_tokens.weight"),
        (f"{head}.lm_head.weight", "lm_head.weight"),
    ):
        rows = torch.frombuffer(bytearray(base.read(source)), dtype=torch.float32).view(40, 32)
        found[name] = torch.cat([rows, torch.randn(6, 32, generator=draw)])
    for target in ("q_proj", "k_proj", "v_proj", "o_proj"):
        for part, shape in (("A", (4, 32)), ("B", (32, 4))):
            name = f"{head}.model.layers.0.self_attn.{target}.lora_{part}.default.weight"
            found[name] = torch.randn(shape, generator=draw)
    found["llama_proj.weight"] = torch.randn(32, 16, generator=draw).bfloat16()
    found["gen_text_hidden_fcs.0.weight"] = torch.randn(24, 32, generator=draw)
    torch.save(
        {name: torch.nn.Parameter(value) for name, value in found.items()},
        folder / "pytorch_model.pt",
    )
    return folder


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return list(one) == list(other) and all(
        a.dtype == b.dtype
        and a.shape == b.shape
        and a.view(torch.uint8).equal(b.detach().view(torch.uint8))
        for a, b in zip(one.values(), other.values(), strict=True)
    )


def test_only_new_rows_and_back_bit_for_bit(
    checkpoint: Path, parts: Path, licenses: Any, tmp_path: Path
) -> None:
    packed = pack(
        checkpoint,
        parts / "vicuna",
        tmp_path / "NExT-GPT-Tiny",
        licenses=licenses,
        base_name="lmsys/vicuna-7b-v0",
    )
    assert set(packed.rows.values()) == {6} and set(packed.changed.values()) == {0}
    assert packed.whole - packed.size == 2 * 40 * 32 * 4
    assert sorted(p.name for p in packed.folder.iterdir()) == [
        "config.json",
        "licenses.json",
        "model.safetensors",
    ]
    whole = torch.load(checkpoint / "pytorch_model.pt", weights_only=True)
    (made,) = restore(packed.folder, parts / "vicuna", tmp_path / "ckpt")
    assert equal(torch.load(made, weights_only=True), whole)
    again = pack(
        made,
        parts / "vicuna",
        tmp_path / "again/NExT-GPT-Tiny",
        licenses=licenses,
        base_name="lmsys/vicuna-7b-v0",
    )
    for name in ("config.json", "licenses.json", "model.safetensors"):
        assert (again.folder / name).read_bytes() == (packed.folder / name).read_bytes()
    assert hubkit.check(packed.folder) == ()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_changed_rows_and_other_dtypes_come_back_too(
    checkpoint: Path, parts: Path, licenses: Any, tmp_path: Path, dtype: torch.dtype
) -> None:
    whole = {
        k: v.detach().to(dtype)
        for k, v in torch.load(checkpoint / "pytorch_model.pt", weights_only=True).items()
    }
    whole[EMBEDDINGS][[0, 3, 4, 39]] += 1
    torch.save(whole, tmp_path / "pytorch_model.pt")
    packed = pack(
        tmp_path / "pytorch_model.pt", parts / "vicuna", tmp_path / "delta", licenses=licenses
    )
    assert (packed.rows[EMBEDDINGS], packed.changed[EMBEDDINGS]) == (10, 4)
    config = json.loads((tmp_path / "delta/config.json").read_text())
    assert config["embeddings"][EMBEDDINGS]["rows"] == [[0, 1], [3, 5], [39, 46]]
    assert equal(tensors(tmp_path / "delta", parts / "vicuna"), whole)


def test_what_cannot_be_packed(
    checkpoint: Path, parts: Path, licenses: Any, tmp_path: Path
) -> None:
    base, out = parts / "vicuna", tmp_path / "out"
    with pytest.raises(UsageError, match="not known of: encoder, audio diffusion"):
        pack(
            checkpoint,
            base,
            out,
            licenses=[one for one in licenses if one["part"] not in ("encoder", "audio diffusion")],
        )
    whole = torch.load(checkpoint / "pytorch_model.pt", weights_only=True)
    for change, error, said in (
        (
            {"visual_encoder.weight": torch.ones(2)},
            RefusedError,
            "no part of NExT-GPT.s delta: visual_encoder",
        ),
        (
            {EMBEDDINGS: torch.ones(20, 32)},
            WeightsError,
            r"is \(20, 32\), the base's model.embed_tokens.weight is \(40, 32\)",
        ),
        (
            {"llama_model.x.q_proj.lora_A.weight": torch.ones(4, 32)},
            WeightsError,
            "q_proj has lora_A alone",
        ),
    ):
        torch.save({**whole, **change}, tmp_path / "pytorch_model.pt")
        with pytest.raises(error, match=said):
            pack(tmp_path / "pytorch_model.pt", base, out, licenses=licenses)
    assert not out.exists()


def test_a_delta_that_was_tampered_with(
    checkpoint: Path, parts: Path, licenses: Any, tmp_path: Path
) -> None:
    folder = pack(checkpoint, parts / "vicuna", tmp_path / "d", licenses=licenses).folder
    config = json.loads((folder / "config.json").read_text())
    config["lora"]["rank"], config["embeddings"][EMBEDDINGS]["rows"] = 8, [[40, 45]]
    config["files"]["pytorch_model.pt"].remove("llama_proj.weight")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "licenses.json").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"x")
    found = {problem.where for problem in hubkit.check(folder)}
    assert {
        "config.json: lora",
        "config.json: embeddings",
        "config.json: files",
        "licenses.json",
        "pytorch_model.bin",
    } <= found
    assert NextGPT().repository_problem("me/InternVL2") and not NextGPT().repository_problem(
        "me/nextgpt_7b"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda config: config["files"].update({"../x.pt": []}),
            "`files` must name files of NExT-GPT's checkpoints",
        ),
        (
            lambda config: config["files"].update({"pytorch_model.pt": [1]}),
            "`files` must map each file to its tensors",
        ),
        (
            lambda config: config["files"]["pytorch_model.pt"].append("x"),
            "names 'x', which model.safetensors does not hold",
        ),
        (lambda config: config.update(settings={"../x": {}}), "`settings` must have"),
        (
            lambda config: config["embeddings"][EMBEDDINGS].update(rows=[[40, 10**12]]),
            "what it says of .*embed_tokens.* cannot be",
        ),
        (
            lambda config: config["embeddings"][EMBEDDINGS].update(rows=[[44, 46], [40, 44]]),
            "cannot be",
        ),
        (lambda config: config["embeddings"][EMBEDDINGS].update(shape="long"), "cannot be"),
        (
            lambda config: config["embeddings"][EMBEDDINGS].update(rows=[[40, 45]]),
            "does not hold the 5 rows",
        ),
        (
            lambda config: config["embeddings"][EMBEDDINGS].update(rows=[[0, 1], [41, 46]]),
            "after the base's 40 are not all there",
        ),
        (
            lambda config: config["embeddings"][EMBEDDINGS].update(base="model.norm.weight"),
            "the base has no model.norm.weight",
        ),
    ],
)
def test_a_delta_that_lies_is_not_restored(
    checkpoint: Path, parts: Path, licenses: Any, tmp_path: Path, change: Any, said: str
) -> None:
    folder = pack(checkpoint, parts / "vicuna", tmp_path / "d", licenses=licenses).folder
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=said):
        restore(folder, parts / "vicuna", tmp_path / "out")
    assert not [path for path in tmp_path.rglob("*.pt") if path.is_file()]


def test_a_tokenizer_that_is_a_link_is_not_followed(
    checkpoint: Path, parts: Path, licenses: Any, tmp_path: Path
) -> None:
    folder = pack(checkpoint, parts / "vicuna", tmp_path / "d", licenses=licenses).folder
    (tmp_path / "secret").write_text("secret")
    (folder / "tokenizer.model").symlink_to(tmp_path / "secret")
    restore(folder, parts / "vicuna", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["pytorch_model.pt"]
    with pytest.raises(UsageError, match=r"out/pytorch_model.pt exists"):
        restore(folder, parts / "vicuna", tmp_path / "out")


@pytest.mark.integration
def test_the_files_of_the_current_code_come_back(
    trained_current: tuple[Stage, ...], parts: Path, licenses: Any, tmp_path: Path
) -> None:
    source = trained_current[-1].folder
    packed = pack(
        source,
        parts / "vicuna",
        tmp_path / "NExT-GPT-Tiny",
        licenses=licenses,
        base_name="lmsys/vicuna-7b-v1.5",
    )
    assert hubkit.check(packed.folder) == ()
    config = json.loads((packed.folder / "config.json").read_text())
    assert (
        config["lora"] == {"rank": 6, "alpha": 12, "targets": list(names.TARGETS)}
        and packed.size < packed.whole
    )
    made = restore(packed.folder, parts / "vicuna", tmp_path / "out")
    assert {path.name for path in made} == {
        "adapter_model.safetensors",
        "non_lora_trainables.bin",
    }, "they have all that counts"
    for path in made:
        one, other = open_weights(path), open_weights(source / path.name)
        assert set(one) == set(other) and all(one.read(name) == other.read(name) for name in one)
    for name, base in (
        ("adapter_config.json", {"base_model_name_or_path": "lmsys/vicuna-7b-v1.5"}),
        ("config.json", {}),
    ):
        assert (
            json.loads((tmp_path / "out" / name).read_text())
            == json.loads((source / name).read_text()) | base
        )
    hubkit.card(packed.folder, base_name="lmsys/vicuna-7b-v1.5", license="cc-by-nc-sa-4.0")
    assert "--out ./checkpoints/finetune_1" in (packed.folder / "README.md").read_text()
    hubkit.track(packed.folder)


@pytest.mark.integration
def test_three_stages_to_a_verified_release(
    trained: tuple[Stage, ...],
    parts: Path,
    licenses: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_TOKEN", "hf_rehearsal")
    source, name = trained[-1].folder, "someone/NExT-GPT-Tiny"
    folder = pack(
        source,
        parts / "vicuna",
        tmp_path / "NExT-GPT-Tiny",
        licenses=licenses,
        base_name="lmsys/vicuna-7b-v0",
    ).folder
    hubkit.card(folder, base_name="lmsys/vicuna-7b-v0", license="cc-by-nc-sa-4.0")
    page = (folder / "README.md").read_text()
    assert (
        "base_model_relation: adapter" in page
        and "license: cc-by-nc-sa-4.0" in page
        and "pipeline_tag: any-to-any" in page
    )
    for one in (
        "creativeml-openrail-m",
        "bsd-3-clause",
        "ImageBind",
        "zeroscope_v2_576w",
        "--out ./ckpt/delta_ckpt/nextgpt/",
    ):
        assert one in page
    hubkit.track(folder)
    with serve(tmp_path / "hub", token="hf_rehearsal") as hub:
        options = {"endpoint": hub.url, "token_env": "MY_TOKEN", "patience": 8.0}
        hubkit.push(folder, f"huggingface:{name}", options=options)
        verified = hubkit.verify(folder, f"huggingface:{name}", options=options)
        assert verified.files == 10 and not verified.deep
        with pytest.raises(UsageError, match="cannot be loaded without its base models"):
            hubkit.verify(folder, f"huggingface:{name}", options=options, deep=True)
        from hubkit.registry.plugins import plugins
        from hubkit.sdk import SilentRun

        plugins().get("hub", "huggingface").download(
            name, "v1.0.0", tmp_path / "fresh", options, SilentRun()
        )
    assert not [
        path for path in (tmp_path / "fresh").rglob("*") if path.suffix in (".pt", ".bin", ".pth")
    ]
    whole = torch.load(source / "pytorch_model.pt", weights_only=True)
    assert equal(
        tensors(tmp_path / "fresh", parts / "vicuna"), {k: v.detach() for k, v in whole.items()}
    )
    assert whole[EMBEDDINGS].shape == (make.VOCABULARY + make.ADDED, make.WIDTH)
    assert os.environ["MY_TOKEN"] not in page and shutil.which("git-lfs")


def test_the_calls_of_the_command_line(
    checkpoint: Path, parts: Path, licenses: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "licenses.json").write_text(json.dumps(licenses))
    base = ["--base", str(parts / "vicuna")]
    command = [
        "pack",
        str(checkpoint),
        *base,
        "--licenses",
        str(tmp_path / "licenses.json"),
        "--out",
        str(tmp_path / "d"),
    ]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["rows"][EMBEDDINGS] == 6
    assert main(command) == 2
    assert (
        f"{tmp_path / 'd'} exists\n  remedy: name a folder that does not" in capsys.readouterr().err
    )
    assert main(["restore", str(tmp_path / "d"), *base, "--out", str(tmp_path / "ckpt")]) == 0
    assert json.loads(capsys.readouterr().out) == [str(tmp_path / "ckpt/pytorch_model.pt")]
    (tmp_path / "options.json").write_text('{"stage": 1}')
    assert main(["train", str(tmp_path / "options.json"), "--out", str(tmp_path / "run")]) == 2
    assert "unknown key 'stage'" in capsys.readouterr().err
