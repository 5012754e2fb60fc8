"""Git and Git LFS remotes as a hub."""
