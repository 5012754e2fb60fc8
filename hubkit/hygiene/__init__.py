"""What may be published: one rule for every file of a folder.

audit.py        the rule: every finding about a folder
names.py        what a name tells: credentials, caches, hidden files, programs, clashes
pickles.py      pickles by suffix and by content
redirects.py    settings that make a loader read some other file
search.py       what a file's text gives away, made of:
reading.py      lines and JSON strings, with their places
secrets.py      the forms of credentials
local_paths.py  paths of one machine, found and left out
contacts.py     e-mail addresses, private host names
"""
