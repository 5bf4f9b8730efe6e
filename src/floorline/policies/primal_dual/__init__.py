"""The flagship policy, one part a file."""
