"""Whether keys still work: looked at on a schedule, told to people before a caller finds out."""
