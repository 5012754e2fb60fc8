"""Data before they are trained on: checked, repaired, split, described and, where there are none,
made.

scan.py        rows of any adapter, sound or not
pictures.py    images: there, decodable, of a sane size, the same twice
hashes.py      a small set of many hashes
special.py     the model's own tokens in texts
validate.py    one pass over a dataset: sound records out, findings kept
lengths.py     how long records are in tokens, and what a limit would cut
split.py       training and holdout, and what the two share
report.py      the findings as data and as one HTML page
output.py      records as LLaVA JSON Lines
terms.py       licence and restrictions, and what a release file accepts of them
prepare.py     all of it: `hubkit prepare`
hub.py         datasets of the Hugging Face Hub
generate.py    questions and answers asked of a vision endpoint
"""
