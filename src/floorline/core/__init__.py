"""Features, random numbers, ids, configurations and snapshots, which all other parts use."""
