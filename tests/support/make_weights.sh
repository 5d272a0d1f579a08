#!/bin/sh
# make_weights.sh SOURCE FOLDER: other layouts of the shared weights, written once into the build tree.
# 77 (skipped) where the shared folder is not there.
set -e
shared=${IMGQ_SHARED:-$1/../shared}
folder=$2
script=$shared/models/convert.py
if [ ! -r "$script" ]; then
    echo "SKIPPED: no $script" >&2
    exit 77
fi
if [ -e "$folder/done" ] && [ "$folder/done" -nt "$script" ]; then
    exit 0
fi
rm -rf "$folder.new"
mkdir -p "$folder.new"
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$script" "$folder.new"
touch "$folder.new/done"
rm -rf "$folder"
mv "$folder.new" "$folder"
