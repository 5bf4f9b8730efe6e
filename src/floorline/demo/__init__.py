"""What ``floorline demo --gateway`` and ``serve --demo`` run: simulated models and users."""
