"""release.yaml: its sections, from the file to the model (file.py), and its lines.

model.py       the whole, and its JSON schema
making.py      base, data, train, merge
judging.py     smoke, evaluate, variants
publishing.py  author, card, publish, upload, verify, notify
where.py       where a stage runs
fields.py      kinds of values that several sections have
"""
