"""release.yaml: its model (model.py), from the file to the model (file.py), and its lines."""
