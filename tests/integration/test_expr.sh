#!/bin/sh
# Conditions as SQL: PostgreSQL must say what the evaluation on a record says, rule by rule, and in a
# database whose collation is not C as well.
set -u
cd "$(dirname "$0")/../.." || exit 1
program=${DARI_EXPR_SAME:-build/dev/tests/unit/test_expr_same}
dir=$(mktemp -d) || exit 1
chmod 755 "$dir"
trap 'deploy/postgres.sh drop "$dir/pg" >/dev/null 2>&1; rm -rf "$dir"' EXIT
tab=$(printf '\t')
failed=0 number=0

report() {
	number=$((number + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		echo "# expected $2, PostgreSQL says $3"
		failed=1
	fi
}

"$program" --sql >"$dir/rules" || { echo "not ok 1 - the rules compile"; exit 1; }
deploy/postgres.sh start "$dir/pg" >/dev/null || { echo "not ok 1 - PostgreSQL starts"; exit 1; }
conninfo=$(cat "$dir/pg/conninfo")

# One SELECT per rule in one session; a rule that fails prints no answer, so the number is printed too.
ask() {
	awk -F '\t' '{ printf "SELECT %d, CASE WHEN %s THEN $$true$$ WHEN NOT (%s) THEN $$false$$ ELSE $$unknown$$ END;\n",
		NR, $3, $3 }' "$dir/rules" >"$dir/$1.sql"
	psql "$2" -XqAt -F "$tab" -f "$dir/$1.sql" >"$dir/$1.out" 2>"$dir/$1.err"
	sed 's/^/# /' "$dir/$1.err"
}

check() {
	n=0
	while IFS="$tab" read -r wanted text _; do
		n=$((n + 1))
		got=$(sed -n "s/^$n$tab//p" "$dir/$1.out")
		report "$1: $text" "$wanted" "${got:-nothing}"
	done <"$dir/rules"
}

ask C "$conninfo"
check C
if psql "$conninfo" -Xqc "CREATE DATABASE korean TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'ko'" \
	>"$dir/icu.err" 2>&1; then
	ask Korean "$(echo "$conninfo" | sed 's/dbname=dari/dbname=korean/')"
	check Korean
else
	echo "ok $((number + 1)) - Korean # SKIP this PostgreSQL has no ICU"
fi
exit $failed
