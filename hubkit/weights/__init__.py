"""Reading, merging, converting and checking weights in bounded memory."""
