#!/bin/sh
# Installs what is missing to build, run and test dari on Debian 12 or Ubuntu 24.04. Asks for nothing.
#
#   deploy/setup.sh [test] [quiet]     test: also what only the tests need
set -eu
cd "$(dirname "$0")/.."

build="gcc make pkg-config libxml2-dev libzmq3-dev libpq-dev libssl-dev liblog4c-dev libevent-dev libjansson-dev
	libcurl4-openssl-dev libzip-dev zlib1g-dev unixodbc-dev tzdata postgresql postgresql-client"
test="libcmocka-dev clang clang-format libclang-rt-dev python3 python3-jsonschema python3-zmq python3-hl7 openssl openssh-server procps git odbc-postgresql"
want=$build; quiet=
for word in "$@"; do
	case $word in
	test) want="$build $test" ;;
	quiet) quiet=1 ;;
	*) sed -n 2,4p "$0" >&2; exit 2 ;;
	esac
done

missing=
for p in $want; do
	dpkg-query -W -f='${Status}\n' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || { [ -n "$quiet" ] || echo "nothing is missing"; exit 0; }

as_root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "setup: these packages are missing, and there is no sudo to install them:$missing" >&2; exit 1; }
	as_root="sudo -n"
	$as_root true 2>/dev/null || as_root=sudo
fi
echo "installing:$missing"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # lists of words
{ $as_root apt-get update -q && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } \
	>"$log" 2>&1 </dev/null || { tail -n 5 "$log" >&2; echo "setup: could not install; the whole log is in $log" >&2; exit 1; }
rm -f "$log"
