#!/bin/sh
# Writes .env beside docker-compose.yml from deploy/env.example, with a new password in every empty *_PASSWORD line.
#
# usage: deploy/make-env.sh [FILE]     FILE: where to write, default .env; an existing file is never overwritten
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-$here/../.env}

if [ -e "$target" ]; then
    echo "make-env.sh: $target exists: its passwords are in use. Change lines in it by hand" >&2
    exit 2
fi
# Compose refuses to start without .env, so this order keeps Docker from making an empty folder where the certificates belong.
[ -f "${PKI_DIR:-$here/pki}/broker/acl" ] || {
    echo "make-env.sh: there are no certificates yet: run deploy/certificates.sh HOST first" >&2
    exit 2
}
command -v openssl >/dev/null || {
    echo "make-env.sh: openssl is not installed (Debian: apt install openssl)" >&2
    exit 2
}
while IFS= read -r line; do
    case $line in
    *_PASSWORD=) printf '%s%s\n' "$line" "$(openssl rand -hex 24)" ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$here/env.example" >"$target"
echo "wrote $target, readable by you only"
