#!lua flags=allow-oom
-- IMPORT: items of a reference producer's list become jobs. An item leaves the list after its record is there: a cut in
-- between imports it twice, which its uuid makes harmless, and never loses it.
-- KEYS[3]: the list. ARGV: cap, max bytes, window, priority
-- Returns [items, bytes, items left]; docs/protocol.md 5.10

if #ARGV ~= 4 or not KEYS[3] then
    refuse('IQARG', 'number of arguments or keys')
end
local cap, most_bytes = need_int(ARGV[1], 1, 256, 'cap'), need_int(ARGV[2], 0, 2 ^ 53, 'max bytes')
local window, priority = need_int(ARGV[3], 0, 2 ^ 53, 'window'), need_int(ARGV[4], 0, 9, 'priority')

open(STATE)
local items, bytes, open_lists = 0, 0, m.pa == 0

-- {"id": "<uuid>", ...}, the id first or last; the worker parses the rest.
local function legacy_id(item)
    local pattern = '"id"%s*:%s*"([^"\\]+)"'
    local found = string.match(sub(item, 1, 160), pattern) or string.match(sub(item, -160), pattern)
    return found and #found <= 128 and found or nil
end

local function free_id()
    for _ = 1, 1000 do
        set('q', m.q + 1)
        local id = '_c' .. int_text(m.q)
        if call('EXISTS', key_of(id)) == 0 then
            return id
        end
    end
    return nil
end

local function import_one(list, item)
    local id = free_id()
    if not id then
        return false
    end
    local uuid = legacy_id(item)
    local x = uuid and (pack('>BH', 10, #uuid) .. uuid) or ''
    local h = { ver = 1, st = 'W', pr = priority, fl = FLAG_COMPAT, fails = 0, crashes = 0, max_fails = 3, max_crashes = 3,
        ext = #x, err = 0, seq = m.q, born = now, fence = 0, at = now, deadline = now + m.ma, rid = NOBODY, progress = 0,
        fl2 = 0, deliveries = 0, len = #item, worker = NOBODY }
    call('ZADD', P .. 'w', int_text(score(h)), id)
    call('SET', key_of(id), encode(h) .. x .. item)
    call('LTRIM', list, 1, -1)
    add('n', 1)
    add('b', #item)
    add('cw', 1)
    count('c.imp')
    items, bytes = items + 1, bytes + #item
    tokens = 1
    return true
end

local function has_room()
    return open_lists and items < cap and (items == 0 or bytes < most_bytes) and m.cw < window and m.n < m.xn and m.b < m.xb
end

for _, list in ipairs({ P .. 'in', KEYS[3] }) do
    while has_room() do
        local item = call('LINDEX', list, 0)
        if not item or not import_one(list, item) then
            break
        end
    end
end
local left = call('LLEN', P .. 'in') + call('LLEN', KEYS[3])
finale()
return { items, bytes, left }
