#!lua flags=no-writes
-- STATS: the queue at a glance.
-- ARGV: none
-- Returns [now, waiting, delayed, active, dead, oldest, alive, seen, parked, [name, value, ...]]; docs/protocol.md 5.9

open({ 'ver' }, true)
local parked = call('ZCOUNT', P .. 'w', int_text(PARKED), '+inf')
local oldest, seen_last = 0, 0
local first = call('ZRANGE', P .. 'w', 0, 0)[1]
local h = first and look(first)
if h then
    oldest = h.born
end
local last = call('ZRANGE', P .. 'wr', 0, 0, 'REV', 'WITHSCORES')
if last[2] then
    seen_last = tonumber(last[2])
end
return { now, call('ZCARD', P .. 'w') - parked, call('ZCARD', P .. 'd'), call('ZCARD', P .. 'a'), call('ZCARD', P .. 'x'),
    oldest, call('ZCOUNT', P .. 'wr', int_text(now - 10000), int_text(now)), seen_last, parked, call('HGETALL', M) }
