"""Files: those that come from outside, which are untrusted, and those that hubkit writes.

outside.py  one door for files that somebody else made
tree.py     everything in a folder, and the names that a release may have
disk.py     shared blocks, removal, JSON
"""
