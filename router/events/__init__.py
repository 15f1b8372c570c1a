"""Call events for agencies' programs: outgoing webhooks and the live feed."""
