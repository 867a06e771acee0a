#!/bin/sh
# Puts a backup in the place of the database. The one that was there is kept under another name until you drop it; if the backup
# cannot be read it stays in its place.
#
# usage: deploy/restore.sh FILE
set -eu
if [ $# -ne 1 ] || [ ! -r "$1" ]; then
    echo "usage: deploy/restore.sh FILE (a readable file made by deploy/backup.sh)" >&2
    exit 2
fi
case $1 in /*) file=$1 ;; *) file=$PWD/$1 ;; esac
cd "$(dirname "$0")/.."
name=${DATABASE_NAME:-vigia}
fresh=${name}_restored
former=${name}_before_$(date -u +%Y%m%dT%H%M%SZ | tr TZ tz)

run_sql() {
    docker compose exec -T database psql --username=postgres --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname="$1" --file=- >/dev/null
}

docker compose up -d database
tries=60
until docker compose exec -T database pg_isready --quiet --host=127.0.0.1 --username=postgres; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || {
        echo "restore.sh: the database does not answer; see: docker compose logs database" >&2
        exit 2
    }
    sleep 1
done

run_sql postgres <<END
drop database if exists "$fresh" with (force);
create database "$fresh";
END
echo "create extension if not exists timescaledb; select timescaledb_pre_restore();" | run_sql "$fresh"
docker compose exec -T database pg_restore --username=postgres --exit-on-error --dbname="$fresh" <"$file" || {
    echo "drop database \"$fresh\" with (force);" | run_sql postgres
    echo "restore.sh: $file could not be restored; the database is as it was" >&2
    exit 2
}
echo "select timescaledb_post_restore();" | run_sql "$fresh"
# Rights on the database itself are not part of a dump.
run_sql "$fresh" <deploy/database/logins.sql

docker compose stop ingest analytics worker api
# Nobody is connected while the names change, TimescaleDB's own workers included.
run_sql postgres <<END
alter database "$name" allow_connections false;
alter database "$fresh" allow_connections false;
select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname in ('$name', '$fresh');
alter database "$name" rename to "$former";
alter database "$fresh" rename to "$name";
alter database "$name" allow_connections true;
END
docker compose up -d
echo "restored $file. The former database is kept as $former; when all is well: docker compose exec database dropdb --username=postgres $former"
