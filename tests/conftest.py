"""Fixtures that every tier shares. Fixtures of one concern stand beside its tests."""

from __future__ import annotations
