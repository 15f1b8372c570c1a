"""The service's statements on a database as it is after years: plans, times, sizes, and the memory of a sweep."""
