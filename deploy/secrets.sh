#!/bin/sh
# Makes the secrets for compose.yaml in deploy/secrets, those that are not there yet. Back them up. Secrets of other services,
# such as the Twilio token, are files that you put into deploy/secrets/more.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets/more
chmod 755 secrets/more

random() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }
word() { head -c "$1" /dev/urandom | od -An -tx1 | tr -d ' \n'; }

# Only the owner gets into the folder; a container's user has to read the files that are mounted from it.
write() {
    [ -e "secrets/$1" ] || printf '%s' "$2" >"secrets/$1"
    chmod 444 "secrets/$1"
}

write postgres_password "$(word 24)"
password=$(cat secrets/postgres_password)
write database_url "postgres://callrouter:$password@postgres:5432/callrouter"
write database_direct_url "postgres://callrouter:$password@postgres:5432/callrouter"
write pgbouncer_users "\"callrouter\" \"$password\""
write platform_keys "$(word 4):$(random 32)"
write fallback_keys "$(word 4):$(random 32)"
write admin_token "admin_$(word 24)"
