#!/bin/sh
# Runs Mosquitto for docker-compose.yml. Whom it believes, who may do what, and which certificates count no more come from two
# sides: pki/, made by the scripts in deploy/, and gate/, written by `vigia gate run`. When either changes, Mosquitto reads both
# again and goes on; only for another authority it has to start anew.
#
# usage: run.sh [FOLDER]     FOLDER: with config/, pki/, gate/ and an empty made/, default /mosquitto
set -u
umask 022
folder=${1:-/mosquitto}
made=$folder/made

# gather FILE: both sides' parts as one file; false when nothing has changed.
gather() {
    cat "$folder/pki/$1" >"$made/$1.new" || exit 1
    [ ! -f "$folder/gate/$1" ] || cat "$folder/gate/$1" >>"$made/$1.new"
    ! cmp -s "$made/$1.new" "$made/$1" && mv "$made/$1.new" "$made/$1"
}

start() {
    mosquitto -c "$folder/config/mosquitto.conf" &
    broker=$!
}

stop() {
    kill -TERM "$broker"
    wait "$broker"
}

for file in ca.crt acl crl.pem; do gather "$file"; done
start
trap 'stop; exit $?' TERM INT
while kill -0 "$broker" 2>/dev/null; do
    sleep 1 &
    wait $!
    changed=
    for file in ca.crt acl crl.pem; do
        ! gather "$file" || changed="$changed $file"
    done
    case $changed in
    "") ;;
    *ca.crt*) stop; start ;;
    *) kill -HUP "$broker" ;;
    esac
done
wait "$broker"
