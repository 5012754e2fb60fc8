"""The release: its file, its stages in order, and the folder that they are sealed in.

run.py            plan, run, resume
preflight.py      what can be known to fail before any work is done, told at once
requirements.py   each thing that a release needs
workspace.py      the run folder: lock, seals, scratch
stage.py          what a stage is, and what it sees of the release
card_facts.py     what the stages found, as card and provenance say it
given_adapter.py  an adapter that was trained before, in the place of a trained one
first_prompt.py   the sample whose prompt is compared between training and engines
spec/             release.yaml
stages/           prepare train merge smoke evaluate package publish verify
"""
