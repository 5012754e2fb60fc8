"""The stages of a release, one file each: what it depends on, one call of a lower room, what it
says of its result."""
