"""Analysis: arrays in, numbers out."""
