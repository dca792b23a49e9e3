"""Each object's past: its trail, moments in time, restoring, exports."""
