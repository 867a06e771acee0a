#!/bin/sh
# Shuts a gateway out: revokes every certificate of GROUP:NODE and takes its lines from what the broker allows.
#
# usage: deploy/remove-edge.sh GROUP NODE
set -eu
umask 077
# shellcheck source=deploy/pki.sh
. "$(dirname "$0")/pki.sh"
identity=$(edge_identity "$@")
need_authority

# index.txt has tab-separated columns: state (V valid, R revoked), expiry, revocation, serial number, file, subject.
serials=$(awk -F '\t' -v name="/CN=$identity" '$1 == "V" && $6 == name { print $4 }' "$ca/index.txt")
[ -n "$serials" ] || grep -qxF "user $identity" "$pki/broker/acl" || die "no edge $identity was admitted"
for serial in $serials; do
    openssl ca -config "$ca/openssl.cnf" -revoke "$ca/issued/$serial.pem" 2>"$ca/log" || {
        cat "$ca/log" >&2
        die "openssl could not revoke $serial"
    }
done
write_revocation_list

# Its block is its `user` line and all up to the next `user` line.
awk -v line="user $identity" '$1 == "user" { skip = ($0 == line) } !skip' "$pki/broker/acl" >"$pki/broker/acl.new"
chmod 0644 "$pki/broker/acl.new"
mv "$pki/broker/acl.new" "$pki/broker/acl"
rm -rf "$pki/edges/$1/$2"

echo "removed $identity. It can do nothing more within seconds; its connection is dropped by: docker compose restart broker"
