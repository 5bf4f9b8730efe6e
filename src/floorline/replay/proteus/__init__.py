"""The protocol of PROTEUS: compliance over target levels, and floors that move."""
