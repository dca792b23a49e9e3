"""Attacks that must go on failing: each kind of input that somebody else sets, generated where it can be.

`test_addresses` are disguises of addresses that callbacks may not lead to. What receivers answer is in
tests/acceptance/test_hostile_receivers.py, what a connection is made to in
tests/integration/test_guarded_connections.py.
"""
