#!lua flags=allow-oom
-- CANCEL: live jobs end as cancelled. A worker that holds one learns it at its next touch; its result is refused.
-- ARGV: owner, id*
-- Returns a code each: 1 cancelled, 0 had ended, -1 unknown, -2 another's; docs/protocol.md 5.7

local owner = need_owner(ARGV[1])
need_ids(2, 128)

open(STATE)
local codes = {}
for i = 2, #ARGV do
    local id = ARGV[i]
    local h, key, s = look(id, WITH_OPTIONS)
    local code = 0
    if not h or h.st == 'N' then
        code = -1
    elseif not is_owner(owner, key, h) then
        code = -2
    elseif h.st == 'W' or h.st == 'D' or h.st == 'A' then
        h.err = E_CANCELLED
        count('c.cancel')
        finish(id, key, h, 'X', '', m.it, INDEX[h.st], s)
        code = 1
    end
    codes[#codes + 1] = code
end
finale()
return codes
