"""Attacks that must go on failing: each kind of foreign input, generated where possible.

`test_addresses` are disguises of addresses that callbacks may not lead to. The answers of receivers are in
tests/acceptance/test_hostile_receivers.py, the addresses of connections in
tests/integration/test_guarded_connections.py.
"""
