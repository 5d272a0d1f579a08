#!/bin/sh
# docs/errors.md has exactly the rows of status.h, every relative link in the documents leads somewhere, and every room
# of rooms.txt is named in the architecture.
failed=0
tr '\n' ' ' <include/imgq/status.h | grep -oE 'X\(IMGQ_[A-Z]+, -?[0-9]+, [0-9]+, [0-9]+, [01]\)' | sort -u >"${TMPDIR:-/tmp}/imgq-docs-$$"
while IFS= read -r row; do
    set -- $(echo "$row" | sed 's/X(//; s/)//; s/,//g')
    again=no
    [ "$5" = 1 ] && again=yes
    grep -qF "| \`$1\` | $2 | $3 | $4 | $again |" docs/errors.md || { echo "docs/errors.md lacks or contradicts $row"; failed=1; }
done <"${TMPDIR:-/tmp}/imgq-docs-$$"
[ -s "${TMPDIR:-/tmp}/imgq-docs-$$" ] || { echo "no rows found in status.h"; failed=1; }
rm -f "${TMPDIR:-/tmp}/imgq-docs-$$"

for file in README.md $(find docs -name '*.md'); do
    for target in $(grep -oE '\]\([^)#:]+\)' "$file" | sed 's/](//; s/)//'); do
        [ -e "$(dirname "$file")/$target" ] || { echo "$file: the link $target leads nowhere"; failed=1; }
    done
done
for room in $(grep -oE '^[a-z]+:' lib/rooms.txt | tr -d :); do
    grep -q "lib/$room" docs/architecture.md || { echo "docs/architecture.md does not name lib/$room"; failed=1; }
done
exit $failed
