"""Serving with several replicas: the process of the learner, and what each replica follows."""
