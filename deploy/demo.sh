#!/bin/bash
# make demo: a day of a small clinic and the days after it, end to end, on this machine.
#
#   deploy/demo.sh DARI
#
# Everything lies below var/demo and is made anew each time. On a terminal it keeps running until
# Ctrl-C; otherwise it ends by itself.
set -eu
cd "$(dirname "$0")/.."
dari=$PWD/$1
work=$PWD/var/demo
config=$work/dari.xml
export DARI_CLOCK=$work/clock

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n== %s\n' "$*"; }
die() { echo "demo: $*" >&2; [ -f "$work/log" ] && tail -n 5 "$work/log" >&2; exit 1; }

runner=
finish() {
	if [ -n "$runner" ]; then kill -TERM "$runner" 2>/dev/null; wait "$runner" 2>/dev/null || true; fi
	deploy/postgres.sh stop "$work/postgres" 2>/dev/null || true
}
trap finish EXIT
trap 'exit 0' INT TERM

free_port() {
	for p in 2575 12575 22575 32575 42575; do
		(exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p"; return; }
	done
	die "ports 2575 to 42575 are all taken"
}

# ---- from nothing ----
[ ! -d "$work" ] || deploy/postgres.sh drop "$work/postgres" >/dev/null 2>&1 || true
rm -rf "$work"
mkdir -p "$work/lists"
port=$(free_port)
sed "s#port=\"2575\"#port=\"$port\"#" deploy/demo/dari.xml >"$config"
"$dari" keys init --config "$config" >"$work/keys.txt" || die "could not make keys"
deploy/postgres.sh start "$work/postgres" >"$work/conninfo.txt" || die "could not start PostgreSQL"

sql() { psql "$(cat "$work/postgres/conninfo")" -qAtX -v ON_ERROR_STOP=1 "$@"; }

# Waits for a condition, at most a minute.
wait_for() {
	local what=$1 n=0
	shift
	until "$@"; do
		n=$((n + 1))
		[ $n -lt 1200 ] || die "$what did not happen within a minute"
		[ -z "$runner" ] || kill -0 "$runner" 2>/dev/null || die "dari ended"
		sleep 0.05
	done
}
settled() { [ "$(sql -f deploy/demo/settled.sql -v clock="$(cat "$DARI_CLOCK")")" = t ]; }
clock() { printf '%s\n' "$1" >"$DARI_CLOCK.new" && mv "$DARI_CLOCK.new" "$DARI_CLOCK"; }

clock 2026-03-09T08:30:00+09:00
"$dari" run --config "$config" >"$work/out" 2>"$work/log" &
runner=$!
ready() { [ "$(grep -cE 'feed\.ready|relay\.ready|segment\.ready|messaging\.ready' "$work/log")" -ge 5 ]; }
wait_for "the start of all roles" ready

# ---- the day ----
say "A day at 한빛의원: the HIS sends HL7 v2 over MLLP to port $port"
for f in deploy/demo/*.hl7; do
	name=$(basename "$f" .hl7)
	at=${name:3:10}T${name:14:2}:${name:17:2}
	clock "$at:00+09:00"
	"$dari" send --retries 0 "mllp://127.0.0.1:$port" "$f" 2>/dev/null >"$work/sent" || true
	printf '  %s  %2d messages: %s\n' "$at" "$(wc -l <"$work/sent")" "$(cut -f2 "$work/sent" | sort | uniq -c | awk '{printf "%s %s  ", $1, $2}')"
	wait_for "the processing of $f" settled
done
echo "  (CA: committed. CE: kept in quarantine, and the sender was told so.)"
say "Its nightly list, CSV in CP949 as such EMRs write it, goes into a folder ($work/lists)"
clock 2026-03-09T21:00:00+09:00
iconv -f UTF-8 -t CP949 deploy/demo/05-reservations.csv >"$work/list.csv"
mv "$work/list.csv" "$work/lists/"
taken() { [ "$(sql -c "SELECT count(*) FROM dari.batch WHERE state = 'taken'")" = 1 ]; }
wait_for "the list" taken
wait_for "its processing" settled
"$dari" batch list --config "$config" --json | sed 's/.*"read":\([0-9]*\).*"events":\([0-9]*\).*/  \1 rows read, \2 events; title and total rows are known for what they are/'
say "The clock moves on: reminders three days and one day before"
for at in 2026-03-10T00:01 2026-03-10T10:00 2026-03-12T10:00 2026-03-13T10:00 2026-03-15T10:00; do
	clock "$at:00+09:00"
	wait_for "what is due at $at" settled
done
sealed() { [ "$(sql -c "SELECT coalesce(max(size), 0) >= (SELECT ledger FROM dari.stream) FROM dari.checkpoint")" = t ]; }
clock 2026-03-15T10:10:00+09:00
wait_for "the checkpoint" sealed

# ---- what came of it ----
say "Messages in (dari status)"
"$dari" status --config "$config" | sed -n '/^feed/,/^stream/p' | sed 's/^/  /'
say "Events by type, with their numbers in the stream"
sql -F ' ' -c "SELECT rpad(type, 26), lpad(count(*)::text, 3), ' ', string_agg(seq::text, ' ' ORDER BY seq)
	FROM dari.event GROUP BY type ORDER BY min(seq)" | cut -c1-110 | sed 's/^/  /'
say "Segments (dari segment list)"
"$dari" segment list --config "$config" | sed 's/^/  /'
say "Reminders in the outbox ($work/outbox)"
ls -1tr "$work/outbox" | while read -r f; do # in the order in which they went out
	sed -n 's/.*"text": *"\(\([^"\\]\|\\.\)*\)".*/  \1/p' "$work/outbox/$f"
done
say "The ledger (dari ledger verify)"
"$dari" ledger verify --config "$config" | sed 's/^/  /'

[ -t 1 ] || { say "make demo on a terminal keeps it running, so that you can look around."; exit 0; }
say "Look further, in another terminal:"
dir=$(printf %q "$PWD")
cat <<TEXT
  cd $dir; export DARI_CONFIG=var/demo/dari.xml DARI_CLOCK=var/demo/clock
  build/dev/dari tail --from first                  the event stream
  build/dev/dari trace HB000012                     one message, through every step to its reminders
  build/dev/dari message list --state quarantined   what could not be mapped, and where
  build/dev/dari segment members SG20               who stopped coming
  build/dev/dari plan list                          what is, was and will not be sent, and why
  build/dev/dari --help
TEXT
say "Running until Ctrl-C."
wait "$runner"
