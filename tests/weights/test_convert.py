"""Official to native and back: the same bytes, and transformers agrees."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubkit.sdk import UsageError, WeightsError
from hubkit.weights.convert import to_native, to_official
from hubkit.weights.model import Model


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


@pytest.mark.parametrize("shards", [1, 3])
def test_round_trip_is_bit_exact(make_base: Any, family: Any, tmp_path: Path, shards: int) -> None:
    base, native, back = make_base(shards=shards), tmp_path / "native", tmp_path / "back"
    there = to_native(Model.of(base, family), native)
    again = to_official(native, back, family, base)
    assert {file.path: file.sha256 for file in there.files} == digests(native)
    assert {file.path: file.sha256 for file in again.files} == digests(back)
    for name, digest in digests(base).items():
        if name.startswith(("model.", "model-")):
            assert digests(back)[name] == digest
    assert (there.tensors, again.tensors) == (18, 14)


def test_native_rows_and_files(make_base: Any, family: Any, tmp_path: Path) -> None:
    base, native = make_base(), tmp_path / "native"
    to_native(Model.of(base, family), native)
    fused = load_file(base / "model.safetensors")[
        "language_model.model.layers.0.attention.wqkv.weight"
    ].view(2, 4, 8, 32)
    tensors = load_file(native / "model.safetensors")
    at = "model.language_model.layers.0.self_attn"
    assert torch.equal(tensors[f"{at}.q_proj.weight"], fused[:, :2].reshape(32, 32))
    assert torch.equal(tensors[f"{at}.k_proj.weight"], fused[:, 2].reshape(16, 32))
    assert torch.equal(tensors[f"{at}.v_proj.weight"], fused[:, 3].reshape(16, 32))
    assert sorted(path.name for path in native.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert json.loads((native / "generation_config.json").read_text()) == {"eos_token_id": [2]}
    assert json.loads((native / "config.json").read_text()) == {
        "model_type": "native",
        "image_token_id": 60,
    }


def test_back_without_weights_in_the_model_folder(
    make_base: Any, family: Any, tmp_path: Path
) -> None:
    base, native, back = make_base(shards=3), tmp_path / "native", tmp_path / "back"
    expected = {n: t for path in base.glob("*.safetensors") for n, t in load_file(path).items()}
    to_native(Model.of(base, family), native)
    for path in base.glob("model[.-]*"):
        path.unlink()
    to_official(native, back, family, base)
    found = load_file(back / "model.safetensors")
    assert found.keys() == expected.keys() and all(
        torch.equal(found[n], t) for n, t in expected.items()
    )


def test_back_from_another_dtype(make_base: Any, family: Any, tmp_path: Path) -> None:
    base, native, back = make_base(), tmp_path / "native", tmp_path / "back"
    to_native(Model.of(base, family), native)
    save_file(
        {n: t.float() for n, t in load_file(native / "model.safetensors").items()},
        native / "model.safetensors",
    )
    to_official(native, back, family, base)
    found, expected = load_file(back / "model.safetensors"), load_file(base / "model.safetensors")
    assert all(torch.equal(found[n], t.float()) for n, t in expected.items())


def test_names_as_transformers_writes_them(make_base: Any, family: Any, tmp_path: Path) -> None:
    base, native, back = make_base(), tmp_path / "native", tmp_path / "back"
    to_native(Model.of(base, family), native)
    renamed = {}
    for name, tensor in load_file(native / "model.safetensors").items():
        name = name.replace("model.language_model.", "language_model.model.").replace(
            "lm_head.", "language_model.lm_head."
        )
        renamed[
            name.replace("model.vision_tower.", "vision_tower.").replace(
                "model.multi_modal", "multi_modal"
            )
        ] = tensor
    save_file(renamed, native / "model.safetensors")
    to_official(native, back, family, base)
    assert digests(back)["model.safetensors"] == digests(base)["model.safetensors"]


def test_missing_and_unexpected_tensors_are_named(
    make_base: Any, family: Any, tmp_path: Path
) -> None:
    base, native = make_base(), tmp_path / "native"
    to_native(Model.of(base, family), native)
    tensors = load_file(native / "model.safetensors")
    tensors["odd.weight"] = tensors.pop("lm_head.weight")
    tensors["model.multi_modal_projector.linear_1.weight"] = torch.zeros(3, 3, dtype=torch.bfloat16)
    save_file(tensors, native / "model.safetensors")
    with pytest.raises(WeightsError) as caught:
        to_official(native, tmp_path / "back", family, base)
    for words in (
        "'odd.weight' is unexpected",
        "'lm_head.weight' is missing",
        "is (3, 3), config.json says (32, 32)",
    ):
        assert words in str(caught.value)
    assert not (tmp_path / "back").exists()


def test_parts_of_several_dtypes_are_named(make_base: Any, family: Any, tmp_path: Path) -> None:
    base, native = make_base(), tmp_path / "native"
    to_native(Model.of(base, family), native)
    tensors = load_file(native / "model.safetensors")
    name = "model.language_model.layers.0.self_attn.k_proj.weight"
    for dtype in (torch.float32, torch.bfloat16):
        save_file({**tensors, name: tensors[name].to(dtype)}, native / "model.safetensors")
        if dtype == torch.float32:
            words = r"the parts of '.*wqkv\.weight' are BF16 and F32"
            with pytest.raises(WeightsError, match=words) as caught:
                to_official(native, tmp_path / "back", family, base)
    assert caught.value.remedy == "save in one dtype"
    to_official(native, tmp_path / "back", family, base)


def test_a_folder_that_is_there_is_kept(make_base: Any, family: Any, tmp_path: Path) -> None:
    base = make_base()
    with pytest.raises(UsageError, match="is there already"):
        to_native(Model.of(base, family), base)


def test_everything_but_the_merge_needs_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.modules['torch'] = None\n"
        "import hubkit.weights.merge, hubkit.weights.export\n"
        "from hubkit.registry.plugins import plugins; from hubkit.weights.check import check\n"
        "from hubkit.weights.convert import to_native, to_official\n"
        "from hubkit.weights.model import Model\n"
        "family, base, out = plugins().get('family', 'internvl'), Path(sys.argv[1]), "
        "Path(sys.argv[2])\n"
        "to_native(Model.of(base, family), out / 'native'); to_official(out / 'native', out / "
        "'back', family, base)\n"
        "print(len(check(out / 'back', family)))"
    )
    base = Path(__file__).parents[2] / "hubkit/quickstart/base"
    command = [sys.executable, "-c", script, str(base), str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "0\n"
    assert digests(tmp_path / "back")["model.safetensors"] == digests(base)["model.safetensors"]


def hubkit_command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hubkit", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_goes_there_and_back(tmp_path: Path) -> None:
    base, native, back = (
        Path(__file__).parents[2] / "hubkit/quickstart/base",
        tmp_path / "hf",
        tmp_path / "InternVL2-Tiny",
    )
    there = hubkit_command("convert", base, native, "--to", "hf", "--json")
    (line,) = [json.loads(line) for line in there.stdout.splitlines() if '"result"' in line]
    assert {file["path"]: file["sha256"] for file in line["files"]} == digests(native)
    again = hubkit_command("convert", native, back, "--to", "official", "--like", base)
    assert again.returncode == 0 and "tensors in" in again.stdout, again.stderr
    expected = digests(base)
    expected.pop("README.md")
    assert digests(back) == expected


def test_what_the_command_refuses(tmp_path: Path) -> None:
    base = Path(__file__).parents[2] / "hubkit/quickstart/base"
    without = hubkit_command("convert", base, tmp_path / "out", "--to", "official")
    assert without.returncode == 2 and "--like" in without.stderr
    twice = hubkit_command("convert", base, tmp_path / "out", "--to", "official", "--like", base)
    assert twice.returncode == 2 and "unexpected" in twice.stderr
    assert list(tmp_path.iterdir()) == []


def test_settings_that_shapes_do_not_show(
    tmp_path: Path, official_internvl: Any, load_native: Any
) -> None:
    """transformers' own save_pretrained is taken; another number of heads is not."""
    from hubkit.registry.plugins import plugins

    family = plugins().get("family", "internvl")
    base = official_internvl(tmp_path / "base")
    to_native(Model.of(base, family), tmp_path / "native")
    load_native(tmp_path / "native").save_pretrained(tmp_path / "saved")
    to_official(tmp_path / "saved", tmp_path / "back", family, base)
    assert digests(tmp_path / "back")["model.safetensors"] == digests(base)["model.safetensors"]
    path = tmp_path / "saved/config.json"
    config = json.loads(path.read_text())
    config["text_config"]["num_attention_heads"] = 8
    path.write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=r"text_config\.num_attention_heads is 8, not 4"):
        to_official(tmp_path / "saved", tmp_path / "other", family, base)
