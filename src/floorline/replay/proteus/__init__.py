"""The protocol of PROTEUS: compliance over target levels, and floors that move."""

from floorline._extras import needs

with needs("bench", "the protocol of PROTEUS"):
    import rich  # noqa: F401
    import scipy  # noqa: F401
