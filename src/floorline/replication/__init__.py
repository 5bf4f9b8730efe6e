"""Several replicas, one log and one learner: what they share in PostgreSQL."""
