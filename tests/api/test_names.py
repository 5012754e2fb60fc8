"""The public names of hubkit."""

import hubkit


def test_the_public_names_are_these() -> None:
    assert hubkit.__all__ == sorted(hubkit.__all__, key=lambda n: (not n[0].isupper(), n))
    verbs = (
        "assemble card check check_plugin convert demo diff doctor evaluate export foresee init "
        "json_schema load_spec login_status merge new_plugin plan prepare push rehearse "
        "release release_each serve smoke track verify withdraw"
    )
    assert [name for name in hubkit.__all__ if name[0].islower()] == verbs.split()
    for name in hubkit.__all__:
        assert getattr(hubkit, name).__doc__, name
