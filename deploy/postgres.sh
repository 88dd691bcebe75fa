#!/bin/sh
# A private PostgreSQL for development, the demo and tests.
#
#   deploy/postgres.sh start DIR   make the cluster when it is missing, start it, print the conninfo
#   deploy/postgres.sh stop DIR    stop it at once (sessions end)
#   deploy/postgres.sh kill DIR    kill -9 the postmaster and all of its processes
#   deploy/postgres.sh drop DIR    stop and remove
#
# It listens on a unix socket only, in a folder that nobody else may enter; DIR/conninfo says how to
# reach it. PostgreSQL refuses to run as root: root runs it as the user postgres (or nobody).
# DARI_PG_PRELOAD, when set, is an LD_PRELOAD for the server (a slower disk, for measurements).
set -eu

die() { echo "postgres.sh: $*" >&2; exit 1; }

action=${1:-}; dir=${2:-}
[ -n "$action" ] && [ -n "$dir" ] || { sed -n '2,8p' "$0" >&2; exit 2; }
mkdir -p "$dir"
dir=$(cd "$dir" && pwd -P)
sum=$(printf '%s' "$dir" | cksum | cut -d' ' -f1)
sockets=/tmp/dari-pg-$(id -u)-$sum

find_bin() {
	for b in "$(pg_config --bindir 2>/dev/null || true)" $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV); do
		[ -x "$b/initdb" ] && { echo "$b"; return; }
	done
	die "no PostgreSQL server on this machine: run make setup"
}
bin=$(find_bin)

# /tmp and /var/tmp are everybody's: a folder of that name, or a link, may have been put there by somebody else.
own_folder() {
	[ -d "$1" ] || mkdir -m 700 "$1" || die "could not make $1"
	[ ! -L "$1" ] || die "$1 is a link that somebody put there: remove it"
	case $(stat -c %U "$1") in
	"$(id -un)" | "$user") ;;
	*) die "$1 belongs to somebody else: remove it" ;;
	esac
	[ "$(id -u)" != 0 ] || chown -h "$user" "$1"
	chmod 700 "$1"
}

if [ "$(id -u)" = 0 ]; then
	user=postgres; id postgres >/dev/null 2>&1 || user=nobody
	as() { setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups env -u DARI_CLOCK "$@"; }
else
	user=$(id -un)
	as() { env -u DARI_CLOCK "$@"; }
fi

# The server's user must be able to reach its data; below a closed folder it gets a place of its own.
data=$dir/data
if [ -L "$data" ] || ! as test -x "$dir" 2>/dev/null; then
	place=/var/tmp/dari-pg-$(id -u)-$sum
	own_folder "$place"
	ln -sfn "$place" "$dir/data"
	data=$place/data
fi

# A killed process that nobody has waited for yet is not alive.
alive() { kill -0 "$1" 2>/dev/null && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }
running() { [ -f "$data/postmaster.pid" ] && alive "$(head -n 1 "$data/postmaster.pid")"; }

make_cluster() {
	mkdir -p "$data"
	[ "$(id -u)" = 0 ] && chown "$user" "$data"
	chmod 700 "$data"
	(cd / && as "$bin/initdb" -D "$data" -U dari --auth=trust --encoding=UTF8 --locale=C.UTF-8 -k) \
		>"$dir/initdb.log" 2>&1 || die "initdb failed: see $dir/initdb.log"
	cat >>"$data/postgresql.conf" <<-EOF
		listen_addresses = ''
		unix_socket_directories = '$sockets'
		unix_socket_permissions = 0700
		max_connections = 60
		logging_collector = off
		timezone = 'UTC'
		log_timezone = 'UTC'
	EOF
}

start() {
	[ -f "$data/PG_VERSION" ] || make_cluster
	own_folder "$sockets"
	if ! running; then
		# Left by a kill -9; PostgreSQL itself keeps them while the dead process is not waited for.
		rm -f "$data/postmaster.pid" "$sockets/.s.PGSQL.5432.lock"
		: >>"$dir/postgres.log"
		[ "$(id -u)" = 0 ] && chown "$user" "$dir/postgres.log"
		(cd / && as env ${DARI_PG_PRELOAD:+LD_PRELOAD="$DARI_PG_PRELOAD"} "$bin/pg_ctl" -D "$data" -w -t 60 \
			-o "-c unix_socket_directories='$sockets'" start) >>"$dir/postgres.log" 2>&1 </dev/null ||
			die "PostgreSQL did not start: see $dir/postgres.log"
	fi
	base="host=$sockets user=dari"
	"$bin/psql" "$base dbname=postgres" -qAtc "SELECT 1 FROM pg_database WHERE datname = 'dari'" | grep -q 1 ||
		"$bin/createdb" -h "$sockets" -U dari dari
	echo "$base dbname=dari" | tee "$dir/conninfo.tmp"
	mv "$dir/conninfo.tmp" "$dir/conninfo"
}

stop() {
	running || return 0
	(cd / && as "$bin/pg_ctl" -D "$data" -m fast -w stop) >>"$dir/postgres.log" 2>&1 || true
	rmdir "$sockets" 2>/dev/null || true
}

# The postmaster first, so that it restarts nobody; then what it leaves behind.
kill_all() {
	running || return 0
	pid=$(head -n 1 "$data/postmaster.pid")
	children=$(pgrep -P "$pid" || true)
	kill -9 "$pid" 2>/dev/null || true
	for c in $children; do kill -9 "$c" 2>/dev/null || true; done
	for c in $pid $children; do
		n=0
		while alive "$c" && [ $n -lt 200 ]; do sleep 0.02; n=$((n + 1)); done
	done
}

case $action in
start) start ;;
stop) stop ;;
kill) kill_all ;;
drop) stop; rm -rf "$data" "$dir/data" "$sockets" "$dir/conninfo" ;;
*) die "unknown action $action" ;;
esac
