"""Floorline as a part of other programs."""
