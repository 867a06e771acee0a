#!/bin/sh
# Writes the whole database to one file, while everything runs.
#
# usage: deploy/backup.sh [FILE]     FILE: default backup-DATE.dump in the current folder
set -eu
umask 077
file=${1:-backup-$(date -u +%Y%m%dT%H%M%SZ).dump}
case $file in /*) ;; *) file=$PWD/$file ;; esac
[ ! -e "$file" ] || {
    echo "backup.sh: $file exists; name another file" >&2
    exit 2
}
cd "$(dirname "$0")/.."

# Renamed when whole: a file without .partial is a backup that ended well.
docker compose exec -T database pg_dump --username=postgres --format=custom "${DATABASE_NAME:-vigia}" >"$file.partial" || {
    rm -f "$file.partial"
    echo "backup.sh: the database could not be dumped; nothing was written" >&2
    exit 2
}
mv "$file.partial" "$file"
echo "wrote $file ($(wc -c <"$file") bytes). Keep deploy/pki and .env with it"
