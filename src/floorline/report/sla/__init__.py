"""Report on an SLA over a period, for the customer it was promised to."""
