"""Other forms of a finished model, such as GGUF: made by exporters, judged beside the model."""
