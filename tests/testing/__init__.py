"""What the tests of hubkit and of its bundled plugins share."""
