# Read by the scripts beside it, not run. A small certificate authority in one folder:
#
#   pki/ca/       the authority: its key never leaves this folder and is mounted into no container
#   pki/broker/   what the broker reads: its key, the authority's certificate, the revocation list, who may do what
#   pki/ingest/   what ingest reads
#   pki/edges/GROUP/NODE/   what goes to a gateway
#
# The folder itself is 0700, so nobody else on this machine can reach into it. The keys the containers read are 0644 inside
# it: each container runs under its own user, and Docker mounts a file with the owner and mode it has here.

pki=${PKI_DIR:-$(cd "$(dirname "$0")" && pwd)/pki}
ca=$pki/ca
export CA_FOLDER="$ca" # read by openssl.cnf, so that the folder may be moved
authority_days=3650
leaf_days=825

die() {
    echo "$(basename "$0"): $*" >&2
    exit 2
}

need_authority() {
    command -v openssl >/dev/null || die "openssl is not installed (Debian: apt install openssl)"
    [ -f "$ca/ca.key" ] || die "no authority in $ca: run deploy/certificates.sh HOST first"
}

# sign COMMON_NAME EXTENSIONS FOLDER FILE: a new key and a certificate of the authority, as FOLDER/FILE.key and FOLDER/FILE.crt.
sign() {
    mkdir -p "$3"
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$3/$4.key.new" -out "$ca/request.pem" 2>"$ca/log" || {
        cat "$ca/log" >&2
        die "openssl could not make the key of $1"
    }
    printf '%s\n' "$2" >"$ca/extensions.cnf"
    openssl ca -batch -notext -config "$ca/openssl.cnf" -extfile "$ca/extensions.cnf" -days "$leaf_days" -in "$ca/request.pem" -out "$3/$4.crt.new" 2>"$ca/log" || {
        cat "$ca/log" >&2
        die "openssl could not sign the certificate of $1"
    }
    # Renamed, never written over: a reader sees the old pair or the new one.
    mv "$3/$4.key.new" "$3/$4.key"
    mv "$3/$4.crt.new" "$3/$4.crt"
    chmod 0644 "$3/$4.key" "$3/$4.crt"
    cp "$ca/ca.crt" "$3/ca.crt"
    rm -f "$ca/request.pem" "$ca/extensions.cnf" "$ca/log"
}

sign_client() {
    sign "$1" "basicConstraints=critical,CA:false
keyUsage=critical,digitalSignature
extendedKeyUsage=clientAuth" "$2" "$3"
}

# The list outlives the authority: an expired one would lock every gateway out.
write_revocation_list() {
    mkdir -p "$pki/broker"
    openssl ca -gencrl -config "$ca/openssl.cnf" -crldays "$authority_days" -out "$pki/broker/crl.pem.new" 2>"$ca/log" || {
        cat "$ca/log" >&2
        die "openssl could not write the revocation list"
    }
    mv "$pki/broker/crl.pem.new" "$pki/broker/crl.pem"
    chmod 0644 "$pki/broker/crl.pem"
    rm -f "$ca/log"
}

# Prints GROUP:NODE, the name the broker knows the gateway by, when both are usable names.
edge_identity() {
    [ $# -eq 2 ] || die "usage: deploy/$(basename "$0") GROUP NODE"
    for name in "$1" "$2"; do
        case $name in
        "" | *[!A-Za-z0-9._-]* | .*) die "'$name' is no usable name: letters, digits, dot, hyphen and underscore, not starting with a dot" ;;
        esac
    done
    identity=$1:$2
    [ ${#identity} -le 64 ] || die "$identity is longer than the 64 characters a certificate's name may have"
    printf '%s\n' "$identity"
}
