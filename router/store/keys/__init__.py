"""Rows of sealed keys: their versions, how each is doing, and the secrets beside them."""
