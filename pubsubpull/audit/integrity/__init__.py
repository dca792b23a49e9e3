"""That the log is whole: seals, proofs, protection, erasure, baselines."""
