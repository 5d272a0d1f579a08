#!lua flags=allow-oom
-- PURGE: one page of an index: waiting and delayed jobs are cancelled, dead letters removed.
-- ARGV: index (w, d, x), priority (-1: all), older than, page, cursor
-- Returns [done, cursor]; an empty cursor: the end; docs/protocol.md 5.8

if #ARGV ~= 5 or not string.find(ARGV[1], '^[wdx]$') then
    refuse('IQARG', 'number of arguments or index')
end
local index, priority = ARGV[1], ARGV[2] ~= '-1' and need_int(ARGV[2], 0, 9, 'priority') or nil
local older, page = need_int(ARGV[3], 0, YEAR, 'older than'), need_int(ARGV[4], 1, 256, 'page')
local cursor_score, cursor_id = string.match(ARGV[5], '^(%d+):([%w_.:-]*)$')
if ARGV[5] ~= '' and not cursor_score then
    refuse('IQARG', 'cursor')
end
if priority and index ~= 'w' then
    refuse('IQARG', 'priority of what does not wait')
end

open(STATE)
local lo, hi = '-inf', '+inf'
if priority then
    lo = int_text((9 - priority) * CLASS)
    hi = '(' .. int_text((10 - priority) * CLASS)
end

-- The cursor is the last entry that was left standing: behind it, or where it stood, the next page begins.
local skip = 0
if cursor_score then
    lo = cursor_score
    if tonumber(call('ZSCORE', P .. index, cursor_id) or nil) == tonumber(cursor_score) then
        skip = call('ZRANK', P .. index, cursor_id) + 1 - call('ZCOUNT', P .. index, '-inf', '(' .. cursor_score)
    end
end
local entries = call('ZRANGEBYSCORE', P .. index, lo, hi, 'WITHSCORES', 'LIMIT', skip, page)

local function remove(id, h, key)
    if index == 'x' then
        call('HDEL', P .. 'er', id)
        call('UNLINK', key)
        drop('x', id)
        add('xby', -h.len)
    else
        h.err = E_CANCELLED
        count('c.cancel')
        finish(id, key, h, 'X', '', m.it, index)
    end
end

local done, cursor = 0, ''
for i = 1, #entries, 2 do
    local id, at = entries[i], entries[i + 1]
    local h, key, why = look(id)
    if not h and why == 'version' then -- of another version, or no record of ours: the operator wants it gone
        lost(index, id, key)
        done = done + 1
    elseif not h or INDEX[h.st] ~= index then
        put_right(index, id, key, h, why)
    elseif (index == 'x' and tonumber(at) or h.born) <= now - older then
        remove(id, h, key)
        done = done + 1
    else
        cursor = int_text(tonumber(at)) .. ':' .. id
    end
end
if #entries < 2 * page then
    cursor = ''
elseif cursor == '' then -- all of this page went: the next begins where it began
    cursor = ARGV[5] ~= '' and ARGV[5] or (int_text(tonumber(entries[2])) .. ':')
end
finale()
return { done, cursor }
