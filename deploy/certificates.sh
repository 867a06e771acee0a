#!/bin/sh
# Makes the certificate authority (once), and the certificates of the broker, of ingest and of the broker's health check
# (anew at each run: run it again to renew them or to give the broker another name, then restart broker and ingest).
#
# usage: deploy/certificates.sh HOST...
#   HOST   each name or IPv4 address by which gateways reach the broker; `broker` and `localhost` are added
#
# Needs openssl. Writes to deploy/pki, or to $PKI_DIR.
set -eu
umask 077
# shellcheck source=deploy/pki.sh
. "$(dirname "$0")/pki.sh"

[ $# -gt 0 ] || die "usage: deploy/certificates.sh HOST... (the names or addresses by which gateways reach the broker)"
command -v openssl >/dev/null || die "openssl is not installed (Debian: apt install openssl)"

alternatives=DNS:broker,DNS:localhost,IP:127.0.0.1
for host in "$@"; do
    case $host in
    "" | *[!A-Za-z0-9.-]*) die "'$host' is neither a host name nor an IPv4 address" ;;
    *[!0-9.]*) alternatives=$alternatives,DNS:$host ;;
    *) alternatives=$alternatives,IP:$host ;;
    esac
done

if [ ! -f "$ca/ca.key" ]; then
    mkdir -p "$ca/issued"
    chmod 0700 "$pki" "$ca"
    : >"$ca/index.txt"
    cat >"$ca/openssl.cnf" <<'END'
[ca]
default_ca = authority
[authority]
dir = $ENV::CA_FOLDER
database = $dir/index.txt
new_certs_dir = $dir/issued
certificate = $dir/ca.crt
private_key = $dir/ca.key
rand_serial = yes
unique_subject = no
default_md = sha256
policy = name
[name]
commonName = supplied
END
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$authority_days" -subj "/CN=Vigia" \
        -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign \
        -keyout "$ca/ca.key.new" -out "$ca/ca.crt" 2>"$ca/log" || {
        cat "$ca/log" >&2
        die "openssl could not make the authority"
    }
    mv "$ca/ca.key.new" "$ca/ca.key"
    echo "made the certificate authority in $ca: keep a copy of that folder in a safe place"
fi

sign broker "basicConstraints=critical,CA:false
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectAltName=$alternatives" "$pki/broker" broker
sign_client health "$pki/broker" health
sign_client ingest "$pki/ingest" ingest
write_revocation_list

if [ ! -f "$pki/broker/acl" ]; then
    cp "$(dirname "$0")/mosquitto/acl" "$pki/broker/acl"
fi
# Directories a container enters under its own user.
chmod 0755 "$pki/broker" "$pki/ingest"
chmod 0644 "$pki/broker/acl" "$pki/broker/ca.crt" "$pki/ingest/ca.crt"
echo "made the certificates of broker ($alternatives), health and ingest; they are valid for $leaf_days days"
