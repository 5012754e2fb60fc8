"""Git and Git LFS remotes as a hub: any forge, a server of your own, or a bare repository on a
disk."""

from .hub import GitLfsHub, Options

__all__ = ["GitLfsHub", "Options"]
