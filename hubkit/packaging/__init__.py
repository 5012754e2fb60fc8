"""What makes a model folder a release: card, manifest, audit, provenance, Git LFS staging."""
