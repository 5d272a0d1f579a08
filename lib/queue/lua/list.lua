#!lua flags=no-writes
-- LIST: one page of an index, in its order.
-- ARGV: owner, index (w, d, a, x), skip, count
-- Returns [[id, score, header, error text], ...]; [] in place of other owners' jobs and of garbage; docs/protocol.md 5.9

local owner = need_owner(ARGV[1])
if #ARGV ~= 4 or not string.find(ARGV[2], '^[wdax]$') then
    refuse('IQARG', 'number of arguments or index')
end
local index = ARGV[2]
local skip, n = need_int(ARGV[3], 0, 2 ^ 53, 'skip'), need_int(ARGV[4], 1, 256, 'count')

open({ 'ver' }, true)
local page = {}
local entries = call('ZRANGE', P .. index, int_text(skip), int_text(skip + n - 1), 'WITHSCORES')
for i = 1, #entries, 2 do
    local h, key = look(entries[i])
    if h and is_owner(owner, key, h) then
        local text = (h.fails + h.crashes > 0) and call('HGET', P .. 'er', entries[i]) or ''
        page[#page + 1] = { entries[i], int_text(tonumber(entries[i + 1])), encode(h), text }
    else -- so that who pages knows where he stands
        page[#page + 1] = {}
    end
end
return page
