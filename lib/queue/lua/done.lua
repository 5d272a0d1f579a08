#!lua flags=allow-oom
-- DONE: results of this worker's deliveries. The result takes the payload's place in the record.
-- ARGV: worker, ttl, generation (reserved), then (id, fence, result)*
-- Returns a code each: 1 accepted, 2 accepted before, 0 stale, 4 cancelled, -1 gone; docs/protocol.md 5.4

if #ARGV < 3 or #ARGV % 3 ~= 0 then
    refuse('IQARG', 'number of arguments')
end
local worker, ttl, bytes = need_worker(ARGV[1]), need_int(ARGV[2], 0, YEAR, 'ttl'), 0
for i = 4, #ARGV, 3 do
    if not is_id(ARGV[i]) or not int(ARGV[i + 1], 0, 2 ^ 53) or ARGV[i + 2] == '' then
        refuse('IQARG', 'id, fence or empty result')
    end
    bytes = bytes + #ARGV[i + 2]
    if #ARGV[i + 2] > 1048576 then
        refuse('IQBIG', 'result over 1 MiB')
    end
end
if #ARGV > 3 + 3 * 64 or bytes > 8388608 then
    refuse('IQBIG', 'more than 64 results or 8 MiB')
end

open({ 'ver', 'n', 'b', 'cw', 'it', 'rt', 'c.done' })
local hash, codes = worker_hash(worker), {}

local function ttl_of(x)
    local kept = ttl
    if kept == 0 and x ~= '' then
        local own = option(x, 8)
        kept = own and #own == 4 and unpack_bytes('>I4', own) or 0
    end
    return max(m.it, kept > 0 and kept or m.rt)
end

for i = 4, #ARGV, 3 do
    local id, fence = ARGV[i], tonumber(ARGV[i + 1])
    local h, key, s = look(id, WITH_OPTIONS)
    local ours, code = holds(h, fence, hash)
    if ours then
        code = 1
        h.err = 0
        count('c.done')
        finish(id, key, h, 'S', ARGV[i + 2], ttl_of(options(key, h, s)), 'a', s)
    elseif code == 0 and h.fence == fence and h.st == 'S' and h.worker == hash then
        code = 2
    else
        count('c.stale')
    end
    codes[#codes + 1] = code
end
finale()
return codes
