"""Call events as endpoints and live feeds read them, and the deliveries to endpoints."""
