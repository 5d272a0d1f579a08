# Holds every #include under lib/ and cli/ to lib/rooms.txt. Run by includes.sh, with rooms.txt first.
FNR == NR {
    if ($1 ~ /^#/ || NF == 0) next
    if ($1 == "wall") { for (i = 3; i <= NF; i++) wall[$2] = wall[$2] " " $i; next }
    room = $1; sub(/:$/, "", room)
    known[room] = 1
    for (i = 2; i <= NF; i++) may[room, $i] = 1
    may[room, room] = 1
    next
}
FNR == 1 {
    inner = FILENAME; from = ""
    if (sub(/^(.*\/)?lib\//, "", inner)) { from = inner; sub(/\/.*/, "", from) }
    else if (sub(/^(.*\/)?cli\//, "cli/", inner)) from = "cli"
    if (from != "cli" && !(from in known)) bad("stands in no room of rooms.txt")
}
/^[ \t]*#[ \t]*include/ {
    if (match($0, /"[^"]+"/)) {
        target = substr($0, RSTART + 1, RLENGTH - 2)
        to = target; if (!sub(/\/.*/, "", to)) to = from == "cli" ? "?" : from
        if (from == "cli") { if (!cli_may(target)) bad("cli may not include \"" target "\"") }
        else if (!((from, to) in may)) bad("room " from " may not include \"" target "\"")
    } else if (match($0, /<[^>]+>/)) {
        target = substr($0, RSTART + 1, RLENGTH - 2)
        for (header in wall)
            if (index(target, header) == 1 && !behind(wall[header])) bad("<" target "> belongs to" wall[header] " alone")
    }
}
function cli_may(target) {
    if (target ~ /^cli\//) return 1
    if (inner ~ /^cli\/common\// && (target == "base/json.h" || target == "base/options.h" || target == "base/buf.h")) return 1
    return inner == "cli/common/model_arg.c" && target ~ /^import\//
}
function behind(files,    list, n, i) {
    n = split(files, list, " ")
    for (i = 1; i <= n; i++) if (inner == list[i] || (list[i] ~ /\/$/ && index(inner, list[i]) == 1)) return 1
    return 0
}
function bad(why) { printf "%s:%d: %s\n", FILENAME, FNR, why; wrong = 1 }
END { exit wrong }
