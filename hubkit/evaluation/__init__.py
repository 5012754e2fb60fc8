"""Evaluation: from answers to what a card may claim.

metrics.py          the metrics that come with hubkit, plugins like any other
multiple_choice.py  which choice an answer names
edit_distance.py    Levenshtein's distance, for ANLS
statistics.py       confidence intervals, paired tests
results.py          Evaluated and its parts: what was measured
judging.py          answers to scores, record by record
score.py            scores to an Evaluated: means, intervals, slices
gallery.py          records drawn by chance, in proportion to how they came out
wording.py          what a card says of a metric
gates.py            the gates of `evaluate.require`
samples.py          one row per record, as JSON Lines or Parquet
"""
