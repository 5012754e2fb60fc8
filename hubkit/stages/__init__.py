"""The stages of a release, one small file each: a public function of typed inputs to a typed
result, and its STAGE."""
