"""The integrity of the log: seals and their verification, protection by rights, erasure, and baselines."""
