#!/usr/bin/env bash
# Makes a small certificate authority with the openssl command, and what the tests need of it:
#   authority.sh FOLDER
# root.pem               the authority to trust               other-root.pem    one that vouches for nothing
# NAME.pem NAME.key      a certificate (with the intermediate behind it) and its key
# NAME-alone.pem         the same without the intermediate
set -euo pipefail
folder=$1
rm -rf "$folder"
mkdir -p "$folder/ca/new"
cd "$folder"
exec >authority.log 2>&1

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

root() {
    new_key "$1.key"
    openssl req -new -x509 -key "$1.key" -out "$1.pem" -days 3650 -subj "/O=Tern tests/CN=$2" \
        -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign
}
root root "Root"
root other-root "Another Root"

cat >ca.cnf <<'CNF'
[ca]
default_ca = ca_default
[ca_default]
dir = ca
new_certs_dir = ca/new
database = ca/index.txt
serial = ca/serial
default_md = sha256
policy = any
unique_subject = no
[any]
organizationName = optional
commonName = supplied
CNF
: >ca/index.txt
echo 1000 >ca/serial

# sign CA NAME SUBJECT START END EXTENSIONS
sign() {
    printf '%s\n' "$6" >extensions.cnf
    openssl req -new -key "$2.key" -out "$2.csr" -subj "$3"
    openssl ca -batch -config ca.cnf -cert "$1.pem" -keyfile "$1.key" -in "$2.csr" -out "$2-alone.pem" -notext \
        -startdate "$4" -enddate "$5" -extfile extensions.cnf
}
past=20200101000000Z
now=20240101000000Z
later=20480101000000Z

new_key intermediate.key
sign root intermediate "/O=Tern tests/CN=Intermediate" $now $later \
    $'basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign'
cp intermediate-alone.pem intermediate.pem

# server NAME ALTERNATIVE-NAMES [START END]
server() {
    new_key "$1.key"
    sign intermediate "$1" "/CN=$1" "${3:-$now}" "${4:-$later}" \
        "subjectAltName=$2"$'\nextendedKeyUsage=serverAuth'
    cat "$1-alone.pem" intermediate.pem >"$1.pem"
}
server good DNS:localhost,DNS:good.test,IP:127.0.0.1,IP:::1
server wildcard DNS:*.wild.test
server ip-only IP:127.0.0.1
# A name that would do something to a terminal.
server odd-address DER:300a87027f008204742e7474
server escape DER:300b82096576696c1b5b324a78
server expired DNS:localhost $past 20210101000000Z
server future DNS:localhost 20470101000000Z $later

# The right name, but in the subject only.
new_key localhost.key
sign intermediate localhost /CN=localhost $now $later extendedKeyUsage=serverAuth
cat localhost-alone.pem intermediate.pem >localhost.pem

new_key self-signed.key
openssl req -new -x509 -key self-signed.key -out self-signed.pem -days 3650 -subj "/CN=localhost" \
    -addext subjectAltName=DNS:localhost

client() {
    new_key "$1.key"
    sign "$2" "$1" "/CN=$1" $now $later extendedKeyUsage=clientAuth
    cp "$1-alone.pem" "$1.pem"
}
client client root
client stranger other-root
openssl pkcs8 -topk8 -in client.key -v2 des3 -v2prf hmacWithSHA1 -out client-encrypted.key -passout pass:secret
openssl x509 -in client.pem -outform DER -out client.der
openssl pkey -in client.key -outform DER -out client-key.der
openssl x509 -in root.pem -outform DER -out root.der
mkdir roots
cp root.pem roots/
openssl rehash roots
for name in good root client; do
    openssl x509 -in $name.pem -pubkey -noout | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary |
        base64 | sed 's|^|sha256//|' | tr -d '\n' >$name.pin
done
