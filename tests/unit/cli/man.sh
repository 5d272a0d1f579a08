#!/bin/sh
# usage: man.sh PROGRAM PAGE: the page's commands, options, values, environment and defaults are those of the program's
# own table, no more and no fewer; mandoc, where it is installed, finds nothing wrong with the page.
program=$1 page=$2 failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/imgq-man-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
"$program" --completion list >"$work/table" || exit 1
[ -s "$work/table" ] || { echo "$program tells no options"; exit 1; }

# .It Fl q , Fl -queue Ar NAME -> "--queue NAME"; .It Cm dead list Ar ... -> "dead list"
awk '/^\.It (Fl|Cm) / {
    out = ""
    for (i = 2; i <= NF; i++) {
        if ($2 == "Cm" && i > 2) { if ($i ~ /^(Ar|Fl|\|)$/) break; out = out (out == "" ? "" : " ") $i }
        if ($2 == "Fl" && $(i - 1) == "Fl" && $i ~ /^-/) out = "-" $i
        if ($2 == "Fl" && $(i - 1) == "Ar") out = out " " $i
    }
    print out
}' "$page" | sort >"$work/page"
cut -f 1 "$work/table" | sort >"$work/options"
diff "$work/options" "$work/page" >"$work/difference" ||
    { echo "$page ('>') and $program ('<') differ:"; cat "$work/difference"; failed=1; }

# The item of each option names its environment variable and its default.
while IFS= read -r row; do
    option=$(printf '%s\n' "$row" | cut -f 1 | cut -d ' ' -f 1)
    env=$(printf '%s\n' "$row" | cut -f 2)
    by_default=$(printf '%s\n' "$row" | cut -f 3)
    awk -v name="${option#-}" '/^\.It / { on = 0; for (i = 2; i <= NF; i++) if ($i == name) on = 1 } on' "$page" >"$work/item"
    [ -z "$env" ] || grep -qF ".Ev $env" "$work/item" || { echo "$page: $option does not name $env"; failed=1; }
    [ -z "$by_default" ] || grep -A 1 '^Default:' "$work/item" | grep -qE "^\.Li $by_default( |$)" ||
        { echo "$page: $option does not say its default, $by_default"; failed=1; }
done <"$work/table"

if command -v mandoc >/dev/null; then
    # STYLE: unknown architecture, missing cross references of pages that are not installed here, and the like
    mandoc -T lint -W warning "$page" >"$work/lint" 2>&1
    [ ! -s "$work/lint" ] || { cat "$work/lint"; failed=1; }
fi
exit $failed
