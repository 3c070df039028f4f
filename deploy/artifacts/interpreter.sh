#!/bin/sh
# Starts this archive's Python on this archive's C library, whatever the system has.
set -eu
home=$(dirname "$(dirname "$(readlink -f "$0")")")
# Locales are files of the C library, and the system's are another one's. Python takes UTF-8 all the same.
export LC_ALL=C PYTHONNOUSERSITE=1
# Arrow asks Python's ssl for the certificates, and Debian's looks elsewhere than Amazon Linux has them.
certificates=/etc/pki/tls/certs/ca-bundle.crt
if [ -z "${SSL_CERT_FILE:-}" ] && [ -e "$certificates" ]; then
  export SSL_CERT_FILE="$certificates"
fi
exec "$home/lib/ld.so" --inhibit-cache --library-path "$home/lib" --argv0 "$home/bin/python3.11" \
  "$home/lib/python3.11.bin" "$@"
