#!/bin/sh
# make run: the shipped configuration on this machine, with keys and a private PostgreSQL made when missing.
#
#   deploy/run.sh DARI CONFIG
set -eu
cd "$(dirname "$0")/.."
dari=$1 config=$2
"$dari" keys init --config "$config" >/dev/null
deploy/postgres.sh start var/postgres >/dev/null
exec "$dari" run --config "$config"
