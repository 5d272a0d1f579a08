#!lua flags=allow-oom
-- FAIL, RELEASE: deliveries of this worker that have no result. T transient, P permanent, R release, B busy.
-- ARGV: worker, then (id, fence, kind, delay, code, text)*
-- Returns a code each: 1 will run again, 2 dead, 3 expired, 0 stale, 4 cancelled, -1 gone; docs/protocol.md 5.5

if #ARGV < 1 or (#ARGV - 1) % 6 ~= 0 then
    refuse('IQARG', 'number of arguments')
end
local worker = need_worker(ARGV[1])
if #ARGV > 1 + 6 * 64 then
    refuse('IQBIG', 'more than 64 jobs')
end
for i = 2, #ARGV, 6 do
    if not is_id(ARGV[i]) or not int(ARGV[i + 1], 0, 2 ^ 53) or not string.find(ARGV[i + 2], '^[TPRB]$')
        or not int(ARGV[i + 3], 0, 2 ^ 53) or not int(ARGV[i + 4], 0, 65535) then
        refuse('IQARG', 'id, fence, kind, delay or code')
    end
end

open(STATE)
local hash = worker_hash(worker)

local function give_back(id, key, h, kind, delay, code, text)
    local counted = kind == 'T' or kind == 'P'
    if counted then
        h.fails = min(h.fails + 1, 65535)
        h.err = code
        count('c.fail')
    end
    if kind == 'P' or (kind == 'T' and h.fails >= h.max_fails) then
        bury(id, key, h, 'a', text)
        return 2
    end
    if kind == 'R' then
        delay = 0
    end
    if is_late(h, now + delay) then
        expire(id, key, h, 'a', counted and text or '')
        return 3
    end
    if delay > 0 then
        into_delayed(id, key, h, 'a', now + delay)
    else
        into_waiting(id, key, h, 'a')
    end
    if counted and text ~= '' then
        call('HSET', P .. 'er', id, text)
    end
    return 1
end

local codes = {}
for i = 2, #ARGV, 6 do
    local id = ARGV[i]
    local h, key = look(id)
    local ours, code = holds(h, tonumber(ARGV[i + 1]), hash)
    if ours then
        local delay = min(tonumber(ARGV[i + 3]), 86400000)
        code = give_back(id, key, h, ARGV[i + 2], delay, tonumber(ARGV[i + 4]), sub(ARGV[i + 5], 1, 512))
    end
    codes[#codes + 1] = code
end
finale()
return codes
