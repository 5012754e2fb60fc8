"""Evaluation: from answers to what a card may claim.

metrics.py          the metrics that come with hubkit, plugins like any other
multiple_choice.py  which choice an answer names
edit_distance.py    Levenshtein's distance, for ANLS
statistics.py       confidence intervals by bootstrap, paired tests
results.py          Evaluated and its parts: what was measured
score.py            answers to an Evaluated: scores, slices, samples
wording.py          what a card says of a metric
requirements.py     the gates of `evaluate.require`
samples.py          one row per record, as JSON Lines or Parquet
"""
