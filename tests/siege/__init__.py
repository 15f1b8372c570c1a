"""The siege: one agency, or somebody without any key, attacks the service while other agencies get calls."""
