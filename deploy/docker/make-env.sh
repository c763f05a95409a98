#!/bin/sh
# Writes .env beside this script from .env.example, with secrets of its own. It never replaces one: what its keys encrypted
# would be lost.
set -eu
cd "$(dirname "$0")"
if [ -e .env ]; then
  echo "deploy/docker/.env is there already; it stays as it is." >&2
  exit 1
fi
umask 077
while IFS= read -r line; do
  case $line in
  *=random) line=${line%random}$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n') ;;
  *=key) line=${line%key}$(head -c 32 /dev/urandom | base64 | tr -d '\n') ;;
  esac
  printf '%s\n' "$line"
done <.env.example >.env
echo "Wrote deploy/docker/.env. Set the address of the mail server in it."
