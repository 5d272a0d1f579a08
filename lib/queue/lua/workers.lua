#!lua flags=no-writes
-- WORKERS: who was seen within the hour, last seen first.
-- ARGV: count
-- Returns [now, worker, seen, info, ...]; docs/protocol.md 5.9

local n = need_int(ARGV[1], 1, 1000, 'count')

open({ 'ver' }, true)
local entries = call('ZRANGE', P .. 'wr', 0, n - 1, 'REV', 'WITHSCORES')
local reply = { now }
for i = 1, #entries, 2 do
    reply[#reply + 1] = entries[i]
    reply[#reply + 1] = tonumber(entries[i + 1])
    reply[#reply + 1] = call('HGET', P .. 'wi', entries[i]) or ''
end
return reply
