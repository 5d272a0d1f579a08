#!lua flags=allow-oom
-- REQUEUE: dead to waiting, with counters and deadline fresh. The fence stays, so the next delivery's is higher.
-- ARGV: owner, id*
-- Returns a code each: 1 waiting again, 0 not dead or without payload, -1 unknown, -2 another's; docs/protocol.md 5.7

local owner = need_owner(ARGV[1])
need_ids(2, 128)

open(STATE)
local codes = {}
for i = 2, #ARGV do
    local id = ARGV[i]
    local h, key = look(id)
    local code = 0
    if not h or h.st == 'N' then
        code = -1
    elseif not is_owner(owner, key, h) then
        code = -2
    elseif h.st == 'F' and not has(h.fl2, FLAG2_PUSHED_OUT) then
        h.fails, h.crashes, h.err, h.progress = 0, 0, 0, 0
        h.deadline = now + m.ma
        if has(h.fl, FLAG_DEADLINE) then
            h.fl = h.fl - FLAG_DEADLINE
        end
        into_waiting(id, key, h, 'x')
        call('HDEL', P .. 'er', id)
        add('n', 1)
        add('b', h.len)
        add('xby', -h.len)
        code = 1
    end
    codes[#codes + 1] = code
end
finale()
return codes
