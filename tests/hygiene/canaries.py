"""Things that must not be published, in every form, and the places where they could stand. The
values are put together here, so that no scanner takes this file for a leak."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

HEX = "0123456789abcdef"
MIXED = "aB3" * 40
PATH = "a path on somebody's machine"
MAIL = "an e-mail address"
HOST = "the name or address of a machine in a private network"


def key(kind: str) -> str:
    return f"-----BEGIN {kind}-----"


SECRETS: dict[str, str] = {
    key("OPENSSH PRIVATE" + " KEY"): "a private key",
    key("PRIVATE" + " KEY"): "a private key",
    key("PGP PRIVATE" + " KEY BLOCK"): "a private key",
    "PuTTY-User-" + "Key-File-3: ssh-ed25519": "a private key",
    "AGE-SECRET-" + "KEY-1" + "Q" * 58: "a private key",
    "hf_" + MIXED[:34]: "a Hugging Face token",
    "api_org_" + MIXED[:34]: "a Hugging Face token",
    "ms-" + "01234567-89ab-cdef-0123-456789abcdef": "a ModelScope token",
    "ghp_" + MIXED[:36]: "a GitHub token",
    "github_pat_" + MIXED[:60]: "a GitHub token",
    "glpat-" + MIXED[:20]: "a GitLab token",
    "sk-ant-" + "api03-" + MIXED[:93]: "an Anthropic API key",
    "sk-or-" + "v1-" + HEX * 4: "an OpenRouter API key",
    "sk-proj-" + MIXED[:48]: "an API key",
    "sk-" + HEX * 2: "an API key",
    "gsk_" + MIXED[:52]: "an API key",
    "AKIA" + "ABCDEFGH12345678": "an AWS access key",
    "aws_secret_access_key = " + "wJalr/XUtn+FEMI1K7MDENGbPxRfiCYzzzzzzzzz": "an AWS secret key",
    'SecretAccessKey": "' + "wJalr/XUtn+FEMI1K7MDENGbPxRfiCYzzzzzzzzz": "an AWS secret key",
    "AccountKey=" + MIXED[:86] + "==": "an Azure key",
    "SharedAccessKey=" + MIXED[:43] + "=": "an Azure key",
    "AZURE_OPENAI_API_KEY=" + HEX * 2: "an Azure key",
    "ab~8Q~" + MIXED[:34]: "an Azure key",
    "https://x.blob.core.windows.net/c?sv=2024-01-01&sig="
    + MIXED[:40]
    + "%2Fa%3D": "an Azure signature (SAS)",
    "AIza" + "a" * 35: "a Google API key",
    "ya29." + MIXED[:60]: "a Google token",
    "LTAI5t" + MIXED[:18]: "an Alibaba Cloud access key",
    "AKID" + MIXED[:32]: "a Tencent Cloud access key",
    "npm_" + MIXED[:36]: "an npm token",
    "pypi-AgE" + "IcHlwaS5vcmc" + MIXED[:60]: "a PyPI token",
    "dckr_pat_" + MIXED[:27]: "a Docker token",
    "dapi" + HEX * 2: "a Databricks token",
    "sk_live_" + MIXED[:24]: "a Stripe key",
    "rk_test_" + MIXED[:24]: "a Stripe key",
    "whsec_" + MIXED[:32]: "a Stripe key",
    "xoxb-" + "123456789012-abcdef": "a Slack token",
    "https://hooks.slack.com/" + "services/T000/B000/" + MIXED[:24]: "a Slack webhook",
    "https://discord.com/" + "api/webhooks/123456789012345678/" + MIXED[:60]: "a Discord webhook",
    "MTIzNDU2Nzg5MDEyMzQ1Njc4." + "GabcDE." + MIXED[:38]: "a Discord token",
    "SG." + MIXED[:22] + "." + MIXED[:43]: "a SendGrid key",
    "123456789:AA" + MIXED[:33]: "a Telegram bot token",
    "wandb_v1_" + MIXED[:60]: "a Weights & Biases key",
    "WANDB_API_KEY=" + "0123456789" * 4: "a Weights & Biases key",
    "wandb login " + "0123456789" * 4: "a Weights & Biases key",
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0." + MIXED[:43]: "a JSON Web Token",
    "Authorization: Bearer " + MIXED[:40]: "a bearer token",
    "Authorization: Basic " + "YWRhOmxvdmVsYWNlMTIz": "a login of HTTP",
    "machine api.wandb.ai login user password " + MIXED[:40]: "a login of a .netrc file",
    "machine hub.org\n  login ada\n  password s3cret": "a login of a .netrc file",
    "https://somebody:" + "secretword@git.org/x.git": "a password in a URL",
    "postgresql://ada:" + "hunter22@db.org/x": "a password in a URL",
    "client_secret: " + MIXED[:24]: "a secret beside its name",
}

PRIVATE: dict[str, str] = {
    "/home/ada/run": PATH,
    "base:/home/ada/run": PATH,
    "/data2/ada/run": PATH,
    "/srv/models/run": PATH,
    "/opt/models/run": PATH,
    "/cpfs01/user/ada": PATH,
    "/Volumes/Disk/run": PATH,
    "C:/Users/ada/run": PATH,
    "C:\\Users\\ada\\run": PATH,
    "file:///data/run": PATH,
    "~/models/run/": PATH,
    "ada.lovelace@analytical-engines.com": MAIL,
    "ada@engines.co.uk": MAIL,
    "gpu-07.internal": HOST,
    "http://train01.corp/x": HOST,
    "https://minio.storage.svc.cluster.local:9000": HOST,
    "ssh ada@dgx.lan": HOST,
    "http://gpu07:8000/v1": HOST,
    "192.168.1.17": HOST,
    "10.0.3.4:8000": HOST,
}


def as_json(name: str, data: Callable[[str], object]) -> Callable[[Path, str], None]:
    return lambda folder, value: write(folder, name, json.dumps(data(value)).encode())


def as_text(name: str, text: str, encoding: str = "utf-8") -> Callable[[Path, str], None]:
    return lambda folder, value: write(folder, name, text.replace("VALUE", value).encode(encoding))


def write(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)


def metadata(folder: Path, value: str) -> None:
    save_file({"a": np.ones(2, np.float32)}, folder / "model.safetensors", {"run": f"of {value}"})


def picture(folder: Path, value: str) -> None:
    text = b"tEXtComment\0" + value.encode() + b" "
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    write(folder, "examples/1.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xfe" + chunk)


def large(folder: Path, filler: bytes) -> None:
    """Every credential in a file that is searched in windows, the first across an end of one."""
    data = bytearray(filler * ((65 << 20) // len(filler)))
    for number, value in enumerate(SECRETS):
        text = b"\n\n " + value.encode() + b" \n\n"
        at = (16 << 20) - 20 + number * 700_001
        data[at : at + len(text)] = text
    write(folder, "notes.dat", bytes(data))


PLACES: dict[str, Callable[[Path, str], None]] = {
    "base config": as_json("config.json", lambda v: {"llm_config": {"note": f"see {v} there"}}),
    "base config, a key": as_json("config.json", lambda v: {"llm_config": {f"see {v}": 1}}),
    "base config, behind \\n": as_json("config.json", lambda v: ["first\n" + v]),
    "generation config": as_json("generation_config.json", lambda v: {"note": f"({v})"}),
    "chat template": as_json(
        "tokenizer_config.json", lambda v: {"chat_template": f"{{% if x %}}\n{v}\n{{% endif %}}"}
    ),
    "chat_template.jinja": as_text("chat_template.jinja", "{# VALUE #}\n{{ messages }}"),
    "companion code": as_text("modeling_x.py", "class X:\n    # see VALUE here\n    ...\n"),
    "companion code, behind \\n": as_text("modeling_x.py", "x = 'first\\nVALUE '\n"),
    "weights' metadata": metadata,
    "adapter settings": as_json("adapter/adapter_config.json", lambda v: {"revision": f"at {v}"}),
    "README": as_text("README.md", "# Model\n\nsee VALUE here\n"),
    "title": as_text("README.zh-CN.md", "---\ntitle: (VALUE)\n---\n"),
    "summary": as_text("README.md", "中文 `VALUE` 中文\n"),
    "provenance": as_json("provenance.json", lambda v: {"questions": [{"text": f"is {v} it?"}]}),
    "results": as_text(".eval_results/digits.yaml", "- value: 0.9\n  notes: see VALUE there\n"),
    "ids": as_text("examples/rows.jsonl", '{"id": " VALUE "}\n'),
    "notice": as_text("NOTES.txt", "VALUE\n"),
    "UTF-16": as_text("notes.txt", "see VALUE here", "utf-16"),
    "UTF-16 without a mark": as_text("notes.txt", "see VALUE here", "utf-16-be"),
    "after a NUL": as_text("notes.txt", "a\0 VALUE"),
}
SECRET_PLACES: dict[str, Callable[[Path, str], None]] = {
    "vocabulary": as_json("tokenizer.json", lambda v: {"model": {"vocab": {f" {v}": 1}}}),
    "licence": as_text("LICENSE", "Copyright\n VALUE\n"),
    "picture": picture,
    "binary": lambda folder, value: write(
        folder, "tokenizer.model", b"\x0a\x0e\x00\xff\xfe " + value.encode() + b"\xff\0"
    ),
    "UTF-16 in a binary": lambda folder, value: write(
        folder, "tokenizer.model", b"\0\xff\xfe\xff" + f" {value} ".encode("utf-16-le") + b"\xff\0"
    ),
}
"""Here paths and addresses are no findings: they are tokens, or a licence names people."""


NAMES = ("{}.txt", "notes ({}).md", "a b {}/notes.txt", "{}")
"""Names of files: forms that no name can have are left out."""


def compressed() -> dict[str, Callable[[bytes], bytes]]:
    import bz2
    import gzip
    import io
    import lzma
    import zipfile

    def zipped(data: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("notes.txt", data)
        return out.getvalue()

    return {"zip": zipped, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
