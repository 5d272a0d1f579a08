#!lua flags=allow-oom
-- TOUCH: renew leases and tell progress; also the sign of life of a busy worker.
-- ARGV: worker, info, lease, then (id, fence, progress)*
-- Returns a code each: 1 renewed, 0 lost, 2 cancelled, 3 expired, -1 gone; docs/protocol.md 5.3

if #ARGV < 3 or #ARGV % 3 ~= 0 then
    refuse('IQARG', 'number of arguments')
end
local worker, info = need_worker(ARGV[1]), ARGV[2]
local lease = max(1000, min(LEASE_MAX, need_int(ARGV[3], 0, 2 ^ 53, 'lease')))
if #ARGV > 3 + 3 * 256 or #info > 2048 then
    refuse('IQBIG', 'more than 256 jobs, or info over 2048 bytes')
end
for i = 4, #ARGV, 3 do
    if not is_id(ARGV[i]) or not int(ARGV[i + 1], 0, 2 ^ 53) then
        refuse('IQARG', 'id or fence')
    end
    local progress = need_int(ARGV[i + 2], 0, 255, 'progress')
    if progress > 100 and progress < 255 then
        refuse('IQARG', 'progress')
    end
end

open(STATE)
local hash, codes, leases = worker_hash(worker), {}, {}
for i = 4, #ARGV, 3 do
    local id, fence, progress = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
    local h, key = look(id)
    local ours, code = holds(h, fence, hash)
    if ours then
        code = 1
        leases[#leases + 1] = int_text(now + lease)
        leases[#leases + 1] = id
        if progress ~= 255 and progress ~= h.progress then
            call('SETRANGE', key, 64, string.char(progress))
            note(h.rid, id, 'P', 0, string.char(progress))
        end
    elseif code == 4 then
        code = 2
    elseif code == 0 and h.st == 'E' and h.fence == fence then
        code = 3
    end
    codes[#codes + 1] = code
end
-- Before the tick: who reconnects saves its own leases first.
if #leases > 0 then
    call('ZADD', P .. 'a', unpack(leases))
end
seen(worker, info)
tick()
finale()
return codes
