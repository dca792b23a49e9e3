"""A project whose past other audit packages wrote down; tests/acceptance/test_imports.py runs its tests."""
