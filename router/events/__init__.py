"""Call events for agencies' own programs: outgoing webhooks and the live feed."""
