"""Streams in which quality, prices, models, feedback or prompts change, and their metrics."""
