"""configuration.json for ModelScope."""

from __future__ import annotations

from pathlib import Path

from hubkit.packaging.configuration import write_configuration


def test_it_is_written_once_and_one_that_is_there_is_kept(tmp_path: Path) -> None:
    path = write_configuration(tmp_path, "image-text-to-text")
    assert path.read_text("utf-8") == '{"framework": "pytorch", "task": "image-text-to-text"}\n'
    path.write_text(
        '{"framework": "pytorch", "task": "visual-question-answering", "allow_remote": true}'
    )
    assert "allow_remote" in write_configuration(tmp_path, "image-text-to-text").read_text("utf-8")
