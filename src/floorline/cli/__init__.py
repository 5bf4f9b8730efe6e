"""The ``floorline`` command, one module per subcommand."""
