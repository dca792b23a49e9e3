"""The cost and the speed of pubsubpull, compared with other packages. Run by `make bench`."""
