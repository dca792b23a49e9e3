"""What pubsubpull costs and how fast it is, beside what others offer. Run by `make bench`."""
