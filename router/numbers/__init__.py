"""Agencies' numbers: the accounts they are on, buying and taking over, registrations, drift, release."""
