"""Reference policies that result tables compare with."""
