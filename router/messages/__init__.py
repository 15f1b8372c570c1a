"""Voicemail messages: filing, mailing and deleting them."""
