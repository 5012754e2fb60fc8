"""Every public verb: what the command line calls, and what a program calls.

init.py           a release file written from what is there
release.py        a release from its file: plan, run, foresee
data.py           data checked, repaired, split, made
folders.py        assemble, convert, merge, check, card, track
models.py         smoke, evaluate, serve, demo
hubs.py           push, verify, diff, withdraw, login_status
rehearse.py       the hub on this machine
environments.py   locked environments
plugins.py        what is installed, and what plugin authors need
names.py          what a shell may complete
doctor.py         what this machine offers
quickstart.py     the whole of it on a tiny model
"""
