#!/bin/sh
# Starts this archive's Python on this archive's C library, whatever the system has.
set -eu
home=$(dirname "$(dirname "$(readlink -f "$0")")")
# Locales and converters are files of the C library, and the system's are another one's.
export PYTHONHOME="$home" PYTHONUTF8=1 PYTHONNOUSERSITE=1 LC_ALL=C
# Where Amazon Linux keeps the certificates that Debian's OpenSSL would look for elsewhere.
certificates=/etc/pki/tls/certs/ca-bundle.crt
if [ -z "${SSL_CERT_FILE:-}" ] && [ -e "$certificates" ]; then
  export SSL_CERT_FILE="$certificates"
fi
exec "$home/lib/ld.so" --inhibit-cache --library-path "$home/lib" --argv0 "$home/bin/python3.11" \
  "$home/lib/python3.11.bin" "$@"
