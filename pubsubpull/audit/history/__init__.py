"""The past of objects: histories, moments, the trail, exports, and restoring."""
