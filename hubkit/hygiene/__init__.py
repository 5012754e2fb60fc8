"""What may be published: one rule for every file of a folder."""
