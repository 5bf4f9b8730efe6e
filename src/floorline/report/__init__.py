"""Plots of what a replay measured."""
