"""Releases at hubs.

publish.py     to several hubs at once; receipts, journals
parallel.py    shares of the network, one interruption for all
verify.py      read back, or downloaded afresh and asked
comparison.py  what a hub has against what was released
"""
