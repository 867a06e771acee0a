#!/bin/sh
# Admits a gateway: a key and certificate for GROUP:NODE, and what the broker lets that name do. For a gateway that is already
# admitted it renews the certificate; the old one stays valid until it expires or deploy/remove-edge.sh revokes it.
#
# usage: deploy/add-edge.sh GROUP NODE
#   GROUP   the customer's code (Sparkplug group_id)
#   NODE    the site's code (Sparkplug edge_node_id)
set -eu
umask 077
# shellcheck source=deploy/pki.sh
. "$(dirname "$0")/pki.sh"
identity=$(edge_identity "$@")
need_authority
group=$1 node=$2
folder=$pki/edges/$group/$node

# Sparkplug wants names that differ in more than their case.
if grep -iqxF "user $identity" "$pki/broker/acl" && ! grep -qxF "user $identity" "$pki/broker/acl"; then
    die "another edge has this name in other upper and lower case: $(grep -ixF "user $identity" "$pki/broker/acl" | cut -d' ' -f2)"
fi

sign_client "$identity" "$folder" edge
chmod 0600 "$folder/edge.key"

if ! grep -qxF "user $identity" "$pki/broker/acl"; then
    cp "$pki/broker/acl" "$pki/broker/acl.new"
    cat >>"$pki/broker/acl.new" <<END

user $identity
topic write spBv1.0/$group/NBIRTH/$node
topic write spBv1.0/$group/NDEATH/$node
topic write spBv1.0/$group/NDATA/$node
topic write spBv1.0/$group/DBIRTH/$node/+
topic write spBv1.0/$group/DDEATH/$node/+
topic write spBv1.0/$group/DDATA/$node/+
topic read spBv1.0/$group/NCMD/$node
topic read spBv1.0/$group/DCMD/$node/+
topic read spBv1.0/STATE/vigia
END
    chmod 0644 "$pki/broker/acl.new"
    mv "$pki/broker/acl.new" "$pki/broker/acl"
fi

echo "admitted $identity. Bring $folder (ca.crt, edge.crt, edge.key) to the gateway over a safe channel, then remove edge.key here."
echo "The broker follows within seconds."
