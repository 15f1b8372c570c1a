"""What callers leave behind: filing messages, mailing them, deleting them in time."""
