#!/bin/sh
# Writes a C table of the files named on the command line (see core/base/embed.h).
set -eu
echo '#include "core/base/embed.h"'
n=0
for f in "$@"; do
	echo "static const unsigned char f$n[] = {"
	od -An -v -tx1 "$f" | sed 's/\([0-9a-f][0-9a-f]\)/0x\1,/g'
	echo "0};"
	n=$((n + 1))
done
echo 'const struct embedded embedded_files[] = {'
n=0
for f in "$@"; do
	echo "{\"$f\", {(const char *)f$n, sizeof f$n - 1}},"
	n=$((n + 1))
done
echo '{NULL, {NULL, 0}}};'
