"""The NixOS test driver's Python interface: what test scripts see and import.

A script runs in an interpreter of its own, a child of the driver. Machines live in the driver; the objects here only call it over Varlink.
Nothing here imports what the first line of a script can do without: its start counts.
"""
