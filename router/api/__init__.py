"""/v1: the HTTP API over which agencies and their programs see and change what is theirs."""
