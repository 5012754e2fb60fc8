"""How CLIP's pictures are normalised: mean and deviation of red, green and blue, from
preprocessor_config.json of openai/clip-vit-large-patch14-336."""

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
