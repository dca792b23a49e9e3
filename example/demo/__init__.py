"""The demo: a shop, billing that follows it, real writes, and the proof that each of them arrived."""
