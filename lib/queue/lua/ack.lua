#!lua flags=allow-oom
-- ACK: the result was received; it goes, its header stays as a tombstone.
-- ARGV: owner, id*
-- Returns a code each: 1 dropped, 0 no result to drop or others wait for it, -1 unknown, -2 another's; docs/protocol.md 5.7

local owner = need_owner(ARGV[1])
need_ids(2, 128)

open(STATE)
local codes = {}
for i = 2, #ARGV do
    local h, key = look(ARGV[i])
    local code = 0
    if not h or h.st == 'N' then
        code = -1
    elseif not is_owner(owner, key, h) then
        code = -2
    elseif h.st == 'S' and not has(h.fl2, FLAG2_ACKED) and not has(h.fl, FLAG_ATTACHED) then
        h.fl2 = h.fl2 + FLAG2_ACKED
        call('SET', key, encode(h) .. options(key, h), 'PX', int_text(m.it))
        code = 1
    end
    codes[#codes + 1] = code
end
finale()
return codes
