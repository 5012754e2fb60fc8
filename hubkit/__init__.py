"""hubkit: from a fine-tuned vision-language model to a verified public release."""
