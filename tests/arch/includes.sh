#!/bin/sh
# Every #include keeps to lib/rooms.txt. $1: the tree, default here.
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-.}" || exit 1
files=$(find lib cli -name '*.[ch]' | sort)
[ -n "$files" ] || { echo "no sources found"; exit 1; }
exec awk -f "$here/includes.awk" lib/rooms.txt $files
