"""Features, random numbers and snapshots: what every part of the core is built on."""
